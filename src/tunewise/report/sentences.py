"""Turns a run into the plain sentences that the terminal and the page share.

What would change the verdict follows the rule of the method in reverse: for each condition that
decided, the number at which it would decide otherwise.
"""

from tunewise.project.contenders import BUILT_IN
from tunewise.report.more_rows import label_more
from tunewise.runs.schema import ContenderResult, Run
from tunewise.types import Comparison, JsonValue
from tunewise.wording import (
    amount,
    by_seed,
    count,
    difference,
    mean_tokens,
    percent,
    points_span,
    setting,
    significant,
    threshold,
)

_MAX_HEADLINE = 110
"""Characters."""


def headline(run: Run) -> str:
    """The verdict in a few words: the first sentence of the reason, where that is short."""
    first, rest = _first_sentence(run.reason)
    if rest and len(first) <= _MAX_HEADLINE:
        return first
    name = run.recommended or run.outcome
    return {
        "worth_more": "Fine-tune.",
        "cheaper": "Fine-tune, because it is cheaper.",
        "not_worth_it": f"Do not fine-tune: use {name}.",
        "cannot_tell": "Cannot tell yet.",
        "nothing_learned": "Undecided: nothing beats an answer that ignores the input.",
    }[run.rule]


def lead(run: Run) -> str:
    """The reason, without the sentence that is the headline already."""
    first, rest = _first_sentence(run.reason)
    return rest if rest and len(first) <= _MAX_HEADLINE else run.reason


def _first_sentence(text: str) -> tuple[str, str]:
    first, _, rest = text.partition(". ")
    return (f"{first}." if rest else first), rest.strip()


def seeds(contender: ContenderResult) -> str | None:
    """`seeds 95.9%, 93.9%, 89.8%, mean 93.2%`; None where there is one."""
    return by_seed(contender.by_seed) if len(contender.by_seed) > 1 else None


def chose(contender: ContenderResult, *, longest: int = 28) -> str:
    """What a contender chose on dev, in one line; texts longer than `longest` are clipped."""
    return ", ".join(
        f"{name} {brief(value, longest=longest)}"
        for name, value in contender.fit.settings.items()
        if value is not None
    )


def brief(value: JsonValue, *, longest: int) -> str:
    """A setting as a short text."""
    if isinstance(value, bool):
        text = "yes" if value else "no"
    elif isinstance(value, float):
        text = significant(value)
    elif isinstance(value, str | int) or value is None:
        text = "none" if value is None else str(value)
    elif isinstance(value, dict):
        text = ", ".join(f"{k} {brief(v, longest=longest)}" for k, v in value.items())
    else:
        text = ", ".join(brief(item, longest=longest) for item in value)
    text = " ".join(text.split())
    return text if len(text) <= longest else text[: longest - 1].rstrip() + "…"


def next_commands(run: Run) -> list[str]:
    """What to type next, most useful first."""
    return [f"tunewise report {run.folder} --open"]


def what_would_change(run: Run) -> list[str]:
    """The numbers at which this verdict would be another one, nearest condition first."""
    if run.rule == "nothing_learned":
        return _nothing_learned(run)
    primary, challenger, incumbent = run.primary, run.challenger, run.incumbent
    if primary is None or challenger is None or incumbent is None:
        return [*_without_challenger(run), *_unmet(run), _other_requests(run)]
    by_rule = {
        "worth_more": _worth_more,
        "cheaper": _cheaper,
        "not_worth_it": _not_worth_it,
        "cannot_tell": _cannot_tell,
    }
    return [
        *by_rule[run.rule](run, primary, challenger, incumbent),
        *_unmet(run),
        _other_requests(run),
    ]


