"""The learning rate of a step. Knows nothing of optimisers."""

import math

from tunewise.training.recipe import Recipe


def learning_rate(recipe: Recipe, step: int, total_steps: int) -> float:
    """Linear warm-up, then linear, cosine (Loshchilov & Hutter 2017, arXiv:1608.03983) or flat.

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
