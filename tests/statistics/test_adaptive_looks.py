from itertools import product

import pytest

from tunewise.statistics.adaptive_looks import GATE_ERROR, look_error


def test_the_first_look_has_one_half_of_all_error() -> None:
    assert look_error([]) == GATE_ERROR / 2


def test_all_ways_that_looks_can_go_share_one_error_rate() -> None:
    """Whoever learns yes and no has 2^(k - 1) ways to look k; all of them are paid for."""
    spent = sum(
        look_error(told) for looks in range(14) for told in product([True, False], repeat=looks)
    )
    assert spent == pytest.approx(GATE_ERROR * (1 - 1 / 15))


def test_looks_that_end_alike_stay_cheap_and_mixed_ones_do_not() -> None:
    for alike in ([True] * 9, [False] * 9):
        assert GATE_ERROR / look_error(alike) == pytest.approx(593, abs=1)
    assert GATE_ERROR / look_error([True, False] * 4 + [True]) == pytest.approx(206_000, rel=0.01)


def test_the_order_of_what_was_told_does_not_matter() -> None:
    assert look_error([True, False, False]) == pytest.approx(look_error([False, True, False]))


def test_every_further_look_is_stricter() -> None:
    told = [True, True, False, True, False, False, True]
    errors = [look_error(told[:k]) for k in range(len(told) + 1)]
    assert errors == sorted(errors, reverse=True)
    assert errors[-1] > 0.0
