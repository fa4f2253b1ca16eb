"""Turns answers and targets that are JSON, or must be equal, into judgements.

It knows nothing of labels and words.
"""

from collections import Counter

from tunewise.errors import UserError
from tunewise.evaluation.json_answers import canonical, flatten, parse_object
from tunewise.evaluation.metric import Judgement
from tunewise.types import JsonValue


def _target_object(target: str) -> dict[str, JsonValue]:
    wanted = parse_object(target)
    if wanted is None:
        raise UserError(
            f"task.metric: json_fields needs targets that are JSON objects, and {target[:60]!r} is "
            "none. Mend that row, or choose another metric."
        )
    return wanted


def json_fields(answer: str, target: str) -> Judgement:
    """F1 over the leaves of the two objects, each a path with its value."""
    wanted = Counter(flatten(_target_object(target)))
    parsed = parse_object(answer)
    if parsed is None:
        return Judgement(value=0.0, reason="not a JSON object")
    given = Counter(flatten(parsed))
    shared = (given & wanted).total()
    value = 2 * shared / (given.total() + wanted.total())
    wrong = sorted({path or "{}" for path, _, _ in (given - wanted) + (wanted - given)})
    return Judgement(value=value, reason=f"differs in {', '.join(wrong)}" if wrong else None)


def valid_json(answer: str, target: str) -> Judgement:
    """Whether the answer is a JSON object at all."""
    valid = parse_object(answer) is not None
    return Judgement(value=float(valid), reason=None if valid else "not a JSON object")


def exact_match(answer: str, target: str) -> Judgement:
    """Equal with white space collapsed; JSON objects are equal when their values are.

    Case and punctuation count. The order of keys in an object does not; true is not 1.
    """
    wanted = parse_object(target)
    if wanted is None:
        return Judgement(value=float(answer.split() == target.split()))
    given = parse_object(answer)
    if given is None:
        return Judgement(value=0.0, reason="not a JSON object")
    return Judgement(value=float(canonical(given) == canonical(wanted)))
