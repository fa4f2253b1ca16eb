"""Turns answers and targets that are JSON, or must be equal, into judgements.

In JSON a number is its value: 4, 4.0 and 4e0 are one, without rounding. A number in quotes is a
text.
"""

import re
from collections import Counter
from collections.abc import Iterable
from decimal import Decimal

from tunewise.errors import UserError
from tunewise.metrics.json_answers import (
    Json,
    Leaf,
    canonical,
    leaves,
    parse_json,
    shown_leaf,
)
from tunewise.metrics.metric import Judgement
from tunewise.text.comparison import caseless, comparable

_NAMED = 5
_BESIDE_DIGITS = re.compile(r"[\s,_'€$£¥₹%+]")
_AMOUNT = re.compile(r"-?[0-9]+(\.[0-9]+)?")


def _target_object(target: str) -> Json:
    wanted = parse_json(target)
    if wanted is None or not wanted.is_object:
        raise UserError(
            f"task.metric: json_fields needs targets that are JSON objects, and {target[:60]!r} is "
            "none. Mend that row, or choose another metric."
        )
    return wanted


def json_fields(answer: str, target: str) -> Judgement:
    """F1 over the leaves of the two objects, each a path with its value.

    Neither the order of keys and lists nor the case of texts counts. Lists whose items hold the
    same values in other combinations count as one more difference.
    """
    wanted_json = _target_object(target)
    parsed = parse_json(answer)
    if parsed is None or not parsed.is_object:
        return Judgement(value=0.0, reason="not a JSON object")
    wanted, given = Counter(leaves(wanted_json.value)), Counter(leaves(parsed.value))
    shared, total = (given & wanted).total(), given.total() + wanted.total()
    if given != wanted:
        return Judgement(value=2 * shared / total, reason=_differences(given, wanted))
    same = [canonical(one.value, ordered=False, text=caseless) for one in (parsed, wanted_json)]
    if same[0] == same[1]:
        return Judgement(value=1.0)
    return Judgement(
        value=2 * shared / (total + 2), reason="the items of a list combine their values otherwise"
    )


def valid_json(answer: str, target: str) -> Judgement:
    """Whether the answer is JSON at all: an object, or a list where a list is wanted."""
    wanted, parsed = parse_json(target), parse_json(answer)
    kind, what = (list, "list") if wanted and isinstance(wanted.value, list) else (dict, "object")
    valid = parsed is not None and isinstance(parsed.value, kind)
    return Judgement(value=float(valid), reason=None if valid else f"not a JSON {what}")


def exact_match(answer: str, target: str) -> Judgement:
    """Equal to the eye; JSON (objects, lists, numbers) is equal when its values are.

    Case and punctuation count, and so does the order of a list. The order of keys in an object does
    not; true is not 1. What is no JSON is compared as it is written: 1,000 is not 1000.
    """
    wanted = parse_json(target)
    if wanted is None:
        return _same_text(answer, target)
    given = parse_json(answer)
    if given is None:
        what = "object" if wanted.is_object else "list" if isinstance(wanted.value, list) else ""
        if not what:
            return _same_text(answer, target)
        return Judgement(value=0.0, reason=f"not a JSON {what}")
    if canonical(given.value) == canonical(wanted.value):
        return Judgement(value=1.0)
    found, right = (Counter(leaves(one.value, text=comparable)) for one in (given, wanted))
    differing = _differences(found, right) if found != right else "the order of a list differs"
    return Judgement(value=0.0, reason=differing)


def _same_text(answer: str, target: str) -> Judgement:
    given, wanted = comparable(answer), comparable(target)
    if given == wanted:
        return Judgement(value=1.0)
    amount = _amount(given)
    if amount is not None and amount == _amount(wanted):
        reason = (
            f"{given[:40]!r} is not written as {wanted[:40]!r}: numbers within a text are compared "
            "as they are written"
        )
    elif given.casefold() == wanted.casefold():
        reason = f"only the case differs from {wanted[:40]!r}"
    else:
        reason = f"{given[:40]!r} instead of {wanted[:40]!r}"
    return Judgement(value=0.0, reason=reason)


def _amount(text: str) -> Decimal | None:
    """The number that a text is, whatever separators and currency stand in it."""
    bare = _BESIDE_DIGITS.sub("", text)
    return Decimal(bare) if _AMOUNT.fullmatch(bare) else None


def _differences(given: Counter[Leaf], wanted: Counter[Leaf]) -> str:
    """`differs in a, b`, with both values where one stands against one."""
    wrong = [(leaf.path, leaf) for leaf in ((given - wanted) + (wanted - given))]
    places = sorted({(leaf.place, path) for path, leaf in wrong})
    described = [
        _difference(place, _at(given - wanted, path), _at(wanted - given, path))
        for place, path in places[:_NAMED]
    ]
    more = f" and {len(places) - _NAMED} more" if len(places) > _NAMED else ""
    return f"differs in {', '.join(described)}{more}"


def _at(found: Iterable[Leaf], path: tuple[str, ...]) -> list[Leaf]:
    return [leaf for leaf in found if leaf.path == path]


def _difference(place: str, given: list[Leaf], wanted: list[Leaf]) -> str:
    """The place; and what stands there, where only the type differs: "4" (text) and 4."""
    if len(given) == len(wanted) == 1 and given[0].kind != wanted[0].kind:
        return f"{place} ({shown_leaf(given[0])} instead of {shown_leaf(wanted[0])})"
    return place
