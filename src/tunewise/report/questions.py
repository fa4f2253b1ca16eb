"""Answers "When to fine-tune": four questions, each from this run's own numbers.

A question the run cannot answer is said to be open or not measured; nothing is guessed.
"""

from dataclasses import dataclass
from typing import Literal

from tunewise.project.contenders import BUILT_IN, simplicity, way_of
from tunewise.runs.schema import ContenderResult, Run, StoppedContender
from tunewise.types import Finding
from tunewise.wording import (
    count,
    difference,
    duration,
    in_points,
    mean_tokens,
    milliseconds,
    money,
    p_value,
    percent,
    percent_span,
    stated_confidence,
    times,
)

Reply = Literal["yes", "no", "partly", "cannot tell", "not measured"]

_NOT_FROM_EXAMPLES = {name for name, one in BUILT_IN.items() if not one.learns}
_UNTRAINED_WAYS = tuple(n for n, one in BUILT_IN.items() if one.learns and not one.trained)


@dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """One question, its answer in a word, and the numbers behind it."""

    question: str
    reply: Reply
    text: str
    yes_speaks_for_training: bool = True

    @property
    def side(self) -> Literal["for", "against", "open"]:
        """Whether the reply speaks for or against fine-tuning, or leaves it open."""
        if self.reply not in ("yes", "no"):
            return "open"
        return "for" if (self.reply == "yes") == self.yes_speaks_for_training else "against"


def when_to_fine_tune(run: Run) -> list[Question]:
    """The four questions in the order in which one should ask them."""
    return [_teachable(run), _enough_without(run), _cost_and_latency(run), _improves(run)]


def _score(contender: ContenderResult) -> str:
    low, high = contender.quality.lower, contender.quality.upper
    value = percent(contender.quality.value)
    return f"{contender.name} {value} ({percent_span(low, high)})"


def _value(contender: ContenderResult) -> float:
    return contender.quality.value


def _teachable(run: Run) -> Question:
    question = "Is there a use case that examples can teach?"
    learned = [
        c for c in run.measured if way_of(c.name) not in _NOT_FROM_EXAMPLES and not c.ceiling
    ]
    constant = run.contender("constant")
    if not learned or constant is None:
        return Question(
            question=question,
            reply="not measured",
            text="A contender that learns from examples, or `constant` to hold it against, "
            "was not judged in this run.",
        )
    best = max(learned, key=_value)
    against = run.difference(best.name, "constant")
    shown = against.low > 0 if against else best.quality.lower > constant.quality.upper
    text = f"The best that learned from your examples: {_score(best)}. "
    text += f"An answer that ignores the input: {percent(constant.quality.value)}"
    text += f"; the difference is {difference(against)}." if against else "."
    zero_shot = run.contender("zero_shot")
    if zero_shot:
        text += f" The instruction alone, without any example: {percent(_value(zero_shot))}."
    if run.finding == "nothing_learned" or not shown:
        text += " Held-out examples do not confirm that there is something to learn."
    reply: Reply = "yes" if shown else "cannot tell"
    return Question(
        question=question, reply="no" if run.finding == "nothing_learned" else reply, text=text
    )


def _enough_without(run: Run) -> Question:
    question = "Are prompting, few-shot and retrieval enough?"
    ways = [c for c in run.measured if way_of(c.name) in _UNTRAINED_WAYS]
    ways.sort(key=lambda c: simplicity(c.name))
    text = f"Without training: {'; '.join(map(_score, ways))}." if ways else ""
    apart = [c for c in run.skipped if way_of(c.name) in _UNTRAINED_WAYS]
    for label, group in (
        ("Stopped on dev", [c for c in apart if isinstance(c, StoppedContender)]),
        ("Not run", [c for c in apart if not isinstance(c, StoppedContender)]),
    ):
        if group:
            text += f" {label}: {'; '.join(f'{c.name} ({c.skipped})' for c in group)}."
    rival, gain = run.rival, run.gain
    if rival is None or gain is None:
        return Question(
            question=question,
            reply="not measured",
            text=f"{text} No trained contender was judged beside them.".strip(),
        )
    chosen = (
        "Chosen among them beforehand, on other rows"
        if rival.name == run.plan.incumbent
        else "Shown on the test examples to be the one to beat"
    )
    text += (
        f" {chosen}: {rival.name}. {gain.a} differs from it by {difference(gain)}, and "
        f"{in_points(run.decision.minimum_gain)} are worth a training to you."
    )
    replies: dict[Finding, Reply] = {
        "fine_tune": "yes" if run.rule == "cheaper" else "no",
        "better_by_less": "partly",
        "practically_the_same": "yes",
        "do_not": "yes",
        "stay": "yes",
    }
    return Question(
        question=question,
        reply=replies.get(run.finding, "cannot tell"),
        text=text.strip(),
        yes_speaks_for_training=False,
    )


