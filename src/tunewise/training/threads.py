"""How many threads a training takes beside other work: as many as others leave processors for.

The threads of an operation wait for each other at its end. When one of them has to share its
processor with another program, all wait, thousands of times a step, and a training does not slow
by half but to a tenth. With a thread less it keeps the pace of the processors that are left.
"""

import math
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self

import psutil
import torch

from tunewise.training.attention import plain_model

LOOK_SECONDS = 1.0
"""Between two looks at what others take, at least."""
GIVES_UP, TAKES_BACK = 0.4, 0.2
"""A processor that others take more than the first share of is left to them, and used again when
they take less than the second; in between nothing changes."""


def fitting_threads(
    *, others: float, seconds: float, processors: int, ceiling: int, present: int
) -> int:
    """Threads for the time to come.

    Args:
        others: processor seconds that other processes took.
        seconds: of the clock, that they took them in.
        processors: that this process may use.
        ceiling: threads at most.
        present: threads now.
    """
    left = processors - others / seconds
    fewer, more = math.floor(left + GIVES_UP), math.floor(left + TAKES_BACK)
    return max(1, min(ceiling, fewer if fewer < present else max(present, more)))


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """What was used so far of the processors that this process may use, in processor seconds."""

    busy: float
    """By every process."""
    own: float
    """By this one."""
    processors: int


def read() -> Reading:
    """Now, on this machine."""
    every = psutil.cpu_times(percpu=True)
    allowed = range(len(every))
    if hasattr(os, "sched_getaffinity"):  # Linux: what others do elsewhere is no matter
        allowed = [n for n in os.sched_getaffinity(0) if n < len(every)]
    return Reading(
        busy=sum(every[n].user + every[n].system + getattr(every[n], "nice", 0.0) for n in allowed),
        own=time.process_time(),
        processors=len(allowed),
    )


class Threads:
    """Torch's threads within `with`: looked at again as a followed model computes its blocks.

    What was set before (`OMP_NUM_THREADS`, or the number of processors) is never exceeded, and
    holds again afterwards.

    Args:
        read: gives what was used so far.
        clock: seconds.
    """

    def __init__(
        self,
        read: Callable[[], Reading] = read,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._read, self._clock = read, clock
        self._last, self._looked = read(), clock()
        self._before = 0.0  # processors that others took at the look before
        self._ceiling = self._present = 0
        self._within = False

    def __enter__(self) -> Self:
        self._ceiling = torch.get_num_threads()
        self._within = True
        self._set(min(self._ceiling, self._present or self._ceiling))
        self.look()
        return self

    def __exit__(self, *_: object) -> None:
        self._within = False
        torch.set_num_threads(self._ceiling)

    def follow(self, model: Any) -> None:
        """Looks at every block of the model, forward and backward: some hundred times a step."""

        def forward(_: Any, given: tuple[Any, ...]) -> None:
            self.look()
            if given and given[0].requires_grad:
                given[0].register_hook(backward)

        def backward(_: Any) -> None:
            self.look()

        for part in plain_model(model).get_decoder().children():
            if isinstance(part, torch.nn.ModuleList):  # layers in most families, h in GPT-2
                for block in part:
                    block.register_forward_pre_hook(forward)

    def look(self) -> None:
        """Sets the threads by what others took since the last look, if that was long enough ago.

        Two looks in succession have to be quiet before a thread comes back: one too many costs far
        more than one too few.
        """
        if not self._within or self._ceiling == 1:
            return
        seconds = self._clock() - self._looked
        if seconds < LOOK_SECONDS:
            return
        now, last = self._read(), self._last
        others = max(0.0, (now.busy - last.busy) - (now.own - last.own)) / seconds
        fitting = fitting_threads(
            others=max(others, self._before),
            seconds=1.0,
            processors=now.processors,
            ceiling=self._ceiling,
            present=self._present,
        )
        self._last, self._looked, self._before = now, self._clock(), others
        if fitting != self._present:
            self._set(fitting)

    def _set(self, threads: int) -> None:
        self._present = threads
        torch.set_num_threads(threads)
