import json
import threading
import time

import pytest

from chat_endpoint import Endpoint, Reply, ask, completion, engine, only, refusal
from tunewise.errors import UserError
from tunewise.models.engines.openai import OpenAIEngine
from tunewise.models.engines.protocol import Request
from tunewise.text.answer_text import split_thoughts
from tunewise.types import Failure, Generation, Message, ToolCall

KEY = "sk-a-secret-that-nobody-may-see"

WEATHER = {"type": "function", "function": {"name": "weather", "parameters": {}}}


def called(call_id: str, arguments: str) -> dict[str, object]:
    function = {"name": "weather", "arguments": arguments}
    return {"id": call_id, "type": "function", "function": function}


def test_tools_calls_and_results_go_out_as_the_endpoint_wants_them(endpoint: Endpoint) -> None:
    calls = tuple(
        ToolCall(name="weather", arguments=f'{{"place": "{place}"}}', id=place)
        for place in ("Bonn", "Ulm")
    )
    turns = (
        Message(role="user", content="Weather?"),
        Message(role="assistant", content="", tool_calls=calls, weight=1),
        Message(role="tool", content="8", tool_call_id="Ulm"),
        Message(role="tool", content="12", tool_call_id="Bonn"),
    )
    engine(endpoint).generate([Request(messages=turns, tools=(WEATHER,))])
    (sent,) = endpoint.bodies
    assert sent["tools"] == [WEATHER]
    assert sent["messages"][1:] == [
        {
            "role": "assistant",
            "content": "",
            "tool_calls": [
                called("call_0", '{"place": "Bonn"}'),
                called("call_1", '{"place": "Ulm"}'),
            ],
        },
        {"role": "tool", "content": "8", "tool_call_id": "call_1"},
        {"role": "tool", "content": "12", "tool_call_id": "call_0"},
    ]


def test_an_answer_that_calls_tools_comes_back_as_json(endpoint: Endpoint) -> None:
    message = {
        "role": "assistant",
        "content": None,
        "tool_calls": [called("x", '{"place":"Bonn"}')],
    }
    choice = {"index": 0, "finish_reason": "tool_calls", "message": message}
    endpoint.reply = lambda asked: completion(choices=[choice])
    made = only(engine(endpoint).generate([ask()]))
    assert isinstance(made, Generation)
    assert made.text == '{"name": "weather", "arguments": {"place": "Bonn"}}'


def test_an_answer_comes_back_with_its_tokens_cached_ones_included(endpoint: Endpoint) -> None:
    usage = {
        "prompt_tokens": 90,
        "completion_tokens": 3,
        "total_tokens": 93,
        "prompt_tokens_details": {"cached_tokens": 64},
    }
    endpoint.reply = lambda asked: completion("refund", usage=usage)
    made = only(engine(endpoint).generate([ask()]))
    assert isinstance(made, Generation)
    assert made.text == "refund"
    assert made.finish_reason == "stop"
    assert (made.usage.prompt_tokens, made.usage.cached_tokens) == (90, 64)
    assert made.usage.completion_tokens == 3
    assert made.seconds > 0


def test_the_request_is_greedy_and_carries_the_conversation_and_the_limit(
    endpoint: Endpoint,
) -> None:
    engine(endpoint).generate([ask(max_tokens=7)])
    assert endpoint.bodies == [
        {
            "model": "m",
            "messages": [
                {"role": "system", "content": "Classify."},
                {"role": "user", "content": "where is my money"},
            ],
            "max_tokens": 7,
            "temperature": 0.0,
        }
    ]


def test_an_answer_that_was_cut_says_so(endpoint: Endpoint) -> None:
    endpoint.reply = lambda asked: completion("ref", finish="length")
    made = only(engine(endpoint).generate([ask()]))
    assert isinstance(made, Generation)
    assert made.finish_reason == "length"


def test_without_a_count_from_the_endpoint_tokens_are_estimated(endpoint: Endpoint) -> None:
    one = engine(endpoint)
    made = only(one.generate([ask()]))
    assert isinstance(made, Generation)
    # "Classify." has 9 characters, the question 17, and each turn counts 4 more.
    assert made.usage.prompt_tokens == 4 + 2 + 4 + 4
    assert made.usage.completion_tokens == len("refund") // 4


