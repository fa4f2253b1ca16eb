"""Workers, and what they train, killed at any moment, while people cancel, pause and resume.

The workers, their children, the table and the locks are real; only the training is a loop that
keeps steps, as kills within a real one are shown in `training/test_kills` and `test_training`.
"""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import pytest
from sqlalchemy import select

import light_child
import light_worker
from served_jobs import alive, children_of, end, wait_for
from tunewise.runs.registry import Registry, Version
from tunewise.serving.jobs import database as tables
from tunewise.serving.jobs.paging import Cursor
from tunewise.serving.jobs.places import RUN
from tunewise.serving.jobs.project_files import make_project
from tunewise.serving.jobs.records import OVER, Job, new_id
from tunewise.serving.jobs.service import Jobs, open_jobs
from tunewise.serving.protocol import RefusedError

EVERYTHING = Cursor(after=None, limit=1000)
TAKEOVER_SECONDS = 30.0


class Storm:
    """Jobs, and two workers that want the same device; and a third with one of its own."""

    def __init__(
        self, jobs: Jobs, *, devices: tuple[str, ...] = ("cpu", "cpu"), step_seconds: float = 0.03
    ) -> None:
        self.jobs, self.devices, self.step_seconds = jobs, devices, step_seconds
        self.workers = [self._start(device) for device in devices]
        self.added: list[str] = []

    def _start(self, device: str) -> "subprocess.Popen[bytes]":
        words = [light_worker.__file__, str(self.jobs.home), self.jobs.url, device]
        environment = {
            **os.environ,
            "PYTHONPATH": os.pathsep.join(sys.path),
            "LIGHT_STEP_SECONDS": str(self.step_seconds),
        }
        with (self.jobs.home / "workers.err").open("ab") as log:
            return subprocess.Popen(
                [sys.executable, *words], env=environment, stdout=log, stderr=log
            )

    def add(self, count: int) -> None:
        for _ in range(count):
            upload = self.jobs.files.incoming / new_id("upload-")
            upload.write_text('{"messages": []}\n')
            file = self.jobs.files.add(upload, filename="a.jsonl", purpose="fine-tune")
            job = Job(
                id=new_id("ftjob-"),
                created_at=0,
                model="small",
                training_file=file.id,
                validation_file=None,
                suffix=None,
                seed=0,
                method={"type": "supervised", "supervised": {"hyperparameters": {}}},
            )
            make_project(job, "small", self.jobs.places, self.jobs.files)
            self.added.append(self.jobs.queue.add(job).id)

    def status(self) -> Mapping[str, str]:
        page = self.jobs.queue.page(EVERYTHING, metadata={})
        return {job.id: job.status for job in page.rows}

    def kill_worker(self, number: int) -> None:
        end(self.workers[number])
        self.workers[number] = self._start(self.devices[number])

    def over(self) -> bool:
        return all(status in OVER for status in self.status().values())

    def processes(self) -> set[int]:
        """Every child that ever ran."""
        file = self.jobs.home / light_child.PROCESSES
        return {int(line) for line in file.read_text().split()} if file.exists() else set()

    def versions(self) -> tuple[Version, ...]:
        return Registry(self.jobs.home).content().versions

    def close(self) -> None:
        for worker in self.workers:
            end(worker)

    def check(self) -> Counter[str]:
        """Nothing lost, nothing twice, nothing at once, nobody left behind."""
        states = self.status()
        assert set(states) == set(self.added)
        counted = Counter(states.values())
        assert set(counted) <= {"succeeded", "cancelled"}, self.faults()
        assert not (self.jobs.home / light_child.OVERLAPS).exists()
        succeeded = {job for job, status in states.items() if status == "succeeded"}
        models = [version.lineage.token for version in self.versions()]
        assert len(models) == len(set(models))
        assert succeeded <= set(models)
        for job in succeeded:
            events = self.jobs.queue.events(job, EVERYTHING).rows
            told = Counter(event.message for event in events)
            assert told["The job has successfully completed"] == 1
            steps = [e.data["step"] for e in events if e.data is not None and "step" in e.data]
            assert sorted(steps) == list(range(1, light_child.STEPS + 1))
        with self.jobs.database.reading() as connection:
            results = connection.scalars(
                select(tables.files.c.id).where(tables.files.c.purpose == "fine-tune-results")
            ).all()
        assert len(results) == len(succeeded)
        self.close()
        wait_for(lambda: not any(map(alive, self.processes())), seconds=10)
        return counted

    def faults(self) -> list[str]:
        page = self.jobs.queue.page(EVERYTHING, metadata={})
        return [f"{job.id}: {job.status} {job.error}" for job in page.rows]


def storm_of(storm: Storm, *, jobs: int, kills: int, seed: int) -> Counter[str]:
    rng = random.Random(seed)
    storm.add(jobs)
    for _ in range(kills):
        time.sleep(rng.uniform(0.05, 0.5))
        storm.kill_worker(rng.randrange(len(storm.workers)))
        if rng.random() < 0.4:
            job = rng.choice(storm.added)
            try:
                match rng.choice(("cancel", "pause", "resume")):
                    case "resume":
                        storm.jobs.queue.resume(job)
                    case wish:
                        storm.jobs.queue.ask(job, wish)
            except RefusedError:
                pass  # it is over, or was not paused
    end_of = time.monotonic() + 120
    while not storm.over():
        assert time.monotonic() < end_of, storm.faults()
        for job, status in storm.status().items():
            if status == "paused":
                storm.jobs.queue.resume(job)
        time.sleep(0.1)
    return storm.check()


