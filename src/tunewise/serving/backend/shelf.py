"""What the back end has loaded: the base that it was started with, and adapters that we gave it."""

import asyncio
import contextlib
from collections import OrderedDict
from collections.abc import Container, Sequence
from pathlib import Path

import structlog
from anyio import to_thread

from tunewise.models.stored import adapter_hash, is_whole_model
from tunewise.runs.model_names import base_id
from tunewise.serving.backend.address import BackEnd, base_names
from tunewise.serving.backend.connection import Connection, RefusalError
from tunewise.serving.backend.vllm import Card
from tunewise.serving.protocol import RefusedError, Weights

_NOT_FOUND = 404
_NO_ADAPTER = "NotFoundError"
"""What vllm calls a path without an adapter; a route that is not there is "Not Found"."""


class Shelf:
    """Weights by the names that the back end knows them by.

    Args:
        back_end: where it is.
        connection: to it.
        most: adapters that stay loaded.

    Attributes:
        cards: what it serves, as it was last told.
    """

    def __init__(self, back_end: BackEnd, connection: Connection, *, most: int) -> None:
        self.cards: Sequence[Card] = ()
        self._back_end, self._connection, self._most = back_end, connection, most
        self._adapters: OrderedDict[Weights, str] = OrderedDict()
        """Used longest ago first."""
        self._loading = asyncio.Lock()

    @property
    def loaded(self) -> tuple[Weights, ...]:
        """The adapters that we loaded, used longest ago first."""
        return tuple(self._adapters)

    def base(self, weights: Weights) -> str:
        """What the back end calls the base of weights. A whole model that was trained is a base.

        Raises:
            RefusedError: it does not run that.
        """
        adapter = weights.adapter
        if adapter is not None and is_whole_model(adapter):
            label = self._back_end.place(adapter)
            wanted = frozenset({label})
        else:
            label, wanted = base_id(weights.base), base_names(weights.base)
        bases = [card for card in self.cards if card.parent is None]
        for card in bases:
            if card.id in wanted or card.root in wanted:
                return card.id
        there = ", ".join(card.id for card in bases) or "no model"
        raise _unusable(
            f"{label} is wanted, and the back end at {self._back_end.url} serves {there}. Start it "
            f"with `vllm serve MODEL --served-model-name {label}`, or name a model that runs on "
            "what it serves."
        )

    async def find(self, weights: Weights) -> str:
        """What the back end calls weights; an adapter is loaded if need be.

        Raises:
            RefusedError: it does not run the base, or cannot load the adapter.
            BackEndError: it cannot be asked.
        """
        base = self.base(weights)
        if weights.adapter is None or is_whole_model(weights.adapter):
            return base
        if weights not in self._adapters:
            async with self._loading:
                if weights not in self._adapters:
                    self._adapters[weights] = await self._load(weights.adapter)
        self._adapters.move_to_end(weights)
        return self._adapters[weights]

    def forget(self, weights: Weights) -> None:
        """The back end does not know it any more."""
        self._adapters.pop(weights, None)

    async def fill_again(self) -> None:
        """Loads what was loaded into a back end that was started again.

        Raises:
            BackEndError: it cannot be asked.
        """
        wanted = list(self._adapters)
        for weights in wanted:
            self.forget(weights)
            with contextlib.suppress(RefusedError):  # gone by now; who asks for it is told
                await self.find(weights)

    async def tidy(self, used: Container[Weights]) -> None:
        """Unloads adapters that are deleted here, and those used longest ago that are too many.

        Args:
            used: those that answer right now, which stay.

        Raises:
            BackEndError: it cannot be asked.
        """
        free = [one for one in self._adapters if one not in used]
        gone = [one for one in free if one.adapter is not None and not one.adapter.is_dir()]
        more = [one for one in free if one not in gone]
        too_many = max(0, len(self._adapters) - len(gone) - self._most)
        for weights in (*gone, *more[:too_many]):
            name = self._adapters.pop(weights)
            if name in self._adapters.values():
                continue
            with contextlib.suppress(RefusalError):  # it has forgotten it itself
                await self._connection.unload(name)
            structlog.get_logger().info("adapter_unloaded", adapter=name)

    async def _load(self, adapter: Path) -> str:
        path = self._back_end.place(adapter)
        try:
            name = f"tunewise-{(await to_thread.run_sync(adapter_hash, adapter))[:16]}"
        except OSError as error:
            raise _unusable(f"{adapter}: cannot be read: {error.strerror}.") from error
        try:
            await self._connection.load(name, path)
        except RefusalError as error:
            # Somebody else may have loaded it: the same name is the same content.
            if name not in [card.id for card in await self._connection.models()]:
                raise _unusable(self._why_not(error, path)) from error
        structlog.get_logger().info("adapter_loaded", adapter=name, path=path)
        return name

    def _why_not(self, error: RefusalError, path: str) -> str:
        if error.status == _NOT_FOUND and error.fault.type != _NO_ADAPTER:
            return (
                f"The back end at {self._back_end.url} lets nobody load adapters. Start it with "
                "--enable-lora, and with VLLM_ALLOW_RUNTIME_LORA_UPDATING=True in its environment."
            )
        if error.status == _NOT_FOUND:
            return (
                f"The back end at {self._back_end.url} finds no adapter at {path}. Share the "
                f"folder {self._back_end.adapters} with it, and say with --backend-adapters where "
                "it lies there."
            )
        return (
            f"The back end at {self._back_end.url} cannot load the adapter at {path}: "
            f"{error.fault.message or error.status}"
        )


def _unusable(message: str) -> RefusedError:
    return RefusedError(message, param="model", code="model_unusable")
