"""Turns examples into units: the rows that must stay on one side of a split.

A unit is a group of the person's, or all rows with the same input. A unit whose first row nearly
repeats an earlier row, or is a piece of the same conversation, joins that row's unit. What is said
of a row depends on it and earlier rows only, so rows added at the end move no old one.

Intervals go by the same units, and count rows of one document as one unit besides.
"""

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from tunewise.data.splitting.conversation_pieces import pieces
from tunewise.data.splitting.near_duplicates import leaders
from tunewise.statistics.intervals import MINIMUM_GROUPS
from tunewise.text.comparison import caseless, comparable
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


@dataclass(frozen=True, kw_only=True, slots=True)
class Clusters:
    """Which rows of one side are not independent of one another."""

    of: Mapping[int, int]
    """Row -> the first row of its unit; rows that are alone in theirs are not named."""
    few_documents: int = 0
    """Documents that the rows name and that are too few to be units; 0: they are units."""

    def groups(self, rows: Iterable[int]) -> list[str | None]:
        """(rows,) the unit of each row, None for a row on its own."""
        return [str(self.of[row]) if row in self.of else None for row in rows]


def clusters(
    names: Sequence[str | int], documents: Sequence[str | int], rows: Sequence[int]
) -> Clusters:
    """The units of one side by which intervals go: units of the split, joined by their documents.

    A split may tear a document, for it is there when the model serves; but how well a document
    answers is shared by all questions on it. Where joining leaves fewer units than an interval
    takes, the documents are taken as given, and the interval is about questions on them alone.

    Args:
        names: (all rows,) the unit of each row, of `Units.names`.
        documents: (all rows,) the document that each row names; an empty text or 0 for none.
        rows: of the side.
    """
    apart = {row: f"unit {names[row]}" for row in rows}
    named = {documents[row] for row in rows if documents[row]}
    joined = _joined(apart, documents)
    few = bool(named) and len(set(joined.values())) < MINIMUM_GROUPS <= len(set(apart.values()))
    chosen = apart if few else joined
    sizes = Counter(chosen.values())
    first: dict[str, int] = {}
    of = {row: first.setdefault(unit, row) for row, unit in chosen.items() if sizes[unit] > 1}
    return Clusters(of=of, few_documents=len(named) if few else 0)


def _joined(units: Mapping[int, str], documents: Sequence[str | int]) -> dict[int, str]:
    """Row -> a name of all units that documents connect."""
    parent: dict[str, str] = {}

    def root(name: str) -> str:
        while (above := parent.setdefault(name, name)) != name:
            parent[name] = name = parent[above]
        return name

    for row, unit in units.items():
        if documents[row]:
            parent[root(unit)] = root(f"document {documents[row]}")
    return {row: root(unit) for row, unit in units.items()}


def document_of(example: Example) -> str:
    """The document that holds a row's answer, in its comparison form; empty where none is named."""
    name = example.metadata.get("document")
    return comparable(name) if isinstance(name, str) else ""


def own_unit(example: Example | Preference) -> str:
    """What a row belongs to by itself: its group if it has one, else its normalised input."""
    if example.group is not None:
        return f"group:{example.group}"
    return f"input:{normalised_input(example)}"


def normalised_input(example: Example | Preference) -> str:
    """The comparison form of the whole input, without case: rows alike in it are one unit."""
    turns = ((turn.role, caseless(_said(turn))) for turn in example.messages)
    return json.dumps(list(turns), ensure_ascii=False)


def comparable_text(example: Example | Preference) -> str:
    """The input by which rows are compared: its turns but for the system's."""
    return "\n".join(_said(turn) for turn in example.messages if turn.role != "system")


def _said(turn: Message) -> str:
    """A turn's text, and the calls of tools beside it."""
    if not turn.tool_calls:
        return turn.content
    calls = (f"{call.name} {call.arguments}" for call in turn.tool_calls)
    return "\n".join([turn.content, *calls])
