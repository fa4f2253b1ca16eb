"""A first word on whether rows can support a decision: the split to come, and what it can tell."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from tunewise.data.checks.survey import Survey
from tunewise.data.splitting.leaked import leaked_note
from tunewise.data.splitting.near_duplicates import Indices
from tunewise.data.splitting.sample_size import explanation, rows_wanted
from tunewise.data.splitting.split import DEV_SHARE, TEST_SHARE
from tunewise.data.splitting.units import clusters
from tunewise.project.settings import Data
from tunewise.wording import about


@dataclass(frozen=True, kw_only=True, slots=True)
class Outlook:
    """What a decision on this data would rest on."""

    sides: Mapping[str, int]
    """train, dev, test and perhaps reserved -> rows, about."""
    own_split: bool
    """Whether the person split the data."""
    wanted: int
    """Test rows that are used where more are there: `rows_wanted`."""
    minimum_gain: float
    sentence: str
    """What the test rows can tell."""
    to_label: int = 0
    """Further rows, of all sides together, at which test would have the rows wanted; about."""


def outlook(
    survey: Survey,
    data: Data,
    minimum_gain: float,
    *,
    asked: int | None = None,
    leaked: Mapping[int, str] | None = None,
) -> Outlook:
    """The split to come, but for what it does about very few rows.

    Args:
        survey: of all rows.
        data: the project's `[data]`.
        minimum_gain: the smallest gain worth a training.
        asked: test rows that an earlier verdict asked for.
        leaked: row that is left out of test -> what holds it.
    """
    own_split = "examples" not in survey.parts
    first = _first_of_units(survey)
    places = survey.columns.place[first]
    share = _test_share(data)
    dev_share = DEV_SHARE * (1 - share) / (1 - TEST_SHARE)
    side = test_side(survey, data)
    test = side[~np.isin(side, list(leaked or {}))]
    if own_split:
        dev, train = survey.rows_of("dev"), survey.rows_of("train")
        if not len(dev):
            is_dev = places[train] < DEV_SHARE / (1 - TEST_SHARE)
            dev, train = train[is_dev], train[~is_dev]
    else:
        dev = np.flatnonzero((places >= share) & (places < share + dev_share))
        train = np.flatnonzero(places >= share + dev_share)
    groups = _groups(survey, test, first)
    wanted = rows_wanted(groups, minimum_gain)
    limit = data.limit_test or (len(test) if own_split else max(wanted, asked or 0))
    taken = test[np.argsort(first[test], kind="stable")][:limit]
    used = groups if len(taken) == len(test) else _groups(survey, taken, first)
    reserved = 0 if own_split else len(test) - len(used)
    sides = {"train": len(train), "dev": len(dev), "test": len(used)}
    counts = Counter((leaked or {}).values())
    told = explanation(used, minimum_gain, reserved=reserved)
    return Outlook(
        sides={**sides, "reserved": reserved} if reserved else sides,
        own_split=own_split,
        wanted=wanted,
        minimum_gain=minimum_gain,
        sentence=" ".join(filter(None, (leaked_note(counts), told))),
        to_label=_to_label(wanted - len(test), 1.0 if own_split else share),
    )


def test_side(survey: Survey, data: Data) -> Indices:
    """The rows that fall to test, those that it leaves out again included."""
    if "examples" not in survey.parts:
        return survey.rows_of("test")
    places = survey.columns.place[_first_of_units(survey)]
    return np.flatnonzero(places < _test_share(data))


def _test_share(data: Data) -> float:
    return TEST_SHARE if data.test_size is None else data.test_size


def _to_label(missing: int, share: float) -> int:
    """Rows of which a share makes the test rows that are missing, to two digits."""
    return about(round(missing / share)) if missing > 0 else 0


def _first_of_units(survey: Survey) -> Indices:
    """(rows,) the first row of each row's unit; near duplicates join the unit they follow."""
    own: list[int] = survey.columns.unit.tolist()
    leaders: list[int] = survey.leader.tolist()
    joined: dict[int, int] = {}
    first: dict[int, int] = {}
    for row, leader in enumerate(leaders):
        unit = own[row]
        first.setdefault(unit, row)
        if unit not in joined:
            joined[unit] = joined.get(own[leader], unit)
    return np.array([first[joined[unit]] for unit in own], dtype=np.int64)


def _groups(survey: Survey, rows: Indices, first: Indices) -> list[str | None]:
    """(rows,) the unit by which intervals would go, None for a row on its own."""
    units, documents = first[rows].tolist(), survey.columns.document[rows].tolist()
    numbers = range(len(rows))
    return clusters(units, documents, numbers).groups(numbers)
