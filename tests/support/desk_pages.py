"""The pages over folders of a test, asked without a network."""

from pathlib import Path

from starlette.testclient import TestClient

from http_serving import FixedCatalogue, echo
from tunewise.desk.router import pages_of
from tunewise.runs.registry import Registry
from tunewise.serving.engine.scripted import ScriptedChatEngine
from tunewise.serving.http.access import Access
from tunewise.serving.http.app import create_app
from tunewise.serving.start import Shared

ORIGIN = {"origin": "http://localhost"}
"""What a browser sends beside what changes something."""


def desk_client(
    *folders: Path, access: Access | None = None, registry: Registry | None = None
) -> TestClient:
    """A browser without scripts. It follows redirects only where it is told to."""
    catalogue, engine = FixedCatalogue(), ScriptedChatEngine(echo)
    access = access or Access()
    shared = Shared(
        registry=registry or Registry(), catalogue=catalogue, engine=engine, access=access
    )
    app = create_app(
        catalogue=catalogue, engine=engine, access=access, routers=[pages_of(folders)(shared)]
    )
    return TestClient(app, base_url="http://localhost", follow_redirects=False)
