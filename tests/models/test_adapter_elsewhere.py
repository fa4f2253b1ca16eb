"""What was measured is what is shipped: engine, plain transformers with PEFT, and merged weights.

After huggingface/peft#1035 (answers change after a merge) and huggingface/transformers#45127 (a
merged model with tied embeddings collapses after reloading).
"""

from pathlib import Path

import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM

from small_models import user
from tunewise.chat.tokenize import answer_tokens, prompt_tokens
from tunewise.models import loading
from tunewise.models.catalog import LocalModel
from tunewise.models.engines.openvino import OpenVinoEngine
from tunewise.models.engines.protocol import Request, Sampling
from tunewise.models.engines.transformers import TransformersEngine
from tunewise.training.loop import Training
from tunewise.training.recipe import Recipe
from tunewise.training.rows import single_rows
from tunewise.types import Generation

TAUGHT = {
    "The zip broke": "defect",
    "Where is my tent?": "delivery",
    "I want my money back": "refund",
    "The pole is bent": "defect",
    "Not arrived yet": "delivery",
    "Charged twice": "refund",
}
HELD_OUT = ("The zip is bent", "Where is it?", "Money back please", "Charged again", "It broke")
TOKENS = 8


def plain_answers(model: torch.nn.Module, folder: Path, texts: list[str]) -> list[str]:
    """What a person gets who knows transformers alone: greedy, one by one."""
    tokenizer = loading.load_tokenizer(folder)
    said: list[str] = []
    for text in texts:
        ids = torch.tensor([prompt_tokens(tokenizer, user(text))])
        with torch.inference_mode():
            out = model.generate(input_ids=ids, do_sample=False, max_new_tokens=TOKENS)  # type: ignore[operator]
        said.append(str(tokenizer.decode(out[0, ids.shape[1] :], skip_special_tokens=True)))
    return [text.strip() for text in said]


@pytest.mark.parametrize("initialisation", ["default", "pissa"])
def test_the_adapter_gives_the_answers_that_were_measured_wherever_it_is_loaded(
    initialisation: str, small_llama: LocalModel, tmp_path: Path
) -> None:
    tokenizer = loading.load_tokenizer(small_llama.folder)
    sequences = [answer_tokens(tokenizer, user(text), said) for text, said in TAUGHT.items()]
    names = [str(n) for n in range(len(TAUGHT))]
    recipe = Recipe(
        learning_rate=1e-2,
        epochs=8,
        batch_tokens=128,
        seed=1,
        rank=4,
        alpha=8.0,
        initialisation=initialisation,
        precision="float32",
    )
    training = Training(
        small_llama, single_rows(names * 4, sequences * 4), recipe, tmp_path / "work"
    )
    for _ in range(recipe.epochs):
        training.run_epoch()
    training.save(tmp_path / "adapter")

    asked = [*TAUGHT, *HELD_OUT]
    requests = [
        Request(
            messages=user(text), adapter=tmp_path / "adapter", sampling=Sampling(max_tokens=TOKENS)
        )
        for text in asked
    ]
    measured: dict[str, list[str]] = {}
    for engine in (TransformersEngine(small_llama, device="cpu"), OpenVinoEngine(small_llama)):
        generations = [g for g in engine.generate(requests) if isinstance(g, Generation)]
        engine.close()
        assert len(generations) == len(asked)
        # What was taught ends by itself, and not only because there was no more room.
        assert {g.finish_reason for g in generations[: len(TAUGHT)]} == {"stop"}
        measured[engine.name] = [g.text.strip() for g in generations]

    def base() -> torch.nn.Module:
        return AutoModelForCausalLM.from_pretrained(small_llama.folder, dtype=torch.float32)

    loaded = PeftModel.from_pretrained(base(), str(tmp_path / "adapter")).eval()  # type: ignore[arg-type]
    elsewhere = plain_answers(loaded, small_llama.folder, asked)
    loaded.merge_and_unload().save_pretrained(tmp_path / "merged")
    again = AutoModelForCausalLM.from_pretrained(tmp_path / "merged", dtype=torch.float32).eval()
    merged = plain_answers(again, small_llama.folder, asked)

    assert elsewhere[: len(TAUGHT)] == list(TAUGHT.values())
    assert measured["transformers"] == elsewhere
    assert merged == elsewhere
    # 8-bit weights may turn one answer of those that nobody taught.
    differ = sum(a != b for a, b in zip(measured["openvino"], elsewhere, strict=True))
    assert measured["openvino"][: len(TAUGHT)] == list(TAUGHT.values())
    assert differ <= 1
