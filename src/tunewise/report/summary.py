"""The first screen of a report: what was found, how much it gains, what a request takes, what next.

For the person who pays: contenders in everyday words, each with its name in brackets. Decides
nothing.
"""

from collections.abc import Callable
from dataclasses import dataclass
from statistics import fmean

from tunewise.decision.explain import LESS
from tunewise.project.contenders import CONSTANT, built_in
from tunewise.report.bases import base_sentence
from tunewise.report.costs import cost_sentence
from tunewise.report.forgetting import but_forgets, what_was_kept
from tunewise.report.more_rows import rows_in_vain, rows_needed, use_unused
from tunewise.report.questions import how_many_times
from tunewise.runs.schema import ContenderResult, Run
from tunewise.types import Comparison, Finding
from tunewise.wording import (
    about,
    amount,
    cash,
    count,
    duration,
    in_points,
    joined,
    mean_tokens,
    milliseconds,
    percent,
    plural,
    stated_confidence,
    whole_percent,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Summary:
    """A sentence or two for each; `request` is empty where nothing is to be held against it."""

    finding: str
    """And how many test rows were left out as leaked."""
    gain: str
    """Its size, how sure that is, and on how many examples."""
    request: str
    """What a request gains or loses in tokens and time."""
    cost: str
    """What a training saves and when it has paid for itself; empty where that is not known."""
    kept: str
    """What became of general ability; empty where it was not measured."""
    base: str
    """Of several base models, the smallest that is good enough; empty where there is one."""
    next: str
    """What to do."""

    @property
    def sentences(self) -> list[str]:
        """In the order in which one reads them."""
        parts = (
            self.finding, self.gain, self.request, self.cost, self.kept, self.base, self.next,
        )  # fmt: skip
        return [one for one in parts if one]


def summary(run: Run) -> Summary:
    """What a run found, for each finding."""
    by_finding: dict[Finding, Callable[[Run], tuple[str, str]]] = {
        "fine_tune": _fine_tune,
        "better_by_less": _better_by_less,
        "practically_the_same": _practically_the_same,
        "do_not": _do_not,
        "stay": _stay,
        "cannot_tell": _cannot_tell,
        "nothing_learned": _nothing_learned,
    }
    found, next_step = by_finding[run.finding](run)
    if run.first_opinion:
        next_step = (
            "run it without --quick for a verdict to rely on. These are few rows, and the test "
            "examples are sealed still."
        )
    return Summary(
        finding=f"{found} {left_out(run)}".strip(),
        gain=_gain(run),
        request=_request(run),
        cost=cost_sentence(run),
        kept=what_was_kept(run),
        base=base_sentence(run),
        next=f"Next: {next_step}",
    )


def left_out(run: Run) -> str:
    """How many test rows took no part since something else holds them; empty for none."""
    if run.splits is None:
        return ""
    leaked = run.splits.leaked
    total = sum(leaked.values())
    if not total:
        return ""
    where = joined(
        [
            f"{'the documents' if name == 'documents' else name} ({count(rows)})"
            for name, rows in leaked.items()
            if rows
        ]
    )
    took = "was" if total == 1 else "were"
    return f"{plural(total, 'test example')} {took} left out: also in {where}."


def in_words(name: str) -> str:
    """`the fine-tuned model (fine_tune)`."""
    known = built_in(name)
    return f"{known.in_words} ({name})" if known else name


def _named(one: ContenderResult | None, otherwise: str) -> str:
    return otherwise if one is None else in_words(one.name)


def _trained(run: Run) -> str:
    return _named(run.challenger, "the training")


def _untrained(run: Run) -> str:
    return _named(run.rival, "what needs no training")


def _fine_tune(run: Run) -> tuple[str, str]:
    why = (
        f"it is as good as {_untrained(run)}, and cheaper"
        if run.rule == "cheaper"
        else "it is worth its training"
    )
    steps = (
        f"use {run.outcome}, whose adapter is in models/{run.outcome} of the run folder"
        f"{_training_took(run)}."
    )
    if not run.retention:
        steps += (
            " Whether it kept its general ability was not measured: try it on whatever else it "
            "has to do."
        )
    return f"Fine-tune: use {in_words(run.outcome)}; {why}{but_forgets(run)}.", steps


def _better_by_less(run: Run) -> tuple[str, str]:
    trained, asked = _trained(run), in_points(run.decision.minimum_gain)
    found = f"{_capital(trained)} is better, but by less than the {asked} you asked for"
    alone = ": only the one-off training speaks against it" if _takes_less(run) else ""
    train = f"use {run.plan.challenger}{_training_took(run)}{alone}"
    if run.outcome != "undecided":
        return (
            f"{found}: as asked, use {_untrained(run)}.",
            f"use {run.outcome}. If so much is worth a training to you after all, {train}.",
        )
    meanwhile = f"; if not, use {run.recommended}" if run.recommended else ""
    return (
        f"{found}: your minimum_gain decides.",
        f"decide whether {_size(run)} worth a training to you. If so, {train}{meanwhile}.",
    )


def _size(run: Run) -> str:
    if run.gain is None:
        return "so much is"
    size = in_points(run.gain.delta)
    return f"{size} {'is' if size == '1 point' else 'are'}"


def _practically_the_same(run: Run) -> tuple[str, str]:
    trained, untrained = _trained(run), _untrained(run)
    found = f"Do not fine-tune: {trained} and {untrained} are practically the same."
    if not _takes_less(run) or run.economics:
        return found, f"use {run.outcome}, which needs no training."
    return found, (
        f"use {run.outcome}, the simpler one: nothing has to be trained. A request to the "
        f"fine-tuned one takes less, which at a high volume can pay for a training; [prices] "
        "would count it."
    )


def _do_not(run: Run) -> tuple[str, str]:
    found = run.gain
    if found and found.high < 0:
        why = "is better than the best training tried"
    elif found and found.delta > 0:
        why = f"comes within {in_points(run.decision.minimum_gain)} of the best training tried"
    else:
        why = "is as good as the best training tried"
    return (
        f"Do not fine-tune: use {in_words(run.outcome)}, which {why}.",
        f"use {run.outcome}; no training has to be paid for.",
    )


def _stay(run: Run) -> tuple[str, str]:
    cost = ""
    if run.regret is not None:
        size = in_points(run.regret) if run.regret >= 5e-4 else "less than 0.1 points"
        cost = (
            f": staying is expected to cost {size} against knowing the truth, less than labels "
            "would have to bring"
        )
    return (
        f"Stay with {_untrained(run)}: more labels would not pay.",
        f"use {run.outcome}, and label no more for this question{cost}.",
    )


def _cannot_tell(run: Run) -> tuple[str, str]:
    meanwhile = (
        f"until then, use {in_words(run.recommended)}"
        if run.recommended and not _too_few(run)
        else "nothing tried is shown to help yet"
    )
    found = f"Do not decide yet: whether fine-tuning is worth it is open; {meanwhile}."
    if run.challenger is None or run.rival is None:
        return found, (
            "run again with both kinds in [contenders] use; the report says why one is missing."
        )
    return found, _rows_next(run)


def _nothing_learned(run: Run) -> tuple[str, str]:
    return (
        "Use none of these yet, and do not fine-tune: nothing tried is shown to be better than "
        "giving one fixed answer to everything.",
        "look whether the answers in your file belong to their questions, and whether two people "
        "would give the same ones; label more only after that.",
    )


def _too_few(run: Run) -> bool:
    """Whether nothing could be computed, so that no contender is shown to help."""
    return run.gain is not None and not run.gain.computed


def _well_ahead(run: Run) -> bool:
    """Whether the gain itself is shown and large enough, so that something else is in the way."""
    found = run.gain
    return found is not None and found.low > 0 and found.delta >= run.decision.minimum_gain


def _rows_next(run: Run) -> str:
    needed, unused = rows_needed(run), use_unused(run)
    first = f"use the rows you have ({'; '.join(unused)})" if unused else ""
    if needed is None:
        if run.gain is not None and not run.gain.computed:
            missing = run.gain.method.removeprefix("not computed: ")
            return f"{first or 'label more'}, and run again: the test split has {missing}."
        most = rows_in_vain(run)
        if most is None or _well_ahead(run):
            return "see below what is in the way; more examples alone would not settle it."
        use = f"use {run.recommended}, and " if run.recommended else ""
        return (
            f"{use}label no more for this question: up to {count(most)} more test examples are "
            "unlikely to settle it."
        )
    might = "might settle it"
    if needed.chance is not None:
        might = f"settle it with a chance of {whole_percent(needed.chance)}"
    wanted = f"{count(about(needed.test_needed))} more test examples {might}"
    if unused and needed.to_label == 0:
        return f"{wanted}: {first}; nothing has to be labelled."
    label = (
        "label them"
        if needed.to_label is None
        else f"label about {count(needed.to_label)} rows beyond the {count(needed.there)} there are"
    )
    return f"{wanted}: {first}, then {label}." if unused else f"{wanted}: {label}."


def _gain(run: Run) -> str:
    """What both score on how many examples, and between which ends the difference lies."""
    if run.finding == "nothing_learned":
        rivals = [c for c in run.measured if c.name != CONSTANT and not c.ceiling]
        a, b = max(rivals, key=mean_quality, default=None), run.contender(CONSTANT)
    else:
        a, b = run.challenger, run.rival
    if a is None or b is None:
        ran = in_words((a or b or run.contenders[0]).name)
        missing = "with training" if a is None else "without training"
        return f"Nothing {missing} was measured beside {ran}, so there is nothing to compare."
    found = run.difference(a.name, b.name)
    on = f"on {count(run.n_test)} unseen {'dev' if run.first_opinion else 'test'} examples"
    if found and found.groups < found.n:
        on += f" in {count(found.groups)} independent units"
    each = f", the mean of its {a.seeds} seeds," if len(a.by_seed) > 1 else ""
    text = f"{_capital(in_words(a.name))} scores {percent(mean_quality(a))}{each} {on}"
    if found is None or not found.computed:
        scored = f"{text}, {in_words(b.name)} {percent(mean_quality(b))}"
        return f"{scored}; that is too few for any certainty."
    return (
        f"{text}: {_ahead(found, in_words(b.name))}. With {stated_confidence(found)} confidence, "
        f"the true difference lies {_between(found)}."
    )


def mean_quality(one: ContenderResult) -> float:
    """The mean over the seeds, which is what comparisons are about."""
    return fmean(one.by_seed.values()) if one.by_seed else one.quality.value


def _ahead(found: Comparison, other: str) -> str:
    size = amount(found.delta)
    if not float(size):
        return f"the same as {other}"
    unit = "point" if size == "1.0" else "points"
    return f"{size} {unit} {'more' if found.delta > 0 else 'less'} than {other}"


def _between(found: Comparison) -> str:
    """Where a difference lies, in words."""
    if found.low > 0:
        return f"between {amount(found.low)} and {amount(found.high)} points in its favour"
    if found.high < 0:
        return f"between {amount(found.high)} and {amount(found.low)} points against it"
    return (
        f"between {amount(found.low)} points against it and {amount(found.high)} points in its "
        "favour"
    )


def _request(run: Run) -> str:
    """What a request to the trained one takes, held against the best that needs no training."""
    one, other = run.challenger, run.rival
    if run.finding == "nothing_learned" or one is None or other is None:
        return ""
    parts: list[str] = []
    if one.tokens and other.tokens:
        mine, theirs = one.tokens.total, other.tokens.total
        parts.append(
            f"{mean_tokens(mine)} tokens instead of {mean_tokens(theirs)}"
            f"{how_many_times(mine, theirs, 'fewer', 'more')}"
        )
    if one.latency and other.latency:
        mine, theirs = one.latency.p50, other.latency.p50
        parts.append(
            f"{milliseconds(mine)} instead of {milliseconds(theirs)}"
            f"{how_many_times(mine, theirs, 'faster', 'slower')}"
        )
    if not parts:
        return ""
    text = f"A request to {one.name} takes {', and '.join(parts)}"
    if one.cost and other.cost:
        mine, theirs = (cash(c.per_1000_requests, c.currency) for c in (one.cost, other.cost))
        return f"{text}; 1,000 cost {mine} instead of {theirs}."
    return f"{text}; what that costs was not measured (no [prices])."


def _takes_less(run: Run) -> bool:
    """Whether a request to the trained one takes fewer tokens, and no longer."""
    one, other = run.challenger, run.rival
    if one is None or other is None or one.tokens is None or other.tokens is None:
        return False
    slower = bool(one.latency and other.latency and one.latency.p50 > other.latency.p50)
    return one.tokens.total <= LESS * other.tokens.total and not slower


def _training_took(run: Run) -> str:
    seconds = run.challenger.fit.seconds if run.challenger else None
    return "" if seconds is None else f" (trained in {duration(seconds)} on this machine)"


def _capital(text: str) -> str:
    return text if built_in(text.split(" ")[0]) else text[:1].upper() + text[1:]
