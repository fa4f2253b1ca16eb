"""Reads a project's files into what `tunewise train` learns from and is validated on.

Every method has its own rows of train and dev. Test stays sealed: rows that `decide` would seal
are not trained on here either.
"""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tunewise.chat.prompts import shown_examples
from tunewise.chat.template import set_thinking
from tunewise.chat.tokenize import ChatTokenizer
from tunewise.data.documents.read import look_at_documents, whole_text
from tunewise.data.fingerprints import content_hash, preference_hash
from tunewise.data.pairs import read_pairs
from tunewise.data.prepare import Prepared
from tunewise.data.read import read_data, read_texts
from tunewise.data.sources import find_parts
from tunewise.data.splitting.units import normalised_input, own_unit
from tunewise.errors import UserError
from tunewise.metrics.custom import own_metric_file
from tunewise.models.catalog import LocalModel
from tunewise.models.stored import adapter_hash
from tunewise.project.settings import Data, Project, Sources
from tunewise.retrieval.embed import Embedder, embedder_or_note
from tunewise.retrieval.index import ExampleIndex
from tunewise.runs.made_from import SEALED, Item, MadeFrom, text_hash
from tunewise.storage import file_sha256
from tunewise.training.recipe import Method
from tunewise.training.rows import (
    Row,
    distillation_rows,
    document_rows,
    example_rows,
    hash_rows,
    pair_rows,
    unpaired_rows,
)
from tunewise.types import Example, Message, Preference, Text

DEV_SHARE = 0.1
"""Of pairs and documents, which have no split of their own."""
MIN_DEV = 20
"""Pairs of dev at least, as far as train keeps more."""
TEACHER_EXAMPLES = 8
"""Nearest examples of train in the prompt of the teacher of distill."""


@dataclass(frozen=True, kw_only=True)
class TrainingData:
    """What one training learns from, and what it is validated on."""

    method: Method
    train: Sequence[Row]
    dev: Sequence[Row]
    """Validated by likelihood: pairs, or pieces of documents that train does not hold."""
    prepared: Prepared | None
    """Its dev split is validated by answers. None: `dev` is, by likelihood."""
    replay: Sequence[Row]
    """General examples that are mixed in, against forgetting."""
    notes: tuple[str, ...]
    """Lines for people."""
    items: Mapping[str, Sequence[Item]]
    """Name of a file or folder -> the rows, pairs or documents in it."""
    dev_units: Sequence[str] = ()
    """(dev,) of pairs, the independent unit of each: its group, or its input."""


def training_data_for(
    project: Project, prepared: Prepared | None, model: LocalModel, tokenizer: ChatTokenizer
) -> TrainingData:
    """The rows of a project's method.

    Args:
        project: names files, method and settings.
        prepared: its examples, of `prepare_for_training`.
        model: the base; rows have to fit its context.
        tokenizer: of the base.

    Raises:
        UserError: the data are missing, cannot be read, or do not go with the method.
    """
    replay: list[Row] = []
    replayed: dict[str, list[Item]] = {}
    if project.data.replay is not None:
        found = read_data(Data(examples=project.data.replay))
        general = [e for part in found.values() for e in part.examples]
        replay = example_rows(tokenizer, general)
        items = [Item(e.id, content_hash(e), "replay") for e in general]
        replayed[f"data.replay ({_names(project.data.replay)})"] = items
    method = project.training.method
    match method:
        case "dpo" | "kto":
            training_data = _pairs(project, prepared, model, tokenizer, method, replay)
        case "cpt":
            training_data = _documents(project, model, tokenizer, replay)
        case _:
            assert prepared is not None  # noqa: S101 - these methods learn from examples
            training_data = _examples(project, prepared, model, tokenizer, replay)
    return replace(training_data, items={**training_data.items, **replayed})


def made_from(training_data: TrainingData, project: Project, model: LocalModel) -> MadeFrom:
    """All that decides what a training comes to, beside its settings: hashes of files and rows.

    A training is only gone on with where this has not changed.

    Args:
        training_data: of `training_data_for`.
        project: of which it was read.
        model: the base.
    """
    start, metric = project.training.start, None
    if training_data.prepared is not None:
        metric = own_metric_file(str(training_data.prepared.project.task.metric), project.root)
    unit = {"cpt": "document", "dpo": "pair", "kto": "pair"}.get(training_data.method)
    return MadeFrom(
        files={
            "the base model": model.sha256,
            **({"the adapter of training.start": adapter_hash(start)} if start else {}),
            **({metric.name: file_sha256(metric)} if metric else {}),
        },
        read_as=hash_rows([*training_data.train, *training_data.replay]),
        items=training_data.items,
        unit={name: unit for name in training_data.items if unit and "data.replay" not in name},
    )


def _names(sources: Sources) -> str:
    """The names of files as a person knows them."""
    return ", ".join(Path(source).name for source in sources)


def _example_items(prepared: Prepared) -> dict[str, list[Item]]:
    """By file, in the order of each side."""
    splits = prepared.splits
    sides = {"train": splits.train, "dev": splits.dev, SEALED: (*splits.test, *splits.reserved)}
    items: dict[str, list[Item]] = {}
    for side, examples in sides.items():
        for example in examples:
            file = Path(prepared.places[example.id].rpartition(":")[0]).name
            items.setdefault(file, []).append(Item(example.id, content_hash(example), side))
    return items


