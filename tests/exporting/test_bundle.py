"""A model's folder holds all that its contender needs, and nothing that is run or unpickled."""

import json
from pathlib import Path
from typing import Any

import pytest

from tunewise.errors import UserError
from tunewise.exporting.bundle import Bundle, read_bundle, seal_bundle, write_files
from tunewise.retrieval.chunk import Passage
from tunewise.runs.model_file import BaseUsed, ModelFile, Origin
from tunewise.types import Example, Message, ToolCall

ORIGIN = Origin(project="shop", run="20261101-1", token="abc", data="f")
CALLING = Example(
    id="r1",
    messages=(
        Message(role="system", content="Be brief."),
        Message(role="user", content="Wo ist mein Paket?\u2028 \ud83d"),
        Message(role="assistant", content="", tool_calls=(ToolCall(name="find", arguments="{}"),)),
        Message(role="tool", content="late", tool_call_id="1"),
    ),
    target='{"name": "find", "arguments": {}}',
    group="customer 7",
    metadata={"price": 3},
    tools=({"type": "function", "function": {"name": "find", "parameters": {"a": [1, None]}}},),
)
PASSAGE = Passage(id="care.md#2", document="care.md", heading="Care > Washing", text="Wash cold.")


def model(**fields: Any) -> ModelFile:
    plain = {"contender": "few_shot", "kind": "few_shot", "base": BaseUsed(name="small")}
    return ModelFile(**{**plain, "origin": ORIGIN, **fields})


@pytest.fixture
def bundle(tmp_path: Path) -> Bundle:
    adapter = tmp_path / "adapter"
    adapter.mkdir()
    (adapter / "adapter_model.safetensors").write_bytes(b"\0" * 64)
    folder = tmp_path / "model"
    folder.mkdir()
    write_files(folder, examples=[CALLING], passages=[PASSAGE], adapter=adapter)
    settings = {"k": 2, "selection": "nearest", "by": "BM25"}
    return seal_bundle(folder, model(settings=settings, max_tokens=33))


def test_what_was_written_is_read(bundle: Bundle) -> None:
    again = read_bundle(bundle.folder)
    assert again == bundle
    assert again.passages() == (PASSAGE,)
    again.check()


def test_rows_keep_what_is_shown_of_them_and_nothing_else(bundle: Bundle) -> None:
    (row,) = bundle.examples()
    assert (row.id, row.messages, row.target, row.tools) == (
        "r1", CALLING.messages, CALLING.target, CALLING.tools,
    )  # fmt: skip
    assert "customer 7" not in (bundle.folder / "examples.jsonl").read_text(errors="surrogatepass")
    assert row.metadata == {}


def test_a_model_moved_elsewhere_is_the_same(bundle: Bundle, tmp_path: Path) -> None:
    moved = bundle.folder.rename(tmp_path / "elsewhere")
    assert read_bundle(moved).examples() == read_bundle(moved).examples() != ()
    assert str(tmp_path) not in (moved / "model.json").read_text()


@pytest.mark.parametrize(
    "name", ["examples.jsonl", "passages.jsonl", "adapter/adapter_model.safetensors"]
)
def test_a_flipped_byte_and_a_missing_file_are_told_together(bundle: Bundle, name: str) -> None:
    file = bundle.folder / name
    raw = bytearray(file.read_bytes())
    raw[10] ^= 1
    file.write_bytes(raw)
    others = [other for other in bundle.model.files if other != name]
    (bundle.folder / others[0]).unlink()
    with pytest.raises(UserError) as told:
        bundle.check()
    assert f"{name}: is not as it was written." in str(told.value)
    assert f"{others[0]}: is missing." in str(told.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "not JSON"),
        ("[1]", "must be an object"),
        ('{"schema": 1, "kind": "few_shot"}', "`contender` must be given"),
        ('{"schema": 2}', "has schema 2; this version reads schema 1"),
    ],
)
def test_a_damaged_model_file_says_what_is_wrong(bundle: Bundle, text: str, said: str) -> None:
    (bundle.folder / "model.json").write_text(text)
    with pytest.raises(UserError, match=said):
        read_bundle(bundle.folder)


def test_a_folder_without_a_model_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"is no model\. Make the model again"):
        read_bundle(tmp_path)


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"kind": "constant", "base": None}, "a constant has an `answer`"),
        ({"base": None}, "neither `base` nor `endpoint`"),
    ],
)
def test_what_nobody_could_ask_is_no_model(
    bundle: Bundle, fields: dict[str, Any], said: str
) -> None:
    file = bundle.folder / "model.json"
    file.write_text(json.dumps({**json.loads(file.read_text()), **fields}))
    with pytest.raises(UserError, match=said):
        read_bundle(bundle.folder)
