"""A folder with a prompt that is made anew for every input: how it is written, and how it is asked.

Rows and documents go into it as they were read, so that the same search over them brings the same
examples and passages wherever the folder goes.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from tunewise.contenders.answering import PromptStrategy
from tunewise.contenders.rag import Library
from tunewise.contenders.rebuild import strategy_of
from tunewise.data.documents.blocks import Block
from tunewise.data.documents.document import Document
from tunewise.exporting.materials import Materials
from tunewise.models.engines.openai import api_turns
from tunewise.retrieval.chunk import chunk
from tunewise.retrieval.embed import Embedder, load_embedder
from tunewise.retrieval.index import ExampleIndex
from tunewise.storage import write_json, write_lines
from tunewise.types import Example, Input, Message, Tool, ToolCall

PROMPT_FILE, EXAMPLES, DOCUMENTS, VECTORS = (
    "prompt.json",
    "examples.jsonl",
    "documents.jsonl",
    "index.npy",
)

Turns = Sequence[Mapping[str, Any]]
"""A conversation as OpenAI's API has it."""


@dataclass(frozen=True, kw_only=True)
class OpenedPrompt:
    """What a folder asks, and whom."""

    model: str
    base_url: str
    key_variable: str
    """Environment variable with the key."""
    limit: str
    """Name of the parameter that bounds the answer."""
    tokens: int
    """The bound."""
    strategy: PromptStrategy

    def messages(self, turns: Turns) -> list[Any]:
        """What the model is sent for a conversation."""
        given = Input(id="", messages=tuple(_message(turn) for turn in turns))
        (prompt,) = self.strategy.prompts([given])
        return list(api_turns(prompt.messages))

    def read(self, text: str) -> str:
        """The answer within the model's text."""
        return self.strategy.read(text)


class StoredVectors:
    """An embedder that knows the vectors of some texts.

    Args:
        name: of the model.
        known: text -> its vector.
        load: opens the model, for other texts.
    """

    def __init__(
        self,
        name: str,
        known: Mapping[str, NDArray[np.float32]],
        load: Callable[[], Embedder],
    ) -> None:
        self.name = name
        self._known, self._load = known, load
        self._model: Embedder | None = None

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """See `Embedder.encode`."""
        if texts and all(text in self._known for text in texts):
            return np.stack([self._known[text] for text in texts])
        self._model = self._model or self._load()
        return self._model.encode(texts)


def write_prompt_folder(folder: Path, materials: Materials, about: Mapping[str, object]) -> None:
    """Fills a folder with what a prompt is made from.

    Args:
        folder: of the export.
        materials: settings, rows, documents and the embedder that finds them.
        about: whom to ask, as the fields of `OpenedPrompt` but for the strategy.
    """
    embedder = materials.embedder
    write_json(
        folder / PROMPT_FILE,
        {
            **about,
            "instruction": materials.instruction,
            "settings": materials.settings,
            "embedder": None if embedder is None else embedder.name,
        },
    )
    if materials.train:
        rows = [
            {"id": r.id, "messages": [asdict(m) for m in r.messages], "target": r.target}
            | ({"tools": r.tools} if r.tools else {})
            for r in materials.train
        ]
        write_lines(folder / EXAMPLES, rows)
    if materials.documents:
        write_lines(folder / DOCUMENTS, [asdict(one) for one in materials.documents])
    if embedder is not None:
        texts = _searched(materials.settings, materials.train, materials.documents)
        with (folder / VECTORS).open("wb") as file:
            np.save(file, embedder.encode(texts), allow_pickle=False)


def open_prompt(folder: Path, *, load: Callable[[], Embedder] = load_embedder) -> OpenedPrompt:
    """What `write_prompt_folder` wrote.

    Args:
        folder: of the export.
        load: opens the model that places inputs by meaning, at the first input.

    Raises:
        UserError: it searches by meaning, and the model for that is not here.
    """
    known = cast("dict[str, Any]", json.loads((folder / PROMPT_FILE).read_text("utf-8")))
    settings = cast("dict[str, Any]", known["settings"])
    train = [_example(row) for row in _rows(folder / EXAMPLES)]
    documents = [_document(row) for row in _rows(folder / DOCUMENTS)]
    embedder: Embedder | None = None
    if known["embedder"]:
        vectors = cast("NDArray[np.float32]", np.load(folder / VECTORS, allow_pickle=False))
        texts = _searched(settings, train, documents)
        known_vectors = dict(zip(texts, vectors, strict=True))
        embedder = StoredVectors(known["embedder"], known_vectors, load)
    return OpenedPrompt(
        **{key: known[key] for key in ("model", "base_url", "key_variable", "limit", "tokens")},
        strategy=strategy_of(
            settings,
            instruction=known["instruction"],
            max_tokens=known["tokens"],
            index=lambda: ExampleIndex(train, embedder),
            library=lambda: Library(documents, embedder),
        ),
    )


def _searched(
    settings: Mapping[str, Any], train: Sequence[Example], documents: Sequence[Document]
) -> list[str]:
    """The texts whose vectors are kept."""
    if "chunk_words" in settings:
        return [passage.text for passage in chunk(documents, words=int(settings["chunk_words"]))]
    return [row.input.text for row in train]


def _rows(file: Path) -> list[dict[str, Any]]:
    if not file.is_file():
        return []
    return [json.loads(line) for line in file.read_text("utf-8").split("\n") if line]


def _example(row: dict[str, Any]) -> Example:
    return Example(
        id=row["id"],
        messages=tuple(_kept_turn(turn) for turn in row["messages"]),
        target=row["target"],
        tools=tuple(cast("list[Tool]", row.get("tools", []))),
    )


def _kept_turn(turn: dict[str, Any]) -> Message:
    calls = tuple(ToolCall(**call) for call in turn.pop("tool_calls"))
    return Message(**turn, tool_calls=calls)


def _document(row: dict[str, Any]) -> Document:
    return Document(
        name=row["name"],
        title=row["title"],
        blocks=tuple(
            Block(headings=tuple(one["headings"]), kind=one["kind"], text=one["text"])
            for one in row["blocks"]
        ),
        copies=tuple(row["copies"]),
    )


def _message(turn: Mapping[str, Any]) -> Message:
    calls = tuple(
        ToolCall(
            name=call["function"]["name"], arguments=call["function"]["arguments"], id=call["id"]
        )
        for call in turn.get("tool_calls") or ()
    )
    return Message(
        role=turn["role"],
        content=turn.get("content") or "",
        tool_calls=calls,
        tool_call_id=turn.get("tool_call_id"),
    )
