from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from small_models import CORPUS
from tunewise.models import loading
from tunewise.models.catalog import LocalModel
from tunewise.serving.engine.answers import BROKEN, Decoder, Shown, Writer

TOKENS = st.lists(st.integers(3, 399), max_size=40)
TEXTS = st.one_of(st.sampled_from(CORPUS), st.text(max_size=30))


@pytest.fixture(scope="module")
def tokenizer(small_llama: LocalModel) -> Any:
    return loading.load_tokenizer(small_llama.folder)


def encoded(tokenizer: Any, text: str) -> list[int]:
    return tokenizer.encode(text, add_special_tokens=False)


def writer(tokenizer: Any, **settings: Any) -> Writer:
    return Writer(tokenizer, **{"ends": frozenset({2}), "stops": (), "limit": 1000, **settings})


def written(one: Writer, ids: list[int], at_once: int = 1) -> list[Shown]:
    parts = [ids[place : place + at_once] for place in range(0, len(ids), at_once)]
    return [one.write(part, [-float(token) for token in part]) for part in parts]


def text(shown: list[Shown]) -> str:
    return "".join(one.text for one in shown)


@given(TEXTS)
def test_a_character_is_given_when_all_of_its_bytes_are_there(tokenizer: Any, said: str) -> None:
    decoder, ids = Decoder(tokenizer), encoded(tokenizer, said)
    given_so_far = ""
    for place, token in enumerate(ids, start=1):
        given_so_far += decoder.feed(token)
        assert said.replace(BROKEN, "").startswith(given_so_far)
        whole = tokenizer.decode(ids[:place])
        if not whole.endswith(BROKEN):
            assert given_so_far == whole.replace(BROKEN, "")
    assert given_so_far + decoder.flush() == said.replace(BROKEN, "")


@given(TOKENS)
def test_whatever_is_generated_no_broken_character_is_given(tokenizer: Any, ids: list[int]) -> None:
    decoder = Decoder(tokenizer)
    parts = [*map(decoder.feed, ids), decoder.flush()]
    assert "".join(parts) == tokenizer.decode(ids).replace(BROKEN, "")


@given(TOKENS, st.integers(1, 5))
def test_what_is_shown_does_not_depend_on_how_many_tokens_come_at_once(
    tokenizer: Any, ids: list[int], at_once: int
) -> None:
    settings: dict[str, Any] = {"stops": ("e", "th"), "logprobs": True}
    one, many = writer(tokenizer, **settings), writer(tokenizer, **settings)
    singly, together = written(one, [*ids, 2]), written(many, [*ids, 2], at_once)
    assert text(singly) == text(together)
    assert [told for s in singly for told in s.logprobs] == [
        told for s in together for told in s.logprobs
    ]
    assert (one.finished, one.ids) == (many.finished, many.ids)


def test_an_end_token_ends_the_answer_and_is_no_part_of_it(tokenizer: Any) -> None:
    one, ids = writer(tokenizer), encoded(tokenizer, "the boots fit")
    assert text(written(one, [*ids, 2, *ids])) == "the boots fit"
    assert (one.finished, one.ids) == ("stop", ids)


def test_an_answer_ends_at_its_limit_with_all_that_was_held_back(tokenizer: Any) -> None:
    ids = encoded(tokenizer, "the boots")
    one = writer(tokenizer, limit=len(ids), stops=("boots fit",))
    assert text(written(one, ids)) == "the boots"
    assert one.finished == "length"


def test_of_tokens_after_a_stop_string_nothing_is_told(tokenizer: Any) -> None:
    ids = encoded(tokenizer, "the boots fit now")
    one = writer(tokenizer, stops=("fit",), logprobs=True)
    shown = written(one, ids)
    told = [two for s in shown for two in s.logprobs]
    assert text(shown) == "the boots "
    assert "the boots ".startswith("".join(two.text for two in told).rstrip("f"))
    assert [two.logprob for two in told] == [-float(token) for token in ids[: len(told)]]


@given(TOKENS)
def test_without_a_stop_string_every_token_is_told_once_and_in_order(
    tokenizer: Any, ids: list[int]
) -> None:
    one = writer(tokenizer, logprobs=True)
    told = [two.logprob for s in written(one, [*ids, 2]) for two in s.logprobs]
    assert told == [-float(token) for token in ids]


def test_what_the_prompt_says_of_the_answer_comes_first(tokenizer: Any) -> None:
    one = writer(tokenizer, opened="<think>\n")
    assert text(written(one, [*encoded(tokenizer, "ok"), 2])) == "<think>\nok"
