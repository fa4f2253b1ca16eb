"""Jobs as the official client sees them; what a worker does is done by hand here."""

import errno
import threading
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from openai import (
    APIStatusError,
    BadRequestError,
    InternalServerError,
    NotFoundError,
    OpenAI,
    RateLimitError,
)
from openai.types.fine_tuning import FineTuningJob
from sqlalchemy import event

from job_rows import chat_rows, jsonl
from served_jobs import served
from tunewise.serving.jobs import project_files
from tunewise.serving.jobs import queue as job_queue
from tunewise.serving.jobs.leases import Leases, Success
from tunewise.serving.jobs.records import JobFault, NewCheckpoint, NewEvent
from tunewise.serving.jobs.service import Jobs, open_jobs

BASES = {"small": "small", "org/other:1": "/models/other"}


@pytest.fixture
def client(jobs: Jobs) -> Generator[OpenAI]:
    with served(jobs, BASES) as found:
        yield found


@pytest.fixture
def file(client: OpenAI) -> str:
    return client.files.create(file=("rows.jsonl", jsonl(chat_rows(30))), purpose="fine-tune").id


@pytest.fixture
def worker(jobs: Jobs) -> Leases:
    return Leases(jobs.database, "by hand", seconds=60)


def create(client: OpenAI, file: str, **more: Any) -> FineTuningJob:
    return client.fine_tuning.jobs.create(**{"model": "small", "training_file": file, **more})


def refusal(client: OpenAI, file: str, **more: Any) -> BadRequestError:
    with pytest.raises(BadRequestError) as refused:
        create(client, file, **more)
    return refused.value


def begun(worker: Leases) -> Any:
    """A job whose data were checked, taken to be trained."""
    held = worker.take_to_validate()
    assert held is not None
    worker.validated(held, [])
    taken = worker.take_to_train()
    assert taken is not None
    return taken


def test_a_new_job_says_what_was_asked_for(client: OpenAI, file: str) -> None:
    job = create(
        client,
        file,
        validation_file=file,
        suffix="Mail v2",
        seed=7,
        metadata={"team": "support"},
        method={"type": "dpo", "dpo": {"hyperparameters": {"n_epochs": 2, "beta": 0.3}}},
    )
    assert job.status == "validating_files"
    assert (job.model, job.seed, job.metadata) == ("small", 7, {"team": "support"})
    assert (job.training_file, job.validation_file) == (file, file)
    assert job.method is not None
    assert job.method.dpo is not None
    assert job.method.dpo.hyperparameters is not None
    assert job.method.dpo.hyperparameters.beta == 0.3
    assert job.hyperparameters.n_epochs == 2
    assert job.hyperparameters.batch_size == "auto"
    assert job.organization_id == "tunewise"
    assert (job.fine_tuned_model, job.finished_at, job.result_files) == (None, None, [])
    assert client.fine_tuning.jobs.retrieve(job.id) == job
    FineTuningJob.model_validate(job.model_dump())


def test_a_model_or_file_that_is_not_there_is_named(client: OpenAI, file: str, jobs: Jobs) -> None:
    assert "small, org/other:1" in (told := refusal(client, file, model="gpt-4o-mini")).message
    assert (told.param, told.code) == ("model", "model_not_available")
    assert refusal(client, file, model="/etc").param == "model"
    assert refusal(client, "file-none").code == "file_not_found"
    assert refusal(client, file, validation_file="file-none").param == "validation_file"
    assert refusal(client, file, extra_body={"temperature": 1}).param == "temperature"
    assert refusal(client, file, suffix="x" * 65).param == "suffix"
    assert client.fine_tuning.jobs.list().data == []
    assert not (jobs.home / "work").exists()


def test_a_result_file_is_nothing_to_train_on(
    client: OpenAI, file: str, jobs: Jobs, worker: Leases
) -> None:
    new, content = jobs.files.write_result("step\n", name="r.csv")
    with jobs.database.writing() as connection:
        jobs.files.add_result(connection, new, content, name="r.csv")
    assert client.files.content(new).content == b"step\n"
    assert refusal(client, new).code == "invalid_purpose"


def test_a_job_that_is_not_there_is_a_404(client: OpenAI) -> None:
    jobs = client.fine_tuning.jobs
    for ask in (jobs.retrieve, jobs.cancel, jobs.pause, jobs.resume, jobs.list_events):
        with pytest.raises(NotFoundError) as refused:
            ask("ftjob-none")
        assert refused.value.code == "job_not_found"
    with pytest.raises(NotFoundError):
        jobs.checkpoints.list("ftjob-none")
    with pytest.raises(NotFoundError):
        client.get("/fine_tuning/jobs/ftjob-none/verdict", cast_to=object)


