"""The suite is as large as a margin of three points needs, and the screening as cheap as said."""

from collections import Counter

from tunewise.evaluation.suite.instructions import KINDS
from tunewise.evaluation.suite.items import screening, tokens_of, whole
from tunewise.evaluation.suite.questions import OWN, Question


def own(count: int) -> list[Question]:
    return [
        Question(id=f"own-{n}", ability=OWN, kind="mine", text=f"Which {n}?",
                 choices=("a", "b"), answer=0)
        for n in range(count)
    ]  # fmt: skip


def test_the_whole_suite_is_as_large_as_a_fifth_of_discordant_answers_needs() -> None:
    # d (1.645 + .84)² / .03² at d = .1 and .2: docs/method.md.
    assert 690 <= whole().size <= 1370
    assert whole().size > 1350


def test_the_screening_has_every_question_by_likelihood_and_200_answers() -> None:
    found = screening()
    assert set(found.by_likelihood) == set(whole().by_likelihood)
    assert len(found.by_generation) == 200
    kinds = Counter(one.kind for one in found.by_generation)
    assert KINDS.keys() <= kinds.keys()
    abilities = {one.ability for one in found.by_generation}
    assert abilities == {"instructions", *(one.ability for one in found.by_likelihood)}


def test_what_the_screening_asks_is_part_of_the_whole() -> None:
    whole_ids = {one.id for one in whole().by_generation}
    assert {one.id for one in screening().by_generation} <= whole_ids


def test_the_screening_reads_and_writes_few_tokens() -> None:
    asked = tokens_of(screening())
    assert asked.read < 35_000
    assert asked.written < 7_500


def test_the_halves_hold_every_item_once_and_every_kind_alike() -> None:
    suite = whole()
    first, second = suite.halves()
    assert abs(first.size - second.size) <= len({one.kind for one in suite.by_generation})
    assert not set(first.by_likelihood) & set(second.by_likelihood)
    assert {*first.by_likelihood, *second.by_likelihood} == set(suite.by_likelihood)
    sides = [{one.id for one in (*s.by_likelihood, *s.by_generation)} for s in (first, second)]
    assert not sides[0] & sides[1]


def test_own_questions_are_asked_too_and_many_are_screened_in_part() -> None:
    assert whole(own(500)).size == whole().size + 1000
    assert len(screening(own(500)).by_likelihood) == len(screening().by_likelihood) + 200
