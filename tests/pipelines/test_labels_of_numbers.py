"""Labels that are numbers, written as whole ones in one file and as decimals in another."""

import json
from pathlib import Path

import pytest

from command_line import tunewise
from decide_projects import by_name, decide, number_of, opened, read_json, scripted
from tunewise.models.engines.protocol import Request

SETTINGS = """
[task]
instruction = "Is the number divisible by three?"
[data]
train = "train.csv"
test = "test.csv"
[contenders]
use = ["constant", "zero_shot"]
"""


def right(number: int) -> int:
    return int(number % 3 == 0)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """pandas writes 1.0 in a column with an empty cell, and 1 in one without."""
    monkeypatch.setenv("TUNEWISE_CACHE", str(tmp_path / "cache"))
    train = [f"message {n},{right(n)}.0" for n in range(80)]
    test = [f"message {n},{right(n)}" for n in range(80, 120)]
    (tmp_path / "train.csv").write_text("\n".join(["text,label", *train]) + "\n")
    (tmp_path / "test.csv").write_text("\n".join(["text,label", *test]) + "\n")
    (tmp_path / "tunewise.toml").write_text(SETTINGS)
    return tmp_path


def test_check_counts_two_labels_as_they_are_written_most_often(folder: Path) -> None:
    done = tunewise("check", folder, "--json")
    assert done.code == 0, done.err
    checked = json.loads(done.out)
    assert checked["task"]["labels"] == ["0.0", "1.0"]
    assert checked["labels"] == {"0.0": {"train": 53, "test": 27}, "1.0": {"train": 27, "test": 13}}
    (spelling,) = [one for one in checked["warnings"] if one["rule"] == "label_spelling"]
    assert '"1.0" is also written "1" (13 rows, first' in spelling["message"]


@pytest.mark.parametrize("written", ["{}", "{}.0", "It is {}.0."])
def test_either_way_of_writing_is_right(folder: Path, written: str) -> None:
    def script(request: Request) -> str:
        return written.format(right(number_of(request)))

    verdict = read_json(decide(folder, opener=opened(scripted(script))) / "verdict.json")
    assert by_name(verdict)["zero_shot"]["quality"]["value"] == 1.0
    assert by_name(verdict)["constant"]["quality"]["value"] == pytest.approx(27 / 40)
