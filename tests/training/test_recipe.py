import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from tunewise.chat.tokenize import Span, TokenisedExample
from tunewise.models.catalog import LocalModel
from tunewise.project.settings import TrainingSettings
from tunewise.training.recipe import (
    Method,
    Recipe,
    Schedule,
    default_batch,
    default_epochs,
    default_learning_rate,
    learning_rate,
    recipe_for,
)
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
    given = TrainingSettings(learning_rate=1e-3, epochs=7, batch_tokens=333, alpha=5.0, rank=4)
    recipe = recipe_for(given, rows(50), base=base, seed=3, method="sft")
    assert (recipe.learning_rate, recipe.epochs, recipe.batch_tokens) == (1e-3, 7, 333)
    assert (recipe.alpha, recipe.rank, recipe.seed) == (5.0, 4, 3)
    small = recipe_for(TrainingSettings(rank=4), rows(50), base=base, seed=3, method="sft")
    assert small.alpha == 8.0


PEAK = 2e-4


def rates(schedule: Schedule, *, steps: int, warmup_share: float = 0.1) -> list[float]:
    recipe = Recipe(
        learning_rate=PEAK,
        epochs=1,
        batch_tokens=512,
        seed=0,
        schedule=schedule,
        warmup_share=warmup_share,
    )
    return [learning_rate(recipe, step, steps) for step in range(steps)]


def theirs(make: Callable[..., Any], *, steps: int, **named: int) -> list[float]:
    """What one of transformers' schedulers gives before each step, and after the last."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=PEAK)
    scheduler = make(optimizer, **named)
    found: list[float] = []
    for _ in range(steps + 1):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return found


SCHEDULERS = {
    "linear": transformers.get_linear_schedule_with_warmup,
    "cosine": transformers.get_cosine_schedule_with_warmup,
}


@pytest.mark.parametrize("schedule", ["linear", "cosine", "constant"])
def test_the_rate_rises_in_equal_parts_to_its_peak(schedule: Schedule) -> None:
    assert rates(schedule, steps=50)[:5] == pytest.approx([PEAK * n / 5 for n in (1, 2, 3, 4, 5)])


def test_no_step_is_lost_on_a_rate_of_zero() -> None:
    """transformers' warm-up begins at zero, ours one step further on."""
    their = theirs(
        transformers.get_linear_schedule_with_warmup,
        steps=50,
        num_warmup_steps=5,
        num_training_steps=50,
    )
    assert their[0] == 0
    assert rates("linear", steps=50)[:5] == pytest.approx(their[1:6])


@pytest.mark.parametrize(("steps", "warmup"), [(50, 5), (7, 1), (200, 20)])
@pytest.mark.parametrize("schedule", ["linear", "cosine"])
def test_after_its_warm_up_the_rate_is_that_of_transformers(
    schedule: Schedule, steps: int, warmup: int
) -> None:
    their = theirs(
        SCHEDULERS[schedule],
        steps=steps,
        num_warmup_steps=warmup,
        num_training_steps=steps,
    )
    assert rates(schedule, steps=steps)[warmup:] == pytest.approx(their[warmup:steps])
    assert their[steps] == pytest.approx(0, abs=1e-12)


def test_linear_falls_in_equal_parts_and_would_reach_zero_after_the_last_step() -> None:
    found = rates("linear", steps=50)[5:]
    assert found == pytest.approx([PEAK * (45 - n) / 45 for n in range(45)])


def test_cosine_is_at_half_its_peak_halfway() -> None:
    found = rates("cosine", steps=44)
    assert found[4] == pytest.approx(PEAK)
    assert found[24] == pytest.approx(PEAK / 2)
    assert found[-1] == pytest.approx(PEAK * 0.0015413, rel=1e-3)


def test_constant_stays_at_its_peak() -> None:
    assert set(rates("constant", steps=50)[5:]) == {PEAK}


@pytest.mark.parametrize("schedule", ["linear", "cosine"])
def test_after_the_peak_every_step_is_smaller_but_none_is_zero(schedule: Schedule) -> None:
    found = rates(schedule, steps=60)[6:]
    assert found == sorted(found, reverse=True)
    assert len(set(found)) == len(found)
    assert min(found) > 0


@pytest.mark.parametrize("schedule", ["linear", "cosine", "constant"])
def test_a_training_of_one_step_takes_it_at_the_peak(schedule: Schedule) -> None:
    assert rates(schedule, steps=1) == [PEAK]


def test_a_training_without_warm_up_begins_at_its_peak() -> None:
    assert rates("linear", steps=10, warmup_share=0)[:2] == [PEAK, PEAK]


def test_the_peak_is_the_recipes() -> None:
    for share in (0.03, 0.06, 0.5, 1.0):
        assert max(rates("cosine", steps=33, warmup_share=share)) == pytest.approx(PEAK)
