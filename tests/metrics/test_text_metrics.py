import re
import string
import unicodedata
from collections import Counter

import pytest
import sacrebleu
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from rouge_score import rouge_scorer

from tunewise.metrics.by_name import metric_named
from tunewise.text.answer_text import answer_proper
from tunewise.text.comparison import comparable
from tunewise.text.words import words

GOOGLES = rouge_scorer.RougeScorer(["rougeL"], use_stemmer=True)
TEXT_METRICS = ("exact_match", "token_f1", "rouge_l", "chrf")
WORDS = (
    *("The", "the", "a", "An", "cat", "cats", "sat,", "on", "mat.", "running-shoes", "isn't"),
    *("U.S.", "(quick)", "snake_case", "well!", "7", "1990s", "painted", "painting"),
)
ENGLISH = st.builds(
    lambda some, last: " ".join([*some, last]),
    st.lists(st.sampled_from(WORDS), max_size=12),
    st.sampled_from(["cat", "mat.", "painting", "7"]),
)
"""No article at the end: there SQuAD's script drops the A of vitamin A."""
SIGNS = st.text(
    st.one_of(
        st.sampled_from("aAzZeé \u0301\u200b\u00ad’'“\"–-…0159.,+<>#今日はのกม่में한국Straße"),
        st.characters(codec="utf-8", exclude_categories=["Cs"]),
    ),
    max_size=12,
)


def value(metric: str, answer: str, target: str) -> float:
    return metric_named(metric).score(answer, target).value


def squads(answer: str, target: str) -> float:
    """F1 of the official SQuAD script."""

    def tokens(text: str) -> list[str]:
        bare = "".join(sign for sign in text.lower() if sign not in string.punctuation)
        return re.sub(r"\b(a|an|the)\b", " ", bare).split()

    said, right = tokens(answer), tokens(target)
    if not said or not right:
        return float(said == right)
    shared = (Counter(said) & Counter(right)).total()
    return 2 * shared / (len(said) + len(right))


# --- token_f1


@pytest.mark.parametrize(
    ("answer", "target", "expected"),
    [
        # Rajpurkar et al. 2016: articles, punctuation and case do not count.
        ("the Denver Broncos", "Denver Broncos", 1.0),
        ("Santa Clara, California.", "santa clara california", 1.0),
        # One word of the answer's three, one of the target's two: precision 1/3, recall 1/2.
        ("in December 2015", "December 1999", 0.4),
        ("gold gold gold", "gold", 0.5),
        ("Carolina Panthers", "Denver Broncos", 0.0),
        ("", "Denver", 0.0),
        # A text without words but articles is compared as it stands.
        ("the", "a", 0.0),
        ("The A", "the a.", 1.0),
        ("+", "-", 0.0),
        ("<", ">", 0.0),
        ("+", "+", 1.0),
    ],
)
def test_token_f1_is_that_of_squad(answer: str, target: str, expected: float) -> None:
    assert value("token_f1", answer, target) == pytest.approx(expected)


@given(ENGLISH, ENGLISH)
def test_token_f1_of_english_is_squads(answer: str, target: str) -> None:
    assert value("token_f1", answer, target) == pytest.approx(squads(answer, target))


@pytest.mark.parametrize(
    ("answer", "target"),
    [
        ("3.5 kg", "35 kg"),
        ("-5 degrees", "5 degrees"),
        ("page 1-2", "page 12"),
        ("it costs 1,5 euro", "it costs 15 euro"),
        ("x < 5", "x > 5"),
        ("written in C", "written in C++"),
        ("vitamin A", "vitamin"),
        ("上海", "海上"),
        ("2 кг", "2 kg"),
        ("5日", "5円"),
    ],
)
@pytest.mark.parametrize("metric", TEXT_METRICS)
def test_a_wrong_answer_never_scores_1(metric: str, answer: str, target: str) -> None:
    assert value(metric, answer, target) < 1
    assert value(metric, target, answer) < 1


