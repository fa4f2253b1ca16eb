"""Schemathesis takes our OpenAPI document at its word, and sends what it forbids as well."""

from collections.abc import Iterator

import pytest
import schemathesis
from hypothesis import settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import response_schema_conformance

from http_serving import Served, serving

EXAMPLES = 25
"""Requests for each route; which, is fixed."""


@pytest.fixture(scope="module")
def served() -> Iterator[Served]:
    with serving() as running:
        yield running


@pytest.fixture(scope="module")
def document(served: Served) -> object:
    return schemathesis.openapi.from_url(f"{served.url}/openapi.json")


described = schemathesis.pytest.from_fixture("document")


@described.parametrize()
@settings(max_examples=EXAMPLES, derandomize=True)
def test_no_request_makes_the_server_fail(case: schemathesis.Case) -> None:
    case.call_and_validate(checks=[not_a_server_error, response_schema_conformance])


def test_every_route_is_described(served: Served) -> None:
    with served.http() as http:
        described = http.get("/openapi.json").json()
    assert set(described["paths"]) == {
        "/v1/chat/completions",
        "/v1/embeddings",
        "/v1/models",
        "/v1/models/{id}",
        "/health",
        "/ready",
        "/metrics",
    }
