"""Says what more test rows would do for an open verdict, and where to get them: first those that
are labelled and lie unused.

Turns what the run counted and simulated into sentences.
"""

from dataclasses import dataclass

from tunewise.decision.assurance import LIKELY, ROWS
from tunewise.report.learning_curve import gain_with, learner
from tunewise.runs.schema import Run, SplitSizes
from tunewise.wording import about, count, whole_percent

LIMIT, LIMIT_TEST = "contenders.limit", "data.limit_test"
"""The settings that leave test rows out."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Prospect:
    """A line of the table that says what further test rows would do."""

    rows: str
    """How many, and whether they are labelled already."""
    settled: str
    """The chance that the question is settled then."""
    fine_tune: str
    """The chance that the verdict is to fine-tune."""
    learned: str = ""
    """What `learner` would gain from the rows to learn from that come along with them, in points;
    empty where it has no curve."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RowsNeeded:
    """What a verdict still takes."""

    test_needed: int
    """Further test examples."""
    chance: float | None
    """That they settle the question; None in runs written before it was simulated."""
    test_unused: int
    """Of them, those that rows hold which are labelled already, about."""
    to_label: int | None
    """Rows to label beyond those that are there; None where no split tells the proportion."""
    there: int
    """Rows that are labelled, used or not."""


def prospects(run: Run) -> list[Prospect]:
    """What further test rows would do, fewest first; empty where nothing is open."""
    unused = run.splits.unused_test if run.splits else 0
    return [
        Prospect(
            rows=count(one.rows) + (", labelled already" if 0 < one.rows == unused else ""),
            settled=whole_percent(one.settled),
            fine_tune=whole_percent(one.fine_tune),
            learned=_learned(run, one.rows),
        )
        for one in run.assurance
    ]


def _learned(run: Run, test_rows: int) -> str:
    """What further rows bring whoever learns from those that the split gives to train."""
    curve, sizes = learner(run), run.splits
    if curve is None or sizes is None or not sizes.train:
        return ""
    reserved = sizes.unused.get(LIMIT_TEST, 0)
    to_label = max(0, test_rows - reserved)  # reserved rows are test rows alone
    return gain_with(curve, to_label / (sizes.test + reserved))


def rows_needed(run: Run) -> RowsNeeded | None:
    """What an open verdict takes; None when decided, not computable, or too much to ask for."""
    needed = run.examples_needed
    if run.outcome != "undecided" or not needed or needed > max(ROWS[-1], _unused(run)):
        return None
    chance = next((one.settled for one in run.assurance if one.rows == needed), None)
    sizes = run.splits
    if sizes is None or not (sizes.train + sizes.dev > 0 < sizes.test):
        return RowsNeeded(test_needed=needed, chance=chance, test_unused=0, to_label=None, there=0)
    missing = max(0, needed - sizes.unused_test)
    return RowsNeeded(
        test_needed=needed,
        chance=chance,
        test_unused=min(sizes.unused_test, needed),
        to_label=about(round(missing / _test_share(sizes))) if missing else 0,
        there=sizes.train + sizes.dev + sizes.test + sum(sizes.unused.values()),
    )


def _unused(run: Run) -> int:
    return run.splits.unused_test if run.splits else 0


def _test_share(sizes: SplitSizes) -> float:
    """How many of the rows the split makes test examples, before any limit."""
    test = sizes.test + sizes.unused.get(LIMIT_TEST, 0)
    rest = sum(n for name, n in sizes.unused.items() if name not in (LIMIT, LIMIT_TEST))
    return test / (sizes.train + sizes.dev + test + rest)


def use_unused(run: Run) -> list[str]:
    """One sentence for each setting that leaves test rows out: how to take them in."""
    if run.splits is None:
        return []
    said = {
        LIMIT: "{rows} left out by --limit (`contenders.limit`): run without it",
        LIMIT_TEST: "{rows} kept for later: set `data.limit_test = {all}` to use {those}",
    }
    reserved = run.splits.unused.get(LIMIT_TEST, 0)
    taken = min(run.examples_needed or reserved, reserved)
    those = "them" if taken == reserved else f"{count(taken)} of them"
    return [
        said[name].format(rows=_labelled(n, name), all=run.splits.test + taken, those=those)
        for name, n in run.splits.unused.items()
        if n and name in said
    ]


def label_more(run: Run) -> str | None:
    """What more rows would do for an open verdict, which to use and how many to label.

    None where no more rows were asked about.
    """
    needed = rows_needed(run)
    if needed is None:
        return _unlikely(run)
    settle = (
        "might settle the question, as an earlier version of Tunewise estimated"
        if needed.chance is None
        else f"would settle the question with a chance of {whole_percent(needed.chance)}"
    )
    text = f"About {count(about(needed.test_needed))} more test examples {settle}."
    unused = use_unused(run)
    if unused:
        text += f" First use the rows there are: {'; '.join(unused)}."
        if needed.to_label == 0:
            return f"{text} That is enough: nothing has to be labelled."
        text += f" That adds about {count(needed.test_unused)} test examples."
    if needed.to_label is None:
        return f"{text} Label so many."
    if needed.to_label > ROWS[-1]:
        return (
            f"{text} By the share that the split gives to test, that takes about "
            f"{count(needed.to_label)} further labelled rows: weigh that against what is at stake."
        )
    then = "Then label" if unused else "Label"
    return (
        f"{text} {then} about {count(needed.to_label)} further rows, of which the split makes so "
        f"many test examples; with the {count(needed.there)} there are, that makes about "
        f"{count(about(needed.there + needed.to_label))} in total."
    )


def rows_in_vain(run: Run) -> int | None:
    """So many further test examples are unlikely to settle an open verdict; None: not known."""
    if run.outcome != "undecided" or rows_needed(run):
        return None
    known = ROWS[-1] if run.examples_needed else None
    return max((one.rows for one in run.assurance), default=known)


def _unlikely(run: Run) -> str | None:
    """That more rows are no way out, where that is known."""
    most = rows_in_vain(run)
    if most is None:
        return None
    return (
        f"Up to {count(most)} more test examples are unlikely to settle the question (a chance "
        f"below {whole_percent(LIKELY)}): labelling more for it is no advice."
    )


def _labelled(n: int, setting: str) -> str:
    side = " of the test side" if setting == LIMIT_TEST else ""
    return f"1 labelled row{side} was" if n == 1 else f"{count(n)} labelled rows{side} were"
