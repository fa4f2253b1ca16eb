"""One trained adapter, two ways to an answer: merged into q8_0 for OpenVINO, and by PEFT and
transformers. Its alpha / r is 3, so that a path that forgets the scale cannot pass."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from statistics import fmean

import pytest
import torch
from gguf import GGMLQuantizationType, quants
from peft import PeftModel

from small_models import user
from tuned_starter import ALPHA, RANK, TunedStarter
from tunewise.chat.tokenize import answer_tokens
from tunewise.models import loading
from tunewise.models.catalog import LocalModel
from tunewise.models.engines.openvino import OpenVinoEngine
from tunewise.models.engines.protocol import Engine, Request, Sampling
from tunewise.models.engines.transformers import TransformersEngine
from tunewise.training.loop import Training
from tunewise.training.recipe import Recipe
from tunewise.training.rows import single_rows
from tunewise.types import Generation

ASKED = 24
"""Inputs: transformers needs minutes for more where a chip has little to multiply with."""


def texts(engine: Engine, requests: list[Request]) -> list[str]:
    found = engine.generate(requests)
    engine.close()
    assert all(isinstance(one, Generation) for one in found)
    return [one.text for one in found if isinstance(one, Generation)]


def without_scale(adapter: Path, folder: Path) -> Path:
    """The same adapter as an engine would see it that ignores alpha."""
    shutil.copytree(adapter, folder)
    settings = json.loads((folder / "adapter_config.json").read_text())
    assert (settings["r"], settings["lora_alpha"]) == (RANK, ALPHA)
    (folder / "adapter_config.json").write_text(json.dumps({**settings, "lora_alpha": RANK}))
    return folder


def test_a_small_model_that_learnt_its_rows_says_them_through_both_engines(
    small_llama: LocalModel, tmp_path: Path
) -> None:
    pairs = [("zip broke", "defect"), ("where is it", "delivery"), ("money back", "refund")]
    tokenizer = loading.load_tokenizer(small_llama.folder)
    sequences = [answer_tokens(tokenizer, user(text), target) for text, target in pairs]
    rows = single_rows(["zip", "where", "money"] * 6, sequences * 6)
    recipe = Recipe(
        learning_rate=1e-2,
        epochs=8,
        batch_tokens=128,
        seed=1,
        rank=RANK,
        alpha=ALPHA,
        precision="float32",
    )
    training = Training(small_llama, rows, recipe, tmp_path / "work")
    for _ in range(recipe.epochs):
        training.run_epoch()
    training.save(tmp_path / "adapter")
    requests = [
        Request(messages=user(text), adapter=tmp_path / "adapter", sampling=Sampling(max_tokens=8))
        for text, _ in pairs
    ]
    targets = [target for _, target in pairs]
    assert texts(TransformersEngine(small_llama, device="cpu"), requests) == targets
    assert texts(OpenVinoEngine(small_llama), requests) == targets
    untuned = [replace(request, adapter=None) for request in requests]
    assert not set(texts(OpenVinoEngine(small_llama), untuned)) & set(targets)


def scores(engine: Engine, tuned: TunedStarter, adapter: Path | None) -> list[float]:
    sampling = Sampling(max_tokens=48)
    asked = tuned.asked[:ASKED]
    requests = [Request(messages=one.messages, adapter=adapter, sampling=sampling) for one in asked]
    values = [
        tuned.metric.score(text, example.target).value
        for text, example in zip(texts(engine, requests), asked, strict=True)
    ]
    return [value for value in values if value is not None]


def rounded(base: LocalModel, adapter: Path, folder: Path) -> LocalModel:
    """PEFT's own merge of base and adapter, its matrices rounded to q8_0 by the gguf package."""
    model = PeftModel.from_pretrained(
        loading.load_model(base.folder), str(adapter)
    ).merge_and_unload()
    for weight in model.parameters():
        if weight.ndim == 2:
            blocks = quants.quantize(weight.detach().numpy(), GGMLQuantizationType.Q8_0)
            exact = quants.dequantize(blocks, GGMLQuantizationType.Q8_0)
            weight.data = torch.from_numpy(exact)
    loading.save(model, folder)
    loading.copy_tokenizer(base.folder, folder)
    return replace(base, folder=folder)


@pytest.mark.slow
def test_a_trained_adapter_answers_the_same_through_openvino_and_through_transformers(
    starter: LocalModel,
    tuned_starter: TunedStarter,
    tmp_path: Path,
    record_property: Callable[[str, object], None],
) -> None:
    merged = rounded(starter, tuned_starter.adapter, tmp_path / "merged")
    theirs = scores(TransformersEngine(merged, device="cpu"), tuned_starter, None)
    ours = scores(OpenVinoEngine(starter), tuned_starter, tuned_starter.adapter)
    ignored = without_scale(tuned_starter.adapter, tmp_path / "ignored")
    wrong = scores(OpenVinoEngine(starter), tuned_starter, ignored)

    def differing(values: list[float]) -> int:
        return sum(abs(a - b) > 1e-9 for a, b in zip(values, theirs, strict=True))

    assert len(theirs) == len(ours) == len(wrong) == ASKED
    record_property("scores that differ", (differing(ours), differing(wrong)))
    record_property("quality", (fmean(theirs), fmean(ours), fmean(wrong)))
    assert fmean(theirs) > 0.3  # it learnt something: equal nonsense would prove nothing
    assert differing(ours) <= 2  # near ties, which the order of additions decides
    assert fmean(ours) == pytest.approx(fmean(theirs), abs=0.03)
    assert differing(wrong) > 4  # the same check finds an engine that ignores alpha
