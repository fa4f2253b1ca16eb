"""Whatever is fed in: rows, or an error that says where and what. Nothing else may happen.

A hundred cases a reader in the quick tests, 2,000 in the slow ones (`FUZZ_CASES=20000 make
test-slow` for more, and other draws each time): what one reader reads in several layouts is shared
out among them.
"""

import csv
import gzip
import io
import json
import os
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from data_files import Write, arrow, content, jsonl, parquet, table
from tunewise.data.read import read_examples, read_preferences, read_texts
from tunewise.errors import UserError
from tunewise.project.settings import Data

CASES = int(os.environ.get("FUZZ_CASES", "2000"))


def with_cases(layouts: int = 1) -> pytest.MarkDecorator:
    """Runs a test with few cases, and slowly with `CASES` shared out among some layouts."""
    many = pytest.param(CASES // layouts, marks=pytest.mark.slow)
    return pytest.mark.parametrize("cases", [pytest.param(100, id="quick"), many])


def fuzz(cases: int, attempt: Callable[..., None], **drawn: st.SearchStrategy[object]) -> None:
    """Calls `attempt` with that many drawn values."""

    @settings(
        max_examples=cases, deadline=None, database=None, suppress_health_check=[*HealthCheck]
    )
    @given(**drawn)
    def run(**values: object) -> None:
        attempt(**values)

    run()


def survives(path: Path, data: Data | None = None) -> None:
    """Every reader reads it, or says where and what."""
    for read in (
        lambda: read_examples(path, data).examples,
        lambda: read_preferences([path], data).rows,
        lambda: read_texts([path], data).rows,
    ):
        try:
            assert read()
        except UserError as error:
            lines = str(error).split("\n")
            assert all(line.startswith(str(path)) for line in lines), lines
            assert all(line.rstrip().endswith((".", "?")) for line in lines), lines


texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1)
words = texts.filter(str.strip)
values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=5,
)
BEGINNINGS = [
    b"", b"[", b"{", b"[\n", b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff", b"\x1f\x8b\x08", b"PAR1",
    b"ARROW1\0\0", b"\xff\xff\xff\xff", b"input,output\n", b"text\n", b'{"input":',
    b'{"messages":[',     b'[{"input":"q","output":"a"},', b'{"input":"q","output":"a"}\n',
]  # fmt: skip


@with_cases()
def test_bytes(write: Write, cases: int) -> None:
    def attempt(start: bytes, raw: bytes) -> None:
        survives(write(start + raw), Data(group="g"))

    fuzz(cases, attempt, start=st.sampled_from(BEGINNINGS), raw=st.binary(max_size=60))


ROWS = [
    {
        "input": f"question {n}",
        "output": "yes" if n % 2 else "no",
        "id": n,
        "more": {"a": [n, 1.5]},
    }
    for n in range(5)
]
WHOLE = {
    "jsonl": jsonl(ROWS),
    "array": json.dumps(ROWS).encode(),
    "pretty": json.dumps(ROWS, indent=1).encode(),
    "csv": table(ROWS),
    "utf-16": jsonl(ROWS).decode().encode("utf-16"),
    "gzip": gzip.compress(jsonl(ROWS), mtime=0),
    "parquet": parquet(ROWS),
    "arrow": arrow(ROWS),
    "arrow stream": arrow(ROWS, stream=True),
}
damage = st.lists(
    st.tuples(
        st.floats(0, 1), st.sampled_from(["cut", "drop", "flip", "add"]), st.binary(max_size=9)
    ),
    min_size=1,
    max_size=4,
)  # fmt: skip


def damaged(raw: bytes, harm: list[tuple[float, str, bytes]]) -> bytes:
    for share, way, more in harm:
        place = int(share * len(raw))
        if way == "cut":
            raw = raw[:place]
        elif way == "drop":
            raw = raw[:place] + raw[place + 1 + len(more) :]
        elif way == "flip":
            raw = raw[:place] + more + raw[place + len(more) :]
        else:
            raw = raw[:place] + more + raw[place:]
    return raw


@with_cases(layouts=3)
@pytest.mark.parametrize("kind", WHOLE)
def test_damaged_files(write: Write, kind: str, cases: int) -> None:
    def attempt(harm: list[tuple[float, str, bytes]]) -> None:
        survives(write(damaged(WHOLE[kind], harm)))

    fuzz(cases, attempt, harm=damage)


columns = dict.fromkeys(
    [
        "id", "input", "output", "instruction", "g", "meta", "weight", "choices", "question",
        "prompt", "completion", "chosen", "rejected", "text", "label", "system", "tools",
        "preferred_output", "non_preferred_output",
    ],
    values,
)  # fmt: skip
call = st.fixed_dictionaries(
    {},
    optional={
        "id": values,
        "type": values,
        "name": texts,
        "arguments": values | values.map(json.dumps),
        "function": st.fixed_dictionaries({"name": texts, "arguments": values.map(json.dumps)})
        | values,
    },
)
turn = st.fixed_dictionaries(
    {},
    optional={
        "role": st.sampled_from(["user", "assistant", "system", "tool"]) | values,
        "from": st.sampled_from(["human", "gpt", "function_call", "observation"]) | values,
        "content": words | values,
        "value": words | values,
        "weight": st.sampled_from([0, 1]) | values,
        "tool_calls": st.lists(call, max_size=2) | values,
        "tool_call_id": values,
    },
)
conversations = values | st.lists(turn, max_size=4)


@with_cases()
def test_json(write: Write, cases: int) -> None:
    def attempt(row: dict[str, object]) -> None:
        survives(write(json.dumps(row)), Data(group="g"))

    fuzz(cases, attempt, row=st.fixed_dictionaries({}, optional=columns))


@with_cases(layouts=4)
@pytest.mark.parametrize("column", ["messages", "conversations", "prompt", "chosen"])
def test_conversations(write: Write, column: str, cases: int) -> None:
    def attempt(row: dict[str, object]) -> None:
        survives(write(json.dumps(row)))

    needed = {
        column: conversations,
        **({} if column == "messages" else {"completion": conversations}),
    }
    more = {"weight": values, "tools": st.lists(call) | values, "system": values}
    others = {"rejected": conversations, "chosen": conversations} if column == "chosen" else {}
    fuzz(cases, attempt, row=st.fixed_dictionaries({**needed, **others}, optional=more))


@with_cases()
def test_a_table(write: Write, cases: int) -> None:
    def attempt(header: str, body: str) -> None:
        survives(write(f"{header}\n{body}"), Data(group="g"))

    fuzz(
        cases,
        attempt,
        header=st.sampled_from(["input,output,g", "input;output", "text", "messages\tg", '"']),
        body=st.text(st.sampled_from('ab,;\t"\r\n \ufeff\0[{}]'), max_size=40),
    )


@with_cases()
def test_any_texts_survive_every_format(write: Write, cases: int) -> None:
    def attempt(rows: list[tuple[str, str]], indent: int | None) -> None:
        objects = [{"input": question, "output": answer} for question, answer in rows]
        out = io.StringIO(newline="")
        csv.writer(out).writerows([("input", "output"), *rows])
        for raw in (
            jsonl(objects),
            json.dumps(objects, indent=indent).encode(),
            out.getvalue().encode(),
            parquet(objects),
        ):
            assert content(read_examples(write(raw)).examples) == rows

    pairs = st.lists(st.tuples(words, words), min_size=1, max_size=5)
    fuzz(cases, attempt, rows=pairs, indent=st.none() | st.just(1))
