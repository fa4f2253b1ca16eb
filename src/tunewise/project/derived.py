"""What follows from a project's settings: what its contenders may spend, and what they read."""

import re
from collections.abc import Mapping
from pathlib import Path

from tunewise.project.contenders import BUILT_IN, CONSTANT
from tunewise.project.settings import Model, Project
from tunewise.wording import joined

BUDGET_TOKENS = 600_000
"""What `budget_tokens = "auto"` means: prefilled, generated and trained tokens a contender."""


def budget_tokens(project: Project) -> int:
    """Tokens that each contender may spend on fitting."""
    budget = project.contenders.budget_tokens
    return BUDGET_TOKENS if budget == "auto" else budget


def without_constant(project: Project) -> tuple[str, ...]:
    """What follows where nothing ignores the input: a sentence; none where something does."""
    use = project.contenders.use
    trained = [name for name in use if BUILT_IN[name].trained]
    if CONSTANT in use or not trained:
        return ()
    return (
        f"{CONSTANT} is not in contenders.use: {joined(trained)} cannot be advised without having "
        "been shown to beat the best answer that ignores the input. Add it, it costs nothing.",
    )


def reads_documents(project: Project) -> bool:
    """Whether any contender needs documents."""
    return any(BUILT_IN[name].needs_documents for name in project.contenders.use)


def labelled_bases(model: Model) -> Mapping[str, str]:
    """Short name of each base -> what the project calls it, in the order of the project.

    `organisation/some-model`, `models/some-model` and `some-model.gguf` are `some-model`; a second
    one of that name is `some-model-2`.
    """
    found: dict[str, str] = {}
    for name in model.bases:
        short = re.sub(r"[^A-Za-z0-9._-]+", "-", Path(name).name.removesuffix(".gguf"))
        number, label = 1, short
        while label in found:
            number += 1
            label = f"{short}-{number}"
        found[label] = name
    return found
