"""Judges a form: whether the shop's program could read it at all, and how much of it is right."""

import json
from pathlib import Path

from jsonschema import Draft202012Validator  # in the extra `serve`

from tunewise.metrics.json_answers import parse_object
from tunewise.metrics.json_metrics import json_fields

SCHEMA = json.loads((Path(__file__).parent / "schema.json").read_text("utf-8"))

_VALIDATOR = Draft202012Validator(SCHEMA)


def order_form(answer: str, target: str) -> float:
    """F1 over the fields, as `json_fields` counts them; 0 where the schema does not hold."""
    return json_fields(answer, target).value if is_valid(answer) else 0.0


def is_valid(answer: str) -> bool:
    """Whether the answer is a JSON object, perhaps in one fence of Markdown, under the schema."""
    form = parse_object(answer)
    return form is not None and _VALIDATOR.is_valid(form)
