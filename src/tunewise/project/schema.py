"""Turns the settings into the JSON Schema (draft 2020-12) of tunewise.toml.

Editors complete and check the file by it; the reference page is made from it.
"""

import ast
import inspect
import sys
from collections.abc import Iterator, Mapping
from dataclasses import fields
from functools import cache
from itertools import pairwise
from typing import Any, cast, get_type_hints

from pydantic import TypeAdapter

from tunewise.project.settings import CONTENDERS, ENDPOINT_NAME, Contenders, Endpoint, Project

SCHEMA_FILE = "tunewise.schema.json"
"""Its name where `init` writes it, beside tunewise.toml."""
Schema = dict[str, Any]


def toml_schema() -> Schema:
    """The JSON Schema of tunewise.toml: each section and key with its type, bounds, choices,
    default and description. What depends on several keys, or on files, is not in it."""
    sections = {name: section_schema(record) for name, record in section_records().items()}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "tunewise.toml",
        "description": "A project of Tunewise: should a model be fine-tuned for a task?",
        "type": "object",
        "properties": {
            "root": {
                "type": "string",
                "description": "Folder that relative paths start from and runs are kept under; "
                "the one of this file where absent.",
            },
            **sections,
        },
        "additionalProperties": False,
    }


def section_records() -> dict[str, type]:
    """Name of a section in tunewise.toml -> the record of its keys."""
    types = get_type_hints(Project)
    return {entry.name: types[entry.name] for entry in fields(Project) if entry.name != "root"}


@cache
def section_schema(record: type) -> Schema:
    """The JSON Schema of one table of tunewise.toml.

    Args:
        record: a section's, or `Endpoint`.
    """
    made = TypeAdapter(record).json_schema()
    no_keys = {"optimiser"} if record is Contenders else set[str]()  # a table of its own
    told = _docstrings(record.__module__).get(record.__name__, {})
    keys = {
        k: _cleaned({"description": told[k], **schema} if k in told else schema)
        for k, schema in made["properties"].items()
        if k not in no_keys
    }
    found: Schema = {
        "type": "object",
        "description": " ".join((inspect.getdoc(record) or "").split()),
        "properties": keys,
        "additionalProperties": False,
    }
    if record is Contenders:
        del keys["endpoints"]
        return _with_endpoints(found)
    if record is Endpoint:
        del keys["name"]
        return {**found, "required": ["type", "model"]}
    return found


@cache
def _docstrings(module: str) -> Mapping[str, Mapping[str, str]]:
    """Class -> field -> the text that stands below it, of one file; none without its source.

    pydantic's `use_attribute_docstrings` reads the file once a class, and whenever a project is
    loaded.
    """
    try:
        source = inspect.getsource(sys.modules[module])
    except OSError:
        return {}
    classes = (one for one in ast.parse(source).body if isinstance(one, ast.ClassDef))
    return {one.name: dict(_told(one.body)) for one in classes}


def _told(body: list[ast.stmt]) -> Iterator[tuple[str, str]]:
    for field, below in pairwise(body):
        match field, below:
            case (
                ast.AnnAssign(target=ast.Name(id=name)),
                ast.Expr(value=ast.Constant(value=str(text))),
            ):
                yield name, inspect.cleandoc(text)
            case _:
                pass


def _with_endpoints(section: Schema) -> Schema:
    """Whatever is no key of [contenders] is the table of an endpoint, which `use` may name too."""
    keys = cast(Schema, section["properties"])
    built_in = {"type": "string", "enum": list(CONTENDERS)}
    keys["use"]["items"] = {"anyOf": [built_in, {"type": "string", "pattern": ENDPOINT_NAME}]}
    return {
        **section,
        "patternProperties": {
            rf"^(?!({'|'.join(keys)})$){ENDPOINT_NAME[1:]}": section_schema(Endpoint)
        },
        "if": {"propertyNames": {"enum": list(keys)}},
        "then": {"properties": {"use": {"items": built_in, "minItems": 1}}},
    }


def _cleaned(schema: Schema) -> Schema:
    """Without what TOML lacks (null) and what says nothing: titles, defaults that are no value."""
    kinds = [kind for kind in schema.get("anyOf", ()) if kind != {"type": "null"}]
    only = kinds[0] if len(kinds) == 1 else {"anyOf": kinds} if kinds else {}
    kept = {name: schema[name] for name in schema.keys() - {"anyOf", "title", "default"}}
    found: Schema = {**only, **kept}
    if "description" in found:
        found["description"] = " ".join(found["description"].split())
    if schema.get("default") not in (None, "", []):
        found["default"] = schema["default"]
    return {name: found[name] for name in sorted(found, key=_ORDER.index)}


_ORDER = (
    "description",
    "type",
    "const",
    "enum",
    "anyOf",
    "items",
    "minItems",
    "additionalProperties",
    "minProperties",
    "uniqueItems",
    "pattern",
    "minimum",
    "maximum",
    "default",
)
"""How the words of a key's schema follow each other, for who reads it."""