@pytest.fixture
def sqlite_jobs(tmp_path: Path):
    jobs = open_jobs(home=tmp_path / "home")
    yield jobs
    jobs.close()


@pytest.fixture
def postgres_jobs(tmp_path: Path, own_postgres_url: str):
    jobs = open_jobs(home=tmp_path / "home", database=own_postgres_url)
    yield jobs
    jobs.close()


def test_a_few_kills(sqlite_jobs: Jobs) -> None:
    counted = storm_of(Storm(sqlite_jobs), jobs=3, kills=3, seed=1)
    assert counted["succeeded"] >= 1


@pytest.mark.slow
def test_of_sixty_kills_forty_on_sqlite(sqlite_jobs: Jobs) -> None:
    counted = storm_of(Storm(sqlite_jobs), jobs=20, kills=40, seed=2)
    assert counted["succeeded"] >= 7


@pytest.mark.slow
def test_of_sixty_kills_twenty_on_postgres(postgres_jobs: Jobs) -> None:
    counted = storm_of(Storm(postgres_jobs), jobs=10, kills=20, seed=3)
    assert counted["succeeded"] >= 3


@pytest.mark.slow
def test_the_job_of_a_dead_worker_goes_on_at_another_where_it_was(postgres_jobs: Jobs) -> None:
    """On SQLite, where all workers are on one machine, `test_a_frozen_machine` shows it."""
    jobs = postgres_jobs
    storm = Storm(jobs, devices=("cpu", "cuda:0"), step_seconds=0.1)
    try:
        storm.add(1)
        (job,) = storm.added
        events = jobs.places.run(job, 2) / "training" / "events.jsonl"
        wait_for(lambda: events.exists() and len(steps_in(events)) >= 3)
        (dead,) = [one for one in storm.workers if children_of(one.pid)]
        end(dead)  # and it stays dead: its lease has to run out
        wait_for(lambda: storm.status()[job] == "succeeded", seconds=TAKEOVER_SECONDS)
        (run,) = jobs.places.runs(job)
        assert run == jobs.places.job(job) / f"{RUN}3"  # taken once more, and not twice
        steps = steps_in(run / "training" / "events.jsonl")
        assert steps == list(range(1, light_child.STEPS + 1))
        storm.check()
    finally:
        storm.close()


def steps_in(events: Path) -> list[int]:
    """What a training has written down, which may write on meanwhile."""
    whole = events.read_text().rpartition("\n")[0]
    return [json.loads(line)["step"] for line in whole.splitlines()]


@pytest.mark.slow
def test_a_frozen_machine_that_wakes_up_publishes_nothing(sqlite_jobs: Jobs) -> None:
    storm = Storm(sqlite_jobs, devices=("cpu",), step_seconds=0.1)
    try:
        storm.add(1)
        (job,) = storm.added
        training = sqlite_jobs.places.run(job, 2) / "training"
        wait_for((training / "events.jsonl").exists)
        frozen, (child,) = storm.workers[0], [pid for pid in storm.processes() if alive(pid)]
        frozen.send_signal(signal.SIGSTOP)
        os.kill(child, signal.SIGSTOP)
        storm.workers.append(storm._start("cuda:0"))
        wait_for(lambda: storm.status()[job] == "succeeded", seconds=TAKEOVER_SECONDS)
        told = sqlite_jobs.queue.events(job, EVERYTHING).rows
        held = sqlite_jobs.places.runs(job)
        os.kill(child, signal.SIGCONT)
        frozen.send_signal(signal.SIGCONT)
        wait_for(lambda: b"job dropped" in (sqlite_jobs.home / "workers.err").read_bytes())
        wait_for(lambda: not alive(child))
        assert sqlite_jobs.queue.events(job, EVERYTHING).rows == told
        assert sqlite_jobs.places.runs(job) == held
        assert [version.lineage.token for version in storm.versions()] == [job]
    finally:
        storm.close()


@pytest.mark.slow
def test_a_worker_that_is_asked_to_end_gives_its_job_back(sqlite_jobs: Jobs) -> None:
    storm = Storm(sqlite_jobs, devices=("cpu",), step_seconds=0.1)
    try:
        storm.add(1)
        (job,) = storm.added
        wait_for(lambda: storm.status()[job] == "running")
        end(storm.workers[0], signal.SIGTERM)
        assert storm.workers[0].returncode == 0
        assert storm.status()[job] in ("queued", "succeeded")
        assert not any(map(alive, storm.processes()))
    finally:
        storm.close()


def test_a_child_that_is_killed_is_started_again(sqlite_jobs: Jobs) -> None:
    storm = Storm(sqlite_jobs, devices=("cpu",), step_seconds=0.1)
    try:
        storm.add(1)
        (job,) = storm.added
        wait_for(lambda: storm.status()[job] == "running" and any(map(alive, storm.processes())))
        (child,) = (pid for pid in storm.processes() if alive(pid))
        os.kill(child, signal.SIGKILL)
        wait_for(lambda: storm.over(), seconds=TAKEOVER_SECONDS)
        assert storm.check()["succeeded"] == 1
        told = [event.message for event in sqlite_jobs.queue.events(job, EVERYTHING).rows]
        assert any("SIGKILL" in message for message in told)
    finally:
        storm.close()
