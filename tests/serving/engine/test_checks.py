from typing import Any

import pytest

from small_models import user
from tunewise.serving.engine.checks import MAX_ANSWERS, check_request
from tunewise.serving.protocol import Capabilities, ChatRequest, Decoding, RefusedError, Weights
from tunewise.types import Message, ToolCall

NOTHING = Capabilities(
    engine="told", max_top_logprobs=0, schema=False, tools=False, cached_tokens=False
)
ALL = Capabilities(engine="told", max_top_logprobs=5, schema=True, tools=True, cached_tokens=True)
TOOL = {"type": "function", "function": {"name": "f", "parameters": {}}}


def request(**settings: Any) -> ChatRequest:
    decoding = Decoding(**settings.pop("decoding", {}))
    whole = {"messages": user("hello"), "weights": Weights(base="m"), **settings}
    return ChatRequest(decoding=decoding, **whole)


def refusal(asked: ChatRequest, can: Capabilities = ALL) -> RefusedError:
    with pytest.raises(RefusedError) as refused:
        check_request(asked, can)
    return refused.value


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("max_tokens", 0),
        ("temperature", -0.1),
        ("temperature", 2.5),
        ("temperature", float("nan")),
        ("temperature", float("inf")),
        ("top_p", 0.0),
        ("top_p", 1.5),
        ("seed", 2**63),
        ("n", 0),
        ("n", MAX_ANSWERS + 1),
        ("stop", ("",)),
        ("stop", ("x" * 300,)),
        ("stop", tuple("abcdefghijklmnopq")),
        ("stop", ("half \ud83d",)),
        ("top_logprobs", -1),
        ("top_logprobs", 6),
        ("top_logprobs", 1),  # without logprobs
    ],
)
def test_a_value_out_of_bounds_is_refused_with_its_field(field: str, value: object) -> None:
    refused = refusal(request(decoding={field: value}))
    assert refused.param == field
    assert field in refused.message


@pytest.mark.parametrize(
    ("asked", "field"),
    [
        (request(tools=(TOOL,)), "tools"),
        (request(decoding={"logprobs": True, "top_logprobs": 1}), "top_logprobs"),
        (request(decoding={"json_schema": {"type": "null"}}), "response_format"),
    ],
)
def test_what_an_engine_cannot_do_is_refused_and_the_engine_named(
    asked: ChatRequest, field: str
) -> None:
    refused = refusal(asked, NOTHING)
    assert refused.param == field
    assert "told" in refused.message
    check_request(asked, ALL)


@pytest.mark.parametrize(
    ("messages", "tools", "field"),
    [
        ((), (), "messages"),
        (user("half \ud83d"), (), "messages"),
        (
            (
                Message(
                    role="assistant",
                    content="",
                    tool_calls=(ToolCall(name="\ud83d", arguments=""),),
                ),
            ),
            (),
            "messages",
        ),
        (user("a"), ({"type": "\ud83d"},), "tools"),
    ],
)
def test_a_conversation_that_no_tokenizer_takes_is_refused(
    messages: Any, tools: Any, field: str
) -> None:
    assert refusal(request(messages=messages, tools=tools)).param == field


def test_the_bounds_themselves_are_let_through() -> None:
    for temperature, top_p, seed, n in ((0, 1, -(2**63), 1), (2, 1e-9, 2**63 - 1, MAX_ANSWERS)):
        given = {"temperature": temperature, "top_p": top_p, "seed": seed, "n": n, "max_tokens": 1}
        check_request(request(decoding=given), ALL)
