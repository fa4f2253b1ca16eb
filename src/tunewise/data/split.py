"""Turns examples into train, dev and a sealed test, by a hash of each row's content or group.

Adding rows never moves old ones across, and rows with the same input (or group) stay on one side.
It knows nothing of models or metrics.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from tunewise.data.read import ReadResult
from tunewise.errors import UserError
from tunewise.project import Data
from tunewise.types import Example, Splits

TEST_SHARE = 0.30
DEV_SHARE = 0.15
"""Of all examples; with another test share, dev keeps its proportion to train (15 : 55)."""
FEWEST_TEST = 5
FEWEST_DEV = 3
FEWEST_TRAIN = 5
FEWEST_ROWS = 20
"""Rows that a file needs to be split at all."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Division:
    """The splits, and what a person should know of how they came about."""

    splits: Splits
    notes: tuple[str, ...] = ()


def split_data(
    parts: Mapping[str, ReadResult], data: Data, *, limit: int | None = None
) -> Division:
    """Splits what `read_data` gave; a person's own split is kept, and only a dev is taken off.

    Args:
        parts: `examples`, or `train`, `test` and perhaps `dev`.
        data: the project's `[data]`: seed, test_size, limit_train, limit_test.
        limit: examples used at most; with an own split, of train and of dev and test together
            in proportion to their rows.

    Raises:
        UserError: when too few rows are left to decide anything.
    """
    if "examples" in parts:
        return split_examples(
            parts["examples"].examples,
            seed=data.seed,
            test_size=data.test_size,
            limit=limit,
            limit_train=data.limit_train,
            limit_test=data.limit_test,
        )
    return keep_split(
        parts["train"].examples,
        parts["dev"].examples if "dev" in parts else None,
        parts["test"].examples,
        seed=data.seed,
        limit=limit,
        limit_train=data.limit_train,
        limit_test=data.limit_test,
    )


def split_examples(
    examples: Sequence[Example],
    *,
    seed: int,
    test_size: float | None = None,
    limit: int | None = None,
    limit_train: int | None = None,
    limit_test: int | None = None,
) -> Division:
    """Splits by hash: u = sha256(seed, group or input) in [0, 1); test, dev, train in that order.

    Args:
        examples: all rows; their order within a split is kept.
        seed: salt of the hash.
        test_size: share of test, 0 to 1; None: 0.30.
        limit: examples used at most, the same ones whenever the rows are the same.
        limit_train: rows of train used at most, chosen likewise.
        limit_test: rows of test used at most, chosen likewise.

    Raises:
        UserError: with fewer than 20 rows, or too few different inputs or groups for three splits.
    """
    kept = _first(examples, limit, seed)
    if len(kept) < FEWEST_ROWS:
        raise UserError(
            f"[data] examples: {len(kept)} rows are too few to split into train, dev and test. "
            f"Give at least {FEWEST_ROWS}; about 200 are needed to tell a gain of 0.10."
        )
    share = TEST_SHARE if test_size is None else test_size
    dev_share = DEV_SHARE * (1 - share) / (1 - TEST_SHARE)
    cut = _cut(kept, seed, share, dev_share)
    note = (
        "Too few rows for the usual shares: some were moved by hash order, so that test, dev and "
        f"train hold at least {FEWEST_TEST}, {FEWEST_DEV} and {FEWEST_TRAIN}. Rows added later "
        "may move them back."
    )
    train = _first(cut.train, limit_train, seed)
    test = _first(cut.test, limit_test, seed)
    _check_sizes(train, cut.dev, test)
    return Division(splits=_splits(train, cut.dev, test, seed), notes=(note,) if cut.moved else ())


def keep_split(
    train: Sequence[Example],
    dev: Sequence[Example] | None,
    test: Sequence[Example],
    *,
    seed: int,
    limit: int | None = None,
    limit_train: int | None = None,
    limit_test: int | None = None,
) -> Division:
    """Keeps a person's own split; without a dev, 15 parts in 70 of train become one, by hash.

    Args:
        train: rows to fit on, dev included when `dev` is None.
        dev: rows to choose settings on, or None.
        test: the sealed rows.
        seed: salt of the hash.
        limit: examples used at most, all splits together, each in proportion.
        limit_train: rows of train used at most.
        limit_test: rows of test used at most.

    Raises:
        UserError: when a split is too small to decide anything.
    """
    total = len(train) + len(dev or ()) + len(test)
    if limit is not None and limit < total:
        train = _first(train, round(limit * len(train) / total), seed)
        dev = None if dev is None else _first(dev, round(limit * len(dev) / total), seed)
        test = _first(test, round(limit * len(test) / total), seed)
    notes: tuple[str, ...] = ()
    if dev is None:
        cut = _cut(train, seed, 0.0, DEV_SHARE / (1 - TEST_SHARE))
        train, dev = cut.train, cut.dev
        notes = (f"No dev file: {len(dev)} rows of train serve as dev, chosen by hash.",)
    train = _first(train, limit_train, seed)
    test = _first(test, limit_test, seed)
    _check_sizes(train, dev, test)
    return Division(splits=_splits(train, dev, test, seed), notes=notes)


