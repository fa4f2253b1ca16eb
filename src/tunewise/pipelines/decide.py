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

from tunewise.contenders.answering import texts
from tunewise.contenders.build import ContenderSet, Resources, contender_set
from tunewise.contenders.optimiser import check_optimiser
from tunewise.contenders.race import Race
from tunewise.data.prepare import Prepared
from tunewise.data.read_log import SHOWN
from tunewise.decision.plan import Measured
from tunewise.decision.rule import Demands, decide
from tunewise.errors import UserError
from tunewise.evaluation.collect import AnswerFile, collect
from tunewise.evaluation.segments import parted_by_columns
from tunewise.evaluation.suite.items import suite_of
from tunewise.exporting.model_card import ship
from tunewise.metrics.by_name import metric_of, score_answers, side_metrics
from tunewise.metrics.custom import own_metric_file
from tunewise.models.engines.cached import JournalEngine
from tunewise.models.engines.open import EngineOpener, Opened, open_ceiling, open_engine
from tunewise.models.engines.protocol import Engine
from tunewise.pipelines.bases import engines_in_words, open_bases, sizes_of
from tunewise.pipelines.bundling import is_conversation, model_record
from tunewise.pipelines.costs import weigh_costs, with_tornado
from tunewise.pipelines.estimate import forecast, usual
from tunewise.pipelines.fitting import Fits, Job, fit_all, measured
from tunewise.pipelines.forgetting import Forgetting, measure_forgetting
from tunewise.pipelines.measuring import measure_parts
from tunewise.pipelines.quick import first_opinion, take_answers
from tunewise.pipelines.reading import Read, ranked_units, read_for_decide
from tunewise.pipelines.remaining import Remaining
from tunewise.pipelines.repairing import repair
from tunewise.pipelines.run_rows import measured_contender
from tunewise.pipelines.timing import time_loads, time_requests
from tunewise.progress import Progress
from tunewise.project.derived import budget_tokens, labelled_bases, without_constant
from tunewise.project.price_units import price_warnings
from tunewise.project.settings import Project
from tunewise.report.findings import warnings_summary
from tunewise.report.html import write_html
from tunewise.report.verdict_json import Entry, Finished, verdict_file
from tunewise.runs.data_changes import about_earlier_runs
from tunewise.runs.folder import QUICK, RUNS, RunFolder, open_run
from tunewise.runs.ledger import NONE, Uses, check_ledger, note_use
from tunewise.runs.made_from import BASE, MadeFrom
from tunewise.runs.read import read_run
from tunewise.runs.records import dump
from tunewise.runs.schema import SCORE, VERDICT, Latency, VerdictFile
from tunewise.runs.segments import SEGMENT_ROWS
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
    coach = project.contenders.optimiser
    if coach is not None:
        check_optimiser()
    suite = suite_of(project)
    for note in (*warnings_summary(prepared.report, project.root), *prepared.notes):
        progress.note(note)
    estimate = None if resume else forecast(prepared, quick=quick)
    if estimate is not None:
        progress.note(estimate.sentence)
    if quick and (later := forecast(whole)):
        prepared = replace(prepared, notes=(*prepared.notes, later.of_the_whole))
    shares = estimate or usual(project)
    metric = metric_of(project)
    with ExitStack() as stack:
        ceilings = {
            one.name: stack.enter_context(closing(open_ceiling(one)))
            for one in project.contenders.asked
        }
        bases = open_bases(project.model, opener, progress, stack)
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
        first = next(iter(bases.values()))
        if first.model and not quick:
            take_answers(run.path, project.root, base=first.model.sha256)
        engines = {
            base: JournalEngine(one.engine, _journal(run, bases, base))
            for base, one in bases.items()
        }
        others = {n: JournalEngine(c, run.file(f"fit-{n}.jsonl")) for n, c in ceilings.items()}
        optimiser = others.pop(coach.name, None) if coach else None
        race = Race(
            prepared.splits.dev,
            metric=metric,
            units=prepared.splits.units_of(prepared.splits.dev),
            margin=project.decision.minimum_gain,
            to_the_end=project.contenders.finish,
        )
        resources, *further = [
            Resources(
                engine=engines[base],
                model=one.model,
                metric=metric,
                folder=run.file("training"),
                progress=progress,
                places=prepared.places,
                quick=quick,
                base=base,
            )
            for base, one in bases.items()
        ]
        field = contender_set(
            project,
            resources,
            further=further,
            ceilings=others,
            optimiser=optimiser,
            documents=documents,
            held_out=[*prepared.splits.dev, *prepared.splits.test],
            ranked=ranked_units(prepared, documents),
        )
        refuse_changed(run, field, bases)
        if run.file("verdict.json").exists():
            return _shown_again(run, progress)
        caveats = [f"{name}: {c.caveat}." for name, c in ceilings.items() if c.caveat]
        caveats += [*price_warnings(project), *without_constant(project)]
        begun = _begin(run, prepared, progress, resume=resume)
        if estimate is not None:
            run.event("forecast", contenders=estimate.contenders, parts=estimate.parts)
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
            opened = bases.get(field.base_of.get(fits.plan.challenger or "", ""), first)
            forgetting = measure_forgetting(job, fits, opened, suite)
            fits, forgetting = repair(job, fits, opened, suite, forgetting)
            uses = NONE if quick else note_use(run, prepared.splits.test)
            entries = examine(job, fits, engines, list(others.values()))
        return conclude(
            job,
            fits,
            entries,
            bases,
            forgetting=forgetting,
            uses=uses,
            reproduce=reproduce,
            quick=quick,
        )


