"""Keys are random, kept as hashes in a file of one's own, and can be renewed."""

import hashlib
import hmac
import json
import stat
from datetime import UTC, datetime, timedelta
from hmac import compare_digest
from pathlib import Path

import pytest

from tunewise.errors import UserError
from tunewise.serving.keys import KeyFile, keys_file

NOON = datetime(2026, 11, 30, 12, tzinfo=UTC)


class Clock:
    """A time that is set."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def keys(tmp_path: Path, clock: Clock) -> KeyFile:
    return KeyFile(tmp_path / "home" / "keys.json", clock=clock)


def test_a_secret_is_256_random_bits_and_never_kept(keys: KeyFile) -> None:
    made = [keys.new(f"key {n}", ["chat"]) for n in range(5)]
    assert len({one.secret for one in made}) == 5
    assert all(one.secret.startswith("tw-") and len(one.secret) == 46 for one in made)
    text = keys.path.read_text()
    assert not any(one.secret in text or one.secret[3:] in text for one in made)
    assert all(one.key.sha256 in text for one in made)


def test_only_its_owner_reads_the_file(keys: KeyFile) -> None:
    keys.new("me", ["chat"])
    keys.new("you", ["jobs"])
    assert stat.S_IMODE(keys.path.stat().st_mode) == 0o600
    assert stat.S_IMODE(keys.path.parent.stat().st_mode) == 0o700


def test_a_key_is_found_by_its_secret_alone(keys: KeyFile) -> None:
    secret = keys.new("me", ["jobs", "chat"]).secret
    found = keys.find(secret)
    assert found is not None
    assert (found.name, found.scopes, found.created) == ("me", ("chat", "jobs"), NOON)
    assert keys.find(secret[:-1]) is None
    assert keys.find("") is None
    assert keys.find(found.sha256) is None


def test_every_key_is_compared_whatever_is_shown(
    keys: KeyFile, monkeypatch: pytest.MonkeyPatch
) -> None:
    secrets = [keys.new(f"key {n}", ["chat"]).secret for n in range(3)]
    keys.rotate("key 1", keep_old=timedelta(hours=1))
    compared: list[tuple[str, str]] = []

    def compare(one: str, other: str) -> bool:
        compared.append((one, other))
        return compare_digest(one, other)

    monkeypatch.setattr(hmac, "compare_digest", compare)
    for shown in (secrets[0], secrets[2], "tw-wrong", ""):
        compared.clear()
        keys.find(shown)
        # The old secret of each as well, or that there is none.
        assert len(compared) == 6
        assert {one for one, _ in compared} == {hashlib.sha256(shown.encode()).hexdigest()}


def test_another_process_sees_a_change(keys: KeyFile) -> None:
    elsewhere = KeyFile(keys.path)
    assert elsewhere.keys() == ()
    secret = keys.new("me", ["chat"]).secret
    assert elsewhere.find(secret) is not None
    keys.remove("me")
    assert elsewhere.find(secret) is None


def test_the_secret_before_is_taken_for_as_long_as_was_said(keys: KeyFile, clock: Clock) -> None:
    old = keys.new("me", ["chat"]).secret
    new = keys.rotate("me", keep_old=timedelta(hours=2)).secret
    clock.now = NOON + timedelta(hours=1, minutes=59)
    assert [keys.find(one) is not None for one in (old, new)] == [True, True]
    clock.now = NOON + timedelta(hours=2)
    assert [keys.find(one) is not None for one in (old, new)] == [False, True]
    newest = keys.rotate("me").secret
    assert [keys.find(one) is not None for one in (old, new, newest)] == [False, False, True]


def test_admin_may_do_everything(keys: KeyFile) -> None:
    admin, chat = keys.new("a", ["admin"]).key, keys.new("c", ["chat"]).key
    assert admin.may(["chat"])
    assert admin.may(["jobs"])
    assert chat.may(["chat", "jobs"])
    assert not chat.may(["jobs"])
    assert not chat.may(["admin"])


@pytest.mark.parametrize("name", ["", " ", "a\nb", "a\x1b[1m"])
def test_a_name_is_a_printable_word(keys: KeyFile, name: str) -> None:
    with pytest.raises(UserError, match="needs a name"):
        keys.new(name, ["chat"])


def test_what_is_not_there_is_said(keys: KeyFile) -> None:
    keys.new("me", ["chat"])
    with pytest.raises(UserError, match="already"):
        keys.new("me", ["chat"])
    with pytest.raises(UserError, match="scope"):
        keys.new("you", [])
    with pytest.raises(UserError, match="Known: me"):
        keys.rotate("you")
    with pytest.raises(UserError, match="no key 'you'"):
        keys.remove("you")


@pytest.mark.parametrize("text", ["", "{", "[]", '{"keys": [{"name": "x"}]}', '{"schema": 2}'])
def test_a_damaged_file_is_an_error_and_no_empty_list(keys: KeyFile, text: str) -> None:
    keys.new("me", ["chat"])
    keys.path.write_text(text)
    with pytest.raises(UserError, match="damaged"):
        keys.keys()
    with pytest.raises(UserError, match="damaged"):
        keys.new("you", ["chat"])
    assert keys.path.read_text() == text


def test_the_file_is_json_for_other_programs(keys: KeyFile) -> None:
    keys.new("me", ["chat"])
    read = json.loads(keys.path.read_text())
    assert read["schema"] == 1
    assert read["keys"][0]["name"] == "me"


def test_keys_lie_in_the_data_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TUNEWISE_HOME", str(tmp_path))
    assert keys_file() == tmp_path / "keys.json"
