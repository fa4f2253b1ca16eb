"""A student beside its teacher: equivalence is shown, or it is not claimed."""

from collections.abc import Sequence

import numpy as np
import pytest

from tunewise.decision.plan import Measured
from tunewise.evaluation.internalised import OnTest, measure_internalised
from tunewise.metrics.by_name import metric_named
from tunewise.metrics.readings import reading_of
from tunewise.runs.internalised import Internalised
from tunewise.types import Answer, Usage

LABELS = ("a", "b")
READING = reading_of(metric_named("accuracy", LABELS), "classification", LABELS)


def on_test(name: str, texts: Sequence[str | None], *, tokens: int) -> OnTest:
    """Where `a` is always right."""
    scores = [float(text == "a") for text in texts]
    return OnTest(
        measured=Measured(name=name, trained=name == "internalised", scores={1: scores}),
        seed=1,
        answers=[
            Answer(
                example_id=str(n),
                contender=name,
                seed=1,
                text=text,
                error="gone" if text is None else None,
                usage=Usage(prompt_tokens=tokens, completion_tokens=1),
            )
            for n, text in enumerate(texts)
        ],
    )


def beside(student: Sequence[str | None], teacher: Sequence[str | None]) -> Internalised:
    return measure_internalised(
        on_test("internalised", student, tokens=40),
        on_test("few_shot", teacher, tokens=500),
        units=[None] * len(teacher),
        binary=True,
        reading=READING,
        margin=0.05,
    )


def test_a_student_that_says_the_same_on_many_rows_is_equivalent() -> None:
    said = ["a"] * 270 + ["b"] * 30
    found = beside(said, said)
    assert found.equivalent
    assert found.low is not None
    assert found.high is not None
    assert -0.05 < found.low < 0.0 < found.high < 0.05
    assert (found.teacher, found.same.count, found.answers) == ("few_shot", 300, 300)
    assert found.tokens_saved == pytest.approx(460.0)


def test_the_same_on_few_rows_shows_nothing() -> None:
    found = beside(["a"] * 40, ["a"] * 40)
    assert not found.equivalent
    assert found.high is not None
    assert found.high > 0.05
    few = beside(["a"] * 10, ["a"] * 10)
    assert (few.equivalent, few.low) == (False, None)
    assert "10 rows" in str(few.method)


def test_a_student_that_loses_what_the_teacher_knew_is_not_equivalent() -> None:
    found = beside(["a"] * 240 + ["b"] * 60, ["a"] * 300)
    assert not found.equivalent
    assert found.delta == pytest.approx(-0.2)
    assert found.same.count == 240


def test_as_good_is_not_the_same_answers() -> None:
    found = beside(["a", "b"] * 100, ["b", "a"] * 100)
    assert (found.delta, found.same.count) == (0.0, 0)


def test_an_answer_that_crashed_is_not_the_same() -> None:
    found = beside([None] * 30, [None] * 30)
    assert found.same.count == 0


def test_a_student_that_is_worse_by_the_margin_is_called_equivalent_in_at_most_5_percent() -> None:
    rng = np.random.default_rng(3)
    called = 0
    for _ in range(400):
        teacher = rng.random(500) < 0.85
        lost = rng.random(500) < 0.05 / 0.85
        student = teacher & ~lost
        texts = [["a" if right else "b" for right in side] for side in (student, teacher)]
        called += beside(texts[0], texts[1]).equivalent
    assert called <= 29  # 5% of 400 and two standard errors
