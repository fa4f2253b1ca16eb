import json
from pathlib import Path

import pytest

from tunewise.errors import UserError
from tunewise.runs.gate_history import GateHistory, GateLook, answers_hash
from tunewise.types import Example, Message


def rows(*numbers: int) -> list[Example]:
    return [
        Example(
            id=f"{n}", messages=(Message(role="user", content=f"message {n}"),), target="refund"
        )
        for n in numbers
    ]


def look(model: str, *, passed: bool = True, answers: str = "") -> GateLook:
    return GateLook(
        model=model, passed=passed, answers=answers or model, error=0.01, metric="accuracy"
    )


def noted(file: Path, some: list[Example], *looks: GateLook) -> None:
    history = GateHistory(file, some)
    with history.held():
        for one in looks:
            history.note(one)


def test_looks_are_read_again_in_their_order(tmp_path: Path) -> None:
    file = tmp_path / "looks.jsonl"
    noted(file, rows(1, 2, 3), look("a"), look("b", passed=False))
    noted(file, rows(1, 2, 3), look("c"))
    again = GateHistory(file, rows(3, 2, 1))
    assert [one.model for one in again.looks] == ["a", "b", "c"]
    assert [one.passed for one in again.looks] == [True, False, True]
    assert again.place_of("b") == 2
    assert again.place_of("d") is None


def test_a_set_with_one_old_row_takes_over_its_looks(tmp_path: Path) -> None:
    file = tmp_path / "looks.jsonl"
    noted(file, rows(1, 2, 3), look("a"), look("b"))
    noted(file, rows(3, 4, 5), look("c"))
    assert [one.model for one in GateHistory(file, rows(3, 4, 5)).looks] == ["a", "b", "c"]
    assert [one.model for one in GateHistory(file, rows(4)).looks] == ["c"]
    assert GateHistory(file, rows(6, 7)).looks == []


def test_a_set_whose_numbers_were_shown_is_closed_with_all_its_rows(tmp_path: Path) -> None:
    file = tmp_path / "looks.jsonl"
    history = GateHistory(file, rows(1, 2))
    assert not history.opened
    with history.held():
        history.open()
    assert GateHistory(file, rows(2, 3)).opened
    assert not GateHistory(file, rows(3)).opened


def test_it_holds_neither_rows_nor_answers_nor_scores(tmp_path: Path) -> None:
    file = tmp_path / "looks.jsonl"
    answers = answers_hash(["asked"], ["refund", None])
    noted(file, rows(1, 2), look("a", answers=answers))
    assert "message" not in file.read_text()
    assert "refund" not in file.read_text()
    kept = [json.loads(line) for line in file.read_text().splitlines()]
    assert kept[0].keys() == {"gate", "rows"}
    assert kept[1]["look"].keys() == {
        "model", "passed", "answers", "error", "metric", "baseline", "margin", "floor"
    }  # fmt: skip


def test_other_answers_or_another_question_have_another_hash() -> None:
    same = answers_hash([1], ["a", "b"], ["c"])
    assert same == answers_hash([1], ["a", "b"], ["c"])
    others = [
        answers_hash([2], ["a", "b"], ["c"]),
        answers_hash([1], ["a", None], ["c"]),
        answers_hash([1], ["a"], ["b", "c"]),
    ]
    assert len({same, *others}) == 4


def test_a_line_that_a_kill_left_half_written_is_cut_off(tmp_path: Path) -> None:
    file = tmp_path / "looks.jsonl"
    noted(file, rows(1), look("a"))
    with file.open("a") as half:
        half.write('{"gate": "x", "lo')
    assert [one.model for one in GateHistory(file, rows(1)).looks] == ["a"]
    noted(file, rows(1), look("b"))
    assert [one.model for one in GateHistory(file, rows(1)).looks] == ["a", "b"]


def test_the_marks_of_a_merge_are_named_by_line(tmp_path: Path) -> None:
    file = tmp_path / "looks.jsonl"
    noted(file, rows(1), look("a"))
    with file.open("a") as merged:
        merged.write("<<<<<<< ours\n")
    with pytest.raises(UserError, match=r"looks.jsonl:3: not JSON(.|\n)*keep the lines of both"):
        GateHistory(file, rows(1))


def test_a_place_that_cannot_be_written_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    history = GateHistory(tmp_path / "file" / "looks.jsonl", rows(1))
    with pytest.raises(UserError, match="--history"), history.held():
        pass
