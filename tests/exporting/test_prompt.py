"""The folder of a prompt sends an endpoint what the contender sent, wherever it lies."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from chat_endpoint import Endpoint, completion
from exports import example, model_of, prompt_source
from small_models import user
from tunewise.contenders.few_shot import Shots, with_examples
from tunewise.contenders.prompt import Variant, in_words_of
from tunewise.contenders.rag import Library, Lookup, with_passages
from tunewise.contenders.zero_shot import with_instruction
from tunewise.data.documents.blocks import Block
from tunewise.data.documents.document import Document
from tunewise.errors import UserError
from tunewise.exporting.asking import strategy_of_bundle
from tunewise.exporting.prompt import compare_prompts, write_prompt
from tunewise.exporting.prompt_folder import open_prompt
from tunewise.exporting.source import Source
from tunewise.models.engines.openai import api_turns
from tunewise.retrieval.chunk import chunk
from tunewise.retrieval.embed import Embedder
from tunewise.retrieval.index import ExampleIndex
from tunewise.retrieval.word_embedder import WordEmbedder
from tunewise.runs.model_file import BaseUsed, EndpointUsed
from tunewise.types import Example, JsonValue, Message, ToolCall

INSTRUCTION = "Which label: refund, delivery or other?"
TRAIN = [
    example(n, f"{text} (case {n})", label)
    for n, (text, label) in enumerate(
        [
            ("Where is my order? It should have been here on Monday", "delivery"),
            ("The zip of the tent broke, I want my money back", "refund"),
            ("Können Sie die Adresse ändern?", "other"),
            ("The parcel never came", "delivery"),
            ("Money back, please", "refund"),
            ("帐篷的拉链坏了", "refund"),
        ]
        * 2
    )
]
SYSTEM = Message(role="system", content="The customer is polite.")
ROWS = [
    example(100, "Where is the parcel with my tent?", "delivery"),
    Example(
        id="row 101", messages=(SYSTEM, *user("I want a refund – größer, 帐篷!")), target="refund"
    ),
    Example(
        id="row 102",
        messages=(
            *user("Hello"),
            Message(role="assistant", content="Hi!"),
            *user('The zip says "no"'),
        ),
        target="other",
    ),
]
DOCUMENTS = [
    Document(
        name=f"{name}.md",
        title=name,
        blocks=(Block(headings=("Rules",), kind="prose", text=f"Of {name} this is said. " * 20),),
    )
    for name in ("refund", "parcel", "tent")
]
LOOKUP = Lookup(words=60, k=2, mode="bm25")


NAMES = (
    "zero_shot", "prompt", "prompt with steps", "few_shot, fixed", "few_shot, nearest", "rag",
)  # fmt: skip


def source_of(name: str, folder: Path) -> Source:
    """A contender, whose model lies in a folder beside."""
    place, words = folder.with_name(f"{folder.name}-model"), INSTRUCTION
    if name == "zero_shot":
        model = model_of(place, "zero_shot", {"instruction": words})
        return prompt_source(model, with_instruction(words, 8), ROWS)
    if name == "prompt":
        around = Variant(name="own", system="Be kind.", before="Which?", after="One word.")
        return prompt_source(
            model_of(place, "prompt", words_of(around)), in_words_of(around, 8), ROWS
        )
    if name == "prompt with steps":
        steps = Variant(name="step by step", system="Think.", marked=True)
        return prompt_source(
            model_of(place, "prompt", words_of(steps)), in_words_of(steps, 8), ROWS
        )
    if name == "rag":
        pieces = chunk(DOCUMENTS, words=LOOKUP.words)
        model = model_of(place, "rag", LOOKUP.settings, passages=pieces, instruction=words)
        strategy = with_passages(LOOKUP, Library(DOCUMENTS, None), words, 8)
        return prompt_source(model, strategy, ROWS)
    return few_shot(place, name.removeprefix("few_shot, "), TRAIN, ROWS)


def words_of(one: Variant) -> dict[str, JsonValue]:
    """A wording as the settings of a fit hold it."""
    words: dict[str, JsonValue] = {"system": one.system, "before": one.before, "after": one.after}
    return {"variant": one.name, **words, "marked": one.marked}


def few_shot(
    place: Path,
    selection: str,
    train: Sequence[Example],
    rows: Sequence[Example],
    embedder: Embedder | None = None,
) -> Source:
    index = ExampleIndex(train, embedder)
    settings: dict[str, JsonValue] = {"k": 2, "selection": "fixed, diverse"}
    if selection == "nearest":
        settings = {"k": 2, "selection": "nearest", "by": embedder.name if embedder else "BM25"}
    kept = train if selection == "nearest" else index.diverse(2)
    model = model_of(
        place, "few_shot", settings, examples=kept, embedder=embedder, instruction=INSTRUCTION
    )
    shots = Shots(k=2, selection="nearest" if selection == "nearest" else "fixed")
    return prompt_source(model, with_examples(shots, index, INSTRUCTION, 8), rows)


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    running = Endpoint()
    yield running
    running.server.shutdown()
    running.server.server_close()


@pytest.mark.parametrize("name", NAMES)
def test_the_program_asks_an_endpoint_in_the_contenders_words(
    name: str, endpoint: Endpoint, tmp_path: Path
) -> None:
    source = source_of(name, tmp_path)
    write_prompt(source, tmp_path)
    endpoint.reply = lambda asked: completion("I think.\nAnswer: refund")
    text = ROWS[0].input.text
    done = subprocess.run(
        [sys.executable, "ask.py", text],
        cwd=tmp_path,
        env={**os.environ, "OPENAI_BASE_URL": endpoint.url, "OPENAI_API_KEY": "a key"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert source.strategy is not None
    (prompt,) = source.strategy.prompts([ROWS[0].input])
    (body,) = endpoint.bodies
    assert body["messages"] == json.loads(json.dumps(api_turns(prompt.messages)))
    assert (body["model"], body["temperature"]) == ("some-model", 0)
    assert body["max_tokens"] == source.strategy.max_tokens
    assert endpoint.headers[0]["authorization"] == "Bearer a key"
    assert done.stdout.strip() == source.strategy.read("I think.\nAnswer: refund")


@pytest.mark.parametrize("name", ["few_shot, fixed", "few_shot, nearest"])
def test_every_held_out_conversation_is_compared(name: str, tmp_path: Path) -> None:
    source = source_of(name, tmp_path)
    write_prompt(source, tmp_path)
    found = compare_prompts(source, tmp_path)
    assert (found.engine, found.rendered, found.prompts_differ) == ("script", len(ROWS), ())
    assert found.faults == ()


def test_a_prompt_that_is_another_is_noticed(tmp_path: Path) -> None:
    source = source_of("zero_shot", tmp_path)
    write_prompt(source, tmp_path)
    kept = json.loads((tmp_path / "prompt.json").read_text("utf-8"))
    (tmp_path / "prompt.json").write_text(json.dumps({**kept, "system": "Another."}))
    found = compare_prompts(source, tmp_path)
    assert found.prompts_differ == tuple(row.id for row in ROWS)
    assert found.faults == ("ask.py: 3 of 3 prompts are not the contender's",)


def test_a_program_that_does_not_run_is_an_error(tmp_path: Path) -> None:
    source = source_of("zero_shot", tmp_path)
    write_prompt(source, tmp_path)
    (tmp_path / "prompt.json").unlink()
    with pytest.raises(UserError, match="does not run: FileNotFoundError"):
        compare_prompts(source, tmp_path)


@pytest.mark.parametrize("name", ["zero_shot", "prompt", "few_shot, fixed"])
def test_a_prompt_that_is_always_the_same_needs_the_client_alone(name: str, tmp_path: Path) -> None:
    write_prompt(source_of(name, tmp_path), tmp_path)
    shown = ["examples.jsonl"] if name == "few_shot, fixed" else []
    kept = ["README.md", "ask.py", *shown, "model.json", "prompt.json"]
    assert sorted(file.name for file in tmp_path.iterdir()) == kept
    assert "import tunewise" not in (tmp_path / "ask.py").read_text("utf-8")
    assert "from tunewise" not in (tmp_path / "ask.py").read_text("utf-8")


def test_a_program_that_looks_up_loads_no_library_that_runs_models(tmp_path: Path) -> None:
    write_prompt(source_of("rag", tmp_path), tmp_path)
    heavy = "import ask, sys; print({'torch', 'transformers', 'openvino'} & set(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", heavy], cwd=tmp_path, capture_output=True, text=True
    )
    assert (done.stdout, done.returncode) == ("set()\n", 0), done.stderr


def test_what_is_looked_up_says_that_it_needs_more(tmp_path: Path) -> None:
    write_prompt(source_of("rag", tmp_path), tmp_path)
    program = (tmp_path / "ask.py").read_text("utf-8")
    assert "packages `openai` and `tunewise`, which looks up what the prompt holds" in program


def test_examples_that_call_tools_are_sent_as_calls(tmp_path: Path) -> None:
    tools = ({"type": "function", "function": {"name": "track", "parameters": {}}},)
    rows = [
        Example(
            id=f"row {n}",
            messages=user(f"Track {n}"),
            target='{"name": "track", "arguments": {"order": 1}}',
            tools=tools,
        )
        for n in range(3)
    ]
    asked = Example(
        id="asked",
        messages=(
            *user("Track 7"),
            Message(
                role="assistant",
                content="",
                tool_calls=(ToolCall(name="track", arguments='{"order": 7}', id="c"),),
            ),
            Message(role="tool", content="on its way", tool_call_id="c"),
        ),
        target="It comes.",
        tools=tools,
    )
    for selection in ("fixed", "nearest"):
        source = few_shot(tmp_path / f"{selection}-model", selection, rows, [asked])
        folder = tmp_path / selection
        folder.mkdir()
        write_prompt(source, folder)
        assert compare_prompts(source, folder).faults == ()


def test_vectors_that_are_kept_bring_the_same_examples(tmp_path: Path) -> None:
    embedder = WordEmbedder([row.input.text for row in TRAIN])
    source = few_shot(tmp_path / "model", "nearest", TRAIN, ROWS, embedder)
    out = tmp_path / "out"
    out.mkdir()
    write_prompt(source, out)
    vectors = np.load(out / "index.npy", allow_pickle=False)
    assert np.array_equal(vectors, embedder.encode([row.input.text for row in TRAIN]))
    assert "`tunewise[dense]`" in (out / "ask.py").read_text("utf-8")
    asked: list[list[str]] = []

    class Model:
        name = embedder.name

        def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
            asked.append(list(texts))
            return embedder.encode(texts)

    opened = open_prompt(out, load=Model)
    assert source.strategy is not None
    for row in ROWS:
        (prompt,) = source.strategy.prompts([row.input])
        assert opened.messages(api_turns(row.messages)) == list(api_turns(prompt.messages))
    assert asked == [[row.input.text] for row in ROWS]  # and never the rows of train again


@pytest.mark.parametrize("raw", [b"", b"\x93NUMPY garbage", None])
def test_damaged_vectors_are_told(raw: bytes | None, tmp_path: Path) -> None:
    embedder = WordEmbedder([row.input.text for row in TRAIN])
    model = few_shot(tmp_path / "model", "nearest", TRAIN, ROWS, embedder).bundle
    assert model is not None
    if raw is None:
        np.save(model.folder / "index.npy", np.zeros((1, 3), np.float32))
    else:
        (model.folder / "index.npy").write_bytes(raw)
    with pytest.raises(UserError, match=r"index\.npy: (cannot be read|does not hold one row)"):
        strategy_of_bundle(model, load=lambda: embedder)


def test_a_base_of_a_folder_is_asked_by_the_name_that_a_server_gives_it(tmp_path: Path) -> None:
    model = model_of(
        tmp_path / "model", "zero_shot", {"instruction": "Sort."}, base=BaseUsed(name="/m/small")
    )
    (tmp_path / "out").mkdir()
    write_prompt(prompt_source(model, with_instruction("Sort.", 8), ROWS), tmp_path / "out")
    about = json.loads((tmp_path / "out" / "prompt.json").read_text("utf-8"))
    assert (about["model"], about["base_url"]) == ("small", "http://127.0.0.1:8642/v1")


def test_an_endpoint_is_asked_with_its_own_key_and_limit(tmp_path: Path) -> None:
    used = EndpointUsed(
        name="big", model="gpt-x", base_url="https://api.openai.com/v1", api_key_env="BIG_KEY"
    )
    model = model_of(
        tmp_path / "model", "prompt", words_of(Variant(name="own", system="Be kind.")),
        base=None, endpoint=used,
    )  # fmt: skip
    source = prompt_source(model, in_words_of(Variant(name="own", system="Be kind."), 8), ROWS)
    (tmp_path / "out").mkdir()
    write_prompt(source, tmp_path / "out")
    about = json.loads((tmp_path / "out" / "prompt.json").read_text("utf-8"))
    assert (about["model"], about["base_url"]) == ("gpt-x", used.base_url)
    assert (about["key_variable"], about["limit"]) == ("BIG_KEY", "max_completion_tokens")


def test_a_trained_model_is_no_prompt(tmp_path: Path) -> None:
    source = source_of("zero_shot", tmp_path)
    trained = replace(source, adapter=tmp_path, contender="fine_tune")
    with pytest.raises(UserError, match="Use --to gguf, merged, adapter or ollama"):
        write_prompt(trained, tmp_path)
