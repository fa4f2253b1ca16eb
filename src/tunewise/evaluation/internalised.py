"""Holds a model that learned a prompt against that prompt: worth the same, or not shown to be.

Answers to test in, a record out. Nothing is chosen by it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from tunewise.decision.plan import Measured
from tunewise.evaluation.dependability import counted
from tunewise.metrics.readings import Reading
from tunewise.runs.internalised import Internalised
from tunewise.statistics.intervals import Interval
from tunewise.statistics.paired import difference, rows_of
from tunewise.types import Answer

ERROR = 0.05
"""One-sided error of each of the two tests (Schuirmann 1987)."""


@dataclass(frozen=True, kw_only=True)
class OnTest:
    """One of the two, by the seed that ships."""

    measured: Measured
    seed: int
    answers: Sequence[Answer]
    """In test order."""

    @property
    def tokens(self) -> float:
        """Mean tokens of a request."""
        return fmean(answer.usage.total for answer in self.answers)


def measure_internalised(
    student: OnTest,
    teacher: OnTest,
    *,
    units: Sequence[str | None],
    binary: bool,
    reading: Reading,
    margin: float,
) -> Internalised:
    """Equivalence by two one-sided tests, agreement, and the tokens that are saved.

    Args:
        student: asked with the input alone.
        teacher: asked with its prompt.
        units: (n,) the independent unit of each test row.
        binary: whether every score is 0 or 1 and quality their mean.
        reading: what is scored of an answer.
        margin: of quality, 0 to 1.
    """
    rows = rows_of(len(units), binary=binary, groups=units)
    one, other = (side.measured.sample(side.seed, rows) for side in (student, teacher))
    found = difference(one, other, rows, confidence=1.0 - 2.0 * ERROR)
    interval = found if isinstance(found, Interval) else None
    same = [
        _alike(a.text, b.text, reading)
        for a, b in zip(student.answers, teacher.answers, strict=True)
    ]
    names = [unit or f"alone {n}" for n, unit in enumerate(units)]
    return Internalised(
        name=student.measured.name,
        teacher=teacher.measured.name,
        margin=margin,
        delta=found.value,
        low=interval and interval.low,
        high=interval and interval.high,
        equivalent=interval is not None and -margin < interval.low and interval.high < margin,
        method=found.method if isinstance(found, Interval) else found.reason,
        answers=len(same),
        same=counted(same, names),
        tokens_saved=teacher.tokens - student.tokens,
        teacher_tokens=teacher.tokens,
    )


def _alike(one: str | None, other: str | None, reading: Reading) -> bool:
    """Whether the same is scored of both; of an answer that crashed nothing is."""
    if one is None or other is None:
        return False
    return reading.scored(one) == reading.scored(other)
