"""What is put before a model for one input: instruction, examples, the input itself."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from tunewise.chat.tools import read_answer
from tunewise.types import Example, Input, Message, Tool


@dataclass(frozen=True, kw_only=True, slots=True)
class Prompt:
    """What is put before the model for one input."""

    messages: tuple[Message, ...]
    passages: tuple[str, ...] = ()
    """Ids of the retrieved passages in it, best first."""
    tools: tuple[Tool, ...] = ()
    """What the answer may call."""


def input_alone(inputs: Sequence[Input]) -> list[Prompt]:
    """The inputs as they are, without an instruction."""
    return [Prompt(messages=item.messages, tools=item.tools) for item in inputs]


def instructed(instruction: str, item: Input) -> tuple[Message, ...]:
    """The input with the instruction as its system turn; a system turn of its own is kept."""
    own = [turn.content for turn in item.messages if turn.role == "system"]
    system = "\n\n".join(text for text in [instruction, *own] if text)
    turns = tuple(turn for turn in item.messages if turn.role != "system")
    return (Message(role="system", content=system), *turns) if system else turns


def reworded(turns: tuple[Message, ...], wording: Callable[[str], str]) -> tuple[Message, ...]:
    """The conversation with its last user turn in another wording."""
    last = max(n for n, turn in enumerate(turns) if turn.role == "user")
    changed = replace(turns[last], content=wording(turns[last].content))
    return (*turns[:last], changed, *turns[last + 1 :])


def example_turns(example: Example) -> tuple[Message, ...]:
    """An example as turns of a conversation, its answer last."""
    own = tuple(turn for turn in example.messages if turn.role != "system")
    said, calls = read_answer(example.target, example.tools)
    return (*own, Message(role="assistant", content=said, tool_calls=calls))


def shown_examples(
    instruction: str, examples: Sequence[Example], item: Input
) -> tuple[Message, ...]:
    """The prompt with examples as turns; the nearest stands last, next to the input."""
    asked = instructed(instruction, item)
    system = tuple(turn for turn in asked if turn.role == "system")
    rest = tuple(turn for turn in asked if turn.role != "system")
    shown = tuple(turn for example in reversed(examples) for turn in example_turns(example))
    return (*system, *shown, *rest)
