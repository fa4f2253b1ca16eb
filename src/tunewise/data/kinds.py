"""Says what the rows of a data set are for, and reads any kind as examples, to be checked."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path

from tunewise.data.formats.detect import numbered_rows
from tunewise.data.layouts.detect import Kind, recognise
from tunewise.data.read import Names, Placed, stream_records
from tunewise.data.read_log import FileError, Reading, RowError
from tunewise.project.settings import Data
from tunewise.types import Example, Message

_PROSE = (".txt", ".md")


def kind_of(files: Iterable[Path], data: Data) -> Kind:
    """What the first row is for; `examples` where nothing can be told."""
    for file in files:
        with suppress(FileError, RowError):
            for _, row in numbered_rows(file, Reading(), as_written=data.names_columns):
                if isinstance(row, dict) and row:
                    return recognise(row, data, "examples", Reading()).kind  # pyright: ignore[reportUnknownArgumentType]
                break
        if file.suffix in _PROSE:  # no table with known columns
            return "texts"
    return "examples"


def stream_as_examples(
    files: Sequence[Path], data: Data, kind: Kind, reading: Reading, names: Names
) -> Iterator[Placed]:
    """The rows of some files, one at a time, whatever they are for.

    A preference pair becomes its prompt with the better answer; a text becomes a user's turn
    without an answer.

    Args:
        files: to be read one after another.
        data: the project's `[data]`.
        kind: what `kind_of` told.
        reading: gets faults and notes.
        names: ids taken before.
    """
    for name, record, file, line in stream_records(files, data, kind, reading, names):
        shaped = record.shaped
        is_text = kind == "texts"
        turns = (Message(role="user", content=shaped.answers[0]),) if is_text else shaped.messages
        example = Example(
            id=name,
            messages=turns,
            target="" if is_text else shaped.answers[0],
            group=record.group,
            metadata=record.metadata,
            tools=shaped.tools,
        )
        yield Placed(example, file, line)
