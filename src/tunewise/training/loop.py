"""Trains an adapter on tokenised examples, epoch by epoch, top to bottom on one page.

Every epoch ends in a checkpoint from which the next one goes on with the same numbers as if
nothing had happened. Knows nothing of chat templates, metrics or contenders.
"""

import hashlib
import math
import shutil
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from itertools import chain
from pathlib import Path
from typing import Any, cast

import numpy as np
import peft
import torch

from tunewise.data.chat import TokenisedExample
from tunewise.errors import UserError
from tunewise.models import hub
from tunewise.models.adapters import sign_adapter
from tunewise.models.catalog import LocalModel
from tunewise.training.batches import Batch, batches, order, shared_prefixes
from tunewise.training.checkpoint import State, read_state, write_state
from tunewise.training.objectives import can_share_prefixes, sft
from tunewise.training.precision import (
    Precision,
    fastest_precision,
    give_back_memory,
    keep_freed_memory,
)

WARMUP_SHARE = 0.06
LARGEST_GRADIENT = 1.0
STATE_FILE = "state.pt"
_PEFT = cast("Any", peft)  # its functions carry no types


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipe:
    """Everything that decides what a training does, but for the rows."""

    learning_rate: float
    """Peak, of AdamW (Loshchilov & Hutter 2019, arXiv:1711.05101), betas 0.9 and 0.999."""
    epochs: int
    """Epochs of the schedule: the learning rate falls linearly to 0 at their end."""
    batch_tokens: int
    """Tokens in one optimiser step, padding and each row's own beginning included."""
    seed: int
    """Of the adapter's start and the order of rows."""
    rank: int = 16
    alpha: float = 32.0
    adapter: str = "lora"
    """lora, rslora or dora."""
    dropout: float = 0.0
    precision: Precision | None = None
    """None: the fastest on this machine."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Epoch:
    """What one epoch did."""

    number: int
    """From 1."""
    loss: float
    """Mean of its steps' losses, nats a token."""
    tokens: int
    """Tokens seen, padding excluded."""
    steps: int


