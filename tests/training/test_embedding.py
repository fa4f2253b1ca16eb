import random

import pytest

import small_sentence_model
from tunewise.project.settings import TrainingSettings
from tunewise.training.embedding import (
    BATCH,
    LEARNING_RATE,
    EmbeddingEpoch,
    EmbeddingRecipe,
    Triplet,
    batches,
    tune_embedding,
)
from tunewise.training.epochs import EMBEDDING_EPOCHS


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(small_sentence_model.build(tmp_path_factory.mktemp("sentences")))


TRIPLETS = [
    Triplet(f"{asked} {n}", f"{right} {n}", f"{wrong} {n}")
    for n in range(8)
    for asked, right, wrong in [("gas", "stove", "tent"), ("wash", "tent", "mat")]
]


def losses(model: str, **how: int) -> list[EmbeddingEpoch]:
    found: list[EmbeddingEpoch] = []
    recipe = EmbeddingRecipe(learning_rate=3e-3, epochs=4)
    tune_embedding(model, TRIPLETS, recipe, after_epoch=found.append, **{"seed": 1, **how})
    return found


def test_the_loss_falls_and_tokens_are_counted(model: str) -> None:
    epochs = losses(model)
    assert [one.number for one in epochs] == [1, 2, 3, 4]
    assert epochs[-1].loss < 0.8 * epochs[0].loss
    assert epochs[1].tokens == 2 * epochs[0].tokens


def test_the_same_seed_trains_the_same_and_another_another(model: str) -> None:
    first, again = losses(model, last=1), losses(model, last=1)
    other = losses(model, seed=2, last=1)
    assert first[0].loss == again[0].loss
    assert first[0].loss != other[0].loss


def test_an_earlier_end_keeps_the_schedule(model: str) -> None:
    whole, half = losses(model), losses(model, last=2)
    assert [one.loss for one in half] == [one.loss for one in whole[:2]]


def test_no_text_stands_twice_in_a_batch_and_every_triplet_in_one() -> None:
    rows = [Triplet(f"q{n}", f"p{n % 5}", f"n{n % 3}") for n in range(50)]
    found = batches(rows, random.Random(0))
    assert sorted(one for batch in found for one in batch) == sorted(rows)
    for batch in found:
        assert len(batch) <= BATCH
        texts = [text for one in batch for text in one]
        assert len(set(texts)) == len(texts)


def test_what_the_project_leaves_open_has_a_default() -> None:
    assert EmbeddingRecipe.of(TrainingSettings()) == EmbeddingRecipe(
        learning_rate=LEARNING_RATE, epochs=EMBEDDING_EPOCHS
    )
    given = TrainingSettings(learning_rate=1e-4, epochs=2)
    assert EmbeddingRecipe.of(given) == EmbeddingRecipe(learning_rate=1e-4, epochs=2)
