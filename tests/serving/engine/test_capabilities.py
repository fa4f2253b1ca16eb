"""Every engine and every field of a chat request: it has an effect, or is a 400 that names it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest

from http_serving import Served, echo, serving
from tunewise.errors import UserError
from tunewise.serving.engine import capabilities
from tunewise.serving.engine.capabilities import CAPABILITIES, ENGINES, EngineName, require_engine
from tunewise.serving.engine.scripted import ScriptedChatEngine
from tunewise.serving.http.wire import ChatCompletionRequest

SERVING = Path(__file__).parents[3] / "docs" / "serving.md"
TOOL = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
CALL = '{"name": "f", "arguments": {}}'
TURNS = [{"role": "user", "content": CALL}]
SCHEMA = {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "object"}}}
NAMED = {"type": "function", "function": {"name": "f"}}

ALWAYS: list[dict[str, Any]] = [
    {"messages": [*TURNS, {"role": "assistant", "content": "x"}, *TURNS]},
    {"max_tokens": 3},
    {"max_completion_tokens": 3},
    {"temperature": 0.5},
    {"top_p": 0.5},
    {"n": 2},
    {"stop": ["x"]},
    {"seed": 1},
    {"logprobs": True},
    {"response_format": {"type": "text"}},
    {"tools": [TOOL], "tool_choice": "none"},
    {"stream": True},
    {"stream_options": {"include_usage": True}, "stream": True},
    {"user": "u"},
    {"safety_identifier": "s"},
    {"prompt_cache_key": "k"},
    {"metadata": {"a": "b"}},
    {"frequency_penalty": 0},
    {"presence_penalty": 0},
    {"logit_bias": {}},
    {"modalities": ["text"]},
    {"parallel_tool_calls": True, "tools": [TOOL], "tool_choice": "none"},
    {"service_tier": "auto"},
    {"store": False},
]
"""What every engine takes."""
NEVER: list[tuple[dict[str, Any], str]] = [
    ({"frequency_penalty": 1}, "frequency_penalty"),
    ({"presence_penalty": 1}, "presence_penalty"),
    ({"logit_bias": {"5": 1}}, "logit_bias"),
    ({"parallel_tool_calls": False, "tools": [TOOL]}, "parallel_tool_calls"),
    ({"n": 17}, "n"),
    ({"logprobs": True, "top_logprobs": 21}, "top_logprobs"),
    ({"reasoning_effort": "low"}, "reasoning_effort"),
    ({"prediction": {"type": "content", "content": "x"}}, "prediction"),
]
"""What none does."""
SOME: list[tuple[dict[str, Any], str, str]] = [
    ({"logprobs": True, "top_logprobs": 1}, "top_logprobs", "max_top_logprobs"),
    ({"logprobs": True, "top_logprobs": 20}, "top_logprobs", "max_top_logprobs"),
    ({"response_format": {"type": "json_object"}}, "response_format", "schema"),
    ({"response_format": SCHEMA}, "response_format", "schema"),
    ({"tools": [TOOL]}, "tools", "tools"),
    ({"tools": [TOOL], "tool_choice": "auto"}, "tools", "tools"),
    ({"tools": [TOOL], "tool_choice": "required"}, "tool_choice", "schema"),
    ({"tools": [TOOL], "tool_choice": NAMED}, "tool_choice", "schema"),
]
"""A field, and what of its capabilities an engine needs for it."""


@pytest.fixture(scope="module", params=ENGINES)
def served(request: pytest.FixtureRequest) -> Iterator[Served]:
    engine = ScriptedChatEngine(echo, capabilities=CAPABILITIES[request.param])
    with serving(engine=engine) as running:
        yield running


def ask(served: Served, fields: dict[str, Any]) -> Any:
    asked = {"model": "base", "messages": TURNS, **fields}
    named = {name: asked.pop(name) for name in ("prediction", "reasoning_effort") if name in asked}
    got = served.client().chat.completions.create(**asked, extra_body=named)
    return list(got) if fields.get("stream") else got


def test_the_walk_leaves_no_field_out() -> None:
    walked = {field for fields in ALWAYS for field in fields}
    walked |= {field for fields, _ in NEVER for field in fields}
    walked |= {field for fields, *_ in SOME for field in fields}
    assert set(ChatCompletionRequest.model_fields) - walked == {"model"}


@pytest.mark.parametrize("fields", ALWAYS, ids=str)
def test_every_engine_takes_it(served: Served, fields: dict[str, Any]) -> None:
    if fields.get("n") == 2:
        served.engine._script = lambda request: [CALL] * request.decoding.n
    assert ask(served, fields)
    served.engine._script = echo


@pytest.mark.parametrize(("fields", "field"), NEVER, ids=str)
def test_no_engine_takes_it(served: Served, fields: dict[str, Any], field: str) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        ask(served, fields)
    assert refused.value.param == field


@pytest.mark.parametrize(("fields", "field", "needs"), SOME, ids=str)
def test_an_engine_takes_what_it_can_and_refuses_the_rest_by_name(
    served: Served, fields: dict[str, Any], field: str, needs: str
) -> None:
    can = served.engine.capabilities
    if getattr(can, needs):
        assert ask(served, fields).choices[0].finish_reason in ("stop", "tool_calls")
        return
    with pytest.raises(openai.BadRequestError, match=f"{field}.*{can.engine}") as refused:
        ask(served, fields)
    assert refused.value.param == field


def test_cached_tokens_are_told_only_where_they_are_known(served: Served) -> None:
    details = ask(served, {}).usage.prompt_tokens_details
    assert (details is not None) == served.engine.capabilities.cached_tokens


def rows(field: str) -> dict[str, str]:
    """A row of the table in the docs: engine -> what is said of it."""
    lines = SERVING.read_text("utf-8").splitlines()
    (head,) = [line for line in lines if line.startswith("| | `openvino`")]
    (row,) = [line for line in lines if line.startswith(f"| {field}")]
    names = [one.strip(" `") for one in head.split("|")[2:-1]]
    return dict(zip(names, [one.strip() for one in row.split("|")[2:-1]], strict=True))


@pytest.mark.parametrize("engine", ENGINES)
def test_the_page_says_what_the_table_says(engine: EngineName) -> None:
    can = CAPABILITIES[engine]
    assert can.engine == engine
    top = can.max_top_logprobs
    assert rows("`top_logprobs`")[engine] == (f"up to {top}" if top else "0")
    assert rows("`response_format`")[engine] == ("yes" if can.schema else "no")
    assert rows("`tools`")[engine] == ("where the template has them" if can.tools else "no")
    assert rows("`cached_tokens`")[engine] == ("told" if can.cached_tokens else "not told")


def test_an_engine_whose_extra_is_missing_says_which(monkeypatch: pytest.MonkeyPatch) -> None:
    require_engine("openvino")
    monkeypatch.setattr(capabilities.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"pip install 'tunewise\[llamacpp\]'"):
        require_engine("llamacpp")