@pytest.mark.parametrize(
    ("answer", "target"),
    [
        ("1,250 items", "1250 items"),
        ("U.S.", "US"),
        ("**Paris**", "Paris"),
        ("It’s open", "It's open"),
        ("“Zoë”", '"Zoe\u0308"'),
        ("10–12", "10-12"),
        ("東京です。", "東京です"),
    ],
)
def test_token_f1_overlooks_what_changes_nothing(answer: str, target: str) -> None:
    assert value("token_f1", answer, target) == 1


# --- rouge_l


def test_rouge_l_is_googles_with_stems() -> None:
    target, answer = (
        "The quick brown fox jumps over the lazy dog",
        "The quick brown dog jumps on the log.",
    )
    assert value("rouge_l", answer, target) == GOOGLES.score(target, answer)["rougeL"].fmeasure
    # the README of rouge-score: 5 words in common order, of 8 and of 9
    assert value("rouge_l", answer, target) == pytest.approx(2 * 5 / (8 + 9))


@given(ENGLISH, ENGLISH)
def test_rouge_l_of_english_is_googles(answer: str, target: str) -> None:
    theirs = GOOGLES.score(target, answer)["rougeL"].fmeasure
    assert value("rouge_l", answer, target) == pytest.approx(theirs)


@pytest.mark.parametrize("metric", ["token_f1", "rouge_l"])
@pytest.mark.parametrize(
    ("answer", "target", "expected"),
    [
        ("三十天", "三十日", 2 / 3),
        ("30日", "30日です", 2 * 2 / (2 + 4)),
        ("500 рублей", "30 дней", 0.0),
        ("30 рублей", "30 дней", 0.5),
        ("मैं घर", "मैं घर", 1.0),
        ("दिल", "दाल", 0.0),
        ("เก้า", "เก่า", 2 / 3),
    ],
)
def test_words_of_every_script_are_told_apart(
    metric: str, answer: str, target: str, expected: float
) -> None:
    assert value(metric, answer, target) == pytest.approx(expected)


# --- chrf


def test_chrf_is_sacrebleus_over_100() -> None:
    target, answer = "The cat sat on the mat.", "A cat is on the mat."
    assert value("chrf", answer, target) == sacrebleu.sentence_chrf(answer, [target]).score / 100
    assert value("chrf", "你好", "你好") == 1
    assert value("chrf", "", target) == 0


def test_chrf_tells_texts_apart_that_differ_in_white_space_alone() -> None:
    assert value("chrf", "3 5", "35") == pytest.approx(2 / 3)


# --- for all texts


@given(SIGNS, SIGNS)
@settings(max_examples=400)
def test_only_an_answer_that_says_the_same_scores_1(answer: str, target: str) -> None:
    assert value("exact_match", answer, target) < 1 or comparable(answer) == comparable(target)
    assert value("chrf", answer, target) < 1 or comparable(answer) == comparable(target)
    if not comparable(target):
        return
    for metric in ("token_f1", "rouge_l"):
        if value(metric, answer, target) == 1 and not target.isascii():
            assert words(answer) == words(target) or not set(words(target)) - {"a", "an", "the"}


@given(SIGNS)
@settings(max_examples=300)
def test_the_target_itself_scores_1(target: str) -> None:
    for metric in TEXT_METRICS:
        assert value(metric, target, target) == 1


@given(SIGNS, SIGNS)
@settings(max_examples=300)
def test_no_score_depends_on_how_a_sign_is_composed_or_drawn(answer: str, target: str) -> None:
    assume(answer_proper(answer, target).answer == answer)  # tags and fences are no text
    typographic = target.replace("'", "’").replace('"', "“").replace("-", "–")
    zero_width = "\u200b".join(answer)
    for metric in TEXT_METRICS:
        usual = value(metric, answer, target)
        composed, split = (unicodedata.normalize(form, answer) for form in ("NFC", "NFD"))
        assert value(metric, composed, target) == value(metric, split, target) == usual
        assert value(metric, answer, unicodedata.normalize("NFD", target)) == usual
        assert value(metric, answer, typographic) == usual
        assert comparable(zero_width) != comparable(answer) or (
            value(metric, zero_width, target) == usual
        )
