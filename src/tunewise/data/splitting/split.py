"""Turns examples into train, dev and a sealed test, by a hash of each row's unit.

Adding rows at the end never moves old ones across; rows with the same input or group, and near
duplicates, stay on one side.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from tunewise.data.fingerprints import split_fingerprint
from tunewise.data.read import ReadResult
from tunewise.data.splitting.by_time import about_times, places_by_time
from tunewise.data.splitting.leaked import about_leaked, grouped, leaked_note
from tunewise.data.splitting.sample_size import about_asked, explanation, rows_wanted
from tunewise.data.splitting.sides import (
    MIN_DEV,
    MIN_TEST,
    MIN_TRAIN,
    Cut,
    Order,
    cut_units,
    without_torn,
)
from tunewise.data.splitting.units import (
    Clusters,
    Units,
    clusters,
    document_of,
    own_unit,
    units,
)
from tunewise.errors import UserError
from tunewise.project.settings import Data
from tunewise.statistics.intervals import MINIMUM_GROUPS
from tunewise.text.moments import moment_of
from tunewise.types import Example, Splits

TEST_SHARE = 0.30
DEV_SHARE = 0.15
"""Of all examples; with another test share, dev keeps its proportion to train (15 : 55)."""
LIMIT, LIMIT_TRAIN, LIMIT_TEST = "contenders.limit", "data.limit_train", "data.limit_test"
"""Settings that leave rows out."""
MIN_ROWS = 20
"""Rows that a file needs to be split at all."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Division:
    """The splits, and what a person should know of how they came about."""

    splits: Splits
    notes: tuple[str, ...] = ()
    unused: Mapping[str, int] = field(default_factory=dict[str, int])
    """Setting -> rows that are there and that it leaves out; those of 0 are not named."""
    unused_test: int = 0
    """How many of these would be test rows, about."""


