"""A trained adapter: how many epochs is chosen on dev; with or without retrieved passages.

The model is trained and asked with the input alone (and its passages): what the instruction says,
the examples teach. It may read the documents first, or learn from pairs of answers afterwards, or
learn what another contender says with its prompt.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, NamedTuple

from tunewise.chat.prompts import Prompt, input_alone
from tunewise.chat.tokenize import ChatTokenizer, answer_tokens
from tunewise.contenders.answering import (
    FittedPrompt,
    PromptStrategy,
    answer_limit,
    spent,
)
from tunewise.contenders.protocol import Fitted, NotApplicable
from tunewise.contenders.race import Race, Runner
from tunewise.contenders.rag import Library, best_lookup
from tunewise.contenders.teaching import lesson_of
from tunewise.errors import UserError
from tunewise.models.catalog import LocalModel
from tunewise.models.engines.protocol import Engine
from tunewise.progress import Progress
from tunewise.project.settings import AUTO, TrainingSettings
from tunewise.runs.events import show_steps
from tunewise.training.epochs import DEV_POINTS, dev_points
from tunewise.training.loop import Training
from tunewise.training.recipe import Method, Recipe, default_batch, default_epochs, recipe_for
from tunewise.training.rows import Row, check_rows, document_rows, example_rows, fault_of, pair_rows
from tunewise.training.state import Epoch
from tunewise.types import Answer, Example, Fit, Input, JsonValue, Preference, Stopped, Text

MAX_PASSAGE_WORDS = 240
"""Words of retrieved passages in a training row at most."""

Way = Literal["alone", "passages", "documents", "preferences", "prompt"]
"""What a fine-tune has beside the examples: nothing, passages in every prompt, the documents to
read before, pairs of answers to learn from afterwards; or, instead of their answers, those of a
prompt."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Stage:
    """One training among those that follow each other, each going on from the adapter before."""

    method: Method
    rows: Sequence[Row]


