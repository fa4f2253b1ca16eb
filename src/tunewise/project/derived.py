"""What follows from a project's settings: what its contenders may spend, and what they read."""

import re
from collections.abc import Mapping
from pathlib import Path

from tunewise.project.contenders import BUILT_IN
from tunewise.project.settings import Model, Project

BUDGET_TOKENS = 600_000
"""What `budget_tokens = "auto"` means: prefilled, generated and trained tokens a contender."""


def budget_tokens(project: Project) -> int:
    """Tokens that each contender may spend on fitting."""
    budget = project.contenders.budget_tokens
    return BUDGET_TOKENS if budget == "auto" else budget


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
