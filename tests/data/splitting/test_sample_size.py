import pytest

from tunewise.data.splitting.sample_size import (
    about_asked,
    design_effect,
    explanation,
    rows_wanted,
)


def alone(n: int) -> list[None]:
    return [None] * n


def in_units(n: int, units: int) -> list[str]:
    return [str(k % units) for k in range(n)]


def test_rows_wanted_are_connors_to_two_digits() -> None:
    assert rows_wanted(alone(90), 0.05) == 630
    assert rows_wanted(alone(90), 0.1) == 160
    assert rows_wanted(alone(90), 0.2) == 37


def test_rows_wanted_allow_an_interval_however_large_the_gain() -> None:
    assert rows_wanted(alone(90), 0.5) == 20


def test_rows_alone_are_worth_one_each() -> None:
    assert design_effect(alone(50)) == 1
    assert design_effect(in_units(50, 50)) == 1
    assert design_effect([]) == 1


def test_rows_of_a_unit_are_worth_less() -> None:
    assert design_effect(in_units(100, 20)) == pytest.approx(1 + 4 * 0.2)
    uneven = [*alone(10), *in_units(90, 1)]
    assert design_effect(uneven) > design_effect(in_units(100, 11))
    assert rows_wanted(in_units(100, 20), 0.1) == 280


def test_the_chance_that_a_gain_will_be_told_is_said_and_none_is_promised() -> None:
    assert explanation(alone(112), 0.05, reserved=0) == (
        "With 112 test rows, a true gain of 5 points would be told with a chance of 29%, one of 10 "
        "points with 78%. More rows, up to about 630, would tell more."
    )
    assert explanation(alone(24), 0.1, reserved=0) == (
        "With 24 test rows, a true gain of 10 points would be told with a chance of 17%, one of 20 "
        "points with 49%. More rows, up to about 160, would tell more."
    )


def test_a_gain_of_more_than_100_points_is_not_spoken_of() -> None:
    assert explanation(alone(40), 0.6, reserved=0) == (
        "With 40 test rows, a true gain of 60 points would be told with a chance of 50%."
    )


def test_rows_in_units_are_said_to_be_worth_less() -> None:
    assert explanation(in_units(90, 30), 0.05, reserved=0) == (
        "With 90 test rows in 30 units (worth about 65 rows alone), a true gain of 5 points would "
        "be told with a chance of 18%, one of 10 points with 53%. More rows, up to about "
        "880, would tell more."
    )


def test_a_few_rows_that_repeat_one_another_are_not_spoken_of() -> None:
    assert "units" not in explanation([*alone(88), "a", "a"], 0.05, reserved=0)


def test_rows_that_are_reserved_are_told() -> None:
    assert explanation(alone(630), 0.05, reserved=297) == (
        "With 630 test rows, a true gain of 5 points would be told with a chance of 50%, one of 10 "
        "points with over 99%. 297 more stay reserved: nothing is trained or tested on them until "
        "a verdict, or [data] limit_test, asks for more."
    )


def test_too_few_rows_for_an_interval_are_said_to_be_too_few() -> None:
    assert explanation(alone(12), 0.05, reserved=0) == (
        "With 12 test rows a verdict is not possible: it takes 20 at least. More rows, up to "
        "about 630, would tell more."
    )


def test_too_few_units_for_an_interval_are_said_to_be_too_few() -> None:
    assert explanation(in_units(200, 9), 0.05, reserved=0).startswith(
        "With 200 test rows in 9 units (worth about 39 rows alone) a verdict is not possible: it "
        "takes 10 units at least. More rows, up to about"
    )


def test_rows_that_a_verdict_asked_for_are_told_apart() -> None:
    assert about_asked(930, 630, 930) == (
        "Test takes 930 rows: 630, and 300 more that the last verdict asked for."
    )
    assert about_asked(927, 630, 1630) == (
        "Test takes 927 rows: 630, and 297 of the 1,000 more that the last verdict asked for."
    )
