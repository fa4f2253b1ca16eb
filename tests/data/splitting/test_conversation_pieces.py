import pytest

from tunewise.data.splitting.conversation_pieces import WAYS_ON, pieces
from tunewise.types import Example, Message, ToolCall


def said(*turns: str, system: str | None = None) -> Example:
    """A row of a conversation: user and assistant by turns, the last one its target."""
    roles = ("user", "assistant")
    messages = [Message(role=roles[k % 2], content=turn) for k, turn in enumerate(turns[:-1])]
    if system:
        messages.insert(0, Message(role="system", content=system))
    return Example(id="/".join(turns), messages=tuple(messages), target=turns[-1])


ONE = said("My printer jams.", "Which tray?")
TWO = said("My printer jams.", "Which tray?", "The second.", "Clean its rollers.")
THREE = said(*TWO.id.split("/"), "Done.", "Print a page.")
OTHER = said("My printer jams.", "Is it on?", "Yes.", "Clean its rollers.")


@pytest.mark.parametrize(
    ("rows", "found"),
    [
        ([ONE, TWO, THREE], [0, 0, 1]),
        ([THREE, TWO, ONE], [0, 0, 0]),
        ([THREE, ONE, TWO], [0, 0, 1]),
        ([ONE, THREE], [0, 0]),
        ([ONE, OTHER], [0, 1]),
        ([TWO, OTHER], [0, 1]),
        ([ONE, ONE], [0, 1]),
    ],
)
def test_a_piece_is_found_before_and_after_the_others(
    rows: list[Example], found: list[int]
) -> None:
    assert pieces(rows) == found


def test_case_white_space_and_system_turns_make_no_other_conversation() -> None:
    told = said("my printer  JAMS.", "Which tray?", "The second.", "Hm.", system="Be kind.")
    assert pieces([ONE, told]) == [0, 0]


def test_an_opening_that_goes_on_in_many_ways_holds_nothing_together() -> None:
    greeting = said("Hi", "Hello! How can I help?")
    wants = [said(*greeting.id.split("/"), f"Wish {k}", f"Reply {k}") for k in range(6)]
    assert pieces([greeting, *wants]) == [0, *[0] * WAYS_ON, 4, 5, 6]
    # The same ways again are no new ones.
    assert pieces([greeting, *wants, wants[0], wants[5]])[-2:] == [0, 8]


def test_a_call_in_a_turn_is_the_call_of_a_target() -> None:
    call = '{"name": "weather", "arguments": {"place": "Bonn"}}'
    asked = Message(role="user", content="Weather in Bonn?")
    first = Example(id="1", messages=(asked,), target=call)
    made = Message(
        role="assistant",
        content="",
        tool_calls=(ToolCall(name="weather", arguments='{"place": "Bonn"}'),),
    )
    result = Message(role="tool", content="12")
    second = Example(id="2", messages=(asked, made, result), target="It is 12 degrees.")
    assert pieces([first, second]) == [0, 0]


def test_single_questions_are_no_conversations() -> None:
    assert pieces([said("a", "b"), said("a", "b"), said("b", "c")]) == [0, 1, 2]
    assert pieces([]) == []
