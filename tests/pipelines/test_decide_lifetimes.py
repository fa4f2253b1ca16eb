"""What `decide` opens is closed, whatever goes wrong on the way."""

from collections.abc import Callable, Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest
from filelock import FileLock

from chat_endpoint import Endpoint, refusal
from decide_projects import decide, labelled, opened, right_when, write_project
from tunewise.errors import UserError
from tunewise.models.engines.open import EngineOpener, Opened
from tunewise.models.engines.openai import OpenAIEngine
from tunewise.models.engines.scripted import ScriptedEngine
from tunewise.runs import folder as run_folder
from tunewise.runs.folder import state_of

USE = """[contenders]
use = ["constant", "zero_shot"]
"""


class Closable(ScriptedEngine):
    """An engine that remembers how often it was closed."""

    closed = 0

    def close(self) -> None:
        self.closed += 1
        super().close()


@pytest.fixture
def engine() -> Closable:
    return Closable(right_when(lambda request: 0.6))


@pytest.fixture
def endpoints() -> Iterator[tuple[Endpoint, Endpoint]]:
    found = Endpoint(), Endpoint()
    yield found
    for one in found:
        one.server.shutdown()
        one.server.server_close()


@pytest.fixture
def clients(monkeypatch: pytest.MonkeyPatch) -> dict[str, bool]:
    """Address of each endpoint that was opened -> whether it was closed."""
    found = dict[str, bool]()
    make, close = OpenAIEngine.__init__, OpenAIEngine.close

    def made(self: OpenAIEngine, **settings: object) -> None:
        make(self, **settings)  # type: ignore[arg-type]
        found[self.base_url] = False

    def closed(self: OpenAIEngine) -> None:
        close(self)
        found[self.base_url] = True

    monkeypatch.setattr(OpenAIEngine, "__init__", made)
    monkeypatch.setattr(OpenAIEngine, "close", closed)
    return found


@pytest.fixture
def project(tmp_path: Path, endpoints: tuple[Endpoint, Endpoint]) -> Path:
    tables = [
        f'[contenders.{name}]\ntype = "openai"\nmodel = "m"\nbase_url = "{one.url}"\n'
        for name, one in zip(("first", "second"), endpoints, strict=True)
    ]
    return write_project(tmp_path / "project", labelled(60), USE + "".join(tables))


def test_an_endpoint_that_refuses_leaves_none_open(
    project: Path, endpoints: tuple[Endpoint, Endpoint], clients: dict[str, bool], engine: Closable
) -> None:
    endpoints[1].reply = lambda asked: refusal(401, "no")
    with pytest.raises(UserError, match="refuses the key"):
        decide(project, opener=opened(engine))
    assert clients == dict.fromkeys((one.url for one in endpoints), True)


def test_a_model_that_cannot_be_opened_leaves_no_endpoint_open(
    project: Path, clients: dict[str, bool]
) -> None:
    def broken(settings: object, *, progress: object) -> Opened:
        raise UserError("no such model")

    with pytest.raises(UserError, match="no such model"):
        decide(project, opener=broken)
    assert list(clients.values()) == [True, True]


def test_a_run_folder_in_use_leaves_no_engine_open(
    project: Path, clients: dict[str, bool], engine: Closable
) -> None:
    out = project / "run"
    out.mkdir()
    with FileLock(out / ".lock"), pytest.raises(UserError, match="Another process"):
        decide(project, out=out, opener=opened(engine))
    assert list(clients.values()) == [True, True]
    assert engine.closed == 1


def full_disk(*given: object, **named: object) -> None:
    raise OSError(28, "No space left on device")


def fills_while_the_run_is_begun(monkeypatch: pytest.MonkeyPatch, out: Path) -> None:
    monkeypatch.setattr(run_folder, "write_text", full_disk)


def journal_of_the_engine_is_broken(monkeypatch: pytest.MonkeyPatch, out: Path) -> None:
    monkeypatch.setattr("tunewise.models.engines.cached.read_lines", full_disk)


def no_contender_can_be_built(monkeypatch: pytest.MonkeyPatch, out: Path) -> None:
    monkeypatch.setattr("tunewise.pipelines.decide.contender_set", full_disk)


def first_event_cannot_be_written(monkeypatch: pytest.MonkeyPatch, out: Path) -> None:
    monkeypatch.setattr(run_folder, "append_lines", full_disk)


@pytest.mark.parametrize(
    "fault",
    [
        fills_while_the_run_is_begun,
        journal_of_the_engine_is_broken,
        no_contender_can_be_built,
        first_event_cannot_be_written,
    ],
)
def test_a_fault_later_on_closes_engines_and_run(
    project: Path,
    clients: dict[str, bool],
    engine: Closable,
    monkeypatch: pytest.MonkeyPatch,
    fault: Callable[[pytest.MonkeyPatch, Path], None],
) -> None:
    out = project / "run"
    fault(monkeypatch, out)
    with pytest.raises(OSError, match="No space left") as caught:
        decide(project, out=out, opener=opened(engine))
    assert list(clients.values()) == [True, True]
    assert engine.closed == 1
    assert state_of(out) == "interrupted"  # while `caught` still holds what was open: not by chance
    assert caught.tb is not None


def test_a_run_that_ends_well_closes_everything_once(
    project: Path, clients: dict[str, bool], engine: Closable
) -> None:
    run = decide(project, opener=opened(engine))
    assert list(clients.values()) == [True, True]
    assert engine.closed == 1
    with FileLock(run / ".lock", blocking=False):
        pass


def test_a_warm_engine_serves_one_run_after_another(tmp_path: Path, engine: Closable) -> None:
    warm = Opened(engine=engine, model=None, why="it was open")
    opener: EngineOpener = lambda settings, *, progress: nullcontext(warm)  # noqa: E731 - typed
    for name in ("a", "b"):
        run = decide(write_project(tmp_path / name, labelled(60), USE), opener=opener)
        assert (run / "verdict.json").is_file()
    assert engine.closed == 0
