"""Schemathesis takes our OpenAPI document at its word, and sends what it forbids as well."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
import schemathesis
from hypothesis import settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import response_schema_conformance

from http_serving import FixedCatalogue, Served, echo, serving
from tunewise.serving.engine.scripted import ScriptedChatEngine
from tunewise.serving.http.access import Access
from tunewise.serving.http.app import create_app
from tunewise.serving.jobs.routes_files import files_router
from tunewise.serving.jobs.routes_jobs import jobs_router
from tunewise.serving.jobs.service import open_jobs

EXAMPLES = 10
"""Requests for each route; which, is fixed."""
SERVING = Path(__file__).parents[3] / "docs" / "serving.md"
JOB = "/v1/fine_tuning/jobs/{job_id}"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """With files and jobs, on which nobody works."""
    jobs = open_jobs(home=tmp_path_factory.mktemp("jobs"))
    routers = jobs.routers(lambda: {"base": "base"})
    with serving(routers=routers, upload_paths=["/v1/files"]) as running:
        yield running
    jobs.close()


def document() -> dict[str, Any]:
    """What the same server says of itself. What stands behind its routes is not asked for that."""
    behind = cast("Any", None)
    app = create_app(
        catalogue=FixedCatalogue(),
        engine=ScriptedChatEngine(echo),
        access=Access(),
        routers=[files_router(behind), jobs_router(behind)],
    )
    return app.openapi()


DOCUMENT = document()
described = schemathesis.openapi.from_dict(DOCUMENT)


@described.parametrize()
@settings(max_examples=EXAMPLES, derandomize=True)
def test_no_request_makes_the_server_fail(case: schemathesis.Case, served: Served) -> None:
    case.call_and_validate(
        base_url=served.url, checks=[not_a_server_error, response_schema_conformance]
    )


def test_every_route_is_described(served: Served) -> None:
    with served.http() as http:
        told = http.get("/openapi.json").json()
    assert told == DOCUMENT
    assert set(told["paths"]) == {
        "/v1/chat/completions",
        "/v1/chat/completions/{id}/feedback",
        "/v1/embeddings",
        "/v1/files",
        "/v1/files/{file_id}",
        "/v1/files/{file_id}/content",
        "/v1/fine_tuning/jobs",
        JOB,
        *(f"{JOB}/{name}" for name in ("cancel", "checkpoints", "events", "pause", "resume")),
        f"{JOB}/verdict",
        "/v1/models",
        "/v1/models/{id}",
        "/health",
        "/ready",
        "/metrics",
    }
    page = SERVING.read_text("utf-8")
    assert [path for path in told["paths"] if path.removeprefix(f"{JOB}/") not in page] == []


def test_every_field_of_a_chat_request_says_what_it_does() -> None:
    schemas = DOCUMENT["components"]["schemas"]
    fields = schemas["ChatCompletionRequest"]["properties"]
    assert [name for name, field in fields.items() if not field.get("description")] == []
    function = schemas["ToolFunction"]["properties"]
    assert "tool_choice" in function["parameters"]["description"]
    form = DOCUMENT["paths"]["/v1/files"]["post"]["requestBody"]["content"]
    assert set(form["multipart/form-data"]["schema"]["properties"]) == {"file", "purpose"}
