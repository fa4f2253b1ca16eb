"""Turns what a person names - a run, its contender, a training, an adapter - into what is exported.

A run's contender and a training are compared on their project's own held-out rows, a folder alone
on the fixed set.
"""

import json
from collections.abc import Generator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import cast

from tunewise.contenders.answering import FittedPrompt, PromptStrategy
from tunewise.contenders.few_shot import readable
from tunewise.contenders.fine_tune import input_alone
from tunewise.data.prepare import Prepared, prepare, prepare_for_training
from tunewise.errors import UserError
from tunewise.exporting.materials import Materials
from tunewise.exporting.source import FIXED_TOKENS, HeldOut, Source, fixed_set
from tunewise.metrics.by_name import metric_of
from tunewise.metrics.metric import Metric
from tunewise.models.adapters import ADAPTER_SETTINGS, BASE_FILE, check_adapter, is_whole_model
from tunewise.models.catalog import open_model
from tunewise.models.engines.open import EngineOpener, Opened
from tunewise.pipelines.gate_models import VERDICT_FILE, EntrantOpener
from tunewise.pipelines.rating import project_of
from tunewise.pipelines.reading import documents_of
from tunewise.pipelines.run_rows import every_row, measured_contender, rows_of, train_of
from tunewise.progress import Progress
from tunewise.project.contenders import CONSTANT
from tunewise.project.settings import DecisionSettings, Model
from tunewise.retrieval.embed import embedder_or_note
from tunewise.runs.folder import TRAINED
from tunewise.runs.read import read_verdict
from tunewise.runs.schema import ContenderResult, VerdictFile
from tunewise.runs.trained import read_training

_ASK_NO_MODEL = (CONSTANT, "classifier")


