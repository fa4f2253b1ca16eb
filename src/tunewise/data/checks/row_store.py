"""Keeps examples where they cost no memory, and gives some of them again by their number.

Rows lie in a temporary file once they are many.
"""

import json
import tempfile
from collections.abc import Sequence
from typing import cast

import numpy as np
from numpy.typing import NDArray

from tunewise.data.splitting.units import document_of
from tunewise.errors import UserError
from tunewise.types import Example, Message, Tool, ToolCall

_IN_MEMORY = 64 * 2**20
"""Bytes kept in memory before they go to a file."""
_ENCODE = json.JSONEncoder(ensure_ascii=False, separators=(",", ":")).encode


def packed(example: Example) -> bytes:
    """An example as bytes; of its metadata, the document that it names."""
    document = document_of(example)
    record = [example.id, _turns(example), example.target, example.group, example.tools, document]
    return _ENCODE(record).encode("utf-8", "surrogatepass")


def packed_input(example: Example) -> str:
    """All of an example's input as text: turns, calls, weights, tools."""
    return _ENCODE([_turns(example), example.tools])


def _turns(example: Example) -> list[list[object]]:
    return [
        [
            turn.role,
            turn.content,
            turn.weight,
            [[call.name, call.arguments, call.id] for call in turn.tool_calls],
            turn.tool_call_id,
        ]
        for turn in example.messages
    ]


def unpacked(record: bytes) -> Example:
    """The example again."""
    name, turns, target, group, tools, document = json.loads(
        record.decode("utf-8", "surrogatepass")
    )
    return Example(
        id=name,
        messages=tuple(
            Message(
                role=role,
                content=content,
                weight=weight,
                tool_calls=tuple(
                    ToolCall(name=call, arguments=arguments, id=called)
                    for call, arguments, called in calls
                ),
                tool_call_id=answered,
            )
            for role, content, weight, calls, answered in turns
        ),
        target=target,
        group=group,
        tools=tuple(cast(list[Tool], tools)),
        metadata={"document": document} if document else {},
    )


class KeptRows:
    """Examples in the order in which they were added."""

    def __init__(self) -> None:
        self._file = tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY)  # noqa: SIM115 - it is kept
        self._ends = [np.zeros(1, dtype=np.int64)]
        self._all: NDArray[np.int64] | None = None

    def add(self, records: Sequence[bytes]) -> None:
        """Adds packed examples.

        Raises:
            UserError: the temporary folder is full.
        """
        last = self._ends[-1][-1]
        self._ends.append(last + np.cumsum([len(record) for record in records], dtype=np.int64))
        try:
            self._file.seek(0, 2)
            self._file.write(b"".join(records))
        except OSError as error:
            raise UserError(
                f"{tempfile.gettempdir()}: rows cannot be kept there ({error.strerror}). "
                "Free some space, or point TMPDIR to a folder with more room than the data takes."
            ) from None

    def get(self, rows: Sequence[int] | NDArray[np.int64]) -> list[Example]:
        """Some examples again, by their numbers from 0."""
        if self._all is None or len(self._ends) > 1:
            self._all = np.concatenate(self._ends)
            self._ends = [self._all]
        found: list[Example] = []
        for row in rows:
            begin, end = int(self._all[row]), int(self._all[row + 1])
            self._file.seek(begin)
            found.append(unpacked(self._file.read(end - begin)))
        return found

    def close(self) -> None:
        """Deletes them."""
        self._file.close()
