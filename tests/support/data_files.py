"""Rows in every format, and what the readers say of a file."""

import csv
import gzip
import io
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.ipc
import pyarrow.parquet
import pytest

from tunewise.data.read import read_examples
from tunewise.errors import UserError
from tunewise.project.settings import Data
from tunewise.types import Example

Write = Callable[..., Path]
Rows = Sequence[Mapping[str, Any]]


def chat(*turns: tuple[object, object], **more: object) -> str:
    """One JSONL row of role and content."""
    return json.dumps({"messages": [{"role": r, "content": c} for r, c in turns], **more})


def jsonl(rows: Rows) -> bytes:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()


def table(rows: Rows, delimiter: str = ",") -> bytes:
    """CSV as spreadsheets write it; what is no text is JSON in its cell."""
    out = io.StringIO(newline="")
    columns = list(rows[0])
    writer = csv.writer(out, delimiter=delimiter)
    writer.writerow(columns)
    for row in rows:
        cells = [row[c] for c in columns]
        writer.writerow([c if isinstance(c, str) else json.dumps(c) for c in cells])
    return out.getvalue().encode()


def parquet(rows: Rows, **options: Any) -> bytes:
    out = io.BytesIO()
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist([*rows]), out, **options)
    return out.getvalue()


def arrow(rows: Rows, *, stream: bool = False) -> bytes:
    """The formats of an Arrow file, and of the stream that `datasets` keeps on disk."""
    whole = pyarrow.Table.from_pylist([*rows])
    out = io.BytesIO()
    new = pyarrow.ipc.new_stream if stream else pyarrow.ipc.new_file
    with new(out, whole.schema) as writer:
        writer.write_table(whole)
    return out.getvalue()


FORMATS: dict[str, Callable[[Rows], bytes]] = {
    "jsonl": jsonl,
    "jsonl without a last line end": lambda rows: jsonl(rows)[:-1],
    "jsonl with CRLF and blank lines": lambda rows: jsonl(rows).replace(b"\n", b"\r\n\r\n"),
    "jsonl with lone CR": lambda rows: jsonl(rows).replace(b"\n", b"\r"),
    "jsonl with a byte order mark": lambda rows: b"\xef\xbb\xbf" + jsonl(rows),
    "jsonl in UTF-16": lambda rows: jsonl(rows).decode().encode("utf-16"),
    "jsonl in UTF-32": lambda rows: jsonl(rows).decode().encode("utf-32"),
    "gzip": lambda rows: gzip.compress(jsonl(rows)),
    "array": lambda rows: json.dumps(rows).encode(),
    "pretty array": lambda rows: json.dumps(rows, indent=2).encode(),
    "pretty objects": lambda rows: "\n".join(json.dumps(row, indent=2) for row in rows).encode(),
    "csv": table,
    "csv with semicolons": lambda rows: table(rows, ";"),
    "tsv": lambda rows: table(rows, "\t"),
    "gzipped csv": lambda rows: gzip.compress(table(rows)),
    "parquet": parquet,
    "parquet in many row groups": lambda rows: parquet(rows, row_group_size=1),
    "gzipped parquet": lambda rows: gzip.compress(parquet(rows)),
    "arrow file": arrow,
    "arrow stream": lambda rows: arrow(rows, stream=True),
}
"""Name -> rows as a file of that format."""


def faults(path: Path, **options: str) -> list[str]:
    """What is wrong with a file, without its name."""
    with pytest.raises(UserError) as caught:
        read_examples(path, Data(**options))
    lines = str(caught.value).splitlines()
    assert all(line.startswith(str(path)) for line in lines)
    return [line.removeprefix(str(path)).removeprefix(":") for line in lines]


def content(examples: Sequence[Example]) -> list[tuple[str, str]]:
    return [(example.input.text, example.target) for example in examples]
