"""Holds a judge to what a person said of the same pairs, and corrects what it says by that.

Ratings and judgements in, a record out; nobody is asked anything.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from tunewise.evaluation.dependability import counted
from tunewise.runs.dependability import Counted
from tunewise.runs.judged import (
    WANTED,
    Agreement,
    Judgement,
    JudgeResult,
    Lean,
    Preference,
)
from tunewise.runs.pairs import Pairs
from tunewise.statistics.clusters import cluster_difference
from tunewise.statistics.intervals import FloatArray, IntArray, Interval, too_few
from tunewise.statistics.jackknife import jackknife, jackknife_difference, jackknife_mean
from tunewise.statistics.paired import rows_of
from tunewise.statistics.ppi import Corrected, Guessed, corrected_mean
from tunewise.wording import count, percent, percent_span, plural

ERROR = 0.05
"""Of the interval of an agreement, two-sided, shared by all judges that were tried."""


def wanted_of(pairs: Pairs) -> int:
    """Pairs to be rated before a judge is believed: 100, or all where there are fewer."""
    return min(WANTED, len(pairs.open))


@dataclass(frozen=True, kw_only=True)
class Said:
    """What was said of one run's pairs."""

    pairs: Pairs
    ratings: Mapping[str, float]
    """Example id -> 1 (a is better), 0 or −1, by the person."""
    judgements: Mapping[str, Judgement]
    """Example id -> what the judge said."""
    skipped: int = 0
    """Pairs that the person looked at and did not rate."""
    tried: int = 1
    """Judges that were tried on these pairs."""

    def units(self, ids: Sequence[str]) -> list[str]:
        """The unit of each row, by name."""
        units = self.pairs.units
        everybody = [*(pair.row.id for pair in self.pairs.open), *self.pairs.settled]
        known = dict(zip(everybody, units, strict=True)) if units else {}
        return [known.get(name) or f"alone {name}" for name in ids]

    def codes(self, ids: Sequence[str]) -> IntArray | None:
        """Numbers of the units; None where every row stands alone."""
        return rows_of(len(ids), binary=False, groups=self.units(ids)).codes


def agreement_of(said: Said) -> Agreement | None:
    """How far the judge says what the person says; None where no pair has both."""
    ids = [name for name in said.ratings if name in said.judgements]
    if not ids:
        return None
    person = np.array([said.ratings[name] for name in ids])
    judge = np.array([said.judgements[name].value for name in ids])
    units = said.units(ids)
    interval = _beyond_chance(person, judge, said.codes(ids), confidence=1.0 - ERROR / said.tried)
    decided = (person != 0.0) & (judge != 0.0)
    everything = np.arange(len(ids), dtype=np.int64)
    return Agreement(
        same=_counted((person == judge).tolist(), units),
        of=len(ids),
        by_chance=_chance(person, judge, everything),
        beyond=_excess(person, judge, everything),
        beyond_low=interval and interval.low,
        beyond_high=interval and interval.high,
        right=_counted(
            (person == judge)[decided].tolist(),
            [unit for unit, one in zip(units, decided, strict=True) if one],
        ),
        decided=int(decided.sum()),
    )


def _counted(yes: Sequence[bool], units: Sequence[str]) -> Counted:
    return counted(yes, units) if yes else Counted(count=0, method="there are none")


def _chance(person: FloatArray, judge: FloatArray, rows: IntArray) -> float:
    """How often two who know nothing of each other would say the same (Cohen 1960)."""
    return sum(
        float((person[rows] == value).mean()) * float((judge[rows] == value).mean())
        for value in (-1.0, 0.0, 1.0)
    )


def _excess(person: FloatArray, judge: FloatArray, rows: IntArray) -> float:
    """Agreement beyond chance; above 0 exactly where Cohen's kappa is."""
    return float((person[rows] == judge[rows]).mean()) - _chance(person, judge, rows)


def _beyond_chance(
    person: FloatArray, judge: FloatArray, codes: IntArray | None, *, confidence: float
) -> Interval | None:
    if too_few(person.size, None if codes is None else int(codes.max()) + 1) is not None:
        return None
    made = jackknife(lambda rows: _excess(person, judge, rows), person.size)
    if codes is None:
        return jackknife_difference(made, confidence=confidence)
    return cluster_difference(made.pseudo_values, codes, confidence=confidence, value=made.value)


