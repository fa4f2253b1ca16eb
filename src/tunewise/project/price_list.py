"""Reads a list of prices: what models cost by the token and machines by the hour, and as of when.

docs/prices.md documents the file. A list says nothing of a project; a run is held against it.
"""

import datetime
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, TypeVar, cast

from pydantic import ConfigDict, TypeAdapter, ValidationError

from tunewise.errors import UserError
from tunewise.project.constraints import Text, suggest, within
from tunewise.project.faults import Faults, in_words
from tunewise.project.price_units import LOWEST
from tunewise.wording import setting

_OLD_DAYS = 365
_Record = TypeVar("_Record")


class _Strict:
    """No key is unknown."""

    __slots__ = ()
    __pydantic_config__ = ConfigDict(
        extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelPrice(_Strict):
    """What a model costs by the token."""

    prompt_tokens: Annotated[float, within(0, 10**6)]
    """Per million prompt tokens."""
    completion_tokens: Annotated[float, within(0, 10**6)]
    """Per million tokens generated."""
    cached_tokens: Annotated[float, within(0, 10**6)] | None = None
    """Per million prompt tokens from a cache; as much as the others if absent."""
    as_of: datetime.date | None = None
    """When its price was read; that of the list if absent."""
    source: Text | None = None
    """Where it stands; that of the list if absent."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MachinePrice(_Strict):
    """What a machine costs by the hour."""

    hosting_hour: Annotated[float, within(0, 10**6)]
    """Per hour, idle or busy."""
    utilisation: Annotated[float, within(0.001, 1)] = 1.0
    """Share of the paid hours in which it serves."""
    as_of: datetime.date | None = None
    """When its price was read; that of the list if absent."""
    source: Text | None = None
    """Where it stands; that of the list if absent."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PriceList:
    """Prices by name, in the order of the file."""

    currency: str
    as_of: datetime.date
    source: str
    models: Mapping[str, ModelPrice] = field(default_factory=dict[str, ModelPrice])
    machines: Mapping[str, MachinePrice] = field(default_factory=dict[str, MachinePrice])
    warnings: tuple[str, ...] = ()
    """Prices that read as if they were in another unit, or are old."""


_TABLES = ("models", "machines")
_HEAD = {
    "currency": 'Write currency = "USD".',
    "as_of": "Write the day on which the prices were read: as_of = 2026-11-29.",
    "source": 'Write where they stand: source = "https://...".',
}


def read_price_list(path: Path, *, today: datetime.date) -> PriceList:
    """The list in a TOML file.

    Args:
        path: of the file.
        today: by which the age of prices is told.

    Raises:
        UserError: with every fault, one a line, `file:line: key: what is wrong. What to do.`
    """
    try:
        text = path.read_text("utf-8")
        values: dict[str, object] = tomllib.loads(text)
    except (OSError, ValueError) as fault:
        raise UserError(f"{path}: cannot be read ({fault}). docs/prices.md shows a list.") from None
    faults = Faults(path, text)
    known = (*_HEAD, *_TABLES)
    for key in values.keys() - set(known):
        faults.add((key,), f"unknown key. {suggest(key, known)}")
    for key, advice in _HEAD.items():
        kind = datetime.date if key == "as_of" else str
        if not isinstance(values.get(key), kind) or not values[key]:
            faults.add((key,), f"is missing or no {'date' if key == 'as_of' else 'text'}. {advice}")
    models = _read(values, "models", ModelPrice, faults)
    machines = _read(values, "machines", MachinePrice, faults)
    if not values.get("models") and not values.get("machines"):
        faults.add(("models",), "is missing. Write [models.NAME] or [machines.NAME], with prices.")
    faults.raise_any()
    found = PriceList(
        currency=str(values["currency"]),
        as_of=_day(cast(datetime.date, values["as_of"])),
        source=str(values["source"]),
        models=models,
        machines=machines,
    )
    return PriceList(
        currency=found.currency, as_of=found.as_of, source=found.source, models=models,
        machines=machines, warnings=tuple(_warnings(found, today)),
    )  # fmt: skip


def _day(when: datetime.date) -> datetime.date:
    """A date, also of a moment."""
    return when.date() if isinstance(when, datetime.datetime) else when


def _read(
    values: Mapping[str, object], table: str, record: type[_Record], faults: Faults
) -> dict[str, _Record]:
    given = values.get(table, {})
    if not isinstance(given, dict):
        faults.add((table,), f"must hold tables. Write [{table}.NAME] on a line of its own.")
        return {}
    adapter, found = TypeAdapter(record), dict[str, _Record]()
    for name, keys in cast(dict[str, object], given).items():
        if not isinstance(keys, dict):
            faults.add((table, name), f"must be a table. Write [{table}.{name}].")
            continue
        try:
            found[name] = adapter.validate_python(keys)
        except ValidationError as error:
            schema = adapter.json_schema()
            for fault in error.errors():
                if "missing" in fault["type"]:
                    key = str(fault["loc"][-1])
                    faults.add(
                        (table, name, key),
                        f"is missing. {schema['properties'][key]['description']}",
                    )
            for key, what in in_words(error, schema):
                if key in keys:
                    faults.add((table, name, key), what)
    return found


def _warnings(found: PriceList, today: datetime.date) -> list[str]:
    lines: list[str] = []
    for name, model in found.models.items():
        for key in ("prompt_tokens", "completion_tokens"):
            price: float = getattr(model, key)
            if 0 < price < LOWEST:
                lines.append(
                    f"models.{name}.{key} = {setting(price)} is very little for a million tokens. "
                    f"If it is the price of a thousand, write {setting(1000 * price)}."
                )
    old = [
        name
        for name, one in (*found.models.items(), *found.machines.items())
        if (today - _day(one.as_of or found.as_of)).days > _OLD_DAYS
    ]
    if old:
        lines.append(
            f"More than a year old: {', '.join(old)}. Look the prices up again where they stand."
        )
    return lines
