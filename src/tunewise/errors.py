"""The one error type shown to users: what is wrong, where, and what to do."""

from collections.abc import Sequence
from typing import Self


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
