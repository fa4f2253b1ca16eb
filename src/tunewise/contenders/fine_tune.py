"""A trained adapter: learning rate and epochs chosen on dev, with or without retrieved passages.

The model is trained and asked with the input alone (and its passages): what the instruction says,
the examples teach. Knows nothing of the loop's inside or of other contenders.
"""

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tunewise.contenders.asking import (
    Asked,
    Asking,
    Prompt,
    answer_limit,
    dev_scores,
    spent,
)
from tunewise.contenders.base import Fitted, NotApplicable
from tunewise.contenders.rag import Library, best_lookup
from tunewise.data.chat import ChatTokenizer, TokenisedExample, answer_tokens
from tunewise.errors import UserError
from tunewise.evaluation.scorers import Metric, quality
from tunewise.models.catalog import LocalModel
from tunewise.models.engine import Engine
from tunewise.progress import Progress
from tunewise.project import Training as Settings
from tunewise.training.loop import Epoch, Recipe, Training
from tunewise.types import Answer, Example, Fit, Input, JsonValue

LEARNING_RATES = (5e-4, 1e-3)
"""Tried when `auto`, in this order as far as the budget goes."""
EPOCHS = 3
FEWEST_STEPS = 60
"""Small data gets more epochs, until the optimiser has made this many steps."""
MOST_EPOCHS = 20
STEPS_PER_EPOCH = 20
"""What `batch_tokens = "auto"` aims at."""
SMALLEST_BATCH, LARGEST_BATCH = 512, 2048
"""Tokens of a step."""
MOST_PASSAGE_WORDS = 240
"""Words of retrieved passages in a training row at most."""
DEV_POINTS = 3
"""Times in a full training that dev is answered, evenly spaced, the end included."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Grid:
    """What a budget of tokens allows."""

    learning_rates: tuple[float, ...]
    epochs: int

    def cost(self, seeds: int, *, dev: float = 0.0) -> float:
        """What it takes, in epochs: a rung for each rate, the rest for the best, the other seeds.

        Args:
            seeds: trained in all, the first included.
            dev: what answering dev once takes, in epochs.
        """
        rung, rates = rung_epochs(self.epochs), len(self.learning_rates)
        trained = rates * rung + (self.epochs - rung) + (seeds - 1) * self.epochs
        return trained + dev * (rates + len(dev_points(self.epochs)) - 1 + seeds - 1)


@dataclass(frozen=True, kw_only=True)
class FineTune:
    """Trains on train, chooses on dev, asks through the engine.

    Args:
        model: the base; the engine runs the same one.
        folder: where trainings keep their checkpoints and adapters.
        library: for passages in every prompt; None: none. `with_passages` says which is meant.
        base_seed: the first replica's; the others follow it.
    """

    name: str
    engine: Engine
    metric: Metric
    model: LocalModel
    tokenizer: ChatTokenizer
    settings: Settings
    budget_tokens: int
    folder: Path
    progress: Progress
    library: Library | None = None
    with_passages: bool = False
    base_seed: int = 0

    def untrainable(self, train: Sequence[Example]) -> dict[str, str]:
        """Example id -> why it cannot be trained on, even without passages."""
        faults: dict[str, str] = {}
        for example in train:
            try:
                row = answer_tokens(self.tokenizer, example.messages, example.target, example.tools)
            except UserError as refusal:
                faults[example.id] = str(refusal)
                continue
            if (fault := _fault_of(row, self.model.context_tokens)) is not None:
                faults[example.id] = fault
        return faults

    def fit(self, train: Sequence[Example], dev: Sequence[Example]) -> Asked:
        """Trains the first seed: a rung for each learning rate, then the best to its end.

        Raises:
            NotApplicable: passages are wanted and there are no documents.
            UserError: a row without an answer token or longer than the context.
        """
        if self.with_passages and self.library is None:
            raise NotApplicable("no documents given")
        began = time.perf_counter()
        chosen, asking, rows = self._prepared(train)
        grid, batch_tokens = self.plan(rows, dev_rows=len(dev))
        rung = rung_epochs(grid.epochs)
        trials: list[_Trial] = []
        for rate in grid.learning_rates:
            training = self._training(rows, rate, grid.epochs, batch_tokens, seed=1)
            trial = _Trial(rate=rate, training=training)
            self._train_to(trial, rung, asking, dev)
            training.release()
            trials.append(trial)
        best = max(trials, key=lambda trial: trial.last.quality)
        for epochs in dev_points(grid.epochs):
            if epochs > rung:
                self._train_to(best, epochs, asking, dev)
        best.training.release()
        point = max(best.points, key=lambda p: p.quality)  # the earlier one on ties
        rates = grid.learning_rates
        settings: dict[str, JsonValue] = {
            "learning_rate": best.rate,
            "epochs": point.epochs,
            "of_epochs": grid.epochs,
            "rank": self.settings.rank,
            "alpha": self._alpha,
            "adapter": self.settings.adapter,
            "batch_tokens": batch_tokens,
            "precision": best.training.precision,
            "seeds": 1,
            **chosen,
        }
        if grid.cost(self.settings.seeds, dev=len(dev) / len(rows)) > self._affordable(rows):
            settings["over_budget"] = "one rate and one epoch a seed is the least there is"
        trained = sum(trial.training.tokens for trial in trials)
        asked = [answer for trial in trials for p in trial.points for answer in p.answers]
        return Asked(
            engine=self.engine,
            asking=replace(asking, adapters={1: point.adapter}),
            fit=Fit(
                contender=self.name,
                settings=settings,
                seconds=time.perf_counter() - began,
                tokens={**spent(asked), "trained": trained},
                dev_scores={1: dev_scores(self.metric, point.answers, dev)},
                artifact={1: str(point.adapter)},
                trials=tuple(
                    {
                        "learning_rate": trial.rate,
                        "epochs": p.epochs,
                        "dev": round(p.quality, 4),
                        "dev_examples": len(p.answers),
                        "loss": round(p.epoch.loss, 4),
                    }
                    for trial in sorted(trials, key=lambda t: rates.index(t.rate))
                    for p in trial.points
                ),
            ),
        )

    def replicate(
        self, fitted: Fitted, train: Sequence[Example], dev: Sequence[Example], *, seeds: int
    ) -> Asked:
        """Trains seeds 2 to n with the first one's learning rate, schedule and number of epochs."""
        began = time.perf_counter()
        fit = fitted.fit
        _, asking, rows = self._prepared(train)
        adapters: dict[int, Path | None] = {1: Path(fit.artifact[1])}
        scores = dict(fit.dev_scores)
        tokens = dict(fit.tokens)
        for seed in range(2, seeds + 1):
            training = self._training(
                rows,
                _number(fit.settings, "learning_rate"),
                int(_number(fit.settings, "of_epochs")),
                int(_number(fit.settings, "batch_tokens")),
                seed=seed,
            )
            trial = _Trial(rate=_number(fit.settings, "learning_rate"), training=training)
            self._train_to(trial, int(_number(fit.settings, "epochs")), asking, dev)
            training.release()
            adapters[seed] = trial.last.adapter
            scores[seed] = dev_scores(self.metric, trial.last.answers, dev)
            for kind, count in {**spent(trial.last.answers), "trained": training.tokens}.items():
                tokens[kind] += count
        return Asked(
            engine=self.engine,
            asking=replace(asking, adapters=adapters),
            fit=replace(
                fit,
                settings={**fit.settings, "seeds": seeds},
                seconds=fit.seconds + time.perf_counter() - began,
                tokens=tokens,
                dev_scores=scores,
                artifact={seed: str(adapter) for seed, adapter in adapters.items()},
            ),
        )

    def plan(self, rows: Sequence[TokenisedExample], *, dev_rows: int) -> tuple[Grid, int]:
        """The largest grid that the budget allows, and the tokens of a step.

        Args:
            rows: of train.
            dev_rows: each taken to be as long as a row of train.
        """
        tokens = sum(len(row.token_ids) for row in rows)
        batch = self.settings.batch_tokens
        if batch == "auto":
            wanted = 256 * round(tokens / STEPS_PER_EPOCH / 256)
            batch = min(LARGEST_BATCH, max(SMALLEST_BATCH, wanted))
        steps = max(1, tokens // batch)
        full = min(MOST_EPOCHS, max(EPOCHS, round(FEWEST_STEPS / steps)))
        fixed_rate, fixed_epochs = self.settings.learning_rate, self.settings.epochs
        options = [
            Grid(
                learning_rates=LEARNING_RATES[:rates] if fixed_rate == "auto" else (fixed_rate,),
                epochs=epochs if fixed_epochs == "auto" else fixed_epochs,
            )
            for epochs in range(full, 0, -1)
            for rates in range(len(LEARNING_RATES), 0, -1)
        ]
        affordable = self._affordable(rows)
        seeds, dev = self.settings.seeds, dev_rows / max(1, len(rows))
        fits = (grid for grid in options if grid.cost(seeds, dev=dev) <= affordable)
        return next(fits, options[-1]), batch

    def _affordable(self, rows: Sequence[TokenisedExample]) -> float:
        """The budget in epochs of the rows."""
        return self.budget_tokens / max(1, sum(len(row.token_ids) for row in rows))

    @property
    def _alpha(self) -> float:
        alpha = self.settings.alpha
        return 2.0 * self.settings.rank if alpha == "auto" else alpha

    def _prepared(
        self, train: Sequence[Example]
    ) -> tuple[dict[str, JsonValue], Asking, list[TokenisedExample]]:
        """What was chosen before training, how to ask, and the training rows."""
        chosen: dict[str, JsonValue] = {}
        prompts = _bare
        if self.library is not None and self.with_passages:
            library = self.library
            lookup = best_lookup(library, train, most_words=MOST_PASSAGE_WORDS)
            chosen = {**lookup.settings, "retrieval": library.recall(lookup, train)}

            def with_passages(inputs: Sequence[Input]) -> list[Prompt]:
                return library.prompts(lookup, "", inputs)

            prompts = with_passages
        asking = Asking(prompts=prompts, max_tokens=answer_limit(self.engine, train))
        shown = prompts([example.input for example in train])
        rows = [
            answer_tokens(self.tokenizer, prompt.messages, example.target, prompt.tools)
            for prompt, example in zip(shown, train, strict=True)
        ]
        _check_rows(rows, train, self.model.context_tokens)
        return chosen, asking, rows

    def _training(
        self,
        rows: Sequence[TokenisedExample],
        rate: float,
        epochs: int,
        batch_tokens: int,
        *,
        seed: int,
    ) -> Training:
        recipe = Recipe(
            learning_rate=rate,
            epochs=epochs,
            batch_tokens=batch_tokens,
            seed=1000 * self.base_seed + seed,
            rank=self.settings.rank,
            alpha=self._alpha,
            adapter=self.settings.adapter,
        )
        folder = self.folder / f"{self.name}-lr{rate:g}-seed{seed}"
        return Training(self.model, rows, recipe, folder)

    def _train_to(
        self, trial: "_Trial", epochs: int, asking: Asking, dev: Sequence[Example]
    ) -> None:
        """Goes on to `epochs`, saves the adapter there and answers dev with it."""
        training = trial.training
        adapter = training.folder / f"epoch{epochs}"
        if len(training.epochs) < epochs:
            total = (epochs - len(training.epochs)) * training.epoch_tokens
            self.engine.rest()
            where = f"{self.name}: training, rate {trial.rate:g}, {training.folder.name[-5:]}"
            with self.progress.task(f"{where}, to epoch {epochs}", total=total) as advance:
                while len(training.epochs) < epochs:
                    training.run_epoch(advance)
            training.save_adapter(adapter)
        elif not adapter.exists():
            training.save_adapter(adapter)
        with self.progress.task(f"{self.name}: dev", total=len(dev)) as advance:
            asked = replace(asking, adapters={1: adapter})
            inputs = [example.input for example in dev]
            answers = asked.ask(self.engine, self.name, inputs, seed=1, advance=advance)
        trial.points.append(
            _Point(
                epochs=epochs,
                epoch=training.epochs[epochs - 1],
                adapter=adapter,
                answers=answers,
                quality=quality(self.metric, [a.text for a in answers], [e.target for e in dev]),
            )
        )


@dataclass(frozen=True, kw_only=True)
class _Point:
    """Where dev was answered."""

    epochs: int
    epoch: Epoch
    adapter: Path
    answers: list[Answer]
    quality: float


class _Trial:
    """One learning rate on its way."""

    def __init__(self, *, rate: float, training: Training) -> None:
        self.rate = rate
        self.training = training
        self.points: list[_Point] = []

    @property
    def last(self) -> _Point:
        return self.points[-1]


def dev_points(epochs: int) -> list[int]:
    """The epochs after which dev is answered, the last one included."""
    return sorted({math.ceil(epochs * n / DEV_POINTS) for n in range(1, DEV_POINTS + 1)})


def rung_epochs(epochs: int) -> int:
    """Epochs after which learning rates are compared."""
    return dev_points(epochs)[0]


def _bare(inputs: Sequence[Input]) -> list[Prompt]:
    return [Prompt(messages=item.messages, tools=item.tools) for item in inputs]


def _number(settings: Mapping[str, JsonValue], key: str) -> float:
    value = settings[key]
    if not isinstance(value, int | float):
        raise TypeError(f"{key} is {value!r}")
    return float(value)


def _check_rows(
    rows: Sequence[TokenisedExample], train: Sequence[Example], context_tokens: int
) -> None:
    faults = [
        f"example {example.id}: {fault}"
        for row, example in zip(rows, train, strict=True)
        if (fault := _fault_of(row, context_tokens)) is not None
    ]
    if faults:
        raise UserError.together(faults)


def _fault_of(row: TokenisedExample, context_tokens: int) -> str | None:
    if len(row.token_ids) > context_tokens:
        return (
            f"{len(row.token_ids)} tokens do not fit the model's context of {context_tokens}. "
            "Shorten the row, or choose a model with a longer context."
        )
    if row.loss_tokens == 0:
        return "its answer has no token to learn from. Give it an answer."
    return None