def normalised_input(example: Example) -> str:
    """The whole input without regard to case and white space: rows alike in it are one unit."""
    turns = ((turn.role, " ".join(turn.content.casefold().split())) for turn in example.messages)
    return json.dumps(list(turns), ensure_ascii=False)


def unit(example: Example) -> str:
    """What splits go by: the group if the row has one, else its normalised input."""
    if example.group is not None:
        return f"group:{example.group}"
    return f"input:{normalised_input(example)}"


@dataclass(frozen=True, kw_only=True, slots=True)
class _Cut:
    train: list[Example]
    dev: list[Example]
    test: list[Example]
    moved: bool
    """Whether rows had to leave their own side to fill another."""


def _cut(examples: Sequence[Example], seed: int, test_share: float, dev_share: float) -> _Cut:
    """Cuts the units, in order of their hash, into test, dev and train.

    The borders lie at the shares, and move only where a split would be too small.
    """
    members: dict[str, list[Example]] = {}
    for example in examples:
        members.setdefault(unit(example), []).append(example)
    place = {name: _hash("split", seed, name) for name in members}
    order = sorted(members, key=lambda name: (place[name], name))
    sizes = [len(members[name]) for name in order]
    first = sum(place[name] < test_share for name in order)
    second = sum(place[name] < test_share + dev_share for name in order)
    usual = (first, second)
    if test_share > 0:
        first = max(first, _reach(sizes, FEWEST_TEST))
    second = max(second, first + _reach(sizes[first:], FEWEST_DEV))
    # From the far end: train must keep its rows, then dev, and test has what is left.
    second = min(second, len(sizes) - _reach(sizes[::-1], FEWEST_TRAIN))
    if test_share > 0:
        first = min(first, second - _reach(sizes[:second][::-1], FEWEST_DEV))
    side: dict[str, int] = {name: (n >= first) + (n >= second) for n, name in enumerate(order)}
    parts: tuple[list[Example], list[Example], list[Example]] = ([], [], [])
    for example in examples:
        parts[side[unit(example)]].append(example)
    test, dev, train = parts
    return _Cut(train=train, dev=dev, test=test, moved=(first, second) != usual)


def _reach(sizes: Sequence[int], rows: int) -> int:
    """How many units from the front hold at least `rows` rows (all of them, if they do not)."""
    total = 0
    for n, size in enumerate(sizes):
        if total >= rows:
            return n
        total += size
    return len(sizes)


def _first(examples: Sequence[Example], limit: int | None, seed: int) -> Sequence[Example]:
    """The first `limit` rows in the order of a hash of their own, in their former order."""
    if limit is None or limit >= len(examples):
        return examples

    def rank(n: int) -> tuple[float, float, int]:
        # Not the hash that splits: that one would take test rows first.
        return _hash("limit", seed, unit(examples[n])), _hash("row", seed, examples[n].id), n

    chosen = sorted(range(len(examples)), key=rank)[:limit]
    return [examples[n] for n in sorted(chosen)]


def _hash(purpose: str, seed: int, name: str) -> float:
    """A number in [0, 1) that depends on nothing but its arguments."""
    digest = hashlib.sha256(f"{purpose}\0{seed}\0{name}".encode()).digest()
    # 53 bits fill a float exactly, so that 1.0 cannot come out.
    return (int.from_bytes(digest[:8], "big") >> 11) / 2**53


def _check_sizes(train: Sequence[Example], dev: Sequence[Example], test: Sequence[Example]) -> None:
    needs = (("train", train, FEWEST_TRAIN), ("dev", dev, FEWEST_DEV), ("test", test, FEWEST_TEST))
    short = [
        f"[data]: {name} holds {len(rows)} rows after splitting, too few to decide anything. "
        f"Give at least {least}, with inputs or groups that differ, or raise the limit."
        for name, rows, least in needs
        if len(rows) < least
    ]
    if short:
        raise UserError.together(short)


def _splits(
    train: Sequence[Example], dev: Sequence[Example], test: Sequence[Example], seed: int
) -> Splits:
    parts = {"train": tuple(train), "dev": tuple(dev), "test": tuple(test)}
    return Splits(**parts, seed=seed, fingerprint=_fingerprint(parts))


def _fingerprint(parts: Mapping[str, Iterable[Example]]) -> str:
    """sha256 (hex) over every row with its side, in order."""
    digest = hashlib.sha256()
    for part, examples in parts.items():
        for example in examples:
            turns = [[turn.role, turn.content] for turn in example.messages]
            row = [part, example.id, turns, example.target, example.group, dict(example.metadata)]
            digest.update(json.dumps(row, sort_keys=True).encode() + b"\n")
    return digest.hexdigest()
