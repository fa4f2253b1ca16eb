"""Turns a contender of a finished run into a folder that holds all it needs, and proves it.

The proof: every request that the folder would make for the run's test rows, message by message and
with its limit and adapter, is one that the run made: its journal of answers knows it by its hash.
"""

import json
import tomllib
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

from tunewise import __version__
from tunewise.chat.prompts import Prompt
from tunewise.contenders.answering import ANSWER_CEILING
from tunewise.contenders.few_shot import FIXED, WORDS, readable, shots_of
from tunewise.contenders.rag import lookup_of
from tunewise.data.documents.document import whole_text
from tunewise.data.read import read_data
from tunewise.errors import UserError
from tunewise.exporting.asking import strategy_of_bundle
from tunewise.exporting.bundle import ADAPTER, Bundle, seal_bundle, write_files
from tunewise.exporting.vectors import write_vectors
from tunewise.models.engines.cached import answered_keys, request_key
from tunewise.models.sources import licence_of
from tunewise.models.stored import adapter_hash
from tunewise.pipelines.reading import documents_of
from tunewise.pipelines.run_rows import (
    all_there,
    base_of_contender,
    measured_contender,
    rows_of,
    teacher_of,
)
from tunewise.progress import Progress
from tunewise.project.contenders import BUILT_IN, CONSTANT, built_in, label_of, way_of
from tunewise.project.load import load_project
from tunewise.project.settings import Endpoint, Model, Project
from tunewise.project.toml_reader import FILE_NAME
from tunewise.retrieval.chunk import Passage, chunk
from tunewise.retrieval.embed import Embedder, embedder_or_note, load_embedder
from tunewise.retrieval.index import ExampleIndex
from tunewise.runs.folder import run_token
from tunewise.runs.made_from import base_of, documents_of_run, text_hash
from tunewise.runs.model_file import (
    BaseUsed,
    EndpointUsed,
    ModelFile,
    Origin,
    Said,
    TaskJudged,
    Way,
)
from tunewise.runs.read import read_verdict
from tunewise.runs.records import parse_json
from tunewise.runs.schema import PLAN, ContenderResult, FitRecord, VerdictFile
from tunewise.types import Example
from tunewise.wording import plural

PROVED_ON = 50
"""Test rows of the run, at most, whose requests are compared."""

_SEARCHES = tuple(name for name, one in BUILT_IN.items() if one.ranks and not one.trained)
"""Contenders that leave nothing to be served."""
_INFERRED = (("task", "kind"), ("task", "labels"), ("task", "metric"), ("model", "thinking"))
"""What a run may have found out by itself, and wrote into its project.toml."""


@dataclass(kw_only=True)
class _Made:
    """What a model is made of, as far as it is known."""

    run: Path
    project: Project
    verdict: VerdictFile
    found: ContenderResult
    rows: list[Example]
    """All of the project."""
    progress: Progress

    def train(self) -> list[Example]:
        """What the run learned from.

        Raises:
            UserError: some rows are not there any more.
        """
        return all_there(self.run, rows_of(self.run, "train", self.rows))


def bundle_of_run(
    run: Path,
    folder: Path,
    *,
    contender: str | None = None,
    linked: bool = False,
    progress: Progress,
) -> Bundle:
    """Fills a folder with a contender of a run.

    Args:
        run: a finished run's folder.
        folder: empty.
        contender: its name in the run; None: the one that is recommended.
        linked: whether what was trained stays where it is, and the folder is of use only as long as
            the run is there.
        progress: told what a person should know.

    Raises:
        UserError: no finished run, no such contender, or rows, documents or a sentence model that
            are not as the run had them.
    """
    verdict = read_verdict(run)
    found = measured_contender(run, verdict, contender)
    if found.name in _SEARCHES:
        raise UserError(
            f"{run}: {found.name} is a search over the project's documents, and no model of its "
            "own. Of a search, a tuned embedding model alone gets a name: add `fine_tune_embedding`"
            " of this run, or ask /v1/embeddings for all-minilm-l6-v2, which every server has."
        )
    project = project_of_run(run)
    rows = [row for part in read_data(project.data).values() for row in part.examples]
    made = _Made(
        run=run, project=project, verdict=verdict, found=found, rows=rows, progress=progress
    )
    model = _model_file(made)
    if model.embeds:
        write_files(folder, adapter=run / "models" / found.name)
        return seal_bundle(folder, model)
    if not model.asks_model:
        write_files(folder, examples=[] if model.kind == CONSTANT else made.train())
        return seal_bundle(folder, model)
    adapter = run / "models" / found.name if model.trained else None
    if adapter is not None and not adapter.is_dir():
        raise UserError(f"{adapter}: is not there any more. Run decide again.")
    passages = _passages(made) if model.searches_passages else []
    write_files(folder, passages=passages, adapter=None if linked else adapter)
    if linked and adapter is not None:
        (folder / ADAPTER).symlink_to(adapter.resolve())
    for embedder, examples in _searched(made, model):
        write_files(folder, examples=examples)
        if embedder is not None:
            texts = [one.text for one in passages] or [one.input.text for one in examples]
            write_vectors(folder, embedder, texts)
        tried = replace(model, embedder=embedder.name if embedder else None)
        limit = _proved_limit(made, Bundle(folder=folder, model=tried), embedder)
        if limit is not None:
            return seal_bundle(folder, replace(tried, max_tokens=limit))
    raise UserError(
        f"{run}: {found.name} cannot be made to ask as it did in the run: its rows, documents or "
        "sentence model are not as they were then. Put them back, or run decide again."
    )


