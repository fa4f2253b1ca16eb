"""Tunes a sentence embedding model, so that questions come to lie nearer to what answers them.

Multiple negatives ranking (Henderson et al. 2017, section 4.4): in each batch a question has to be
nearer to its own passage than to those of all other questions, and than to passages that the model
took for the right one (hard negatives; Karpukhin et al. 2020).
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, NamedTuple, cast

import torch

from tunewise.project.settings import AUTO, TrainingSettings
from tunewise.retrieval.embed import open_sentence_model
from tunewise.training.epochs import EMBEDDING_EPOCHS
from tunewise.training.threads import Threads

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

LEARNING_RATE = 5e-5
BATCH = 16
"""Questions of a step, no two of which have the same passage."""
WARM_UP = 0.1
"""Share of the steps in which the learning rate rises; then it falls to 0 in a line."""
MAX_GRAD_NORM = 1.0


class Triplet(NamedTuple):
    """What is learned from."""

    question: str
    passage: str
    """Answers it."""
    negative: str
    """Looks as if it did."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EmbeddingRecipe:
    """How an embedding model is tuned."""

    learning_rate: float
    """The highest, after the warm-up."""
    epochs: int
    """Of the schedule; a training may end before."""

    @classmethod
    def of(cls, settings: TrainingSettings) -> "EmbeddingRecipe":
        """The project's, with what is `auto` filled in."""
        rate, epochs = settings.learning_rate, settings.epochs
        return cls(
            learning_rate=LEARNING_RATE if rate == AUTO else rate,
            epochs=EMBEDDING_EPOCHS if epochs == AUTO else epochs,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class EmbeddingEpoch:
    """Where a training stands."""

    number: int
    """From 1."""
    loss: float
    """Mean of its steps."""
    tokens: int
    """Trained on since the beginning, padding left out."""
    model: "SentenceTransformer"
    """As it is now: the next epoch changes it."""


def tune_embedding(
    base: str | None,
    triplets: Sequence[Triplet],
    recipe: EmbeddingRecipe,
    *,
    seed: int,
    after_epoch: Callable[[EmbeddingEpoch], None],
    last: int | None = None,
    advance: Callable[[int], object] = int,
) -> None:
    """Trains a model on the processor, or on the GPU where there is one.

    Args:
        base: folder or hub id of the model that is tuned; None: the default one.
        triplets: at least one.
        recipe: of the training.
        seed: of the order of the rows and of dropout.
        after_epoch: told of each epoch; what it wants to keep of the model it has to save.
        last: the epoch after which it ends; None: the last of the schedule.
        advance: told of the triplets of each step.

    Raises:
        UserError: the extra `dense` is missing, or the model is not on this machine.
    """
    model = open_sentence_model(base)
    from sentence_transformers.sentence_transformer.losses import (  # noqa: PLC0415 - extra `dense`
        MultipleNegativesRankingLoss,
    )

    torch.manual_seed(seed)  # pyright: ignore[reportUnknownMemberType]
    rng = random.Random(seed)
    loss_of = cast("Any", MultipleNegativesRankingLoss(model))
    optimiser: Any = torch.optim.AdamW(
        model.parameters(), lr=recipe.learning_rate, weight_decay=0.01
    )
    tokens = 0
    with Threads():
        for number in range(1, (last or recipe.epochs) + 1):
            model.train()
            steps, losses = batches(triplets, rng), list[float]()
            for done, batch in enumerate(steps):
                for group in optimiser.param_groups:
                    share = (number - 1 + (done + 0.5) / len(steps)) / recipe.epochs
                    group["lr"] = recipe.learning_rate * _rate(share)
                features = [_features(model, column) for column in zip(*batch, strict=True)]
                tokens += sum(int(one["attention_mask"].sum()) for one in features)
                loss = loss_of(features, None)
                loss.backward()
                torch.nn.utils.clip_grad_norm_(model.parameters(), MAX_GRAD_NORM)
                optimiser.step()
                optimiser.zero_grad(set_to_none=True)
                losses.append(float(loss.detach()))
                advance(len(batch))
            model.eval()
            after_epoch(
                EmbeddingEpoch(
                    number=number, loss=sum(losses) / len(losses), tokens=tokens, model=model
                )
            )


def batches(triplets: Sequence[Triplet], rng: random.Random) -> list[list[Triplet]]:
    """All triplets in another order, in batches in which every text is there once.

    A passage that two questions of a batch share would be a wrong negative of both.
    """
    left = rng.sample(list(triplets), len(triplets))
    found: list[list[Triplet]] = []
    while left:
        batch, there, later = list[Triplet](), set[str](), list[Triplet]()
        for one in left:
            if len(batch) < BATCH and not there & set(one):
                batch.append(one)
                there |= set(one)
            else:
                later.append(one)
        found.append(batch)
        left = later
    return found


def _rate(share: float) -> float:
    """The rate after a share of all steps, as a share of the highest: warm-up, then a line down."""
    return min(1.0, share / WARM_UP, (1.0 - share) / (1.0 - WARM_UP))


def _features(model: "SentenceTransformer", texts: Sequence[str]) -> dict[str, torch.Tensor]:
    read = cast("Any", model).preprocess(list(texts))
    return {
        key: one.to(model.device) if isinstance(one, torch.Tensor) else one
        for key, one in read.items()
    }
