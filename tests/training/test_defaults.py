import json
from pathlib import Path
from typing import Any

import pytest

from tunewise.chat.tokenize import Span, TokenisedExample
from tunewise.models.catalog import LocalModel
from tunewise.project.settings import Training
from tunewise.training.defaults import (
    default_batch,
    default_epochs,
    default_learning_rate,
    recipe_for,
)
from tunewise.training.recipe import Method
from tunewise.training.rows import Row


def rows(count: int, *, tokens: int = 100, shared: int = 0) -> list[Row]:
    """Rows of so many tokens, of which the first ones are the same in all."""
    answer = (Span(tokens - 5, tokens),)
    ids = [(*range(shared), *range(10_000 * n, 10_000 * n + tokens - shared)) for n in range(count)]
    sequences = [TokenisedExample(token_ids=one, answers=answer) for one in ids]
    return [Row(id=str(n), sequences=(one,)) for n, one in enumerate(sequences)]


def sized(folder: Path, family: str, config: dict[str, Any]) -> LocalModel:
    """A base of which nothing but its config is there."""
    (folder / "config.json").write_text(json.dumps({"model_type": family, **config}))
    return LocalModel(
        name="base",
        folder=folder,
        family=family,
        context_tokens=2048,
        sha256="0",
        gguf=None,
        no_gguf=None,
    )


@pytest.mark.parametrize(
    ("method", "count", "batch"),
    [
        ("sft", 50, 512),
        ("sft", 1500, 1536),
        ("sft", 50_000, 8192),
        ("dpo", 50, 512),
        ("dpo", 5000, 8192),
    ],
)
def test_a_step_holds_a_share_of_the_tokens_within_bounds(
    method: Method, count: int, batch: int
) -> None:
    assert default_batch(rows(count), method) == batch


def test_a_step_holds_more_rows_behind_a_long_shared_beginning() -> None:
    assert default_batch(rows(300, tokens=450), "sft") == 1280  # 3 rows
    assert default_batch(rows(300, tokens=450, shared=400), "sft") == 2304  # 256 / 50 rows


@pytest.mark.parametrize(
    ("method", "count", "epochs"),
    [
        ("sft", 20, 20),  # 3 steps each
        ("sft", 100, 3),
        ("sft", 10_000, 3),
        ("dpo", 24, 3),  # 4 steps each
        ("dpo", 70, 2),  # 13 steps each
        ("dpo", 5000, 1),
    ],
)
def test_small_data_get_more_epochs_up_to_a_bound(method: Method, count: int, epochs: int) -> None:
    some = rows(count)
    assert default_epochs(some, method, batch_tokens=default_batch(some, method)) == epochs


@pytest.mark.parametrize(
    ("method", "adapter", "rate"),
    [("sft", "lora", 5e-4), ("sft", "full", 5e-5), ("dpo", "lora", 5e-5), ("cpt", "lora", 5e-4)],
)
def test_the_rate_goes_by_method_and_adapter(
    method: Method, adapter: str, rate: float, tmp_path: Path
) -> None:
    base = sized(tmp_path, "llama", {"hidden_size": 2000, "num_attention_heads": 20})
    assert default_learning_rate(base, adapter, method) == pytest.approx(rate)


@pytest.mark.parametrize(
    ("family", "config", "rate"),
    [
        ("llama", {"hidden_size": 576}, 1.3e-3),  # the starter model
        ("llama", {"hidden_size": 4096}, 2.9e-4),  # Llama 3.1 8B
        ("qwen3", {"hidden_size": 4096}, 4.7e-4),  # Qwen3 8B
        ("gpt2", {"n_embd": 768}, 1.1e-3),
        ("gemma3", {"text_config": {"hidden_size": 2560}}, 4.1e-4),
    ],
)
def test_wider_bases_take_smaller_steps_as_published(
    family: str, config: dict[str, Any], rate: float, tmp_path: Path
) -> None:
    base = sized(tmp_path, family, config)
    assert default_learning_rate(base, "lora", "sft") == pytest.approx(rate)


def test_what_is_set_is_not_filled_in(tmp_path: Path) -> None:
    base = sized(tmp_path, "llama", {"hidden_size": 576})
    given = Training(learning_rate=1e-3, epochs=7, batch_tokens=333, alpha=5.0, rank=4)
    recipe = recipe_for(given, rows(50), base=base, seed=3, method="sft")
    assert (recipe.learning_rate, recipe.epochs, recipe.batch_tokens) == (1e-3, 7, 333)
    assert (recipe.alpha, recipe.rank, recipe.seed) == (5.0, 4, 3)
    small = recipe_for(Training(rank=4), rows(50), base=base, seed=3, method="sft")
    assert small.alpha == 8.0
