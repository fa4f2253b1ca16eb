"""What is asked of a server goes to its back end as vllm takes it, and comes back whole."""

from collections.abc import Iterator
from typing import Any

import openai
import pytest
from pydantic import BaseModel

from backends import SEEN_AS, served_by, tuned, write_adapter
from http_serving import PASSAGE, Served
from stand_in_vllm import LOGPROB, OTHER_LOGPROB, VllmStandIn, echo

HUB = "HuggingFaceTB/SmolLM2-135M-Instruct"
ASKED: Any = [{"role": "user", "content": "where is my parcel"}]
TOOL: Any = {
    "type": "function",
    "function": {"name": "find", "parameters": {"type": "object", "properties": {}}},
}


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[VllmStandIn, Served]]:
    folder = tmp_path_factory.mktemp("models")
    vllm = VllmStandIn(HUB, folder=folder, seen_as=SEEN_AS)
    with served_by(vllm) as served:
        tuned(served, "tuned@1", write_adapter(folder / "tuned" / "1" / "adapter"))
        yield vllm, served
    vllm.stop()


@pytest.fixture
def vllm(shared: tuple[VllmStandIn, Served]) -> VllmStandIn:
    vllm = shared[0]
    vllm.script, vllm.tells_cached = echo, None
    vllm.asked.clear()
    return vllm


@pytest.fixture
def served(shared: tuple[VllmStandIn, Served], vllm: VllmStandIn) -> Served:
    return shared[1]


def test_an_answer_is_the_back_ends_under_the_name_of_the_version(served: Served) -> None:
    got = served.client().chat.completions.create(model="triage@production", messages=ASKED)
    assert got.model == "triage@3"
    assert got.choices[0].message.content == f"{HUB} heard: where is my parcel"
    assert got.choices[0].finish_reason == "stop"
    assert got.usage is not None
    assert (got.usage.prompt_tokens, got.usage.completion_tokens) == (7, 6)


def test_a_stream_joined_is_the_answer(served: Served) -> None:
    chunks = list(
        served.client().chat.completions.create(
            model="base", messages=ASKED, stream=True, stream_options={"include_usage": True}
        )
    )
    texts = [chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices]
    assert "".join(texts) == f"{HUB} heard: where is my parcel"
    assert len([text for text in texts if text]) == 6  # as they came
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens == 6


def test_prompts_are_made_here(vllm: VllmStandIn, served: Served) -> None:
    served.client().chat.completions.create(model="triage@3", messages=ASKED)
    assert vllm.asked[0]["messages"] == [{"role": "system", "content": "Sort the mail."}, *ASKED]


def test_passages_that_were_given_are_annotations(served: Served) -> None:
    got = served.client().chat.completions.create(model="help@1", messages=ASKED)
    (note,) = got.choices[0].message.annotations or ()
    assert note.url_citation.url == PASSAGE.source


def test_a_model_without_a_language_model_answers_here(vllm: VllmStandIn, served: Served) -> None:
    got = served.client().chat.completions.create(model="sorter@1", messages=ASKED)
    assert got.choices[0].message.content == "refund"
    assert vllm.asked == []


def test_a_request_without_a_word_is_answered_as_it_was_measured(
    vllm: VllmStandIn, served: Served
) -> None:
    """Nothing is left to the model's generation_config.json, and no model is let think."""
    served.client().chat.completions.create(model="base", messages=ASKED)
    assert vllm.asked == [
        {
            "model": HUB,
            "messages": ASKED,
            "stream": True,
            "stream_options": {"include_usage": True},
            "temperature": 0.0,
            "top_p": 1.0,
            "top_k": -1,
            "min_p": 0.0,
            "repetition_penalty": 1.0,
            "frequency_penalty": 0.0,
            "presence_penalty": 0.0,
            "n": 1,
            "max_completion_tokens": 64,
            "chat_template_kwargs": {
                "enable_thinking": False,
                "thinking": False,
                "date_string": "26 Jul 2024",
            },
        }
    ]


def test_every_field_reaches_the_back_end(vllm: VllmStandIn, served: Served) -> None:
    got = served.client().chat.completions.create(
        model="base",
        messages=ASKED,
        temperature=0.5,
        top_p=0.9,
        seed=7,
        stop=["\n", "END"],
        n=2,
        max_tokens=3,
        logprobs=True,
        top_logprobs=2,
    )
    (asked,) = vllm.asked
    wanted = {"temperature": 0.5, "top_p": 0.9, "seed": 7, "stop": ["\n", "END"], "n": 2}
    wanted |= {"max_completion_tokens": 3, "logprobs": True, "top_logprobs": 2}
    assert {name: asked[name] for name in wanted} == wanted
    assert [choice.finish_reason for choice in got.choices] == ["length", "length"]
    assert [choice.message.content for choice in got.choices] == [f"{HUB} heard: where"] * 2
    assert got.usage is not None
    assert got.usage.completion_tokens == 6
    (first, *_) = got.choices[1].logprobs.content  # type: ignore[union-attr, misc]
    assert (first.token, first.logprob) == (HUB, LOGPROB)
    others = [(one.token, one.logprob) for one in first.top_logprobs]
    assert others == [("other0", OTHER_LOGPROB), ("other1", OTHER_LOGPROB)]


