"""Texts typed again: slips are small, seeded, and leave what is not prose alone."""

from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunewise.text.retyped import LETTERS_A_SLIP, in_other_case, with_slips

LETTER = "the parcel that was promised for thursday has still not arrived at our office"


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


@cache
def edits(a: str, b: str) -> int:
    """Damerau's distance: letters changed, left out, put in, or two swapped."""
    if not a or not b:
        return len(a) + len(b)
    if a[-1] == b[-1]:
        return edits(a[:-1], b[:-1])
    ways = [edits(a[:-1], b), edits(a, b[:-1]), edits(a[:-1], b[:-1])]
    if a[-2:] == b[-2:][::-1]:
        ways.append(edits(a[:-2], b[:-2]))
    return 1 + min(ways)


@pytest.mark.parametrize("seed", range(20))
def test_a_text_gets_a_slip_in_every_forty_letters(seed: int) -> None:
    letters = sum(len(word) for word in LETTER.split() if len(word) >= 4)
    assert edits(LETTER, with_slips(LETTER, rng(seed))) == round(letters / LETTERS_A_SLIP)


def test_slips_are_neighbouring_keys_letters_left_out_doubled_and_swapped() -> None:
    found = {with_slips("cable", rng(seed)) for seed in range(300)}
    assert "cabl" in found  # left out
    assert "cablle" in found  # doubled
    assert "acble" in found  # swapped
    assert "cavle" in found  # v stands beside b
    assert "cable" not in found
    assert not {"cabze", "cabqe"} & found  # q and z are far from l


def test_the_same_seed_gives_the_same_slips() -> None:
    assert with_slips(LETTER, rng(4)) == with_slips(LETTER, rng(4))
    assert len({with_slips(LETTER, rng(seed)) for seed in range(10)}) > 5


@pytest.mark.parametrize(
    "kept", ["no 4711", "https://example.org/invoice", "anna@example.org", "it is so", "", "ok?"]
)
def test_numbers_links_addresses_and_short_words_stay(kept: str) -> None:
    assert with_slips(kept, rng()) == kept


def test_letters_that_no_keyboard_row_holds_are_left_out_doubled_or_swapped() -> None:
    found = {with_slips("посылка", rng(seed)) for seed in range(50)}
    assert all(edits("посылка", one) == 1 for one in found)
    assert all(set(one) <= set("посылка") for one in found)


def test_other_case_and_spacing_changes_nothing_but_these() -> None:
    text = "Where is my order 4711?\nI paid on Monday."
    found = {in_other_case(text, rng(seed)) for seed in range(30)}
    assert text not in found
    assert {one.casefold().replace(" ", "") for one in found} == {text.casefold().replace(" ", "")}
    assert any(one.isupper() for one in found)
    assert any(one.islower() for one in found)
    assert any("  " in one for one in found)
    assert all("\n" in one for one in found)


def test_a_text_in_small_letters_comes_in_capitals() -> None:
    assert in_other_case("where", rng()) == "WHERE "


@given(st.text(max_size=200), st.integers(0, 2**32 - 1))
def test_any_text_can_be_typed_again(text: str, seed: int) -> None:
    typed = with_slips(text, rng(seed))
    assert abs(len(typed) - len(text)) <= max(1, len(text) // LETTERS_A_SLIP + 1)
    assert in_other_case(text, rng(seed)).endswith(" ")
