"""Turns a conversation into the text a model sees: its own chat template decides.

A base model without a template gets the plain form: one block a turn and a blank line between
blocks (`System: …`, `User: …`, `Assistant: …`); the prompt ends with `Assistant:`.

Tools and their calls go through the template where it knows them; otherwise they become text as
`tools.as_plain` says. A template that writes today's date gets one and the same: the same rows are
the same tokens on any day.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from typing import Protocol

import jinja2

from tunewise.chat.tools import answered_calls, as_plain
from tunewise.errors import UserError
from tunewise.text.answer_text import close_thought
from tunewise.types import Message, Tool, ToolCall

_TODAY = datetime(2024, 7, 26)
"""What templates are told where they ask for today: the date that Llama 3's writes if not told."""
DATE = f"{_TODAY:%d %b %Y}"
"""The same as templates take it that are told it (`date_string`)."""
_PARTS = "".join(
    f" | replace('%{part}', '{_TODAY.strftime(f'%{part}')}')"
    for part in ("-d", "-m", *"aAbBdHIjmMpSuUwyY")
)
_SAME_DAY = "{% macro strftime_now(form) %}{{ form" + _PARTS + " }}{% endmacro %}{{ '' }}"
"""Put before a template, it stands for the clock. (Only data can be handed to a template.)"""

PROBE_TOOL: Tool = {
    "type": "function",
    "function": {
        "name": "probe_function",
        "description": "A probe.",
        "parameters": {
            "type": "object",
            "properties": {"probe_key": {"type": "string", "description": "A probe."}},
            "required": ["probe_key"],
        },
    },
}
PROBE_TURNS = (
    Message(role="user", content="Hello."),
    Message(
        role="assistant",
        content="",
        tool_calls=(ToolCall(name="probe_function", arguments='{"probe_key": "probe_value"}'),),
    ),
    Message(role="tool", content="probe_result"),
)


class ChatTokenizer(Protocol):
    """The part of a `transformers` tokenizer that is used here."""

    @property
    def bos_token(self) -> object:
        """The begin-of-text token, or None."""
        ...

    @property
    def eos_token(self) -> object:
        """The end-of-text token, or None."""
        ...

    def apply_chat_template(
        self,
        conversation: list[dict[str, object]],
        *,
        tools: list[Mapping[str, object]] | None,
        tokenize: bool,
        add_generation_prompt: bool,
        enable_thinking: bool,
        thinking: bool,
        chat_template: str | None,
        date_string: str,
    ) -> object:
        """Renders the template in a Jinja sandbox; most templates know nothing of thinking."""
        ...

    def encode(self, text: str, *, add_special_tokens: bool) -> list[int]:
        """Text -> token ids."""
        ...

    def decode(self, token_ids: list[int]) -> object:
        """Token ids -> text."""
        ...

    def get_added_vocab(self) -> dict[str, int]:
        """Added and special tokens: text -> id."""
        ...


def template_of(tokenizer: ChatTokenizer) -> str:
    """The model's chat template; empty if it has none."""
    # An attribute that transformers sets without declaring it.
    return str(getattr(tokenizer, "chat_template", None) or "")


def set_thinking(tokenizer: ChatTokenizer, *, thinking: bool) -> ChatTokenizer:
    """Decides whether conversations are rendered so that the model thinks before it answers."""
    tokenizer.__dict__["tunewise_thinking"] = thinking
    return tokenizer


def thinks(tokenizer: ChatTokenizer) -> bool:
    """What `set_thinking` decided; without it, the model is asked not to think."""
    return getattr(tokenizer, "tunewise_thinking", False) is True


def render_prompt(
    tokenizer: ChatTokenizer, messages: Sequence[Message], tools: Sequence[Tool] = ()
) -> str:
    """The conversation as text, up to where the assistant's answer begins.

    Special tokens are part of the text: encode it with `add_special_tokens=False`.

    A model that is not to think is told so in the way of its template (Qwen3's `enable_thinking`).
    Where the template opens a thought all the same (DeepSeek-R1), it is closed, empty.

    Args:
        tokenizer: the model's.
        messages: the turns.
        tools: what the answer may call.

    Raises:
        UserError: when the model's template refuses the conversation.
    """
    return _rendered(tokenizer, messages, tools, prompt=True)


