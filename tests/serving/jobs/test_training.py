"""Real trainings of the small model, from upload to a model in the registry."""

import json
import os
import re
import signal
from collections.abc import Generator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from openai import OpenAI
from openai.types.fine_tuning import FineTuningJob

import small_models
from job_rows import chat_rows, jsonl, pair_rows
from served_jobs import (
    alive,
    awaits,
    children_of,
    end,
    served,
    start_worker_process,
    wait_for,
)
from tunewise.exporting.bundle import read_bundle
from tunewise.models.adapters import check_adapter
from tunewise.models.catalog import open_model
from tunewise.progress import Silent
from tunewise.runs.registry import Registry
from tunewise.serving.jobs.service import Jobs, open_jobs

OVER = ("succeeded", "failed", "cancelled")


def lines_of(file: Path) -> list[str]:
    """Lines of a file that hold something."""
    return [line for line in file.read_text("utf-8").split("\n") if line.strip()]


@dataclass
class Service:
    """A server, its client, and workers that a test may kill."""

    client: OpenAI
    jobs: Jobs
    cache: Path
    worker: Any = None

    def start(self) -> None:
        self.worker = start_worker_process(self.jobs.home, cache=self.cache)

    def create(self, rows: list[dict[str, Any]], **more: Any) -> FineTuningJob:
        upload = ("rows.jsonl", jsonl(rows))
        file = self.client.files.create(file=upload, purpose="fine-tune")
        given = {"model": "small", "training_file": file.id, **more}
        return self.client.fine_tuning.jobs.create(**given)

    def find(self, job: FineTuningJob) -> FineTuningJob:
        return self.client.fine_tuning.jobs.retrieve(job.id)

    def finished(self, job: FineTuningJob) -> FineTuningJob:
        wait_for(lambda: self.find(job).status in OVER)
        found = self.find(job)
        log = self.jobs.places.log(job.id)
        assert found.status == "succeeded", f"{found.error} {log.read_text()[-2000:]}"
        return found

    def told(self, job: FineTuningJob) -> list[str]:
        """In the order in which it was told."""
        events = list(self.client.fine_tuning.jobs.list_events(job.id, limit=100))
        return [event.message for event in events[::-1]]

    def steps(self, job: FineTuningJob) -> list[int]:
        events = self.client.fine_tuning.jobs.list_events(job.id, limit=100)
        return [e.data["step"] for e in events if isinstance(e.data, dict) and "step" in e.data]

    def halted(self, job: FineTuningJob) -> int:
        """The process of a training that stands still after some steps: however fast the machine
        is, it is in the middle of its work, until it gets SIGCONT."""
        wait_for(lambda: len(self.steps(job)) >= 3)
        (child,) = children_of(self.worker.pid)
        os.kill(child, signal.SIGSTOP)
        assert self.find(job).status == "running"
        return child

    def verdict(self, job: FineTuningJob) -> Mapping[str, Any]:
        found: Any = self.client.get(f"/fine_tuning/jobs/{job.id}/verdict", cast_to=object)
        return found


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The small model's folder, and a cache that one test fills for the others."""
    hub = tmp_path_factory.mktemp("hub")
    model = small_models.build(hub / "small-mistral", family="mistral")
    return model, tmp_path_factory.mktemp("cache")


