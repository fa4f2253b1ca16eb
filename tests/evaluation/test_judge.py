"""A judge is asked in both orders, and what it says is read for what it is."""

import numpy as np
import pytest

from judged_pairs import A_BETTER, B_BETTER, TIE, Verdicts, judge_of, questions
from tunewise.evaluation.judge import Missed, judge_pairs, read_choice
from tunewise.models.engines.scripted import ScriptedEngine
from tunewise.runs.judged import Judgement
from tunewise.types import Failure


def judged(engine: ScriptedEngine, n: int = 1) -> list[Judgement]:
    found = judge_pairs(judge_of(engine), questions(n), questions(n).open)
    assert all(isinstance(one, Judgement) for one in found)
    return [one for one in found if isinstance(one, Judgement)]


def test_each_pair_is_asked_with_either_answer_first() -> None:
    engine = ScriptedEngine(lambda request: "TIE")
    judged(engine, n=2)
    asked = [request.messages[-1].content for request in engine.requests]
    orders = [text.index("a 0") < text.index("b 0") for text in asked[:2]]
    assert (len(asked), orders) == (4, [True, False])


def test_it_is_told_the_request_a_good_answer_and_the_criteria_but_no_names() -> None:
    engine = ScriptedEngine(lambda request: "A")
    judged(engine)
    system, asked = (turn.content for turn in engine.requests[0].messages)
    assert all(text in system for text in ("- tone: kind", "- help: solves it"))
    assert all(text in asked for text in ("question 0", "good 0"))
    assert "fine_tune" not in system + asked


def test_what_both_orders_name_is_preferred() -> None:
    verdicts = Verdicts(said=np.array([A_BETTER, B_BETTER, TIE]), biased=np.zeros(3, dtype=bool))
    assert [one.value for one in judged(verdicts.engine(), n=3)] == [1.0, -1.0, 0.0]


@pytest.mark.parametrize(("always", "place"), [("A", "first"), ("B", "second")])
def test_who_names_the_same_place_twice_flips_and_that_is_a_tie(always: str, place: str) -> None:
    [one] = judged(ScriptedEngine(lambda request: always))
    assert (one.flipped, one.value, one.a_first) == (True, 0.0, place)


def test_a_preference_in_one_order_alone_is_a_tie_and_no_flip() -> None:
    [one] = judged(ScriptedEngine(["A", "tie"]))
    assert (one.flipped, one.value) == (False, 0.0)


def test_an_answer_that_cannot_be_read_is_a_tie_and_counted() -> None:
    [one] = judged(ScriptedEngine(["A", "Both have their merits"]))
    assert (one.unreadable, one.value, one.b_first) == (True, 0.0, None)


def test_a_request_that_fails_is_no_judgement() -> None:
    engine = ScriptedEngine(lambda request: Failure(message="the endpoint is asleep"))
    found = judge_pairs(judge_of(engine), questions(1), questions(1).open)
    assert found == [Missed(example_id="r0", why="the endpoint is asleep")]


def test_other_criteria_make_another_judge() -> None:
    engine = ScriptedEngine(["A"])
    one, same, other = (judge_of(engine) for _ in range(3))
    assert one.id == same.id
    assert one.id != type(other)(engine=engine, model="scripted", criteria={"tone": "stern"}).id


@pytest.mark.parametrize(
    ("text", "choice"),
    [
        ("A", "first"),
        ("b", "second"),
        ("TIE", "tie"),
        ("**B**", "second"),
        ("Answer A.", "first"),
        ("answer: tie", "tie"),
        ("A is better because it is kind", "first"),
        ("<think>B looks longer, but A helps.</think>\nA", "first"),
        ("B\nIt solves the problem.", "second"),
        ("A good question", None),
        ("Both", None),
        ("", None),
        ("<think>so many things to", None),
    ],
)
def test_reading(text: str, choice: str | None) -> None:
    assert read_choice(text) == choice