def test_what_postgres_cannot_hold_is_a_400_and_without_it_there_is_a_503(
    tmp_path: Path, postgres_url: str, own_postgres_url: str
) -> None:
    jobs = open_jobs(home=tmp_path / "home", database=own_postgres_url)
    name = own_postgres_url.partition("///")[2].partition("?")[0]
    with served(jobs, BASES) as client:
        for ask in (client.files.retrieve, client.files.delete, client.fine_tuning.jobs.cancel):
            with pytest.raises(BadRequestError, match="a character that no id"):
                ask("\0")
        assert refusal(client, "\0").code == "invalid_value"
        with pytest.raises(BadRequestError):
            client.fine_tuning.jobs.list(after="\0")
        with psycopg.connect(postgres_url, autocommit=True) as connection:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())
        for _ in range(2):
            with pytest.raises(InternalServerError) as refused:
                client.fine_tuning.jobs.list()
            told = refused.value
            assert (told.status_code, told.code) == (503, "database_unreachable")
            assert "retry-after" in told.response.headers
            assert name not in told.message
    jobs.close()


def test_jobs_are_listed_newest_first_paged_and_by_metadata(client: OpenAI, file: str) -> None:
    made = [create(client, file, metadata={"n": str(n), "odd": str(n % 2)}).id for n in range(5)]
    assert [job.id for job in client.fine_tuning.jobs.list(limit=2)] == made[::-1]
    odd = client.fine_tuning.jobs.list(metadata={"odd": "1"})
    assert [job.id for job in odd] == [made[3], made[1]]
    with pytest.raises(BadRequestError) as refused:
        client.fine_tuning.jobs.list(after="ftjob-none")
    assert refused.value.param == "after"


def test_events_are_listed_newest_first(client: OpenAI, file: str, worker: Leases) -> None:
    job = create(client, file)
    held = begun(worker)
    steps = [
        NewEvent(key=f"step:{n}", type="metrics", message=f"Step {n}", data={"step": n})
        for n in range(1, 6)
    ]
    worker.tell(held, steps)
    listed = list(client.fine_tuning.jobs.list_events(job.id, limit=3))
    assert [event.message for event in listed[:5]] == [f"Step {n}" for n in (5, 4, 3, 2, 1)]
    assert (listed[0].type, listed[0].data, listed[0].level) == ("metrics", {"step": 5}, "info")
    assert listed[-1].message == f"Created fine-tuning job: {job.id}"


def test_a_finished_job_has_model_result_checkpoints_and_proof(
    client: OpenAI, file: str, worker: Leases, jobs: Jobs
) -> None:
    job = create(client, file, suffix="mail")
    held = begun(worker)
    name = "ft:small:tunewise:mail:1"
    result, content = jobs.files.write_result("step,train_loss\n1,0.5\n", name="r.csv")

    def publish(connection: Any) -> str:
        jobs.files.add_result(connection, result, content, name="r.csv")
        return result

    worker.succeed(
        held,
        Success(
            model=name,
            hyperparameters={"n_epochs": 3},
            trained_tokens=1234,
            verdict={"kind": "held_out_comparison", "finding": "better", "n_test": 40},
            held_out="x",
            checkpoints=[
                NewCheckpoint(step=n, model=f"{name}:{n}", metrics={"step": n}) for n in (2, 4)
            ],
            events=[],
        ),
        publish,
    )
    done = client.fine_tuning.jobs.retrieve(job.id)
    assert (done.status, done.fine_tuned_model, done.trained_tokens) == ("succeeded", name, 1234)
    assert done.hyperparameters.n_epochs == 3
    assert done.finished_at is not None
    assert client.files.content(done.result_files[0]).text.startswith("step,train_loss")
    newest, first = client.fine_tuning.jobs.checkpoints.list(job.id).data
    assert (newest.step_number, newest.fine_tuned_model_checkpoint) == (4, f"{name}:4")
    assert (first.fine_tuning_job_id, first.metrics.train_loss) == (job.id, None)
    verdict: Any = client.get(f"/fine_tuning/jobs/{job.id}/verdict", cast_to=object)
    assert verdict["finding"] == "better"
    assert verdict["held_out_from"] == "training_file"
    for ask in (client.fine_tuning.jobs.cancel, client.fine_tuning.jobs.pause):
        with pytest.raises(BadRequestError) as refused:
            ask(job.id)
        assert refused.value.code == "job_succeeded"