def _worth_more(
    run: Run, primary: Comparison, challenger: ContenderResult, incumbent: ContenderResult
) -> list[str]:
    demands = run.decision
    # The rule asks the same distance to every contender without training.
    enough = min([primary.delta, *(gap for _, gap in _rivals(run, challenger, incumbent))])
    lines = [
        f"A larger gain demanded: {challenger.name} is ahead of {incumbent.name} by "
        f"{amount(primary.delta)} points ({points_span(primary.low, primary.high)}). With "
        f"`minimum_gain` above {threshold(enough)} (now {setting(demands.minimum_gain)}) the "
        f"verdict would be open, above {threshold(primary.high)} it would be {incumbent.name}."
    ]
    floor = demands.minimum_quality
    now = "none set" if floor is None else setting(floor)
    lines.append(
        f"A higher floor: `minimum_quality` above {threshold(challenger.quality.value)} "
        f"(now {now}) would exclude {challenger.name}."
    )
    if challenger.latency:
        limit = demands.maximum_latency_ms
        now = "none set" if limit is None else setting(limit)
        lines.append(
            f"A faster answer demanded: `maximum_latency_ms` below "
            f"{significant(challenger.latency.p50)} (now {now}) would exclude {challenger.name}."
        )
    if not run.retention:
        lines.append(
            "Forgetting: general ability was not measured in this run. A loss beyond what you "
            f"accept would exclude {challenger.name}."
        )
    return lines


def _cheaper(
    run: Run, primary: Comparison, challenger: ContenderResult, incumbent: ContenderResult
) -> list[str]:
    return [
        f"Quality: {challenger.name} was shown no worse than {incumbent.name} by your "
        f"`minimum_gain` of {amount(run.decision.minimum_gain)} points; the interval reaches down "
        f"to {points_span(primary.low, primary.high)}. A stricter limit would undo that.",
        "Prices and volume: the saving depends on them. Change [prices] or `monthly_requests` "
        "and run again; answers are kept.",
    ]


def _not_worth_it(
    run: Run, primary: Comparison, challenger: ContenderResult, incumbent: ContenderResult
) -> list[str]:
    gain = run.decision.minimum_gain
    if run.outcome != incumbent.name:
        lines = [
            f"Nothing about {incumbent.name}, which had been chosen beforehand on other rows: "
            f"{run.outcome} was shown better than {challenger.name} on the test examples, allowing "
            "for all comparisons made. It would take a training that is not behind it."
        ]
    elif primary.high <= 0:
        lines = [
            f"No choice of `minimum_gain` would: {challenger.name} is behind {incumbent.name} "
            f"over the whole interval, {difference(primary)}."
        ]
    else:
        lines = [
            f"A smaller gain that counts: {challenger.name} is at most {amount(primary.high)} "
            f"points ahead of {incumbent.name}, {difference(primary)}. With `minimum_gain` at or "
            f"below {threshold(primary.high)} (now {setting(gain)}) the verdict would be open."
        ]
    learned = f"{count(run.splits.train)} rows" if run.splits else "the training rows"
    lines.append(
        f"A better training: {challenger.name} learned from {learned}. More or cleaner rows may "
        "lift it" + ("." if run.learning_curve else "; by how much was not measured in this run.")
    )
    spent, spends = _request_tokens(challenger), _request_tokens(incumbent)
    if not run.economics and spent is not None and spends is not None and spent < 0.8 * spends:
        lines.append(
            f"Cost: {challenger.name} takes {mean_tokens(spent)} tokens a request, "
            f"{incumbent.name} {mean_tokens(spends)}. Prices took no part in this run; at a high "
            "volume they can make an equal quality worth a training."
        )
    return lines


def _cannot_tell(
    run: Run, primary: Comparison, challenger: ContenderResult, incumbent: ContenderResult
) -> list[str]:
    gain = run.decision.minimum_gain
    more = label_more(run)
    lines = [more] if more else []
    if not primary.computed:
        return [*lines, f"Enough rows to compute with: the difference was {primary.method}."]
    if primary.low <= 0:
        lines.append(
            f"A clearer difference: {challenger.name} against {incumbent.name} is "
            f"{difference(primary)}. To be recommended, the lower end must be above 0 and the "
            f"difference at least {amount(gain)} points; to be ruled out, the upper end must be "
            f"below {amount(gain)}."
        )
    elif primary.delta < gain:
        lines.append(
            f"A smaller gain that counts: {challenger.name} is ahead of {incumbent.name}, "
            f"{difference(primary)}, but by less than you asked. With `minimum_gain` at or below "
            f"{threshold(primary.delta)} (now {setting(gain)}) it would be recommended."
        )
    lines += [
        f"A wider lead over {other.name}, which needs no training and is "
        + (
            f"only {amount(gap)} points behind {challenger.name} on the test examples."
            if gap >= 0
            else f"{amount(gap)} points ahead of {challenger.name} on the test examples."
        )
        for other, gap in _rivals(run, challenger, incumbent)
        if gap < gain
    ]
    if run.plan.futile:
        lines.append(
            f"More seeds: {challenger.name} was trained once, because the rows set aside for "
            "choosing already showed no gain. "
            "One training can't be recommended."
        )
    return lines


