"""Trains a model on rows, step by step, top to bottom on one page.

A training that was killed at any step goes on from its newest checkpoint with the same numbers as
if nothing had happened. Knows nothing of chat templates, metrics or contenders.
"""

import math
import time
from collections.abc import Callable, Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tunewise.errors import UserError
from tunewise.models.adapters import adapter_hash
from tunewise.models.catalog import LocalModel
from tunewise.runs.events import Events, Watcher, is_spike
from tunewise.training.attention import plain_model, try_packing
from tunewise.training.checkpoint import Checkpoint, read_checkpoint, write_checkpoint
from tunewise.training.cursor import Epoch, cursor_from
from tunewise.training.distributed import default_device, join_processes, spread, whole
from tunewise.training.hardware import (
    Precision,
    available,
    fastest_precision,
    give_back_memory,
    keep_freed_memory,
)
from tunewise.training.memory_estimate import check_memory
from tunewise.training.objectives import Kto, Sft, Totals, totals_of
from tunewise.training.packing import Batch, epoch_steps, micro_batches
from tunewise.training.peft_model import (
    adapted_model,
    fuse,
    keep_in,
    load_trained,
    save_trained,
    trained_weights,
)
from tunewise.training.recipe import Recipe, learning_rate
from tunewise.training.reference import row_log_probabilities, with_references
from tunewise.training.rows import Row, check_rows, hash_rows
from tunewise.training.utilisation import Utilisation

MAX_GRAD_NORM = 1.0
"""Norm that gradients are clipped to."""
CHECKPOINT_SECONDS = 60.0
"""At most so much work is lost to a kill that leaves no time to save."""
MICRO_TOKENS = {"cpu": 1024, "cuda": 16_384}
"""Tokens that go through the model at once."""
CHECKPOINTS = "checkpoints"