@pytest.fixture
def service(
    places: tuple[Path, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Generator[Service]:
    model, cache = places
    monkeypatch.setenv("TUNEWISE_CACHE", str(cache))
    monkeypatch.setenv("TUNEWISE_HOME", str(tmp_path / "data"))
    jobs = open_jobs()
    with served(jobs, {"small": str(model)}) as client:
        running = Service(client, jobs, cache)
        try:
            running.start()
            yield running
        finally:
            end(running.worker)
            jobs.close()


def test_a_job_trains_a_model_and_proves_what_that_brought(
    service: Service, places: tuple[Path, Path]
) -> None:
    job = service.create(
        chat_rows(90),
        suffix="Mail 2",
        hyperparameters={"n_epochs": 2, "batch_size": 8, "learning_rate_multiplier": 0.5},
    )
    done = service.finished(job)

    name = done.fine_tuned_model
    assert name == f"ft:small:tunewise:Mail-2:{job.id.removeprefix('ftjob-')}"
    version = Registry().resolve(name)
    assert version.name == "mail-2"
    bundle = read_bundle(version.folder)
    bundle.check()
    assert bundle.adapter is not None
    check_adapter(bundle.adapter, open_model(str(places[0]), progress=Silent()))

    verdict = service.verdict(job)
    assert verdict["kind"] == "held_out_comparison"
    assert verdict["finding"] in ("better", "worse", "no_difference_shown")
    assert verdict["comparison"]["low"] <= verdict["comparison"]["delta"]
    assert verdict["n_test"] >= 20
    assert verdict["test_set_uses"] == 1
    told = service.told(job)
    assert verdict["sentence"] in told
    assert told[-1] == "The job has successfully completed"
    assert any("stay sealed" in line for line in told)
    assert str(service.jobs.home) not in json.dumps(told)

    steps = service.steps(job)
    assert sorted(steps) == list(range(1, max(steps) + 1))
    table = service.client.files.content(done.result_files[0]).text.splitlines()
    assert table[0] == "step,train_loss,train_accuracy,valid_loss,valid_mean_token_accuracy"
    assert [int(line.split(",")[0]) for line in table[1:]] == sorted(steps)
    assert done.trained_tokens is not None
    assert done.trained_tokens > 0
    assert done.hyperparameters.n_epochs == 2
    checkpoints = service.client.fine_tuning.jobs.checkpoints.list(job.id).data
    assert [one.step_number for one in checkpoints] == [max(steps), max(steps) // 2]
    for one in checkpoints:
        assert Registry().resolve(one.fine_tuned_model_checkpoint).folder.is_dir()
        assert one.metrics.train_loss is not None
        assert one.metrics.valid_loss is None


@pytest.mark.slow
def test_a_training_whose_worker_is_killed_is_taken_up_by_the_next(service: Service) -> None:
    job = service.create(chat_rows(90), hyperparameters={"n_epochs": 3, "batch_size": 2})
    child = service.halted(job)
    end(service.worker)  # SIGKILL, and it leaves no process
    wait_for(lambda: not alive(child), seconds=10)
    kept = max(service.steps(job))
    service.start()
    service.finished(job)
    steps = service.steps(job)
    assert max(steps) > kept
    assert sorted(steps) == list(range(1, max(steps) + 1))
    assert service.told(job).count("The job has successfully completed") == 1
    assert len(service.client.fine_tuning.jobs.checkpoints.list(job.id).data) == 3


@pytest.mark.slow
def test_a_job_learns_from_pairs_and_proves_it_on_others(service: Service) -> None:
    job = service.create(
        pair_rows(100),
        method={"type": "dpo", "dpo": {"hyperparameters": {"n_epochs": 1, "beta": 0.2}}},
    )
    done = service.finished(job)
    assert done.fine_tuned_model is not None
    verdict = service.verdict(job)
    assert verdict["metric"] == "prefers_the_chosen_answer"
    assert verdict["n_test"] == 30
    project = service.jobs.places.project(job.id)
    learnt, held = (
        {json.loads(line)["input"]["messages"][0]["content"] for line in lines_of(file)}
        for file in (project / "pairs.jsonl", project / "held_out_pairs.jsonl")
    )
    assert not learnt & held
    assert len(learnt | held) == 100


@pytest.mark.slow
def test_a_paused_training_goes_on_from_its_last_step(service: Service) -> None:
    job = service.create(chat_rows(90), hyperparameters={"n_epochs": 3, "batch_size": 2})
    child = service.halted(job)
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(service.client.fine_tuning.jobs.pause, job.id)
        wait_for(lambda: awaits(child, signal.SIGTERM))
        os.kill(child, signal.SIGCONT)
        assert asked.result().status == "paused"
    assert not alive(child)
    kept = max(service.steps(job))
    service.client.fine_tuning.jobs.resume(job.id)
    wait_for(lambda: max(service.steps(job)) > kept)
    found = (re.search(r"after step (\d+)", line) for line in service.told(job))
    assert max((int(one[1]) for one in found if one), default=0) >= kept


@pytest.mark.slow
def test_a_cancelled_training_ends_and_the_next_one_begins_after_it(service: Service) -> None:
    job = service.create(chat_rows(90), hyperparameters={"n_epochs": 50, "batch_size": 4})
    after = service.create(chat_rows(90), hyperparameters={"n_epochs": 1})
    child = service.halted(job)
    with ThreadPoolExecutor(1) as pool:
        asked = pool.submit(service.client.fine_tuning.jobs.cancel, job.id)
        wait_for(lambda: awaits(child, signal.SIGTERM))
        os.kill(child, signal.SIGCONT)
        assert asked.result().status == "cancelled"
    assert not alive(child)
    wait_for(lambda: service.steps(after))
    assert Registry().content().resolve(str(service.find(job).fine_tuned_model)) is None


@pytest.mark.slow
def test_rows_that_cannot_be_trained_on_end_the_job_with_their_lines(service: Service) -> None:
    rows = chat_rows(60)
    rows[3]["messages"][2]["content"] = ""
    job = service.create(rows)
    wait_for(lambda: service.find(job).status in OVER)
    error = service.find(job).error
    assert error is not None
    assert error.code == "invalid_training_file"
    assert "training.jsonl:4" in error.message


@pytest.mark.slow
def test_the_verdict_of_decide_names_the_model_of_its_job(service: Service) -> None:
    job = service.create(
        chat_rows(120),
        suffix="sorted",
        method={"type": "decide", "decide": {"contenders": ["constant", "classifier"]}},
    )
    done = service.finished(job)
    verdict = service.verdict(job)
    assert verdict["kind"] == "decide"
    assert verdict["recommended"] == "classifier"
    version = Registry().resolve(str(done.fine_tuned_model))
    assert read_bundle(version.folder).model.kind == "classifier"
    assert verdict["reason"] in service.told(job)
