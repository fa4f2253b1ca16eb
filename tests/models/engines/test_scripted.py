import pytest

from tunewise.models.engines.protocol import Request, Sampling
from tunewise.models.engines.scripted import ScriptedEngine
from tunewise.types import Failure, Generation, Message, Usage


def ask(text: str, max_tokens: int = 16) -> Request:
    turns = (Message(role="system", content="Be brief."), Message(role="user", content=text))
    return Request(messages=turns, sampling=Sampling(max_tokens=max_tokens))


def test_a_mapping_answers_by_the_last_turn_and_counts_words_as_tokens() -> None:
    engine = ScriptedEngine({"where is it": "on its way"}, seconds=0.25)
    assert engine.generate([ask("where is it")]) == [
        Generation(
            text="on its way",
            usage=Usage(prompt_tokens=5, completion_tokens=3),
            finish_reason="stop",
            seconds=0.25,
            seconds_to_first_token=0.25,
        )
    ]


def test_a_list_answers_in_the_order_of_the_requests_across_batches() -> None:
    engine = ScriptedEngine(["one", "two", "three"])
    first = engine.generate([ask("a"), ask("b")])
    second = engine.generate([ask("c")])
    assert [one.text for one in [*first, *second] if isinstance(one, Generation)] == [
        "one",
        "two",
        "three",
    ]


def test_a_function_sees_the_whole_request() -> None:
    engine = ScriptedEngine(lambda request: request.messages[0].content)
    (made,) = engine.generate([ask("a")])
    assert isinstance(made, Generation)
    assert made.text == "Be brief."


def test_it_fails_where_it_is_told_to_and_nowhere_else() -> None:
    engine = ScriptedEngine({"a": "x", "b": "y"}, failures={"b": "the server is gone"})
    a, b = engine.generate([ask("a"), ask("b")])
    assert isinstance(a, Generation)
    assert b == Failure(message="the server is gone")


def test_what_the_script_lacks_is_a_failure() -> None:
    (made,) = ScriptedEngine({}).generate([ask("a")])
    assert isinstance(made, Failure)
    (made,) = ScriptedEngine([]).generate([ask("a")])
    assert isinstance(made, Failure)


def test_a_request_that_does_not_fit_the_context_is_a_failure_and_one_that_just_fits_is_not() -> (
    None
):
    engine = ScriptedEngine(lambda request: "x", context_tokens=13)
    fits, does_not = engine.generate([ask("a", max_tokens=10), ask("a b", max_tokens=10)])
    assert isinstance(fits, Generation)
    assert isinstance(does_not, Failure)
    assert "do not fit into 13 tokens" in does_not.message


def test_a_long_answer_is_cut_at_the_limit_and_says_so() -> None:
    (made,) = ScriptedEngine(["one two three"]).generate([ask("a", max_tokens=2)])
    assert isinstance(made, Generation)
    assert (made.text, made.finish_reason) == ("one two", "length")
    assert made.usage.completion_tokens == 2


def test_requests_are_recorded() -> None:
    engine = ScriptedEngine(["x"])
    engine.generate([ask("a")])
    assert engine.requests == [ask("a")]


def test_a_closed_engine_answers_nothing() -> None:
    engine = ScriptedEngine(["x"])
    engine.close()
    with pytest.raises(RuntimeError):
        engine.generate([ask("a")])