def test_429_is_tried_again_after_the_time_the_endpoint_asks_for(endpoint: Endpoint) -> None:
    replies = iter([refusal(429, "slow down", **{"Retry-After": "1"}), completion("refund")])
    endpoint.reply = lambda asked: next(replies)
    made = only(engine(endpoint).generate([ask()]))
    assert isinstance(made, Generation)
    first, second = endpoint.times
    assert 1.0 <= second - first < 3.0


def test_a_server_error_that_stays_fails_that_request_alone(endpoint: Endpoint) -> None:
    def reply(asked: dict) -> Reply:
        broken = asked["messages"][-1]["content"] == "break"
        return refusal(500, "out of memory") if broken else completion("refund")

    endpoint.reply = reply
    made = engine(endpoint).generate([ask("one"), ask("break"), ask("two")])
    assert [type(one) for one in made] == [Generation, Failure, Generation]
    assert isinstance(made[1], Failure)
    assert made[1].message == "the server failed (out of memory). Try later."
    assert len(endpoint.bodies) == 4  # one request was tried twice


def test_an_endpoint_that_hangs_fails_in_the_time_allowed(endpoint: Endpoint) -> None:
    released = threading.Event()

    def hang(asked: dict) -> Reply:
        released.wait(10)
        return completion()

    endpoint.reply = hang
    began = time.monotonic()
    made = only(engine(endpoint, timeout_seconds=0.3, max_retries=0).generate([ask()]))
    released.set()
    assert isinstance(made, Failure)
    assert made.message.startswith("no answer in time")
    assert time.monotonic() - began < 3


@pytest.mark.parametrize(
    "body",
    ["{broken", "<html>Sign in</html>", "[]", "{}", '{"choices": []}', '{"choices": [{}]}'],
)
def test_what_is_no_chat_completion_is_a_failure(endpoint: Endpoint, body: str) -> None:
    endpoint.reply = lambda asked: (200, {"Content-Type": "application/json"}, body)
    made = only(engine(endpoint, max_retries=0).generate([ask()]))
    assert isinstance(made, Failure)
    assert "no chat completion" in made.message


def test_a_page_instead_of_json_is_a_failure(endpoint: Endpoint) -> None:
    endpoint.reply = lambda asked: (200, {"Content-Type": "text/html"}, "<html>Sign in</html>")
    made = only(engine(endpoint, max_retries=0).generate([ask()]))
    assert isinstance(made, Failure)
    assert "no chat completion" in made.message


def test_a_filtered_answer_is_a_failure(endpoint: Endpoint) -> None:
    endpoint.reply = lambda asked: completion("", finish="content_filter")
    assert isinstance(only(engine(endpoint).generate([ask()])), Failure)


def test_an_answer_without_text_is_a_failure_but_an_empty_one_is_an_answer(
    endpoint: Endpoint,
) -> None:
    endpoint.reply = lambda asked: completion(None)
    assert isinstance(only(engine(endpoint).generate([ask()])), Failure)
    endpoint.reply = lambda asked: completion("")
    empty = only(engine(endpoint).generate([ask()]))
    assert isinstance(empty, Generation)
    assert empty.text == ""


def test_no_more_requests_are_under_way_than_allowed_and_answers_keep_their_order(
    endpoint: Endpoint,
) -> None:
    def reply(asked: dict) -> Reply:
        text = asked["messages"][-1]["content"]
        time.sleep(0.05 if text == "0" else 0.02)
        return completion(text)

    endpoint.reply = reply
    made = engine(endpoint, concurrency=3).generate([ask(str(number)) for number in range(9)])
    assert [one.text for one in made if isinstance(one, Generation)] == list("012345678")
    assert endpoint.most_at_once == 3


def test_a_prompt_that_cannot_fit_is_not_sent(endpoint: Endpoint) -> None:
    made = only(engine(endpoint, context_tokens=100).generate([ask("word " * 200)]))
    assert isinstance(made, Failure)
    assert "do not fit into 100 tokens" in made.message
    assert endpoint.bodies == []


