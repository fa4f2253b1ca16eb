"""The questions are sound, an answer is read fairly, and a person's own are checked."""

import json
from collections import Counter
from pathlib import Path

import pytest

from tunewise.errors import UserError
from tunewise.evaluation.suite.questions import OWN, Question, bundled, own_questions


def asked(*choices: str, answer: int = 0) -> Question:
    return Question(
        id="q", ability="knowledge", kind="k", text="Which?", choices=choices, answer=answer
    )


def own(folder: Path, *rows: object) -> list[Question]:
    file = folder / "mine.jsonl"
    file.write_text("".join(f"{json.dumps(row)}\n" for row in rows), "utf-8")
    return own_questions([file])


def fault(folder: Path, *rows: object) -> str:
    with pytest.raises(UserError) as caught:
        own(folder, *rows)
    return str(caught.value)


def test_there_are_at_least_400_questions_300_of_them_written_by_hand() -> None:
    questions = bundled()
    by_ability = Counter(one.ability for one in questions)
    assert len(questions) >= 400
    assert len(questions) - by_ability["arithmetic"] >= 300
    assert by_ability.keys() == {"knowledge", "reasoning", "language", "reading", "arithmetic"}
    assert min(by_ability.values()) >= 40


def test_every_question_has_distinct_choices_one_of_them_right_and_stands_once() -> None:
    questions = bundled()
    assert len({one.id for one in questions}) == len({one.text for one in questions})
    assert len({one.id for one in questions}) == len(questions)
    assert [one.id for one in questions if len(set(one.choices)) != 4] == []
    assert [one.id for one in questions if not one.right(one.choices[one.answer])] == []
    wrong = [c for one in questions for n, c in enumerate(one.choices) if n != one.answer
             if one.right(c)]  # fmt: skip
    assert wrong == []


def test_no_place_among_the_choices_is_right_more_often_than_guessing_allows() -> None:
    places = Counter(one.answer for one in bundled())
    assert max(places.values()) < 0.3 * sum(places.values())


def test_arithmetic_is_right() -> None:
    signs = {"plus": "+", "minus": "-", "times": "*", "divided by": "/"}
    for one in bundled():
        if one.ability == "arithmetic":
            sum_ = one.text.removeprefix("How much is ").removesuffix("?")
            for word, sign in signs.items():
                sum_ = sum_.replace(word, sign)
            assert eval(sum_) == int(one.choices[one.answer])


@pytest.mark.parametrize(
    ("answer", "right"),
    [
        ("Paris", True),
        ("The capital is Paris.", True),
        ("paris", True),
        ("Paris or Lyon", False),
        ("Lyon", False),
        ("Parish", False),
        ("", False),
    ],
)
def test_an_answer_has_to_name_the_right_choice_and_no_other(answer: str, right: bool) -> None:
    assert asked("Paris", "Lyon", "Madrid").right(answer) is right


def test_a_choice_within_a_longer_one_is_not_named_by_it() -> None:
    question = asked("the red box", "the box", answer=0)
    assert question.right("It is the red box.")
    assert not asked("the red box", "the box", answer=1).right("It is the red box.")
    assert asked("the red box", "the box", answer=1).right("It is the box.")


def test_own_questions_are_read_by_number_letter_or_text(tmp_path: Path) -> None:
    row = {"question": "Which?", "choices": ["red", "blue"]}
    made = own(tmp_path, *({**row, "answer": answer} for answer in (1, "b", "B", "blue")))
    assert [one.answer for one in made] == [1, 1, 1, 1]
    assert {(one.ability, one.kind) for one in made} == {(OWN, "mine")}
    assert made[0].floor == 0.5


def test_every_fault_of_own_questions_is_told_with_its_line(tmp_path: Path) -> None:
    row = {"question": "Which?", "choices": ["red", "blue"], "answer": 0}
    said = fault(
        tmp_path,
        row,
        {**row, "answer": 2},
        {**row, "choices": ["red"]},
        {**row, "choices": ["red", "red"]},
        {**row, "answer": True},
        ["no", "object"],
    )
    lines = said.splitlines()
    assert [line.partition(":")[2].partition(":")[0] for line in lines] == ["2", "3", "4", "5", "6"]
    assert "no answer among its 2 choices" in lines[0]
    assert "at least two choices" in lines[1]


def test_a_file_without_questions_or_of_no_json_is_told(tmp_path: Path) -> None:
    assert "holds no question" in fault(tmp_path)
    (tmp_path / "bad.jsonl").write_text("Which?\n", "utf-8")
    with pytest.raises(UserError, match=r"bad\.jsonl:1: is no JSON"):
        own_questions([tmp_path / "bad.jsonl"])