def _examples(
    project: Project,
    prepared: Prepared,
    model: LocalModel,
    tokenizer: ChatTokenizer,
    replay: Sequence[Row],
) -> TrainingData:
    set_thinking(tokenizer, thinking=prepared.project.model.thinking is True)
    train = prepared.splits.train
    notes = prepared.notes
    if project.training.method == "sft":
        rows = example_rows(tokenizer, train)
        judging = f"{len(prepared.splits.dev)} judge, {len(prepared.splits.test)} stay sealed"
        notes = (*notes, f"{len(rows)} rows are learnt from, {judging}.")
        return TrainingData(
            method="sft",
            train=rows,
            dev=(),
            prepared=prepared,
            replay=replay,
            notes=notes,
            items=_example_items(prepared),
        )
    embedder, missing = embedder_or_note()
    prompts = _teacher_prompts(train, prepared.project.task.instruction, embedder)
    rows = distillation_rows(tokenizer, train, prompts, context_tokens=model.context_tokens)
    notes = (
        *notes,
        *missing,
        f"The teacher is the base with the instruction and the {TEACHER_EXAMPLES} nearest examples "
        "of train in its prompt.",
    )
    return TrainingData(
        method="distill",
        train=rows,
        dev=(),
        prepared=prepared,
        replay=replay,
        notes=notes,
        items=_example_items(prepared),
    )


def _teacher_prompts(
    train: Sequence[Example], instruction: str, embedder: Embedder | None
) -> list[tuple[Message, ...]]:
    index = ExampleIndex(train, embedder)
    near = index.nearest_many([e.input.text for e in train], TEACHER_EXAMPLES + 1)
    return [
        shown_examples(
            instruction,
            [one for one in some if one.id != example.id][:TEACHER_EXAMPLES],
            example.input,
        )
        for example, some in zip(train, near, strict=True)
    ]


def _pairs(
    project: Project,
    prepared: Prepared | None,
    model: LocalModel,
    tokenizer: ChatTokenizer,
    method: Method,
    replay: Sequence[Row],
) -> TrainingData:
    data = project.data
    held_out: tuple[Example, ...] = ()
    if prepared is not None:
        held_out = (*prepared.splits.dev, *prepared.splits.test)
    sources: Sources | None = data.preferences or data.examples or data.train
    if sources is None:
        raise UserError("data.preferences: is missing. Name a file with prompt, chosen, rejected.")
    try:
        found = read_pairs(sources, data, held_out=held_out)
    except UserError as error:
        if data.preferences is not None:
            raise
        raise UserError(
            f"{method} learns from pairs of answers: name their file with data.preferences "
            f"(prompt, chosen, rejected in each row). In data.examples: {error}"
        ) from error
    ranked = sorted(found.pairs, key=lambda pair: _rank(normalised_input(pair), data.seed))
    size = _dev_size(len(ranked))
    # Pairs of one input stay on one side.
    border = {normalised_input(pair) for pair in ranked[:size]}
    dev = [pair for pair in found.pairs if normalised_input(pair) in border]
    train = [pair for pair in found.pairs if normalised_input(pair) not in border]
    rows, held = (
        pair_rows(tokenizer, some, context_tokens=model.context_tokens) for some in (train, dev)
    )
    if method == "kto":
        rows = unpaired_rows(rows, context_tokens=model.context_tokens)
    notes = (*found.notes, f"{len(train)} pairs are learnt from, {len(dev)} judge.")
    return TrainingData(
        method=method,
        train=rows,
        dev=held,
        prepared=None,
        replay=replay,
        notes=notes,
        items={_names(sources): [*_pair_items(train, "train"), *_pair_items(dev, "dev")]},
        dev_units=[own_unit(pair) for pair in dev],
    )


def _pair_items(pairs: Sequence[Preference], side: str) -> list[Item]:
    return [Item(pair.id, preference_hash(pair), side) for pair in pairs]


def _documents(
    project: Project, model: LocalModel, tokenizer: ChatTokenizer, replay: Sequence[Row]
) -> TrainingData:
    data = project.data
    about: tuple[str, ...] = ()
    if data.documents is not None:
        found = look_at_documents(*data.documents)
        about = (*found.notes(),)
        texts: Sequence[Text] = [whole_text(one) for one in found.all_usable()]
    elif data.examples is not None:
        columns = Data(examples=data.examples, text=data.text)
        files = [file for part in find_parts(columns).values() for file in part.files]
        texts = read_texts(files, columns).rows
    else:
        raise UserError("data.documents: is missing. Name a folder of documents to learn from.")
    if len(texts) < 2:
        raise UserError(
            "data.documents: there is one document, and one has to be left out to judge by. Add "
            "another, or split it."
        )
    ranked = sorted(texts, key=lambda text: _rank(text.text, data.seed))
    size = max(1, round(DEV_SHARE * len(ranked)))
    dev, train = (
        document_rows(tokenizer, some, context_tokens=model.context_tokens)
        for some in (ranked[:size], ranked[size:])
    )
    held = ", ".join(text.id for text in ranked[:3][:size])
    notes = (
        *about,
        f"{len(ranked) - size} documents are learnt from; {size} judge: {held}.",
    )
    sides = {"dev": ranked[:size], "train": ranked[size:]}
    return TrainingData(
        method="cpt",
        train=train,
        dev=dev,
        prepared=None,
        replay=replay,
        notes=notes,
        items={
            _names(data.documents or data.examples or ()): [
                Item(text.id, text_hash(text.text), side)
                for side, some in sides.items()
                for text in some
            ]
        },
    )


def _dev_size(count: int) -> int:
    size = max(round(DEV_SHARE * count), min(MIN_DEV, count // 4))
    if size < 1 or count < 4:
        raise UserError(
            f"There are {count} preference pairs, too few to learn from some and judge by others. "
            "Add pairs."
        )
    return size


def _rank(text: str, seed: int) -> bytes:
    """Decides the side of a row by its content: rows added later move no other."""
    return hashlib.sha256(f"{seed} {text}".encode("utf-8", errors="surrogatepass")).digest()
