"""Builds a project's contenders, simplest first.

The only place that knows which class a name in tunewise.toml stands for.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from tunewise.contenders.base import Contender, TrainedContender
from tunewise.contenders.classifier import Classifier
from tunewise.contenders.constant import Constant
from tunewise.contenders.few_shot import FewShot
from tunewise.contenders.fine_tune import FineTune
from tunewise.contenders.prompt import TunedPrompt
from tunewise.contenders.rag import Library, Rag
from tunewise.contenders.zero_shot import ZeroShot
from tunewise.errors import UserError
from tunewise.evaluation.scorers import Metric
from tunewise.models.catalog import LocalModel
from tunewise.models.engine import Engine
from tunewise.models.hub import load_tokenizer
from tunewise.progress import Progress
from tunewise.project import Project
from tunewise.retrieval.documents import read_documents
from tunewise.retrieval.embed import Embedder, load_embedder

BUDGET_TOKENS = 600_000
"""What `budget_tokens = "auto"` means: prefilled, generated and trained tokens a contender."""
_SEARCHING = frozenset({"few_shot", "rag", "fine_tune_rag"})
"""Contenders that look up examples or passages."""


@dataclass(frozen=True, kw_only=True)
class LineUp:
    """Who takes part."""

    untrained: Mapping[str, Contender]
    trained: Mapping[str, TrainedContender]
    ceilings: Mapping[str, bool]
    """Contenders of type openai -> whether they may be recommended."""
    skipped: Mapping[str, str]
    """Contenders that cannot even be built -> why."""
    notes: tuple[str, ...]


def line_up(
    project: Project,
    *,
    engine: Engine,
    model: LocalModel | None,
    metric: Metric,
    folder: Path,
    progress: Progress,
    ceilings: Mapping[str, Engine],
) -> LineUp:
    """The contenders of `[contenders] use`, ready to be fitted.

    Args:
        project: with a complete task.
        engine: runs the base model.
        model: the base model on this machine; None: it cannot be trained here.
        metric: the primary one.
        folder: where trainings keep their state.
        progress: told by the contenders what they do.
        ceilings: engines of the project's `[contenders.NAME]` tables.

    Raises:
        UserError: documents that cannot be read.
    """
    task, use = project.task, project.contenders.use
    budget = budget_tokens(project)
    embedder, notes = _embedder() if _SEARCHING & set(use) else (None, ())
    library = None
    if project.data.documents is not None and {"rag", "fine_tune_rag"} & set(use):
        library = Library(read_documents(project.data.documents), embedder)
    kind = task.kind or "generation"
    build: dict[str, Callable[[], Contender]] = {
        "constant": lambda: Constant(metric=metric),
        "zero_shot": lambda: ZeroShot(
            engine=engine, metric=metric, instruction=task.instruction, progress=progress
        ),
        "prompt": lambda: prompt("prompt", engine),
        "few_shot": lambda: FewShot(
            engine=engine,
            metric=metric,
            instruction=task.instruction,
            embedder=embedder,
            budget_tokens=budget,
            progress=progress,
        ),
        "classifier": lambda: Classifier(metric=metric, labels=task.labels),
        "rag": lambda: Rag(
            engine=engine,
            metric=metric,
            instruction=task.instruction,
            library=library,
            budget_tokens=budget,
            progress=progress,
        ),
    }

    def prompt(name: str, runs_on: Engine) -> TunedPrompt:
        return TunedPrompt(
            name=name,
            engine=runs_on,
            metric=metric,
            instruction=task.instruction,
            kind=kind,
            labels=task.labels,
            own=project.contenders.variants,
            budget_tokens=budget,
            progress=progress,
        )

    untrained = {name: build[name]() for name in use if name in build}
    untrained |= {name: prompt(name, runs_on) for name, runs_on in ceilings.items()}
    tunes = [name for name in use if name not in build]
    if model is None:
        why = f"the engine {engine.name} runs no model that can be trained here"
        return LineUp(
            untrained=untrained,
            trained={},
            ceilings=_candidates(project),
            skipped=dict.fromkeys(tunes, why),
            notes=notes,
        )
    tokenizer = load_tokenizer(model.folder)
    trained = {
        name: FineTune(
            name=name,
            engine=engine,
            metric=metric,
            model=model,
            tokenizer=tokenizer,
            settings=project.training,
            budget_tokens=budget,
            folder=folder,
            progress=progress,
            library=library,
            with_passages=name == "fine_tune_rag",
            base_seed=project.data.seed,
        )
        for name in tunes
    }
    return LineUp(
        untrained=untrained,
        trained=trained,
        ceilings=_candidates(project),
        skipped={},
        notes=notes,
    )


def budget_tokens(project: Project) -> int:
    """Tokens that each contender may spend on fitting."""
    budget = project.contenders.budget_tokens
    return BUDGET_TOKENS if budget == "auto" else budget


def _candidates(project: Project) -> dict[str, bool]:
    return {endpoint.name: endpoint.candidate for endpoint in project.contenders.endpoints}


def _embedder() -> tuple[Embedder | None, tuple[str, ...]]:
    try:
        return load_embedder(), ()
    except UserError as error:
        return None, (f"Nearest examples and passages are found by words alone: {error}",)
