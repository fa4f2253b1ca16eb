"""Who holds a job, and what somebody who lost it can still do: nothing."""

from pathlib import Path

import pytest

import tunewise
from tunewise.errors import UserError
from tunewise.serving.jobs.database import Database
from tunewise.serving.jobs.leases import LEASE_SECONDS, MAX_CRASHES, LeaseLostError, Leases, Success
from tunewise.serving.jobs.paging import Cursor
from tunewise.serving.jobs.queue import JobQueue
from tunewise.serving.jobs.records import Job, JobFault, NewCheckpoint, NewEvent, new_id
from tunewise.serving.jobs.worker import POLL_SECONDS
from tunewise.serving.protocol import RefusedError

EVERYTHING = Cursor(after=None, limit=100)
PROMISED_SECONDS = 30
"""Within which the job of a lost worker is taken over."""


class Jobs:
    """A queue, and two workers."""

    def __init__(self, database: Database) -> None:
        self.queue = JobQueue(database)
        self.one, self.other = Leases(database, "one"), Leases(database, "other")

    def add(self, *, validated: bool = True) -> Job:
        job = self.queue.add(
            Job(
                id=new_id("ftjob-"),
                created_at=0,
                model="small",
                training_file="file-1",
                validation_file=None,
                suffix=None,
                seed=0,
                method={"type": "supervised", "supervised": {"hyperparameters": {}}},
            )
        )
        if validated:
            held = self.one.take_to_validate()
            assert held is not None
            self.one.validated(held, [])
        return self.find(job)

    def find(self, job: Job) -> Job:
        found = self.queue.find(job.id)
        assert found is not None
        return found

    def status(self, job: Job) -> str:
        return self.find(job).status

    def told(self, job: Job) -> list[str]:
        return [event.message for event in self.queue.events(job.id, EVERYTHING).rows]


def success(**changes: object) -> Success:
    values = {
        "model": "ft:small:tunewise::1",
        "hyperparameters": {"n_epochs": 2},
        "trained_tokens": 100,
        "verdict": {"finding": "better"},
        "held_out": "abc",
        "checkpoints": [],
        "events": [],
    }
    return Success(**{**values, **changes})  # type: ignore[arg-type]


def taken(leases: Leases) -> Job:
    job = leases.take_to_train()
    assert job is not None
    return job


@pytest.fixture
def jobs(database: Database) -> Jobs:
    return Jobs(database)


def test_jobs_are_taken_in_the_order_in_which_they_came(jobs: Jobs) -> None:
    first, second = jobs.add(), jobs.add()
    assert taken(jobs.one).id == first.id
    assert taken(jobs.other).id == second.id
    assert jobs.one.take_to_train() is None


def test_data_are_checked_before_a_job_is_queued(jobs: Jobs) -> None:
    job = jobs.add(validated=False)
    assert job.status == "validating_files"
    assert jobs.one.take_to_train() is None
    held = jobs.one.take_to_validate()
    assert held is not None
    assert jobs.other.take_to_validate() is None
    jobs.one.validated(held, [NewEvent(key="a", message="The data hold 3 rows.")])
    assert jobs.status(job) == "queued"
    assert "The data hold 3 rows." in jobs.told(job)


def test_a_job_whose_worker_is_not_heard_of_is_taken_over_before_later_ones(
    jobs: Jobs, clock: object
) -> None:
    job = jobs.add()
    jobs.add()
    held = taken(jobs.one)
    clock.now += LEASE_SECONDS - 1  # type: ignore[attr-defined]
    jobs.one.renew(held)
    clock.now += LEASE_SECONDS - 1  # type: ignore[attr-defined]
    assert taken(jobs.other).id != job.id
    clock.now += 2  # type: ignore[attr-defined]
    again = taken(jobs.other)
    assert again.id == job.id
    assert again.token > held.token
    assert LEASE_SECONDS + POLL_SECONDS < PROMISED_SECONDS


