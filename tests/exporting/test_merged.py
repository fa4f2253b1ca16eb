"""One folder that whoever knows transformers alone opens, and has what was judged."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import peft
import pytest
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

import small_models
from exports import adapter_source, held_out
from tunewise.chat.tokenize import prompt_tokens
from tunewise.errors import UserError
from tunewise.exporting.merged import write_merged
from tunewise.exporting.weights import stops_by_itself
from tunewise.models import loading
from tunewise.models.adapters import sign_adapter
from tunewise.models.catalog import LocalModel

KINDS = {
    "lora with alpha / r = 3": {},
    "rslora": {"use_rslora": True},
    "dora": {"use_dora": True},
    "an alpha and a rank of its own for a layer": {
        "alpha_pattern": {"q_proj": 5},
        "rank_pattern": {"down_proj": 2},
    },
    "with a head of its own": {"modules_to_save": ["lm_head"], "target_modules": ["q_proj"]},
}


def log_probabilities(model: torch.nn.Module, prompts: list[tuple[int, ...]]) -> torch.Tensor:
    """(prompts, vocabulary) of the next token."""
    with torch.inference_mode():
        logits = [model(input_ids=torch.tensor([p])).logits[0, -1] for p in prompts]
    return torch.stack(logits).log_softmax(-1)


def some_prompts(base: LocalModel) -> list[tuple[int, ...]]:
    tokenizer = loading.load_tokenizer(base.folder)
    return [prompt_tokens(tokenizer, row.messages) for row in held_out().rows]


@pytest.mark.parametrize("lora", KINDS.values(), ids=KINDS.keys())
def test_a_merged_model_says_what_base_and_adapter_say_together(
    lora: dict[str, object], small_llama: LocalModel, tmp_path: Path
) -> None:
    trained = small_models.adapter(small_llama, tmp_path / "adapter", **lora)
    write_merged(adapter_source(small_llama, trained), tmp_path / "merged")
    prompts = some_prompts(small_llama)
    base = AutoModelForCausalLM.from_pretrained(small_llama.folder)
    alone = log_probabilities(base, prompts)
    together = log_probabilities(PeftModel.from_pretrained(base, str(trained)), prompts)
    merged = log_probabilities(
        AutoModelForCausalLM.from_pretrained(tmp_path / "merged", use_safetensors=True), prompts
    )
    assert torch.allclose(merged, together, atol=1e-4)
    assert not torch.allclose(merged, alone, atol=0.1)


def test_a_model_whose_every_weight_was_trained_is_merged_already(
    small_llama: LocalModel, tmp_path: Path
) -> None:
    model = AutoModelForCausalLM.from_pretrained(small_llama.folder)
    with torch.no_grad():
        for weight in model.parameters():
            weight.add_(0.01)
    model.save_pretrained(tmp_path / "full")
    loading.copy_tokenizer(small_llama.folder, tmp_path / "full")
    sign_adapter(tmp_path / "full", small_llama)
    write_merged(adapter_source(small_llama, tmp_path / "full"), tmp_path / "merged")
    merged = AutoModelForCausalLM.from_pretrained(tmp_path / "merged")
    prompts = some_prompts(small_llama)
    assert torch.equal(log_probabilities(merged, prompts), log_probabilities(model, prompts))


def test_what_works_beside_the_weights_is_refused(small_llama: LocalModel, tmp_path: Path) -> None:
    config = peft.PromptTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=4)
    soft = peft.get_peft_model(loading.load_model(small_llama.folder), config)
    soft.save_pretrained(str(tmp_path / "soft"))
    sign_adapter(tmp_path / "soft", small_llama)
    with pytest.raises(UserError, match=r"PROMPT_TUNING works beside .* Use --to adapter"):
        write_merged(adapter_source(small_llama, tmp_path / "soft"), tmp_path / "merged")


def test_an_adapter_of_another_base_is_refused(
    small_llama: LocalModel, small_qwen: LocalModel, tmp_path: Path
) -> None:
    other = small_models.adapter(small_qwen, tmp_path / "other")
    with pytest.raises(UserError, match="trained for another base"):
        write_merged(adapter_source(small_llama, other), tmp_path / "merged")
    assert not (tmp_path / "merged").exists()


def test_generation_ends_at_every_token_that_ended_an_answer_here(
    small_llama: LocalModel, tmp_path: Path
) -> None:
    folder = shutil.copytree(small_llama.folder, tmp_path / "base")
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": [2, 300]}))
    base = replace(small_llama, folder=folder)
    trained = small_models.adapter(base, tmp_path / "adapter")
    write_merged(adapter_source(base, trained), tmp_path / "merged")
    merged = AutoModelForCausalLM.from_pretrained(tmp_path / "merged")
    ends = [stops_by_itself(merged, [1, 40, 41], token) for token in (2, 300, 301)]
    assert ends == [True, True, False]


def test_a_model_without_a_template_gets_the_plain_form_as_one(
    small_folder: Path, small_llama: LocalModel, tmp_path: Path
) -> None:
    folder = shutil.copytree(small_llama.folder, tmp_path / "base")
    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokenizer.chat_template = None
    (folder / "chat_template.jinja").unlink(missing_ok=True)
    tokenizer.save_pretrained(folder)
    base = replace(small_llama, folder=folder)
    trained = small_models.adapter(base, tmp_path / "adapter")
    source = adapter_source(base, trained, prompts=held_out(50))
    write_merged(source, tmp_path / "merged")
    merged = AutoTokenizer.from_pretrained(tmp_path / "merged")
    for row in source.held_out.rows:
        turns = [{"role": turn.role, "content": turn.content} for turn in row.messages]
        text = merged.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
        ids = tuple(merged.encode(text, add_special_tokens=False))
        assert ids == prompt_tokens(source.tokenizer, row.messages), row.id
