from pathlib import Path

from survey_rows import example, of, surveyed
from tunewise.data.checks.findings import Finding, Found
from tunewise.data.checks.judgeable import DOUBT, RULE, check_judgeable
from tunewise.project.settings import Task


def found_by(metric: str, answers: list[str], folder: Path = Path(), **task: object) -> Found:
    rows = [example(f"question {n}", answer) for n, answer in enumerate(answers)]
    found = Found()
    check_judgeable(surveyed({"examples": rows}), Task(metric=metric, **task), folder, found)
    return found


def faults(found: Found) -> list[Finding]:
    return [fault for fault in found.report().errors if fault.rule == RULE]


def test_each_row_that_the_metric_cannot_judge_is_an_error_with_its_line() -> None:
    first, second = faults(found_by("rouge_l", ["a tent", "+", "two tents", "…"]))
    assert (first.where, second.where) == ("examples.jsonl:2", "examples.jsonl:4")
    assert 'The answer "+" holds no word, which rouge_l needs.' in first.message
    assert not faults(found_by("chrf", ["a tent", "+", "two tents", "…"]))


def test_an_empty_answer_is_said_once_by_the_rule_for_it() -> None:
    assert not faults(found_by("json_fields", ['{"a": 1}', ""]))


def test_a_label_that_is_not_declared_is_left_to_the_rule_for_it() -> None:
    assert not faults(found_by("accuracy", ["yes", "perhaps"], kind="classification"))
    (fault,) = faults(found_by("accuracy", ["yes", "perhaps"], kind="qa", labels=("yes", "no")))
    assert fault.where == "examples.jsonl:2"


def test_beyond_twenty_rows_they_are_counted() -> None:
    shown = faults(found_by("json_fields", ["no"] * 30))
    assert len(shown) == 21
    assert shown[-1].message == "10 more of the same."


def test_a_function_that_fails_everywhere_is_not_tried_on_every_row(tmp_path: Path) -> None:
    source = "def f(answer, target):\n    open('calls', 'a').write('x')\n    return 2\n"
    (tmp_path / "own.py").write_text(source.replace("'calls'", repr(str(tmp_path / "calls"))))
    shown = faults(found_by("own:f", [f"answer {n}" for n in range(60)], tmp_path))
    assert "own:f returned 2" in shown[0].message
    assert (tmp_path / "calls").stat().st_size == 21


def test_a_function_that_is_missing_is_one_error(tmp_path: Path) -> None:
    (fault,) = faults(found_by("nowhere_at_all:f", ["yes"] * 3, tmp_path))
    assert fault.where == "task.metric"
    assert "cannot be imported" in fault.message


def test_a_function_that_gives_right_answers_less_than_1_is_a_warning(tmp_path: Path) -> None:
    (tmp_path / "half.py").write_text("def f(answer, target): return 0.5\n")
    found = found_by("half:f", ["yes", "no"], tmp_path)
    assert [one.where for one in of(DOUBT, found)] == ["examples.jsonl:1", "examples.jsonl:2"]
    assert not found.report().errors
