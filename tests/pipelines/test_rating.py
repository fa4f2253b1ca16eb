"""`tunewise rate`: pairs are shown blind, ratings are kept at once, and it goes on where it was."""

import io
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from rich.console import Console

from command_line import tunewise
from example_run import write_run
from judged_pairs import typing
from tunewise.errors import UserError
from tunewise.pipelines.rating import rate_run
from tunewise.report.rating import TerminalScreen

ANSWERS = {"fine_tune": "On its way.", "few_shot": "Dear customer, it is on its way."}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_run(tmp_path / "run", answers=ANSWERS)


def rated(folder: Path, *keys: str, seed: int = 0) -> str:
    """What the screen shows to who types these keys."""
    shown = io.StringIO()
    console = Console(file=shown, width=200)
    rate_run(folder, TerminalScreen(console, typing(*keys)), seed=seed)
    return shown.getvalue()


def lines(folder: Path) -> list[dict[str, str]]:
    file = folder / "ratings.jsonl"
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def test_answers_are_shown_without_names_and_every_rating_is_kept(folder: Path) -> None:
    shown = rated(folder, "l", "right", "T", "s", "q")
    assert [line["said"] for line in lines(folder)] == ["left", "right", "tie", "skip"]
    assert "3 of the 100 pairs that are wanted are rated; 116 not looked at yet" in shown
    assert all(text in shown for text in ANSWERS.values())
    assert not any(name in shown for name in ("fine_tune", "few_shot"))


def test_which_answer_stands_on_the_left_is_random(folder: Path) -> None:
    rated(folder, *["l"] * 60)
    left = [line["left"] for line in lines(folder)]
    assert 15 <= left.count("fine_tune") <= 45


def test_it_goes_on_with_what_was_not_looked_at(folder: Path) -> None:
    rated(folder, "l", "s")
    rated(folder, "r", "r")
    ids = [line["example_id"] for line in lines(folder)]
    assert len(set(ids)) == len(ids) == 4


def test_a_rating_is_taken_back_and_its_pair_shown_again(folder: Path) -> None:
    rated(folder, "l", "u", "r", "q")
    first, back, again = lines(folder)
    assert (first["said"], back["said"], again["said"]) == ("left", "undone", "right")
    assert first["example_id"] == back["example_id"] == again["example_id"]


def test_the_last_rating_of_an_earlier_day_can_be_taken_back(folder: Path) -> None:
    rated(folder, "l")
    assert "0 of the 100 pairs" in rated(folder, "u", "q").splitlines()[-1]


def test_with_nothing_rated_there_is_nothing_to_take_back(folder: Path) -> None:
    assert "nothing to take back" in rated(folder, "u", "q")


def test_a_key_that_means_nothing_is_asked_for_again(folder: Path) -> None:
    shown = rated(folder, "x", "", "l", "q")
    assert shown.count("Type one of the letters") == 2
    assert len(lines(folder)) == 1


def test_it_ends_when_all_are_looked_at(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", answers=ANSWERS, n_test=30)
    shown = rated(folder, *["t"] * 40)
    assert len(lines(folder)) == 30
    assert "`tunewise rate RUN --judge`" in shown


def test_where_all_answers_are_the_same_there_is_nothing_to_rate(tmp_path: Path) -> None:
    folder = write_run(tmp_path / "run", answers=dict.fromkeys(ANSWERS, "yes"))
    with pytest.raises(UserError, match="say the same on all 120 test rows"):
        rated(folder)


def test_the_command_reads_what_is_typed_and_an_end_of_input_ends_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "stdin", io.StringIO("l\nr\n"))
    done = tunewise("rate", folder)
    assert (done.code, len(lines(folder))) == (0, 2)
    assert "2 of the 100 pairs" in done.out


def test_ratings_that_are_none_of_the_run_are_told_by_file_and_line(folder: Path) -> None:
    (folder / "ratings.jsonl").write_text(
        '{"example_id": "zz", "a": "fine_tune", "b": "few_shot", "left": "few_shot", '
        '"said": "tie"}\n'
    )
    done = tunewise("rate", folder)
    assert done.code == 1
    assert "ratings.jsonl:1: the row zz is no test row of this run." in done.err


def test_ctrl_c_loses_nothing(folder: Path) -> None:
    program = "from tunewise.cli import main; main()"
    process = subprocess.Popen(
        [sys.executable, "-c", program, "rate", str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    )
    assert process.stdin is not None
    process.stdin.write(b"l\nr\n")
    process.stdin.flush()
    until = time.monotonic() + 60
    while len(lines(folder)) < 2 and time.monotonic() < until:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130
    assert b"Nothing is lost" in said
    assert [line["said"] for line in lines(folder)] == ["left", "right"]
