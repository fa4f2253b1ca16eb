"""Publishes what a job trained, and writes down that it succeeded."""

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import Connection

from tunewise.errors import UserError
from tunewise.project.load import load_project
from tunewise.serving.jobs.files import FileStore
from tunewise.serving.jobs.following import losses, message_event
from tunewise.serving.jobs.leases import Leases, Success
from tunewise.serving.jobs.outcome import Outcome, read_outcome
from tunewise.serving.jobs.places import TRAINING, Places
from tunewise.serving.jobs.project_files import model_name
from tunewise.serving.jobs.publish import DecidedModel, Publisher, TrainedModel
from tunewise.serving.jobs.records import Job, JobFault, NewCheckpoint, NewEvent

RESULT_COLUMNS = (
    "step",
    "train_loss",
    "train_accuracy",
    "valid_loss",
    "valid_mean_token_accuracy",
)
"""Of the result file. What was not measured stays empty."""


def finish(
    job: Job,
    run: Path,
    *,
    leases: Leases,
    places: Places,
    files: FileStore,
    publisher: Publisher,
) -> None:
    """Publishes models first, then ends the job: a kill in between has both done again, once.

    Args:
        job: that is held.
        run: its holder's folder, with an outcome that has no fault.
        leases: of the holder.
        places: of the job's files.
        files: takes the result file.
        publisher: takes the models.

    Raises:
        LeaseLostError: somebody else has it.
        OSError: the disk is full.
    """
    outcome = read_outcome(run)
    if outcome is None:
        raise ValueError(f"{run}: there is no outcome yet")
    leases.renew(job)  # whoever lost it publishes nothing
    checkpoints: Sequence[NewCheckpoint] = ()
    name: str | None = model_name(job)
    try:
        if outcome.adapter is not None:
            checkpoints = _publish_trained(job, run, outcome, places, publisher)
        elif outcome.contender is not None:
            publisher.publish(
                DecidedModel(
                    name=model_name(job),
                    title=job.suffix or job.model,
                    job=job.id,
                    contender=outcome.contender,
                    run=run / TRAINING,
                )
            )
        else:
            name = None
    except UserError as error:
        leases.fail(job, JobFault(code="not_published", message=str(error)))
        return
    result_name = f"{job.id}-results.csv"
    result, content = files.write_result(_table(run), name=result_name)

    def publish(connection: Connection) -> str:
        files.add_result(connection, result, content, name=result_name)
        return result

    verdict = dict(outcome.verdict)
    if outcome.held_out is not None:
        verdict["test_set_uses"] = leases.uses_before(job, outcome.held_out) + 1
    success = Success(
        model=name,
        hyperparameters=outcome.hyperparameters,
        trained_tokens=outcome.trained_tokens,
        verdict=verdict,
        held_out=outcome.held_out,
        checkpoints=checkpoints,
        events=_told(outcome, verdict),
    )
    try:
        leases.succeed(job, success, publish)
    except BaseException:
        files.path(result).unlink(missing_ok=True)  # no row names it
        raise


def _publish_trained(
    job: Job, run: Path, outcome: Outcome, places: Places, publisher: Publisher
) -> list[NewCheckpoint]:
    base, *_ = load_project(places.project(job.id)).model.bases

    def publish(name: str, adapter: str, step: int | None) -> None:
        publisher.publish(
            TrainedModel(
                name=name,
                title=job.suffix or job.model,
                step=step,
                job=job.id,
                base=base,
                adapter=run / adapter,
                training=run / TRAINING,
                verdict=outcome.verdict,
            )
        )

    kept: list[NewCheckpoint] = []
    for epoch in outcome.epochs:
        name = f"{model_name(job)}:ckpt-step-{epoch.step}"
        publish(name, epoch.adapter, epoch.step)
        kept.append(NewCheckpoint(step=epoch.step, model=name, metrics=epoch.metrics))
    publish(model_name(job), str(outcome.adapter), None)
    return kept


def _told(outcome: Outcome, verdict: dict[str, Any]) -> list[NewEvent]:
    """The proof's sentence, with its numbers."""
    told = [message_event(line) for line in outcome.told]
    if outcome.held_out is None:
        return told
    numbers = {name: verdict[name] for name in ("finding", "metric", "n_test", "comparison")}
    proof = NewEvent(key="verdict", type="metrics", message=str(verdict["sentence"]), data=numbers)
    uses = verdict["test_set_uses"]
    if uses > 1:
        again = (
            f"These held-out rows have now judged {uses} jobs: whoever picks the best of them sees "
            "a better one than new rows will show."
        )
        return [proof, NewEvent(key="uses", level="warn", message=again)]
    return [proof]


def _table(run: Path) -> str:
    """The result file."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow(RESULT_COLUMNS)
    for step, loss in losses(run):
        writer.writerow([step, f"{loss:.6f}", "", "", ""])
    return out.getvalue()
