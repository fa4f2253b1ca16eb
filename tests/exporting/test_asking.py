"""A model in a folder asks as its contender did, whichever way it had chosen."""

from pathlib import Path
from typing import Any

import pytest

from tunewise.chat.prompts import Prompt
from tunewise.contenders.classifier import Classifier
from tunewise.contenders.few_shot import Shots, with_examples
from tunewise.contenders.race import Race
from tunewise.contenders.rag import Library, Lookup, with_passages
from tunewise.data.documents.read import look_at_documents
from tunewise.errors import UserError
from tunewise.exporting.asking import classifier_of_bundle, strategy_of_bundle
from tunewise.exporting.bundle import Bundle, read_bundle, seal_bundle, write_files
from tunewise.metrics.by_name import metric_named
from tunewise.retrieval.chunk import chunk
from tunewise.retrieval.embed import Embedder, load_embedder
from tunewise.retrieval.index import ExampleIndex
from tunewise.runs.model_file import BaseUsed, ModelFile, Origin, TaskJudged
from tunewise.types import Example, Input, Message

TOPICS = ("refund", "parcel", "invoice", "courier", "card", "address", "boots", "tent")
TRAIN = [
    Example(
        id=f"r{n}",
        messages=(Message(role="user", content=f"The {TOPICS[n % 8]} of order {n} is late"),),
        target="delivery" if n % 2 else "billing",
    )
    for n in range(40)
]
INPUTS = [
    Input(id=f"i{n}", messages=(Message(role="user", content=f"Where is my {topic}?"),))
    for n, topic in enumerate(TOPICS)
]


@pytest.fixture(scope="module")
def embedder() -> Embedder:
    return load_embedder()


def bundle(folder: Path, files: dict[str, Any] | None = None, **fields: Any) -> Bundle:
    folder.mkdir()
    write_files(folder, **(files or {}))
    plain = {"contender": "x", "base": BaseUsed(name="b"), "max_tokens": 21}
    origin = Origin(project="p", run="r", token="t")
    seal_bundle(folder, ModelFile(**{**plain, "origin": origin, **fields}))
    return read_bundle(folder)


def prompts(of: Bundle, load: Any = load_embedder) -> list[Prompt]:
    strategy = strategy_of_bundle(of, load=load)
    assert strategy.max_tokens == 21
    return strategy.prompts(INPUTS)


@pytest.mark.parametrize("dense", [False, True])
def test_nearest_examples_are_those_of_all_of_train(
    dense: bool, embedder: Embedder, tmp_path: Path
) -> None:
    by = embedder if dense else None
    shots = Shots(k=4, selection="nearest")
    wanted = with_examples(shots, ExampleIndex(TRAIN, by), "Sort.", 21).prompts(INPUTS)
    model = bundle(
        tmp_path / "m",
        {"examples": TRAIN},
        kind="few_shot",
        instruction="Sort.",
        settings={"k": 4, "selection": "nearest", "by": by.name if by else "BM25"},
        embedder=by.name if by else None,
    )
    assert prompts(model, lambda: embedder) == wanted


@pytest.mark.parametrize("dense", [False, True])
def test_fixed_examples_are_the_few_that_are_shown_and_need_no_sentence_model(
    dense: bool, embedder: Embedder, tmp_path: Path
) -> None:
    index = ExampleIndex(TRAIN, embedder if dense else None)
    wanted = with_examples(Shots(k=4, selection="fixed"), index, "Sort.", 21).prompts(INPUTS)
    model = bundle(
        tmp_path / "m",
        {"examples": index.diverse(4)},
        kind="few_shot",
        instruction="Sort.",
        settings={"k": 4, "selection": "fixed, diverse"},
    )

    def none() -> Embedder:
        raise AssertionError("the sentence model is not needed")

    assert prompts(model, none) == wanted
    assert len(model.examples()) == 4


