"""Turns examples into units: the rows that must stay on one side of a split.

A unit is a group of the person's, or all rows with the same input. A unit whose first row nearly
repeats an earlier row, or is a piece of the same conversation, joins that row's unit. What is said
of a row depends on it and earlier rows only, so rows added at the end move no old one. It knows
nothing of sides or shares.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass

from tunewise.data.splitting.conversation_pieces import pieces
from tunewise.data.splitting.near_duplicates import leaders
from tunewise.text.comparison import caseless
from tunewise.types import Example, Message, Preference


@dataclass(frozen=True, kw_only=True, slots=True)
class Units:
    """Which unit each row belongs to."""

    names: tuple[str, ...]
    """(rows,) name of the unit."""
    torn: tuple[tuple[int, int], ...]
    """(row, earlier row) that nearly repeat one another in two units, because a group that began
    in one unit goes on near another. The group wins."""
    pieces: int = 0
    """Rows that joined a unit because they are a piece of a conversation that it holds."""


def units(examples: Sequence[Example]) -> Units:
    """The unit of each row.

    Args:
        examples: all rows, in the order of the file.
    """
    own = [own_unit(example) for example in examples]
    leader = [int(row) for row in leaders([comparable_text(example) for example in examples])]
    whole = pieces(examples)
    joined: dict[str, str] = {}
    torn: list[tuple[int, int]] = []
    for row, name in enumerate(own):
        followed = own[leader[row]]
        if name not in joined:
            near = joined.get(followed, name)
            joined[name] = near if near != name else joined.get(own[whole[row]], name)
        elif joined[name] != joined[followed]:
            torn.append((row, leader[row]))
    names = tuple(joined[name] for name in own)
    same = (row for row, earlier in enumerate(whole) if earlier != row)
    together = sum(names[row] == names[whole[row]] for row in same)
    return Units(names=names, torn=tuple(torn), pieces=together)


def own_unit(example: Example) -> str:
    """What a row belongs to by itself: its group if it has one, else its normalised input."""
    if example.group is not None:
        return f"group:{example.group}"
    return f"input:{normalised_input(example)}"


def normalised_input(example: Example | Preference) -> str:
    """The comparison form of the whole input, without case: rows alike in it are one unit."""
    turns = ((turn.role, caseless(_said(turn))) for turn in example.messages)
    return json.dumps(list(turns), ensure_ascii=False)


def comparable_text(example: Example) -> str:
    """The input by which rows are compared: its turns but for the system's."""
    return "\n".join(_said(turn) for turn in example.messages if turn.role != "system")


def _said(turn: Message) -> str:
    """A turn's text, and the calls of tools beside it."""
    if not turn.tool_calls:
        return turn.content
    calls = (f"{call.name} {call.arguments}" for call in turn.tool_calls)
    return "\n".join([turn.content, *calls])
