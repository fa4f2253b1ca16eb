"""Who is let in: every route is walked without a key, with a wrong one, from elsewhere."""

import socket
from collections.abc import Iterator
from pathlib import Path

import openai
import pytest
from fastapi import APIRouter, Request
from fastapi.routing import iter_route_contexts

from http_serving import FixedCatalogue, Served, echo, serving
from tunewise.errors import UserError
from tunewise.serving.engine.scripted import ScriptedChatEngine
from tunewise.serving.http.access import OPEN_PATHS, Access, access_for, key_of, needs
from tunewise.serving.http.app import create_app
from tunewise.serving.jobs.service import open_jobs
from tunewise.serving.keys import KeyFile

ASKED = [{"role": "user", "content": "hello"}]
jobs = APIRouter(prefix="/v1", dependencies=[needs("jobs")])


@jobs.get("/fine_tuning/jobs")
async def list_jobs(request: Request) -> dict[str, str | None]:
    """Stands for what other routers bring."""
    key = key_of(request)
    return {"key": None if key is None else key.name}


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> KeyFile:
    return KeyFile(tmp_path_factory.mktemp("home") / "keys.json")


@pytest.fixture(scope="module")
def secrets(keys: KeyFile) -> dict[str, str]:
    return {scope: keys.new(scope, [scope]).secret for scope in ("chat", "jobs", "admin")}


@pytest.fixture(scope="module")
def routers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[APIRouter]]:
    """All that a server has beside its own, and the one above."""
    opened = open_jobs(home=tmp_path_factory.mktemp("jobs"))
    yield [jobs, *opened.routers(dict)]
    opened.close()


@pytest.fixture(scope="module")
def served(keys: KeyFile, secrets: dict[str, str], routers: list[APIRouter]) -> Iterator[Served]:
    assert secrets
    access = access_for("127.0.0.1", keys=keys, require_key=True)
    with serving(access=access, routers=routers, upload_paths=["/v1/files"]) as running:
        yield running


@pytest.fixture(scope="module")
def open_served(routers: list[APIRouter]) -> Iterator[Served]:
    with serving(routers=routers, upload_paths=["/v1/files"]) as running:
        yield running


def every_route(served: Served) -> list[tuple[str, str]]:
    """Method and path of all there is, with what stands for nothing and for FastAPI's own."""
    routes = [
        (method, str(route.path).replace("{id:path}", "base"))
        for route in iter_route_contexts(served.server._server.config.app.routes)
        for method in sorted(route.methods or ())
    ]
    assert {"/v1/chat/completions", "/v1/files", "/v1/fine_tuning/jobs/{job_id}/cancel"} <= {
        path for _, path in routes
    }
    assert len(routes) >= 20, routes
    beside = ["/docs", "/redoc", "/", "/nothing", "/v1//models", "/v1/models/"]
    return [*routes, *(("GET", path) for path in beside), ("OPTIONS", "/v1/models")]


def status(served: Served, method: str, path: str, **headers: str) -> int:
    with served.http() as http:
        return http.request(method, path, headers=headers).status_code


@pytest.mark.parametrize(
    "authorization",
    [
        None,
        "Bearer tw-wrong",
        "Bearer",
        "Bearer ,",
        "Basic tw-wrong",
        "",
    ],
)
def test_no_route_answers_without_a_key_but_two(served: Served, authorization: str | None) -> None:
    headers = {} if authorization is None else {"Authorization": authorization}
    for method, path in every_route(served):
        wanted = 200 if path in OPEN_PATHS else 401
        assert status(served, method, path, **headers) == wanted, (method, path)


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example", "", "a@localhost", "x/y"]
)
def test_no_route_answers_to_a_foreign_host(
    served: Served, open_served: Served, secrets: dict[str, str], host: str
) -> None:
    for server, key in (
        (served, {"Authorization": f"Bearer {secrets['admin']}"}),
        (open_served, {}),
    ):
        for method, path in every_route(server):
            assert status(server, method, path, Host=host, **key) == 403, (method, path)


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "http://localhost", "http://127.0.0.1:1", "file://"]
)
def test_no_route_answers_a_page_of_another_site(open_served: Served, origin: str) -> None:
    for method, path in every_route(open_served):
        assert status(open_served, method, path, Origin=origin) == 403, (method, path)


def test_a_page_of_its_own_may_call(open_served: Served) -> None:
    assert status(open_served, "GET", "/v1/models", Origin=open_served.url) == 200
    named = f"localhost:{open_served.port}"
    own = {"Host": named, "Origin": f"http://{named}"}
    assert status(open_served, "GET", "/v1/models", **own) == 200


def test_no_page_is_allowed_by_cors(open_served: Served) -> None:
    with open_served.http() as http:
        got = http.get("/v1/models", headers={"Origin": open_served.url})
    assert [name for name in got.headers if name.startswith("access-control")] == []


