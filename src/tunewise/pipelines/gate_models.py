"""Turns what a person names - a run's contender, a folder, an endpoint, a version - into what can
be asked.

A model is asked as it was when it was chosen: a run's contender with its own prompt, what Tunewise
trained with the input alone, any other model and an endpoint with the task's instruction.
"""

from collections.abc import Mapping
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from tunewise.chat.prompts import input_alone
from tunewise.contenders.answering import FittedPrompt, PromptStrategy, answer_limit
from tunewise.contenders.constant import FittedConstant
from tunewise.contenders.few_shot import WORDS, readable
from tunewise.contenders.rag import Library
from tunewise.contenders.rebuild import classifier_of, strategy_of, trained_strategy
from tunewise.contenders.zero_shot import with_instruction
from tunewise.data.prepare import Prepared
from tunewise.errors import UserError
from tunewise.evaluation.collect import Answering
from tunewise.exporting.asking import classifier_of_bundle, strategy_of_bundle
from tunewise.exporting.bundle import Bundle, read_bundle
from tunewise.metrics.metric import Metric
from tunewise.models.adapters import BASE_FILE, check_adapter
from tunewise.models.engines.open import EngineOpener, Opened, open_ceiling
from tunewise.models.engines.protocol import Engine
from tunewise.models.stored import ADAPTER_SETTINGS, is_whole_model
from tunewise.pipelines.reading import documents_of
from tunewise.pipelines.run_rows import (
    base_of_contender,
    every_row,
    measured_contender,
    rows_of,
    teacher_of,
    train_of,
)
from tunewise.progress import Progress
from tunewise.project.contenders import CONSTANT, built_in
from tunewise.project.settings import AUTO, Model
from tunewise.retrieval.embed import Embedder, embedder_or_note
from tunewise.retrieval.index import ExampleIndex
from tunewise.runs.folder import TRAINED
from tunewise.runs.read import read_verdict
from tunewise.runs.registry import Registry, Version
from tunewise.runs.schema import ContenderResult, VerdictFile
from tunewise.runs.trained import read_training
from tunewise.types import Fit, JsonValue

VERDICT_FILE = "verdict.json"


@dataclass(frozen=True, kw_only=True)
class Entrant:
    """A model at the gate."""

    name: str
    """As the person named it."""
    answering: Answering


