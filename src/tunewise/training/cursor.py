"""Where a training stands. Knows nothing of models or files."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True, slots=True)
class Epoch:
    """What one epoch did."""

    number: int
    """From 1."""
    loss: float
    """Mean of its steps' losses."""
    tokens: int
    """Tokens of the rows seen, each with its own beginning."""
    steps: int


@dataclass(kw_only=True, slots=True)
class Cursor:
    """Where a training stands: all that a checkpoint holds beside tensors."""

    epochs: list[Epoch]
    """Those that are over."""
    losses: list[float]
    """Of the steps done in the epoch at hand."""
    tokens: int = 0
    """Seen in the epoch at hand."""

    @property
    def steps(self) -> int:
        """Done in all."""
        return sum(epoch.steps for epoch in self.epochs) + len(self.losses)

    def as_state(self) -> dict[str, Any]:
        """JSON values, for a checkpoint."""
        return {
            "epochs": [asdict(epoch) for epoch in self.epochs],
            "losses": self.losses,
            "tokens": self.tokens,
        }


def cursor_from(state: Mapping[str, Any] | None) -> Cursor:
    """The cursor in a checkpoint's state; at the start without one."""
    if state is None:
        return Cursor(epochs=[], losses=[])
    return Cursor(
        epochs=[Epoch(**epoch) for epoch in state["epochs"]],
        losses=list(state["losses"]),
        tokens=state["tokens"],
    )
