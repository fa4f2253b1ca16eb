"""The starter model learns to sort the mail of the example, through the API, whatever is killed."""

import json
import os
import signal
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from openai import OpenAI, OpenAIError

from job_rows import jsonl
from served_jobs import alive, children_of, client_at, free_port, wait_for
from tunewise.models.catalog import LocalModel

EXAMPLE = Path(__file__).parents[3] / "examples" / "support_triage"
ROWS = 80
"""Enough for an interval, and for the training to take a minute."""


@pytest.mark.slow
def test_a_job_makes_the_starter_better_than_it_was_though_everything_is_killed(
    starter: LocalModel, tmp_path: Path
) -> None:
    rows = triage_rows()
    with started(starter, tmp_path) as (server, client):
        file = client.files.create(file=("triage.jsonl", jsonl(rows)), purpose="fine-tune")
        job = client.fine_tuning.jobs.create(
            model=starter.name,
            training_file=file.id,
            suffix="triage",
            hyperparameters={"n_epochs": 1},
        )

        def steps() -> int:
            events = client.fine_tuning.jobs.list_events(job.id, limit=100).data
            return sum(event.type == "metrics" for event in events)

        wait_for(lambda: steps() >= 4)
        (worker,) = [pid for pid in children_of(server.pid) if b"worker" in command_of(pid)]
        (training,) = children_of(worker)
        os.kill(server.pid, signal.SIGKILL)
        wait_for(lambda: not alive(worker) and not alive(training), seconds=30)
    with started(starter, tmp_path) as (_, client):
        wait_for(lambda: client.fine_tuning.jobs.retrieve(job.id).finished_at is not None)
        done = client.fine_tuning.jobs.retrieve(job.id)
        assert done.status == "succeeded", done.error
        verdict: Any = client.get(f"/fine_tuning/jobs/{job.id}/verdict", cast_to=object)
        assert verdict["finding"] == "better", verdict["sentence"]
        assert verdict["comparison"]["low"] > 0.0
        assert done.fine_tuned_model is not None
        asked = rows[0]["messages"][:2]
        given = client.chat.completions.create(model=done.fine_tuned_model, messages=asked)
        assert set(json.loads(given.choices[0].message.content or "")) == {
            "category",
            "urgency",
            "sentiment",
            "product",
        }
        assert given.model == "triage@1"
        assert done.fine_tuned_model in [model.id for model in client.models.list()]
    assert "Traceback" not in (tmp_path / "home" / "jobs" / "worker.log").read_text()


def command_of(pid: int) -> bytes:
    return Path(f"/proc/{pid}/cmdline").read_bytes()


def triage_rows() -> list[dict[str, Any]]:
    """Rows of the example as OpenAI's API takes them."""
    task = tomllib.loads((EXAMPLE / "tunewise.toml").read_text("utf-8"))["task"]
    lines = (EXAMPLE / "examples.jsonl").read_text("utf-8").splitlines()
    lines = sorted(lines, key=len)[:ROWS]  # the short ones: time is dear
    return [
        {
            "messages": [
                {"role": "system", "content": task["instruction"]},
                {"role": "user", "content": row["input"]},
                {"role": "assistant", "content": json.dumps(row["output"])},
            ]
        }
        for row in map(json.loads, lines)
    ]


@contextmanager
def started(
    starter: LocalModel, folder: Path
) -> Iterator[tuple["subprocess.Popen[bytes]", OpenAI]]:
    """`tunewise serve` with its worker, once it answers."""
    port = free_port()
    words = [sys.executable, "-m", "tunewise", "serve", starter.name, "--port", str(port)]
    with (folder / "serve.log").open("ab") as log:
        server = subprocess.Popen(
            words,
            env={**os.environ, "TUNEWISE_HOME": str(folder / "home"), "HF_HUB_OFFLINE": "1"},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        with client_at(port) as client:

            def answers() -> bool:
                assert server.poll() is None, (folder / "serve.log").read_text()
                try:
                    return bool(client.models.list().data)
                except OpenAIError:
                    return False

            wait_for(answers)
            yield server, client
    finally:
        if server.poll() is None:
            server.send_signal(signal.SIGTERM)
        server.wait(60)