def test_who_lost_a_job_can_write_nothing_of_it(jobs: Jobs, clock: object) -> None:
    job = jobs.add()
    held = taken(jobs.one)
    clock.now += LEASE_SECONDS + 1  # type: ignore[attr-defined]
    again = taken(jobs.other)
    before = jobs.told(job)
    for attempt in (
        lambda: jobs.one.renew(held),
        lambda: jobs.one.tell(held, [NewEvent(key="late", message="late")]),
        lambda: jobs.one.fail(held, JobFault(code="x", message="late")),
        lambda: jobs.one.succeed(held, success(), lambda connection: "file-1"),
        lambda: jobs.one.grant(held, "pause"),
        lambda: jobs.one.release(held),
        lambda: jobs.one.crashed(held, step=1, why="late"),
    ):
        with pytest.raises(LeaseLostError):
            attempt()
    assert jobs.told(job) == before
    jobs.other.succeed(again, success(), lambda connection: "file-1")
    assert jobs.status(job) == "succeeded"


def test_a_worker_that_is_late_goes_on_where_nobody_took_its_job(jobs: Jobs, clock: object) -> None:
    job = jobs.add()
    held = taken(jobs.one)
    clock.now += 10 * LEASE_SECONDS  # type: ignore[attr-defined]
    assert jobs.one.renew(held) is None
    assert jobs.other.take_to_train() is None
    assert jobs.status(job) == "running"


def test_success_is_told_once_with_model_result_and_checkpoints(jobs: Jobs) -> None:
    job = jobs.add()
    held = taken(jobs.one)
    done = success(
        checkpoints=[NewCheckpoint(step=4, model="ft:small:1:ckpt-step-4", metrics={"step": 4})]
    )
    jobs.one.succeed(held, done, lambda connection: "file-7")
    with pytest.raises(LeaseLostError):
        jobs.one.succeed(held, done, lambda connection: "file-8")
    found = jobs.find(job)
    assert (found.status, found.fine_tuned_model) == ("succeeded", "ft:small:tunewise::1")
    assert found.result_file == "file-7"
    assert found.trained_tokens == 100
    assert jobs.told(job)[:2] == [
        "The job has successfully completed",
        "New fine-tuned model created: ft:small:tunewise::1",
    ]
    (checkpoint,) = jobs.queue.checkpoints(job.id, EVERYTHING).rows
    assert (checkpoint.step, checkpoint.metrics) == (4, {"step": 4})


def test_what_fails_while_it_is_published_leaves_the_job_as_it_was(jobs: Jobs) -> None:
    job = jobs.add()
    held = taken(jobs.one)

    def publish(connection: object) -> str:
        raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        jobs.one.succeed(held, success(), publish)
    assert jobs.status(job) == "running"
    assert jobs.queue.checkpoints(job.id, EVERYTHING).rows == ()


def test_the_same_thing_is_told_once_however_often_it_is_done(jobs: Jobs) -> None:
    job = jobs.add()
    held = taken(jobs.one)
    for _ in range(3):
        jobs.one.tell(
            held, [NewEvent(key="step:1", message="Step 1"), NewEvent(key="b", message="b")]
        )
    assert jobs.told(job).count("Step 1") == 1


def test_a_waiting_job_is_cancelled_at_once(jobs: Jobs) -> None:
    job = jobs.add()
    assert jobs.queue.ask(job.id, "cancel").status == "cancelled"
    assert jobs.one.take_to_train() is None
    assert jobs.find(job).finished_at is not None


def test_a_job_that_is_held_is_cancelled_when_its_worker_has_stopped_it(jobs: Jobs) -> None:
    job = jobs.add()
    held = taken(jobs.one)
    asked = jobs.queue.ask(job.id, "cancel")
    assert (asked.status, asked.wanted) == ("running", "cancel")
    assert jobs.one.renew(held) == "cancel"
    jobs.one.grant(held, "cancel")
    assert jobs.find(job).wanted is None
    assert jobs.status(job) == "cancelled"
    with pytest.raises(RefusedError, match="is over"):
        jobs.queue.ask(job.id, "pause")


