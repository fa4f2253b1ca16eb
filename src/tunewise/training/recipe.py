"""Everything that decides what a training does, but for the rows and the base.

`recipe_for` fills in what is `auto` in [training] with fixed, documented defaults that follow from
the rows and the base alone: nothing but the number of epochs is tuned on a dev split.
`learning_rate` is the schedule of a recipe.
"""

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from tunewise.models import loading
from tunewise.models.catalog import LocalModel
from tunewise.project.settings import AUTO, TrainingSettings
from tunewise.training.epochs import (
    EPOCHS,
    MAX_BATCH,
    MAX_EPOCHS,
    MIN_BATCH,
    MIN_STEPS,
    STEPS_PER_EPOCH,
)
from tunewise.training.hardware import Precision
from tunewise.training.objectives import Distill, Dpo, Kto, Objective, PreferenceLoss, Sft
from tunewise.training.packing import shared_prefixes
from tunewise.training.rows import Row

Method = Literal["sft", "dpo", "kto", "cpt", "distill"]
Schedule = Literal["linear", "cosine", "constant"]

LEARNING_RATE = 5e-4
"""Of an adapter learning answers or documents, on a base whose hidden states are `WIDTH` wide."""
WIDTH = 2000
POWERS = {"qwen": 0.0775}
"""By the first letters of a family's name: how the rate falls with the width; others `POWER`."""
POWER = 0.781
"""Rate, width and powers are those of Schulman et al. 2025, "LoRA Without Regret" (and the Tinker
cookbook), from sweeps over Llama and Qwen; the starter model's was confirmed here
(docs/results.md)."""
FULL_SHARE = 0.1
"""Of that, when every weight is trained (the same source)."""
PREFERENCE_SHARE = 0.1
"""Of that, for dpo and kto."""
PREFERENCE_EPOCHS = 1
PREFERENCE_STEPS_PER_EPOCH = 20
"""The same of dpo and kto: each pair says one thing, so that more of them stand together."""
MIN_FRESH = 256
"""Tokens of a step that no other row begins with: behind a long shared instruction a step holds
more rows, as the instruction is computed once."""
MIN_PREFERENCE_STEPS = 20
"""Few pairs get up to `EPOCHS` epochs, until the optimiser has made this many steps."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipe:
    """Two trainings with equal recipes, rows and base have equal weights, bit for bit."""

    learning_rate: float
    """Peak, of AdamW (Loshchilov & Hutter 2019, arXiv:1711.05101), betas 0.9 and 0.999."""
    epochs: int
    """Epochs of the schedule: the learning rate reaches its end there."""
    batch_tokens: int
    """Tokens in one optimiser step, each row's own prefix included."""
    seed: int
    """Of the adapter's start, the order of rows and dropout."""
    method: Method = "sft"
    loss: PreferenceLoss = "sigmoid"
    """Of the method dpo."""
    beta: float = 0.1
    """Of the methods dpo and kto: how strongly the model is held to where it started."""
    label_smoothing: float = 0.0
    """Of the method dpo with the loss sigmoid: share of pairs taken to be the wrong way round."""
    adapter: str = "lora"
    """lora, rslora, dora, qlora, or full: every weight."""
    initialisation: str = "default"
    """Of the adapter, by PEFT's name: default (B is zero), gaussian, olora, pissa,
    pissa_niter_16, orthogonal."""
    rank: int = 16
    alpha: float = 32.0
    dropout: float = 0.0
    schedule: Schedule = "linear"
    """How the learning rate falls after its warm-up: to zero, or not at all."""
    warmup_share: float = 0.06
    """Part of all steps over which the learning rate rises."""
    weight_decay: float = 0.0
    replay_share: float = 0.0
    """Tokens of replayed rows in a step, as a share of the others."""
    precision: Precision | None = None
    """None: the fastest on this machine."""
    micro_tokens: int | None = None
    """Tokens that go through the model at once; None: what suits the device."""
    save_memory: bool = False
    """Computes activations a second time in the backward pass rather than keeping them (gradient
    checkpointing: Chen et al. 2016, arXiv:1604.06174): about a third more arithmetic."""

    def as_dict(self) -> dict[str, Any]:
        """Settings by name, as JSON values; those of other methods and unset ones left out."""
        preference = {
            "loss": self.method == "dpo",
            "beta": self.method in ("dpo", "kto"),
            "label_smoothing": self.method == "dpo" and self.loss == "sigmoid",
        }
        of_adapter = ("initialisation", "rank", "alpha", "dropout")
        belongs = {**preference, **dict.fromkeys(of_adapter, self.adapter != "full")}
        return {
            key: value
            for key, value in asdict(self).items()
            if value is not None and belongs.get(key, True)
        }

    @property
    def objective(self) -> Objective:
        """What the method minimises."""
        if self.method == "dpo":
            return Dpo(kind=self.loss, beta=self.beta, label_smoothing=self.label_smoothing)
        if self.method == "kto":
            return Kto(beta=self.beta)
        return Distill() if self.method == "distill" else Sft()


