"""How long-running work says what it is doing: steps done of how many, notes, and a status."""

from collections.abc import Callable, Generator
from contextlib import AbstractContextManager, contextmanager
from typing import Protocol


class Progress(Protocol):
    """Receives steps of work. `report.progress_bars` draws it; `Silent` ignores it."""

    def task(
        self, description: str, *, total: int
    ) -> AbstractContextManager[Callable[[int], None]]:
        """Opens a piece of work of `total` units; the value yielded advances it by n units."""
        ...

    def note(self, text: str) -> None:
        """Says one line that stays on the screen."""
        ...

    def status(self, text: str) -> None:
        """Says how the innermost piece of work is doing; replaced by the next one."""
        ...


class Silent:
    """A progress that shows nothing: for tests, `--json` and callers from code."""

    @contextmanager
    def task(self, description: str, *, total: int) -> Generator[Callable[[int], None]]:
        """See `Progress.task`."""
        yield lambda units: None

    def note(self, text: str) -> None:
        """See `Progress.note`."""

    def status(self, text: str) -> None:
        """See `Progress.status`."""