def project_of_run(run: Path) -> Project:
    """The project that a run read, complete; of a project that was moved, where the run lies now.

    Raises:
        UserError: with every fault in it.
    """
    kept = run / "project.toml"
    try:
        return load_project(kept)
    except UserError:
        beside = run.resolve().parent.parent
        if not (beside / FILE_NAME).is_file():
            raise
        known = dict[str, object]()
        with suppress(OSError, ValueError):
            tables = tomllib.loads(kept.read_text("utf-8"))
            known = {f"{table}.{key}": tables.get(table, {}).get(key) for table, key in _INFERRED}
        said = [f"{key}={json.dumps(one)}" for key, one in known.items() if one is not None]
        return load_project(beside, said)


def _model_file(made: _Made) -> ModelFile:
    """All of model.json but the limit and what finds examples."""
    rows = [*rows_of(made.run, "train", made.rows), *rows_of(made.run, "test", made.rows)]
    seed = None
    with suppress(OSError, ValueError):
        plan = PLAN.validate_python(parse_json((made.run / "plan.json").read_bytes()))
        seed = plan.ships.get(made.found.name)
    return model_record(
        made.run,
        made.verdict,
        made.found,
        made.project,
        conversations=any(is_conversation(row) for row in rows if row is not None),
        seed=seed,
    )


def model_record(
    run: Path,
    verdict: VerdictFile,
    found: ContenderResult,
    project: Project,
    *,
    conversations: bool,
    seed: int | None,
) -> ModelFile:
    """What model.json says of a run's contender, but for the limit and what finds examples.

    Args:
        run: its folder.
        verdict: of the run.
        found: what was measured of the contender.
        project: that the run read.
        conversations: whether its rows hold more than one user turn.
        seed: that ships, where it was trained.

    Raises:
        UserError: it runs on a base that the project does not name any more.
    """
    task, known = verdict.task, built_in(found.name)
    endpoint = _endpoint(found.name, project)
    way = way_of(found.name)
    if known is None:
        way = "prompt" if "variant" in found.fit.settings else "few_shot"
    on_base = endpoint is None and known is not None and known.runs_on_base
    return ModelFile(
        contender=found.name,
        kind=cast("Way", way),
        base=_base(run, verdict, found.name, project) if on_base else None,
        endpoint=endpoint,
        instruction="" if found.trained else task.instruction or "",
        settings=found.fit.settings,
        teacher=teacher_of(verdict, found),
        seed=seed if found.trained else None,
        thinking=_asked_at(found.name, project).thinking is True,
        embedder=cast("str | None", found.fit.settings.get("embedder")),
        conversations=conversations,
        task=TaskJudged(
            kind=task.kind,
            labels=project.task.labels,
            metric=task.metric,
            instruction=task.instruction or "",
        ),
        origin=Origin(
            project=project.root.name,
            run=run.resolve().name,
            token=run_token(run),
            data=verdict.splits.fingerprint if verdict.splits else None,
            tunewise=__version__,
        ),
        measured=replace(found, fit=FitRecord(seconds=found.fit.seconds, tokens=found.fit.tokens)),
        retention=verdict.retention.get(found.name),
        verdict=Said(
            outcome=verdict.outcome,
            recommended=verdict.recommended,
            finding=verdict.finding,
            reason=verdict.reason,
            metric=verdict.metric,
            n_test=verdict.n_test,
            first_opinion=verdict.first_opinion,
        ),
    )


def is_conversation(row: Example) -> bool:
    """Whether an input holds more than one user turn, or an answer before the last one."""
    roles = [turn.role for turn in row.messages]
    return roles.count("user") > 1 or "assistant" in roles


