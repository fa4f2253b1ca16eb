"""Says how the labels of a classification fall on the sides of a split.

The hash decides membership, so the shares differ by chance; it only tells, and moves nothing.
"""

from collections import Counter
from collections.abc import Sequence

from tunewise.text.labels import spelled_alike
from tunewise.types import Splits
from tunewise.wording import whole_percent

_SHOWN_LABELS = 8
_NAMED = 5


def balance_notes(splits: Splits, *, limited: bool = False) -> tuple[str, ...]:
    """Each label's share of train, dev and test, and labels that train or dev lack.

    Args:
        splits: of a classification.
        limited: whether the person limited how many rows are used.
    """
    sides = {"train": splits.train, "dev": splits.dev, "test": splits.test}
    right = spelled_alike(row.target.strip() for rows in sides.values() for row in rows)
    counts = {
        name: Counter(right[row.target.strip()] for row in rows) for name, rows in sides.items()
    }
    whole = sum(counts.values(), Counter[str]())
    if len(whole) < 2:
        return ()
    return (_shares(counts, whole), *_missing(counts, limited=limited))


def _shares(counts: dict[str, Counter[str]], whole: Counter[str]) -> str:
    def share(side: str, label: str) -> float:
        return counts[side][label] / max(counts[side].total(), 1)

    def shown(label: str) -> str:
        parts = " / ".join(whole_percent(share(side, label)) for side in counts)
        return f"{label[:40]} {parts}"

    if len(whole) <= _SHOWN_LABELS:
        listed = ", ".join(shown(label) for label, _ in whole.most_common())
        return f"Labels in train / dev / test: {listed}."
    farthest = max(
        sorted(whole), key=lambda label: abs(share("train", label) - share("test", label))
    )
    return (
        f"{len(whole)} labels; the one whose share differs most between train and test is "
        f"{shown(farthest)} of train / dev / test."
    )


def _missing(counts: dict[str, Counter[str]], *, limited: bool) -> list[str]:
    more = "Raise --limit, or add rows" if limited else "Add rows"
    test, train, dev = counts["test"], counts["train"], counts["dev"]
    unlearnt = [label for label in test if label not in train]
    undeveloped = [label for label in train if label not in dev]
    notes: list[str] = []
    if unlearnt:
        rows = sum(test[label] for label in unlearnt)
        is_, it = ("is", "it") if len(unlearnt) == 1 else ("are", "them")
        notes.append(
            f"{_named(unlearnt)} {is_} in test ({rows} row{'s' * (rows > 1)}) but not in train, "
            f"so nobody can learn {it}. {more} of {it}, or correct {it} if mistyped."
        )
    if undeveloped:
        is_, it = ("is", "it") if len(undeveloped) == 1 else ("are", "them")
        notes.append(
            f"{_named(undeveloped)} {is_} not in dev, so settings are chosen without {it}. "
            f"{more} of {it}."
        )
    return notes


def _named(labels: Sequence[str]) -> str:
    named = ", ".join(f'"{label[:40]}"' for label in sorted(labels)[:_NAMED])
    more = f" and {len(labels) - _NAMED} more" if len(labels) > _NAMED else ""
    return f"Label{'s' * (len(labels) > 1)} {named}{more}"