def test_two_hosts_are_none(open_served: Served) -> None:
    with socket.create_connection(("127.0.0.1", open_served.port), timeout=30) as connection:
        connection.sendall(
            b"GET /health HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n"
            b"Connection: close\r\n\r\n"
        )
        assert connection.recv(4096).split()[1] in (b"400", b"403")


def test_the_path_that_is_looked_at_is_the_one_that_is_routed(served: Served) -> None:
    for path in ("/health/../v1/models", "/v1/models?/health", "/health%2f..%2fv1%2fmodels"):
        assert status(served, "GET", path) == 401, path
    assert status(served, "GET", "/v1/models", Host="localhost:1/health?") == 403


def test_on_loopback_any_key_is_taken(open_served: Served) -> None:
    assert open_served.client("anything").models.list().data
    assert status(open_served, "GET", "/v1/models") == 200
    assert status(open_served, "GET", "/metrics") == 200
    with open_served.http() as http:
        assert http.get("/v1/fine_tuning/jobs").json() == {"key": None}


def test_a_key_does_what_its_scope_says(served: Served, secrets: dict[str, str]) -> None:
    chat, jobs_, admin = (served.client(secrets[name]) for name in ("chat", "jobs", "admin"))
    for allowed in (chat, admin):
        assert allowed.chat.completions.create(model="base", messages=ASKED)  # type: ignore[arg-type]
    for one in (chat, jobs_, admin):
        assert one.models.list().data
    with pytest.raises(openai.PermissionDeniedError, match="scope `chat`") as refused:
        jobs_.chat.completions.create(model="base", messages=ASKED)  # type: ignore[arg-type]
    assert refused.value.code == "insufficient_scope"
    with pytest.raises(openai.PermissionDeniedError):
        jobs_.embeddings.create(model="all-minilm-l6-v2", input="a")
    with pytest.raises(openai.PermissionDeniedError, match="scope `jobs`"):
        chat.fine_tuning.jobs.list()
    with served.http(headers={"Authorization": f"Bearer {secrets['jobs']}"}) as http:
        assert http.get("/v1/fine_tuning/jobs").json() == {"key": "jobs"}
        assert http.get("/metrics").status_code == 200


def test_a_wrong_key_is_told_as_openai_tells_it(served: Served) -> None:
    with pytest.raises(openai.AuthenticationError) as refused:
        served.client("tw-nobody").models.list()
    assert refused.value.code == "invalid_api_key"
    assert refused.value.type == "authentication_error"
    assert "nobody" not in refused.value.message


def test_a_key_that_is_removed_or_rotated_is_worth_nothing_at_once(
    served: Served, keys: KeyFile
) -> None:
    made = keys.new("passing", ["chat"])
    assert served.client(made.secret).models.list().data
    renewed = keys.rotate("passing")
    assert served.client(renewed.secret).models.list().data
    for secret in (made.secret, "tw-"):
        with pytest.raises(openai.AuthenticationError):
            served.client(secret).models.list()
    keys.remove("passing")
    with pytest.raises(openai.AuthenticationError):
        served.client(renewed.secret).models.list()


def test_a_damaged_file_of_keys_lets_nobody_in(tmp_path: Path) -> None:
    keys = KeyFile(tmp_path / "keys.json")
    secret = keys.new("me", ["admin"]).secret
    with serving(access=access_for("127.0.0.1", keys=keys, require_key=True)) as running:
        (tmp_path / "keys.json").write_text("{")
        with pytest.raises(openai.InternalServerError):
            running.client(secret).models.list()
        assert status(running, "GET", "/health") == 200


def test_any_address_but_loopback_needs_a_key(tmp_path: Path) -> None:
    keys = KeyFile(tmp_path / "keys.json")
    for host in ("0.0.0.0", "::", "192.168.1.5", "box.example"):
        with pytest.raises(UserError, match="tunewise keys new"):
            access_for(host, keys=keys)
    for host in ("127.0.0.1", "localhost", "::1", "127.0.0.2"):
        assert access_for(host, keys=keys).keys is None
    with pytest.raises(UserError, match="--require-key"):
        access_for("127.0.0.1", keys=keys, require_key=True)
    keys.new("me", ["chat"])
    assert access_for("0.0.0.0", keys=keys).keys is keys


def test_elsewhere_numbers_and_given_names_are_known(tmp_path: Path) -> None:
    keys = KeyFile(tmp_path / "keys.json")
    keys.new("me", ["chat"])
    access = access_for("0.0.0.0", keys=keys, names=["Models.example"])
    assert [access.knows(host) for host in ("10.0.0.7", "::1", "models.example")] == [True] * 3
    assert not access.knows("evil.example")
    assert not access_for("127.0.0.1", keys=keys).knows("10.0.0.7")


def test_an_app_with_a_route_that_declares_nothing_is_not_built() -> None:
    careless = APIRouter()

    @careless.get("/v1/secret")
    async def secret() -> None: ...

    with pytest.raises(ValueError, match="/v1/secret does not declare"):
        create_app(
            catalogue=FixedCatalogue(),
            engine=ScriptedChatEngine(echo),
            access=Access(),
            routers=[careless],
        )
