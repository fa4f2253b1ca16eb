"""What the engine's process does: opens what is asked for, and moves all that runs on in turn."""

import time
from collections import OrderedDict
from concurrent.futures import Future
from pathlib import Path
from typing import Protocol

from tunewise.errors import UserError, first_line
from tunewise.models.engines.signals import keep_signals
from tunewise.serving.engine.backend import Backend, Prepared
from tunewise.serving.engine.lane import Lane
from tunewise.serving.engine.prepared import Preparer
from tunewise.serving.engine.requests import Running, accept
from tunewise.serving.engine.wire import (
    Ask,
    Cancel,
    Ended,
    FromEngine,
    Loaded,
    Pieces,
    Refused,
    Started,
    ToEngine,
    Warm,
    Warmed,
)
from tunewise.serving.protocol import Piece, RefusedError, Weights

LONGEST_TURN = 0.2
"""Seconds of an adapter's preparation between two steps of what runs."""


class Line(Protocol):
    """How the process talks to the server."""

    def receive(self, *, wait: bool) -> list[ToEngine]:
        """What came; waits for something, or for `wake`, where it shall."""
        ...

    def send(self, message: FromEngine) -> None:
        """Says something."""
        ...

    def wake(self) -> None:
        """Ends a `receive` that waits. From any thread."""
        ...


