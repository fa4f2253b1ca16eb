"""`tunewise keys` and what `tunewise serve` says before it loads anything."""

import json
import socket
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from tunewise.cli import app
from tunewise.cli_serve import ScopeName
from tunewise.errors import UserError
from tunewise.serving.keys import SCOPES, KeyFile


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    monkeypatch.setenv("TUNEWISE_HOME", str(tmp_path))
    return tmp_path


def run(*words: str) -> Result:
    return CliRunner().invoke(app, [*words], catch_exceptions=True)


def test_a_new_keys_secret_is_all_that_stdout_holds(home: Path) -> None:
    made = run("keys", "new", "shop", "--scope", "chat", "--scope", "jobs")
    key = KeyFile(home / "keys.json").find(made.stdout.strip())
    assert key is not None
    assert (key.name, key.scopes) == ("shop", ("chat", "jobs"))
    assert "shown once" in made.stderr


def test_every_scope_can_be_asked_for() -> None:
    assert tuple(ScopeName) == SCOPES


def test_a_key_may_chat_unless_more_is_said(home: Path) -> None:
    run("keys", "new", "shop")
    (key,) = KeyFile(home / "keys.json").keys()
    assert key.scopes == ("chat",)


def test_keys_are_listed_without_anything_secret(home: Path) -> None:
    assert "no key yet" in run("keys", "list").stdout
    run("keys", "new", "shop")
    run("keys", "new", "boss", "--scope", "admin")
    run("keys", "rotate", "boss")
    listed = run("keys", "list").stdout.splitlines()
    assert [line.split("  ")[:2] for line in listed] == [["shop", "chat"], ["boss", "admin"]]
    assert ["made" in listed[0], "rotated" in listed[1]] == [True, True]
    document = json.loads(run("keys", "list", "--json").stdout)
    assert [one["name"] for one in document] == ["shop", "boss"]
    assert "sha256" not in str(document)


def test_a_key_is_rotated_and_removed(home: Path) -> None:
    keys = KeyFile(home / "keys.json")
    old = run("keys", "new", "shop").stdout.strip()
    new = run("keys", "rotate", "shop", "--keep-old", "1").stdout.strip()
    assert [keys.find(one) is not None for one in (old, new)] == [True, True]
    newest = run("keys", "rotate", "shop").stdout.strip()
    assert [keys.find(one) is not None for one in (old, new, newest)] == [False, False, True]
    assert run("keys", "rm", "shop").exit_code == 0
    assert keys.find(newest) is None


def test_a_key_that_is_not_there_is_an_error() -> None:
    for words in (("rotate", "nobody"), ("rm", "nobody")):
        assert isinstance(run("keys", *words).exception, UserError)


def test_a_scope_that_is_none_is_wrong_usage() -> None:
    assert run("keys", "new", "shop", "--scope", "root").exit_code == 2


def test_a_port_in_use_is_one_sentence() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        failed = run("serve", "--port", str(port)).exception
    assert isinstance(failed, UserError)
    assert failed.exit_code == 1
    assert str(failed).startswith(f"Port {port} of 127.0.0.1 is in use.")


def test_other_addresses_need_a_key_first() -> None:
    failed = run("serve", "--host", "0.0.0.0", "--port", "0").exception
    assert isinstance(failed, UserError)
    assert "tunewise keys new" in str(failed)


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (("--backend", "gpu:8000"), "Write it like http://"),
        (("--backend", "http://gpu:8000", "--backend-adapters", "models"), "absolute path"),
        (("--backend-adapters", "/srv/models"), "Name it with --backend"),
    ],
)
def test_a_back_end_that_is_none_is_told_before_anything_begins(
    words: tuple[str, ...], wanted: str
) -> None:
    failed = run("serve", "--port", "0", *words).exception
    assert isinstance(failed, UserError)
    assert wanted in str(failed)


def test_a_missing_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tunewise.serving.extra.PACKAGES", ("json", "no_such_package"))
    failed = run("serve").exception
    assert isinstance(failed, UserError)
    assert "pip install 'tunewise[serve]'" in str(failed)
