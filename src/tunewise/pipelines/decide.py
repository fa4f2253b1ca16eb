"""The main job on one page: from a project to a verdict that can be defended.

Contenders are fitted on train and dev; incumbent, challenger and the one comparison between them
are written down; only then is test opened, once.
"""

from collections.abc import Mapping, Sequence
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import cast

import numpy as np

from tunewise.contenders.answering import texts
from tunewise.contenders.build import ContenderSet, Resources, contender_set
from tunewise.contenders.race import Race
from tunewise.data.prepare import Prepared
from tunewise.data.read_log import SHOWN
from tunewise.decision.plan import Measured
from tunewise.decision.rule import Demands, decide
from tunewise.errors import UserError
from tunewise.evaluation.collect import AnswerFile, collect
from tunewise.evaluation.latency import ServedLatency, measure_latencies, most_requests
from tunewise.evaluation.load import measure_loads
from tunewise.evaluation.suite.items import suite_of
from tunewise.exporting.model_card import ship
from tunewise.metrics.by_name import metric_named, score_answers, side_metrics
from tunewise.metrics.custom import own_metric_file
from tunewise.models.catalog import LocalModel
from tunewise.models.engines.cached import JournalEngine
from tunewise.models.engines.open import EngineOpener, Opened, open_ceiling, open_engine
from tunewise.models.engines.protocol import Engine
from tunewise.pipelines.costs import tariff_of, weigh_costs, with_tornado
from tunewise.pipelines.estimate import forecast, usual
from tunewise.pipelines.fitting import Fits, Job, fit_all, measured
from tunewise.pipelines.forgetting import Forgetting, measure_forgetting
from tunewise.pipelines.measuring import measure_parts
from tunewise.pipelines.quick import first_opinion, take_answers
from tunewise.pipelines.reading import Read, read_for_decide
from tunewise.pipelines.remaining import Remaining
from tunewise.pipelines.repairing import repair
from tunewise.progress import Progress
from tunewise.project.derived import budget_tokens
from tunewise.project.price_units import price_warnings
from tunewise.project.settings import Project
from tunewise.report.findings import warnings_summary
from tunewise.report.html import write_html
from tunewise.report.verdict_json import Entry, Finished, shipped_quality, verdict_file
from tunewise.runs.data_changes import about_earlier_runs
from tunewise.runs.folder import QUICK, RUNS, RunFolder, open_run
from tunewise.runs.ledger import NONE, Uses, check_ledger, note_use
from tunewise.runs.made_from import BASE, MadeFrom
from tunewise.runs.read import read_run
from tunewise.runs.records import dump
from tunewise.runs.schema import SCORE, VERDICT, Latency
from tunewise.statistics.spending import look_confidence
from tunewise.storage import file_sha256, read_lines, shortened, write_json, write_lines
from tunewise.types import Answer