@pytest.mark.parametrize("mode", ["bm25", "dense", "hybrid"])
def test_passages_are_those_of_the_documents(mode: Any, embedder: Embedder, tmp_path: Path) -> None:
    docs = tmp_path / "docs"
    docs.mkdir()
    for topic in TOPICS:
        text = f"# {topic}\n\n" + f"A {topic} is sent within two days. " * 12
        (docs / f"{topic}.md").write_text(text)
    documents = look_at_documents(docs).all_usable()
    lookup = Lookup(words=60, k=2, mode=mode)
    wanted = with_passages(lookup, Library(documents, embedder), "Say.", 21).prompts(INPUTS)
    model = bundle(
        tmp_path / "m",
        {"passages": chunk(documents, words=60)},
        kind="rag",
        instruction="Say.",
        settings=lookup.settings,
        embedder=None if mode == "bm25" else embedder.name,
    )
    assert prompts(model, lambda: embedder) == wanted
    assert all(prompt.passages for prompt in wanted)


def test_a_classifier_is_the_one_that_was_chosen(embedder: Embedder, tmp_path: Path) -> None:
    metric = metric_named("accuracy")
    labels = ("billing", "delivery")
    fitted = Classifier(metric=metric, labels=labels, load=lambda: embedder).fit(
        TRAIN[8:], Race(TRAIN[:8], metric=metric, margin=0.1)
    )
    model = bundle(
        tmp_path / "m",
        {"examples": TRAIN[8:]},
        kind="classifier",
        base=None,
        settings=fitted.fit.settings,
        embedder=embedder.name,
        task=TaskJudged(kind="classification", labels=labels),
    )
    again = classifier_of_bundle(model, load=lambda: embedder)
    wanted, found = (one.answer(INPUTS, seed=0) for one in (fitted, again))
    assert [one.text for one in found] == [one.text for one in wanted]


def test_sets_of_labels_are_written_as_train_writes_them(
    embedder: Embedder, tmp_path: Path
) -> None:
    rows = [
        Example(id=e.id, messages=e.messages, target="billing, late" if n % 2 else "late")
        for n, e in enumerate(TRAIN)
    ]
    model = bundle(
        tmp_path / "m",
        {"examples": rows},
        kind="classifier",
        base=None,
        settings={"C": 10.0},
        embedder=embedder.name,
        task=TaskJudged(kind="multilabel", labels=("billing", "late")),
    )
    (first, *_) = classifier_of_bundle(model, load=lambda: embedder).answer(INPUTS, seed=0)
    assert first.text in ("billing, late", "late")


def test_another_sentence_model_than_the_runs_is_refused(
    embedder: Embedder, tmp_path: Path
) -> None:
    model = bundle(
        tmp_path / "m",
        {"examples": TRAIN},
        kind="few_shot",
        settings={"k": 1, "selection": "nearest", "by": "other"},
        embedder="other/model",
    )
    with pytest.raises(UserError, match=r"reads texts with other/model, and here is sentence-tr"):
        prompts(model, lambda: embedder)


def test_settings_that_no_contender_writes_are_told(tmp_path: Path) -> None:
    model = bundle(tmp_path / "m", kind="zero_shot", settings={"colour": "red"})
    with pytest.raises(UserError, match="cannot be asked: no contender chose"):
        strategy_of_bundle(model)


def test_without_a_limit_of_its_own_an_answer_may_be_as_long_as_any(tmp_path: Path) -> None:
    adapter = tmp_path / "adapter"
    adapter.mkdir()
    (adapter / "adapter_config.json").write_text("{}")
    model = bundle(tmp_path / "m", {"adapter": adapter}, kind="fine_tune", max_tokens=None)
    strategy = strategy_of_bundle(model)
    assert strategy.max_tokens == 512
    assert strategy.adapters == {0: model.folder / "adapter"}
    assert [prompt.messages for prompt in strategy.prompts(INPUTS)] == [
        item.messages for item in INPUTS
    ]