def _journal(run: RunFolder, bases: Mapping[str, Opened], base: str) -> Path:
    """Where answers of a base to fits are kept: the first one's where a single one has them."""
    is_first = base == next(iter(bases))
    return run.file("fit-answers.jsonl" if is_first else f"fit-answers@{base}.jsonl")


def refuse_changed(run: RunFolder, field: ContenderSet, bases: Mapping[str, Opened]) -> None:
    """Refuses to go on where documents, pairs, a base or a metric of the project changed."""
    metric = own_metric_file(str(run.project.task.metric), run.project.root)
    first = next(iter(bases))
    files = {
        **{
            BASE if base == first else f"{BASE} {base}": one.model.sha256
            for base, one in bases.items()
            if one.model
        },
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
    data, rows = run.project.data, prepared.splits.test
    if columns := parted_by_columns(rows, data.segments, group=data.group):
        ids = {
            column: {value: [rows[n].id for n in some] for value, some in parts.items()}
            for column, parts in columns.items()
        }
        write_json(run.file(SEGMENT_ROWS), ids)
    return about_earlier_runs(run.project, prepared.splits, run)


def refuse_untrainable(job: Job) -> None:
    """Refuses rows that nobody could train on, before an hour is spent on the others.

    Raises:
        UserError: with the place of each; the first 20, then a count.
    """
    # Contenders of one base share its tokenizer.
    of_base = {job.field.base_of.get(n, ""): one for n, one in job.field.trained.items()}
    lines = [
        f"{job.prepared.places[name]}: {fault}{f' ({base})' if base else ''}"
        for base, one in of_base.items()
        for name, fault in one.untrainable(job.prepared.splits.train).items()
    ]
    more = [f"{len(lines) - SHOWN} more rows like these."] if len(lines) > SHOWN else []
    if lines:
        raise UserError.together([*lines[:SHOWN], *more])


def examine(
    job: Job, fits: Fits, engines: Mapping[str, Engine], others: Sequence[Engine]
) -> list[Entry]:
    """Opens test: every contender and seed answers it once, then latency is measured.

    Args:
        job: of the run.
        fits: of all contenders.
        engines: short name of each base -> what runs it.
        others: endpoints.
    """
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
    seconds, named = run.seconds(), labelled_bases(job.prepared.project.model)
    latencies = time_requests(job, fits, engines, others)
    loads = time_loads(job, fits, engines, others)
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
                base=named.get(field.base_of.get(name, ""), ""),
            )
        )
    return entries


def conclude(
    job: Job,
    fits: Fits,
    entries: Sequence[Entry],
    bases: Mapping[str, Opened],
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
        sizes=sizes_of(bases),
    )
    parts = measure_parts(job, fits, entries, verdict)
    engine, why = engines_in_words(bases)
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
        engine=engine,
        engine_why=why,
        base_of=job.field.base_of,
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
    written = verdict_file(finished)
    _ship_adapters(job, entries, written)
    write_json(run.file("verdict.json"), dump(VERDICT, written))
    write_html(read_run(run.path))
    run.event("decided", outcome=verdict.outcome)
    return run.path


def _ship_adapters(job: Job, entries: Sequence[Entry], verdict: VerdictFile) -> None:
    """Puts every adapter that was judged into the run's `models/`, with its card."""
    run, splits = job.run, job.prepared.splits
    talks = any(is_conversation(row) for row in (*splits.train, *splits.test))
    for entry in entries:
        if entry.trained:
            found = measured_contender(run.path, verdict, entry.name)
            seed, project = entry.shipped_seed, job.prepared.project
            record = model_record(run.path, verdict, found, project, conversations=talks, seed=seed)
            ship(record, Path(entry.fit.artifact[seed]), run)


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
