"""A whole run with a race in it: who is hopeless costs little, who would win is never stopped."""

from pathlib import Path

import pytest

from decide_projects import (
    Json,
    by_name,
    contract_faults,
    decide,
    essence,
    labelled,
    number_of,
    opened,
    read_json,
    read_jsonl,
    repeated_answers,
    right_when,
    scripted,
    stopping,
    write_project,
)
from tunewise.models.engines.protocol import Request
from tunewise.models.engines.scripted import ScriptedEngine

USE = """
[contenders]
use = ["constant", "zero_shot", "prompt", "few_shot"]
"""


def shots(request: Request) -> int:
    return sum(turn.role == "assistant" for turn in request.messages)


def label(number: int) -> str:
    return "delivery" if number % 10 < 3 else "refund"


def needs_examples(request: Request) -> str:
    """Nothing right without examples, nearly all with four or more."""
    number = number_of(request)
    return label(number) if shots(request) >= 4 and number % 20 else "nonsense"


def engine() -> ScriptedEngine:
    return scripted(needs_examples)


def write(folder: Path) -> Path:
    rows = [{"text": f"message {n}", "label": label(n)} for n in range(400)]
    return write_project(folder, rows, USE)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write(tmp_path_factory.mktemp("race"))


@pytest.fixture(scope="module")
def run(project: Path) -> Path:
    return decide(project, opener=opened(engine()))


def verdict(run: Path) -> Json:
    return read_json(run / "verdict.json")


def test_the_contender_that_wins_was_not_stopped(run: Path) -> None:
    assert verdict(run)["recommended"] == "few_shot"
    assert by_name(verdict(run))["few_shot"]["quality"]["value"] > 0.9


def test_hopeless_ones_are_stopped_on_dev_and_not_asked_on_test(run: Path) -> None:
    found = by_name(verdict(run))
    assert contract_faults(verdict(run)) == []
    for name in ("zero_shot", "prompt"):
        stopped = found[name]["stopped"]
        assert 0 < stopped["rows"] < stopped["of"]
        assert stopped["behind"] == "constant"
        assert f"out after {stopped['rows']} of {stopped['of']} dev rows" in found[name]["skipped"]
        assert found[name]["fit"]["tokens"]["prefilled"] > 0
    asked = {answer["contender"] for answer in read_jsonl(run / "answers.jsonl")}
    assert asked == {"constant", "few_shot"}


def test_one_that_a_later_contender_leaves_far_behind_is_not_asked_on_test(tmp_path: Path) -> None:
    """Against `constant` alone nothing is sure of it; few_shot comes later, and is far better."""

    def half_without_examples(request: Request) -> float:
        return 0.95 if shots(request) >= 4 else 0.45

    project = write_project(tmp_path, labelled(400), USE)
    run = decide(project, opener=opened(scripted(right_when(half_without_examples))))
    stopped = read_json(run / "plan.json")["stopped"]
    assert {name: one["behind"] for name, one in stopped.items()} == {
        "zero_shot": "few_shot", "prompt": "few_shot",
    }  # fmt: skip
    assert stopped["zero_shot"]["rows"] == stopped["zero_shot"]["of"]
    asked = {answer["contender"] for answer in read_jsonl(run / "answers.jsonl")}
    assert asked == {"constant", "few_shot"}


def test_the_plan_says_who_was_stopped_when_and_by_which_bound(run: Path) -> None:
    stopped = read_json(run / "plan.json")["stopped"]
    assert set(stopped) == {"zero_shot", "prompt"}
    assert stopped["zero_shot"]["bound"] == "e-value of at least 100"
    assert stopped["zero_shot"]["margin"] == 0.05


def test_the_report_shows_them_with_the_reason(run: Path) -> None:
    page = (run / "report.html").read_text(encoding="utf-8")
    rows = verdict(run)["contenders"]
    (why,) = [one["skipped"] for one in rows if one["name"] == "zero_shot"]
    assert f"O{why[1:]}" in page


def test_with_finish_they_are_asked_on_test_all_the_same(project: Path) -> None:
    run = decide(project, "contenders.finish=true", opener=opened(engine()))
    found = by_name(verdict(run))
    assert found["zero_shot"]["quality"]["value"] == found["prompt"]["quality"]["value"] == 0.0
    assert verdict(run)["recommended"] == "few_shot"
    assert read_json(run / "plan.json")["stopped"] == {}


def test_a_run_killed_within_the_race_ends_like_one_that_was_not(run: Path, tmp_path: Path) -> None:
    project = write(tmp_path / "project")
    out = tmp_path / "killed"
    for resume in (False, True, True, True, True):
        broken = engine()
        with pytest.raises(KeyboardInterrupt), stopping(broken, after=11):
            decide(project, out=out, resume=resume, opener=opened(broken))
    last = engine()
    decide(project, out=out, resume=True, opener=opened(last))
    assert essence(verdict(out)) == essence(verdict(run))
    assert read_json(out / "plan.json") == read_json(run / "plan.json")
    assert repeated_answers(out) == []
