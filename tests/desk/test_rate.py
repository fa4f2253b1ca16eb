"""Pairs to rate on the page: blind, kept as `tunewise rate` keeps them, taken up by either."""

import io
import json
from pathlib import Path

import pytest
from rich.console import Console
from starlette.testclient import TestClient

from desk_pages import ORIGIN, desk_client
from example_run import write_run
from html_pages import HOSTILE, Page
from judged_pairs import typing
from tunewise.desk.places import id_of
from tunewise.pipelines.rating import rate_run
from tunewise.report.rating import TerminalScreen

ANSWERS = {"fine_tune": "On its way.", "few_shot": "Dear customer, it is on its way."}
SIDES = ("left", "right", "tie", "skip")


def write(folder: Path, answers: dict[str, str]) -> Path:
    run = write_run(folder, answers=answers, n_test=12, draws=2)
    (run / "splits.json").write_text("{}")
    return run


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return write(tmp_path / "shop" / "runs" / "first", ANSWERS)


@pytest.fixture
def client(run: Path) -> TestClient:
    return desk_client(run.parents[1])


def there(run: Path) -> str:
    return f"/ui/runs/{id_of(run)}/rate"


def shown_id(text: str) -> str:
    fields = [a for tag, a in Page(text).elements if tag == "input" and a.get("name") == "example"]
    return str(fields[0]["value"])


def say(client: TestClient, run: Path, said: str) -> int:
    example = shown_id(client.get(there(run)).text)
    answer = client.post(there(run), data={"example": example, "said": said}, headers=ORIGIN)
    return answer.status_code


def lines(run: Path) -> list[dict[str, str]]:
    file = run / "ratings.jsonl"
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def test_answers_are_shown_without_names_and_every_rating_is_kept(
    client: TestClient, run: Path
) -> None:
    for said in SIDES:
        text = client.get(there(run)).text
        pair = text.partition('class="rate"')[2]
        assert all(answer in pair for answer in ANSWERS.values())
        assert not any(name in pair for name in ANSWERS)
        assert say(client, run, said) == 303
    assert [line["said"] for line in lines(run)] == list(SIDES)
    assert "<strong>3</strong> of the 12 pairs" in client.get(there(run)).text


def test_page_and_terminal_show_the_same_pairs_in_the_same_places(
    client: TestClient, run: Path, tmp_path: Path
) -> None:
    other = write(tmp_path / "other" / "run", ANSWERS)
    rate_run(other, TerminalScreen(Console(file=io.StringIO()), typing("l", "r", "t")))
    for said in ("left", "right", "tie"):
        say(client, run, said)
    assert lines(run) == lines(other)


def test_the_terminal_goes_on_where_the_page_was(client: TestClient, run: Path) -> None:
    say(client, run, "left")
    rate_run(run, TerminalScreen(Console(file=io.StringIO()), typing("r")))
    ids = [line["example_id"] for line in lines(run)]
    assert len(set(ids)) == len(ids) == 2


def test_a_rating_is_taken_back_and_its_pair_shown_again(client: TestClient, run: Path) -> None:
    first = shown_id(client.get(there(run)).text)
    say(client, run, "left")
    assert client.post(f"{there(run)}/undo", headers=ORIGIN).headers["location"] == there(run)
    assert shown_id(client.get(there(run)).text) == first
    nothing = client.post(f"{there(run)}/undo", headers=ORIGIN).headers["location"]
    assert "nothing to take back" in client.get(nothing).text


def test_it_ends_when_all_are_looked_at(client: TestClient, run: Path) -> None:
    for _ in range(12):
        say(client, run, "tie")
    text = client.get(there(run)).text
    assert "All pairs were looked at" in text
    assert "tunewise rate" in text


def test_one_may_finish_before(client: TestClient, run: Path) -> None:
    ended = client.post(f"{there(run)}/end", headers=ORIGIN).headers["location"]
    assert "You can go on at any time" in client.get(ended).text


@pytest.mark.parametrize(
    ("data", "status"),
    [
        ({"example": "nobody", "said": "left"}, 404),
        ({"example": "nobody", "said": "best"}, 400),
        ({"said": "left"}, 400),
    ],
)
def test_what_is_no_rating_is_told(
    client: TestClient, run: Path, data: dict[str, str], status: int
) -> None:
    assert client.post(there(run), data=data, headers=ORIGIN).status_code == status
    assert lines(run) == []


@pytest.mark.parametrize("path", ["", "/undo", "/end"])
def test_only_a_page_of_this_server_rates(client: TestClient, run: Path, path: str) -> None:
    assert client.post(there(run) + path).status_code == 403


def test_where_all_answers_are_the_same_there_is_nothing_to_rate(tmp_path: Path) -> None:
    run = write(tmp_path / "shop" / "runs" / "a", dict.fromkeys(ANSWERS, "yes"))
    answer = desk_client(tmp_path).get(there(run))
    assert (answer.status_code, "nothing to compare" in answer.text) == (400, True)


def test_what_models_say_is_text(tmp_path: Path) -> None:
    run = write(tmp_path / "shop" / "runs" / "a", {"few_shot": HOSTILE, "fine_tune": "\x1b[31mred"})
    text = desk_client(tmp_path).get(there(run)).text
    assert "<img" not in text
    assert "<iframe" not in text
    assert "\x1b" not in text
