"""`python -m eshop start`: what wins is named and answers, with the real command."""

import json
import socket
import subprocess
import sys
from pathlib import Path

import openai
import pytest
from eshop import start
from eshop.errors import DeskError
from eshop.settings import Function, Functions, Settings
from eshop.start import choose_models, served, table, with_models

from decide_projects import decide, write_jsonl
from tunewise.pipelines.publish import publish
from tunewise.progress import Silent
from tunewise.runs.registry import Registry

PROJECT = """
[task]
instruction = "Sort it."
kind = "classification"
[data]
examples = "rows.jsonl"
[contenders]
use = ["constant", "classifier"]
[decision]
measure = []
"""
QUIET = str


@pytest.fixture(autouse=True)
def nothing_ships(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(start, "SHIPPED", tmp_path / "models")


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """A desk whose labels a small project teaches; the other functions are off."""
    project = tmp_path / "triage"
    project.mkdir()
    words = {"refund": "my money back", "delivery": "where is the parcel"}
    rows = [
        {"input": f"{text}, please, order {n}", "output": label}
        for n in range(60)
        for label, text in words.items()
    ]
    write_jsonl(project / "rows.jsonl", rows)
    (project / "tunewise.toml").write_text(PROJECT, "utf-8")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    triage = Function(model="smollm2-135m-instruct", project=Path("triage"), instruct=True)
    return Settings(
        folder=tmp_path,
        server=f"http://127.0.0.1:{port}/v1",
        functions=Functions(triage=triage),
    )


def test_what_has_no_verdict_is_decided_and_the_winner_answers_under_an_alias(
    settings: Settings, tmp_path: Path
) -> None:
    said: list[str] = []
    chosen = choose_models(settings, quick=False, say=said.append)
    assert said == ["triage: triage has no verdict yet; tunewise decide begins"]
    triage = next(one for one in chosen if one.name == "triage")
    assert triage.function == Function(model="triage@production", project=Path("triage"))
    assert "triage@production" in "\n".join(table(chosen))
    version = Registry().resolve("triage@production")
    assert json.loads((version.folder / "model.json").read_text())["kind"] == "classifier"
    assert with_models(settings, chosen).functions.triage.model == "triage@production"
    assert with_models(settings, chosen).functions.reply == settings.functions.reply

    again = choose_models(settings, quick=False, say=said.append)
    assert len(said) == 1, "what is decided is not decided again"
    assert again == chosen
    assert Registry().resolve("triage@production").id == version.id


def test_quick_decides_nothing(settings: Settings, tmp_path: Path) -> None:
    chosen = choose_models(settings, quick=True, say=QUIET)
    assert with_models(settings, chosen) == settings
    assert not (tmp_path / "triage" / "runs").exists()


def test_quick_takes_the_model_that_ships(settings: Settings, tmp_path: Path) -> None:
    run = decide(tmp_path / "triage")
    version = publish(run, name="other", registry=Registry(), progress=Silent())
    shipped = tmp_path / "models" / "triage"
    shipped.parent.mkdir()
    version.folder.rename(shipped)
    (tmp_path / "triage" / "runs").rename(tmp_path / "elsewhere")
    chosen = choose_models(settings, quick=True, say=QUIET)
    assert chosen[0].why == "comes with the desk"
    assert chosen[0].function.model == "triage@production"


def test_a_project_with_faults_stops_it_with_their_words(
    settings: Settings, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "triage" / "rows.jsonl").write_text("{broken\n", "utf-8")
    with pytest.raises(DeskError, match="tunewise decide ended with 1"):
        choose_models(settings, quick=False, say=QUIET)
    assert "rows.jsonl:1" in capfd.readouterr().err


@pytest.mark.slow
def test_the_server_is_there_until_the_desk_is_closed(settings: Settings) -> None:
    chosen = choose_models(settings, quick=False, say=QUIET)
    with served(settings, say=QUIET):
        client = openai.OpenAI(base_url=settings.server, api_key="none")
        asked = [{"role": "user", "content": "I want my money back"}]
        model = with_models(settings, chosen).functions.triage.model
        got = client.chat.completions.create(model=str(model), messages=asked)  # type: ignore[arg-type]
        assert got.choices[0].message.content == "refund"
        said: list[str] = []
        with served(settings, say=said.append):
            assert "is asked" in said[0]
    with pytest.raises(openai.APIConnectionError):
        client.with_options(max_retries=0).models.list()


def test_the_command_tells_what_is_wrong_without_a_traceback(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "eshop", "--settings", str(tmp_path / "no.toml"), "start"],
        check=False,
        capture_output=True,
        text=True,
        cwd=Path(start.__file__).parents[1],
    )
    assert done.returncode == 1
    assert "no.toml" in done.stderr
    assert "Traceback" not in done.stderr