def render(
    tokenizer: ChatTokenizer, messages: Sequence[Message], tools: Sequence[Tool] = ()
) -> str:
    """The conversation as text, its last answer included. See `render_prompt`."""
    return _rendered(tokenizer, messages, tools, prompt=False)


def _rendered(
    tokenizer: ChatTokenizer, messages: Sequence[Message], tools: Sequence[Tool], *, prompt: bool
) -> str:
    if not speaks_tools(tokenizer, messages, tools):
        messages, tools = as_plain(messages, tools), ()
    if not template_of(tokenizer):
        blocks = [f"{turn.role.capitalize()}: {turn.content}" for turn in messages]
        return _opening(tokenizer) + "\n\n".join([*blocks, "Assistant:"] if prompt else blocks)
    try:
        text = _through_template(tokenizer, messages, tools, prompt=prompt)
        return close_thought(text) if prompt and not thinks(tokenizer) else text
    except (jinja2.TemplateError, TypeError) as error:
        roles = ", ".join(turn.role for turn in messages)
        raise UserError(
            f"The model's chat template refuses a conversation of {roles}: {error}. "
            "Change the turns, or choose another base model."
        ) from error


def speaks_tools(
    tokenizer: ChatTokenizer, messages: Sequence[Message], tools: Sequence[Tool]
) -> bool:
    """Whether there are tools in it, and the model's own template writes them."""
    has_tools = bool(tools) or any(turn.tool_calls or turn.role == "tool" for turn in messages)
    return has_tools and _knows_tools(tokenizer, template_of(tokenizer))


@lru_cache(maxsize=16)
def _knows_tools(tokenizer: ChatTokenizer, template: str) -> bool:
    """Whether a template writes a tool, its call and its result."""
    if not template:
        return False
    try:
        text = _through_template(tokenizer, PROBE_TURNS, [PROBE_TOOL], prompt=True)
    except (jinja2.TemplateError, TypeError, ValueError):
        return False
    return shows_tools(text)


def shows_tools(text: str) -> bool:
    """Whether what a template made of `PROBE_TURNS` and `PROBE_TOOL` holds the tool, its call and
    its result."""
    return text.count("probe_function") > 1 and "probe_value" in text and "probe_result" in text


def _through_template(
    tokenizer: ChatTokenizer, messages: Sequence[Message], tools: Sequence[Tool], *, prompt: bool
) -> str:
    template = template_of(tokenizer)
    return str(
        tokenizer.apply_chat_template(
            _turns(messages),
            tools=list(tools) or None,
            tokenize=False,
            add_generation_prompt=prompt,
            # The names of one switch: Qwen3's, and DeepSeek-V3.1's and Granite's.
            enable_thinking=thinks(tokenizer),
            thinking=thinks(tokenizer),
            # Llama 3.2, Granite, SmolLM3 and others write the day on which they are rendered.
            date_string=DATE,
            chat_template=_SAME_DAY + template if "strftime_now" in template else None,
        )
    )


def _turns(messages: Sequence[Message]) -> list[dict[str, object]]:
    """The turns as templates want them. Calls get new ids: some insist on nine characters."""
    turns: list[dict[str, object]] = []
    answers = answered_calls(messages)
    calls: list[ToolCall] = []
    for place, turn in enumerate(messages):
        written: dict[str, object] = {"role": turn.role, "content": turn.content}
        if turn.tool_calls:
            written["tool_calls"] = [
                {
                    "id": _call_id(number),
                    "type": "function",
                    "function": {"name": call.name, "arguments": json.loads(call.arguments)},
                }
                for number, call in enumerate(turn.tool_calls, len(calls))
            ]
            calls.extend(turn.tool_calls)
        if place in answers:
            written["name"] = calls[answers[place]].name
            written["tool_call_id"] = _call_id(answers[place])
        turns.append(written)
    return turns


def _call_id(number: int) -> str:
    return f"call{number:05d}"


def _opening(tokenizer: ChatTokenizer) -> str:
    """The begin-of-text token, where the tokenizer sets one before plain text."""
    bos = tokenizer.bos_token
    if not isinstance(bos, str):
        return ""
    begun = tokenizer.encode("a", add_special_tokens=True)
    return bos if begun[:1] == tokenizer.encode(bos, add_special_tokens=False)[:1] else ""
