"""What `auto` in [training] means: fixed, documented defaults, from the rows alone.

Nothing is tuned on a person's dev split but the number of epochs. Knows nothing of contenders.
"""

from collections.abc import Sequence
from typing import cast

from tunewise.settings import AUTO, Training
from tunewise.training.objectives import PreferenceLoss
from tunewise.training.recipe import Method, Recipe, Schedule
from tunewise.training.rows import Row

LEARNING_RATE = 5e-4
"""Of an adapter learning answers or documents."""
FULL_SHARE = 0.1
"""Of that, when every weight is trained."""
PREFERENCE_SHARE = 0.2
"""Of that, for dpo and kto."""
EPOCHS = 3
PREFERENCE_EPOCHS = 1
FEWEST_STEPS = 60
"""Small data gets more epochs, until the optimiser has made this many steps."""
MOST_EPOCHS = 20
STEPS_PER_EPOCH = 20
"""What `batch_tokens` aims at."""
SMALLEST_BATCH, LARGEST_BATCH = 512, 2048
"""Tokens of a step."""
LARGEST_PAIR_BATCH = 8192
"""The same of preference methods: each pair says one thing, so that more of them stand together."""
FEWEST_PREFERENCE_STEPS = 20
"""Few pairs get up to `EPOCHS` epochs, until the optimiser has made this many steps."""


def default_batch(rows: Sequence[Row], method: Method) -> int:
    """Tokens of a step: a twentieth of the rows', within bounds."""
    tokens = sum(row.tokens for row in rows)
    wanted = 256 * round(tokens / STEPS_PER_EPOCH / 256)
    largest = LARGEST_PAIR_BATCH if _compares(method) else LARGEST_BATCH
    return min(largest, max(SMALLEST_BATCH, wanted))


def default_epochs(rows: Sequence[Row], method: Method, *, batch_tokens: int) -> int:
    """Three, or as many as small data needs for `FEWEST_STEPS`; over preferences one, or up to
    three for `FEWEST_PREFERENCE_STEPS`."""
    steps = max(1, sum(row.tokens for row in rows) // batch_tokens)
    if _compares(method):
        return min(EPOCHS, max(PREFERENCE_EPOCHS, round(FEWEST_PREFERENCE_STEPS / steps)))
    return min(MOST_EPOCHS, max(EPOCHS, round(FEWEST_STEPS / steps)))


def default_learning_rate(adapter: str, method: Method) -> float:
    """5e-4; a tenth of it where every weight is trained, a fifth for preferences."""
    share = FULL_SHARE if adapter == "full" else 1.0
    return LEARNING_RATE * share * (PREFERENCE_SHARE if _compares(method) else 1.0)


def recipe_for(
    settings: Training,
    rows: Sequence[Row],
    *,
    seed: int,
    method: Method,
    epochs: int | None = None,
) -> Recipe:
    """The recipe that the settings name, what is `auto` filled in.

    Args:
        settings: the project's [training].
        rows: that are trained on.
        seed: of this training.
        method: the settings' own, or that of a contender.
        epochs: of the schedule; None: the settings' own.
    """
    batch = default_batch(rows, method)
    if settings.batch_tokens != AUTO:
        batch = settings.batch_tokens
    if epochs is None:
        epochs = default_epochs(rows, method, batch_tokens=batch)
        if settings.epochs != AUTO:
            epochs = settings.epochs
    rate = default_learning_rate(settings.adapter, method)
    return Recipe(
        learning_rate=rate if settings.learning_rate == AUTO else settings.learning_rate,
        epochs=epochs,
        batch_tokens=batch,
        seed=seed,
        method=method,
        loss=cast("PreferenceLoss", settings.loss),
        beta=settings.beta,
        label_smoothing=settings.label_smoothing,
        adapter=settings.adapter,
        initialisation=settings.initialisation,
        rank=settings.rank,
        alpha=2.0 * settings.rank if settings.alpha == AUTO else settings.alpha,
        dropout=settings.dropout,
        schedule=cast("Schedule", settings.schedule),
        weight_decay=settings.weight_decay,
        replay_share=settings.replay_share,
        save_memory=settings.save_memory,
    )


def _compares(method: Method) -> bool:
    return method in ("dpo", "kto")
