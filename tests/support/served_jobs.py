"""The fine-tuning API as a client meets it: real routes in a real server, on loopback.

Run as a script it serves until it is killed: `served_jobs.py HOME PORT NAME=SOURCE ...`.
"""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import uvicorn
from fastapi import FastAPI
from openai import OpenAI

from tunewise.serving.http.access import Access, Guard
from tunewise.serving.http.errors import install_handlers
from tunewise.serving.jobs.service import Jobs, open_jobs

PATIENCE = 900.0
"""Seconds that a test waits for a job at most."""


def app_of(jobs: Jobs, bases: Mapping[str, str]) -> FastAPI:
    """The routes of files and jobs, with the errors and the door of the real server."""
    app = FastAPI()
    install_handlers(app)
    for router in jobs.routers(lambda: bases):
        app.include_router(router)
    app.add_middleware(Guard, access=Access())
    return app


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def client_at(port: int) -> OpenAI:
    """The official client, unmodified."""
    return OpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key="any", max_retries=0)


@contextmanager
def served(jobs: Jobs, bases: Mapping[str, str]) -> Generator[OpenAI]:
    """A client of a server in a thread of this process."""
    port = free_port()
    config = uvicorn.Config(app_of(jobs, bases), host="127.0.0.1", port=port, log_level="warning")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    wait_for(lambda: server.started)
    try:
        with client_at(port) as client:
            yield client
    finally:
        server.should_exit = True
        thread.join(30)


def wait_for(done: object, *, seconds: float = PATIENCE) -> None:
    """Until it says so. Asks ever less often: a training beside it needs the processor, too."""
    assert callable(done)
    end, pause = time.monotonic() + seconds, 0.01
    while not done():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(pause)
        pause = min(pause * 1.2, 0.25)


def start_worker_process(
    home: Path,
    *,
    cache: Path | None,
    database: str | None = None,
    program: str | None = None,
    more: Sequence[str] = (),
) -> "subprocess.Popen[bytes]":
    """A worker in a process of its own, as a person starts it; or a program instead."""
    words = ["worker", "--home", str(home), "--device", "cpu"]
    if database is not None:
        words += ["--database", database]
    command = [sys.executable, "-m", "tunewise", *words]
    if program is not None:
        command = [sys.executable, program, *more]
    variables = {} if cache is None else {"TUNEWISE_CACHE": str(cache)}
    log = (home.parent / "worker.err").open("ab")
    with log:
        return subprocess.Popen(
            command,
            env={**os.environ, **variables, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )


def end(process: "subprocess.Popen[bytes]", number: int = signal.SIGKILL) -> None:
    """Sends a signal and waits."""
    if process.poll() is None:
        process.send_signal(number)
    process.wait(60)


def alive(pid: int) -> bool:
    """Whether a process is there and no zombie."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def awaits(pid: int, number: int) -> bool:
    """Whether a signal lies before a process that stands still, and takes it when it goes on."""
    status = Path(f"/proc/{pid}/status").read_text()
    pending = next(line for line in status.splitlines() if line.startswith("ShdPnd:"))
    return bool(int(pending.split()[1], 16) >> (number - 1) & 1)


def children_of(pid: int) -> list[int]:
    try:
        return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except FileNotFoundError:
        return []


def main() -> None:
    home, port, *bases = sys.argv[1:]
    jobs = open_jobs(home=Path(home))
    named = dict(one.split("=", 1) for one in bases)
    uvicorn.run(app_of(jobs, named), host="127.0.0.1", port=int(port), log_level="warning")


if __name__ == "__main__":
    main()