def test_a_wish_outlives_the_worker_that_was_to_grant_it(jobs: Jobs, clock: object) -> None:
    job = jobs.add()
    taken(jobs.one)
    jobs.queue.ask(job.id, "pause")
    clock.now += LEASE_SECONDS + 1  # type: ignore[attr-defined]
    assert jobs.other.take_to_train() is None
    assert jobs.status(job) == "paused"


def test_a_wish_at_a_lost_worker_is_granted_when_it_is_asked(jobs: Jobs, clock: object) -> None:
    job = jobs.add()
    held = taken(jobs.one)
    clock.now += LEASE_SECONDS + 1  # type: ignore[attr-defined]
    assert jobs.queue.ask(job.id, "cancel").status == "cancelled"
    with pytest.raises(LeaseLostError):
        jobs.one.renew(held)


def test_to_cancel_outdoes_to_pause(jobs: Jobs) -> None:
    job = jobs.add()
    held = taken(jobs.one)
    jobs.queue.ask(job.id, "cancel")
    jobs.queue.ask(job.id, "pause")
    assert jobs.one.renew(held) == "cancel"


def test_a_paused_job_waits_until_it_is_resumed_and_keeps_its_place(jobs: Jobs) -> None:
    job = jobs.add()
    jobs.queue.ask(job.id, "pause")
    later = jobs.add()
    assert jobs.queue.ask(job.id, "pause").status == "paused"
    jobs.queue.resume(job.id)
    assert taken(jobs.one).id == job.id
    assert taken(jobs.one).id == later.id
    with pytest.raises(RefusedError, match="not paused"):
        jobs.queue.resume(job.id)


def test_a_job_paused_before_its_data_were_checked_is_checked_when_resumed(jobs: Jobs) -> None:
    job = jobs.add(validated=False)
    jobs.queue.ask(job.id, "pause")
    assert jobs.queue.resume(job.id).status == "validating_files"


def test_a_wish_during_the_checks_is_granted_at_their_end(jobs: Jobs) -> None:
    job = jobs.add(validated=False)
    held = jobs.one.take_to_validate()
    assert held is not None
    jobs.queue.ask(job.id, "cancel")
    jobs.one.validated(held, [])
    assert jobs.status(job) == "cancelled"


def test_success_outdoes_a_wish_that_came_too_late(jobs: Jobs) -> None:
    job = jobs.add()
    held = taken(jobs.one)
    jobs.queue.ask(job.id, "cancel")
    jobs.one.succeed(held, success(), lambda connection: "file-1")
    found = jobs.find(job)
    assert (found.status, found.wanted) == ("succeeded", None)


def test_a_job_given_back_goes_on_at_once(jobs: Jobs) -> None:
    job = jobs.add()
    held = taken(jobs.one)
    jobs.one.release(held)
    assert jobs.status(job) == "queued"
    assert taken(jobs.other).id == job.id


def test_a_training_that_dies_again_and_again_without_a_step_fails(jobs: Jobs) -> None:
    job = jobs.add()
    for _ in range(MAX_CRASHES):
        jobs.one.crashed(taken(jobs.one), step=7, why="the training was ended by signal SIGKILL")
    found = jobs.find(job)
    assert found.status == "failed"
    assert found.error is not None
    assert found.error.code == "training_died"
    assert "SIGKILL" in found.error.message


def test_a_training_that_gets_further_each_time_does_not(jobs: Jobs) -> None:
    job = jobs.add()
    for step in range(3 * MAX_CRASHES):
        jobs.one.crashed(taken(jobs.one), step=step, why="the training ended with exit code 1")
    assert jobs.status(job) == "queued"


