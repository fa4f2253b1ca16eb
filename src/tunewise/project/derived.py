"""What follows from a project's settings: what its contenders may spend, and what they read."""

from tunewise.project.contenders import BUILT_IN
from tunewise.project.settings import Project

BUDGET_TOKENS = 600_000
"""What `budget_tokens = "auto"` means: prefilled, generated and trained tokens a contender."""


def budget_tokens(project: Project) -> int:
    """Tokens that each contender may spend on fitting."""
    budget = project.contenders.budget_tokens
    return BUDGET_TOKENS if budget == "auto" else budget


def reads_documents(project: Project) -> bool:
    """Whether any contender needs documents."""
    return any(BUILT_IN[name].needs_documents for name in project.contenders.use)