@dataclass(frozen=True, kw_only=True)
class FineTune:
    """Trains on train, chooses on dev, asks through the engine.

    Args:
        model: the base; the engine runs the same one.
        folder: where trainings keep their checkpoints and adapters.
        way: what it has beside the examples.
        library: for passages in every prompt; None: no documents were given.
        documents: to be read before.
        preferences: to be learnt from afterwards, none of whose inputs is in dev or test.
        teacher: whose answers are learned, of the way `prompt`; None: there is none.
        replay: general rows that go into every step beside the others.
        base_seed: the first replica's; the others follow it.
        dev_times: that dev is answered while the first seed trains.
    """

    name: str
    engine: Engine
    model: LocalModel
    tokenizer: ChatTokenizer
    settings: TrainingSettings
    budget_tokens: int
    folder: Path
    progress: Progress
    way: Way = "alone"
    library: Library | None = None
    documents: Sequence[Text] = ()
    preferences: Sequence[Preference] = ()
    teacher: FittedPrompt | None = None
    replay: Sequence[Row] = ()
    base_seed: int = 0
    dev_times: int = DEV_POINTS
    places: Mapping[str, str] = field(default_factory=dict[str, str])
    """Example id -> `file:line`, to tell where rows stand."""

    def untrainable(self, train: Sequence[Example]) -> dict[str, str]:
        """Example id -> why it cannot be trained on, even without passages."""
        faults: dict[str, str] = {}
        for example in train:
            try:
                row = answer_tokens(self.tokenizer, example.messages, example.target, example.tools)
            except UserError as refusal:
                faults[example.id] = str(refusal)
                continue
            fault = fault_of([row], context_tokens=self.model.context_tokens)
            if fault is not None:
                faults[example.id] = fault
        return faults

    def fit(self, train: Sequence[Example], race: Race) -> FittedPrompt:
        """Trains the first seed; the point of its last stage that is best on dev ships.

        Raises:
            NotApplicable: documents or pairs are wanted and there are none.
            UserError: a row without an answer token or longer than the context.
        """
        self._check_applicable()
        began = time.perf_counter()
        chosen, strategy, stages, taught = self._prepared(train)
        run = self._trained(
            stages, self._epochs(stages, dev_rows=len(race.dev)), strategy, race, seed=1
        )
        point, stopped = self._best(run.points, strategy, race)
        recipe = run.recipe
        settings: dict[str, JsonValue] = {
            "learning_rate": recipe.learning_rate,
            "epochs": point.epochs,
            "of_epochs": recipe.epochs,
            "rank": recipe.rank,
            "alpha": recipe.alpha,
            "adapter": recipe.adapter,
            "batch_tokens": recipe.batch_tokens,
            "precision": run.training.precision,
            "seeds": 1,
            **chosen,
        }
        if len(stages) > 1:
            settings["stages"] = [stage.method for stage in stages]
        if self._cost(stages, recipe.epochs, dev_rows=len(race.dev)) > self.budget_tokens:
            settings["over_budget"] = "one epoch a seed is the least there is"
        asked = [*taught, *(answer for p in run.points for answer in p.runner.answers)]
        return FittedPrompt(
            engine=self.engine,
            strategy=replace(strategy, adapters={1: point.adapter}),
            fit=Fit(
                contender=self.name,
                settings=settings,
                seconds=time.perf_counter() - began,
                tokens={**spent(asked), "trained": run.tokens},
                dev_answers={1: race.dev_answers(point.runner)},
                artifact={1: str(point.adapter)},
                trials=tuple(
                    {
                        "learning_rate": recipe.learning_rate,
                        "epochs": p.epochs,
                        "dev": round(race.quality(p.runner), 4),
                        "dev_examples": len(p.runner.answers),
                        **({"out_after": p.out_after} if p.out_after else {}),
                        "loss": round(p.epoch.loss, 4),
                    }
                    for p in run.points
                ),
                stopped=stopped,
            ),
        )

    def replicate(
        self, fitted: Fitted, train: Sequence[Example], race: Race, *, seeds: int
    ) -> FittedPrompt:
        """Trains seeds 2 to n with the first one's schedule and number of epochs."""
        began = time.perf_counter()
        fit = fitted.fit
        _, strategy, stages, _ = self._prepared(train)
        adapters: dict[int, Path | None] = {1: Path(fit.artifact[1])}
        on_dev = dict(fit.dev_answers)
        tokens = dict(fit.tokens)
        of_epochs, epochs = (_integer(fit.settings, key) for key in ("of_epochs", "epochs"))
        for seed in range(2, seeds + 1):
            run = self._trained(stages, of_epochs, strategy, race, seed=seed, only=epochs)
            (point,) = run.points
            adapters[seed] = point.adapter
            on_dev[seed] = race.dev_answers(point.runner)
            for kind, count in {**spent(point.runner.answers), "trained": run.tokens}.items():
                tokens[kind] += count
        return FittedPrompt(
            engine=self.engine,
            strategy=replace(strategy, adapters=adapters),
            fit=replace(
                fit,
                settings={**fit.settings, "seeds": seeds},
                seconds=fit.seconds + time.perf_counter() - began,
                tokens=tokens,
                dev_answers=on_dev,
                artifact={seed: str(adapter) for seed, adapter in adapters.items()},
            ),
        )

    def _check_applicable(self) -> None:
        if self.way == "passages" and self.library is None:
            raise NotApplicable("no documents given")
        if self.way == "documents" and not self.documents:
            raise NotApplicable("no documents given")
        if self.way == "preferences" and not self.preferences:
            raise NotApplicable("no preference pairs given (data.preferences)")
        if self.way == "prompt":
            if self.teacher is None:
                raise NotApplicable("neither prompt nor few_shot took part to the end")
            starts = self.settings.initialisation
            if self.settings.adapter == "full" or starts.startswith(("pissa", "olora")):
                raise NotApplicable(
                    "its teacher is the base, which training.adapter or initialisation changes"
                )

    def _prepared(self, train: Sequence[Example]) -> "_Prepared":
        if self.way == "prompt" and self.teacher is not None:
            return self._taught(self.teacher, train)
        chosen: dict[str, JsonValue] = {}
        prompts = input_alone
        if self.library is not None and self.way == "passages":
            library = self.library
            lookup = best_lookup(library, train, most_words=MAX_PASSAGE_WORDS)
            chosen = {**lookup.settings, "retrieval": library.recall(lookup, train)}

            def with_passages(inputs: Sequence[Input]) -> list[Prompt]:
                return library.prompts(lookup, "", inputs)

            prompts = with_passages
        strategy = PromptStrategy(prompts=prompts, max_tokens=answer_limit(self.engine, train))
        shown = [prompt.messages for prompt in prompts([example.input for example in train])]
        stages = [Stage(method="sft", rows=example_rows(self.tokenizer, train, shown))]
        if self.way == "documents":
            rows = document_rows(
                self.tokenizer, self.documents, context_tokens=self.model.context_tokens
            )
            stages.insert(0, Stage(method="cpt", rows=rows))
        if self.way == "preferences":
            pairs = pair_rows(
                self.tokenizer, self.preferences, context_tokens=self.model.context_tokens
            )
            stages.append(Stage(method="dpo", rows=pairs))
        for stage in stages:
            check_rows(stage.rows, context_tokens=self.model.context_tokens)
        return _Prepared(chosen, strategy, stages)

    def _taught(self, teacher: FittedPrompt, train: Sequence[Example]) -> "_Prepared":
        lesson = lesson_of(
            teacher,
            self.tokenizer,
            train,
            context_tokens=self.model.context_tokens,
            budget_tokens=self.budget_tokens,
            seed=self.base_seed,
            progress=self.progress,
        )
        strategy = replace(teacher.strategy, prompts=input_alone, of_train=None)
        return _Prepared(
            {"teacher": teacher.fit.contender, "rows": len(lesson.rows)},
            strategy,
            [Stage(method="distill", rows=lesson.rows)],
            lesson.answers,
        )

    def _epochs(self, stages: Sequence[Stage], *, dev_rows: int) -> int:
        """Of the last stage: as many as the settings say, or the default within the budget."""
        if self.settings.epochs != AUTO:
            return self.settings.epochs
        last = stages[-1]
        batch = self.settings.batch_tokens
        full = default_epochs(
            last.rows,
            last.method,
            batch_tokens=default_batch(last.rows, last.method) if batch == AUTO else batch,
        )
        affordable = (
            epochs
            for epochs in range(full, 0, -1)
            if self._cost(stages, epochs, dev_rows=dev_rows) <= self.budget_tokens
        )
        return next(affordable, 1)

    def _cost(self, stages: Sequence[Stage], epochs: int, *, dev_rows: int) -> float:
        """Tokens of all seeds: trained, and those of dev, whose rows are taken to be like train's.

        Args:
            stages: the ones before the last run with their own number of epochs.
            epochs: of the last one.
            dev_rows: answered at every point by the first seed, and once by each other.
        """
        seeds = self.settings.seeds
        trained = epochs * _tokens(stages[-1].rows)
        for stage in stages[:-1]:
            recipe = recipe_for(
                self.settings, stage.rows, base=self.model, seed=1, method=stage.method
            )
            trained += recipe.epochs * _tokens(stage.rows)
        examples = next(stage.rows for stage in stages if stage.method in ("sft", "distill"))
        asked = dev_rows * _tokens(examples) / len(examples)
        return seeds * trained + (len(dev_points(epochs, self.dev_times)) + seeds - 1) * asked

    def _trained(
        self,
        stages: Sequence[Stage],
        epochs: int,
        strategy: PromptStrategy,
        race: Race,
        *,
        seed: int,
        only: int | None = None,
    ) -> "_Run":
        """All stages in turn; dev is answered at the points of the last one, or at `only`.

        The points race: one that is surely too far behind is not asked to the end.
        """
        adapter: Path | None = None
        tokens = 0
        for stage in stages[:-1]:
            recipe = self._recipe(stage, None, seed)
            training = self._training(stage, recipe, adapter, last=False)
            adapter = self._to_epoch(training, recipe.epochs, stage.method)
            training.close()
            tokens += training.tokens
        last = stages[-1]
        recipe = self._recipe(last, epochs, seed)
        training = self._training(last, recipe, adapter, last=True)
        points = [
            self._point(
                training,
                number,
                self._to_epoch(training, number, last.method),
                strategy,
                race,
                raced=only is None,
            )
            for number in (dev_points(epochs, self.dev_times) if only is None else [only])
        ]
        training.close()
        return _Run(
            recipe=recipe, training=training, points=points, tokens=tokens + training.tokens
        )

    def _recipe(self, stage: Stage, epochs: int | None, seed: int) -> Recipe:
        return recipe_for(
            self.settings,
            stage.rows,
            base=self.model,
            seed=1000 * self.base_seed + seed,
            method=stage.method,
            epochs=epochs,
        )

    def _training(
        self, stage: Stage, recipe: Recipe, start: Path | None, *, last: bool
    ) -> Training:
        name = self.name if last else f"{self.name}-{stage.method}"
        seed = recipe.seed - 1000 * self.base_seed
        folder = self.folder / f"{name}-lr{recipe.learning_rate:g}-seed{seed}"
        return Training(
            self.model,
            stage.rows,
            recipe,
            folder,
            replay=self.replay if last else (),
            start=start,
            warn=self.progress.note,
            watchers=[show_steps(self.progress, self.places)],
        )

    def _to_epoch(self, training: Training, epochs: int, method: Method) -> Path:
        """Goes on to the end of an epoch; returns the adapter that is saved there."""
        adapter = training.folder / f"epoch{epochs}"
        if len(training.epochs) < epochs:
            total = (epochs - len(training.epochs)) * training.epoch_tokens
            self.engine.unload()
            training.check_memory()
            where = f"{self.name}: {method}, {training.folder.name.rpartition('-')[2]}"
            with self.progress.task(f"{where}, to epoch {epochs}", total=total) as advance:
                while len(training.epochs) < epochs:
                    training.run_epoch(advance)
            training.save(adapter)
        elif not adapter.exists():
            training.save(adapter)
        return adapter

    def _point(
        self,
        training: Training,
        epochs: int,
        adapter: Path,
        strategy: PromptStrategy,
        race: Race,
        *,
        raced: bool,
    ) -> "_Point":
        runner = race.enter(self.name) if raced else Runner(contender=self.name)
        point = _Point(
            epochs=epochs, epoch=training.epochs[epochs - 1], adapter=adapter, runner=runner
        )
        rows = len(race.order)
        with self.progress.task(f"{self.name}: dev", total=rows) as advance:
            for end in race.ends(rows) if raced else [rows]:
                advance(self._answered(point, end, strategy, race))
                if raced and race.surely_behind(runner):
                    advance(rows - end)
                    return replace(point, out_after=end)
        return point

    def _answered(self, point: "_Point", end: int, strategy: PromptStrategy, race: Race) -> int:
        """Has a point answered so many rows of dev; returns how many were new."""
        new = race.order[len(point.runner.answers) : end]
        asked = replace(strategy, adapters={1: point.adapter})
        inputs = [example.input for example in new]
        race.record(point.runner, asked.ask(self.engine, self.name, inputs, seed=1))
        return len(new)

    def _best(
        self, points: Sequence["_Point"], strategy: PromptStrategy, race: Race
    ) -> tuple["_Point", Stopped | None]:
        """The best point, the earlier one on ties; where all are out, why.

        A verdict on training is about a model that was asked: it answers all of dev in any case.
        """
        still_in = [point for point in points if point.out_after is None]
        best = max(still_in or points, key=lambda point: race.quality(point.runner))
        stopped = None if still_in else race.stopped(best.runner)
        self._answered(best, len(race.order), strategy, race)
        return best, stopped


class _Prepared(NamedTuple):
    """What is known before the training begins."""

    chosen: dict[str, JsonValue]
    """For the settings that are shown."""
    strategy: PromptStrategy
    """How the model is asked."""
    stages: list[Stage]
    """What is trained on in turn."""
    taught: Sequence[Answer] = ()
    """What a teacher answered for it."""


@dataclass(frozen=True, kw_only=True)
class _Point:
    """Where dev was answered."""

    epochs: int
    epoch: Epoch
    adapter: Path
    runner: Runner
    out_after: int | None = None
    """Dev examples after which it was surely too far behind."""


@dataclass(frozen=True, kw_only=True)
class _Run:
    """One seed, trained."""

    recipe: Recipe
    """Of the last stage."""
    training: Training
    points: list[_Point]
    tokens: int
    """Trained on in all stages."""


def _tokens(rows: Sequence[Row]) -> int:
    return sum(row.tokens for row in rows)


def _integer(settings: Mapping[str, JsonValue], key: str) -> int:
    value = settings[key]
    if not isinstance(value, int):
        raise TypeError(f"{key} is {value!r}")
    return value
