"""How dependable the two final contenders are, in words and counts, for terminal and page."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tunewise.report import plots
from tunewise.report.figures import role_of
from tunewise.report.pictures import Plot, both
from tunewise.runs.dependability import Counted, Dependability, Steadiness
from tunewise.runs.schema import Run
from tunewise.wording import count, joined, percent, percent_span, significant

PLAIN = "as they stand"


@dataclass(frozen=True, kw_only=True, slots=True)
class DependableRow:
    """One contender asked in one way."""

    contender: str
    role: plots.Role
    way: str
    kept: str
    kept_interval: str
    broken: str
    broken_interval: str
    quality: str


def ways(one: Dependability) -> Iterator[tuple[str, Steadiness]]:
    """The ways in which a contender was asked again, in words."""
    named = {
        "typed with slips": one.slips,
        "other case and spacing": one.case,
        f"sampled {one.draws} times at {significant(one.temperature)}": one.sampled,
    }
    yield from ((way, found) for way, found in named.items() if found is not None)


def dependable_lines(run: Run) -> list[str]:
    """A line a contender: how often its answer stays, and how often its form breaks."""
    lines: list[str] = []
    for one in run.dependability:
        asked = dict(ways(one))
        if not asked:
            continue
        kept = [f"{_of(s.kept, s)} {way}" for way, s in asked.items()]
        broken = sum(s.broken.count for s in asked.values())
        answers = sum(s.answers for s in asked.values())
        lines.append(
            f"{one.contender}, asked again: the same answer to {joined(kept)}; "
            f"{count(broken)} of these {count(answers)} answers break the form."
        )
    return lines


def dependable_rows(run: Run) -> list[DependableRow]:
    """A row for each contender and way."""
    return [
        DependableRow(
            contender=one.contender,
            role=role_of(run, one.contender),
            way=way,
            kept="" if way == PLAIN else _of(found.kept, found),
            kept_interval="" if way == PLAIN else _interval(found.kept),
            broken=_of(found.broken, found),
            broken_interval=_interval(found.broken),
            quality=percent(found.quality),
        )
        for one in run.dependability
        for way, found in [(PLAIN, one.plain), *ways(one)]
    ]


def dependable_forms(run: Run) -> str:
    """`an answer that names one of the labels`: what the form is, of all contenders alike."""
    return run.dependability[0].form if run.dependability else ""


def dependable_plot(run: Run) -> Plot | None:
    """The share of answers that stay, by way and contender; None where nothing was measured."""
    rows = [
        plots.IntervalRow(
            label=f"{one.contender}, {way}",
            value=100 * found.kept.count / found.answers,
            low=100 * (0.0 if found.kept.low is None else found.kept.low),
            high=100 * (1.0 if found.kept.high is None else found.kept.high),
            text=f"{_of(found.kept, found)} ({_interval(found.kept)})",
            role=role_of(run, one.contender),
        )
        for way, pairs in _by_way(run.dependability)
        for one, found in pairs
    ]
    if not rows:
        return None
    return both(
        lambda width: plots.shares(
            rows, title="How often the answer stays", unit="% of answers", width=width
        )
    )


def _by_way(
    found: Sequence[Dependability],
) -> list[tuple[str, list[tuple[Dependability, Steadiness]]]]:
    """The contenders of each way beside each other."""
    grouped: dict[str, list[tuple[Dependability, Steadiness]]] = {}
    for one in found:
        for way, steadiness in ways(one):
            grouped.setdefault(way, []).append((one, steadiness))
    return list(grouped.items())


def _of(counted: Counted, found: Steadiness) -> str:
    return f"{count(counted.count)} of {count(found.answers)}"


def _interval(counted: Counted) -> str:
    if counted.low is None or counted.high is None:
        return "no interval"
    return percent_span(counted.low, counted.high)
