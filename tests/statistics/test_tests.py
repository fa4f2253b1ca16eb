import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from tunewise.statistics.tests import holm, mcnemar_exact


def test_mcnemar_is_the_sign_test_of_the_discordant_rows():
    assert mcnemar_exact(1, 8) == pytest.approx(0.0390625)  # 2 · (1 + 9) / 512
    assert mcnemar_exact(86, 150) == pytest.approx(binomtest(86, 236).pvalue)


def test_mcnemar_without_discordant_rows_finds_nothing():
    assert mcnemar_exact(0, 0) == 1.0


def test_mcnemar_refuses_negative_counts():
    with pytest.raises(ValueError, match="negative"):
        mcnemar_exact(-1, 3)


def test_holm_gives_the_values_of_r_p_adjust():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])


@given(st.lists(st.floats(0, 1), max_size=12))
def test_holm_never_lowers_a_p_value_and_keeps_their_order(p_values):
    adjusted = holm(p_values)
    assert all(p <= q <= 1 for p, q in zip(p_values, adjusted, strict=True))
    ranked = [q for _, q in sorted(zip(p_values, adjusted, strict=True))]
    assert ranked == sorted(ranked)