def run_decide(
    project: Project,
    *,
    progress: Progress,
    read: Read | None = None,
    quick: bool = False,
    out: Path | None = None,
    resume: bool = False,
    reproduce: str = "",
    opener: EngineOpener = open_engine,
) -> Path:
    """Fits, judges and decides; everything it finds lies in the run folder it returns.

    Args:
        project: from `load_project`.
        progress: informed of what is being done.
        read: what `read_for_decide` has read; None: it is read here.
        quick: a first opinion, which leaves test sealed.
        out: the run folder; None: a new one under the project's `runs/`.
        resume: go on with the newest interrupted run of the same project and data; a finished
            one is shown again.
        reproduce: the command line, for the report.
        opener: opens the engine of the base model; what it opens is closed at the end.

    Raises:
        UserError: a fault in the data, the model, an endpoint or the run folder.
    """
    whole, documents = read or read_for_decide(project, out=out, resume=resume)
    prepared = first_opinion(whole) if quick else whole
    project = prepared.project
    check_ledger(project)
    suite = suite_of(project)
    for note in (*warnings_summary(prepared.report, project.root), *prepared.notes):
        progress.note(note)
    estimate = None if resume else forecast(prepared, quick=quick)
    if estimate is not None:
        progress.note(estimate.sentence)
    if quick and (later := forecast(whole)):
        prepared = replace(prepared, notes=(*prepared.notes, later.of_the_whole))
    shares = estimate or usual(project)
    metric = metric_named(
        str(project.task.metric),
        project.task.labels,
        folder=project.root,
        instruction=project.task.instruction,
    )
    with ExitStack() as stack:
        ceilings = {
            one.name: stack.enter_context(closing(open_ceiling(one)))
            for one in project.contenders.endpoints
        }
        opened = stack.enter_context(opener(project.model, progress=progress))
        run = stack.enter_context(
            closing(
                open_run(
                    project,
                    prepared.splits,
                    out=out,
                    resume=resume,
                    folder=f"{RUNS}/{QUICK}" if quick else RUNS,
                )
            )
        )
        if opened.model and not quick:
            take_answers(run.path, project.root, base=opened.model.sha256)
        engine = JournalEngine(opened.engine, run.file("fit-answers.jsonl"))
        others = {n: JournalEngine(c, run.file(f"fit-{n}.jsonl")) for n, c in ceilings.items()}
        race = Race(
            prepared.splits.dev,
            metric=metric,
            units=prepared.splits.units_of(prepared.splits.dev),
            margin=project.decision.minimum_gain,
            to_the_end=project.contenders.finish,
        )
        resources = Resources(
            engine=engine,
            model=opened.model,
            metric=metric,
            folder=run.file("training"),
            progress=progress,
            places=prepared.places,
            quick=quick,
        )
        field = contender_set(
            project,
            resources,
            ceilings=others,
            documents=documents,
            held_out=[*prepared.splits.dev, *prepared.splits.test],
        )
        refuse_changed(run, field, opened.model)
        if run.file("verdict.json").exists():
            return _shown_again(run, progress)
        caveats = [f"{name}: {c.caveat}." for name, c in ceilings.items() if c.caveat]
        caveats += price_warnings(project)
        begun = _begin(run, prepared, progress, resume=resume)
        notes = (*(() if quick else begun), *caveats)
        for note in notes:
            progress.note(note)
        prepared = replace(prepared, notes=(*prepared.notes, *notes))
        with progress.task("the whole run", total=shares.total) as advance:
            job = Job(
                prepared=prepared,
                metric=metric,
                field=field,
                race=race,
                run=run,
                progress=progress,
                remaining=Remaining(shares, advance),
            )
            refuse_untrainable(job)
            fits = fit_all(job)
            forgetting = measure_forgetting(job, fits, opened, suite)
            fits, forgetting = repair(job, fits, opened, suite, forgetting)
            uses = NONE if quick else note_use(run, prepared.splits.test)
            entries = examine(job, fits, [engine, *others.values()])
        return conclude(
            job,
            fits,
            entries,
            opened,
            forgetting=forgetting,
            uses=uses,
            reproduce=reproduce,
            quick=quick,
        )


def refuse_changed(run: RunFolder, field: ContenderSet, model: LocalModel | None) -> None:
    """Refuses to go on where documents, pairs, the base or a metric of the project changed."""
    metric = own_metric_file(str(run.project.task.metric), run.project.root)
    files = {
        **({BASE: model.sha256} if model else {}),
        **({metric.name: file_sha256(metric)} if metric else {}),
    }
    run.keep(MadeFrom(files=files, items=field.items, unit=field.units))


def _begin(
    run: RunFolder, prepared: Prepared, progress: Progress, *, resume: bool
) -> tuple[str, ...]:
    """Writes down that a sitting begins, and says what a person should know of earlier runs."""
    if resume and not run.file("events.jsonl").exists():
        progress.note("No interrupted run was found: this is a new one.")
    read_lines(run.file("events.jsonl"))  # cuts off a line that a kill left half-written
    run.event("start", resumed=resume)
    places = prepared.places
    test = {row.id: shortened(places[row.id], run.project.root) for row in prepared.splits.test}
    write_json(run.file("places.json"), test)
    return about_earlier_runs(run.project, prepared.splits, run)


