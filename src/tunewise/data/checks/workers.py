"""Has batches of rows looked at: by this process while they are few, then by workers as well.

Batches come back in the order in which they were given.
"""

import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool

import numpy as np
from numpy.typing import NDArray

from tunewise.data.checks.scan import Scanned, Scanner, Scope
from tunewise.data.splitting.word_hashes import Hashes
from tunewise.errors import UserError
from tunewise.interrupts import end_with_parent

ALONE = 20_480
"""Rows after which workers are worth their start."""
_WORKERS = 2
_AHEAD = 3
"""Batches that may wait for each worker."""

_scanner: Scanner | None = None  # of a worker process


class Workers:
    """Looks at batches of rows.

    Args:
        scope: what to look for.
        table: hashes of the runs of words in test rows; None: not yet known.
    """

    def __init__(self, scope: Scope, table: Hashes | None) -> None:
        self._scope = scope
        self._table = table
        self._scanner = Scanner(scope, table)
        self._rows = 0
        self._pool: ProcessPoolExecutor | None = None
        self._waiting: deque[Future[Scanned]] = deque()

    def counters(self, records: Sequence[bytes]) -> NDArray[np.int64]:
        """The runs of words of some rows, for `Boilerplate.add`."""
        return self._scanner.counters(records)

    def scan(
        self, records: Sequence[bytes], common: NDArray[np.int64], *, keep_runs: bool
    ) -> Iterator[Scanned]:
        """Looks at a batch, or has it looked at; gives what is ready of it and earlier ones."""
        self._rows += len(records)
        if self._rows <= ALONE or (os.cpu_count() or 1) < _WORKERS:
            yield self._scanner.scan(records, common, keep_runs=keep_runs)
            return
        if self._pool is None:
            self._pool = ProcessPoolExecutor(
                _WORKERS,
                multiprocessing.get_context("spawn"),  # a fork would copy threads' locks
                initializer=_begin,
                initargs=(self._scope, self._table, os.getpid()),
            )
        self._waiting.append(self._pool.submit(_scan, records, common, keep_runs))
        while len(self._waiting) > _WORKERS * _AHEAD:
            yield self._next()

    def drained(self) -> Iterator[Scanned]:
        """Everything that is not yet given back."""
        while self._waiting:
            yield self._next()

    def close(self) -> None:
        """Ends the workers."""
        if self._pool is not None:
            self._pool.shutdown(wait=False, cancel_futures=True)
            self._pool = None

    def _next(self) -> Scanned:
        try:
            return self._waiting.popleft().result()
        except BrokenProcessPool:
            raise UserError(
                "A worker process was ended from outside, perhaps because memory ran out. "
                "Free some memory, and check again."
            ) from None


def _begin(scope: Scope, table: Hashes | None, parent: int) -> None:
    global _scanner  # the state of a worker process
    end_with_parent(parent)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the main process says it
    os.environ["RAYON_NUM_THREADS"] = "1"
    _scanner = Scanner(scope, table)


def _scan(records: Sequence[bytes], common: NDArray[np.int64], keep_runs: bool) -> Scanned:
    if _scanner is None:
        raise RuntimeError("a worker has to begin first")
    return _scanner.scan(records, common, keep_runs=keep_runs)