def split_data(
    parts: Mapping[str, ReadResult],
    data: Data,
    *,
    limit: int | None = None,
    minimum_gain: float | None = None,
    asked: int | None = None,
    leaked: Mapping[str, str] | None = None,
) -> Division:
    """Splits what `read_data` gave; a person's own split is kept, and only a dev is taken off.

    Args:
        parts: `examples`, or `train`, `test` and perhaps `dev`.
        data: the project's `[data]`: seed, test_size, limit_train, limit_test.
        limit: examples used at most; with an own split, of train and of dev and test together
            in proportion to their rows.
        minimum_gain: the gain that test must be able to tell; see `split_examples`.
        asked: test rows that an earlier verdict asked for; see `split_examples`.
        leaked: id of a row -> what holds it (`train`, `dev`, `documents`): it is left out of test.

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
            minimum_gain=minimum_gain,
            asked=asked,
            leaked=leaked,
            time=data.time,
        )
    return keep_split(
        parts["train"].examples,
        parts["dev"].examples if "dev" in parts else None,
        parts["test"].examples,
        seed=data.seed,
        limit=limit,
        limit_train=data.limit_train,
        limit_test=data.limit_test,
        minimum_gain=minimum_gain,
        leaked=leaked,
    )


def split_examples(
    examples: Sequence[Example],
    *,
    seed: int,
    test_size: float | None = None,
    limit: int | None = None,
    limit_train: int | None = None,
    limit_test: int | None = None,
    minimum_gain: float | None = None,
    asked: int | None = None,
    leaked: Mapping[str, str] | None = None,
    time: str | None = None,
) -> Division:
    """Splits by hash: u = sha256(seed, unit) in [0, 1); test, dev, train in that order.

    By time, u is the share of rows in newer units: test holds the newest, train the oldest.

    Args:
        examples: all rows, in the order of the file; it is kept within a split.
        seed: salt of the hash.
        test_size: share of the test side, 0 to 1; None: 0.30.
        limit: examples used at most, the same ones whenever the rows are the same.
        limit_train: rows of train used at most, chosen likewise.
        limit_test: rows of test used at most, chosen likewise.
        minimum_gain: without `limit_test`, only so many rows of the test side are used, chosen
            likewise, as `rows_wanted` says; the others are reserved. None: all are used.
        asked: test rows that an earlier verdict asked for in all: so many are used at least.
        leaked: see `split_data`; rows that fall into train or dev stay there.
        time: the column that says when each row is from; None: it does not matter.

    Raises:
        UserError: with fewer than 20 rows, or too few different inputs or groups for three splits.
    """
    found = units(examples)
    order = Order([row.id for row in examples], found.names, seed)
    kept = order.first(range(len(examples)), limit)
    if len(kept) < MIN_ROWS:
        raise UserError(
            f"[data] examples: {len(kept)} rows are too few to split into train, dev and test. "
            f"Give at least {MIN_ROWS}; about 500 are needed to tell a gain of 10 points."
        )
    share = TEST_SHARE if test_size is None else test_size
    dev_share = DEV_SHARE * (1 - share) / (1 - TEST_SHARE)
    places = None
    if time is not None:
        places = places_by_time(found.names, kept, _times(examples, time), seed)
    cut = without_torn(cut_units(found.names, kept, seed, share, dev_share, places), found)
    held = grouped([examples[row] for row in cut.test], leaked or {})
    gone = _ids(held)
    cut = replace(cut, test=[row for row in cut.test if examples[row].id not in gone])
    documents = [document_of(row) for row in examples]
    notes = _about_cut(found, cut)
    usual = None
    if limit_test is None and minimum_gain is not None:
        whole = clusters(found.names, documents, cut.test)
        usual = rows_wanted(whole.groups(cut.test), minimum_gain)
    wanted = limit_test if usual is None else max(usual, asked or 0)
    train = order.first(cut.train, limit_train)
    test = order.first(cut.test, wanted)
    sides = [clusters(found.names, documents, rows) for rows in (train, cut.dev, test)]
    splits = _with_leaked(_splits(examples, train, cut.dev, test, seed, sides), held)
    notes += _checked(splits)
    if time is not None:
        parts = {"train": splits.train, "dev": splits.dev, "test": splits.test}
        notes.append(about_times(time, parts))
    if usual is not None and asked is not None and len(test) > usual:
        notes.append(about_asked(len(test), usual, asked))
    if minimum_gain is not None:
        reserved = len(cut.test) - len(test)
        notes.append(explanation(splits.units_of(splits.test), minimum_gain, reserved=reserved))
    unused = {
        LIMIT: len(examples) - len(kept),
        LIMIT_TRAIN: len(cut.train) - len(train),
        LIMIT_TEST: len(cut.test) - len(test),
    }
    return Division(
        splits=splits,
        notes=(*notes, *_about_documents(sides[2])),
        unused=_above_0(unused),
        unused_test=unused[LIMIT_TEST] + round(unused[LIMIT] * len(cut.test) / len(kept)),
    )


def _times(examples: Sequence[Example], column: str) -> list[float]:
    """(rows,) when each is from.

    Raises:
        UserError: a row does not say it; reading refuses such rows, but for those made here.
    """
    moments = [moment_of(row.metadata.get(column)) for row in examples]
    if any(one is None for one in moments):
        raise UserError(f"data.time: not every row has a time in the column {column}.")
    return [one.value for one in moments if one is not None]


def _about_cut(found: Units, cut: Cut) -> list[str]:
    """What a person should know of the sides, before any limit."""
    notes: list[str] = []
    if found.pieces:
        rows = "1 row is a piece" if found.pieces == 1 else f"{found.pieces} rows are pieces"
        notes.append(
            f"{rows} of a conversation that an earlier row holds: kept on one side of the split."
        )
    if cut.moved:
        notes.append(
            "Too few rows for the usual shares: some were moved by hash order, so that test, dev "
            f"and train hold at least {MIN_TEST}, {MIN_DEV} and {MIN_TRAIN}. Rows added "
            "later may move them back."
        )
    if cut.torn:
        which = (
            "1 row that nearly repeats" if cut.torn == 1 else f"{cut.torn} rows that nearly repeat"
        )
        notes.append(f"Left out: {which} a row of another group across the border of test.")
    return notes


def _about_documents(test: Clusters) -> list[str]:
    if not test.few_documents:
        return []
    few = "1 document" if test.few_documents == 1 else f"{test.few_documents} documents"
    return [
        f"The test rows name {few}, too few to count as independent units "
        f"({MINIMUM_GROUPS} at least): the verdict is about questions on these documents."
    ]


def keep_split(
    train: Sequence[Example],
    dev: Sequence[Example] | None,
    test: Sequence[Example],
    *,
    seed: int,
    limit: int | None = None,
    limit_train: int | None = None,
    limit_test: int | None = None,
    minimum_gain: float | None = None,
    leaked: Mapping[str, str] | None = None,
) -> Division:
    """Keeps a person's own split; without a dev, 15 parts in 70 of train become one, by hash.

    Args:
        train: rows to fit on, dev included when `dev` is None.
        dev: rows to choose settings on, or None.
        test: the sealed rows; all are used but for what the limits leave out.
        seed: salt of the hash.
        limit: examples used at most, all splits together, each in proportion.
        limit_train: rows of train used at most.
        limit_test: rows of test used at most.
        minimum_gain: the gain that a note sets the number of test rows against.
        leaked: see `split_data`; they are gone before the limits count rows.

    Raises:
        UserError: when a split is too small to decide anything.
    """
    held = grouped(test, leaked or {})
    gone = _ids(held)
    test = [row for row in test if row.id not in gone]
    rows = [*train, *(dev or ()), *test]
    ends = (len(train), len(rows) - len(test), len(rows))
    sides = [range(ends[0]), range(ends[0], ends[1]), range(ends[1], ends[2])]
    # Rows that nearly repeat one another are one unit within their part; only dev is cut off.
    names = [name for part in (train, dev or (), test) for name in units(part).names]
    of_train = names[: ends[0]] if dev is None else map(own_unit, train)
    limited_by = [*of_train, *(own_unit(row) for row in rows[ends[0] :])]
    order = Order([row.id for row in rows], limited_by, seed)
    if limit is not None and limit < len(rows):
        sides = [order.first(side, round(limit * len(side) / len(rows))) for side in sides]
    own_train, own_dev, own_test = sides
    notes: list[str] = []
    if dev is None:
        cut = cut_units(names, own_train, seed, 0.0, DEV_SHARE / (1 - TEST_SHARE))
        own_train, own_dev = cut.train, cut.dev
        notes.append(f"No dev file: {len(own_dev)} rows of train serve as dev, chosen by hash.")
    within = sum(map(len, (own_train, own_dev, own_test)))
    train_side, test_side = len(own_train), len(own_test)
    own_train = order.first(own_train, limit_train)
    own_test = order.first(own_test, limit_test)
    documents = [document_of(row) for row in rows]
    found = [clusters(names, documents, side) for side in (own_train, own_dev, own_test)]
    splits = _with_leaked(_splits(rows, own_train, own_dev, own_test, seed, found), held)
    notes += _checked(splits)
    if minimum_gain is not None:
        reserved = len(test) - len(own_test)
        notes.append(explanation(splits.units_of(splits.test), minimum_gain, reserved=reserved))
    unused = {
        LIMIT: len(rows) - within,
        LIMIT_TRAIN: train_side - len(own_train),
        LIMIT_TEST: test_side - len(own_test),
    }
    return Division(
        splits=splits,
        notes=(*notes, *_about_documents(found[2])),
        unused=_above_0(unused),
        unused_test=len(test) - len(own_test),
    )


def _above_0(counts: Mapping[str, int]) -> dict[str, int]:
    return {name: n for name, n in counts.items() if n > 0}


def _ids(held: Mapping[str, Sequence[Example]]) -> frozenset[str]:
    return frozenset(row.id for rows in held.values() for row in rows)


def _with_leaked(splits: Splits, held: Mapping[str, tuple[Example, ...]]) -> Splits:
    """The splits with what is left out of test, which is not reserved either."""
    gone = _ids(held)
    reserved = tuple(row for row in splits.reserved if row.id not in gone)
    return replace(splits, reserved=reserved, leaked=held)


def _checked(splits: Splits) -> list[str]:
    """A note on rows that were left out of test.

    Raises:
        UserError: a side is too small.
    """
    needs = (
        ("train", splits.train, MIN_TRAIN),
        ("dev", splits.dev, MIN_DEV),
        ("test", splits.test, MIN_TEST),
    )
    short = [
        f"[data]: {name} holds {len(rows)} rows after splitting, too few to decide anything. "
        f"Give at least {least}, with inputs or groups that differ, or raise the limit."
        for name, rows, least in needs
        if len(rows) < least
    ]
    leaked = {where: len(rows) for where, rows in splits.leaked.items()}
    if leaked and len(splits.test) < MIN_TEST:
        short[-1] += (
            f" {sum(leaked.values()):,} more were left out of it: {about_leaked(leaked)}. "
            "`tunewise check` names them."
        )
    if short:
        raise UserError.together(short)
    return [leaked_note(leaked)] if leaked else []


def _splits(
    examples: Sequence[Example],
    train: Sequence[int],
    dev: Sequence[int],
    test: Sequence[int],
    seed: int,
    found: Sequence[Clusters],
) -> Splits:
    used = {*train, *dev, *test}
    parts = {
        name: tuple(examples[row] for row in rows)
        for name, rows in (("train", train), ("dev", dev), ("test", test))
    }
    return Splits(
        train=parts["train"],
        dev=parts["dev"],
        test=parts["test"],
        seed=seed,
        fingerprint=split_fingerprint(parts),
        reserved=tuple(row for n, row in enumerate(examples) if n not in used),
        units={
            examples[row].id: examples[first].id for side in found for row, first in side.of.items()
        },
    )