def refuse_untrainable(job: Job) -> None:
    """Refuses rows that nobody could train on, before an hour is spent on the others.

    Raises:
        UserError: with the place of each; the first 20, then a count.
    """
    one = next(iter(job.field.trained.values()), None)  # all share the base and its tokenizer
    faults: Mapping[str, str] = one.untrainable(job.prepared.splits.train) if one else {}
    lines = [f"{job.prepared.places[name]}: {fault}" for name, fault in faults.items()]
    more = [f"{len(lines) - SHOWN} more rows like these."] if len(lines) > SHOWN else []
    if lines:
        raise UserError.together([*lines[:SHOWN], *more])


def examine(job: Job, fits: Fits, engines: Sequence[Engine]) -> list[Entry]:
    """Opens test: every contender and seed answers it once, then latency is measured."""
    field, run, progress = job.field, job.run, job.progress
    test = job.prepared.splits.test
    inputs = [example.input for example in test]
    file = AnswerFile(run.file("answers.jsonl"))
    run.event("test opened")
    answers: dict[str, dict[int, list[Answer]]] = {}
    for name, fitted in fits.fitted.items():
        answers[name] = {
            seed: collect(fitted, name, seed, inputs, file, progress) for seed in fitted.seeds
        }
        job.remaining.did(name, "test")
    entries: list[Entry] = []
    seconds = run.seconds()
    with ExitStack() as stack:
        for engine in engines:
            stack.enter_context(engine.prefix_caching())
        latencies = _latencies(job, fits)
    loads = _loads(job, fits, engines)
    for name, fitted in fits.fitted.items():
        seed = fits.plan.ships[name]
        latency = latencies[name]
        entries.append(
            Entry(
                name=name,
                fit=replace(fitted.fit, seconds=seconds.get(name, fitted.fit.seconds)),
                trained=name in field.trained,
                ceiling=not field.ceilings.get(name, True),
                shipped_seed=seed,
                answers=answers[name],
                measured=_on_test(job, name, answers[name], seed, latency),
                latency=latency,
                retrieval=cast("Mapping[str, object]", fitted.fit.settings.get("retrieval") or {}),
                load=loads.get(name, ()),
            )
        )
    return entries


def conclude(
    job: Job,
    fits: Fits,
    entries: Sequence[Entry],
    opened: Opened,
    *,
    forgetting: Forgetting,
    uses: Uses,
    reproduce: str,
    quick: bool,
) -> Path:
    """Applies the rule, writes scores, verdict and report, and ships the challenger's adapter."""
    prepared, metric, run = job.prepared, job.metric, job.run
    project, test = prepared.project, prepared.splits.test
    _write_scores(job, entries)
    costs = weigh_costs(
        entries,
        project,
        prepared.splits,
        challenger=fits.plan.challenger,
        confidence=max(0.95, look_confidence(uses.earlier, max(1, len(test)))),
    )
    verdict = decide(
        fits.plan,
        [entry.measured for entry in entries],
        metric=metric.name,
        binary=metric.binary and metric.aggregate is None,
        demands=Demands(
            minimum_gain=project.decision.minimum_gain,
            maximum_loss=project.decision.maximum_loss,
            minimum_quality=project.decision.minimum_quality,
            maximum_latency_ms=project.decision.maximum_latency_ms,
        ),
        groups=prepared.splits.units_of(test),
        earlier=uses.earlier,
        savings=costs.economics.rule_savings if costs.economics else None,
        retention={name: found.kept for name, found in forgetting.results.items()},
        unused_test=prepared.unused_test,
        left_out=sum(map(len, prepared.splits.leaked.values())),
    )
    parts = measure_parts(job, fits, entries, verdict)
    for entry in entries:
        if entry.trained:
            quality = shipped_quality(entry, metric, prepared.splits)
            ship(entry, run, project, quality)
    budget = f"Each contender could spend {budget_tokens(project):,} tokens on fitting."
    finished = Finished(
        project=project,
        splits=prepared.splits,
        metric=metric,
        plan=fits.plan,
        futile=fits.futile,
        use=uses.look,
        quick=quick,
        entries=entries,
        skipped=fits.skipped,
        stopped=fits.stopped,
        verdict=verdict,
        engine=opened.engine.name,
        engine_why=opened.why,
        notes=(*prepared.notes, *job.field.notes, *fits.notes, budget, *costs.notes),
        reproduce=reproduce,
        unused=prepared.unused,
        unused_test=prepared.unused_test,
        costs=costs.requests,
        economics=with_tornado(costs, verdict.untrained),
        retention=forgetting.results,
        retention_missing=forgetting.missing,
        parts=parts,
    )
    write_json(run.file("verdict.json"), dump(VERDICT, verdict_file(finished)))
    write_html(read_run(run.path))
    run.event("decided", outcome=verdict.outcome)
    return run.path


