from pathlib import Path

import pytest

from tunewise.errors import UserError
from tunewise.metrics.needs import needs_of


@pytest.mark.parametrize(
    ("metric", "target", "part"),
    [
        ("json_fields", "[1, 2]", "is no JSON object, which json_fields needs"),
        ("json_fields", '{"a": 1', "is no JSON object"),
        ("rouge_l", "+", "holds no word, which rouge_l needs. Mend this row, or choose another"),
        ("token_f1", "?!", "holds no word"),
        ("accuracy", "pears", "names no single label"),
        ("chrf", "\u200b\u200d", "shows nothing on screen"),
        ("exact_match", "\u2060", "shows nothing on screen"),
    ],
)
def test_what_a_metric_needs_is_said_with_what_to_do(metric: str, target: str, part: str) -> None:
    lack = needs_of(metric, ["apples", "plums"])(target)
    assert lack is not None
    assert lack.certain
    assert part in lack.message


@pytest.mark.parametrize(
    ("metric", "target"),
    [
        ("json_fields", '```json\n{"a": 1.0}\n```'),
        ("rouge_l", "30日です"),
        ("token_f1", "нет"),
        ("rouge_l", "<think>hm</think>\n7"),
        ("accuracy", "Apples."),
        ("chrf", "+"),
        ("exact_match", "-"),
    ],
)
def test_what_it_can_judge_is_let_be(metric: str, target: str) -> None:
    assert needs_of(metric, ["apples", "plums"])(target) is None


def own(folder: Path, source: str) -> str:
    (folder / "judge.py").write_text(source, encoding="utf-8")
    return "judge:f"


def test_a_function_of_the_users_is_tried_on_the_target_itself(tmp_path: Path) -> None:
    name = own(tmp_path, "def f(answer, target): return float(target) / float(answer)")
    needs = needs_of(name, folder=tmp_path)
    assert needs("2.5") is None
    lack = needs("two")
    assert lack is not None
    assert "raised ValueError" in lack.message


def test_a_function_that_gives_a_right_answer_less_than_1_is_doubted_only(tmp_path: Path) -> None:
    lack = needs_of(own(tmp_path, "def f(a, b): return 0.5 * (a == b)"), folder=tmp_path)("yes")
    assert lack is not None
    assert not lack.certain
    assert "judge:f gives this answer, which is right by definition, only 0.5" in lack.message


def test_a_function_that_is_not_there_is_said_at_once(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="cannot be imported"):
        needs_of("nowhere_to_be_found:f", folder=tmp_path)