class Worker:
    """Owns all pipelines; one thread runs it.

    Args:
        line: to the server.
        backend: what opens pipelines.
        merged: folder for merged files.
        max_loaded: pipelines open at once. Where more are wanted, the one used longest ago takes
            no more requests, ends those it has, and is closed.
        cache_bytes: of keys and values, for each of them.
    """

    def __init__(
        self, line: Line, backend: Backend, merged: Path, *, max_loaded: int, cache_bytes: int
    ) -> None:
        self._line, self._backend = line, backend
        self._preparer = Preparer(backend, merged)
        self._max_loaded, self._cache_bytes = max_loaded, cache_bytes
        self._queue: list[Ask | Warm] = []
        self._preparing: dict[Weights, Future[Prepared]] = {}
        self._open: OrderedDict[Weights, tuple[Prepared, Lane]] = OrderedDict()
        self._draining: set[Weights] = set()
        self._running: dict[int, Running] = {}

    def run(self) -> None:
        """Works until the server closes the line.

        Raises:
            EOFError: it did.
            Exception: a pipeline failed; this process is of no use any more.
        """
        while True:
            for message in self._line.receive(wait=not self._busy()):
                self._take(message)
            self._forget()
            self._place()
            pieces: list[tuple[int, Piece]] = []
            began = time.monotonic()
            for weights, (_, lane) in list(self._open.items()):
                pieces += self._move(weights, lane)
            took = time.monotonic() - began
            if pieces:
                self._line.send(Pieces(pieces=tuple(pieces)))
            self._forget()
            if not all(one.done() for one in self._preparing.values()):
                # A library may hold Python's lock within a step: by turns, or who prepares waits
                # for the end of a step at every turn of its own.
                time.sleep(min(took, LONGEST_TURN))

    def _busy(self) -> bool:
        return any(lane.busy for _, lane in self._open.values())

    def _take(self, message: ToEngine) -> None:
        if isinstance(message, Cancel):
            waiting = [one for one in self._queue if one.number == message.number]
            for one in waiting:
                self._queue.remove(one)
                self._line.send(Ended(number=one.number))
            running = self._running.get(message.number)
            if running is not None:
                for slot in running.slots:
                    self._open[running.ask.weights][1].cancel(slot)
            return
        self._queue.append(message)

    def _place(self) -> None:
        """Brings those of the queue to their lanes whose lanes are open, or can be opened."""
        self._draining.clear()  # Whoever needs the place says so again, unless it was cancelled.
        for message in list(self._queue):
            if message.weights in self._draining:
                continue
            try:
                lane = self._lane(message.weights)
                if lane is None:
                    continue
                self._queue.remove(message)
                self._bring(message, *lane)
            except RefusedError as error:
                if message in self._queue:
                    self._queue.remove(message)
                self._refuse(message.number, error)

    def _refuse(self, number: int, error: RefusedError) -> None:
        self._line.send(
            Refused(number=number, message=error.message, param=error.param, code=error.code)
        )

    def _bring(self, message: Ask | Warm, prepared: Prepared, lane: Lane) -> None:
        if isinstance(message, Warm):
            folder = str(prepared.base.model.folder)
            self._line.send(Warmed(number=message.number, folder=folder))
            return
        running = accept(message, prepared.base, self._blocks(prepared))
        self._running[message.number] = running
        lane.waiting.extend(running.slots)

    def _lane(self, weights: Weights) -> tuple[Prepared, Lane] | None:
        """The open pipeline; None: not yet.

        Raises:
            RefusedError: it cannot be opened.
        """
        if weights in self._open:
            self._open.move_to_end(weights)
            return self._open[weights]
        if weights not in self._preparing:
            self._preparing[weights] = self._preparer.submit(weights)
            self._preparing[weights].add_done_callback(lambda _: self._line.wake())
        if not self._preparing[weights].done() or not self._has_place():
            return None
        try:
            prepared = self._preparing.pop(weights).result()
            lane = self._backend.open(prepared, self._blocks(prepared))
            self._open[weights] = (prepared, lane)
        except UserError as error:
            raise RefusedError(str(error), param="model") from error
        except Exception as error:  # of these weights alone: others go on
            raise RefusedError(
                f"{_name(weights)} cannot be opened: {first_line(error)}", param="model"
            ) from error
        self._tell_loaded()
        return self._open[weights]

    def _has_place(self) -> bool:
        """Whether one more can be opened; the one used longest ago is closed as soon as it can."""
        if len(self._open) < self._max_loaded:
            return True
        oldest = next(iter(self._open))
        if self._open[oldest][1].busy:
            self._draining.add(oldest)
            return False
        self._close(oldest)
        return True

    @keep_signals()
    def _close(self, weights: Weights) -> None:
        del self._open[weights]
        self._tell_loaded()

    def _blocks(self, prepared: Prepared) -> int:
        return max(2, self._cache_bytes // prepared.base.block_bytes)

    def _move(self, weights: Weights, lane: Lane) -> list[tuple[int, Piece]]:
        if not lane.busy:
            return []
        numbers = {
            slot: number
            for number, running in self._running.items()
            if running.ask.weights == weights
            for slot in running.slots
        }
        for number in dict.fromkeys(numbers[slot] for slot in lane.admit()):
            self._line.send(Started(number=number))
        pieces: list[tuple[int, Piece]] = []
        for news in lane.step():
            running = self._running.get(numbers[news.slot])
            if running is not None and news.fault is not None:
                self._give_up(numbers[news.slot], lane, news.fault)
            elif running is not None:
                pieces += [(numbers[news.slot], piece) for piece in running.pieces(news)]
        return pieces

    def _give_up(self, number: int, lane: Lane, fault: str) -> None:
        """Refuses a request that the library refused; what else there is of it ends."""
        for slot in self._running.pop(number).slots:
            lane.cancel(slot)
        self._refuse(number, RefusedError(f"The engine refuses this request: {fault}"))

    def _forget(self) -> None:
        """Tells of the requests whose last answer has left its lane."""
        for number, running in list(self._running.items()):
            lane = self._open[running.ask.weights][1]
            if not any(lane.holds(slot) for slot in running.slots):
                del self._running[number]
                self._line.send(Ended(number=number))

    def _tell_loaded(self) -> None:
        self._line.send(Loaded(weights=tuple(self._open)))


def _name(weights: Weights) -> str:
    return f"{weights.base} with {weights.adapter}" if weights.adapter else weights.base