@dataclass(kw_only=True)
class EntrantOpener:
    """Opens models by name; each base and endpoint once.

    Args:
        prepared: the project's rows; what a prompt shows is taken from there.
        metric: the project's.
        progress: informed of what is being done.
        opener: opens engines of base models.
        stack: closes them.
        registry: of the models with a name.
    """

    prepared: Prepared
    metric: Metric
    progress: Progress
    opener: EngineOpener
    stack: ExitStack
    registry: Registry = field(default_factory=Registry)
    _bases: dict[Model, Opened] = field(init=False, default_factory=dict[Model, Opened])
    _endpoints: dict[str, Engine] = field(init=False, default_factory=dict[str, Engine])

    def open(self, named: str) -> Entrant:
        """The model of that name.

        Raises:
            UserError: there is none, or it cannot be asked here.
        """
        project = self.prepared.project
        if any(endpoint.name == named for endpoint in project.contenders.endpoints):
            return self._instructed(named, self._endpoint(named))
        if named in project.model.bases:
            return self._instructed(named, self._base(replace(project.model, base=named)).engine)
        folder = Path(named)
        if folder.is_dir():
            return self._of_folder(named, folder)
        run, colon, contender = named.rpartition(":")
        if colon and contender and Path(run).is_dir():
            return self._of_run(named, Path(run), contender)
        if self.registry.holds(named):
            return self._of_version(named, self.registry.resolve(named))
        endpoints = ", ".join(endpoint.name for endpoint in project.contenders.endpoints)
        raise UserError(
            f"{named}: there is no such model. Name a run (runs/<id>, or runs/<id>:few_shot), the "
            "folder of a model or an adapter, a model that `tunewise models list` shows "
            "(triage@3), or a [contenders.NAME] endpoint of the project "
            f"({endpoints or 'it has none'})."
        )

    def _of_folder(self, named: str, folder: Path) -> Entrant:
        if (folder / VERDICT_FILE).is_file():
            return self._of_run(named, folder, None)
        if (folder / TRAINED).is_file():
            return self._tuned(named, folder / read_training(folder).model)
        if (folder / ADAPTER_SETTINGS).is_file():
            return self._tuned(named, folder)
        if not is_whole_model(folder):
            raise UserError(
                f"{folder}: is no finished run or training, no model and no adapter in PEFT "
                f"format: it holds none of {VERDICT_FILE}, {TRAINED}, {ADAPTER_SETTINGS} and "
                "config.json."
            )
        if (folder / BASE_FILE).is_file():
            return self._tuned(named, folder)
        own = replace(self.prepared.project.model, base=str(folder.resolve()))
        return self._instructed(named, self._base(own).engine)

    def _of_run(self, named: str, run: Path, contender: str | None) -> Entrant:
        verdict = read_verdict(run)
        found = measured_contender(run, verdict, contender)
        return Entrant(name=named, answering=self._chosen(named, run, verdict, found))

    def _of_version(self, named: str, version: Version) -> Entrant:
        if named != version.id:
            self.progress.note(f"{named} is {version.id}.")
        bundle = read_bundle(version.folder)
        bundle.check()
        model = bundle.model
        if model.kind == CONSTANT:
            return Entrant(name=named, answering=_constant(model.settings))
        if model.kind == "classifier":
            return Entrant(name=named, answering=classifier_of_bundle(bundle))
        strategy = strategy_of_bundle(bundle)
        engine = self._engine_of_version(version, bundle)
        return Entrant(name=named, answering=self._asking(named, engine, strategy, bundle.adapter))

    def _engine_of_version(self, version: Version, bundle: Bundle) -> Engine:
        """What a version asks: its own base, or its endpoint as the project names it."""
        project, model = self.prepared.project, bundle.model
        if model.base is not None:
            engine = AUTO if project.model.engine == "openai" else project.model.engine
            settings = replace(
                project.model, base=model.base.name, engine=engine, thinking=model.thinking
            )
            if bundle.adapter is not None:
                return self._adapted(bundle.adapter, settings)
            return self._base(settings).engine
        used = model.endpoint
        if used is not None:
            for one in project.contenders.endpoints:
                if (one.model, one.base_url) == (used.model, used.base_url):
                    return self._endpoint(one.name)
            if project.model.engine == "openai" and project.model.base_url == used.base_url:
                return self._base(replace(project.model, base=used.model)).engine
        raise UserError(
            f"{version.id}: asks an endpoint that the project does not name. Write its "
            "[contenders.NAME] table."
        )

    def _chosen(
        self, named: str, run: Path, verdict: VerdictFile, found: ContenderResult
    ) -> Answering:
        """A contender as a run's fit left it."""
        known = built_in(found.name)
        if known is not None and known.ranks:
            raise UserError(
                f"{named}: is a search over documents, which no gate judges yet. Run decide again: "
                "its verdict says whether the search got worse."
            )
        if found.name in (CONSTANT, "classifier"):
            return self._fitted_again(run, found)
        if not found.trained:
            engine = self._engine_of(run, verdict, found.name)
            return self._asking(named, engine, self._strategy(run, verdict, found, engine))
        adapter = run / "models" / found.name
        engine = self._for_adapter(adapter)
        try:
            strategy = trained_strategy(
                found.fit.settings,
                teacher=teacher_of(verdict, found),
                max_tokens=self._limit_of(run, engine),
                library=self._library,
            )
        except ValueError as error:
            raise _unread(run, found, error) from None
        return self._asking(named, engine, strategy, adapter)

    def _fitted_again(self, run: Path, found: ContenderResult) -> Answering:
        """What is fitted in a second, with what was chosen then."""
        task = self.prepared.project.task
        settings = found.fit.settings
        if found.name == CONSTANT:
            return _constant(settings)
        try:
            return classifier_of(
                settings,
                train_of(run, self.prepared),
                metric=self.metric,
                labels=task.labels,
                sets=task.kind == "multilabel",
            )
        except ValueError as error:
            raise _unread(run, found, error) from None

    def _strategy(
        self, run: Path, verdict: VerdictFile, found: ContenderResult, engine: Engine
    ) -> PromptStrategy:
        settings = found.fit.settings

        def index() -> ExampleIndex:
            train = train_of(run, self.prepared)
            embedder = readable(self._embedder(), train, self.progress)
            by = embedder.name if embedder else WORDS
            if settings.get("by", by) != by:
                raise UserError(
                    f"{run}: {found.name} finds its examples by {settings['by']}, which is not "
                    "here. Install what it was run with (`pip install 'tunewise[dense]'`)."
                )
            return ExampleIndex(train, embedder)

        try:
            return strategy_of(
                settings,
                instruction=verdict.task.instruction or "",
                max_tokens=self._limit_of(run, engine),
                index=index,
                library=self._library,
            )
        except ValueError as error:
            raise _unread(run, found, error) from None

    def _limit_of(self, run: Path, engine: Engine) -> int:
        """Tokens that an answer of a run's contender may have."""
        rows = rows_of(run, "train", every_row(self.prepared))
        known = [row for row in rows if row is not None]
        return answer_limit(engine, known or self.prepared.splits.train)

    def _library(self) -> Library:
        found = documents_of(self.prepared.project)
        documents = found.all_usable() if found else ()
        if not documents:
            raise UserError("data.documents: there are none, and this contender reads them.")
        return Library(documents, self._embedder())

    def _embedder(self) -> Embedder | None:
        embedder, notes = embedder_or_note()
        for note in notes:
            self.progress.note(note)
        return embedder

    def _engine_of(self, run: Path, verdict: VerdictFile, contender: str) -> Engine:
        """What a run's contender without training asked."""
        project = self.prepared.project
        if any(endpoint.name == contender for endpoint in project.contenders.endpoints):
            return self._endpoint(contender)
        if built_in(contender) is None:
            raise UserError(
                f"{run}: {contender} is an endpoint that the project does not name any more. "
                f"Write its [contenders.{contender}] table again."
            )
        base = base_of_contender(verdict, contender, project.model)
        if base is None:
            raise UserError(
                f"{run}: {contender} runs on a base model that the project does not name any more. "
                "Add it to [model] base again."
            )
        return self._base(replace(project.model, base=base)).engine

    def _tuned(self, named: str, adapter: Path) -> Entrant:
        engine = self._for_adapter(adapter)
        strategy = PromptStrategy(prompts=input_alone, max_tokens=self._limit(engine))
        return Entrant(name=named, answering=self._asking(named, engine, strategy, adapter))

    def _for_adapter(self, adapter: Path) -> Engine:
        """The project's base, made sure to be the one that the adapter was trained for."""
        settings = self.prepared.project.model
        *others, last = settings.bases
        for base in others:
            with suppress(UserError):
                return self._adapted(adapter, replace(settings, base=base))
        return self._adapted(adapter, replace(settings, base=last))

    def _adapted(self, adapter: Path, settings: Model) -> Engine:
        opened = self._base(settings)
        if opened.model is None:
            raise UserError(
                f"{adapter}: the engine {opened.engine.name} runs no adapters. Set [model] base "
                "and engine to what it was trained with."
            )
        check_adapter(adapter, opened.model)
        return opened.engine

    def _instructed(self, named: str, engine: Engine) -> Entrant:
        instruction = self.prepared.project.task.instruction
        strategy = with_instruction(instruction, self._limit(engine))
        return Entrant(name=named, answering=self._asking(named, engine, strategy))

    def _limit(self, engine: Engine) -> int:
        return answer_limit(engine, self.prepared.splits.train)

    def _asking(
        self, named: str, engine: Engine, strategy: PromptStrategy, adapter: Path | None = None
    ) -> FittedPrompt:
        return FittedPrompt(
            engine=engine,
            strategy=replace(strategy, adapters={0: adapter}),
            fit=Fit(contender=named, settings={}, seconds=0.0, tokens={}, dev_answers={}),
        )

    def _base(self, settings: Model) -> Opened:
        if settings not in self._bases:
            opened = self.opener(settings, progress=self.progress)
            self._bases[settings] = self.stack.enter_context(opened)
        return self._bases[settings]

    def _endpoint(self, name: str) -> Engine:
        if name not in self._endpoints:
            endpoints = self.prepared.project.contenders.endpoints
            (one,) = (endpoint for endpoint in endpoints if endpoint.name == name)
            self._endpoints[name] = self.stack.enter_context(closing(open_ceiling(one)))
        return self._endpoints[name]


def _constant(settings: Mapping[str, JsonValue]) -> FittedConstant:
    fit = Fit(contender=CONSTANT, settings=settings, seconds=0.0, tokens={}, dev_answers={})
    return FittedConstant(text=str(settings["answer"]), fit=fit)


def _unread(run: Path, found: ContenderResult, error: ValueError) -> UserError:
    return UserError(f"{run}: what {found.name} chose cannot be read ({error}). Run decide again.")
