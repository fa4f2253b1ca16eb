"""Files of a run as validated records: JSON text in, records or named faults out, and back.

Whoever shows records to a person reads them with `visible`: control characters become pictures
then, so that no terminal escape and no broken encoding gets any further.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, cast

from pydantic import TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from tunewise.errors import UserError
from tunewise.types import JsonValue

Record = TypeVar("Record")
RAN, SKIPPED, STOPPED = "<ran>", "<skipped>", "<stopped>"
"""Tags of the kinds of contenders, which pydantic puts into the paths of faults."""
MAX_FAULTS = 20
"""Faults of one folder that are shown."""
_WANTED = {
    "missing": "given",
    "string_type": "a text",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "float_type": "a number",
    "float_parsing": "a number",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "tuple_type": "a list",
    "too_short": "a list of at least one",
    "dict_type": "an object",
    "mapping_type": "an object",
    "dataclass_type": "an object",
}
"""Kind of a fault -> what the value must be."""


def visible(text: str) -> str:
    """The text with control characters as pictures (ESC becomes ␛); line breaks and tabs stay."""
    return text if text.isprintable() else "".join(map(_visible_character, text))


def _visible_character(character: str) -> str:
    code = ord(character)
    if character in "\n\t":
        return character
    if code < 0x20:
        return chr(0x2400 + code)
    if code == 0x7F:
        return "\u2421"
    if 0x80 <= code < 0xA0 or 0xD800 <= code < 0xE000:  # C1 controls, lone surrogates
        return "\ufffd"
    return character


def visible_value(value: JsonValue) -> JsonValue:
    """The value with every text in it made visible."""
    if isinstance(value, str):
        return visible(value)
    if isinstance(value, Mapping):
        return {visible(key): visible_value(item) for key, item in value.items()}
    if isinstance(value, Sequence):
        return [visible_value(item) for item in value]
    return value


def parse_json(text: str | bytes) -> JsonValue:
    """What the text holds.

    Raises:
        ValueError: it is not JSON; NaN and Infinity are not.
    """
    return cast(JsonValue, json.loads(text, parse_constant=_no_number))


def _no_number(name: str) -> float:
    raise ValueError(f"{name} is no number")


def validate(
    record: TypeAdapter[Record], value: JsonValue, where: str, faults: list[str]
) -> Record | None:
    """The value as a record; None where it is none, with a fault for each key.

    Args:
        record: what it must be.
        value: parsed JSON.
        where: file or line, as a fault names it.
        faults: where faults go.
    """
    try:
        return record.validate_python(value)
    except ValidationError as error:
        faults += [_fault(where, one) for one in error.errors(include_url=False)]
        return None


def read_records(
    path: Path, record: TypeAdapter[Record], faults: list[str], *, for_people: bool = True
) -> tuple[Record, ...]:
    """One record a line; none when the run keeps no such file.

    Args:
        path: of JSON lines.
        record: what each must be.
        faults: where faults go, with `file:line`.
        for_people: whether texts are made visible.
    """
    if not path.is_file():
        return ()
    records: list[Record] = []
    # Split at line feeds alone: JSON strings may hold U+2028, which str.splitlines cuts at.
    for number, line in enumerate(path.read_bytes().split(b"\n"), start=1):
        if not line.strip():
            continue
        where = f"{path.name}:{number}"
        try:
            value = parse_json(line.decode("utf-8", errors="surrogatepass"))
        except ValueError as fault:
            faults.append(f"{where}: not JSON ({fault}).")
            continue
        found = validate(record, visible_value(value) if for_people else value, where, faults)
        if found is not None:
            records.append(found)
    return tuple(records)


def damaged(folder: Path, faults: Sequence[str], remedy: str) -> UserError:
    """The error of a folder whose files cannot be read.

    Args:
        folder: of a run or a training.
        faults: as `validate` and `read_records` name them, at least one.
        remedy: which command writes the files anew.
    """
    shown = [*faults[:MAX_FAULTS]]
    if len(faults) > len(shown):
        shown.append(f"... and {len(faults) - len(shown)} more.")
    return UserError.together([*shown, f"{folder} was changed or cut short. {remedy}"])


def dump(record: TypeAdapter[Record], value: Record) -> dict[str, Any]:
    """The record as an object to write, keys in their order."""
    return cast("dict[str, Any]", record.dump_python(value, by_alias=True))


def _fault(where: str, error: ErrorDetails) -> str:
    """A sentence such as: verdict.json: contenders[0]: quality: `value` must be given."""
    place = [where]
    for part in error["loc"]:
        if isinstance(part, int):
            place[-1] += f"[{part}]"
        elif part not in (RAN, SKIPPED):
            place.append(part)
    if error["type"] == "value_error":  # raised by the record itself
        return f"{': '.join(place)}: {error.get('ctx', {}).get('error')}."
    said = error["msg"].removeprefix("Input should be ")
    wanted = _WANTED.get(error["type"], said)
    if len(place) == 1:
        return f"{where}: must be {wanted}."
    return f"{': '.join(place[:-1])}: `{place[-1]}` must be {wanted}."
