import pytest

from tunewise.data.chat import Span, TokenisedExample
from tunewise.settings import Training
from tunewise.training.defaults import default_batch, default_epochs, recipe_for
from tunewise.training.recipe import Method
from tunewise.training.rows import Row


def rows(count: int, *, tokens: int = 100) -> list[Row]:
    sequence = TokenisedExample(token_ids=(1,) * tokens, answers=(Span(tokens - 5, tokens),))
    return [Row(id=str(n), sequences=(sequence,)) for n in range(count)]


@pytest.mark.parametrize(
    ("method", "count", "batch"),
    [
        ("sft", 50, 512),
        ("sft", 300, 1536),
        ("sft", 5000, 2048),
        ("dpo", 50, 512),
        ("dpo", 5000, 8192),
    ],
)
def test_a_step_holds_a_twentieth_of_the_tokens_within_bounds(
    method: Method, count: int, batch: int
) -> None:
    assert default_batch(rows(count), method) == batch


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
    [("sft", "lora", 5e-4), ("sft", "full", 5e-5), ("dpo", "lora", 1e-4), ("cpt", "lora", 5e-4)],
)
def test_the_rate_goes_by_method_and_adapter(method: Method, adapter: str, rate: float) -> None:
    recipe = recipe_for(Training(adapter=adapter), rows(50), seed=0, method=method)
    assert recipe.learning_rate == pytest.approx(rate)


def test_what_is_set_is_not_filled_in() -> None:
    given = Training(learning_rate=1e-3, epochs=7, batch_tokens=333, alpha=5.0, rank=4)
    recipe = recipe_for(given, rows(50), seed=3, method="sft")
    assert (recipe.learning_rate, recipe.epochs, recipe.batch_tokens) == (1e-3, 7, 333)
    assert (recipe.alpha, recipe.rank, recipe.seed) == (5.0, 4, 3)
    assert recipe_for(Training(rank=4), rows(50), seed=3, method="sft").alpha == 8.0
