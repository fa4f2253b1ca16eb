"""test.jsonl: the rows that judge, as a run keeps them."""

from dataclasses import dataclass
from typing import Annotated

from pydantic import Field, TypeAdapter


@dataclass(frozen=True, kw_only=True, slots=True)
class HeldOut:
    """One test row as the contenders saw it, and the answer wanted."""

    id: str
    input: str
    target: str
    place: Annotated[str | None, Field(exclude=True)] = None
    """`file:line` of the row, relative to the project, from places.json; None where the run did
    not write it."""


TEST_ROW = TypeAdapter(HeldOut)