def test_proofs_on_the_same_rows_are_counted(jobs: Jobs) -> None:
    first, second = jobs.add(), jobs.add()
    assert jobs.one.uses_before(first, "abc") == 0
    jobs.one.succeed(taken(jobs.one), success(), lambda connection: "file-1")
    assert jobs.one.uses_before(second, "abc") == 1
    assert jobs.one.uses_before(first, "abc") == 0


def test_pages_go_on_behind_the_last_job(jobs: Jobs) -> None:
    added = [jobs.add(validated=False).id for _ in range(5)][::-1]
    first = jobs.queue.page(Cursor(after=None, limit=2), metadata={})
    rest = jobs.queue.page(Cursor(after=added[1], limit=3), metadata={})
    assert [job.id for job in (*first.rows, *rest.rows)] == added
    assert (first.has_more, rest.has_more) == (True, False)
    with pytest.raises(RefusedError, match="after"):
        jobs.queue.page(Cursor(after="ftjob-none", limit=1), metadata={})


def test_two_processes_may_open_the_tables_at_once_and_a_later_version_is_refused(
    tmp_path: Path, database: Database
) -> None:
    url = f"sqlite:///{tmp_path / 'jobs.sqlite3'}"
    Database(url).close()
    with database.writing() as connection:
        connection.exec_driver_sql("UPDATE tunewise_jobs SET version = 99")
    with pytest.raises(UserError, match="later Tunewise"):
        Database(url)


def test_an_upgrade_strands_no_job(
    tmp_path: Path, clock: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = f"sqlite:///{tmp_path / 'upgraded.sqlite3'}"
    before = Database(url, clock=clock)  # type: ignore[arg-type]
    old = Jobs(before)
    running, waiting, unchecked = old.add(), old.add(), old.add(validated=False)
    taken(old.one)
    before.close()
    monkeypatch.setattr(tunewise, "__version__", "99.0")
    clock.now += LEASE_SECONDS + 1  # type: ignore[attr-defined]
    after = Database(url, clock=clock)  # type: ignore[arg-type]
    new = Jobs(after)
    assert [taken(new.other).id, taken(new.other).id] == [running.id, waiting.id]
    held = new.other.take_to_validate()
    assert held is not None
    assert held.id == unchecked.id
    after.close()


def test_a_data_base_that_cannot_be_reached_is_told_without_its_password() -> None:
    with pytest.raises(UserError) as refused:
        Database("postgresql://me:secret@127.0.0.1:1/jobs")
    assert "127.0.0.1:1/jobs" in str(refused.value)
    assert "secret" not in str(refused.value)


class TestPostgres:
    """The same table on a data base that several machines share."""

    def test_two_workers_at_once_never_take_the_same_job(self, postgres_url: str) -> None:
        from concurrent.futures import ThreadPoolExecutor

        databases = [Database(postgres_url) for _ in range(4)]
        jobs = Jobs(databases[0])
        added = {jobs.add().id for _ in range(24)}
        leases = [Leases(database, f"worker {n}") for n, database in enumerate(databases)]

        def take_all(one: Leases) -> list[str]:
            found: list[str] = []
            while (job := one.take_to_train()) is not None:
                found.append(job.id)
                one.succeed(job, success(), lambda connection: "file-1")
            return found

        with ThreadPoolExecutor(4) as pool:
            lists = list(pool.map(take_all, leases))
        done = [job for some in lists for job in some]
        assert len(done) == len(set(done))
        assert set(done) == added
        for database in databases:
            database.close()

    def test_a_lease_runs_out_by_the_clock_of_the_data_base(self, postgres_url: str) -> None:
        import time

        database = Database(postgres_url, clock=lambda: 0.0)
        jobs = Jobs(database)
        job = jobs.add()
        held = taken(jobs.one)
        assert jobs.other.take_to_train() is None
        Leases(database, "one", seconds=0.3).renew(held)
        time.sleep(0.4)
        assert taken(jobs.other).id == job.id
        with pytest.raises(LeaseLostError):
            jobs.one.renew(held)
        jobs.queue.ask(job.id, "cancel")
        database.close()
