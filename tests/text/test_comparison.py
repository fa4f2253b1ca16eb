import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunewise.text.comparison import caseless, comparable, label_form


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Größe", "Gro\u0308ße"),
        ("a\u00a0 b\u2003c", "a b c"),
        ("Storno\u200b", "Storno"),
        ("co\u00adop", "coop"),
        ("don’t", "don't"),
        ("„so“ «so» “so”", '"so" "so" "so"'),
        ("5–10 — x‑y −3", "5-10 - x-y -3"),
        ("wait…", "wait..."),
        ("ﬁnal oﬃce", "final office"),
        ("ＡＢＣ１２３", "ABC123"),
        ("ｶﾞ", "ガ"),
        ("می\u200cخواهم", "میخواهم"),
        ("ﻛﺘﺎب", "كتاب"),
        ("❤\ufe0f", "❤"),
        ("\ufefffirst", "first"),
    ],
)
def test_what_nobody_can_tell_apart_on_screen_is_one_text(one: str, other: str) -> None:
    assert comparable(one) == comparable(other)


@pytest.mark.parametrize(
    ("one", "other"),
    [("x²", "x2"), ("Yes", "yes"), ("no", "no!"), ("naïve", "naive"), ("½", "1/2"), ("①", "1")],
)
def test_what_reads_otherwise_stays_apart(one: str, other: str) -> None:
    assert comparable(one) != comparable(other)


def test_case_is_folded_as_unicode_says() -> None:
    assert caseless("STRASSE  Nº") == caseless("straße nº")
    assert caseless("ΣΊΣΥΦΟΣ") == caseless("σίσυφος")


def test_labels_are_one_but_for_case_spacing_and_a_full_stop() -> None:
    assert {label_form(label) for label in ("Yes", "yes ", "YES.", "ｙｅｓ。", "Yes\u200b")} == {
        "yes"
    }
    assert len({label_form(label) for label in ("C", "C#", "C++", "C?", "no C")}) == 5
    assert label_form("...") == "..."


@pytest.mark.parametrize(
    ("written", "form"),
    [
        ("1.0", "1"),
        ("1.00", "1"),
        ("1.", "1"),
        ("-1.0", "-1"),
        ("−2.0", "-2"),
        ("-0.0", "0"),
        ("１０.０", "10"),
        ("1.10", "1.10"),
        ("1.1", "1.1"),
        ("1.05", "1.05"),
        ("1.0.0", "1.0.0"),
        ("01", "01"),
        ("01.0", "01.0"),
        ("v1.0", "v1.0"),
        ("1,0", "1,0"),
    ],
)
def test_of_numbers_only_whole_ones_are_their_value_as_labels(written: str, form: str) -> None:
    assert label_form(written) == form


@given(st.from_regex(r"-?[0-9]{1,3}(\.[0-9]{1,3})?", fullmatch=True) | st.text())
def test_the_forms_are_idempotent_and_the_same_for_nfc_and_nfd(text: str) -> None:
    for form in (comparable, caseless, label_form):
        assert form(form(text)) == form(text)
        assert form(unicodedata.normalize("NFD", text)) == form(text)
        assert form(unicodedata.normalize("NFC", text)) == form(text)
