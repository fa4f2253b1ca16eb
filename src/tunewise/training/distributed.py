"""One process or many under torchrun: who computes what, and how it becomes one gradient.

Weights are sharded with FSDP2 (`fully_shard`; Zhao et al. 2023, arXiv:2304.11277). Each process
computes some batches of a step; their gradients add up to the step's, whatever their number.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
import torch.distributed
from torch.distributed.fsdp import fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor

from tunewise.training.attention import plain_model
from tunewise.training.packing import Batch

_DIST = cast("Any", torch.distributed)  # its functions carry no types


@dataclass(frozen=True, kw_only=True, slots=True)
class Assigned:
    """A batch that this process computes."""

    batch: Batch
    counts: bool
    """False: another process has one batch more, and all have to take part in every pass."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Processes:
    """The processes of one training."""

    rank: int = 0
    """This one's number, from 0."""
    count: int = 1

    @property
    def is_first(self) -> bool:
        """Whether this process writes files and talks to people."""
        return self.rank == 0

    def own(self, step: Sequence[Batch]) -> list[Assigned]:
        """The batches of a step that this process computes: every one of a step's for one."""
        rounds = -(-len(step) // self.count)
        places = [turn * self.count + self.rank for turn in range(rounds)]
        return [Assigned(batch=step[i % len(step)], counts=i < len(step)) for i in places]

    def shard(self, model: Any) -> None:
        """Spreads the weights over all processes."""
        if self.count == 1:
            return
        plain = plain_model(model)
        for layer in plain.get_decoder().layers:
            fully_shard(layer)
        fully_shard(plain)

    def total(self, value: float) -> float:
        """The sum of every process's value."""
        if self.count == 1:
            return value
        summed = torch.tensor(value, dtype=torch.float64)
        _DIST.all_reduce(summed)
        return float(summed)

    def wait(self) -> None:
        """Until every process is here."""
        if self.count > 1:
            _DIST.barrier()


def join_processes(device: str) -> Processes:
    """The processes that torchrun started; this one alone without it."""
    count = int(os.environ.get("WORLD_SIZE", "1"))
    if count == 1:
        return Processes()
    if not _DIST.is_initialized():
        _DIST.init_process_group("nccl" if device.startswith("cuda") else "gloo")
    return Processes(rank=_DIST.get_rank(), count=count)


def default_device() -> str:
    """The GPU when there is one: this process's own, under torchrun."""
    if torch.cuda.is_available():
        return f"cuda:{os.environ.get('LOCAL_RANK', '0')}"
    return "cpu"


def whole(tensor: torch.Tensor) -> torch.Tensor:
    """A tensor as one piece on the CPU. Every process has to ask for it."""
    if isinstance(tensor, DTensor):
        tensor = tensor.full_tensor()
    return tensor.detach().cpu().contiguous()


def spread(tensor: torch.Tensor, like: torch.Tensor) -> torch.Tensor:
    """A whole tensor in the form of another: on its device, sharded as it is."""
    moved = tensor.to(like.device)
    if isinstance(like, DTensor):
        return cast("torch.Tensor", distribute_tensor(moved, like.device_mesh, like.placements))
    return moved
