"""Whether an answer that is whole keeps to the schema that its request gave.

Engines hold answers to schemas while they write; this is the second look, for all of them.
"""

import json
from collections.abc import Mapping
from typing import Any, cast

import jsonschema
import referencing
import structlog

from tunewise.serving.http.errors import ApiError
from tunewise.types import JsonValue

_NOTHING: referencing.Registry[Any] = referencing.Registry()
"""What a schema may refer to outside itself: a server fetches nothing that a request names."""


def require_kept(text: str, schema: Mapping[str, JsonValue]) -> None:
    """Lets through what matches the schema.

    Args:
        text: an answer that ended by itself.
        schema: that the engine took.

    Raises:
        ApiError: 500, it does not match; the log has the place and the keyword, not the answer.
    """
    try:
        value: object = json.loads(text)
    except (ValueError, RecursionError):
        raise _broken("it is no JSON", place="$", keyword="json") from None
    library = cast("Any", jsonschema)  # its types say nothing of what it returns
    validator = library.Draft202012Validator(dict(schema), registry=_NOTHING)
    fault = library.exceptions.best_match(validator.iter_errors(value))
    if fault is not None:
        raise _broken(
            str(fault.message)[:300], place=str(fault.json_path), keyword=str(fault.validator)
        )


def _broken(why: str, *, place: str, keyword: str) -> ApiError:
    structlog.get_logger().error("schema_not_kept", place=place[:300], keyword=keyword)
    return ApiError(
        500,
        f"The engine ended an answer that does not match the JSON schema it was given: {why} (at "
        f"{place}). This is a fault of the server. Ask again, with another seed or a simpler "
        "schema.",
        code="schema_not_kept",
    )
