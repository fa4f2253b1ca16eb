"""Has an alias mean its new version once that is loaded and warm, and not before."""

import asyncio
from collections.abc import Sequence
from typing import Protocol, TypeVar

import structlog
from anyio import to_thread

from tunewise.errors import UserError
from tunewise.serving.protocol import ChatEngine, EngineLostError, RefusedError, Weights

EVERY = 1.0
"""Seconds between looks at what was moved."""


class Moving(Protocol):
    """What an alias will mean."""

    @property
    def name(self) -> str:
        """The alias."""
        ...

    @property
    def resolved(self) -> str:
        """The version."""
        ...

    @property
    def weights(self) -> Weights | None:
        """None: it asks no language model."""
        ...

    def load(self) -> None:
        """Reads what its prompts are made of. Blocks."""
        ...


Moved = TypeVar("Moved", bound=Moving)


class HoldingCatalogue(Protocol[Moved]):
    """A catalogue whose aliases keep their version until they are told that the next is ready."""

    def waiting(self) -> Sequence[Moved]:
        """What was moved and is not yet meant. Blocks."""
        ...

    def flip(self, served: Moved) -> bool:
        """From now on the alias means it; False where it was moved again meanwhile. Blocks."""
        ...


async def follow_aliases(
    catalogue: HoldingCatalogue[Moved], engine: ChatEngine, *, every: float = EVERY
) -> None:
    """Makes what aliases are moved to ready, for ever.

    What cannot be made ready is logged once and tried again: the alias means what it meant.

    Args:
        catalogue: holds the aliases.
        engine: is asked to load the weights.
        every: seconds between looks.
    """
    log = structlog.get_logger()
    failed: dict[str, str] = {}
    begun: dict[str, str] = {}
    while True:
        try:
            waiting = await to_thread.run_sync(catalogue.waiting)
        except UserError as error:
            waiting = ()
            if failed.get("") != str(error):
                log.error("aliases_not_read", why=str(error))
            failed[""] = str(error)
        for served in waiting:
            if begun.get(served.name) != served.resolved:
                log.info("alias_loading", alias=served.name, to=served.resolved)
            begun[served.name] = served.resolved
            try:
                await to_thread.run_sync(served.load)
                if served.weights is not None:
                    await engine.warm(served.weights)
                meant = await to_thread.run_sync(catalogue.flip, served)
            except (UserError, RefusedError, EngineLostError) as error:
                if failed.get(served.name) != served.resolved:
                    log.error(
                        "alias_not_moved", alias=served.name, to=served.resolved, why=str(error)
                    )
                failed[served.name] = served.resolved
            else:
                if meant:
                    log.info("alias_moved", alias=served.name, to=served.resolved)
                failed.pop(served.name, None)
                begun.pop(served.name, None)
        await asyncio.sleep(every)