def test_a_failed_job_says_why(client: OpenAI, file: str, worker: Leases) -> None:
    job = create(client, file)
    fault = JobFault(code="invalid_training_file", message="training.jsonl:3: ...", param="x")
    worker.fail(begun(worker), fault)
    error = client.fine_tuning.jobs.retrieve(job.id).error
    assert error is not None
    assert (error.code, error.message, error.param) == (fault.code, fault.message, "x")
    with pytest.raises(BadRequestError, match="its status is failed"):
        client.get(f"/fine_tuning/jobs/{job.id}/verdict", cast_to=object)


def test_a_waiting_job_is_cancelled_paused_and_resumed_at_once(client: OpenAI, file: str) -> None:
    first, second = create(client, file), create(client, file)
    assert client.fine_tuning.jobs.cancel(first.id).status == "cancelled"
    assert client.fine_tuning.jobs.pause(second.id).status == "paused"
    with pytest.raises(BadRequestError, match="not paused"):
        client.fine_tuning.jobs.resume(first.id)
    assert client.fine_tuning.jobs.resume(second.id).status == "validating_files"


def test_to_cancel_waits_until_the_training_has_stopped(
    client: OpenAI, file: str, worker: Leases
) -> None:
    job = create(client, file)
    held = begun(worker)
    stopped: list[float] = []

    def grant() -> None:
        while (wish := worker.renew(held)) is None:
            time.sleep(0.05)
        time.sleep(0.5)
        stopped.append(time.monotonic())
        worker.grant(held, wish)

    thread = threading.Thread(target=grant)
    thread.start()
    answered = client.fine_tuning.jobs.cancel(job.id)
    assert answered.status == "cancelled"
    assert stopped
    assert stopped[0] < time.monotonic()
    thread.join()


def test_a_job_keeps_its_copy_of_a_file_that_is_deleted(
    client: OpenAI, file: str, jobs: Jobs
) -> None:
    job = create(client, file)
    client.files.delete(file)
    copy = jobs.places.project(job.id) / "training.jsonl"
    assert copy.read_bytes() == jsonl(chat_rows(30))
    assert refusal(client, file).code == "file_not_found"


def test_a_file_that_goes_while_a_job_is_made_is_named(
    client: OpenAI, file: str, jobs: Jobs
) -> None:
    other = client.files.create(file=("b.jsonl", jsonl(chat_rows(30))), purpose="fine-tune").id
    jobs.files.path(other).unlink()  # as between the look at the table and the copy
    told = refusal(client, file, validation_file=other)
    assert (told.param, told.code) == ("validation_file", "file_not_found")
    assert refusal(client, other).param == "training_file"
    assert list((jobs.home / "work").iterdir()) == []


def full_disk(client: OpenAI, file: str, **more: Any) -> None:
    """A job is made, the disk is full, and the client hears so."""
    with pytest.raises(APIStatusError) as refused:
        create(client, file, **more)
    assert (refused.value.status_code, refused.value.code) == (507, "disk_full")


def test_a_full_disk_is_told_and_leaves_nothing_of_a_job(
    client: OpenAI, file: str, jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as disk:
        disk.setattr(project_files, "write_text", full)
        full_disk(client, file)
    assert list((jobs.home / "work").iterdir()) == []
    assert client.fine_tuning.jobs.list().data == []
    assert create(client, file).status == "validating_files"


def test_so_it_is_where_the_data_base_cannot_grow(client: OpenAI, file: str, jobs: Jobs) -> None:
    def no_page_more(connection: Any, *_: object) -> None:
        (pages,) = connection.execute("PRAGMA page_count").fetchone()
        connection.execute(f"PRAGMA max_page_count={pages}")

    engine = jobs.database._engine
    long = {str(n): "x" * 512 for n in range(16)}
    event.listen(engine, "checkout", no_page_more)
    full_disk(client, file, metadata=long)
    event.remove(engine, "checkout", no_page_more)
    engine.dispose()
    assert list((jobs.home / "work").iterdir()) == []
    assert create(client, file, metadata=long).metadata == long


def test_a_full_queue_asks_to_come_again(
    client: OpenAI, file: str, jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(job_queue, "MAX_OPEN", 1)
    create(client, file)
    with pytest.raises(RateLimitError) as refused:
        create(client, file)
    assert refused.value.code == "queue_full"
    assert len(list((jobs.home / "work").iterdir())) == 1
    assert int(refused.value.response.headers["retry-after"]) > 0


def test_bodies_that_are_no_request_are_told(client: OpenAI) -> None:
    for body in (b"{", b"[]", b"null", b'{"model": 1}'):
        with pytest.raises(APIStatusError) as refused:
            client.post(
                "/fine_tuning/jobs",
                cast_to=object,
                content=body,
                options={"headers": {"content-type": "application/json"}},
            )
        assert refused.value.status_code == 400