def _rivals(
    run: Run, challenger: ContenderResult, incumbent: ContenderResult
) -> list[tuple[ContenderResult, float]]:
    """The other contenders without training, each with the challenger's lead over it."""
    return [
        (other, challenger.quality.value - other.quality.value)
        for other in run.measured
        if not (other.trained or other.ceiling) and other.name not in (incumbent.name, "constant")
    ]


def _nothing_learned(run: Run) -> list[str]:
    constant = run.contender("constant")
    best = max(
        (c for c in run.measured if c.name != "constant" and not c.ceiling),
        key=lambda c: c.quality.value,
        default=None,
    )
    lines: list[str] = []
    if constant and best:
        against = run.difference(best.name, "constant")
        gap = f", {difference(against)}" if against else ""
        lines.append(
            f"A contender shown to beat `constant`: answering the same whatever is asked scores "
            f"{percent(constant.quality.value)}, the best of the others, {best.name}, "
            f"{percent(best.quality.value)}{gap}."
        )
    return [
        *lines,
        "Answers that belong to their inputs: look at some rows of the examples. A column that "
        "slipped by one row looks just like this.",
        "Answers that can be known: let two people answer 30 of the inputs apart. Where they do "
        "not agree, no model can learn it.",
    ]


def _without_challenger(run: Run) -> list[str]:
    if run.plan.challenger is not None and run.plan.incumbent is None:
        return ["A contender without training: none was judged, so there is nothing to beat."]
    reasons = [
        f"{c.name}: {c.skipped}"
        for c in run.skipped
        if c.name in BUILT_IN and BUILT_IN[c.name].trained
    ]
    because = f" ({'; '.join(reasons)})" if reasons else ""
    return [
        f"A trained contender: none was judged in this run{because}, so it cannot say whether "
        "fine-tuning would do better."
    ]


def _unmet(run: Run) -> list[str]:
    concerned = {run.plan.challenger, run.plan.incumbent, run.recommended}
    return [
        f"`{item.name}` is not met by {item.contender}: {item.detail.rstrip('.')}."
        for item in run.constraints
        if not item.met and item.contender in concerned
    ]


def _other_requests(run: Run) -> str:
    return (
        f"Other requests: these numbers hold for requests like the {count(run.n_test)} test "
        "examples. When yours change, label new ones and run again."
    )


def _request_tokens(contender: ContenderResult) -> float | None:
    tokens = contender.tokens
    return tokens.prompt + tokens.completion if tokens else None


def what_was_measured(run: Run) -> list[tuple[str, str]]:
    """(what, how it was measured or that it was not), for everything a verdict could rest on."""
    uses = "once" if run.test_set_uses == 1 else f"{run.test_set_uses} times so far"
    timed = max((c.latency.n or 0 for c in run.measured if c.latency), default=0)
    trained = [c for c in run.measured if c.trained]
    missing = "not measured in this run"
    return [
        (
            "Quality",
            f"{run.metric} on {count(run.n_test)} sealed test examples, used {uses}; shown "
            "in percent of the best possible. A crashed answer counts as wrong.",
        ),
        (
            "Seeds",
            "; ".join(f"{c.name}: {c.seeds}" for c in trained) if trained else "nothing trained",
        ),
        *(
            [("Differences", run.primary.method)]
            if run.primary is not None and run.primary.method
            else []
        ),
        ("Tokens", "counted for each request with the model's own tokenizer"),
        (
            "Latency",
            f"{timed} test requests, one at a time, on a warm model" if timed else missing,
        ),
        ("Cost", brief(run.economics, longest=400) if run.economics else missing),
        (
            "Retention of general ability",
            brief(run.retention, longest=400) if run.retention else missing,
        ),
        (
            "Learning curve",
            brief(run.learning_curve, longest=400) if run.learning_curve else missing,
        ),
        *(("Note", note) for note in run.notes),
    ]
