"""The starter model, tuned on a shop's mail, as other programs open it.

Its tokenizer, its size and its rounding are real here; every other form, precision and fault is
shown on small models.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from exports import adapter_source
from tuned_starter import TunedStarter
from tunewise.chat.template import render_prompt
from tunewise.exporting.gguf import write_gguf_folder
from tunewise.exporting.llamacpp import LlamaCppReader
from tunewise.exporting.parity import Comparison
from tunewise.exporting.readers import OpenVinoReader, Reader, Rendered, TransformersReader
from tunewise.exporting.source import HeldOut, Source, fixed_set
from tunewise.progress import Silent
from tunewise.runs.exported import EngineParity

pytestmark = pytest.mark.slow
ASKED = 30
MARGIN = 0.05
"""Of a model that learnt little, so that many of its answers are near ties."""


@dataclass(frozen=True, kw_only=True)
class Exported:
    """The tuned model, what it says, and what was made of it."""

    source: Source
    comparison: Comparison
    merged: Path
    """In the hub's layout: what the file was converted from."""
    file: Path
    """GGUF, q8_0."""


@pytest.fixture(scope="module")
def exported(tuned_starter: TunedStarter, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    prompts = HeldOut(
        rows=tuned_starter.asked[:ASKED], of="the shop's mail", metric=tuned_starter.metric
    )
    source = adapter_source(
        tuned_starter.base, tuned_starter.adapter, prompts=prompts, tokens=40, margin=MARGIN
    )
    folder = tmp_path_factory.mktemp("exported")
    return Exported(
        source=source,
        comparison=Comparison(source, Silent()),
        merged=folder / "merged",
        file=write_gguf_folder(source, folder, folder / "merged", precision="q8_0"),
    )


def holds(
    reader: Reader, exported: Exported, record_property: Callable[[str, object], None]
) -> EngineParity:
    """It is a copy: same tokens, no fault, quality as before, and hardly a score another."""
    found = exported.comparison.through(reader)
    record_property(
        reader.engine,
        {
            "quality": (found.source, found.artefact),
            "answers that differ": len(found.answers_differ),
            "scores that differ": sum(a.source != a.artefact for a in found.answers_differ),
            "log-probability": found.log_probability,
        },
    )
    assert found.faults == ()
    assert found.prompts_differ == ()
    assert found.ends == {"<|im_end|>": True}
    assert found.answered == ASKED
    assert found.source is not None
    assert found.source > 0.2  # it learnt something: equal nonsense would prove nothing
    assert found.artefact == pytest.approx(found.source, abs=MARGIN)
    assert sum(a.source != a.artefact for a in found.answers_differ) <= 2
    same_tokens_for_the_fixed_set(reader, exported.source)
    return found


def same_tokens_for_the_fixed_set(reader: Reader, source: Source) -> None:
    """The prompts in many scripts, with and without a system turn."""
    for row in fixed_set().rows:
        text = render_prompt(source.tokenizer, row.messages)
        ids = tuple(source.tokenizer.encode(text, add_special_tokens=False))
        prompt = Rendered(text=text, ids=ids, turns=row.messages)
        assert reader.tokens(prompt) == ids, row.id


def test_a_merged_model_through_transformers(
    exported: Exported, record_property: Callable[[str, object], None]
) -> None:
    reader = TransformersReader(replace(exported.source.local, folder=exported.merged))
    found = holds(reader, exported, record_property)
    assert found.log_probability is not None
    assert found.log_probability < 1e-3


def test_a_gguf_file_through_openvino(
    exported: Exported, record_property: Callable[[str, object], None]
) -> None:
    model = replace(exported.source.local, folder=exported.merged, gguf=exported.file)
    holds(OpenVinoReader(model), exported, record_property)


def test_a_gguf_file_through_llamacpp(
    exported: Exported, record_property: Callable[[str, object], None]
) -> None:
    context = exported.source.local.context_tokens
    reader = LlamaCppReader(exported.file, exported.merged, context_tokens=context)
    holds(reader, exported, record_property)
