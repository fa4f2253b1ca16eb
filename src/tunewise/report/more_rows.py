"""Says which rows would settle an open verdict: first those that are labelled and lie unused.

Turns what the run counted into sentences.
"""

from dataclasses import dataclass

from tunewise.runs.schema import Run, SplitSizes
from tunewise.wording import about, count

LIMIT, LIMIT_TEST = "contenders.limit", "data.limit_test"
"""The settings that leave test rows out."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RowsNeeded:
    """What a verdict still takes."""

    test_needed: int
    """Further test examples."""
    test_unused: int
    """Of them, those that rows hold which are labelled already, about."""
    to_label: int | None
    """Rows to label beyond those that are there; None where no split tells the proportion."""
    there: int
    """Rows that are labelled, used or not."""


def rows_needed(run: Run) -> RowsNeeded | None:
    """What an open verdict takes; None when decided, or not computable."""
    if run.outcome != "undecided" or not run.examples_needed:
        return None
    sizes = run.splits
    if sizes is None or not (sizes.train + sizes.dev > 0 < sizes.test):
        return RowsNeeded(test_needed=run.examples_needed, test_unused=0, to_label=None, there=0)
    unused = sizes.unused_test
    missing = max(0, run.examples_needed - unused)
    return RowsNeeded(
        test_needed=run.examples_needed,
        test_unused=min(unused, run.examples_needed),
        to_label=about(round(missing / _test_share(sizes))) if missing else 0,
        there=sizes.train + sizes.dev + sizes.test + sum(sizes.unused.values()),
    )


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
    test = run.splits.test
    reserved = run.splits.unused.get(LIMIT_TEST, 0)
    taken = min(run.examples_needed or reserved, reserved)
    those = "them" if taken == reserved else f"{count(taken)} of them"
    return [
        said[name].format(rows=_labelled(n, name), all=test + taken, those=those)
        for name, n in run.splits.unused.items()
        if n and name in said
    ]


def label_more(run: Run) -> str | None:
    """Which rows to use, then how many to label, for a verdict; None when it takes none."""
    needed = rows_needed(run)
    if needed is None:
        return None
    chance = "would settle the question with a chance of 80%"
    text = f"About {count(about(needed.test_needed))} more test examples {chance}."
    unused = use_unused(run)
    if unused:
        text += f" First use the rows there are: {'; '.join(unused)}."
        if needed.to_label == 0:
            return f"{text} That is enough: nothing has to be labelled."
        text += f" That adds about {count(needed.test_unused)} test examples."
    if needed.to_label is None:
        return f"{text} Label so many."
    then = "Then label" if unused else "Label"
    return (
        f"{text} {then} about {count(needed.to_label)} further rows, which the split turns into "
        f"train, dev and test as it did the others; with the {count(needed.there)} there are, "
        f"that makes about {count(about(needed.there + needed.to_label))} in total."
    )


def _labelled(n: int, setting: str) -> str:
    side = " of the test side" if setting == LIMIT_TEST else ""
    return f"1 labelled row{side} was" if n == 1 else f"{count(n)} labelled rows{side} were"
