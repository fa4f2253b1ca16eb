"""The one error type shown to users: what is wrong, where, and what to do. And others, in words."""

from collections.abc import Sequence
from types import ModuleType
from typing import Any, Self, cast


class UserError(Exception):
    """A fault that a person can mend. Shown as its message, never as a traceback.

    Args:
        message: what is wrong, with `file:line` or key, and what to do; one sentence each.
        exit_code: 1 for a fault in data or environment, 2 for wrong usage.
    """

    def __init__(self, message: str, *, exit_code: int = 1) -> None:
        super().__init__(message)
        self.exit_code = exit_code

    @classmethod
    def together(cls, faults: Sequence[str]) -> Self:
        """All faults of a file or configuration as one error, one line each."""
        return cls("\n".join(faults))


def first_line(error: BaseException) -> str:
    """What a library's error says in its first line; its type's name where it says nothing."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def fetch_errors() -> tuple[type[Exception], ...]:
    """What fetching from the Hugging Face hub may raise.

    For an `except`, which asks only when it has to: the errors come with an HTTP client.
    """
    # Of the HTTP client that the hub's library uses; it has changed once.
    network = cast("type[Exception]", cast("Any", _errors()).HTTPError)
    return (OSError, ValueError, network)


def why_not_fetched(error: BaseException, what: str) -> str:
    """What kept something from being fetched from the hub, in one sentence.

    Args:
        error: one of `fetch_errors`.
        what: was to be fetched: `model`.
    """
    kinds = cast("Any", _errors())
    if isinstance(error, kinds.GatedRepoError):
        return "it is gated: accept its terms on the hub, and log in with `hf auth login`."
    if isinstance(error, kinds.RepositoryNotFoundError):
        return f"the hub does not show such a {what} to you."
    if isinstance(error, kinds.LocalEntryNotFoundError):
        return "the hub cannot be reached, and it was never fetched before."
    return f"{first_line(error).removesuffix('.')}."


def _errors() -> ModuleType:
    from huggingface_hub import errors  # noqa: PLC0415 - brings an HTTP client

    return errors