def _cost_and_latency(run: Run) -> Question:
    question = "Do cost and latency argue for it?"
    challenger, rival = run.challenger, run.rival
    if challenger is None or rival is None:
        return Question(
            question=question,
            reply="not measured",
            text="No trained contender was judged, so there is nothing to weigh.",
        )
    ratios: list[float] = []  # rival over challenger: above 1 speaks for training
    parts: list[str] = []
    if challenger.tokens and rival.tokens:
        mine, theirs = challenger.tokens.total, rival.tokens.total
        ratios.append((theirs + 1) / (mine + 1))
        parts.append(
            f"{challenger.name} takes {mean_tokens(mine)} tokens a request, {rival.name} "
            f"{mean_tokens(theirs)}{how_many_times(mine, theirs, 'fewer', 'more')}."
        )
    if challenger.latency and rival.latency:
        mine, theirs = challenger.latency.p50, rival.latency.p50
        ratios.append((theirs + 0.1) / (mine + 0.1))
        parts.append(
            f"Its median answer comes after {milliseconds(mine)}, that of {rival.name} after "
            f"{milliseconds(theirs)}{how_many_times(mine, theirs, 'faster', 'slower')}."
        )
    if challenger.fit.seconds is not None:
        trained = challenger.fit.tokens.get("trained")
        tokens = f" and {count(trained)} trained tokens" if trained else ""
        parts.append(f"Fitting it took {duration(challenger.fit.seconds)}{tokens}.")
    if challenger.cost and rival.cost:
        mine, theirs = challenger.cost.per_1000_requests, rival.cost.per_1000_requests
        ratios.append((theirs + 1e-9) / (mine + 1e-9))
        parts.append(
            f"A thousand requests cost {money(mine, challenger.cost.currency)} "
            f"against {money(theirs, rival.cost.currency)}."
        )
    else:
        parts.append("What that is in money was not measured in this run: [prices] would tell.")
    reply = _weigh(ratios)
    if challenger.cost is None or rival.cost is None:
        question = "Do tokens and latency argue for it? (What it costs was not measured.)"
    return Question(question=question, reply=reply, text=" ".join(parts))


def how_many_times(mine: float, theirs: float, better: str, worse: str) -> str:
    """`, 11 times fewer`; nothing when the two are within a tenth, or one of them is 0."""
    if min(mine, theirs) <= 0 or 1 / 1.1 < theirs / mine < 1.1:
        return ""
    if mine < theirs:
        return f", {times(theirs / mine)} {better}"
    return f", {times(mine / theirs)} {worse}"


def _weigh(ratios: list[float]) -> Reply:
    """Yes when something is at least a fifth better and nothing a fifth worse."""
    if not ratios:
        return "not measured"
    better = any(ratio >= 1.25 for ratio in ratios)
    worse = any(ratio <= 0.8 for ratio in ratios)
    if better:
        return "partly" if worse else "yes"
    return "no"


def _improves(run: Run) -> Question:
    question = "Does output quality demonstrably improve?"
    gain, challenger, rival = run.gain, run.challenger, run.rival
    if gain is None or challenger is None or rival is None:
        return Question(
            question=question,
            reply="not measured",
            text="No trained contender was judged on the test examples.",
        )
    averaged = f"on average of its {challenger.seeds} seeds, " if challenger.seeds > 1 else ""
    text = (
        f"On {count(gain.n)} sealed test examples {_score(challenger)} against "
        f"{_score(rival)}: {averaged}{difference(gain)}, {stated_confidence(gain)} confidence, "
        f"{p_value(gain.p)}."
    )
    if run.plan.written_before_test:
        text += " What is compared was written down before the first test example was answered."
    if run.plan.futile:
        text += (
            " It was trained once and not three times: the rows set aside for choosing already "
            "showed no gain."
        )
    reply: Reply = "cannot tell"
    if gain.low > 0:
        reply = "yes"
        if gain.delta < run.decision.minimum_gain:
            reply = "partly"
            text += f" That is less than the {in_points(run.decision.minimum_gain)} you ask for."
    elif run.finding == "practically_the_same" or gain.high < run.decision.minimum_gain:
        reply = "no"
    return Question(question=question, reply=reply, text=text)
