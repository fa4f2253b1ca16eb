"""The answers of a run: which rows fit, what is marked, and that a page reads only its own."""

import json
from pathlib import Path

import numpy as np
import pytest
from starlette.testclient import TestClient

from desk_pages import desk_client
from example_run import draw_scores, write_run
from html_pages import HOSTILE
from retrieved_run import write_run_with_passages
from tunewise.desk import answer_pages
from tunewise.desk.answer_filter import (
    PAGE_ROWS,
    Wanted,
    labels,
    lengths,
    matching,
    segments,
    shows,
)
from tunewise.desk.answer_index import AnswerIndex, index_of, read_line
from tunewise.desk.places import id_of
from tunewise.desk.text_marks import MAX_PIECES, marked
from tunewise.runs.read import read_summary

RATES = {"few_shot": 0.5, "fine_tune": 0.8}
ROWS = 60


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shop") / "runs" / "first"
    write_run(folder, n_test=ROWS, rates=RATES, draws=2)
    (folder / "splits.json").write_text("{}")
    return folder


@pytest.fixture(scope="module")
def index(run: Path) -> AnswerIndex:
    return index_of(read_summary(run))


@pytest.fixture
def client(run: Path) -> TestClient:
    return desk_client(run.parents[1])


def page(run: Path, query: str = "") -> str:
    return f"/ui/runs/{id_of(run)}/answers?{query}"


def test_rows_are_chosen_by_who_was_right(index: AnswerIndex) -> None:
    scores = draw_scores(ROWS, RATES)
    tuned, shots = (np.array(scores[name][0]) for name in ("fine_tune", "few_shot"))
    crashed = index.columns["fine_tune"].crashed
    tuned = np.where(crashed, 0.0, tuned)
    shots = np.where(index.columns["few_shot"].crashed, 0.0, shots)
    wanted = {
        "all": np.ones(ROWS, dtype=bool),
        "right": tuned == 1,
        "wrong": tuned == 0,
        "differ": tuned != shots,
        "ahead": tuned > shots,
        "behind": tuned < shots,
    }
    for show, fits in wanted.items():
        found = matching(index, Wanted(a="fine_tune", b="few_shot", show=show))  # type: ignore[arg-type]
        assert found.tolist() == np.flatnonzero(fits).tolist(), show


def test_each_choice_says_how_many_rows_it_shows(index: AnswerIndex) -> None:
    wanted = Wanted(a="fine_tune", b="few_shot", label=index.wanted[0])
    for choice in shows(index, wanted):
        other = Wanted(a="fine_tune", b="few_shot", label=wanted.label, show=choice.value)  # type: ignore[arg-type]
        assert choice.rows == len(matching(index, other))


def test_labels_and_lengths_share_the_rows_out(index: AnswerIndex) -> None:
    for choices in (labels(index), lengths(index)):
        assert len(choices) > 1
        assert sum(one.rows for one in choices) == ROWS
    short = matching(index, Wanted(a="fine_tune", b=None, length="short"))
    long = matching(index, Wanted(a="fine_tune", b=None, length="long"))
    assert index.words[short].max() < index.words[long].min()


def test_rows_are_chosen_by_what_stands_in_a_column_of_the_data(
    tmp_path: Path,
) -> None:
    folder = write_run(tmp_path / "shop" / "runs" / "a", n_test=12, rates=RATES, draws=2)
    (folder / "splits.json").write_text("{}")
    ids = index_of(read_summary(folder)).ids
    by = {"channel": {"mail": [*ids[:4], "gone"], "+49 170 1234567": list(ids[4:])}}
    (folder / "segments.json").write_text(json.dumps(by))
    index = index_of(read_summary(folder))
    found = segments(index)["channel"]
    assert [(one.label, one.rows) for one in found] == [("mail", 4), ("+49 170 1234567", 8)]
    wanted = Wanted(a="fine_tune", b=None, segment=found[0].value)
    assert matching(index, wanted).tolist() == [0, 1, 2, 3]
    text = desk_client(tmp_path).get(page(folder, "segment=0-0")).text
    assert "4 rows" in text
    assert '<optgroup label="channel">' in text
    assert "1234567" not in text
    (folder / "segments.json").write_text("{damaged")
    assert index_of(read_summary(folder)).segments == {}


def test_the_text_of_a_passage_is_shown_as_long_as_its_document_is_as_it_was(
    tmp_path: Path,
) -> None:
    folder = write_run_with_passages(tmp_path)
    client = desk_client(tmp_path)
    text = client.get(page(folder, "a=few_shot&b=")).text
    link = f"/ui/runs/{id_of(folder)}/passage?contender=few_shot&amp;passage=tents.md%231"
    assert f'<a href="{link}"' in text
    shown = client.get(link.replace("&amp;", "&"))
    assert "The guarantee is two years." in shown.text
    assert "1234567" not in shown.text
    (tmp_path / "docs" / "tents.md").write_text("# Tents\n\nThe guarantee is one year.\n")
    gone = client.get(link.replace("&amp;", "&"))
    assert (gone.status_code, "not as the run read it" in gone.text) == (404, True)