@dataclass(kw_only=True)
class SourceOpener:
    """Opens what is exported, by name.

    Args:
        base: of a folder's adapter, where it lies elsewhere now; None: the one it names.
        margin: quality, 0 to 1, that a copy may lose; None: the project's `retention_margin`.
        progress: informed of what is being done.
        opener: opens engines of base models, which are closed again.
    """

    base: str | None
    margin: float | None
    progress: Progress
    opener: EngineOpener
    _opened: list[Opened] = field(init=False, default_factory=list[Opened])

    def open(self, named: str) -> Source:
        """The model of that name.

        Raises:
            UserError: there is none, or it cannot be used here.
        """
        folder = Path(named)
        run, colon, contender = named.rpartition(":")
        if (folder / VERDICT_FILE).is_file():
            return self._of_run(named, folder, None)
        if (folder / TRAINED).is_file():
            return self._of_training(named, folder)
        if (folder / ADAPTER_SETTINGS).is_file() or (folder / BASE_FILE).is_file():
            return self._of_folder(named, folder)
        if colon and contender and (Path(run) / VERDICT_FILE).is_file():
            return self._of_run(named, Path(run), contender)
        raise UserError(
            f"{named}: there is no such model to export. Name a run (runs/<id>, or "
            "runs/<id>:fine_tune), a training (runs/train-...), or the folder of an adapter."
        )

    def _of_run(self, named: str, run: Path, contender: str | None) -> Source:
        verdict = read_verdict(run)
        found = measured_contender(run, verdict, contender)
        prepared = prepare(project_of(run))
        project = prepared.project
        metric = metric_of(prepared.project)
        with ExitStack() as stack:
            entrants = self._entrants(prepared, metric, stack)
            part = "dev" if verdict.first_opinion else "test"
            rows = tuple(row for row in rows_of(run, part, every_row(prepared)) if row is not None)
            if not rows:
                raise UserError(
                    f"{run}: none of its {part} rows is in the project's data any more, so that "
                    "nothing can be compared. Put them back, or run decide again."
                )
            held_out = HeldOut(rows=rows, of=f"{part} rows of {run.resolve().name}", metric=metric)
            margin = project.decision.retention_margin if self.margin is None else self.margin
            if found.name in _ASK_NO_MODEL:
                return Source(
                    named=named,
                    contender=found.name,
                    base=None,
                    base_name=None,
                    adapter=None,
                    strategy=None,
                    held_out=held_out,
                    margin=margin,
                )
            answering = entrants.open(f"{run}:{found.name}").answering
            if not isinstance(answering, FittedPrompt):
                raise TypeError(f"{found.name} asks no language model")
            materials = self._materials(entrants, run, verdict, found)
        model = self._opened[-1].model if self._opened else None
        endpoint = next((e for e in project.contenders.endpoints if e.name == found.name), None)
        behind = endpoint or (None if model else project.model)
        name = endpoint.model if endpoint else model.name if model else project.model.bases[0]
        return Source(
            named=named,
            contender=found.name,
            base=None if endpoint else model,
            base_name=name,
            adapter=answering.strategy.adapters[0],
            strategy=answering.strategy,
            held_out=held_out,
            margin=margin,
            materials=materials,
            base_url=behind.base_url if behind else None,
            key_variable=behind.api_key_env if behind else None,
            thinking_tokens=_thinking(project.model),
            show_personal=project.report.show_personal,
        )

    def _materials(
        self, entrants: EntrantOpener, run: Path, verdict: VerdictFile, found: ContenderResult
    ) -> Materials:
        """What a prompt that is made anew for each input is made from."""
        settings = found.fit.settings
        instruction = "" if found.trained else verdict.task.instruction or ""
        if "chunk_words" in settings:
            documents = documents_of(entrants.prepared.project)
            by_words = settings.get("search") == "bm25"
            return Materials(
                settings=settings,
                instruction=instruction,
                documents=documents.all_usable() if documents else (),
                embedder=None if by_words else embedder_or_note()[0],
            )
        if "k" in settings:
            train = tuple(train_of(run, entrants.prepared))
            embedder = readable(embedder_or_note()[0], train, self.progress)
            return Materials(
                settings=settings, instruction=instruction, train=train, embedder=embedder
            )
        return Materials(settings=settings, instruction=instruction)

    def _of_training(self, named: str, folder: Path) -> Source:
        result = read_training(folder)
        project = project_of(folder)
        prepared = prepare_for_training(project)
        if prepared is None or not prepared.splits.test:
            return self._of_folder(named, folder / result.model)
        metric = metric_of(prepared.project)
        project = prepared.project
        with ExitStack() as stack:
            entrants = self._entrants(prepared, metric, stack)
            answering = cast("FittedPrompt", entrants.open(str(folder)).answering)
        model = self._opened[-1].model
        return Source(
            named=named,
            contender=result.method,
            base=model,
            base_name=result.base,
            adapter=folder / result.model,
            strategy=answering.strategy,
            held_out=HeldOut(
                rows=prepared.splits.test, of="test rows of its project", metric=metric
            ),
            margin=project.decision.retention_margin if self.margin is None else self.margin,
            thinking_tokens=_thinking(project.model),
            show_personal=project.report.show_personal,
        )

    def _of_folder(self, named: str, folder: Path) -> Source:
        name = self.base or _base_of(folder)
        model = open_model(name, progress=self.progress)
        check_adapter(folder, model)
        margin = DecisionSettings().retention_margin if self.margin is None else self.margin
        return Source(
            named=named,
            contender=folder.resolve().name,
            base=model,
            base_name=name,
            adapter=folder,
            strategy=PromptStrategy(prompts=input_alone, max_tokens=FIXED_TOKENS),
            held_out=fixed_set(),
            margin=margin,
        )

    def _entrants(self, prepared: Prepared, metric: Metric, stack: ExitStack) -> EntrantOpener:
        """What asks models of the project as a gate does."""
        return EntrantOpener(
            prepared=prepared,
            metric=metric,
            progress=self.progress,
            opener=self._remembered,
            stack=stack,
        )

    @contextmanager
    def _remembered(self, settings: Model, *, progress: Progress) -> Generator[Opened]:
        """The opener's, noted: its model is what is exported."""
        with self.opener(settings, progress=progress) as opened:
            self._opened.append(opened)
            yield opened


def _thinking(model: Model) -> int:
    return model.thinking_tokens if model.thinking is True else 0


def _base_of(folder: Path) -> str:
    """What an adapter or a trained model says of its base.

    Raises:
        UserError: nothing.
    """
    file, key = folder / BASE_FILE, "base"
    if not file.is_file() and not is_whole_model(folder):
        file, key = folder / ADAPTER_SETTINGS, "base_model_name_or_path"
    try:
        said: object = json.loads(file.read_text("utf-8"))
    except (OSError, ValueError):
        said = None
    name = cast("dict[str, object]", said).get(key) if isinstance(said, dict) else None
    if not isinstance(name, str) or not name:
        raise UserError(
            f"{folder}: does not say which base it was trained for. Name it with --base."
        )
    return name
