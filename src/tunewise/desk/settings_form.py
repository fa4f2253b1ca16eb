"""The JSON Schema of tunewise.toml and a file -> fields of a form; what was typed -> the new file.

A field that nobody touched leaves its line as it is, and an empty one takes the key out.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, cast

from tomlkit import TOMLDocument, dumps, item, parse, table
from tomlkit.items import Table

from tunewise.desk.reasons import parsed
from tunewise.project.constraints import AUTO
from tunewise.project.schema import toml_schema

Look = Literal["line", "text", "lines", "choice", "choices", "pairs"]
Values = Mapping[str, object]
NONE = "(none)"
"""Stands for a list of choices of which none is taken, where an empty value is a key left out."""
TEXTS = 60
"""Characters from which a text has several lines to be typed in."""


_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f]")


@dataclass(frozen=True, kw_only=True, slots=True)
class Field:
    """One key of the file."""

    section: str
    key: str
    help: str
    look: Look
    """How it is asked for; `text` is one of several lines, `lines` has an entry a line, `pairs` a
    `name = meaning`."""
    choices: tuple[str, ...]
    """Of a choice; what is proposed for a line."""
    default: str
    """As it is typed; empty: none, or what `help` says."""
    value: str
    """As it is typed; empty: not in the file. Choices stand one a line."""
    was: str
    """What the file held when the form was shown."""
    fault: str = ""

    @property
    def name(self) -> str:
        """`task.kind`."""
        return f"{self.section}.{self.key}"

    @property
    def chosen(self) -> frozenset[str]:
        """Of `choices`: what is ticked."""
        return frozenset((self.value or self.default).splitlines()) - {NONE}


@dataclass(frozen=True, kw_only=True, slots=True)
class FormSection:
    """One table of the file."""

    name: str
    help: str
    fields: tuple[Field, ...]
    tables: tuple[str, ...]
    """Tables within it, which are edited in the file."""

    @property
    def is_open(self) -> bool:
        """Whether there is something to see in it."""
        return any(field.value or field.fault for field in self.fields)


def form_of(values: Values) -> list[FormSection]:
    """The fields of every section.

    Args:
        values: the tables of the file as they stand there.
    """
    sections: list[FormSection] = []
    for name, schema in toml_schema()["properties"].items():
        if "properties" not in schema:
            continue
        given = values.get(name)
        own = cast("Mapping[str, object]", given if isinstance(given, dict) else {})
        fields = tuple(
            _field(name, key, one, own.get(key)) for key, one in schema["properties"].items()
        )
        tables = tuple(k for k, v in own.items() if isinstance(v, dict) and k not in _keys(fields))
        sections.append(
            FormSection(name=name, help=schema["description"], fields=fields, tables=tables)
        )
    return sections


def typed_into(
    sections: Sequence[FormSection], typed: Mapping[str, Sequence[str]]
) -> list[FormSection]:
    """The form with what a person typed, and what the file held when they were shown it.

    Args:
        sections: of the file as it is now.
        typed: name of a field -> its values, with those of `was:NAME`.
    """

    def filled(field: Field) -> Field:
        was = _one(typed.get(f"was:{field.name}"), field.value)
        if field.look == "choices":
            ticked = [one for one in field.choices if one in typed.get(field.name, ())]
            value = "\n".join(ticked) or NONE
            if not was and set(ticked) == set(field.default.splitlines()):
                value = ""
        else:
            value = _one(typed.get(field.name), field.value)
        if value == was:
            return field  # nobody touched it: what the file says now is as good
        met = field.value not in (was, value)
        said = f'It was changed meanwhile to "{field.value}". Save again to have yours.'
        return replace(field, value=value, was=field.value, fault=said if met else "")

    return [
        replace(section, fields=tuple(filled(field) for field in section.fields))
        for section in sections
    ]


def new_text(text: str, sections: Sequence[FormSection]) -> str:
    """The file with what was changed, and all else as it was.

    Args:
        text: the file as it is.
        sections: the form, filled in.

    Raises:
        UserError: the file is not TOML.
    """
    document = parsed(text)
    for section in sections:
        for field in section.fields:
            if field.value != field.was:
                _put(document, section.name, field.key, _value(field))
    return dumps(document)


def with_sources(text: str, sources: Mapping[str, str]) -> str:
    """The file with other rows.

    Args:
        text: the file as it is.
        sources: `examples`, or `train`, `test` and perhaps `dev` -> name of a file.

    Raises:
        UserError: the file is not TOML.
    """
    document = parsed(text)
    for key in ("examples", "train", "dev", "test"):
        _put(document, "data", key, sources.get(key))
    return dumps(document)


def with_faults(
    sections: Sequence[FormSection], faults: Sequence[tuple[tuple[str, ...], str]]
) -> tuple[list[FormSection], list[str]]:
    """The form with what is wrong beside its field, and what belongs to none."""
    known = {field.name for section in sections for field in section.fields}
    own: dict[str, str] = {}
    others: list[str] = []
    for key, what in faults:
        name = ".".join(key[:2])
        if name in known:
            own[name] = f"{own[name]} {what}" if name in own else what
        else:
            others.append(f"{'.'.join(key)}: {what}")
    shown = [
        replace(
            section,
            fields=tuple(
                replace(field, fault=own.get(field.name, field.fault)) for field in section.fields
            ),
        )
        for section in sections
    ]
    return shown, others


def _keys(fields: Sequence[Field]) -> set[str]:
    return {field.key for field in fields}


def _one(values: Sequence[str] | None, otherwise: str) -> str:
    if values is None:
        return otherwise
    return _plain(values[0]) if values else ""


def _plain(text: str) -> str:
    """The text without control characters, which nobody means to type."""
    return _CONTROL.sub("", text.replace("\r\n", "\n")).strip()


def _field(section: str, key: str, schema: Mapping[str, Any], value: object) -> Field:
    kinds: list[Mapping[str, Any]] = schema.get("anyOf", [schema])
    enums: list[str] = [one for kind in kinds for one in kind.get("enum", ())]
    types = {kind.get("type") for kind in kinds}
    auto = [AUTO] if any(kind.get("const") == AUTO for kind in kinds) else []
    shown = _text(value)
    look: Look = "line"
    choices: list[str] = []
    if "object" in types:
        look = "pairs"
    elif "array" in types:
        items: Mapping[str, Any] = schema.get("items", {})
        ticks: list[str] = items.get("anyOf", [items])[0].get("enum", [])
        ticked = ticks and set(shown.splitlines()) <= set(ticks)  # else names of endpoints
        look, choices = ("choices", ticks) if ticked else ("lines", [])
        if look == "choices" and value == []:
            shown = NONE
    elif "boolean" in types:
        look, choices = "choice", ["true", "false", *auto]
    elif enums and len(kinds) == 1:
        look, choices = "choice", enums
    elif enums:
        choices = enums
    elif auto:
        choices = auto
    elif types == {"string"} and (len(shown) > TEXTS or "\n" in shown):
        look = "text"
    return Field(
        section=section,
        key=key,
        help=schema.get("description", ""),
        look=look,
        choices=tuple(choices),
        default=_text(schema.get("default")),
        value=shown,
        was=shown,
    )


def _text(value: object) -> str:
    """A value as it is typed."""
    match value:
        case None:
            return ""
        case bool():
            return str(value).lower()
        case list() | tuple():
            return "\n".join(_text(one) for one in cast("list[object]", value))
        case dict():
            pairs = cast("dict[str, object]", value).items()
            return "\n".join(f"{name} = {_text(what)}" for name, what in pairs)
        case _:
            return _plain(str(value))


def _value(field: Field) -> object:
    """What is typed as TOML has it; what is no number stays a text, which is then told so."""
    schema = toml_schema()["properties"][field.section]["properties"][field.key]
    kinds: list[Mapping[str, Any]] = schema.get("anyOf", [schema])
    types = {kind.get("type") for kind in kinds}
    text = field.value
    if not text:
        return None
    if field.look == "choices":
        return [] if text == NONE else text.splitlines()
    if "object" in types:
        pairs = [line.partition("=") for line in text.splitlines() if line.strip()]
        return {name.strip(): meaning.strip() for name, _, meaning in pairs}
    if "array" in types:
        lines = [line.strip() for line in text.splitlines() if line.strip()]
        return lines[0] if "string" in types and len(lines) == 1 else lines
    if "boolean" in types and text in ("true", "false"):
        return text == "true"
    if types & {"integer", "number"}:
        for number in (int, float):
            try:
                return number(text)
            except ValueError:
                continue
    return text


def _put(document: TOMLDocument, section: str, key: str, value: object) -> None:
    own = cast("Any", document).get(section)
    if value is None:
        if isinstance(own, Table) and key in own:
            del own[key]
        return
    if not isinstance(own, Table):
        document[section] = own = table()
    if isinstance(value, dict):
        inner = table()
        for name, what in cast("dict[str, str]", value).items():
            inner[name] = what
        own[key] = inner
    elif isinstance(value, str) and "\n" in value:
        own[key] = item(parse(f"v = {_several_lines(value)}")["v"])
    else:
        own[key] = value


def _several_lines(text: str) -> str:
    plain = text.replace("\\", "\\\\").replace('"""', '\\"\\"\\"')
    return f'"""\n{plain}\\\n"""'
