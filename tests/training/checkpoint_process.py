"""Writes two checkpoints after the two that are there; the file system is made to fail."""

import sys
from pathlib import Path

import torch

from tunewise.errors import UserError
from tunewise.training.checkpoint import Checkpoint, write_checkpoint


def main() -> None:
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