class Training:
    """One training of one model; it goes on from the newest checkpoint in `folder`.

    Args:
        base: the model to adapt.
        rows: what is learnt; every row needs loss on at least one token.
        recipe: the settings. A checkpoint made with other settings or rows is not used.
        folder: where checkpoints and events lie; made if missing.
        replay: general examples, of which `recipe.replay_share` goes into every step.
        start: what another training wrote, to go on from; None: a fresh adapter.
        device: torch device; None: the GPU when there is one.
        checkpoint_seconds: between two checkpoints at least; 0: after every step.
        warn: told what a person should know.
        watchers: told every event, beside `events.jsonl`.

    Raises:
        UserError: rows that nothing can be learnt from, or a folder that cannot be written to.
    """

    def __init__(
        self,
        base: LocalModel,
        rows: Sequence[Row],
        recipe: Recipe,
        folder: Path,
        *,
        replay: Sequence[Row] = (),
        start: Path | None = None,
        device: str | None = None,
        checkpoint_seconds: float = CHECKPOINT_SECONDS,
        warn: Callable[[str], None] = lambda line: None,
        watchers: Sequence[Watcher] = (),
    ) -> None:
        check_rows([*rows, *replay], context_tokens=base.context_tokens)
        self._base, self._rows, self._replay, self._recipe = base, rows, replay, recipe
        self.folder, self._start = folder, start
        self._device = device or default_device()
        self._processes = join_processes(self._device)
        self._checkpoint_seconds = checkpoint_seconds
        self._warn = warn
        self._events = Events(folder, watchers=watchers, warn=warn)
        self._identity = {
            "recipe": asdict(recipe),
            "rows": hash_rows([*rows, *replay]),
            "base": base.sha256,
            "start": adapter_hash(start) if start else None,
        }
        self._steps_of: dict[int, list[list[Row]]] = {}
        self._total_steps = sum(len(self._steps(n + 1)) for n in range(recipe.epochs))
        self._model: Any = None
        self._packs = False
        self._utilisation: Utilisation | None = None
        self._optimizer: Any = None
        self._weights_whole = True
        self._begun = False
        self._saved_at = 0.0
        found = self._newest_checkpoint()
        self._cursor = cursor_from(found.state if found else None)
        state: Mapping[str, Any] = found.state if found else {}
        self._precision: Precision = (
            state.get("precision") or recipe.precision or fastest_precision(self._device)
        )
        self._micro_tokens: int = (
            state.get("micro_tokens")
            or recipe.micro_tokens
            or MICRO_TOKENS[self._device.split(":")[0]]
        )
        self._saved_step = found.step if found else -1

    @property
    def epochs(self) -> Sequence[Epoch]:
        """Those that are over."""
        return self._cursor.epochs

    @property
    def steps(self) -> int:
        """Optimiser steps done."""
        return self._cursor.steps

    @property
    def total_steps(self) -> int:
        """Optimiser steps of the whole training."""
        return self._total_steps

    @property
    def tokens(self) -> int:
        """Tokens trained on so far, each row with its own beginning."""
        return sum(epoch.tokens for epoch in self._cursor.epochs) + self._cursor.tokens

    @property
    def epoch_tokens(self) -> int:
        """Tokens of one epoch, replay not counted."""
        return sum(row.tokens for row in self._rows)

    @property
    def precision(self) -> Precision:
        """The number format of its matrix products."""
        return self._precision

    @property
    def recipe(self) -> Recipe:
        """Its settings."""
        return self._recipe

    @property
    def start_identity(self) -> Mapping[str, Any]:
        """What the model is before the first step: hashes of the base and of the adapter."""
        return {key: self._identity[key] for key in ("base", "start")}

    def check_memory(self) -> str:
        """One line that says what memory the training needs and what is there.

        Raises:
            UserError: it does not fit; with what would.
        """
        return check_memory(
            self._base,
            self._recipe,
            [*self._rows, *self._replay],
            device=self._device,
            precision=self._precision,
            micro_tokens=self._micro_tokens,
            available_bytes=available(self._device),
        )

    def emit(self, event: str, **facts: Any) -> None:
        """Adds an event of the caller's to those of the training."""
        if self._processes.is_first:
            self._events.emit(event, self._cursor.steps, **facts)

    def run_epoch(self, on_tokens: Callable[[int], None] = lambda n: None) -> Epoch:
        """Trains to the end of the epoch at hand, and writes a checkpoint.

        Args:
            on_tokens: told the number of tokens after each step.

        Raises:
            UserError: the loss or a gradient is no finite number, and never reaches the weights;
                or a checkpoint cannot be written.
        """
        cursor, number = self._cursor, len(self._cursor.epochs) + 1
        with self._saved_when_stopped():
            self._load()
            for rows in self._steps(number)[len(cursor.losses) :]:
                self._step(rows)
                on_tokens(sum(row.tokens for row in rows))
                if time.monotonic() - self._saved_at >= self._checkpoint_seconds:
                    self._save()
            epoch = Epoch(
                number=number,
                loss=float(np.mean(cursor.losses)),
                tokens=cursor.tokens,
                steps=len(cursor.losses),
            )
            cursor.epochs.append(epoch)
            cursor.losses, cursor.tokens = [], 0
            self._save()
        self.emit("epoch", **asdict(epoch))
        return epoch

    def save(self, folder: Path) -> None:
        """Writes what was trained as it is now: an adapter in PEFT format, or the whole model."""
        self._load()
        model = self._model
        if self._processes.count > 1:  # what is sharded cannot be written: it goes into a new one
            weights = {name: whole(w) for name, w in trained_weights(model).items()}
            if self._processes.is_first:
                model = adapted_model(self._base, self._recipe, device="cpu")
                for name, weight in trained_weights(model).items():
                    with torch.no_grad():
                        weight.copy_(weights[name])
        if self._processes.is_first:
            save_trained(model, self._base, self._recipe, folder)
        self._processes.wait()

    def log_probabilities(self, rows: Sequence[Row]) -> list[tuple[float, ...]]:
        """(rows, sequences of each) log-probability of each sequence's answers as it is now, nats.

        Args:
            rows: any, such as those of dev.
        """
        self._load()
        return self._log_probabilities(self._model, rows)

    def close(self) -> None:
        """Frees the model's memory; the next call loads it from the checkpoint again."""
        self._model = self._optimizer = None
        give_back_memory()

    def _step(self, rows: Sequence[Row]) -> None:
        """One optimiser step on these rows."""
        began, cursor, step = time.perf_counter(), self._cursor, self._cursor.steps
        batches = micro_batches(rows, micro_tokens=self._micro_tokens, share=self._packs)
        self._model.train()
        # Dropout is a function of the step, whatever else used torch's generator before it.
        torch.manual_seed((1_000_003 * self._recipe.seed + step) * 64 + self._processes.rank)  # pyright: ignore[reportUnknownMemberType]
        loss = self._processes.total(self._backward(batches))
        weights = list(trained_weights(self._model).values())
        norm = float(whole(torch.nn.utils.clip_grad_norm_(weights, MAX_GRAD_NORM)))
        if not (math.isfinite(loss) and math.isfinite(norm)):
            raise self._not_finite(rows, loss)
        rate = learning_rate(self._recipe, step, self._total_steps)
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        self._weights_whole = False
        self._optimizer.step()
        self._optimizer.zero_grad(set_to_none=True)
        cursor.losses.append(loss)
        cursor.tokens += sum(row.tokens for row in rows)
        self._weights_whole = True
        self._report(rows, batches, norm, rate, time.perf_counter() - began)

    def _backward(self, batches: Sequence[Batch]) -> float:
        """Adds up the gradient of one step; returns this process's part of its loss."""
        objective, own = self._recipe.objective, self._processes.own(batches)
        totals = totals_of(batches)
        if isinstance(objective, Kto):
            totals[False] = self._with_divergence(objective, batches, totals[False])
        value = 0.0
        for assigned in own:
            batch = assigned.batch.to(self._device)
            replayed = batch.rows[0].replayed
            with self._autocast():
                chosen = Sft() if replayed else objective
                loss = chosen.loss(self._model, batch, totals[replayed])
                if replayed:
                    loss = loss * self._recipe.replay_share
                if not assigned.counts:
                    loss = loss * 0.0
            # Sharded gradients are averaged over the processes; this one adds them up.
            (loss * self._processes.count).backward()
            value += float(loss.detach())
        return value

    def _with_divergence(self, objective: Kto, batches: Sequence[Batch], totals: Totals) -> Totals:
        """z0 of `Kto`, over all rows of the step."""
        found = 0.0
        for assigned in self._processes.own(batches):
            if not assigned.batch.rows[0].replayed:
                with self._autocast():
                    one = objective.divergence(self._model, assigned.batch.to(self._device))
                found += one if assigned.counts else 0.0
        mean = self._processes.total(found) / totals.rows
        return replace(totals, divergence=max(0.0, mean))

    def _autocast(self) -> torch.autocast:
        kind = self._device.split(":")[0]
        return torch.autocast(kind, torch.bfloat16, enabled=self._precision == "bfloat16")

    def _not_finite(self, rows: Sequence[Row], loss: float) -> UserError:
        """Names the rows, and forgets the gradients: the weights are those of the step before."""
        self._optimizer.zero_grad(set_to_none=True)
        culprits: list[str] = []
        for row in rows:
            batch = micro_batches([row], micro_tokens=1, share=self._packs)[0].to(self._device)
            with torch.no_grad(), self._autocast():
                alone = Sft().loss(self._model, batch, totals_of([batch])[row.replayed])
            if not math.isfinite(float(alone)):
                culprits.append(row.id)
        step = self._cursor.steps + 1
        named = culprits if 0 < len(culprits) < len(rows) else [row.id for row in rows]
        self.emit("not finite", failed_step=step, loss=str(loss), rows=named)
        if self._cursor.steps > max(0, self._saved_step):
            self._save()
        self.close()
        return UserError(
            f"training: the loss became {loss} in step {step} of {self._total_steps} (learning "
            f"rate {self._recipe.learning_rate:g}), rows {', '.join(named[:8])}"
            f"{', ...' if len(named) > 8 else ''}. The weights are still those of the step before. "
            "Look at these rows, or choose a lower learning rate."
        )

    def _log_probabilities(self, model: Any, rows: Sequence[Row]) -> list[tuple[float, ...]]:
        return row_log_probabilities(
            model,
            rows,
            micro_tokens=self._micro_tokens,
            share=self._packs,
            autocast=self._autocast,
        )

    def _report(
        self,
        rows: Sequence[Row],
        batches: Sequence[Batch],
        norm: float,
        rate: float,
        seconds: float,
    ) -> None:
        *before, loss = self._cursor.losses[-21:]
        if is_spike(loss, before):
            self.emit("spike", loss=loss, rows=[row.id for row in rows])
        tokens = sum(row.tokens for row in rows)
        share = 0.0
        if self._utilisation is not None:
            share = self._utilisation.share_of_peak(batches, seconds * self._processes.count)
        self.emit(
            "step",
            epoch=len(self._cursor.epochs) + 1,
            loss=loss,
            gradient_norm=norm,
            learning_rate=rate,
            tokens=tokens,
            tokens_per_second=round(tokens / seconds, 1),
            share_of_peak=round(share, 3),
        )

    def _steps(self, epoch: int) -> list[list[Row]]:
        """The rows of each step of an epoch, from 1."""
        if epoch not in self._steps_of:
            self._steps_of[epoch] = epoch_steps(
                self._rows,
                self._replay,
                batch_tokens=self._recipe.batch_tokens,
                replay_share=self._recipe.replay_share,
                rng=np.random.default_rng([self._recipe.seed, epoch]),
            )
        return self._steps_of[epoch]

    def _load(self) -> None:
        """Builds the model, and puts the newest checkpoint into it."""
        if self._model is not None:
            return
        keep_freed_memory()
        recipe = self._recipe
        model = adapted_model(self._base, recipe, device=self._device)
        if self._start is not None:
            load_trained(model, self._base, recipe, self._start)
        fuse(model)
        self._packs = try_packing(model)
        keep_in(self._precision, model)
        if recipe.save_memory:
            plain_model(model).activation_checkpointing_enable()
        self._processes.shard(model)
        if recipe.objective.needs_reference and not self._rows[0].reference:
            self._rows = with_references(
                self._rows,
                self.folder,
                identity=self._identity,
                ask=partial(self._log_probabilities, model),
            )
            self._steps_of.clear()
        self._utilisation = Utilisation(model, device=self._device, precision=self._precision)
        weights = trained_weights(model)
        self._optimizer = torch.optim.AdamW(
            weights.values(),
            lr=recipe.learning_rate,
            weight_decay=recipe.weight_decay,
            fused=self._processes.count == 1,
        )
        self._model = model
        found = self._newest_checkpoint()
        at = cursor_from(found.state if found else None).steps
        if at < self._cursor.steps:
            raise UserError(
                f"{self.folder}: the checkpoint of step {self._cursor.steps} disappeared while "
                "training. Run again with --resume."
            )
        if found is not None:
            self._put_back(found)
        self._saved_at = time.monotonic()
        if not self._begun:
            self.emit("resumed" if at else "start", total_steps=self._total_steps, at=at)
        self._begun = True

    def _newest_checkpoint(self) -> Checkpoint | None:
        return read_checkpoint(
            self.folder / CHECKPOINTS,
            usable=lambda state: state.get("identity") == self._identity,
            warn=self._warn,
        )

    def _put_back(self, found: Checkpoint) -> None:
        for name, weight in trained_weights(self._model).items():
            with torch.no_grad():
                weight.copy_(spread(found.tensors["weights"][name], weight))
            moments = {
                kind: found.tensors["optimizer"].get(f"{kind}.{name}")
                for kind in ("exp_avg", "exp_avg_sq", "step")
            }
            if moments["step"] is not None:
                self._optimizer.state[weight] = {
                    kind: spread(tensor, weight) if kind != "step" else tensor.clone()
                    for kind, tensor in moments.items()
                    if tensor is not None
                }

    def _save(self) -> None:
        """Writes a checkpoint of the steps done. Every process has to come here."""
        weights = trained_weights(self._model)
        optimizer = {
            f"{kind}.{name}": whole(tensor)
            for name, weight in weights.items()
            for kind, tensor in self._optimizer.state[weight].items()
        }
        tensors = {"weights": {n: whole(w) for n, w in weights.items()}, "optimizer": optimizer}
        if self._processes.is_first:
            cursor = self._cursor
            state = {
                "identity": self._identity,
                **cursor.as_state(),
                "precision": self._precision,
                "micro_tokens": self._micro_tokens,
                "next_learning_rate": learning_rate(self._recipe, cursor.steps, self._total_steps),
                "next_dropout_seed": 1_000_003 * self._recipe.seed + cursor.steps,
            }
            write_checkpoint(
                self.folder / CHECKPOINTS,
                Checkpoint(step=cursor.steps, state=state, tensors=tensors),
            )
        self._processes.wait()
        self._saved_step, self._saved_at = self._cursor.steps, time.monotonic()

    @contextmanager
    def _saved_when_stopped(self) -> Generator[None]:
        """Saves the steps done when a signal ends the process, so that nothing is lost."""
        try:
            yield
        except (KeyboardInterrupt, SystemExit):
            ahead = self._model is not None and self._cursor.steps > max(0, self._saved_step)
            if ahead and self._weights_whole and self._processes.count == 1:
                try:
                    self._save()
                except UserError as error:
                    self._warn(str(error))
            self.emit("stopped", saved_step=max(0, self._saved_step))
            raise
