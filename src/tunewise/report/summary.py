"""Three plain sentences for the person who pays: what to do, how sure that is, what it costs next.

Says contenders in everyday words, each with its name in brackets. Decides nothing.
"""

from collections.abc import Callable
from dataclasses import dataclass

from tunewise.project.contenders import BUILT_IN
from tunewise.report.more_rows import rows_needed, use_unused
from tunewise.report.sentences import seeds
from tunewise.runs.schema import ContenderResult, Run
from tunewise.statistics.intervals import MINIMUM_ROWS
from tunewise.types import Comparison
from tunewise.wording import (
    about,
    amount,
    count,
    duration,
    in_points,
    mean_tokens,
    milliseconds,
    money,
    percent,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Summary:
    """One sentence each, or two short ones."""

    to_do: str
    sure: str
    """How sure that is, and on how many examples."""
    next: str
    """What it costs, or what to do next."""

    @property
    def sentences(self) -> tuple[str, str, str]:
        """In the order in which one reads them."""
        return (self.to_do, self.sure, self.next)


def summary(run: Run) -> Summary:
    """The three sentences of a run, for each way it can end."""
    by_rule: dict[str, Callable[[Run], Summary]] = {
        "worth_more": _worth_more,
        "cheaper": _cheaper,
        "not_worth_it": _not_worth_it,
        "cannot_tell": _cannot_tell,
        "nothing_learned": _nothing_learned,
    }
    return by_rule[run.rule](run)


def in_words(name: str) -> str:
    """`the fine-tuned model (fine_tune)`."""
    return f"{BUILT_IN[name].in_words} ({name})" if name in BUILT_IN else name


def _worth_more(run: Run) -> Summary:
    return Summary(
        to_do=f"Fine-tune: use {in_words(run.outcome)}; it is worth its training.",
        sure=_sure(run, run.outcome, run.plan.incumbent),
        next=_cost(run, run.outcome),
    )


def _cheaper(run: Run) -> Summary:
    other = in_words(run.plan.incumbent or "what needs no training")
    return Summary(
        to_do=f"Fine-tune: use {in_words(run.outcome)}; it is as good as {other}, and cheaper.",
        sure=_sure(run, run.outcome, run.plan.incumbent),
        next=_cost(run, run.outcome),
    )


def _not_worth_it(run: Run) -> Summary:
    found = _difference(run, run.plan.challenger, run.outcome)
    if found and found.high < 0:
        why = "is better than the best training tried"
    elif found and found.delta > 0:
        why = f"comes within {in_points(run.decision.minimum_gain)} of the best training tried"
    else:
        why = "is as good as the best training tried"
    return Summary(
        to_do=f"Do not fine-tune: use {in_words(run.outcome)}, which {why}.",
        sure=_sure(run, run.plan.challenger, run.outcome),
        next=f"No training has to be paid for. {_running(run, run.outcome)}".strip(),
    )


def _cannot_tell(run: Run) -> Summary:
    challenger, incumbent = run.challenger, run.incumbent
    meanwhile = (
        f"until then, use {in_words(run.recommended)}"
        if run.recommended and not _too_few(run)
        else "nothing tried is shown to help yet"
    )
    to_do = f"Do not decide yet: whether fine-tuning is worth it is open; {meanwhile}."
    if challenger is None or incumbent is None:
        ran = in_words((challenger or incumbent or run.contenders[0]).name)
        missing = "with training" if challenger is None else "without training"
        return Summary(
            to_do=to_do,
            sure=f"Nothing {missing} was measured beside {ran}, so there is nothing to compare.",
            next="Run again with both kinds in [contenders] use; the report says why one is "
            "missing.",
        )
    return Summary(
        to_do=to_do,
        sure=_sure(run, challenger.name, incumbent.name),
        next=_rows_next(run),
    )


def _too_few(run: Run) -> bool:
    """Whether nothing could be computed, so that no contender is shown to help."""
    return run.primary is not None and not run.primary.computed


def _rows_next(run: Run) -> str:
    needed = rows_needed(run)
    if needed is None:
        if _too_few(run):
            return f"Have at least {MINIMUM_ROWS} test examples, and run again."
        return (
            "More examples alone would not settle it; the full report says what stands in the way."
        )
    few = f"It takes about {count(about(needed.test_needed))} more test examples"
    unused = use_unused(run)
    first = f"first use the rows you have ({'; '.join(unused)})" if unused else ""
    if unused and needed.to_label == 0:
        return f"{few}: {first}; nothing has to be labelled."
    label = (
        "label them"
        if needed.to_label is None
        else f"label about {count(needed.to_label)} rows beyond the {count(needed.there)} there are"
    )
    return f"{few}: {first}, then {label}." if unused else f"{few}: {label}."


def _nothing_learned(run: Run) -> Summary:
    rivals = [c for c in run.measured if c.name != "constant" and not c.ceiling]
    best = max(rivals, key=_value, default=None)
    return Summary(
        to_do="Use none of these yet, and do not fine-tune: nothing tried is shown to be better "
        "than giving one fixed answer to everything.",
        sure=_sure(run, best.name if best else None, "constant"),
        next="Look first whether the answers in your file belong to their questions, and whether "
        "two people would give the same ones; label more only after that.",
    )


def _sure(run: Run, name: str | None, other: str | None) -> str:
    """What both score on how many examples, and between which ends the difference lies."""
    a, b = run.contender(name), run.contender(other)
    on = f"Measured on {count(run.n_test)} test examples that took no part in fitting"
    if a is None or b is None:
        return f"{on}."
    text = f"{on}, {in_words(a.name)} scores {_scored(a)} and {in_words(b.name)} {_scored(b)}"
    found = _difference(run, a.name, b.name)
    if found is None or not found.computed:
        return f"{text}; that is too few for any certainty."
    return f"{text}; the true difference lies {_between(found)}, with at least 95% confidence."


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


def _scored(contender: ContenderResult) -> str:
    each = seeds(contender)
    return percent(contender.quality.value) + (f" ({each})" if each else "")


def _cost(run: Run, name: str) -> str:
    """What a training came to, and what a request takes."""
    one = run.contender(name)
    text = ""
    if one and one.fit.seconds is not None:
        text = f"The training took {duration(one.fit.seconds)} on this machine. "
    return f"{text}{_running(run, name)}".strip()


def _running(run: Run, name: str) -> str:
    one = run.contender(name)
    if one is None:
        return ""
    parts: list[str] = []
    if one.tokens:
        parts.append(f"{mean_tokens(one.tokens.prompt + one.tokens.completion)} tokens")
    if one.latency:
        parts.append(milliseconds(one.latency.p50))
    text = f"One request takes {' and '.join(parts)}" if parts else ""
    if one.cost is not None:
        price = money(one.cost.per_1000_requests, one.cost.currency)
        return f"{text}; 1,000 cost {price}." if text else f"1,000 requests cost {price}."
    unpriced = "what that costs in money was not measured (no [prices] given)"
    return f"{text}; {unpriced}." if text else ""


def _difference(run: Run, a: str | None, b: str | None) -> Comparison | None:
    return run.difference(a, b) if a and b else None


def _value(contender: ContenderResult) -> float:
    return contender.quality.value
