"""The engines of several base models that take turns: one of them is open at a time.

Contenders hold an engine each and know nothing of it. A model is opened when it is asked, and the
one before is closed, so that a machine needs the memory of the largest, not of all.
"""

import contextlib
from collections.abc import Generator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack

from tunewise.errors import UserError
from tunewise.models.engines.open import EngineOpener, Opened
from tunewise.models.engines.protocol import Engine, Request
from tunewise.progress import Progress
from tunewise.project.settings import Model
from tunewise.types import Failure, Generation, Message


class TurnEngine:
    """The engine of one base, which is opened when it is asked.

    Args:
        turns: whose turn it is.
        base: its short name.
        opened: what opening it once has told.
    """

    def __init__(self, turns: "Turns", base: str, opened: Engine) -> None:
        self.name = opened.name
        self.context_tokens = opened.context_tokens
        self.thinking_tokens = opened.thinking_tokens
        self._turns, self._base = turns, base

    def generate(self, requests: Sequence[Request]) -> list[Generation | Failure]:
        """See `Engine.generate`."""
        return self._turns.engine(self._base).generate(requests)

    def count_tokens(self, messages: Sequence[Message]) -> int:
        """See `Engine.count_tokens`."""
        return self._turns.engine(self._base).count_tokens(messages)

    def count_answer_tokens(self, text: str) -> int:
        """See `Engine.count_answer_tokens`."""
        return self._turns.engine(self._base).count_answer_tokens(text)

    @contextlib.contextmanager
    def prefix_caching(self) -> Generator[None]:
        """See `Engine.prefix_caching`. No other base may be asked within it."""
        with self._turns.engine(self._base).prefix_caching():
            yield

    def unload(self) -> None:
        """See `Engine.unload`: also frees what another base still holds."""
        self._turns.unload(self._base)

    def close(self) -> None:
        """See `Engine.close`."""
        self._turns.close()


class Turns:
    """Which of several base models is open.

    Args:
        settings: short name of each base -> its [model] table.
        opener: opens one of them.
        progress: informed of conversions.
    """

    def __init__(
        self, settings: Mapping[str, Model], opener: EngineOpener, progress: Progress
    ) -> None:
        self._settings, self._opener, self._progress = settings, opener, progress
        self._stack = ExitStack()
        self._now: tuple[str, Engine] | None = None

    def open_all(self) -> dict[str, Opened]:
        """Opens each base once, the first one last: what is wrong with any is told at the start.

        Returns:
            Short name -> its engine, which opens it again when it is asked.

        Raises:
            UserError: of all bases that cannot be used, together.
        """
        found: dict[str, Opened] = {}
        faults: list[str] = []
        for base in list(self._settings)[::-1]:
            try:
                opened = self._open(base)
            except UserError as fault:
                faults.insert(0, str(fault))
                continue
            engine = TurnEngine(self, base, opened.engine)
            found[base] = Opened(engine=engine, model=opened.model, why=opened.why)
        if faults:
            self.close()
            raise UserError.together(faults)
        return {base: found[base] for base in self._settings}

    def engine(self, base: str) -> Engine:
        """The engine of a base; every other one is closed."""
        if self._now is None or self._now[0] != base:
            return self._open(base).engine
        return self._now[1]

    def unload(self, base: str) -> None:
        """Frees memory that the next request to any base takes again."""
        if self._now is None:
            return
        if self._now[0] == base:
            self._now[1].unload()
        else:
            self.close()

    def close(self) -> None:
        """Closes the one that is open."""
        self._now = None
        self._stack.close()

    def _open(self, base: str) -> Opened:
        self.close()
        opening: AbstractContextManager[Opened] = self._opener(
            self._settings[base], progress=self._progress
        )
        opened = self._stack.enter_context(opening)
        self._now = (base, opened.engine)
        return opened
