"""What people say of answers stands in the log beside them, and becomes examples."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from http_serving import Served, serving, until
from tunewise.pipelines.from_logs import examples_from_logs
from tunewise.serving.http.access import access_for
from tunewise.serving.http.contents import ContentLog
from tunewise.serving.http.feedback import MAX_CORRECTION
from tunewise.serving.http.limits import Limits
from tunewise.serving.keys import KeyFile


def answered(served: Served, text: str, *, key: str = "any", stream: bool = False) -> str:
    """The id of an answer, once it is in the log."""
    asked = [{"role": "user", "content": text}]
    chat = served.client(key).chat.completions
    if stream:
        id = [chunk.id for chunk in chat.create(model="base", messages=asked, stream=True)][-1]  # type: ignore[call-overload]
    else:
        id = chat.create(model="triage@production", messages=asked).id  # type: ignore[arg-type]
    contents = served.service.contents
    assert contents is not None
    until(lambda: contents.find(id) is not None)
    return id


def rate(served: Served, id: str, *, key: str | None = None, **body: object):  # type: ignore[no-untyped-def]
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    with served.http(headers=headers) as http:
        return http.post(f"/v1/chat/completions/{id}/feedback", json=body)


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("logs") / "log.jsonl"


@pytest.fixture(scope="module")
def served(file: Path) -> Iterator[Served]:
    with serving(contents=ContentLog(file)) as running:
        yield running


def test_a_rating_and_a_correction_become_examples(served: Served, file: Path) -> None:
    good, mended = answered(served, "where is it?"), answered(served, "my money!", stream=True)
    assert rate(served, good, rating="good").json() == {
        "object": "chat.completion.feedback",
        "id": good,
        "rating": "good",
        "corrected": False,
    }
    assert rate(served, mended, rating="bad", correction="refund").json()["corrected"] is True
    told = [json.loads(line) for line in file.read_text().splitlines()]
    assert [line["of"] for line in told if "of" in line] == [good, mended]
    rows = examples_from_logs([file]).rows
    assert [row["messages"][-1]["content"] for row in rows] == ["where is it?", "refund"]  # type: ignore[index]
    assert [row["model"] for row in rows] == ["triage@3", "base"]


@pytest.mark.parametrize(
    ("body", "param", "code"),
    [
        ({}, "rating", "missing_required_parameter"),
        ({"rating": "fair"}, "rating", "invalid_value"),
        ({"rating": 1}, "rating", "invalid_value"),
        ({"rating": "good", "note": "x"}, "note", "unsupported_parameter"),
        ({"rating": "bad", "correction": ""}, "correction", "invalid_value"),
        ({"rating": "bad", "correction": ["x"]}, "correction", "invalid_value"),
        (
            {"rating": "bad", "correction": "x" * (MAX_CORRECTION + 1)},
            "correction",
            "invalid_value",
        ),
        ({"rating": "bad", "correction": "\ud800"}, "correction", "invalid_value"),
    ],
)
def test_what_is_no_feedback_is_refused_by_field(
    served: Served, file: Path, body: dict[str, object], param: str, code: str
) -> None:
    id = answered(served, "hello")
    before = file.read_bytes()
    with served.http() as http:
        got = http.post(
            f"/v1/chat/completions/{id}/feedback",
            content=json.dumps(body),
            headers={"Content-Type": "application/json"},
        )
    assert (got.status_code, got.json()["error"]["param"]) == (400, param)
    assert got.json()["error"]["code"] == code
    assert file.read_bytes() == before


@pytest.mark.parametrize(
    "id", ["chatcmpl-nobody", "response", "id", "x" * 5000, "%22", "chatcmpl-"]
)
def test_an_answer_that_the_log_does_not_hold_is_not_found(
    served: Served, file: Path, id: str
) -> None:
    answered(served, "hello")
    before = file.read_bytes()
    got = rate(served, id, rating="good")
    assert (got.status_code, got.json()["error"]["code"]) == (404, "answer_not_found")
    assert file.read_bytes() == before


def test_an_id_that_a_request_only_quotes_is_none_of_an_answer(served: Served) -> None:
    answered(served, '"response": {"id": "chatcmpl-quoted"}')
    assert rate(served, "chatcmpl-quoted", rating="good").status_code == 404


def test_the_answer_is_found_after_the_file_was_replaced_and_until_it_is_gone(
    tmp_path: Path,
) -> None:
    log = ContentLog(tmp_path / "log.jsonl", max_bytes=8000)
    with serving(contents=log) as running:
        id = answered(running, "hello")
        while not (tmp_path / "log.jsonl.1").exists():
            log.write({"text": "x" * 500})
        assert rate(running, id, rating="good").status_code == 200
        (tmp_path / "log.jsonl.1").unlink()
        assert rate(running, id, rating="good").status_code == 404


def test_a_line_that_was_cut_off_hides_no_other(tmp_path: Path) -> None:
    file = tmp_path / "log.jsonl"
    with serving(contents=ContentLog(file)) as running:
        id = answered(running, "hello")
        whole = file.read_bytes()
        file.write_bytes(whole[: len(whole) // 2] + f'"{id}"\n'.encode() + whole)
        assert rate(running, id, rating="good").status_code == 200


def test_where_contents_are_not_logged_the_error_says_how_they_would_be() -> None:
    with serving() as running:
        got = rate(running, "chatcmpl-1", rating="good")
    assert got.status_code == 400
    assert got.json()["error"]["code"] == "contents_not_logged"
    assert "--log-contents" in got.json()["error"]["message"]


def test_a_rating_that_cannot_be_written_down_is_no_success(tmp_path: Path) -> None:
    log = ContentLog(tmp_path / "log.jsonl", max_bytes=4000)
    with serving(contents=log) as running:
        id = answered(running, "hello")
        got = rate(running, id, rating="bad", correction="x" * 4000)
    assert (got.status_code, got.json()["error"]["code"]) == (503, "contents_not_written")
    assert "Retry-After" in got.headers


def test_a_key_speaks_of_its_own_answers_and_admin_of_all(tmp_path: Path) -> None:
    keys = KeyFile(tmp_path / "keys.json")
    shop, other = (keys.new(name, ["chat"]).secret for name in ("shop", "other"))
    admin, jobs = (keys.new(name, [name]).secret for name in ("admin", "jobs"))  # type: ignore[list-item]
    access = access_for("127.0.0.1", keys=keys, require_key=True)
    with serving(access=access, contents=ContentLog(tmp_path / "log.jsonl")) as running:
        id = answered(running, "hello", key=shop)
        codes = {
            name: rate(running, id, key=key, rating="good").status_code
            for name, key in {
                "none": None,
                "shop": shop,
                "other": other,
                "admin": admin,
                "jobs": jobs,
            }.items()
        }
    assert codes == {"none": 401, "shop": 200, "other": 404, "admin": 200, "jobs": 403}


def test_ratings_count_as_requests_of_a_key(tmp_path: Path) -> None:
    log = ContentLog(tmp_path / "log.jsonl")
    with serving(contents=log, limits=Limits(rate="2/minute")) as running:
        id = answered(running, "hello")
        assert rate(running, id, rating="good").status_code == 200
        got = rate(running, id, rating="good")
    assert got.status_code == 429
    assert int(got.headers["Retry-After"]) > 0