class Training:
    """One training of one adapter; `run_epoch` goes on from the newest checkpoint in `folder`.

    Args:
        base: the model to adapt.
        rows: tokenised examples; every one needs loss on at least one token.
        recipe: the settings. A checkpoint made with other settings or rows is not used.
        folder: where the checkpoint lies; made if missing.
        device: torch device; None: the GPU when there is one.
    """

    def __init__(
        self,
        base: LocalModel,
        rows: Sequence[TokenisedExample],
        recipe: Recipe,
        folder: Path,
        *,
        device: str | None = None,
    ) -> None:
        self._base, self._rows, self._recipe = base, rows, recipe
        self.folder = folder
        self._device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        folder.mkdir(parents=True, exist_ok=True)
        self.epochs: list[Epoch] = []
        self._precision: Precision = recipe.precision or fastest_precision(self._device)
        lengths = [len(row.token_ids) for row in rows]
        rng = np.random.default_rng(recipe.seed)
        steps = len(order(lengths, batch_tokens=recipe.batch_tokens, rng=rng))
        self._total_steps = steps * recipe.epochs
        self._model: Any = None
        self._prefixes: list[int] | None = None
        self._optimizer: Any = None
        state = read_state(folder / STATE_FILE)
        if state is not None and state.get("identity") == self._identity():
            self.epochs = [Epoch(**epoch) for epoch in state["epochs"]]
            self._precision = state["precision"]

    @property
    def tokens(self) -> int:
        """Tokens trained on so far, padding excluded."""
        return sum(epoch.tokens for epoch in self.epochs)

    @property
    def epoch_tokens(self) -> int:
        """Tokens of one epoch, padding excluded."""
        return sum(len(row.token_ids) for row in self._rows)

    @property
    def precision(self) -> Precision:
        """The number format of its matrix products."""
        return self._precision

    def run_epoch(self, on_tokens: Callable[[int], None] = lambda n: None) -> Epoch:
        """Trains one more epoch and writes the checkpoint.

        Args:
            on_tokens: told the number of tokens after each step.

        Raises:
            UserError: the loss or a gradient is no finite number; nothing of the epoch is kept.
        """
        self._load()
        number = len(self.epochs) + 1
        rng = np.random.default_rng([self._recipe.seed, number])
        # For dropout: the epoch's own, whatever else used torch's generator before it.
        torch.manual_seed(1_000_003 * self._recipe.seed + number)  # pyright: ignore[reportUnknownMemberType]
        losses: list[float] = []
        tokens = 0
        done = sum(epoch.steps for epoch in self.epochs)
        self._model.train()
        for step in batches(
            self._rows,
            batch_tokens=self._recipe.batch_tokens,
            pad=0,
            rng=rng,
            prefixes=self._prefixes,
        ):
            value = self._backward(step)
            weights = [p for p in self._model.parameters() if p.requires_grad]
            norm = torch.nn.utils.clip_grad_norm_(weights, LARGEST_GRADIENT)
            if not (math.isfinite(value) and math.isfinite(float(norm))):
                self.release()
                raise UserError(
                    f"training: the loss became {value} in epoch {number}, step {len(losses) + 1} "
                    f"(learning rate {self._recipe.learning_rate}). Choose a lower learning rate."
                )
            rate = self._learning_rate(done + len(losses))
            for group in self._optimizer.param_groups:
                group["lr"] = rate
            self._optimizer.step()
            self._optimizer.zero_grad(set_to_none=True)
            losses.append(value)
            tokens += sum(batch.tokens for batch in step)
            on_tokens(sum(batch.tokens for batch in step))
        epoch = Epoch(number=number, loss=float(np.mean(losses)), tokens=tokens, steps=len(losses))
        self.epochs.append(epoch)
        write_state(self._state(), self.folder / STATE_FILE)
        return epoch

    def save_adapter(self, folder: Path) -> None:
        """Writes the adapter as it is now, in PEFT format, signed with its base."""
        self._load()
        beside = folder.with_name(f".{folder.name}.new")
        shutil.rmtree(beside, ignore_errors=True)
        self._model.peft_config["default"].base_model_name_or_path = self._base.name
        # Embeddings are never trained; peft would ask the hub whether they were.
        self._model.save_pretrained(str(beside), save_embedding_layers=False)
        sign_adapter(beside, self._base)
        shutil.rmtree(folder, ignore_errors=True)
        beside.rename(folder)

    def release(self) -> None:
        """Frees the model's memory; the next call loads it from the checkpoint again."""
        self._model = self._optimizer = None
        give_back_memory()

    def _backward(self, step: Sequence[Batch]) -> float:
        """Adds up the gradient of one step; returns its loss, the mean over all its tokens."""
        targets = sum(int(batch.loss.sum()) for batch in step)
        total = 0.0
        for batch in step:
            batch = batch.to(self._device)
            with torch.autocast(
                self._device.split(":")[0], torch.bfloat16, enabled=self._precision == "bfloat16"
            ):
                loss = sft(self._model, batch) * (int(batch.loss.sum()) / targets)
            loss.backward()  # pyright: ignore[reportUnknownMemberType]
            total += float(loss.detach())
        return total

    def _learning_rate(self, step: int) -> float:
        warmup = max(1, round(WARMUP_SHARE * self._total_steps))
        if step < warmup:
            return self._recipe.learning_rate * (step + 1) / warmup
        left = (self._total_steps - step) / max(1, self._total_steps - warmup)
        return self._recipe.learning_rate * max(0.0, left)

    def _load(self) -> None:
        if self._model is not None:
            return
        keep_freed_memory()
        recipe = self._recipe
        torch.manual_seed(recipe.seed)  # pyright: ignore[reportUnknownMemberType]
        config = _PEFT.LoraConfig(
            task_type="CAUSAL_LM",
            r=recipe.rank,
            lora_alpha=recipe.alpha,
            lora_dropout=recipe.dropout,
            target_modules="all-linear",
            use_rslora=recipe.adapter == "rslora",
            use_dora=recipe.adapter == "dora",
        )
        model = cast("Any", hub.load_model(self._base.folder)).to(self._device)
        self._model = _PEFT.get_peft_model(model, config)
        # A set, written in an order that differs between processes: equal adapters would not
        # have equal files.
        chosen = self._model.peft_config["default"]
        chosen.target_modules = sorted(chosen.target_modules)
        if self._precision == "bfloat16":  # as autocast would at every step, but once
            for name, weight in self._model.named_parameters():
                if not weight.requires_grad and name.endswith("base_layer.weight"):
                    weight.data = weight.data.bfloat16()
        if self._prefixes is None and can_share_prefixes(self._model):
            self._prefixes = shared_prefixes(self._rows)
        self._optimizer = torch.optim.AdamW(
            [p for p in self._model.parameters() if p.requires_grad],
            lr=recipe.learning_rate,
            weight_decay=0.0,
        )
        if self.epochs:
            state = read_state(self.folder / STATE_FILE)
            if state is None:
                raise UserError(
                    f"{self.folder / STATE_FILE}: the checkpoint disappeared while training. "
                    "Run again with --resume."
                )
            _PEFT.set_peft_model_state_dict(self._model, state["adapter"])
            self._optimizer.load_state_dict(state["optimizer"])

    def _state(self) -> State:
        adapter = _PEFT.get_peft_model_state_dict(self._model, save_embedding_layers=False)
        return {
            "identity": self._identity(),
            "epochs": [asdict(epoch) for epoch in self.epochs],
            "precision": self._precision,
            "adapter": adapter,
            "optimizer": self._optimizer.state_dict(),
        }

    def _identity(self) -> State:
        """What a checkpoint must have been made with to be used here."""
        rows = _hash_rows(self._rows)
        return {"recipe": asdict(self._recipe), "rows": rows, "base": self._base.sha256}


def _hash_rows(rows: Sequence[TokenisedExample]) -> str:
    """sha256 (hex) over token ids and loss masks."""
    digest = hashlib.sha256()
    for row in rows:
        numbers = [len(row.token_ids), *row.token_ids, *chain.from_iterable(row.answers)]
        digest.update(np.array(numbers, dtype=np.int64).tobytes())
        digest.update(b"|")
    return digest.hexdigest()
