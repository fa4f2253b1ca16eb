"""What llama.cpp's server says, read into tokens."""

from typing import Any

import pytest

from tunewise.models import loading
from tunewise.models.catalog import LocalModel
from tunewise.serving.engine.llamacpp_server import Events
from tunewise.serving.engine.pipeline import LEAST_LOGPROB, Generated


@pytest.fixture(scope="module")
def tokenizer(small_llama: LocalModel) -> Any:
    return loading.load_tokenizer(small_llama.folder)


def event(content: str, *ids: int, count: int, **more: Any) -> dict[str, Any]:
    return {
        "content": content,
        "tokens": list(ids),
        "tokens_predicted": count,
        "stop": False,
        "timings": {"cache_n": 4},
        **more,
    }


def last(kind: str, count: int) -> dict[str, Any]:
    return event("", count=count, stop=True, stop_type=kind)


def probabilities(*values: float | None) -> list[dict[str, Any]]:
    ranked = [{"id": n, "logprob": value} for n, value in enumerate(values)]
    return [{**ranked[0], "top_logprobs": ranked}]


def test_a_token_has_its_log_probability_and_those_of_others(tokenizer: Any) -> None:
    said = event("a", 9, count=1, completion_probabilities=probabilities(-0.5, -1.0, None))
    assert Events(tokenizer, 3).read(said) == Generated(
        tokens=(9,),
        logprobs=(-0.5,),
        ranked=(((0, -0.5), (1, -1.0), (2, LEAST_LOGPROB)),),
        cached=4,
    )
    assert Events(tokenizer, 1).read(said).ranked == (((0, -0.5),),)


def test_a_character_of_several_tokens_is_all_of_them(tokenizer: Any) -> None:
    ids = tokenizer.encode("é", add_special_tokens=False)
    assert len(ids) > 1
    said = event("é", ids[-1], count=len(ids), completion_probabilities=probabilities(-0.5))
    made = Events(tokenizer, 0).read(said)
    assert made.tokens == tuple(ids)
    assert made.logprobs == (*[None] * (len(ids) - 1), -0.5)  # the others are not told
    assert len(made.ranked) == len(ids)
    assert made.unseen == 0


def test_what_is_cut_within_a_character_is_counted(tokenizer: Any) -> None:
    events = Events(tokenizer, 0)
    events.read(event("a", 9, count=1))
    made = events.read(last("limit", 3))
    assert (made.tokens, made.unseen, made.over) == ((), 2, "length")


def test_the_token_that_ends_an_answer_is_no_part_of_it(tokenizer: Any) -> None:
    events = Events(tokenizer, 0)
    assert events.read(event("a", 9, count=1)).tokens == (9,)
    assert events.read(event("", 2, count=2)) == Generated()  # it may be that, or go on
    made = events.read(last("eos", 2))
    assert (made.tokens, made.unseen, made.over) == ((), 0, "stop")


def test_a_token_without_text_comes_with_what_follows(tokenizer: Any) -> None:
    events = Events(tokenizer, 0)
    events.read(event("", 1, count=1))
    assert events.read(event("a", 9, count=2)).tokens == (1, 9)


def test_a_fault_is_told_in_its_own_words(tokenizer: Any) -> None:
    said = {"error": {"code": 500, "message": "Context size has been exceeded."}}
    assert Events(tokenizer, 0).read(said).fault == "Context size has been exceeded."
