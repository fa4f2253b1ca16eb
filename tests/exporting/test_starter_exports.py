"""The starter model, tuned on a shop's mail, in every form and through every engine."""

import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from exports import adapter_source
from places import ROOT
from tunewise.chat.template import render_prompt
from tunewise.exporting.adapter import write_adapter
from tunewise.exporting.gguf import write_gguf_folder
from tunewise.exporting.llamacpp import LlamaCppReader
from tunewise.exporting.merged import write_merged
from tunewise.exporting.parity import Comparison
from tunewise.exporting.readers import OpenVinoReader, Reader, Rendered, TransformersReader
from tunewise.exporting.source import HeldOut, Source, fixed_set
from tunewise.metrics.by_name import metric_named
from tunewise.models import loading
from tunewise.models.catalog import LocalModel
from tunewise.models.gguf import GgufPrecision
from tunewise.progress import Silent
from tunewise.runs.exported import EngineParity
from tunewise.training.loop import Training
from tunewise.training.recipe import Recipe
from tunewise.training.rows import example_rows
from tunewise.types import Example, Message

TRIAGE = ROOT / "examples" / "support_triage" / "examples.jsonl"
TRAINED, ASKED = 40, 20
MARGIN = 0.05
"""Of a model that learnt little, so that many of its answers are near ties."""


@dataclass(frozen=True, kw_only=True)
class Triage:
    """A tuned starter model, and what it says."""

    source: Source
    comparison: Comparison


@pytest.fixture(scope="module")
def triage(starter: LocalModel, tmp_path_factory: pytest.TempPathFactory) -> Triage:
    records = [json.loads(line) for line in TRIAGE.read_text("utf-8").splitlines()]
    examples = [
        Example(
            id=record["id"],
            messages=(Message(role="user", content=record["input"]),),
            target=json.dumps(record["output"], ensure_ascii=False),
        )
        for record in records
    ]
    examples.sort(key=lambda e: len(e.messages[0].content))  # the short ones: time is dear
    train, asked = examples[0 : 2 * TRAINED : 2], examples[1 : 2 * ASKED : 2]
    folder = tmp_path_factory.mktemp("triage")
    recipe = Recipe(learning_rate=2e-3, epochs=2, batch_tokens=512, seed=1, rank=8, alpha=24.0)
    rows = example_rows(loading.load_tokenizer(starter.folder), train)
    training = Training(starter, rows, recipe, folder / "work")
    for _ in range(recipe.epochs):
        training.run_epoch()
    training.save(folder / "adapter")
    training.close()
    prompts = HeldOut(
        rows=tuple(asked),
        of="the shop's mail",
        metric=metric_named("json_fields", None, folder=TRIAGE.parent),
    )
    source = adapter_source(starter, folder / "adapter", prompts=prompts, tokens=40, margin=MARGIN)
    return Triage(source=source, comparison=Comparison(source, Silent()))


def holds(found: EngineParity, record_property: Callable[[str, object], None], what: str) -> None:
    """It is a copy: no fault, quality as before, and hardly a score another."""
    record_property(
        what,
        {
            "quality": (found.source, found.artefact),
            "answers that differ": len(found.answers_differ),
            "scores that differ": sum(a.source != a.artefact for a in found.answers_differ),
            "log-probability": found.log_probability,
        },
    )
    assert found.faults == ()
    assert found.answered == ASKED
    assert found.source is not None
    assert found.source > 0.2  # it learnt something: equal nonsense would prove nothing
    assert found.artefact == pytest.approx(found.source, abs=MARGIN)
    assert sum(a.source != a.artefact for a in found.answers_differ) <= 4


def same_tokens_for_the_fixed_set(reader: Reader, source: Source) -> None:
    """The prompts in many scripts, with and without a system turn."""
    for row in fixed_set().rows:
        text = render_prompt(source.tokenizer, row.messages)
        ids = tuple(source.tokenizer.encode(text, add_special_tokens=False))
        prompt = Rendered(text=text, ids=ids, turns=row.messages)
        assert reader.tokens(prompt) == ids, row.id


@pytest.mark.slow
def test_an_adapter_through_peft_and_openvino(
    triage: Triage,
    starter: LocalModel,
    tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> None:
    write_adapter(triage.source, tmp_path)
    for reader in (TransformersReader(starter, tmp_path), OpenVinoReader(starter, tmp_path)):
        found = triage.comparison.through(reader)
        holds(found, record_property, f"adapter, {reader.engine}")


@pytest.mark.slow
def test_a_merged_model_through_transformers(
    triage: Triage,
    starter: LocalModel,
    tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> None:
    write_merged(triage.source, tmp_path / "merged")
    reader = TransformersReader(replace(starter, folder=tmp_path / "merged"))
    found = triage.comparison.through(reader)
    holds(found, record_property, "merged, transformers")
    assert found.ends == {"<|im_end|>": True}
    assert found.log_probability is not None
    assert found.log_probability < 1e-3
    same_tokens_for_the_fixed_set(reader, triage.source)


@pytest.mark.slow
@pytest.mark.parametrize("precision", ["q8_0", "f16"])
def test_a_gguf_file_through_openvino_and_llamacpp(
    precision: GgufPrecision,
    triage: Triage,
    starter: LocalModel,
    tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> None:
    work = tmp_path / "work"
    file = write_gguf_folder(triage.source, tmp_path, work, precision=precision)
    readers: list[Reader] = [
        OpenVinoReader(replace(starter, folder=work, gguf=file)),
        LlamaCppReader(file, work, context_tokens=starter.context_tokens),
    ]
    for reader in readers:
        found = triage.comparison.through(reader)
        holds(found, record_property, f"gguf {precision}, {reader.engine}")
        assert found.prompts_differ == ()
        assert found.ends == {"<|im_end|>": True}
        same_tokens_for_the_fixed_set(reader, triage.source)
