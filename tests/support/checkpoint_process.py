"""Writes two checkpoints after the two that are there; the file system is made to fail.

`KILLED_AT=fsync:3` in the environment: SIGKILL instead of this process's third `os.fsync`.
"""

import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from tunewise.errors import UserError
from tunewise.training.checkpoint import Checkpoint, write_checkpoint


def killed_at(name: str, when: int) -> None:
    """Replaces a function of `os` by one that ends this process at its `when`-th call."""
    call: Callable[..., Any] = getattr(os, name)
    calls = 0

    def counted(*given: Any, **named: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == when:
            os.kill(os.getpid(), signal.SIGKILL)
        return call(*given, **named)

    setattr(os, name, counted)


def main() -> None:
    if place := os.environ.get("KILLED_AT"):
        name, when = place.split(":")
        killed_at(name, int(when))
    folder, first, count, size = Path(sys.argv[1]), *map(int, sys.argv[2:5])
    for step in range(first, first + count):
        tensors = {
            name: {"a": torch.full((size,), float(step))} for name in ("weights", "optimizer")
        }
        made = Checkpoint(step=step, state={"losses": [0.5] * step}, tensors=tensors)
        try:
            write_checkpoint(folder, made)
        except UserError as error:
            sys.stderr.write(f"{error}\n")
            sys.exit(1)


if __name__ == "__main__":
    main()