def _shown_again(run: RunFolder, progress: Progress) -> Path:
    """A finished run, whose report may have been interrupted."""
    progress.note("This run is finished: its verdict is shown again.")
    write_html(read_run(run.path))
    return run.path


def _on_test(
    job: Job, name: str, answers: Mapping[int, Sequence[Answer]], ships: int, latency: Latency
) -> Measured:
    given = {seed: texts(some) for seed, some in answers.items()}
    spent = [one.usage.total for one in answers[ships]]
    return replace(
        measured(job, name, given, job.prepared.splits.test),
        latency_p50_ms=latency.p50,
        latency_high_ms=latency.p50_high,
        tokens=fmean(spent),
    )


def _latencies(job: Job, fits: Fits) -> dict[str, ServedLatency]:
    inputs = [example.input for example in job.prepared.splits.test]
    asked = {name: (fitted, fits.plan.ships[name]) for name, fitted in fits.fitted.items()}
    total, done = most_requests(len(asked), len(inputs)), 0
    with job.progress.task("latency, one request at a time", total=total) as advance:

        def tell(requests: int) -> None:
            nonlocal done
            done += requests
            advance(requests)

        seed = job.prepared.project.data.seed
        found = measure_latencies(asked, inputs, rng=np.random.default_rng(seed), advance=tell)
        advance(total - done)
    for name in asked:
        job.remaining.did(name, "latency")
    return found


def _loads(job: Job, fits: Fits, engines: Sequence[Engine]) -> dict[str, tuple[float, ...]]:
    """What requests take of machines that are paid by the hour, on caches that start empty."""
    project = job.prepared.project
    asked = {
        name: (fitted, fits.plan.ships[name])
        for name, fitted in fits.fitted.items()
        if tariff_of(name, project).hour is not None
    }
    if not asked:
        return {}
    inputs = [example.input for example in job.prepared.splits.test]
    with ExitStack() as stack, job.progress.task("many requests at once", total=1) as advance:
        for engine in engines:
            stack.enter_context(engine.prefix_caching())
        found = measure_loads(asked, inputs, rng=np.random.default_rng(project.data.seed))
        advance(1)
    return found


def _write_scores(job: Job, entries: Sequence[Entry]) -> None:
    targets = {example.id: example.target for example in job.prepared.splits.test}
    kind = job.prepared.project.task.kind or "generation"
    metrics = [job.metric, *side_metrics(kind, job.metric)]
    write_lines(
        job.run.file("scores.jsonl"),
        [
            dump(SCORE, score)
            for entry in entries
            for answers in entry.answers.values()
            for one in metrics
            for score in score_answers(one, answers, targets)
        ],
    )
