import pytest

from tunewise.data.splitting.sample_size import design_effect, explanation, rows_wanted
from tunewise.types import Example, Message

TURN = Message(role="user", content="hello")


def rows(n: int, groups: int = 0) -> list[Example]:
    return [
        Example(id=str(k), messages=(TURN,), target="x", group=str(k % groups) if groups else None)
        for k in range(n)
    ]


def test_rows_wanted_are_connors_to_two_digits() -> None:
    assert rows_wanted(rows(90), 0.05) == 630
    assert rows_wanted(rows(90), 0.1) == 160
    assert rows_wanted(rows(90), 0.2) == 37


def test_rows_alone_are_worth_one_each() -> None:
    assert design_effect(rows(50)) == 1
    assert design_effect(rows(50, groups=50)) == 1
    assert design_effect([]) == 1


def test_rows_of_a_group_are_worth_less() -> None:
    assert design_effect(rows(100, groups=20)) == pytest.approx(1 + 4 * 0.2)
    uneven = [*rows(10), *rows(90, groups=1)]
    assert design_effect(uneven) > design_effect(rows(100, groups=11))
    assert rows_wanted(rows(100, groups=20), 0.1) == 280


def test_the_gain_that_can_be_told_is_said_beside_the_one_that_is_wanted() -> None:
    assert explanation(rows(90), 0.05, reserved=0) == (
        "With 90 test rows a verdict on a gain of 5 points is unlikely: they tell one of about 13 "
        "points; about 630 test rows would do."
    )


def test_a_gain_larger_than_the_share_that_is_assumed_to_differ_is_told_as_it_is() -> None:
    assert explanation(rows(24), 0.05, reserved=0) == (
        "With 24 test rows a verdict on a gain of 5 points is unlikely: they tell one of about 30 "
        "points; about 630 test rows would do."
    )


def test_rows_in_groups_are_said_to_be_worth_less() -> None:
    assert explanation(rows(90, groups=30), 0.05, reserved=0) == (
        "With 90 test rows in 30 groups (worth about 65 alone) a verdict on a gain of 5 points is "
        "unlikely: they tell one of about 15 points; about 880 test rows would do."
    )


def test_enough_rows_are_said_to_be_enough_and_the_rest_to_be_reserved() -> None:
    assert explanation(rows(1000), 0.05, reserved=0) == (
        "With 1,000 test rows a verdict on a gain of 5 points is likely."
    )
    assert explanation(rows(1000), 0.05, reserved=70).endswith(
        " 70 more stay reserved: nothing is trained or tested on them until [data] limit_test "
        "asks for more."
    )


def test_too_few_rows_for_an_interval_are_said_to_be_too_few() -> None:
    assert explanation(rows(12), 0.05, reserved=0) == (
        "With 12 test rows a verdict is not possible: it takes 20 at least, and for a gain of "
        "5 points about 630 test rows would do."
    )
