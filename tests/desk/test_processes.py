"""Runs that a page begins: processes that outlive it, and can be found again."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from desk_pages import ORIGIN, desk_client
from tunewise.desk import spawn as spawn_module
from tunewise.desk.places import id_of
from tunewise.desk.processes import Processes
from tunewise.errors import UserError

SLEEPER = "import time; print('begun', flush=True); time.sleep(60)"


def until(true: Callable[[], object]) -> None:
    end = time.monotonic() + 60
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "shop"
    folder.mkdir()
    (folder / "tunewise.toml").write_text('[data]\nexamples = "rows.jsonl"\n')
    return folder


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[list[str]]]:
    """Instead of `tunewise` a process that sleeps; the words it was to be started with."""
    real, words, children = subprocess.Popen, list[list[str]](), list[subprocess.Popen[bytes]]()

    def sleeping(command: list[str], **options: object) -> subprocess.Popen[bytes]:
        words.append(command)
        children.append(real([sys.executable, "-c", SLEEPER], **options))  # type: ignore[call-overload]
        return children[-1]

    monkeypatch.setattr(spawn_module.subprocess, "Popen", sleeping)
    yield words
    for child in children:
        child.kill()
        child.wait()


def test_a_run_is_the_command_that_a_person_would_type(
    project: Path, tmp_path: Path, started: list[list[str]]
) -> None:
    run = Processes(tmp_path / "kept").begin(project, quick=True)
    assert run.parent == project / "runs" / "quick"
    assert started == [
        [sys.executable, "-m", "tunewise", "decide", str(project), "--out", str(run), "--quick"]
    ]


def test_a_server_that_comes_later_finds_it_and_stops_it(
    project: Path, tmp_path: Path, started: list[list[str]]
) -> None:
    first, later = Processes(tmp_path / "kept"), Processes(tmp_path / "kept")
    run = first.begin(project)
    until(lambda: first.log(run) == "begun")
    pid = later.pid_of(run)
    assert pid is not None
    assert os.getsid(pid) != os.getsid(0)
    with pytest.raises(UserError, match="already"):
        later.resume(run, project)
    later.stop(run)
    until(lambda: later.pid_of(run) is None)
    with pytest.raises(UserError, match="it is over"):
        later.stop(run)


def test_a_number_that_another_process_has_now_is_left_alone(
    project: Path, tmp_path: Path, started: list[list[str]]
) -> None:
    kept = Processes(tmp_path / "kept")
    run = kept.begin(project)
    file = tmp_path / "kept" / f"{id_of(run)}.json"
    begun = kept.begun(run)
    assert begun is not None
    file.write_text(file.read_text().replace(str(begun.created), str(begun.created - 1000.0)))
    assert kept.pid_of(run) is None
    with pytest.raises(UserError, match="it is over"):
        kept.stop(run)


def test_going_on_is_the_same_command_with_resume(
    project: Path, tmp_path: Path, started: list[list[str]]
) -> None:
    kept = Processes(tmp_path / "kept")
    run = kept.begin(project)
    pid = kept.pid_of(run)
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    until(lambda: kept.pid_of(run) is None)
    kept.resume(run, project)
    assert started[1] == started[0]  # its folder was never made: there is nothing to go on with
    kept.stop(run)
    until(lambda: kept.pid_of(run) is None)
    run.mkdir(parents=True)
    kept.resume(run, project)
    assert started[2] == [*started[0], "--resume"]


def test_a_run_of_a_terminal_goes_on_with_the_settings_it_kept(
    project: Path, tmp_path: Path, started: list[list[str]]
) -> None:
    run = project / "runs" / "first"
    run.mkdir(parents=True)
    Processes(tmp_path / "kept").resume(run, project)
    assert started[0][3:] == ["decide", str(run / "project.toml"), "--out", str(run), "--resume"]


def test_a_finished_run_is_not_gone_on_with(project: Path, tmp_path: Path) -> None:
    run = project / "runs" / "first"
    run.mkdir(parents=True)
    (run / "verdict.json").write_text("{}")
    with pytest.raises(UserError, match="is finished"):
        Processes(tmp_path / "kept").resume(run, project)


def test_a_page_begins_a_run_shows_it_before_its_folder_is_there_and_stops_it(
    project: Path, started: list[list[str]]
) -> None:
    client = desk_client(project)
    begun = client.post(f"/ui/projects/{id_of(project)}/decide", headers=ORIGIN)
    assert begun.status_code == 303
    course = begun.headers["location"]
    assert "Reading the rows" in client.get(course).text
    stopped = client.post(course.replace("/course", "/stop"), headers=ORIGIN)
    assert stopped.status_code == 303
    until(lambda: "Try again</button>" in client.get(course).text)


def test_why_a_run_ended_at_once_stands_on_its_page(project: Path) -> None:
    (project / "rows.jsonl").write_text('{"input": "a"')
    client = desk_client(project)
    course = client.post(f"/ui/projects/{id_of(project)}/decide", headers=ORIGIN).headers[
        "location"
    ]
    until(lambda: "It ended before the run began" in client.get(course).text)
    assert "rows.jsonl:1" in client.get(course).text


def test_a_folder_without_settings_begins_nothing(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"has no tunewise\.toml"):
        Processes(tmp_path / "kept").begin(tmp_path)