def default_batch(rows: Sequence[Row], method: Method) -> int:
    """Tokens of a step: a hundredth of the rows' (of pairs a twentieth).

    At least `MIN_BATCH`, more behind shared prefixes (`MIN_FRESH`), and at most `MAX_BATCH`.
    """
    steps = PREFERENCE_STEPS_PER_EPOCH if _compares(method) else STEPS_PER_EPOCH
    tokens = sum(row.tokens for row in rows)
    shared = sum(shared_prefixes([sequence for row in rows for sequence in row.sequences]))
    smallest = max(MIN_BATCH, round(MIN_FRESH * tokens / max(1, tokens - shared)))
    return min(MAX_BATCH, max(smallest, 256 * round(tokens / steps / 256)))


def default_epochs(rows: Sequence[Row], method: Method, *, batch_tokens: int) -> int:
    """`EPOCHS`, or as many as few rows need for `MIN_STEPS` optimiser steps, up to `MAX_EPOCHS`.

    Over preferences `PREFERENCE_EPOCHS`, or up to `EPOCHS` for `MIN_PREFERENCE_STEPS` steps.

    Args:
        rows: that are trained on.
        method: dpo and kto are over preferences.
        batch_tokens: tokens of a step.
    """
    steps = max(1, sum(row.tokens for row in rows) // batch_tokens)
    if _compares(method):
        return min(EPOCHS, max(PREFERENCE_EPOCHS, round(MIN_PREFERENCE_STEPS / steps)))
    return min(MAX_EPOCHS, max(EPOCHS, round(MIN_STEPS / steps)))


def default_learning_rate(base: LocalModel, adapter: str, method: Method) -> float:
    """5e-4 (2000 / width)^0.781; a tenth of it with every weight, and a tenth for preferences.

    The exponent is the family's own where `POWERS` has one. Source: `POWER`.

    Args:
        base: its config gives the width of the hidden states.
        adapter: as `Recipe.adapter`; "full" trains every weight.
        method: dpo and kto learn preferences.

    Returns:
        Peak learning rate of AdamW, to two digits.
    """
    power = next((p for name, p in POWERS.items() if base.family.startswith(name)), POWER)
    share = FULL_SHARE if adapter == "full" else 1.0
    share *= PREFERENCE_SHARE if _compares(method) else 1.0
    rate = LEARNING_RATE * share * (WIDTH / loading.hidden_width(base.folder)) ** power
    return float(f"{rate:.2g}")


def recipe_for(
    settings: TrainingSettings,
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
        loss=settings.loss,
        beta=settings.beta,
        label_smoothing=settings.label_smoothing,
        adapter=settings.adapter,
        initialisation=settings.initialisation,
        rank=settings.rank,
        alpha=2.0 * settings.rank if settings.alpha == AUTO else settings.alpha,
        dropout=settings.dropout,
        schedule=settings.schedule,
        weight_decay=settings.weight_decay,
        replay_share=settings.replay_share,
        save_memory=settings.save_memory,
    )


def _compares(method: Method) -> bool:
    return method in ("dpo", "kto")


def learning_rate(recipe: Recipe, step: int, total_steps: int) -> float:
    """The learning rate of one optimiser step.

    It rises in equal parts, then falls linearly or as a cosine (Loshchilov & Hutter 2017,
    arXiv:1608.03983), or stays.

    Args:
        recipe: its peak, schedule and share of warm-up.
        step: from 0.
        total_steps: of the whole training; the rate would be 0 at the step after the last.
    """
    warmup = max(1, round(recipe.warmup_share * total_steps))
    if step < warmup:
        return recipe.learning_rate * (step + 1) / warmup
    if recipe.schedule == "constant":
        return recipe.learning_rate
    done = min(1.0, (step - warmup) / max(1, total_steps - warmup))
    left = 1 - done if recipe.schedule == "linear" else (1 + math.cos(math.pi * done)) / 2
    return recipe.learning_rate * left
