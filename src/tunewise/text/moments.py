"""Reads what a cell says of a time: dates of ISO 8601, or numbers that only have an order."""

import re
from datetime import UTC, datetime
from typing import Literal, NamedTuple

from tunewise.types import JsonValue

_NUMBER = re.compile(r"-?\d+(\.\d+)?")
_MONTH = re.compile(r"\d{4}-\d{2}")


class Moment(NamedTuple):
    """When a row is from."""

    kind: Literal["date", "number"]
    """Dates and numbers have no order among one another."""
    value: float
    """Of a date seconds since 1970 in UTC; a number as it is."""


def moment_of(value: JsonValue) -> Moment | None:
    """What a cell says of a row's time; None where it is neither a date nor a number.

    Dates are those of ISO 8601 (`2024-03-31`, `2024-03-31T18:00:00Z`, `2024-03`), without a zone
    in UTC. 03/04/2024 is none: it is two days, depending on who reads it.
    """
    if isinstance(value, bool) or value is None:
        return None
    text = str(value).strip()
    if _NUMBER.fullmatch(text):
        return Moment("number", float(text))
    if isinstance(value, float):
        return Moment("number", value)
    try:
        date = datetime.fromisoformat(f"{text}-01" if _MONTH.fullmatch(text) else text)
    except ValueError:
        return None
    return Moment("date", (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp())
