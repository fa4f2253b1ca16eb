"""Turns rows that hold lists of turns into what they say."""

from tunewise.data.layouts.columns import Row, Shaped, near_column, pair, system_turn
from tunewise.data.layouts.conversations import (
    answered,
    check_input,
    count_user_turns,
    read_turns,
    weight_of,
)
from tunewise.data.layouts.tool_arguments import own_arguments
from tunewise.data.layouts.tools import read_tools
from tunewise.data.read_log import Reading, RowError
from tunewise.types import Message


def chat(row: Row, reading: Reading, *, column: str) -> Shaped:
    """A conversation in one column; `weight`, `tools` and `system` may stand beside it.

    Raises:
        RowError: it is no conversation with an answer of weight 1.
    """
    if column not in row:
        raise RowError("no column", f'has no column "{column}". {near_column(column, row)}')
    check_weight(row, "weight")
    turns = read_turns(row[column], column, reading)
    if turns[0].role != "system":
        turns = [*system_turn(row), *turns]
    tools = read_tools(row.get("tools") or row.get("functions"), reading)
    messages, target = answered(own_arguments(turns, tools, reading), reading)
    count_user_turns(messages, reading)
    return Shaped(messages, (target,), (column, "weight", "tools", "functions", "system"), tools)


def prompted(row: Row, reading: Reading, *, asked: str, answer: str) -> Shaped:
    """Prompt and completion, each a text or a list of turns; `system` may stand beside them.

    Raises:
        RowError: one is missing, or they are no conversation with an answer.
    """
    texts = [isinstance(row[column], list) for column in (asked, answer)]
    if not any(texts):
        shaped = pair(row, asked=asked, answer=answer)
        used = (*shaped.used, "system")
        return Shaped((*system_turn(row), *shaped.messages), shaped.answers, used)
    prompt = check_input(_turns(row, asked, "user", reading), asked)
    system = system_turn(row) if prompt[0].role != "system" else ()
    turns = [*system, *prompt, *_turns(row, answer, "assistant", reading)]
    tools = read_tools(row.get("tools"), reading)
    messages, target = answered(own_arguments(turns, tools, reading), reading)
    return Shaped(messages, (target,), (asked, answer, "tools", "system"), tools)


def check_weight(row: Row, column: str) -> None:
    """Refuses a row of weight 0: nothing would be learnt from it.

    Raises:
        RowError: the weight is 0, or neither 0 nor 1.
    """
    value = row.get(column)
    if isinstance(value, str) and value.strip() in ("", "0", "1"):  # a table's cell
        value = int(value) if value.strip() else None
    if weight_of(value, "the row") == 0:
        raise RowError("weight 0", "its weight is 0, so that nothing is learnt. Remove the row.")


def _turns(row: Row, column: str, role: str, reading: Reading) -> list[Message]:
    value = row[column]
    if isinstance(value, str):
        value = [{"role": role, "content": value}]
    return read_turns(value, column, reading)