def test_greedy_answers_are_asked_once_and_given_n_times(vllm: VllmStandIn, served: Served) -> None:
    got = served.client().chat.completions.create(model="base", messages=ASKED, n=3)
    assert [one["n"] for one in vllm.asked] == [1]
    assert [choice.index for choice in got.choices] == [0, 1, 2]
    assert len({choice.message.content for choice in got.choices}) == 1
    assert got.usage is not None
    assert got.usage.completion_tokens == 18


def test_a_schema_is_passed_on_as_vllm_takes_it(vllm: VllmStandIn, served: Served) -> None:
    class Order(BaseModel):
        number: int

    vllm.script = lambda asked: '{"number": 4}'
    got = served.client().chat.completions.parse(
        model="base", messages=ASKED, response_format=Order
    )
    assert got.choices[0].message.parsed == Order(number=4)
    served.client().chat.completions.create(
        model="base", messages=ASKED, response_format={"type": "json_object"}
    )
    first, second = (one["response_format"] for one in vllm.asked)
    assert first["type"] == "json_schema"
    assert first["json_schema"]["schema"]["properties"]["number"] == {
        "title": "Number",
        "type": "integer",
    }
    assert second == {"type": "json_object"}


@pytest.mark.parametrize(
    "said", ["a\u2028b\u2029c\x85d\x0b\x0c\x1e e", "日本語 🙂 é", " \n\n x \n"]
)
def test_whatever_is_said_arrives_whole(vllm: VllmStandIn, served: Served, said: str) -> None:
    """Other ends of lines than a stream's own stand within texts."""
    vllm.script = lambda asked: said
    got = served.client().chat.completions.create(model="base", messages=ASKED)
    assert got.choices[0].message.content == said


def test_cached_tokens_are_told_once_the_back_end_tells_them(
    vllm: VllmStandIn, served: Served
) -> None:
    def details() -> object:
        got = served.client().chat.completions.create(model="base", messages=ASKED)
        assert got.usage is not None
        return got.usage.prompt_tokens_details and got.usage.prompt_tokens_details.cached_tokens

    assert details() is None  # nobody knows whether none came from the cache, or none is told
    vllm.tells_cached = 3
    assert details() == 3
    vllm.tells_cached = None
    assert details() == 0


def test_tools_go_through_the_back_ends_template(vllm: VllmStandIn, served: Served) -> None:
    vllm.script = lambda asked: '{"name": "find", "arguments": {"number": 4}}'
    turns: Any = [
        *ASKED,
        {
            "role": "assistant",
            "tool_calls": [
                {"id": "x", "type": "function", "function": {"name": "find", "arguments": "{}"}}
            ],
        },
        {"role": "tool", "tool_call_id": "x", "content": "nothing"},
    ]
    got = served.client().chat.completions.create(model="base", messages=turns, tools=[TOOL])
    (call,) = got.choices[0].message.tool_calls or ()
    assert (call.function.name, got.choices[0].finish_reason) == ("find", "tool_calls")  # type: ignore[union-attr]
    (asked,) = vllm.asked
    assert (asked["tools"], asked["tool_choice"]) == ([TOOL], "none")
    called, result = asked["messages"][1:]
    assert result == {
        "role": "tool",
        "content": "nothing",
        "tool_call_id": called["tool_calls"][0]["id"],
        "name": "find",
    }


@pytest.mark.parametrize("field", ["tools"])
def test_a_template_without_tools_is_refused_by_its_field(tmp_path: Any, field: str) -> None:
    folder = tmp_path / "models"
    vllm = VllmStandIn(HUB, folder=folder, seen_as=SEEN_AS)
    vllm.writes_tools = False
    with served_by(vllm) as served:
        client = served.client()
        with pytest.raises(openai.BadRequestError) as refused:
            client.chat.completions.create(model="base", messages=ASKED, tools=[TOOL])
        assert (refused.value.param, refused.value.code) == (field, "unsupported_parameter")
        # What was trained here learnt them as text.
        tuned(served, "tuned@1", write_adapter(folder / "tuned" / "1" / "adapter"))
        client.chat.completions.create(model="tuned@1", messages=ASKED, tools=[TOOL])
    vllm.stop()
    (asked,) = vllm.asked
    assert "tools" not in asked
    assert '"name": "find"' in asked["messages"][0]["content"]


@pytest.mark.parametrize(
    ("asked", "param"),
    [
        ({"messages": [{"role": "user", "content": "word " * 2000}]}, "messages"),
        ({"max_tokens": 5000}, "messages"),
        ({"frequency_penalty": 1.0}, "frequency_penalty"),
        ({"reasoning_effort": "high"}, "reasoning_effort"),
        ({"logprobs": True, "top_logprobs": 21}, "top_logprobs"),
    ],
    ids=str,
)
def test_what_cannot_be_done_is_a_400_that_names_the_field(
    served: Served, asked: dict[str, Any], param: str
) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        served.client().chat.completions.create(**{"model": "base", "messages": ASKED, **asked})
    assert refused.value.param == param
