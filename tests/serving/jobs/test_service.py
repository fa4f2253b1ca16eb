"""Which versions a job still needs."""

from dataclasses import replace
from pathlib import Path

import pytest

from tunewise.runs.registry import Version
from tunewise.runs.registry_file import Lineage
from tunewise.serving.jobs.project_files import model_name
from tunewise.serving.jobs.records import Job, new_id
from tunewise.serving.jobs.service import Jobs


@pytest.fixture
def job(jobs: Jobs) -> Job:
    return jobs.queue.add(
        Job(
            id=new_id("ftjob-"),
            created_at=0,
            model="org/base:1",
            training_file="file-1",
            validation_file=None,
            suffix="mail",
            seed=0,
            method={"type": "supervised", "supervised": {"hyperparameters": {}}},
        )
    )


def version(known_as: str) -> Version:
    return Version(
        name="mail", number=1, folder=Path("x"), created=0, lineage=Lineage(known_as=known_as)
    )


def test_what_a_job_publishes_is_needed_until_the_job_is_over(jobs: Jobs, job: Job) -> None:
    made = version(model_name(job))
    checkpoint = version(f"{model_name(job)}:ckpt-step-4")
    for one in (made, checkpoint):
        assert job.id in str(jobs.needing(one))
    jobs.queue.ask(job.id, "cancel")
    assert [jobs.needing(one) for one in (made, checkpoint)] == [None, None]


def test_nothing_else_is_needed(jobs: Jobs, job: Job) -> None:
    other = replace(job, suffix="other")
    for name in ("", "ft:org/base:1:tunewise:mail:0", model_name(other), job.id):
        assert jobs.needing(version(name)) is None
