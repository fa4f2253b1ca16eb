"""Schemathesis takes our OpenAPI document at its word, and sends what it forbids as well."""

from collections.abc import Iterator

import pytest
import schemathesis
from hypothesis import settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import response_schema_conformance

from http_serving import FixedCatalogue, Served, echo, serving
from tunewise.serving.engine.scripted import ScriptedChatEngine
from tunewise.serving.http.access import Access
from tunewise.serving.http.app import create_app

EXAMPLES = 25
"""Requests for each route; which, is fixed."""


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with serving() as running:
        yield running


described = schemathesis.openapi.from_dict(
    create_app(
        catalogue=FixedCatalogue(), engine=ScriptedChatEngine(echo), access=Access()
    ).openapi()
)


@described.parametrize()
@settings(max_examples=EXAMPLES, derandomize=True)
def test_no_request_makes_the_server_fail(case: schemathesis.Case, served: Served) -> None:
    case.call_and_validate(
        base_url=served.url, checks=[not_a_server_error, response_schema_conformance]
    )


def test_every_route_is_described(served: Served) -> None:
    with served.http() as http:
        document = http.get("/openapi.json").json()
    assert set(document["paths"]) == {
        "/v1/chat/completions",
        "/v1/chat/completions/{id}/feedback",
        "/v1/embeddings",
        "/v1/models",
        "/v1/models/{id}",
        "/health",
        "/ready",
        "/metrics",
    }
