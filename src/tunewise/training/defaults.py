"""What `auto` in [training] means: fixed, documented defaults, from the rows alone.

Nothing is tuned on a person's dev split but the number of epochs. Knows nothing of contenders.
"""

from collections.abc import Sequence
from typing import cast

from tunewise.models import loading
from tunewise.models.catalog import LocalModel
from tunewise.project.settings import AUTO, Training
from tunewise.training.objectives import PreferenceLoss
from tunewise.training.packing import shared_prefixes
from tunewise.training.recipe import Method, Recipe, Schedule
from tunewise.training.rows import Row

LEARNING_RATE = 5e-4
"""Of an adapter learning answers or documents, on a base whose hidden states are `WIDTH` wide."""
WIDTH = 2000
POWERS = {"qwen": 0.0775}
"""By the beginning of a family's name: how the rate falls with the width; others `POWER`."""
POWER = 0.781
"""Rate, width and powers are those of Schulman et al. 2025, "LoRA Without Regret" (and the Tinker
cookbook), from sweeps over Llama and Qwen; the starter model's was confirmed here
(docs/results.md)."""
FULL_SHARE = 0.1
"""Of that, when every weight is trained (the same source)."""
PREFERENCE_SHARE = 0.1
"""Of that, for dpo and kto."""
EPOCHS = 3
PREFERENCE_EPOCHS = 1
MIN_STEPS = 60
"""Small data gets more epochs, until the optimiser has made this many steps."""
MAX_EPOCHS = 20
STEPS_PER_EPOCH = 100
"""What `batch_tokens` aims at: many small steps learn more from the same rows than few large ones
(docs/results.md)."""
PREFERENCE_STEPS_PER_EPOCH = 20
"""The same of dpo and kto: each pair says one thing, so that more of them stand together."""
MIN_BATCH, MAX_BATCH = 512, 8192
"""Tokens of a step."""
MIN_FRESH = 256
"""Tokens of a step that no other row begins with: behind a long shared instruction a step holds
more rows, as the instruction is computed once."""
MIN_PREFERENCE_STEPS = 20
"""Few pairs get up to `EPOCHS` epochs, until the optimiser has made this many steps."""


def default_batch(rows: Sequence[Row], method: Method) -> int:
    """Tokens of a step: a hundredth of the rows' (of pairs a twentieth), within bounds."""
    steps = PREFERENCE_STEPS_PER_EPOCH if _compares(method) else STEPS_PER_EPOCH
    tokens = sum(row.tokens for row in rows)
    shared = sum(shared_prefixes([sequence for row in rows for sequence in row.sequences]))
    smallest = max(MIN_BATCH, round(MIN_FRESH * tokens / max(1, tokens - shared)))
    return min(MAX_BATCH, max(smallest, 256 * round(tokens / steps / 256)))


def default_epochs(rows: Sequence[Row], method: Method, *, batch_tokens: int) -> int:
    """Three, or as many as small data needs for `FEWEST_STEPS`; over preferences one, or up to
    three for `FEWEST_PREFERENCE_STEPS`."""
    steps = max(1, sum(row.tokens for row in rows) // batch_tokens)
    if _compares(method):
        return min(EPOCHS, max(PREFERENCE_EPOCHS, round(MIN_PREFERENCE_STEPS / steps)))
    return min(MAX_EPOCHS, max(EPOCHS, round(MIN_STEPS / steps)))


def default_learning_rate(base: LocalModel, adapter: str, method: Method) -> float:
    """5e-4 (2000 / width)^0.781; a tenth of it with every weight, and a tenth for preferences."""
    power = next((p for name, p in POWERS.items() if base.family.startswith(name)), POWER)
    share = FULL_SHARE if adapter == "full" else 1.0
    share *= PREFERENCE_SHARE if _compares(method) else 1.0
    rate = LEARNING_RATE * share * (WIDTH / loading.hidden_width(base.folder)) ** power
    return float(f"{rate:.2g}")


def recipe_for(
    settings: Training,
    rows: Sequence[Row],
    *,
    base: LocalModel,
    seed: int,
    method: Method,
    epochs: int | None = None,
) -> Recipe:
    """The recipe that the settings name, what is `auto` filled in.

    Args:
        settings: the project's [training].
        rows: that are trained on.
        base: the model; wider ones take smaller steps.
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
    rate = default_learning_rate(base, settings.adapter, method)
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
