"""What a finished job leaves: one result file, of numbers."""

import csv
import json
from pathlib import Path

import pytest

from tunewise.serving.jobs.finishing import RESULT_COLUMNS, finish
from tunewise.serving.jobs.leases import Leases
from tunewise.serving.jobs.outcome import Outcome, write_outcome
from tunewise.serving.jobs.project_files import make_project
from tunewise.serving.jobs.publish import DecidedModel, TrainedModel
from tunewise.serving.jobs.records import Job, new_id
from tunewise.serving.jobs.service import Jobs

FORMULA = '=HYPERLINK("http://127.0.0.1/")'


class Nowhere:
    """Takes models, and keeps none."""

    def publish(self, model: TrainedModel | DecidedModel) -> None:
        """See `Publisher.publish`."""


@pytest.fixture
def held(jobs: Jobs) -> tuple[Job, Leases]:
    """A job whose every text is a formula, taken to be trained."""
    upload = jobs.files.incoming / new_id("upload-")
    upload.write_text(json.dumps({"messages": FORMULA}) + "\n")
    file = jobs.files.add(upload, filename=FORMULA, purpose="fine-tune")
    job = Job(
        id=new_id("ftjob-"),
        created_at=0,
        model=FORMULA,
        training_file=file.id,
        validation_file=None,
        suffix=FORMULA,
        seed=0,
        method={"type": "supervised", "supervised": {"hyperparameters": {}}},
        metadata={FORMULA: FORMULA},
    )
    make_project(job, "small", jobs.places, jobs.files)
    jobs.queue.add(job)
    leases = Leases(jobs.database, "by hand", seconds=60)
    checked = leases.take_to_validate()
    assert checked is not None
    leases.validated(checked, [])
    taken = leases.take_to_train()
    assert taken is not None
    return taken, leases


def test_a_result_file_holds_numbers_alone(held: tuple[Job, Leases], jobs: Jobs) -> None:
    job, leases = held
    run = jobs.places.run(job.id, job.token)
    steps = [{"event": "step", "step": n, "loss": 1.5 / n, "note": FORMULA} for n in (1, 2)]
    (run / "training").mkdir(parents=True)
    lines = [{"event": FORMULA}, *steps]
    (run / "training" / "events.jsonl").write_text("".join(json.dumps(x) + "\n" for x in lines))
    write_outcome(run, Outcome(told=[FORMULA], adapter="training/adapter"))
    finish(job, run, leases=leases, places=jobs.places, files=jobs.files, publisher=Nowhere())
    done = jobs.queue.find(job.id)
    assert done is not None
    assert done.result_file is not None
    with Path(jobs.files.path(done.result_file)).open(newline="") as file:
        head, *rows = csv.reader(file)
    assert tuple(head) == RESULT_COLUMNS
    assert [[float(cell) for cell in row if cell] for row in rows] == [[1, 1.5], [2, 0.75]]
