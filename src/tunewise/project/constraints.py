"""What one value may be: a rule that pydantic checks, JSON Schema says and a person is told.

A rule stands in the annotation of a field of the settings, `Annotated[str, Written(...)]`. What
it says of a wrong value is a pydantic error of the type `OWN_WORDS`, whose message is meant for
people as it stands: what is wrong, and what to do.
"""

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, Literal, TypeAlias

from pydantic import Field, GetCoreSchemaHandler, GetJsonSchemaHandler, Strict
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, PydanticCustomError, PydanticUseDefault, core_schema

AUTO: Literal["auto"] = "auto"
Auto = Literal["auto"]
OWN_WORDS = "own_words"
"""Type of the errors whose message is told as it is."""


def wrong(what: str) -> PydanticCustomError:
    """The error of a value: `what` is wrong with it, and what to do."""
    return PydanticCustomError(OWN_WORDS, "{what}", {"what": what})


def suggest(word: str, known: Sequence[str]) -> str:
    """What to do about an unknown word: the known one it is near to, or all of them."""
    near = difflib.get_close_matches(word.lower(), known, n=1, cutoff=0.6)
    return f'Did you mean "{near[0]}"?' if near else f"Choose from: {', '.join(known)}."


def within(low: float, high: float) -> Any:
    """A number from low to high, both included; true and "3" are none."""
    return Field(ge=low, le=high, strict=True)


@dataclass(frozen=True)
class Written:
    """A text in which a pattern is found. It is never shown: it may be a key or a password."""

    pattern: str
    """Understood alike by Python and by ECMAScript, which JSON Schema means."""
    said: str
    """What is said of any other text."""

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        """See pydantic."""
        return core_schema.no_info_after_validator_function(self._checked, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """See pydantic."""
        return {**handler(schema), "pattern": self.pattern}

    def _checked(self, value: str) -> str:
        if not re.search(self.pattern, value):
            raise wrong(self.said)
        return value


@dataclass(frozen=True)
class Distinct:
    """A list that names nothing twice."""

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        """See pydantic."""
        return core_schema.no_info_after_validator_function(self._checked, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """See pydantic."""
        return {**handler(schema), "uniqueItems": True}

    def _checked(self, values: tuple[str, ...]) -> tuple[str, ...]:
        for n, value in enumerate(values):
            if value in values[:n]:
                raise wrong(f'names "{value}" more than once. Remove the repetition.')
        return values


@dataclass(frozen=True)
class AutoIsDefault:
    """A value that may be "auto" as well, which is its default."""

    def __get_pydantic_core_schema__(
        self, source: Any, handler: GetCoreSchemaHandler
    ) -> CoreSchema:
        """See pydantic."""
        return core_schema.no_info_before_validator_function(self._given, handler(source))

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """See pydantic."""
        return {"anyOf": [handler(schema), {"const": AUTO, "type": "string"}]}

    def _given(self, value: object) -> object:
        if value == AUTO:
            raise PydanticUseDefault
        return value


Flag: TypeAlias = Annotated[bool, Strict()]
"""true or false, and nothing that stands for them."""
Text: TypeAlias = Annotated[
    str, Written(r"[^\s\x1c-\x1f]", 'must be a text, not "". Write it in quotes.')
]
"""A text with something to see in it."""
