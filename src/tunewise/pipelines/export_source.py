"""Turns what a person names - a run, a contender, a training, an adapter, a version - into what is
exported.

A run's contender and a training are compared on their project's own held-out rows, all others on
the fixed set.
"""

import json
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

from tunewise.contenders.answering import PromptStrategy, answer_limit
from tunewise.contenders.fine_tune import input_alone
from tunewise.data.prepare import prepare_for_training
from tunewise.data.read import read_data
from tunewise.errors import UserError
from tunewise.exporting.asking import strategy_of_bundle
from tunewise.exporting.bundle import CARD, Bundle, read_bundle
from tunewise.exporting.source import FIXED_TOKENS, HeldOut, Source, fixed_set
from tunewise.metrics.by_name import metric_of
from tunewise.models.adapters import ADAPTER_SETTINGS, BASE_FILE, check_adapter, is_whole_model
from tunewise.models.catalog import LocalModel, open_model
from tunewise.models.engines.transformers import TransformersEngine
from tunewise.pipelines.bundling import bundle_of_run, project_of_run
from tunewise.pipelines.gate_models import VERDICT_FILE
from tunewise.pipelines.rating import project_of
from tunewise.pipelines.run_rows import measured_contender, rows_of
from tunewise.progress import Progress
from tunewise.project.contenders import CONSTANT
from tunewise.project.settings import DecisionSettings, Model
from tunewise.runs.folder import TRAINED
from tunewise.runs.model_file import MODEL_FILE
from tunewise.runs.read import read_verdict
from tunewise.runs.registry import Registry
from tunewise.runs.trained import read_training

_ASK_NO_MODEL = (CONSTANT, "classifier")


@dataclass(frozen=True, kw_only=True)
class SourceOpener:
    """Opens what is exported, by name.

    Args:
        base: of a folder's adapter, where it lies elsewhere now; None: the one it names.
        margin: quality, 0 to 1, that a copy may lose; None: the project's `retention_margin`.
        weights: whether the base's weights are part of the export, so that it has to be here.
        registry: of the models with a name.
        work: an empty folder, which is there as long as the source is used.
        progress: informed of what is being done.
    """

    base: str | None
    margin: float | None
    weights: bool
    registry: Registry
    work: Path
    progress: Progress

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
        if (folder / MODEL_FILE).is_file():
            return self._of_model(named, folder.resolve().name, folder)
        if (folder / ADAPTER_SETTINGS).is_file() or (folder / BASE_FILE).is_file():
            return self._of_folder(named, folder)
        if colon and contender and (Path(run) / VERDICT_FILE).is_file():
            return self._of_run(named, Path(run), contender)
        if self.registry.holds(named):
            version = self.registry.resolve(named)
            return replace(self._of_model(named, version.id, version.folder), version=version)
        raise UserError(
            f"{named}: there is no such model to export. Name a run (runs/<id>, or "
            "runs/<id>:fine_tune), a training (runs/train-...), the folder of an adapter, or a "
            "model that `tunewise models list` shows (triage@3)."
        )

    def _of_run(self, named: str, run: Path, contender: str | None) -> Source:
        verdict = read_verdict(run)
        found = measured_contender(run, verdict, contender)
        project = project_of_run(run)
        examples = [row for part in read_data(project.data).values() for row in part.examples]
        rows = tuple(row for row in rows_of(run, "test", examples) if row is not None)
        if not rows:
            raise UserError(
                f"{run}: none of its test rows is in the project's data any more, so that "
                "nothing can be compared. Put them back, or run decide again."
            )
        part = "dev" if verdict.first_opinion else "test"  # by which it was judged
        held_out = HeldOut(
            rows=rows, of=f"{part} rows of {run.resolve().name}", metric=metric_of(project)
        )
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
        try:
            bundle = bundle_of_run(
                run, self.work, contender=found.name, linked=True, progress=self.progress
            )
        except OSError as error:
            raise UserError(
                f"{self.work}: what is exported cannot be prepared here: "
                f"{error.strerror or error}. Free some space, or point TMPDIR elsewhere."
            ) from error
        source = self._of_bundle(named, found.name, bundle)
        return replace(
            source,
            held_out=held_out,
            margin=margin,
            card=bundle.adapter / CARD if bundle.adapter else None,
            thinking_tokens=_thinking(project.model),
            show_personal=project.report.show_personal,
        )

    def _of_model(self, named: str, name: str, folder: Path) -> Source:
        bundle = read_bundle(folder)
        bundle.check()
        if bundle.model.thinking:
            raise UserError(
                f"{named}: thinks before it answers, and a model with a name does not say how "
                "long. Export its run: `tunewise export RUN:CONTENDER`."
            )
        return self._of_bundle(named, name, bundle)

    def _of_bundle(self, named: str, name: str, bundle: Bundle) -> Source:
        """A contender that is asked as it was, compared by the fixed set."""
        model = bundle.model
        if model.embeds:
            raise UserError(
                f"{named}: is an embedding model. It lies ready in {bundle.adapter}, in the layout "
                "of sentence-transformers: any program that reads that layout reads it there."
            )
        asked = model.endpoint.model if model.endpoint else model.base.name if model.base else None
        return Source(
            named=named,
            contender=name,
            base=self._base(named, bundle) if self.weights else None,
            base_name=asked,
            adapter=bundle.adapter,
            strategy=strategy_of_bundle(bundle) if model.asks_model else None,
            held_out=fixed_set(),
            margin=self._margin(),
            bundle=bundle,
            card=bundle.folder / CARD,
        )

    def _base(self, named: str, bundle: Bundle) -> LocalModel | None:
        used = bundle.model.base
        if used is None:
            return None
        model = open_model(self.base or used.name, progress=self.progress)
        if bundle.adapter is not None:
            check_adapter(bundle.adapter, model)
        elif used.sha256 not in (None, model.sha256):
            raise UserError(
                f"{named}: was chosen on {used.name} with other weights, or another tokenizer, "
                "than it has now. Put the base back, or run decide again."
            )
        return model

    def _of_training(self, named: str, folder: Path) -> Source:
        result = read_training(folder)
        prepared = prepare_for_training(project_of(folder))
        source = self._of_folder(named, folder / result.model)
        if prepared is None or not prepared.splits.test:
            return source
        project = prepared.project
        thinking = _thinking(project.model)
        with closing(TransformersEngine(source.local, thinking_tokens=thinking)) as engine:
            limit = answer_limit(engine, prepared.splits.train)
        return replace(
            source,
            contender=result.method,
            base_name=result.base,
            strategy=PromptStrategy(prompts=input_alone, max_tokens=limit),
            held_out=HeldOut(
                rows=prepared.splits.test,
                of="test rows of its project",
                metric=metric_of(project),
            ),
            margin=project.decision.retention_margin if self.margin is None else self.margin,
            thinking_tokens=thinking,
            show_personal=project.report.show_personal,
        )

    def _of_folder(self, named: str, folder: Path) -> Source:
        name = self.base or _base_of(folder)
        model = open_model(name, progress=self.progress)
        check_adapter(folder, model)
        return Source(
            named=named,
            contender=folder.resolve().name,
            base=model,
            base_name=name,
            adapter=folder,
            strategy=PromptStrategy(prompts=input_alone, max_tokens=FIXED_TOKENS),
            held_out=fixed_set(),
            margin=self._margin(),
            card=folder / CARD,
        )

    def _margin(self) -> float:
        """What may be lost where no project says it."""
        return DecisionSettings().retention_margin if self.margin is None else self.margin


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