def _asked_at(contender: str, project: Project) -> Model | Endpoint:
    """The table of the project that says what a contender asks, and whether that thinks."""
    endpoints = {one.name: one for one in project.contenders.endpoints}
    return endpoints.get(contender, project.model)


def _endpoint(contender: str, project: Project) -> EndpointUsed | None:
    """The endpoint that a contender asks; None: it asks none."""
    one = _asked_at(contender, project)
    if isinstance(one, Endpoint):
        return EndpointUsed(
            name=one.name, model=one.model, base_url=one.base_url, api_key_env=one.api_key_env
        )
    known = built_in(contender)
    if known is None or not known.runs_on_base or project.model.engine != "openai":
        return None
    (base,) = project.model.bases
    return EndpointUsed(
        name="model",
        model=base,
        base_url=project.model.base_url,
        api_key_env=project.model.api_key_env,
    )


def _base(run: Path, verdict: VerdictFile, contender: str, project: Project) -> BaseUsed:
    name = base_of_contender(verdict, contender, project.model)
    if name is None:
        raise UserError(
            f"{run}: {contender} runs on a base model that the project does not name any more. "
            "Add it to [model] base again."
        )
    sha256 = base_of(run, label_of(contender))
    return BaseUsed(name=name, sha256=sha256, licence=licence_of(name))


def _searched(made: _Made, model: ModelFile) -> Sequence[tuple[Embedder | None, Sequence[Example]]]:
    """What finds examples or passages, and the examples: the ways that there are to be tried."""
    settings = model.settings
    if model.searches_passages:
        by_words = lookup_of(settings).mode == "bm25"
        return [(None if by_words else load_embedder(), ())]
    if "k" not in settings or model.trained:
        return [(None, ())]
    train, shots = made.train(), shots_of(settings)
    if shots.selection != FIXED:
        return [(None if settings.get("by") == WORDS else load_embedder(), train)]
    # Which embedder spread them was not written down: the proof tells.
    embedder, _ = embedder_or_note()
    options = dict.fromkeys([readable(embedder, train, made.progress), None])
    return [(None, ExampleIndex(train, one).diverse(shots.k)) for one in options]


def _passages(made: _Made) -> list[Passage]:
    """The passages that the run searched, of documents that say what they said then."""
    found = documents_of(made.project)
    documents = found.all_usable() if found else ()
    now = {one.name: text_hash(whole_text(one).text) for one in documents}
    then = documents_of_run(made.run)
    changed = [name for name in {**then, **now} if then.get(name) != now.get(name)]
    if changed:
        raise UserError(
            f"{made.run}: {plural(len(changed), 'document')} of the project changed since this "
            f"run, or came or went, {changed[0]} for one. Put them back, or run decide again."
        )
    return chunk(documents, words=lookup_of(made.found.fit.settings).words)


def _proved_limit(made: _Made, bundle: Bundle, embedder: Embedder | None) -> int | None:
    """The tokens of an answer with which the folder asks as the run did; None: it does not.

    The run did not write its limit down, but its journal knows requests by a hash of all that
    decides an answer, the limit included: so it is the one under which the first row's is known.
    """
    tests = rows_of(made.run, "test", made.rows)
    inputs = [row.input for row in tests if row is not None][:PROVED_ON]
    known = answered_keys(_journal(made))
    if not inputs or not known:
        raise UserError(
            f"{made.run}: what {made.found.name} asked cannot be compared any more: "
            + ("its test rows are not in the project." if known else "its journal is gone.")
            + " Run decide again."
        )
    load: Callable[[], Embedder] = load_embedder if embedder is None else lambda: embedder
    strategy = strategy_of_bundle(bundle, load=load)
    steps = strategy.max_tokens - ANSWER_CEILING
    prompts = strategy.prompts(inputs)
    thoughts = _asked_at(made.found.name, made.project).thinking_tokens
    adapter = adapter_hash(bundle.adapter) if bundle.adapter else None

    def asked(prompt: Prompt, limit: int) -> bool:
        request = replace(strategy, max_tokens=limit + steps).request(prompt, 0)
        return request_key(request, adapter=adapter) in known

    limits = range(1, ANSWER_CEILING + thoughts + 1)
    found = next((limit for limit in limits if asked(prompts[0], limit)), None)
    if found is None or not all(asked(prompt, found) for prompt in prompts):
        return None
    return found


def _journal(made: _Made) -> Path:
    """Where the run kept what its contender was answered."""
    name = made.found.name
    if built_in(name) is None:
        return made.run / f"fit-{name}.jsonl"
    label = label_of(name)
    return made.run / (f"fit-answers@{label}.jsonl" if label else "fit-answers.jsonl")
