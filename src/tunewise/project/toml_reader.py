"""Reads `tunewise.toml` and `key=value` overrides into plain tables.

Faults are collected with the line their key stands on. What the keys mean is not looked at here.
"""

import os
import re
import tomllib
from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple, cast

from tunewise.errors import UserError
from tunewise.project.faults import Faults, Key

FILE_NAME = "tunewise.toml"


class ProjectFile(NamedTuple):
    """What a project is read from."""

    source: Path
    """The file itself, where a folder was named."""
    text: str
    """Its TOML; empty for a data file."""
    values: dict[str, object]
    """The tables and keys at its top."""


def read_project_file(path: Path) -> ProjectFile:
    """Reads a folder's `tunewise.toml`, that file, or the name of a data file as a project of it.

    Raises:
        UserError: it does not exist, cannot be read, or is not TOML.
    """
    if not os.path.exists(path):
        raise UserError(f"{path}: does not exist. Name a project folder or a data file.")
    source = path / FILE_NAME if os.path.isdir(path) else path
    if not os.path.isfile(source):
        raise UserError(
            f"{path}: holds no {FILE_NAME}. Let `tunewise init {path}` write one, or name a data "
            "file such as examples.jsonl instead."
        )
    if source.suffix != ".toml":
        return ProjectFile(source, "", {"data": {"examples": source.name}})
    text = ""
    try:
        text = source.read_bytes().decode("utf-8-sig")
        return ProjectFile(source, text, tomllib.loads(text))
    except OSError as error:
        raise UserError(f"{source}: cannot be read ({error.strerror}). Check its rights.") from None
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise UserError(f"{source}:{line}: is not UTF-8. Save the file as UTF-8.") from None
    except tomllib.TOMLDecodeError as error:
        where = re.search(r"\(at line (\d+), column \d+\)$", str(error))
        line = int(where.group(1)) if where else text.count("\n") + 1
        what = re.sub(r" \(at .*\)$", "", str(error))
        raise UserError(f"{source}:{line}: is not TOML: {what}. Mend that line.") from None
    except (ValueError, RecursionError):
        raise UserError(
            f"{source}: holds a number too long or lists too deep to read. Shorten it."
        ) from None


def apply_override(
    override: str, values: dict[str, object], faults: Faults, text_keys: Collection[Key]
) -> None:
    """Writes one `key=value` into the tables.

    Args:
        override: the value is TOML; what is no TOML value is taken as text.
        values: the tables, which change.
        faults: gets a value that cannot be taken, and which keys were overridden.
        text_keys: keys whose value is a text whatever it looks like, such as `2024`.

    Raises:
        UserError: the override is not written as key=value (exit code 2).
    """
    name, equals, raw = override.partition("=")
    key = tuple(part.strip() for part in name.split("."))
    if not equals or not all(key):
        raise UserError(
            f'--set {override}: must be key=value, such as "training.epochs=2".', exit_code=2
        )
    faults.overridden.add(key)
    value: object = raw
    try:
        parsed = tomllib.loads(f"value = {raw}")
        raw.encode()
    except UnicodeEncodeError:
        return faults.add(key, "holds bytes that are no UTF-8. Type it again.")
    except (ValueError, RecursionError):
        parsed = {}
    given = cast(object, parsed["value"]) if parsed.keys() == {"value"} else None
    if given is not None and (key not in text_keys or type(given) in (str, list)):
        value = given
    table = values
    for part in key[:-1]:
        inner = table.setdefault(part, {})
        if not isinstance(inner, dict):
            return faults.add(key, f'"{part}" is no table. Check the key.')
        table = cast(dict[str, object], inner)
    table[key[-1]] = value
    return None
