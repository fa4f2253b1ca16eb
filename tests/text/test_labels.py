from tunewise.text.comparison import comparable
from tunewise.text.labels import spelled_alike, visible


def test_the_commonest_spelling_stands_for_a_label() -> None:
    written = [*["Yes"] * 3, *["yes"] * 2, "YES", "yes.", *["no"] * 2, "No ", "NO"]
    spelled = spelled_alike(written)
    assert {spelled[one] for one in written[:7]} == {"Yes"}
    assert {spelled[one] for one in written[7:]} == {"no"}


def test_a_declared_spelling_comes_before_the_commonest() -> None:
    assert spelled_alike(["yes"] * 9, ["Yes", "No"]) == {"yes": "Yes"}


def test_spellings_that_look_the_same_count_together_and_the_clean_one_is_taken() -> None:
    written = [*["Ru\u0308ckgabe"] * 3, *["Rückgabe\u200b"] * 3, "Rückgabe", *["RÜCKGABE"] * 5]
    assert set(spelled_alike(written).values()) == {"Rückgabe"}


def test_of_equally_frequent_spellings_the_first_is_taken() -> None:
    assert set(spelled_alike(["b", "B", "a"]).values()) == {"b", "a"}


def test_labels_that_differ_on_purpose_stay_apart() -> None:
    written = ["C", "C#", "C++", "no", "no!", "A-", "A+", "1", "1st"]
    assert spelled_alike(written) == {one: one for one in written}


def test_another_form_may_decide_what_is_one() -> None:
    spelled = spelled_alike(["a", "A", "A\u200b", "A"], form=comparable)
    assert spelled == {"a": "a", "A": "A", "A\u200b": "A"}


def test_signs_that_cannot_be_seen_are_named() -> None:
    assert visible("Yes\u200b\u00a0x") == "Yes<U+200B><U+00A0>x"
    assert visible("u\u0308ber") == "u<U+0308>ber"
    assert visible("हिन्दी, zürich") == "हिन्दी, zürich"
