"""Sources to export that need no run: an adapter on a small model, and prompts without a model."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from small_models import user
from small_trainings import PAIRS, RECIPE, rows_of
from tunewise.contenders.answering import PromptStrategy
from tunewise.contenders.fine_tune import input_alone
from tunewise.exporting.bundle import Bundle, seal_bundle, write_files
from tunewise.exporting.source import FIXED_TOKENS, HeldOut, Source, fixed_set
from tunewise.exporting.vectors import write_vectors
from tunewise.metrics.by_name import metric_named
from tunewise.models.catalog import LocalModel
from tunewise.retrieval.chunk import Passage
from tunewise.retrieval.embed import Embedder
from tunewise.runs.model_file import BaseUsed, ModelFile, Origin
from tunewise.training.loop import Training
from tunewise.types import Example, JsonValue

SHORT = 12
"""Prompts of the fixed set that most tests compare by."""


def held_out(count: int = SHORT) -> HeldOut:
    """The first prompts of the fixed set."""
    whole = fixed_set()
    return replace(whole, rows=whole.rows[:count])


def taught_adapter(base: LocalModel, folder: Path) -> Path:
    """An adapter that says the labels of `PAIRS` for sure, so that rounding changes no answer."""
    recipe = replace(RECIPE, epochs=8)
    training = Training(base, rows_of(base), recipe, folder.with_name(f"{folder.name}-work"))
    for _ in range(recipe.epochs):
        training.run_epoch()
    training.save(folder)
    training.close()
    return folder


def taught_rows() -> HeldOut:
    """What `taught_adapter` was taught."""
    rows = tuple(example(n, text, target) for n, (text, target) in enumerate(PAIRS))
    return HeldOut(rows=rows, of="test rows of run", metric=metric_named("exact_match"))


def adapter_source(
    base: LocalModel,
    adapter: Path | None,
    *,
    prompts: HeldOut | None = None,
    margin: float = 0.03,
    tokens: int = FIXED_TOKENS,
) -> Source:
    """What was trained from a base, asked with the input alone."""
    return Source(
        named=str(adapter or base.name),
        contender="fine_tune",
        base=base,
        base_name=base.name,
        adapter=adapter,
        strategy=PromptStrategy(prompts=input_alone, max_tokens=tokens),
        held_out=prompts or held_out(),
        margin=margin,
        card=adapter / "README.md" if adapter else None,
    )


def model_of(
    folder: Path,
    kind: str,
    settings: dict[str, JsonValue],
    *,
    examples: Sequence[Example] = (),
    passages: Sequence[Passage] = (),
    embedder: Embedder | None = None,
    **fields: Any,
) -> Bundle:
    """The folder of a model that asks `some-model`, with what it searches."""
    folder.mkdir(parents=True)
    write_files(folder, examples=examples, passages=passages)
    if embedder is not None:
        texts = [one.text for one in passages] or [one.input.text for one in examples]
        write_vectors(folder, embedder, texts)
    plain = {"contender": kind, "kind": kind, "base": BaseUsed(name="some-model"), "max_tokens": 8}
    model = ModelFile(
        **{**plain, **fields},
        settings=settings,
        embedder=embedder.name if embedder else None,
        origin=Origin(project="shop", run="first", token="t"),
    )
    return seal_bundle(folder, model)


def prompt_source(bundle: Bundle, strategy: PromptStrategy, rows: Sequence[Example] = ()) -> Source:
    """A contender that trains nothing.

    Args:
        bundle: what is exported.
        strategy: how the contender asked, made of what the run had.
        rows: held out.
    """
    name = bundle.model.contender
    return Source(
        named=f"run:{name}",
        contender=name,
        base=None,
        base_name="some-model",
        adapter=None,
        strategy=strategy,
        held_out=HeldOut(rows=tuple(rows), of="test rows of run", metric=None),
        margin=0.03,
        bundle=bundle,
    )


def example(number: int, text: str, target: str) -> Example:
    """A row of one turn."""
    return Example(id=f"row {number}", messages=user(text), target=target)
