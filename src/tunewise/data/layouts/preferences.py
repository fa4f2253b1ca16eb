"""Turns a row with a better and a worse answer into an input and the two answers.

Written as OpenAI does, or as prompt, chosen and rejected: texts, or turns.
"""

from collections.abc import Sequence
from typing import NamedTuple, cast

from tunewise.chat.tools import answer_with_calls
from tunewise.data.layouts.columns import Row, Shaped, system_turn
from tunewise.data.layouts.conversations import check_input, count_user_turns, read_turns
from tunewise.data.layouts.tool_arguments import own_arguments
from tunewise.data.layouts.tools import read_tools
from tunewise.data.read_log import Reading, RowError
from tunewise.types import Message, Tool


class PairColumns(NamedTuple):
    """Where the parts of a preference stand."""

    prompt: str | None
    """None: the turns that both answers begin with are the prompt."""
    chosen: str
    rejected: str


def preferred(row: Row, reading: Reading, *, columns: PairColumns) -> Shaped:
    """The input, the better and the worse answer.

    Raises:
        RowError: a part is missing or in no known form.
    """
    inner = row.get("input")
    holder = cast(Row, inner) if isinstance(inner, dict) else row
    tools = read_tools(holder.get("tools"), reading)
    prompt = own_arguments(_prompt(row, columns.prompt, reading), tools, reading)
    chosen = _answer(row, columns.chosen, prompt, tools, reading)
    rejected = _answer(row, columns.rejected, prompt, tools, reading)
    both = f"{columns.chosen} and {columns.rejected}"
    if chosen.before != rejected.before:
        raise RowError("prompts", f"{both} answer different turns. Give both the same prompt.")
    if not chosen.before:
        raise RowError("no question", "has no prompt. Add what the two answers are answers to.")
    if chosen.text == rejected.text:
        reading.count(f"{both} are the same, so that nothing is learnt. Correct one of them.")
    messages = check_input(chosen.before, "the prompt")
    if messages[0].role != "system":
        messages = (*system_turn(row), *messages)
    count_user_turns(messages, reading)
    used = tuple(name for name in (*columns, "tools", "system") if name)
    return Shaped(messages, (chosen.text, rejected.text), used, tools)


class _Answer(NamedTuple):
    before: list[Message]
    text: str


def _prompt(row: Row, column: str | None, reading: Reading) -> list[Message]:
    if column is None:
        return []
    value = row.get(column)
    if isinstance(value, dict):  # OpenAI's `input`
        value = cast(Row, value).get("messages")
    if isinstance(value, list):
        return read_turns(cast(list[object], value), column, reading)
    if not isinstance(value, str) or not value.strip():
        raise RowError("empty", f"{column} is empty or no text. Write the prompt as one text.")
    return [Message(role="user", content=value)]


def _answer(
    row: Row, column: str, prompt: Sequence[Message], tools: Sequence[Tool], reading: Reading
) -> _Answer:
    value = row.get(column)
    if isinstance(value, dict):
        value = [cast(object, value)]
    if not isinstance(value, list):
        if not isinstance(value, str) or not value.strip():
            what = f"{column} is empty or no text. Fill it in, or remove the row."
            raise RowError("empty", what)
        return _Answer(list(prompt), value)
    said = read_turns(cast(list[object], value), column, reading)
    *before, last = own_arguments(said, tools, reading)
    if last.role != "assistant":
        what = f"{column} ends on a {last.role} turn. End it with the answer."
        raise RowError("no answer", what)
    # Some write the whole conversation into both, the prompt included.
    repeats = [(turn.role, turn.content) for turn in before[: len(prompt)]] == [
        (turn.role, turn.content) for turn in prompt
    ]
    turns = before if repeats else [*prompt, *before]
    return _Answer(turns, answer_with_calls(last.content, last.tool_calls))