def test_a_model_that_takes_no_temperature_is_asked_without_and_said_so(
    endpoint: Endpoint,
) -> None:
    # openlit/openlit#1068: every request of an evaluation was refused.
    def reply(asked: dict) -> Reply:
        if "temperature" in asked:
            return refusal(400, "'temperature' does not support 0 with this model. Only 1 is.")
        return completion("refund")

    endpoint.reply = reply
    one = engine(endpoint)
    assert one.caveat is None
    assert isinstance(only(one.generate([ask()])), Generation)
    assert isinstance(only(one.generate([ask()])), Generation)
    assert ["temperature" in body for body in endpoint.bodies] == [True, False, False]
    assert one.caveat == "it takes no temperature, so that another run may get other answers"


def test_a_model_that_takes_neither_temperature_nor_the_older_limit_is_asked_without_both(
    endpoint: Endpoint,
) -> None:
    def reply(asked: dict) -> Reply:
        for name in ("temperature", "max_tokens"):
            if name in asked:
                return refusal(400, f"Unsupported parameter: '{name}' is not supported.")
        return completion("refund")

    endpoint.reply = reply
    assert isinstance(only(engine(endpoint).generate([ask()])), Generation)
    assert sorted(endpoint.bodies[-1]) == ["max_completion_tokens", "messages", "model"]


def test_a_refusal_that_stays_whatever_is_left_out_ends(endpoint: Endpoint) -> None:
    endpoint.reply = lambda asked: refusal(400, "Unsupported: max_tokens and temperature.")
    made = only(engine(endpoint).generate([ask()]))
    assert isinstance(made, Failure)
    assert made.message.startswith("refuses the request (Unsupported: max_tokens and temperature.)")
    assert len(endpoint.bodies) == 3


@pytest.mark.parametrize("thoughts", ["", None, "<think>The customer wants their money"])
def test_a_model_that_spends_the_limit_on_thoughts_gets_room_for_them(
    endpoint: Endpoint, thoughts: str | None
) -> None:
    # openai/openai-agents-python#4513: an empty answer that was cut passed for an answer.
    def reply(asked: dict) -> Reply:
        cut = asked["max_tokens"] < 1000
        return completion(thoughts, finish="length") if cut else completion("refund")

    endpoint.reply = reply
    one = engine(endpoint)
    for made in (only(one.generate([ask()])), only(one.generate([ask()]))):
        assert isinstance(made, Generation)
        assert made.text == "refund"
    assert [body["max_tokens"] for body in endpoint.bodies] == [32, 32 + 4096, 32 + 4096]


def test_room_for_thoughts_stays_within_the_context(endpoint: Endpoint) -> None:
    endpoint.reply = lambda asked: completion("", finish="length")
    engine(endpoint, context_tokens=1000).generate([ask("word " * 400)])
    # 4 + 2 tokens of the system turn, 4 + 500 of the question are estimated.
    assert [body["max_tokens"] for body in endpoint.bodies] == [32, 490]


def test_an_answer_cut_before_it_began_is_a_failure(endpoint: Endpoint) -> None:
    # can1357/oh-my-pi#2774: the prompt fills the context of a local server.
    endpoint.reply = lambda asked: completion("", finish="length")
    one = engine(endpoint)
    for made in (only(one.generate([ask()])), only(one.generate([ask()]))):
        assert isinstance(made, Failure)
        assert made.message.startswith("it was cut before an answer began")
    assert len(endpoint.bodies) == 3
    with pytest.raises(UserError, match="it was cut before an answer began"):
        one.check()


def test_a_failure_with_status_200_is_tried_again_and_says_what_failed(
    endpoint: Endpoint,
) -> None:
    # UKGovernmentBEIS/inspect_ai#1534: too many requests, as a success without choices.
    error = {"message": "Provider returned error", "code": 429, "metadata": {"raw": "Slow down"}}
    replies = iter([completion(choices=None, error=error), completion("refund")])
    endpoint.reply = lambda asked: next(replies)
    assert isinstance(only(engine(endpoint).generate([ask()])), Generation)
    endpoint.reply = lambda asked: completion(choices=None, error=error)
    made = only(engine(endpoint).generate([ask()]))
    assert isinstance(made, Failure)
    assert made.message == (
        "too many requests or no credit left (Provider returned error: Slow down). "
        "Lower concurrency or wait."
    )
    assert len(endpoint.bodies) == 4


