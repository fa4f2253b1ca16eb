"""What a page shows of the general ability that a training cost: numbers, a table, a plot."""

from collections.abc import Sequence
from dataclasses import dataclass

from tunewise.report.drawing import (
    Box,
    Scale,
    begin_svg,
    draw_box,
    draw_grid,
    draw_line,
    draw_text,
    finish_svg,
    ticks,
    widest,
)
from tunewise.report.pictures import Plot, both
from tunewise.runs.retention import AbilityKept, Estimate, RetentionResult
from tunewise.runs.schema import Run
from tunewise.wording import (
    MINUS,
    count,
    joined,
    percent,
    percent_span,
    plural,
    points,
    points_span,
    setting,
    significant,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class AbilityRow:
    """One line of the table."""

    ability: str
    items: str
    before: str
    after: str
    lost: str
    won: str
    change: str
    note: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Forgotten:
    """What the page shows of one trained contender."""

    name: str
    sentence: str
    facts: tuple[tuple[str, str], ...]
    rows: tuple[AbilityRow, ...]
    frontier: tuple[tuple[str, str, str, bool], ...]
    """Adapter, quality on dev, change of general ability, whether it was taken; if repaired."""
    trained_again: bool
    """Whether weakening was not enough, so that it was also trained in other ways."""
    worst: str
    """The kinds that lost most, in a sentence; empty where none lost."""
    plot: Plot


def forgotten(run: Run) -> list[Forgotten]:
    """What the page shows, of every contender that was measured."""
    return [
        Forgotten(
            name=name,
            sentence=found.kept.sentence,
            facts=_facts(found),
            rows=tuple(map(_row, found.abilities)),
            frontier=_frontier(found),
            trained_again=found.repair is not None and any(p.way for p in found.repair.frontier),
            worst=_worst(found),
            plot=both(lambda width, found=found: flips_plot(found.abilities, width=width)),
        )
        for name, found in run.retention.items()
    ]


def _frontier(found: RetentionResult) -> tuple[tuple[str, str, str, bool], ...]:
    if found.repair is None:
        return ()
    return tuple(
        (
            f"trained again {point.way}" if point.way else f"at {setting(point.scale)}",
            percent(point.dev),
            "not asked" if point.change is None else _points(point.change),
            found.repair.is_taken(point),
        )
        for point in found.repair.frontier
    )


def _facts(found: RetentionResult) -> tuple[tuple[str, str], ...]:
    facts = [
        (
            "right before and after",
            f"{percent(found.before)} and {percent(found.after)} of {count(found.items)} items; "
            f"guessing gets {percent(found.floor)}",
        ),
        ("change", _points(found.change)),
    ]
    if found.lost_share is not None:
        facts.append(
            (
                "of what was right, lost",
                f"{percent(found.lost_share.value)}{_span(found.lost_share)}",
            )
        )
    if found.likelihood is not None:
        facts.append(("probability of the right choice", f"{_points(found.likelihood)} of 100"))
    if found.same_answers is not None:
        facts.append(
            (
                "answers like the base's, letter by letter",
                f"{percent(found.same_answers.value)}{_span(found.same_answers)}",
            )
        )
    if found.drift is not None:
        one = found.drift
        facts.append(
            (
                "drift on texts of the base",
                f"{significant(one.divergence)} nats a token ({significant(one.low)} to "
                f"{significant(one.high)}), {plural(one.texts, 'text')}",
            )
        )
    return tuple(facts)


def _points(found: Estimate) -> str:
    if found.low is None or found.high is None:
        return f"{points(found.value)} points"
    return f"{points(found.value)} points ({points_span(found.low, found.high)})"


def _span(found: Estimate) -> str:
    if found.low is None or found.high is None:
        return ""
    return f" ({percent_span(found.low, found.high)})"


def _row(one: AbilityKept) -> AbilityRow:
    return AbilityRow(
        ability=one.ability,
        items=count(one.items),
        before=percent(one.before),
        after=percent(one.after),
        lost=count(one.lost),
        won=count(one.won),
        change=_points(one.change),
        note=f"little to forget: guessing gets {percent(one.floor)}"
        if one.little_to_forget
        else "",
    )


def _worst(found: RetentionResult) -> str:
    worst = [one for one in found.kinds if one.lost > one.won][:3]
    if not worst:
        return ""
    named = [f"{one.kind} ({count(one.lost)} of {count(one.right)} lost)" for one in worst]
    return f"Most was lost in {joined(named)}."


def flips_plot(abilities: Sequence[AbilityKept], *, width: int) -> str:
    """Answers that turned, in percent of each ability's items: lost to the left, won to the right.

    Args:
        abilities: at least one.
        width: in user units.
    """
    stacked = width < 600
    lost = [100 * one.lost / one.items for one in abilities]
    won = [100 * one.won / one.items for one in abilities]
    marks = ticks(-max([*lost, 1.0]), max([*won, 1.0]), at_most=5 if stacked else 9)
    texts = [f"{MINUS}{one.lost} +{one.won} of {one.items}" for one in abilities]
    name_width = widest([one.ability for one in abilities])
    left, right = (20.0, width - 20.0) if stacked else (name_width + 18, width - widest(texts) - 18)
    scale = Scale(marks[0], marks[-1], left, right)
    row_height, top = (44.0 if stacked else 30.0), 12.0
    bottom = top + row_height * len(abilities)
    svg = begin_svg(
        width,
        bottom + 46,
        title="Answers lost and won, by ability",
        description="; ".join(
            f"{one.ability}: {one.lost} lost and {one.won} won of {one.items}" for one in abilities
        ),
    )
    middles = [
        top + row_height * n + (31 if stacked else row_height / 2) for n in range(len(abilities))
    ]
    bands = [(y - 9, y + 9) for y in middles] if stacked else [(top - 6, bottom)]
    draw_grid(svg, scale, marks, bands, bottom, signed=True)
    for start, end in bands:
        draw_line(svg, scale(0), start, scale(0), end, "zero")
    for n, (y, one) in enumerate(zip(middles, abilities, strict=True)):
        if stacked:
            draw_text(svg, one.ability, 4, y - 14, "name", "start")
            draw_text(svg, texts[n], width - 4, y - 14, "number", "end")
        else:
            draw_text(svg, one.ability, left - 12, y + 4.5, "name", "end")
            draw_text(svg, texts[n], width - 2, y + 4.5, "number", "end")
        if one.lost:
            draw_box(svg, Box(scale(-lost[n]), y - 6, scale(0), y + 6), "incumbent")
        if one.won:
            draw_box(svg, Box(scale(0), y - 6, scale(won[n]), y + 6), "challenger")
    draw_text(svg, "← lost, % of the items", left, bottom + 40, "small", "start")
    draw_text(svg, "won →", right, bottom + 40, "small", "end")
    return finish_svg(svg)
