import itertools
import random
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tunewise.data.splitting.near_duplicates import leaders
from tunewise.text.comparison import caseless
from tunewise.text.words import words as words_of

WORDS = [f"word{n}" for n in range(3000)]
INSTRUCTION = (
    "You work for the support desk of a shop. Read the message below with care and answer with "
    "the one label that fits it best, and nothing else. Message: "
)


def shingles(text: str) -> set[object]:
    words = words_of(text)
    return {*words, *itertools.pairwise(words)}


def similarity(a: str, b: str) -> float:
    left, right = shingles(a), shingles(b)
    return len(left & right) / max(len(left | right), 1)


def sentences(rng: random.Random, n: int, words: int = 40) -> list[str]:
    return [" ".join(rng.choices(WORDS, k=words)) for _ in range(n)]


def changed(rng: random.Random, text: str, least: float = 0.8) -> str:
    """The text with as many words exchanged as the similarity allows."""
    words = text.split()
    while True:
        trial = list(words)
        trial[rng.randrange(len(trial))] = rng.choice(WORDS)
        if similarity(text, " ".join(trial)) < least:
            return " ".join(words)
        words = trial


def test_a_row_alone_leads_itself() -> None:
    assert leaders([]).tolist() == []
    assert leaders(["only one"]).tolist() == [0]


def test_case_punctuation_and_white_space_do_not_matter() -> None:
    texts = ["Where is my order, please?", "other", "where is  my ORDER please", ""]
    assert leaders(texts).tolist() == [0, 1, 0, 3]


def test_a_near_duplicate_is_led_by_the_earliest_one_it_is_alike_to() -> None:
    rng = random.Random(1)
    first = " ".join(rng.choices(WORDS, k=60))
    second, third = changed(rng, first, 0.93), changed(rng, first, 0.93)
    assert similarity(second, third) > 0.8
    assert leaders(["something else", first, second, third]).tolist() == [0, 1, 1, 1]


def test_at_least_ninety_nine_in_a_hundred_at_similarity_0_8_are_found_and_no_other() -> None:
    rng = random.Random(2)
    texts = sentences(rng, 1500)
    planted = [changed(rng, text) for text in texts[:600]]
    assert max(similarity(a, b) for a, b in zip(texts, planted, strict=False)) < 0.86
    led = leaders(texts + planted)
    assert np.mean(led[1500:] == np.arange(600)) >= 0.99
    assert (led[:1500] == np.arange(1500)).all()


def test_texts_below_the_threshold_are_never_reported() -> None:
    rng = random.Random(3)
    texts = sentences(rng, 300)
    below: list[str] = []
    for text in texts:
        words = changed(rng, text).split()
        while similarity(text, " ".join(words)) >= 0.8:
            words[rng.randrange(len(words))] = rng.choice(WORDS)
        below.append(" ".join(words))
    assert (leaders(texts + below) == np.arange(600)).all()


@pytest.mark.parametrize("first", [0, 500])
def test_an_instruction_that_all_rows_share_makes_no_near_duplicates(first: int) -> None:
    rng = random.Random(4)
    texts = sentences(rng, 1500, words=10)
    with_instruction = [*texts[:first], *(INSTRUCTION + text for text in texts[first:])]
    assert similarity(*with_instruction[-2:]) > 0.5
    assert np.mean(leaders(with_instruction) != np.arange(1500)) < 0.01


def test_near_duplicates_are_found_beside_a_shared_instruction() -> None:
    rng = random.Random(5)
    texts = sentences(rng, 400)
    rows = [INSTRUCTION + text for text in [*texts, *(changed(rng, text) for text in texts[:50])]]
    assert leaders(rows)[400:].tolist() == list(range(50))


def test_scripts_without_spaces_are_compared_sign_by_sign() -> None:
    texts = ["我想退回上周买的帐篷因为拉链坏了而且漏水", "我想退回上周买的帐篷因为拉链坏了", "你好"]
    assert leaders(texts, threshold=0.7).tolist() == [0, 0, 2]


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.text(alphabet="ab c.", max_size=12), max_size=90),
    st.lists(st.text(alphabet="ab c.", max_size=12), max_size=90),
)
def test_rows_added_at_the_end_change_nothing_for_those_before(
    old: list[str], new: list[str]
) -> None:
    old = [*(f"start {n} of it" for n in range(20)), *old]
    assert leaders(old + new)[: len(old)].tolist() == leaders(old).tolist()


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text(max_size=30), max_size=30))
@example(["", "\xad"])
def test_whatever_the_text_a_leader_comes_no_later_and_is_its_own(texts: list[str]) -> None:
    led = leaders(texts)
    assert (led <= np.arange(len(texts))).all()
    for row, first in enumerate(led.tolist()):
        plain = [caseless(texts[n]) for n in (row, first)]
        assert row == first or plain[0] == plain[1] or similarity(*plain) >= 0.8


def test_the_answer_is_the_same_in_every_process() -> None:
    program = (
        "import random; from tunewise.data.splitting.near_duplicates import leaders\n"
        "rng = random.Random(6); w = [f'w{n}' for n in range(60)]\n"
        "print(leaders([' '.join(rng.choices(w, k=8)) for _ in range(800)], 0.5).tolist())"
    )
    seen = {
        subprocess.run(
            [sys.executable, "-c", program],
            capture_output=True, text=True, check=True, timeout=120, env={"PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("1", "2")
    }  # fmt: skip
    assert len(seen) == 1
