"""Turns Parquet and Arrow files into rows, a batch at a time."""

import datetime
import decimal
import json
import math
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, BinaryIO, NamedTuple, cast

import pyarrow as arrow  # pyright: ignore[reportMissingTypeStubs]
from pyarrow import ipc, parquet  # pyright: ignore[reportMissingTypeStubs]

from tunewise.data.formats.magic import ARROW_FILE, PARQUET
from tunewise.data.formats.text_stream import read_chunk
from tunewise.data.read_log import FileError, Numbered, Reading, RowError
from tunewise.errors import first_line

_BATCH_ROWS = 1000
# Its functions carry no types.
_IPC, _PARQUET_FILE = cast("Any", ipc), cast("Any", parquet).ParquetFile
# A damaged file may claim any size, name any column and count past any end.
_ERRORS = (
    cast("type[Exception]", cast("Any", arrow).ArrowException),
    OSError,
    ValueError,
    MemoryError,
    LookupError,
    OverflowError,
)


def columnar_rows(
    head: bytes, stream: BinaryIO, reading: Reading, *, packed: bool
) -> Iterator[Numbered]:
    """The rows of a Parquet or Arrow file, numbered from 1.

    Null fields inside structures are left out: such files cannot tell them from missing ones.

    Args:
        head: the first bytes.
        stream: the file, at its beginning.
        reading: gets notes.
        packed: whether the stream is gzip, in which one cannot jump about.

    Raises:
        FileError: the file is damaged.
    """
    reading.note("has no lines; the number after its name is that of the row.")
    with tempfile.TemporaryFile() as copy:
        if packed:
            while chunk := read_chunk(stream):
                copy.write(chunk)
            copy.seek(0)
        try:
            yield from _rows(head, cast(BinaryIO, copy) if packed else stream, reading)
        except _ERRORS as error:
            why = first_line(error)[:120]
            raise FileError(f"is damaged ({why}). Write or fetch it again.") from None


class _ArrowTable(NamedTuple):
    schema: Any
    batches: Iterable[Any]


def _table(head: bytes, stream: BinaryIO) -> _ArrowTable:
    if head.startswith(PARQUET):
        file = _PARQUET_FILE(stream, pre_buffer=False)
        return _ArrowTable(file.schema_arrow, file.iter_batches(batch_size=_BATCH_ROWS))
    if head.startswith(ARROW_FILE):
        reader = _IPC.open_file(stream)
        numbers = range(reader.num_record_batches)
        return _ArrowTable(reader.schema, (reader.get_batch(n) for n in numbers))
    reader = _IPC.open_stream(stream)
    return _ArrowTable(reader.schema, reader)


def _rows(head: bytes, stream: BinaryIO, reading: Reading) -> Iterator[Numbered]:
    table = _table(head, stream)
    columns = cast("list[str]", table.schema.names)
    if len(set(columns)) < len(columns):
        raise FileError("has two columns of one name. Rename one of them.")
    labels = _labels(table.schema)
    for column, names in labels.items():
        reading.note(f"{column} holds the numbers of {len(names)} labels; read as their names.")
    number = 0
    for batch in table.batches:
        batch.validate(full=True)
        for row in cast("list[dict[str, object]]", batch.to_pylist()):
            reading.line = number = number + 1
            for column, names in labels.items():
                row[column] = _label(row.get(column), names)
            try:
                yield Numbered(number, {k: _plain(v, reading) for k, v in row.items()})
            except RowError as fault:
                reading.fault(number, fault.kind, fault.what)


def _labels(schema: Any) -> dict[str, Sequence[str]]:
    """Column -> names of its labels, as Hugging Face notes them in the file."""
    noted = cast("Mapping[bytes, bytes]", schema.metadata or {}).get(b"huggingface")
    try:
        features = cast("dict[str, Any]", json.loads(noted or b"{}"))["info"]["features"]
        return {
            column: [str(name) for name in cast("list[object]", feature["names"])]
            for column, feature in cast("dict[str, Any]", features).items()
            if isinstance(feature, dict) and cast("Any", feature).get("_type") == "ClassLabel"
        }
    except (ValueError, KeyError, TypeError, AttributeError):
        return {}


def _label(value: object, names: Sequence[str]) -> object:
    """The name of a label; a number without one (-1: not known) stands for none."""
    known = isinstance(value, int) and 0 <= value < len(names)
    return names[value] if known and isinstance(value, int) else None


def _plain(value: object, reading: Reading) -> object:
    """A cell as JSON could hold it."""
    if isinstance(value, str):
        if "\0" in value:
            raise RowError("NUL", "holds a NUL character. Remove it.")
        return value
    if isinstance(value, dict):
        fields = cast("dict[str, object]", value).items()
        return {key: _plain(item, reading) for key, item in fields if item is not None}
    if isinstance(value, list | tuple):
        return [_plain(item, reading) for item in cast("Sequence[object]", value)]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, decimal.Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, datetime.datetime | datetime.date | datetime.time):
        return value.isoformat()
    if value is None or isinstance(value, int | float):
        return value
    reading.count(f"a cell of {type(value).__name__} is neither text nor number; left out.")
    return None
