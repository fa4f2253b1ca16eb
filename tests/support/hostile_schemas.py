"""JSON schemas that somebody might send to break a server, or because nobody told them."""

from typing import Any

Schema = dict[str, Any]


def nested(levels: int, inner: Schema) -> Schema:
    for _ in range(levels):
        inner = {"type": "object", "properties": {"a": inner}, "required": ["a"]}
    return inner


def listed(levels: int) -> Schema:
    schema: Schema = {"type": "integer"}
    for _ in range(levels):
        schema = {"type": "array", "items": schema}
    return schema


def wide(count: int, **each: Any) -> Schema:
    return {
        "type": "object",
        "properties": {f"p{n}": {"type": "string", **each} for n in range(count)},
    }


def exploding(levels: int, each: int) -> Schema:
    """Definitions that refer to the next one several times: as text it has each ** levels parts."""
    defs = {
        f"d{n}": {
            "type": "object",
            "properties": {f"p{m}": {"$ref": f"#/$defs/d{n + 1}"} for m in range(each)},
        }
        for n in range(levels)
    }
    return {"$defs": {**defs, f"d{levels}": {"type": "null"}}, "$ref": "#/$defs/d0"}


TEXT: Schema = {"type": "string"}
NUMBER: Schema = {"type": "integer"}

REFUSED: dict[str, Any] = {
    "nested 17 deep": nested(16, TEXT),
    "nested 200 deep": nested(200, TEXT),
    "nested 900 deep": nested(900, TEXT),
    "lists nested 500 deep": listed(500),
    "5,000 choices": {"enum": [f"value {n}" for n in range(5000)]},
    "501 choices": {"enum": list(range(501))},
    "600 properties": wide(600),
    "a megabyte of description": {"type": "string", "description": "x" * 1_000_000},
    "a long name": {"type": "object", "properties": {"x" * 300: TEXT}},
    "a grammar as a name": {"type": "object", "properties": {'a" | root "': TEXT}},
    "a name with a line": {"type": "object", "properties": {"a\nroot ::= 1": TEXT}},
    "a long choice": {"enum": ["x" * 70_000]},
    "allOf": {"allOf": [TEXT, {"type": "string", "minLength": 3}]},
    "not": {"not": TEXT},
    "if": {"if": TEXT, "then": TEXT, "else": NUMBER},
    "oneOf": {"oneOf": [NUMBER, {"type": "number"}]},
    "uniqueItems": {"type": "array", "items": TEXT, "uniqueItems": True},
    "contains": {"type": "array", "items": TEXT, "contains": TEXT},
    "a slow pattern": {"type": "string", "pattern": "^(a+)+$"},
    "a pattern of many": {"type": "string", "pattern": "(x{1,1000}){1,1000}"},
    "patternProperties": {"type": "object", "patternProperties": {"^a": TEXT}},
    "propertyNames": {"type": "object", "propertyNames": {"pattern": "^a"}},
    "minProperties": {"type": "object", "properties": {"a": TEXT}, "minProperties": 1},
    "dependentRequired": {"type": "object", "dependentRequired": {"a": ["b"]}},
    "multipleOf": {"type": "integer", "multipleOf": 7},
    "a format": {"type": "string", "format": "uri"},
    "a bound on a number": {"type": "number", "minimum": 0.5},
    "a billion items": {"type": "array", "items": TEXT, "minItems": 10**9},
    "negative items": {"type": "array", "items": TEXT, "minItems": -1},
    "more than most": {"type": "array", "items": TEXT, "minItems": 3, "maxItems": 2},
    "a billion characters": {"type": "string", "maxLength": 10**9},
    "a huge bound": {"type": "integer", "maximum": 10**40},
    "a bound that is text": {"type": "integer", "maximum": "9"},
    "itself": {"$ref": "#"},
    "itself or nothing": {"anyOf": [{"$ref": "#"}, {"type": "null"}]},
    "in a circle": {
        "$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"anyOf": [{"$ref": "#/$defs/a"}]}},
        "$ref": "#/$defs/a",
    },
    "in circles without number": {
        "$defs": {
            f"d{n}": {"anyOf": [{"$ref": f"#/$defs/d{(n + m) % 20}"} for m in range(1, 20)]}
            for n in range(20)
        },
        "$ref": "#/$defs/d0",
    },
    "another file": {"$ref": "file:///etc/passwd"},
    "another host": {"$ref": "http://127.0.0.1/schema.json"},
    "nowhere": {"$ref": "#/$defs/none"},
    "no type": {},
    "an unknown type": {"type": "any"},
    "a type of types": {"type": [["string"]]},
    "no choices": {"enum": []},
    "no options": {"anyOf": []},
    "a choice of another type": {"type": "integer", "enum": ["a"]},
    "a const of another type": {"type": "integer", "const": "a"},
    "properties in a list": {"type": "object", "properties": [TEXT]},
    "a schema that is true": {"type": "object", "properties": {"a": True}},
    "required and unknown": {"type": "object", "properties": {}, "required": ["a"]},
    "no number at all": {"type": "integer", "maximum": float("nan")},
    "more beside the named": {
        "type": "object",
        "properties": {"a": TEXT},
        "additionalProperties": NUMBER,
    },
    "beside a reference": {"$defs": {"a": TEXT}, "$ref": "#/$defs/a", "minLength": 3},
}
"""By what is wrong with it. None may reach a model."""

HEAVY: dict[str, Schema] = {
    "exploding": exploding(15, 16),
    "240 optional properties": wide(240),
    "many items of many": {
        "type": "array",
        "minItems": 256,
        "maxItems": 256,
        "items": {"type": "array", "minItems": 256, "maxItems": 256, "items": TEXT},
    },
    "long texts": {
        "type": "object",
        "properties": {
            f"p{n}": {"type": "string", "minLength": 900 + n, "maxLength": 1024} for n in range(10)
        },
    },
}
"""Within the bounds, and much to compile: the last takes seconds with a usual vocabulary."""
