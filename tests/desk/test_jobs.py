"""Jobs of programs: listed, paused, gone on with, cancelled; and the keys, without secrets."""

from pathlib import Path

import pytest
from starlette.testclient import TestClient

from desk_pages import ORIGIN, desk_client
from html_pages import HOSTILE
from tunewise.desk.job_pages import PAGE_JOBS
from tunewise.serving.jobs.queue import JobQueue
from tunewise.serving.jobs.records import Job
from tunewise.serving.jobs.service import open_jobs
from tunewise.serving.keys import KeyFile, keys_file


@pytest.fixture
def queue(tmp_path: Path) -> JobQueue:
    return open_jobs(home=tmp_path / "jobs").queue


@pytest.fixture
def client(tmp_path: Path, queue: JobQueue) -> TestClient:
    return desk_client(tmp_path, jobs=queue)


def made(queue: JobQueue, number: int = 0, model: str = "base") -> str:
    job = Job(
        id=f"ftjob-{number}",
        created_at=0,
        model=model,
        training_file="file-1",
        validation_file=None,
        suffix=None,
        seed=0,
        method={"type": "supervised", "supervised": {}},
    )
    return queue.add(job).id


def test_a_job_is_paused_gone_on_with_and_cancelled(client: TestClient, queue: JobQueue) -> None:
    job = made(queue)
    for path, form, status in (
        ("ask", {"wish": "pause"}, "paused"),
        ("resume", {}, "validating_files"),
        ("ask", {"wish": "cancel"}, "cancelled"),
    ):
        answer = client.post(f"/ui/jobs/{job}/{path}", data=form, headers=ORIGIN)
        assert answer.status_code == 303
        found = queue.find(job)
        assert found is not None
        assert found.status == status
    text = client.get(f"/ui/jobs/{job}").text
    assert "<h1>Cancelled</h1>" in text
    assert "Created fine-tuning job" in text
    assert "Cancel</button>" not in text


def test_what_cannot_be_done_is_told(client: TestClient, queue: JobQueue) -> None:
    job = made(queue)
    paused = client.post(f"/ui/jobs/{job}/resume", headers=ORIGIN)
    assert (paused.status_code, "is not paused" in paused.text) == (400, True)
    wish = client.post(f"/ui/jobs/{job}/ask", data={"wish": "delete"}, headers=ORIGIN)
    assert wish.status_code == 400
    assert client.get("/ui/jobs/none").status_code == 404
    assert client.get("/ui/jobs?after=none").status_code == 400


def test_jobs_are_listed_page_by_page(client: TestClient, queue: JobQueue) -> None:
    jobs = [made(queue, number) for number in range(PAGE_JOBS + 1)]
    first = client.get("/ui/jobs").text
    assert jobs[-1] in first
    assert f">{jobs[0]}</a>" not in first
    assert f">{jobs[0]}</a>" in client.get(f"/ui/jobs?after={jobs[1]}").text


def test_what_clients_wrote_is_text(client: TestClient, queue: JobQueue) -> None:
    made(queue, model=HOSTILE)
    assert "<img" not in client.get("/ui/jobs").text


def test_keys_stand_there_without_their_secrets(client: TestClient) -> None:
    secret = KeyFile(keys_file()).new("shop", ["chat"]).secret
    text = client.get("/ui/jobs").text
    assert "shop" in text
    assert secret not in text
    assert "sha256" not in text