def result_of(
    said: Said, *, judge: str, name: str, criteria: Sequence[str], notes: Sequence[str] = ()
) -> JudgeResult:
    """What comes of a judge: believed and corrected, or refused with the reason.

    Args:
        said: by the person and the judge.
        judge: the hash that its judgements carry.
        name: its model.
        criteria: their names.
        notes: what else a reader should know.
    """
    pairs, judgements = said.pairs, [*said.judgements.values()]
    agreement = agreement_of(said)
    refused = _refusal(said, agreement)
    guessed = _guessed(said)
    alone = corrected_mean(guessed, power=0.0)
    corrected = None if refused else corrected_mean(guessed)
    believed = corrected if isinstance(corrected, Corrected) else None
    units = said.units([one.example_id for one in judgements])
    return JudgeResult(
        judge=name,
        id=judge,
        criteria=tuple(criteria),
        a=pairs.a,
        b=pairs.b,
        rows=pairs.rows,
        settled=len(pairs.settled),
        judged=len(judgements),
        unreadable=sum(one.unreadable for one in judgements),
        rated=len(said.ratings),
        wanted=wanted_of(pairs),
        skipped=said.skipped,
        tried=said.tried,
        flips=_counted([one.flipped for one in judgements], units),
        first=sum(one.flipped and one.a_first == "first" for one in judgements),
        position_bias=_lean(judgements, said),
        agreement=agreement,
        refused=refused,
        power=believed and believed.power,
        corrected=believed and _preference(believed.interval),
        person=(
            _preference(alone.interval)
            if isinstance(alone, Corrected)
            else Preference(value=alone.value, method=alone.reason)
            if said.ratings
            else None
        ),
        worth=_worth(said, believed, alone if isinstance(alone, Corrected) else None),
        notes=tuple(notes),
    )


def _guessed(said: Said) -> Guessed:
    """The open pairs with what both say; a pair that the judge did not judge is a tie to it."""
    ids = [pair.row.id for pair in said.pairs.open]
    judged = said.judgements
    return Guessed(
        guesses=np.array([judged[n].value if n in judged else 0.0 for n in ids], dtype=np.float64),
        truths=np.array([said.ratings.get(n, np.nan) for n in ids], dtype=np.float64),
        settled=np.array([*said.pairs.settled.values()], dtype=np.float64),
        codes=said.codes([*ids, *said.pairs.settled]),
    )


def _lean(judgements: Sequence[Judgement], said: Said) -> Lean | None:
    """Flips towards the first place less those towards the second, as a share of all pairs."""
    codes = said.codes([one.example_id for one in judgements])
    if too_few(len(judgements), None if codes is None else int(codes.max()) + 1) is not None:
        return None
    leans = np.array(
        [one.flipped * (1.0 if one.a_first == "first" else -1.0) for one in judgements]
    )
    found = (
        jackknife_difference(jackknife_mean(leans))
        if codes is None
        else cluster_difference(leans, codes)
    )
    return Lean(value=found.value, low=found.low, high=found.high)


def _refusal(said: Said, agreement: Agreement | None) -> str | None:
    """Why the judge is not believed; None where its agreement is shown to be beyond chance."""
    rated, wanted = len(said.ratings), wanted_of(said.pairs)
    if rated < wanted:
        return (
            f"{count(rated)} of the {plural(wanted, 'pair')} that are wanted are rated. "
            "Go on with `tunewise rate RUN`."
        )
    if agreement is None:
        return "it judged no pair that is rated."
    if agreement.beyond_low is None:
        return f"{plural(agreement.of, 'rated pair')} are too few to tell what a judge is worth."
    if agreement.beyond_low > 0.0:
        return None
    same = f"{count(agreement.same.count)} of {count(agreement.of)} pairs"
    if agreement.same.low is not None and agreement.same.high is not None:
        same += f" ({percent_span(agreement.same.low, agreement.same.high)}%)"
    return (
        f"it says what you say of {same}, and by chance alone it would of "
        f"{percent(agreement.by_chance)}: it is not shown to know better than chance."
    )


def _preference(interval: Interval) -> Preference:
    return Preference(
        value=interval.value, low=interval.low, high=interval.high, method=interval.method
    )


def _worth(said: Said, believed: Corrected | None, alone: Corrected | None) -> float | None:
    """Ratings that alone would have made the interval as narrow as the judge made it."""
    if believed is None or alone is None:
        return None
    widths = [one.interval.high - one.interval.low for one in (alone, believed)]
    return len(said.ratings) * max(1.0, (widths[0] / widths[1]) ** 2)
