"""Trains a model on rows, step by step, top to bottom on one page.

A training that was killed at any step goes on from its newest checkpoint with the same numbers as
if nothing had happened (`state`). What it says of its steps: `diagnostics`.
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
from tunewise.models.catalog import LocalModel
from tunewise.models.stored import adapter_hash
from tunewise.runs.events import Events, Watcher
from tunewise.training.attention import plain_model, try_packing
from tunewise.training.diagnostics import not_finite_error, report_step, rows_not_finite
from tunewise.training.distributed import default_device, join_processes, whole
from tunewise.training.hardware import (
    Precision,
    available,
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
from tunewise.training.signals import put_off
from tunewise.training.state import Epoch, TrainingState, dropout_seed
from tunewise.training.threads import Threads
from tunewise.training.utilisation import Utilisation

MAX_GRAD_NORM = 1.0
"""L2 norm over all trained weights that the gradient of a step is clipped to."""
CHECKPOINT_SECONDS = 60.0
"""Seconds of work, at most, that are lost to a kill which leaves no time to save."""


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
        warn: called with a line for a person, such as a checkpoint that is damaged.
        watchers: called with every event that is written to `events.jsonl`.
        threads: of the processor; None: as many as other processes leave it.

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
        threads: Threads | None = None,
    ) -> None:
        check_rows([*rows, *replay], context_tokens=base.context_tokens)
        self._base, self._rows, self._replay, self._recipe = base, rows, replay, recipe
        self.folder, self._start = folder, start
        self._device = device or default_device()
        self._processes = join_processes(self._device)
        self._checkpoint_seconds = checkpoint_seconds
        self._warn = warn
        self._threads = threads or Threads()
        self._events = Events(folder, watchers=watchers, warn=warn)
        self._identity = {
            "recipe": asdict(recipe),
            "rows": hash_rows([*rows, *replay]),
            "base": base.sha256,
            "start": adapter_hash(start) if start else None,
        }
        self._steps_of: dict[int, list[list[Row]]] = {}
        self._total_steps = sum(len(self._steps(n + 1)) for n in range(recipe.epochs))
        self._state = TrainingState(
            folder,
            identity=self._identity,
            recipe=recipe,
            total_steps=self._total_steps,
            processes=self._processes,
            device=self._device,
            warn=warn,
        )
        self._model: Any = None
        self._optimizer: Any = None
        self._packs = False
        self._utilisation: Any = None
        self._begun = False

    @property
    def epochs(self) -> Sequence[Epoch]:
        """Those that are over."""
        return self._state.cursor.epochs

    @property
    def steps(self) -> int:
        """Optimiser steps done."""
        return self._state.cursor.steps

    @property
    def total_steps(self) -> int:
        """Optimiser steps of the whole training."""
        return self._total_steps

    @property
    def tokens(self) -> int:
        """Tokens trained on so far, each row with its own prefix."""
        return sum(epoch.tokens for epoch in self.epochs) + self._state.cursor.tokens

    @property
    def epoch_tokens(self) -> int:
        """Tokens of one epoch, replay not counted."""
        return sum(row.tokens for row in self._rows)

    @property
    def precision(self) -> Precision:
        """Number format of its matrix products."""
        return self._state.numerics.precision

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
            precision=self.precision,
            micro_tokens=self._state.numerics.micro_tokens,
            available_bytes=available(self._device),
        )

    def emit(self, event: str, **facts: Any) -> None:
        """Adds an event of the caller's to those of the training."""
        if self._processes.is_first:
            self._events.emit(event, self.steps, **facts)

    def run_epoch(self, on_tokens: Callable[[int], None] = lambda n: None) -> Epoch:
        """Trains to the end of the epoch at hand, and writes a checkpoint.

        Args:
            on_tokens: called with the number of tokens after each step.

        Raises:
            UserError: the loss or a gradient is no finite number, and never reaches the weights;
                or a checkpoint cannot be written.
        """
        cursor = self._state.cursor
        with self._threads, self._saved_when_stopped():
            self._load()
            for rows in self._steps(cursor.epoch)[len(cursor.losses) :]:
                self._step(rows)
                on_tokens(sum(row.tokens for row in rows))
                if self._state.seconds_since_save >= self._checkpoint_seconds:
                    self._save()
            with put_off():
                epoch = cursor.end_epoch()
            self._save()
        self.emit("epoch", **asdict(epoch))
        return epoch

    def save(self, folder: Path) -> None:
        """Writes what was trained as it is now: an adapter in PEFT format, or the whole model.

        Args:
            folder: replaced, as a whole.

        Raises:
            UserError: it cannot be written.
        """
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
        with self._threads:
            self._load()
            return self._log_probabilities(self._model, rows)

    def close(self) -> None:
        """Frees the model's memory; the next call loads it from the checkpoint again."""
        self._model = self._optimizer = None
        give_back_memory()

    def _step(self, rows: Sequence[Row]) -> None:
        """One optimiser step on these rows."""
        began, step = time.perf_counter(), self.steps
        batches = micro_batches(
            rows, micro_tokens=self._state.numerics.micro_tokens, share=self._packs
        )
        self._model.train()
        # Dropout is a function of the step, whatever else used torch's generator before it.
        seed = dropout_seed(self._recipe, step) * 64 + self._processes.rank
        torch.manual_seed(seed)  # pyright: ignore[reportUnknownMemberType]
        loss = self._processes.total(self._backward(batches))
        weights = list(trained_weights(self._model).values())
        norm = float(whole(torch.nn.utils.clip_grad_norm_(weights, MAX_GRAD_NORM)))
        if not (math.isfinite(loss) and math.isfinite(norm)):
            raise self._not_finite(rows, loss)
        rate = learning_rate(self._recipe, step, self._total_steps)
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        cursor = self._state.cursor
        with put_off():  # a checkpoint holds weights, optimiser and cursor after the same step
            self._optimizer.step()
            self._optimizer.zero_grad(set_to_none=True)
            cursor.losses.append(loss)
            cursor.tokens += sum(row.tokens for row in rows)
        seconds = time.perf_counter() - began
        report_step(
            self.emit,
            rows,
            cursor.losses,
            epoch=cursor.epoch,
            gradient_norm=norm,
            learning_rate=rate,
            seconds=seconds,
            share_of_peak=self._utilisation.share_of_peak(batches, seconds * self._processes.count),
        )

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
        return torch.autocast(kind, torch.bfloat16, enabled=self.precision == "bfloat16")

    def _not_finite(self, rows: Sequence[Row], loss: float) -> UserError:
        """Forgets the gradients and saves: the weights are those of the step before."""
        self._optimizer.zero_grad(set_to_none=True)
        named = rows_not_finite(
            self._model, rows, share=self._packs, device=self._device, autocast=self._autocast
        )
        step = self.steps + 1
        self.emit("not finite", failed_step=step, loss=str(loss), rows=named)
        if self._state.is_ahead:
            self._save()
        self.close()
        return not_finite_error(
            loss,
            named,
            step=step,
            total_steps=self._total_steps,
            learning_rate=self._recipe.learning_rate,
        )

    def _log_probabilities(self, model: Any, rows: Sequence[Row]) -> list[tuple[float, ...]]:
        return row_log_probabilities(
            model,
            rows,
            micro_tokens=self._state.numerics.micro_tokens,
            share=self._packs,
            autocast=self._autocast,
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
        if self._device == "cpu":
            self._threads.follow(model)
        if self._start is not None:
            load_trained(model, self._base, recipe, self._start)
        fuse(model)
        self._packs = try_packing(model)
        keep_in(self.precision, model)
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
        self._utilisation = Utilisation(model, device=self._device, precision=self.precision)
        weights = trained_weights(model)
        self._optimizer = torch.optim.AdamW(
            weights.values(),
            lr=recipe.learning_rate,
            weight_decay=recipe.weight_decay,
            fused=self._processes.count == 1,
        )
        at = self._state.restore(weights, self._optimizer)
        self._model = model
        if not self._begun:
            self.emit("resumed" if at else "start", total_steps=self._total_steps, at=at)
        self._begun = True

    def _save(self) -> None:
        self._state.save(trained_weights(self._model), self._optimizer)

    @contextmanager
    def _saved_when_stopped(self) -> Generator[None]:
        """Saves the steps done when a signal ends the process, so that nothing is lost."""
        try:
            yield
        except (KeyboardInterrupt, SystemExit):
            state = self._state
            loaded = self._model is not None and self._processes.count == 1
            if loaded and state.is_ahead:
                try:
                    self._save()
                except UserError as error:
                    self._warn(str(error))
            self.emit("stopped", saved_step=state.saved_step)
            raise