def test_a_model_that_knows_the_limit_by_its_newer_name_is_asked_by_it(
    endpoint: Endpoint,
) -> None:
    def reply(asked: dict) -> Reply:
        if "max_tokens" in asked:
            return refusal(
                400, "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead."
            )
        return completion("refund")

    endpoint.reply = reply
    one = engine(endpoint)
    assert isinstance(only(one.generate([ask()])), Generation)
    assert isinstance(only(one.generate([ask()])), Generation)
    assert ["max_tokens" in body for body in endpoint.bodies] == [True, False, False]


def test_a_refused_request_says_what_the_endpoint_said(endpoint: Endpoint) -> None:
    endpoint.reply = lambda asked: refusal(400, "the context window is 4096 tokens")
    made = only(engine(endpoint).generate([ask()]))
    assert isinstance(made, Failure)
    assert "refuses the request (the context window is 4096 tokens)" in made.message


def test_the_key_comes_from_the_environment_and_shows_in_no_message(
    endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_KEY", KEY)
    endpoint.reply = lambda asked: refusal(401, f"Incorrect API key provided: {KEY}")
    one = engine(endpoint, key_variable="MY_KEY")
    made = only(one.generate([ask()]))
    assert endpoint.headers[0]["authorization"] == f"Bearer {KEY}"
    assert isinstance(made, Failure)
    assert made.message == (
        "refuses the key (Incorrect API key provided: [key]). Check the variable MY_KEY."
    )
    assert KEY not in repr(one)
    assert KEY not in repr(vars(one))


def test_an_endpoint_elsewhere_needs_a_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MY_KEY", raising=False)
    with pytest.raises(UserError, match="the environment variable MY_KEY is not set"):
        OpenAIEngine(model="m", base_url="https://models.example.org/v1", key_variable="MY_KEY")


def test_an_address_that_is_none_is_said_so() -> None:
    with pytest.raises(UserError, match="'models' is no address of an endpoint"):
        OpenAIEngine(model="m", base_url="models")


def test_a_check_passes_where_the_endpoint_answers(endpoint: Endpoint) -> None:
    engine(endpoint).check()
    assert endpoint.bodies[0]["messages"][-1]["content"] == "Say OK."


@pytest.mark.parametrize(
    ("status", "said", "advice"),
    [
        (401, "bad key", "refuses the key (bad key). Check the variable OPENAI_API_KEY."),
        (404, "no model m", "no such model or path (no model m). Check the model's name"),
    ],
)
def test_a_check_of_an_endpoint_that_refuses_says_what_where_and_what_to_do(
    endpoint: Endpoint, status: int, said: str, advice: str
) -> None:
    endpoint.reply = lambda asked: refusal(status, said)
    with pytest.raises(UserError) as fault:
        engine(endpoint).check()
    assert str(fault.value).startswith(f"m at {endpoint.url}: ")
    assert advice in str(fault.value)


def test_a_check_of_a_server_that_does_not_run_says_so(endpoint: Endpoint) -> None:
    endpoint.server.shutdown()
    endpoint.server.server_close()
    with pytest.raises(UserError, match=r"cannot be reached .* Check base_url"):
        engine(endpoint, max_retries=0).check()


def test_a_check_of_something_else_than_an_api_says_so(endpoint: Endpoint) -> None:
    endpoint.reply = lambda asked: (200, {"Content-Type": "text/html"}, "<html>")
    with pytest.raises(UserError, match="the answer is no chat completion"):
        engine(endpoint).check()


# --- thinking


@pytest.mark.parametrize("thinking", [True, False])
def test_a_server_of_open_models_is_told_through_the_chat_template(
    endpoint: Endpoint, thinking: bool
) -> None:
    engine(endpoint, thinking=thinking).generate([ask()])
    (sent,) = endpoint.bodies
    assert sent["chat_template_kwargs"] == {"enable_thinking": thinking, "thinking": thinking}
    assert sent.get("reasoning_effort") == (None if thinking else "none")


def test_nothing_is_said_of_thinking_where_nothing_is_set(endpoint: Endpoint) -> None:
    engine(endpoint).generate([ask()])
    assert not {"chat_template_kwargs", "reasoning_effort"} & endpoint.bodies[0].keys()
    assert engine(endpoint).thinking_tokens == 0


@pytest.mark.parametrize("status", [400, 422])
def test_a_switch_that_is_refused_gives_way_to_the_other(endpoint: Endpoint, status: int) -> None:
    def reply(asked: dict) -> Reply:
        known = "chat_template_kwargs" not in asked
        return completion() if known else refusal(status, "unknown field chat_template_kwargs")

    endpoint.reply = reply
    thinker = engine(endpoint, thinking=True)
    thinker.check()
    assert isinstance(only(thinker.generate([ask()])), Generation)
    assert [sent.get("reasoning_effort") for sent in endpoint.bodies] == [None, "medium", "medium"]


def test_a_model_that_cannot_stop_thinking_thinks_as_little_as_it_can(endpoint: Endpoint) -> None:
    def reply(asked: dict) -> Reply:
        if "chat_template_kwargs" in asked:
            return refusal(400, "Unknown parameter: 'chat_template_kwargs'.")
        if asked.get("reasoning_effort") in ("none", "minimal"):
            return refusal(400, "Unsupported value: 'reasoning_effort' does not support it.")
        return completion()

    endpoint.reply = reply
    assert isinstance(only(engine(endpoint, thinking=False).generate([ask()])), Generation)
    assert endpoint.bodies[-1]["reasoning_effort"] == "low"


def test_an_endpoint_that_cannot_be_asked_to_think_is_named_before_any_work(
    endpoint: Endpoint,
) -> None:
    def reply(asked: dict) -> Reply:
        for name in ("chat_template_kwargs", "reasoning_effort"):
            if name in asked:
                return refusal(400, f"Unrecognized request argument supplied: {name}")
        return completion()

    endpoint.reply = reply
    engine(endpoint, thinking=False).check()
    with pytest.raises(UserError, match=r'cannot be asked to think. Write thinking = "auto"'):
        engine(endpoint, thinking=True).check()


def with_thoughts(field: str, text: str | None, finish: str = "stop", **more: object) -> Reply:
    status, headers, body = completion(text, finish, **more)
    record = json.loads(body)
    record["choices"][0]["message"][field] = "Could be a delivery."
    return status, headers, json.dumps(record)


@pytest.mark.parametrize("field", ["reasoning_content", "reasoning"])
def test_what_stands_beside_thoughts_is_the_answer_and_thoughts_are_counted(
    endpoint: Endpoint, field: str
) -> None:
    usage = {"prompt_tokens": 9, "completion_tokens": 24, "total_tokens": 33}
    endpoint.reply = lambda asked: with_thoughts(field, "refund", usage=usage)
    made = only(engine(endpoint).generate([ask()]))
    assert isinstance(made, Generation)
    assert made.text == "refund"
    assert 12 < made.usage.thinking_tokens < made.usage.completion_tokens == 24
    counted = {**usage, "completion_tokens_details": {"reasoning_tokens": 20}}
    endpoint.reply = lambda asked: with_thoughts(field, "refund", usage=counted)
    made = only(engine(endpoint).generate([ask()]))
    assert isinstance(made, Generation)
    assert made.usage.thinking_tokens == 20


def test_thoughts_that_use_up_what_was_set_for_them_are_no_answer(endpoint: Endpoint) -> None:
    endpoint.reply = lambda asked: with_thoughts("reasoning", "", "length")
    made = only(engine(endpoint, thinking=True, thinking_tokens=64).generate([ask()]))
    assert isinstance(made, Generation)
    assert made.text == "<think>\nCould be a delivery."
    assert split_thoughts(made.text).answer is None
    assert len(endpoint.bodies) == 1