def test_the_index_leads_to_the_lines_themselves(run: Path, index: AnswerIndex) -> None:
    for number in (0, 7, ROWS - 1):
        row = read_line(run, "test.jsonl", int(index.rows[number]))
        place = int(index.columns["few_shot"].answers[number])
        answer = read_line(run, "answers.jsonl", place)
        assert row["id"] == index.ids[number] == answer["example_id"]
        assert (answer["contender"], answer["seed"]) == ("few_shot", 0)


def test_a_page_reads_its_own_lines_and_no_others(
    client: TestClient, run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.get(page(run))
    read: list[str] = []

    def counted(folder: Path, file: str, place: int) -> object:
        read.append(file)
        return read_line(folder, file, place)

    monkeypatch.setattr(answer_pages, "read_line", counted)
    client.get(page(run, "page=2"))
    assert read.count("test.jsonl") == PAGE_ROWS
    assert read.count("answers.jsonl") <= 2 * PAGE_ROWS


def test_pages_follow_each_other_to_the_last(client: TestClient, run: Path) -> None:
    first, last = client.get(page(run)).text, client.get(page(run, "page=999")).text
    assert "row 1 ·" in first
    assert 'rel="next"' in first
    assert f"row {ROWS} ·" in last
    assert 'rel="next"' not in last


def test_two_contenders_stand_side_by_side_with_what_differs_marked(
    client: TestClient, run: Path
) -> None:
    text = client.get(page(run, "a=fine_tune&b=few_shot&show=ahead")).text
    assert text.count('class="reply-cell"') == 2 * text.count('class="beside two"') > 0
    assert "<mark>" in text
    alone = client.get(page(run, "a=fine_tune&b=")).text
    assert "beside two" not in alone
    assert "<mark>" not in alone


def test_what_is_new_in_the_files_is_seen(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "runs" / "first", n_test=12, rates=RATES, draws=2)
    assert len(index_of(read_summary(folder)).ids) == 12
    more = {"id": "new", "input": "one more", "target": "x"}
    with (folder / "test.jsonl").open("a") as file:
        file.write(json.dumps(more) + "\n")
    assert index_of(read_summary(folder)).ids[-1] == "new"


def test_a_damaged_line_is_named(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "shop" / "runs" / "first", n_test=12, rates=RATES, draws=2)
    (folder / "splits.json").write_text("{}")
    with (folder / "answers.jsonl").open("a") as file:
        file.write("{cut off\n")
    answer = desk_client(tmp_path).get(page(folder))
    assert answer.status_code == 400
    assert "answers.jsonl:" in answer.text


def test_what_models_say_is_text_and_what_is_personal_is_masked(tmp_path: Path) -> None:
    said = {"few_shot": HOSTILE, "fine_tune": "\x1b[31mred\x1b[0m, write to ann.lee@example.org"}
    folder = write_run(
        tmp_path / "shop" / "runs" / "a", n_test=12, rates=RATES, answers=said, draws=2
    )
    (folder / "splits.json").write_text("{}")
    text = desk_client(tmp_path).get(page(folder, "a=fine_tune&b=few_shot")).text
    assert "<img" not in text
    assert "<iframe" not in text
    assert "\x1b" not in text
    assert "ann.lee@example.org" not in text


@pytest.mark.parametrize(
    "query", ["page=0", "page=x", "show=all%27--", "length=%00", "page=99999999999999999999"]
)
def test_values_that_cannot_be_are_told(client: TestClient, run: Path, query: str) -> None:
    assert client.get(page(run, query)).status_code == 400


@pytest.mark.parametrize(
    "query", ["a=<script>", "b=../../etc", "label=%F0%9F%92%A9", "a=&b=&label="]
)
def test_names_that_are_not_there_show_something_else(
    client: TestClient, run: Path, query: str
) -> None:
    answer = client.get(page(run, query))
    assert answer.status_code == 200
    assert "<script>" not in answer.text


def test_marks_stand_around_what_the_other_text_lacks() -> None:
    found = marked("the red <tent>", "the blue <tent>")
    assert found.a == "the <mark>red</mark> &lt;tent&gt;"
    assert found.b == "the <mark>blue</mark> &lt;tent&gt;"


def test_equal_and_endless_texts_are_left_as_they_are() -> None:
    assert marked("same & same", "same & same").a == "same &amp; same"
    long = "word " * MAX_PIECES
    assert "<mark>" not in marked(long, "other").a
