"""Builds a project's contenders, simplest first.

The only place that knows which class a name in tunewise.toml stands for.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

from tunewise.contenders.classifier import Classifier
from tunewise.contenders.constant import Constant
from tunewise.contenders.few_shot import COUNTS, START, FewShot
from tunewise.contenders.fine_tune import FineTune, Way
from tunewise.contenders.fine_tune_embedding import FineTuneEmbedding
from tunewise.contenders.hosted import Hosted
from tunewise.contenders.prompt import TunedPrompt
from tunewise.contenders.protocol import Contender, TrainedContender
from tunewise.contenders.rag import Library, Rag
from tunewise.contenders.ranking import Ranker
from tunewise.contenders.zero_shot import ZeroShot
from tunewise.data.documents.document import Document, whole_text
from tunewise.data.fingerprints import preference_hash
from tunewise.data.pairs import read_pairs
from tunewise.errors import UserError
from tunewise.metrics.by_name import Metric
from tunewise.models.catalog import LocalModel
from tunewise.models.engines.protocol import Engine
from tunewise.models.loading import load_tokenizer
from tunewise.progress import Progress
from tunewise.project.contenders import BUILT_IN, EMBEDDING_TUNED, INTERNALISED, on_base
from tunewise.project.derived import budget_tokens
from tunewise.project.settings import Project
from tunewise.retrieval.embed import (
    MODEL,
    Embedder,
    Reranker,
    embedder_or_note,
    load_embedder,
    load_reranker,
)
from tunewise.retrieval.index import Mode
from tunewise.retrieval.shelf import Shelf
from tunewise.runs.made_from import Item, text_hash
from tunewise.training.epochs import DEV_POINTS
from tunewise.types import Example, Preference, Text

_WAYS: Mapping[str, Way] = {
    INTERNALISED: "prompt",
    "fine_tune": "alone",
    "fine_tune_cpt": "documents",
    "fine_tune_dpo": "preferences",
    "fine_tune_rag": "passages",
}


@dataclass(frozen=True, kw_only=True)
class ContenderSet:
    """Who takes part."""

    untrained: Mapping[str, Contender]
    trained: Mapping[str, TrainedContender]
    ceilings: Mapping[str, bool]
    """Contenders of type openai -> whether they may be recommended."""
    skipped: Mapping[str, str]
    """Contenders that cannot even be built -> why."""
    notes: tuple[str, ...]
    items: Mapping[str, Sequence[Item]]
    """Name of a file or folder -> the documents or pairs of answers read there."""
    units: Mapping[str, str]
    """The same name -> what they are."""
    base_of: Mapping[str, str] = field(default_factory=dict[str, str])
    """Contender -> short name of the base model that it runs on, where there are several; those
    that run on none are not in it."""


@dataclass(frozen=True, kw_only=True)
class Resources:
    """What contenders are made of.

    Args:
        engine: runs the base model.
        model: the base model on this machine; None: it cannot be trained here.
        metric: the primary one.
        folder: where trainings keep their state.
        progress: informed by the contenders what they do.
        places: example id -> `file:line`, for what they tell of rows.
        quick: whether few settings are to be tried.
        base: short name of the base model, where there are several.
    """

    engine: Engine
    model: LocalModel | None
    metric: Metric
    folder: Path
    progress: Progress
    places: Mapping[str, str] = field(default_factory=dict[str, str])
    quick: bool = False
    base: str = ""


def contender_set(
    project: Project,
    resources: Resources,
    *,
    further: Sequence[Resources] = (),
    ceilings: Mapping[str, Engine],
    optimiser: Engine | None = None,
    documents: Sequence[Document] = (),
    held_out: Sequence[Example] = (),
    ranked: Sequence[Document] = (),
) -> ContenderSet:
    """The contenders of `[contenders] use`, ready to be fitted.

    Args:
        project: with a complete task.
        resources: shared by all of them.
        further: the same of every base but the first. What runs on a base is there once on each,
            as `fine_tune@BASE` on these.
        ceilings: engines of the project's `[contenders.NAME]` tables.
        optimiser: proposes wordings to `prompt`; None: there is none.
        documents: of the project; none are given to those who do not read them.
        held_out: dev and test; pairs of answers to their inputs are left out.
        ranked: documents or sections that the contenders of the kind `search` rank; empty: the
            project is of another kind.

    Raises:
        UserError: preference pairs that cannot be read.
    """
    use = project.contenders.use
    candidates = {one.name for one in project.contenders.endpoints if one.candidate}
    searching = bool(candidates) or any(BUILT_IN[name].looks_up for name in use)
    embedder, notes = embedder_or_note() if searching else (None, ())
    library = Library(documents, embedder) if documents else None
    if library is not None and library.unread:
        notes = (
            *notes,
            f"Passages are found by words alone: most documents are in {library.unread} script, "
            f"which {MODEL} cannot read.",
        )
    texts = [whole_text(document) for document in documents or ()]
    read, units = dict[str, list[Item]](), dict[str, str]()
    if documents:
        name = ", ".join(place.name for place in project.data.documents or ())
        read[name] = [Item(text.id, text_hash(text.text)) for text in texts]
        units[name] = "document"
    pairs: tuple[Preference, ...] = ()
    preferring = any(BUILT_IN[name].needs_preferences for name in use)
    if project.data.preferences is not None and preferring:
        found = read_pairs(project.data.preferences, project.data, held_out=held_out)
        pairs, notes = found.pairs, (*notes, *found.notes)
        name = ", ".join(Path(source).name for source in project.data.preferences)
        read[name] = [Item(pair.id, preference_hash(pair)) for pair in pairs]
        units[name] = "pair"
    bases = {"": resources, **{one.base: one for one in further}}
    untrained: dict[str, Contender] = {}
    trained: dict[str, TrainedContender] = {}
    skipped: dict[str, str] = {}
    base_of: dict[str, str] = {}
    for label, one in bases.items():
        ways = [name for name in use if BUILT_IN[name].runs_on_base or not label]
        build = _untrained(project, one, label, embedder, library, optimiser)
        untrained |= {on_base(way, label): build[way]() for way in ways if way in build}
        tunes = {
            on_base(way, label): way
            for way in ways
            if BUILT_IN[way].trained and BUILT_IN[way].runs_on_base
        }
        if one.model is None:
            why = f"the engine {one.engine.name} runs no model that can be trained here"
            skipped |= dict.fromkeys(tunes, why)
        else:
            trained |= _trained(project, one, one.model, tunes, library, texts, pairs)
        if further:
            base_of |= {on_base(w, label): one.base for w in ways if BUILT_IN[w].runs_on_base}
    if ranked:
        shelf = Shelf(ranked)
        rankers = _rankers(project, resources, shelf)
        untrained |= {name: rankers[name] for name in use if name in rankers}
        if EMBEDDING_TUNED in use:
            trained[EMBEDDING_TUNED] = _tuned_embedding(project, resources, shelf)
    untrained |= {
        name: _hosted(project, resources, name, runs_on, embedder)
        if name in candidates
        else _prompt(project, resources, name, runs_on)
        for name, runs_on in ceilings.items()
    }
    return ContenderSet(
        untrained=untrained,
        trained=trained,
        ceilings={one.name: one.candidate for one in project.contenders.endpoints},
        skipped=skipped,
        notes=notes,
        items=read,
        units=units,
        base_of=base_of,
    )


def _rankers(project: Project, resources: Resources, shelf: Shelf) -> dict[str, Contender]:
    """Those that search without having learned anything."""
    embedding_model, reranker = project.contenders.embedding_model, project.contenders.reranker

    def ranker(name: str, mode: Mode, reader: Callable[[], Reranker] | None = None) -> Ranker:
        return Ranker(
            name=name,
            mode=mode,
            metric=resources.metric,
            shelf=shelf,
            load=partial(load_embedder, embedding_model),
            load_reranker=reader,
        )

    def named() -> Reranker:
        if reranker is None:
            raise UserError("no cross-encoder is named (contenders.reranker)")
        return load_reranker(reranker)

    return {
        "bm25": ranker("bm25", "bm25"),
        "dense": ranker("dense", "dense"),
        "hybrid": ranker("hybrid", "hybrid"),
        "reranked": ranker("reranked", "hybrid", named),
    }


def _tuned_embedding(project: Project, resources: Resources, shelf: Shelf) -> FineTuneEmbedding:
    return FineTuneEmbedding(
        name=EMBEDDING_TUNED,
        metric=resources.metric,
        shelf=shelf,
        base=project.contenders.embedding_model,
        settings=project.training,
        folder=resources.folder,
        progress=resources.progress,
        base_seed=project.data.seed,
    )


def _trained(
    project: Project,
    resources: Resources,
    model: LocalModel,
    tunes: Mapping[str, str],
    library: Library | None,
    documents: Sequence[Text],
    pairs: Sequence[Preference],
) -> dict[str, TrainedContender]:
    """The fine-tunes of one base.

    Args:
        tunes: name of each -> its name in tunewise.toml.
    """
    tokenizer = load_tokenizer(model.folder, thinking=project.model.thinking is True)
    return {
        name: FineTune(
            name=name,
            engine=resources.engine,
            model=model,
            tokenizer=tokenizer,
            settings=project.training,
            budget_tokens=budget_tokens(project),
            folder=resources.folder,
            progress=resources.progress,
            way=_WAYS[way],
            library=library,
            documents=documents,
            preferences=pairs,
            base_seed=project.data.seed,
            dev_times=1 if resources.quick else DEV_POINTS,
            places=resources.places,
        )
        for name, way in tunes.items()
    }


def _untrained(
    project: Project,
    resources: Resources,
    label: str,
    embedder: Embedder | None,
    library: Library | None,
    optimiser: Engine | None,
) -> dict[str, Callable[[], Contender]]:
    """Name in tunewise.toml -> how that contender is made; `label` of a base but the first."""
    engine, progress = resources.engine, resources.progress
    instruction, budget = project.task.instruction, budget_tokens(project)
    coach = project.contenders.optimiser
    return {
        "constant": lambda: Constant(metric=resources.metric, labels=project.task.labels),
        "zero_shot": lambda: ZeroShot(
            name=on_base("zero_shot", label),
            engine=engine,
            instruction=instruction,
            budget_tokens=budget,
            progress=progress,
        ),
        "prompt": lambda: replace(
            _prompt(project, resources, on_base("prompt", label), engine),
            optimiser=optimiser,
            optimiser_name=coach.name if coach else "",
            seed=project.data.seed,
        ),
        "few_shot": lambda: FewShot(
            name=on_base("few_shot", label),
            engine=engine,
            instruction=instruction,
            embedder=embedder,
            budget_tokens=budget,
            progress=progress,
            counts=(START,) if resources.quick else COUNTS,
        ),
        "classifier": lambda: Classifier(
            metric=resources.metric,
            labels=project.task.labels,
            sets=project.task.kind == "multilabel",
        ),
        "rag": lambda: Rag(
            name=on_base("rag", label),
            engine=engine,
            instruction=instruction,
            library=library,
            budget_tokens=budget,
            progress=progress,
        ),
    }


def _hosted(
    project: Project,
    resources: Resources,
    name: str,
    engine: Engine,
    embedder: Embedder | None,
) -> Hosted:
    """A candidate behind an endpoint, each of whose two searches may spend half of the budget."""
    half = budget_tokens(project) // 2
    return Hosted(
        wordings=replace(_prompt(project, resources, name, engine), budget_tokens=half),
        examples=FewShot(
            name=name,
            engine=engine,
            instruction=project.task.instruction,
            embedder=embedder,
            budget_tokens=half,
            progress=resources.progress,
        ),
    )


def _prompt(project: Project, resources: Resources, name: str, engine: Engine) -> TunedPrompt:
    return TunedPrompt(
        name=name,
        engine=engine,
        instruction=project.task.instruction,
        kind=project.task.kind or "generation",
        labels=project.task.labels,
        own=project.contenders.variants,
        budget_tokens=budget_tokens(project),
        progress=resources.progress,
    )
