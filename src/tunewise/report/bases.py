"""Which of several base models is the smallest that is good enough, for terminal and page."""

from dataclasses import dataclass

from tunewise.decision.bases import bases_sentence
from tunewise.runs.schema import Run
from tunewise.wording import percent, points, rough, whole_percent


@dataclass(frozen=True, kw_only=True, slots=True)
class BaseRow:
    """One base as the page shows it."""

    name: str
    weights: str
    """In millions."""
    contender: str
    quality: str
    """Of the seed that ships."""
    difference: str
    bound: str
    """Empty where nothing could be compared."""
    said: str
    """Whether it is good enough, or what is missing."""
    smallest: bool


def base_sentence(run: Run) -> str:
    """The smallest that is good enough, or why none is named; empty where there is one base."""
    return bases_sentence(run.bases, minimum_gain=run.decision.minimum_gain)


def base_rows(run: Run) -> list[BaseRow]:
    """Every base, the smallest first."""
    rows: list[BaseRow] = []
    for one in run.bases:
        found = run.contender(one.contender)
        rows.append(
            BaseRow(
                name=one.base,
                weights=rough(one.parameters / 1e6),
                contender=one.contender or "",
                quality=percent(found.quality.value) if found else "",
                difference=f"{points(one.delta)} to {one.rival}" if one.delta is not None else "",
                bound=f"at least {points(one.low)}, {whole_percent(one.confidence)} confidence"
                if one.low is not None
                else "",
                said="yes" if one.good_enough else f"not shown: {one.why}",
                smallest=one.base == run.smallest_base,
            )
        )
    return rows
