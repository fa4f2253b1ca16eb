"""Which back end is meant, and what its adapters are called there."""

from pathlib import Path

import pytest

from tunewise.errors import UserError
from tunewise.project.settings import STARTER_MODEL
from tunewise.serving.backend.address import KEY_VARIABLE, back_end_at, base_names
from tunewise.serving.protocol import RefusedError


@pytest.mark.parametrize(
    "url",
    [
        "http://10.0.0.5:8000",
        "http://10.0.0.5:8000/",
        "http://10.0.0.5:8000/v1",
        "http://10.0.0.5:8000/v1/",
    ],
)
def test_an_address_may_be_written_with_v1(url: str, tmp_path: Path) -> None:
    assert back_end_at(url, adapters=tmp_path).url == "http://10.0.0.5:8000"


@pytest.mark.parametrize(
    "url",
    [
        *("gpu:8000", "ftp://gpu", "file:///etc/passwd", "http://", "http://gpu:x", "http://a b"),
        *("/v1", "http://gpu/?a=1", "http://gpu/#a", "http://gpu\n.evil.example", "unix:///run/x"),
    ],
)
def test_what_is_no_address_says_how_one_is_written(url: str, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"Write it like http://"):
        back_end_at(url, adapters=tmp_path)


def test_a_password_in_the_address_is_refused_and_not_repeated(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=KEY_VARIABLE) as refused:
        back_end_at("http://me:hidden@gpu:8000", adapters=tmp_path)
    assert "hidden" not in str(refused.value)


def test_the_key_is_the_environments_and_not_shown(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert back_end_at("http://gpu", adapters=tmp_path).key is None
    monkeypatch.setenv(KEY_VARIABLE, " hidden \n")
    back_end = back_end_at("http://gpu", adapters=tmp_path)
    assert back_end.key == "hidden"
    assert "hidden" not in repr(back_end)


@pytest.mark.parametrize("key", ["a b", "a\nb", "schlüssel"])
def test_a_key_that_no_header_can_carry_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    monkeypatch.setenv(KEY_VARIABLE, key)
    with pytest.raises(UserError, match=KEY_VARIABLE) as refused:
        back_end_at("http://gpu", adapters=tmp_path)
    assert key not in str(refused.value)


def test_adapters_have_the_same_path_there_or_the_one_that_is_given(tmp_path: Path) -> None:
    adapter = tmp_path / "triage" / "3" / "adapter"
    same = back_end_at("http://gpu", adapters=tmp_path)
    other = back_end_at("http://gpu", adapters=tmp_path, adapters_there="/srv/models/")
    assert same.place(adapter) == str(adapter)
    assert other.place(adapter) == "/srv/models/triage/3/adapter"
    with pytest.raises(RefusedError, match="not in"):
        other.place(tmp_path.parent / "elsewhere")
    with pytest.raises(UserError, match="absolute"):
        back_end_at("http://gpu", adapters=tmp_path, adapters_there="models")


def test_a_base_may_be_called_as_here_or_as_on_the_hub() -> None:
    assert base_names(STARTER_MODEL) == {STARTER_MODEL, "HuggingFaceTB/SmolLM2-135M-Instruct"}
    assert base_names("org/some-model") == {"org/some-model"}
    assert base_names("/models/some-model") == {"/models/some-model", "some-model"}
