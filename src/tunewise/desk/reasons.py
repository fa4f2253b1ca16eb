"""tunewise.toml as a person reads it: each key with its value and the remark that stands above it.

What `tunewise init` found, and why, it writes into these remarks; so does whoever edits the file.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from tomlkit import TOMLDocument, parse
from tomlkit.container import Container
from tomlkit.exceptions import TOMLKitError
from tomlkit.items import AoT, Comment, Item, Table, Whitespace

from tunewise.errors import UserError
from tunewise.runs.records import visible

_COMMENTED_OUT = re.compile(r"#\s*[\w-]+\s*=")


@dataclass(frozen=True, kw_only=True, slots=True)
class Reason:
    """One key, or a remark that stands alone."""

    key: str
    """Empty: a remark alone."""
    value: str
    remark: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Section:
    """One table."""

    name: str
    """Empty: what stands above the first one."""
    reasons: tuple[Reason, ...]


def reasons_of(text: str) -> list[Section]:
    """The tables of the file, in its order.

    Raises:
        UserError: it is not TOML.
    """
    return _sections("", parsed(text))


def parsed(text: str) -> TOMLDocument:
    """The file with its remarks and its order.

    Raises:
        UserError: it is not TOML.
    """
    try:
        return parse(text)
    except TOMLKitError as error:
        raise UserError(f"tunewise.toml is not TOML: {error}") from None


def _sections(name: str, table: Container) -> list[Section]:
    found: list[Reason] = []
    inner: list[Section] = []
    remark: list[str] = []

    def alone() -> None:
        if remark:
            found.append(Reason(key="", value="", remark=_joined(remark)))
            remark.clear()

    for key, item in table.body:
        if isinstance(item, Comment):
            remark.append(visible(item.as_string().strip()))
        elif isinstance(item, Whitespace):
            alone()
        elif isinstance(item, Table) and key is not None:
            alone()
            inner += _sections(f"{name}.{key.key}".lstrip("."), item.value)
        elif key is not None and not isinstance(item, AoT):
            found.append(Reason(key=key.key, value=_shown(item), remark=_joined(remark)))
            remark.clear()
    alone()
    return ([Section(name=name, reasons=tuple(found))] if found else []) + inner


def _joined(lines: Sequence[str]) -> str:
    """Lines of a remark as running text; a key that is commented out has lines of its own."""
    text, in_list, after_key = "", False, False
    for line in lines:
        is_key = in_list or _COMMENTED_OUT.match(line) is not None
        start = "\n" if is_key or after_key else " "
        text += start + (line if is_key else line.removeprefix("#").strip())
        in_list = is_key and (line.endswith("[") or in_list) and not line.endswith("]")
        after_key = is_key
    return text.strip()


def _shown(item: Item) -> str:
    value = cast("object", item.unwrap())
    if isinstance(value, list):
        return visible(", ".join(str(one) for one in cast("list[object]", value)))
    return visible(str(value).lower() if isinstance(value, bool) else str(value))
