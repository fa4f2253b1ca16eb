"""The pages over folders of a test, asked without a network."""

import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from fastapi import FastAPI
from starlette.testclient import TestClient

from http_serving import FixedCatalogue, echo
from tunewise.desk.router import pages_of
from tunewise.runs.registry import Registry
from tunewise.serving.engine.scripted import ScriptedChatEngine
from tunewise.serving.http.access import Access
from tunewise.serving.http.app import create_app
from tunewise.serving.http.server import Server, address_of, listen
from tunewise.serving.http.sessions import UPLOAD
from tunewise.serving.jobs.queue import JobQueue
from tunewise.serving.jobs.service import open_jobs
from tunewise.serving.keys import KeyFile, keys_file
from tunewise.serving.start import Shared

ORIGIN = {"origin": "http://localhost"}
"""What a browser sends beside what changes something."""


def desk_app(
    *folders: Path,
    access: Access | None = None,
    registry: Registry | None = None,
    jobs: JobQueue | None = None,
    examples: Sequence[Path] = (),
) -> FastAPI:
    """A server with pages."""
    catalogue, engine = FixedCatalogue(), ScriptedChatEngine(echo)
    access = access or Access()
    shared = Shared(
        registry=registry or Registry(),
        catalogue=catalogue,
        engine=engine,
        access=access,
        jobs=jobs or open_jobs().queue,
        keys=access.keys or KeyFile(keys_file()),
    )
    return create_app(
        catalogue=catalogue,
        engine=engine,
        access=access,
        routers=[pages_of(folders, examples=examples)(shared)],
        upload_paths=[UPLOAD],
    )


def desk_client(*folders: Path, **options: Any) -> TestClient:
    """A browser without scripts. It follows redirects only where it is told to."""
    app = desk_app(*folders, **options)
    return TestClient(app, base_url="http://localhost", follow_redirects=False)


@contextmanager
def desk_server(*folders: Path) -> Iterator[str]:
    """The same behind a socket of loopback, for a browser with scripts; its address."""
    app = desk_app(*folders)
    listening = listen("127.0.0.1", 0)
    server, started = Server(app, listening), threading.Event()
    thread = threading.Thread(target=lambda: server.run(on_start=started.set))
    thread.start()
    try:
        assert started.wait(30)
        yield address_of(listening)
    finally:
        server.stop()
        thread.join(30)
    assert not thread.is_alive()
