"""What each rule says: a case already decided in, a Verdict with its sentences out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from tunewise.decision.comparisons import Bench
from tunewise.project.contenders import CONSTANT
from tunewise.statistics.distributions import normal_quantile
from tunewise.statistics.intervals import MINIMUM_GROUPS, MINIMUM_ROWS, Interval
from tunewise.statistics.power import further_rows
from tunewise.types import Comparison, Constraint, Rule, Verdict
from tunewise.wording import Wording, about, in_points, joined

FAR_MORE = 10
"""So many times the test examples there are is no advice to label more."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Shortfall:
    """A condition of rule 1 that the challenger misses."""

    kind: Literal["advantage", "seeds_left_out", "seeds_behind", "rivals", "constant", "constraint"]
    """`advantage`: over the incumbent, too small or not shown; what more test rows may settle."""
    text: str
    """For a person, as a part of a sentence: `it is not shown to beat constant`."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Case:
    """What the rules look at, and what every verdict carries."""

    bench: Bench
    comparisons: tuple[Comparison, ...]
    constraints: tuple[Constraint, ...]
    minimum_gain: float
    wording: Wording
    retention: Mapping[str, str]
    """`retained`, `broken` or `not shown` per trained contender; empty when not measured."""
    unused_test: int = 0
    """Test examples that are labelled already and were left out of this run."""

    def beats_constant(self, name: str) -> bool:
        """Whether a contender is shown to be better than the answer that ignores the input."""
        return name in self.bench.candidates and any(
            one.met
            for one in self.constraints
            if one.name == "beats_constant" and one.contender == name
        )

    def broken(self, name: str) -> list[Constraint]:
        """The demands that a contender does not meet, apart from beating `constant`."""
        return [
            one
            for one in self.constraints
            if one.contender == name and not one.met and one.name != "beats_constant"
        ]

    def quality(self, name: str) -> str:
        """`answers 90.8% of 120 test examples right (84.2–95.3)`."""
        one = self.bench.contenders[name]
        seeds = {seed: one.quality(seed) for seed in one.scores}
        return self.wording.quality(self.bench.quality(name), seeds)

    def advantage(self, a: str, b: str) -> str:
        """`17.5 points more than few_shot (+8.1 to +26.9)`."""
        return self.wording.advantage(self.bench.difference(a, b), b)


def worth_more(case: Case, challenger: str, incumbent: str) -> Verdict:
    """Rule 1: training is worth it."""
    forgotten = (
        ["That it kept its general ability was not shown."]
        if case.retention.get(challenger) == "not shown"
        else []
    )
    seeds = len(case.bench.contenders[challenger].scores)
    return _verdict(
        case,
        "worth_more",
        outcome=challenger,
        recommended=challenger,
        sentences=[
            _headline(challenger),
            *forgotten,
            f"It {case.quality(challenger)}, {case.advantage(challenger, incumbent)}.",
            f"Each of its {seeds} seeds is ahead." if seeds > 1 else "",
        ],
    )


def cheaper(case: Case, challenger: str, incumbent: str, saving: str) -> Verdict:
    """Rule 2: as good, and it saves money."""
    forgotten = (
        ["That it kept its general ability was not shown."]
        if case.retention.get(challenger) == "not shown"
        else []
    )
    return _verdict(
        case,
        "cheaper",
        outcome=challenger,
        recommended=challenger,
        sentences=[
            f"{_headline(challenger)[:-1]}, because it is cheaper.",
            *forgotten,
            f"It {case.quality(challenger)}, {case.advantage(challenger, incumbent)}, "
            f"and saves {saving}.",
        ],
    )


def not_worth_it(case: Case, challenger: str, other: str) -> Verdict:
    """Rule 3: whatever training gains over `other` is less than it is worth."""
    found = case.bench.difference(challenger, other)
    gain = in_points(case.minimum_gain)
    if isinstance(found, Interval) and found.high < 0.0:
        why = f"{other} is better"
    elif found.value <= 0.0:
        why = f"{other} is as good"
    else:
        why = f"it gains less than {gain}"
    incumbent = case.bench.plan.incumbent
    surprise = (
        f"Dev had named {incumbent}, from which {challenger} does not differ clearly."
        if incumbent not in (None, other)
        else ""
    )
    broken = [
        f"Note that {other} does not meet {one.name}: {one.detail}." for one in case.broken(other)
    ]
    return _verdict(
        case,
        "not_worth_it",
        outcome=other,
        recommended=other,
        sentences=[
            f"Do not fine-tune: {why}.",
            f"{other} {case.quality(other)}; {challenger} scores "
            f"{case.advantage(challenger, other)}, and {gain} would be worth a training.",
            surprise,
            *broken,
        ],
    )


def nothing_learned(case: Case, challenger: str) -> Verdict:
    """Rule 5: no contender is shown to beat the answer that ignores the input."""
    bench = case.bench
    best = max(bench.candidates, key=lambda name: bench.samples[name].value, default=challenger)
    needed = _needed(case, best, CONSTANT)
    hope = bench.samples[best].value - bench.samples[CONSTANT].value >= case.minimum_gain
    return _verdict(
        case,
        "nothing_learned",
        outcome="undecided",
        recommended=None,
        sentences=[
            "Undecided: nothing beats constant, the best answer that ignores the input.",
            "The examples do not teach anything that held-out examples confirm.",
            f"The best of the others, {best}, {case.quality(best)}, "
            f"{case.advantage(best, CONSTANT)}.",
            "Check whether the answers belong to their inputs"
            + (f", or {_label(case, about(needed))}." if needed and hope else "."),
        ],
        examples_needed=needed if hope else None,
    )


def cannot_tell(
    case: Case, challenger: str, incumbent: str, primary: Interval, shortfalls: Sequence[Shortfall]
) -> Verdict:
    """Rule 4: the numbers support neither advice."""
    gain = case.minimum_gain
    unsettled = [
        name
        for name, one in case.bench.contenders.items()
        if name in case.bench.candidates
        and not one.trained
        and not case.bench.beats(challenger, name)
    ]
    if primary.value < gain - 1e-12 or primary.low <= 0.0:
        unsettled = [incumbent]
    plans = [_needed(case, challenger, name) for name in unsettled]
    needed = max((rows for rows in plans if rows is not None), default=None)
    obstacles = [one.text for one in shortfalls if one.kind != "advantage"]
    if needed is not None and needed > FAR_MORE * case.bench.rows.n:
        headline = (
            "Cannot tell: the difference lies too close to what would be worth a training. Only "
            f"about {about(needed):,} more test examples would settle it."
        )
    elif needed is not None:
        headline = f"Cannot tell yet: {_label(case, about(needed))}."
    elif unsettled:
        headline = "Cannot tell, and more test examples are unlikely to change that."
    else:
        headline = f"Undecided: {challenger} is better, but {joined(obstacles)}."
        obstacles = []
    return _verdict(
        case,
        "cannot_tell",
        outcome="undecided",
        recommended=_meanwhile(case, incumbent),
        sentences=[
            headline,
            f"{challenger} {case.quality(challenger)}, {case.advantage(challenger, incumbent)}; "
            f"{in_points(gain)} would be worth a training.",
            f"Besides, {joined(obstacles)}." if obstacles else "",
            _until_then(case, incumbent),
        ],
        examples_needed=needed,
    )


def too_small(case: Case) -> Verdict:
    """Rule 4 where no interval can be computed at all."""
    rows = case.bench.rows
    incumbent = case.bench.plan.incumbent
    missing = (
        _label(case, MINIMUM_ROWS - rows.n, "at least")
        if rows.n < MINIMUM_ROWS
        else f"label examples of at least {MINIMUM_GROUPS - rows.group_count} more groups"
    )
    return _verdict(
        case,
        "cannot_tell",
        outcome="undecided",
        recommended=_meanwhile(case, incumbent),
        sentences=[
            f"Cannot tell yet: the test split has {rows.shortage}.",
            f"That is too little to compute anything from; {missing}.",
            _until_then(case, incumbent),
        ],
    )


def nothing_to_compare(case: Case) -> Verdict:
    """Rule 4 where no trained, or no untrained, contender ran."""
    plan = case.bench.plan
    absent = "trained contender" if plan.challenger is None else "contender without training"
    return _verdict(
        case,
        "cannot_tell",
        outcome="undecided",
        recommended=_meanwhile(case, plan.incumbent),
        sentences=[
            f"Undecided: no {absent} ran, so nothing says whether training is worth it.",
            *(
                f"{name} {case.quality(name)}."
                for name in (plan.incumbent, plan.challenger)
                if name is not None
            ),
            _until_then(case, plan.incumbent) if plan.challenger is None else "",
        ],
    )


def _label(case: Case, needed: int, how_many: str = "about") -> str:
    """What to do for so many more test examples: use rows that are there before labelling any."""
    if not case.unused_test:
        return f"label {how_many} {needed:,} more test examples"
    if case.unused_test >= needed:
        return (
            f"{how_many} {needed:,} more test examples are needed, and the labelled rows that "
            "this run left out hold them"
        )
    return (
        f"{how_many} {needed:,} more test examples are needed; use the labelled rows that this "
        f"run left out (about {case.unused_test:,} of them), and label the rest"
    )


def _headline(challenger: str) -> str:
    return "Fine-tune." if challenger == "fine_tune" else f"Fine-tune ({challenger})."


def _meanwhile(case: Case, incumbent: str | None) -> str | None:
    """What to use while undecided: nothing that is not ahead of ignoring the input.

    Shown to be ahead where intervals can be computed; on fewer rows its score has to be higher.
    """
    samples = case.bench.samples
    if incumbent == CONSTANT:
        return None
    if incumbent is None or CONSTANT not in samples:
        return incumbent
    ahead = case.beats_constant(incumbent)
    if case.bench.rows.shortage is not None:
        ahead = samples[incumbent].value > samples[CONSTANT].value
    return incumbent if ahead else None


def _until_then(case: Case, incumbent: str | None) -> str:
    if incumbent is None:
        return ""
    if _meanwhile(case, incumbent) is not None:
        if case.bench.rows.shortage is None or CONSTANT not in case.bench.samples:
            return f"Use {incumbent} meanwhile."
        return (
            f"So far {incumbent} scored highest without training; that it beats {CONSTANT}, the "
            "best answer that ignores the input, is not shown on so few."
        )
    known = f"{CONSTANT}, the best answer that ignores the input"
    if incumbent == CONSTANT:
        return f"Nothing is worth using yet: on dev no contender without training beat {known}."
    return f"Nothing is worth using yet: {incumbent} is not shown to beat {known}."


def _needed(case: Case, a: str, b: str) -> int | None:
    """Further test examples at 80% power, from the width of the interval found."""
    found, n = case.bench.difference(a, b), case.bench.rows.n
    if not isinstance(found, Interval):
        return None
    # The half-width holds discordance and design effect alike, whatever the method was.
    reach = normal_quantile((1.0 + case.bench.confidence) / 2.0)
    error = (found.high - found.low) / (2.0 * reach)
    return further_rows(
        n,
        found.value,
        n * error**2 + found.value**2,
        minimum_gain=case.minimum_gain,
        confidence=case.bench.confidence,
    )


def _verdict(
    case: Case,
    rule: Rule,
    *,
    outcome: str,
    recommended: str | None,
    sentences: Sequence[str],
    examples_needed: int | None = None,
) -> Verdict:
    return Verdict(
        outcome=outcome,
        recommended=recommended,
        reason=" ".join(sentence for sentence in sentences if sentence),
        rule=rule,
        comparisons=case.comparisons,
        constraints=case.constraints,
        examples_needed=examples_needed,
    )
