import pytest

from chat_endpoint import Endpoint, ask, completion, engine, only
from tunewise.models.engines.completions import estimated_tokens, most_tokens, said_in
from tunewise.types import Failure, Generation


def answered(endpoint: Endpoint, **message: object) -> Generation | Failure:
    """What the engine makes of a message that an endpoint sends."""
    choice = {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", **message}}
    endpoint.reply = lambda asked: completion(choices=[choice])
    return only(engine(endpoint).generate([ask()]))


def text(made: Generation | Failure) -> str:
    assert isinstance(made, Generation), made
    return made.text


THOUGHT = {"type": "thinking", "thinking": [{"type": "text", "text": "Money, so refund?"}]}


def test_content_in_parts_is_the_text_of_its_text_parts(endpoint: Endpoint) -> None:
    # simonw/llm-mistral#39: thoughts and answer as a list of chunks.
    parts = [THOUGHT, {"type": "text", "text": "re"}, {"type": "text", "text": "fund"}]
    assert text(answered(endpoint, content=parts)) == "refund"


def test_parts_without_a_text_are_no_answer(endpoint: Endpoint) -> None:
    assert isinstance(answered(endpoint, content=[THOUGHT]), Failure)


def test_content_that_is_no_text_is_no_chat_completion(endpoint: Endpoint) -> None:
    made = answered(endpoint, content={"answer": "refund"})
    assert isinstance(made, Failure)
    assert "no chat completion" in made.message


@pytest.mark.parametrize("content", ["", None, " \n"])
def test_a_refusal_is_the_answer_beside_no_content_or_an_empty_one(
    endpoint: Endpoint, content: str | None
) -> None:
    # openai/openai-agents-js#1495: gateways write an empty content beside it.
    assert text(answered(endpoint, content=content, refusal="I cannot help.")) == "I cannot help."


def call(arguments: object) -> dict[str, object]:
    return {"id": "1", "type": "function", "function": {"name": "weather", "arguments": arguments}}


@pytest.mark.parametrize("arguments", ['{"place": "Bonn"}', {"place": "Bonn"}])
def test_arguments_are_read_as_text_and_as_an_object(endpoint: Endpoint, arguments: object) -> None:
    made = answered(endpoint, content=None, tool_calls=[call(arguments)])
    assert text(made) == '{"name": "weather", "arguments": {"place": "Bonn"}}'


def test_a_call_without_a_type_is_a_call(endpoint: Endpoint) -> None:
    made = answered(endpoint, content="", tool_calls=[{"id": "1", "function": {"name": "now"}}])
    assert text(made) == '{"name": "now", "arguments": {}}'


def test_a_call_whose_arguments_are_no_json_is_a_wrong_answer_and_no_failure(
    endpoint: Endpoint,
) -> None:
    made = answered(endpoint, content=None, tool_calls=[call('{"place": "Bo')])
    assert text(made) == '{"name": "weather", "arguments": {"place": "Bo}'


@pytest.mark.parametrize("usage", [{}, {"prompt_tokens": None, "completion_tokens": None}])
def test_counts_that_an_endpoint_leaves_out_are_estimated(endpoint: Endpoint, usage: dict) -> None:
    endpoint.reply = lambda asked: completion("refund", usage=usage)
    made = only(engine(endpoint).generate([ask()]))
    assert isinstance(made, Generation)
    assert (made.usage.prompt_tokens, made.usage.completion_tokens) == (14, 1)


def test_an_answer_that_broke_off_behind_a_gateway_is_a_failure(endpoint: Endpoint) -> None:
    message = {"role": "assistant", "content": "ref"}
    error = {"message": "the provider went away", "code": 502}
    choice = {"index": 0, "finish_reason": "error", "message": message, "error": error}
    endpoint.reply = lambda asked: completion(choices=[choice])
    made = only(engine(endpoint).generate([ask()]))
    assert isinstance(made, Failure)
    assert made.message == "the answer broke off (the provider went away)"


@pytest.mark.parametrize(
    ("error", "said"),
    [
        ({"message": "slow", "code": 429}, "too many requests or no credit left (slow)"),
        ({"message": "slow", "code": "429"}, "too many requests or no credit left (slow)"),
        ({"message": "gone", "code": 502}, "the server failed (gone)"),
        ({"message": "long", "code": "context_length_exceeded"}, "refuses the request (long)"),
        ({"message": "no code"}, "refuses the request (no code)"),
        ({"message": "odd", "code": 200}, "refuses the request (odd)"),
        ("not loaded", "refuses the request (not loaded)"),
    ],
)
def test_a_failure_with_status_200_is_read_by_the_status_it_names(
    endpoint: Endpoint, error: object, said: str
) -> None:
    endpoint.reply = lambda asked: completion(choices=None, error=error)
    made = only(engine(endpoint, max_retries=0).generate([ask()]))
    assert isinstance(made, Failure)
    assert made.message.startswith(said)


def test_an_answer_beside_a_warning_is_an_answer(endpoint: Endpoint) -> None:
    endpoint.reply = lambda asked: completion("refund", error={"message": "old version"})
    assert text(only(engine(endpoint).generate([ask()]))) == "refund"


def test_the_message_in_an_error() -> None:
    assert said_in({"message": "no model m"}) == "no model m"
    assert said_in("no model m") == "no model m"
    assert said_in({"detail": "elsewhere"}) is None
    assert said_in(None) is None


# Tokens of cl100k, o200k and Qwen's tokenizer for such sentences lie between these two estimates.
@pytest.mark.parametrize(
    ("written", "roughly", "at_most"),
    [
        ("Your order was sent today.", 6, 13),
        ("ご注文は本日発送いたしました。", 15, 30),
        ("您的订单今天已经发货。", 11, 22),
        ("Заказ отправлен", 7, 15),
        ("✅ 🚚", 3, 7),
        ('{"id": "9f86d081884c7d65"}', 6, 13),
    ],
)
def test_tokens_are_estimated_by_script(written: str, roughly: int, at_most: int) -> None:
    # Martian-Engineering/lossless-claw#250: four characters a token makes a sixth of Japanese.
    assert (estimated_tokens(written), most_tokens(written)) == (roughly, at_most)


def test_a_limit_made_of_answers_in_japanese_does_not_cut_them(endpoint: Endpoint) -> None:
    answer = "ご注文は本日発送いたしました。"
    assert engine(endpoint).count_answer_tokens(answer) >= 1.5 * len(answer)
