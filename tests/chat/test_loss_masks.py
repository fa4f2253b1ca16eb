"""The loss mask, token by token, against one that is worked out from characters.

The reference renders the conversation with a mark in the place of each answer, so that it knows
every character of an answer and its end of turn, and asks the tokenizer which characters each
token stands for. It shares no code with the loss mask but the templates.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Literal, cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import AddedToken, Tokenizer, decoders, models, normalizers
from transformers import PreTrainedTokenizerFast

from chat_templates import (
    CHATML,
    CHATML_THOUGHTS,
    FAMILIES,
    KINDS,
    PHI_3,
    ZEPHYR,
    Family,
    Kind,
    small_tokenizer,
)
from tunewise.chat.tokenize import ChatTokenizer, TokenisedExample, answer_tokens, prompt_tokens
from tunewise.chat.tools import answer_with_calls, as_plain
from tunewise.errors import UserError
from tunewise.types import Message, Tool, ToolCall

SYSTEM = Message(role="system", content="Be brief.")
ASK = Message(role="user", content="Where is it?")
AGAIN = Message(role="user", content="And the other?\n")
TALKS: dict[str, tuple[Message, ...]] = {
    "one turn": (ASK,),
    "a system turn": (SYSTEM, ASK),
    "an earlier answer without weight": (
        ASK,
        Message(role="assistant", content="In Ulm."),
        AGAIN,
    ),
    "all earlier answers of weight 0": (
        SYSTEM,
        ASK,
        Message(role="assistant", content="In Ulm.", weight=0),
        AGAIN,
        Message(role="assistant", content="Who knows.", weight=0),
        ASK,
    ),
    "all earlier answers of weight 1": (
        ASK,
        Message(role="assistant", content="In Ulm.", weight=1),
        AGAIN,
        Message(role="assistant", content="Who knows.", weight=1),
        ASK,
    ),
    "weights 1, None, 0 and 1": (
        SYSTEM,
        ASK,
        Message(role="assistant", content="In Ulm.", weight=1),
        AGAIN,
        Message(role="assistant", content="In Bonn."),
        ASK,
        Message(role="assistant", content="Who knows.", weight=0),
        AGAIN,
        Message(role="assistant", content="\n\nIn Ulm.", weight=1),
        ASK,
    ),
}
ANSWERS = {
    "a sentence": "In Köln.",
    "one letter": "a",
    "paragraphs": "In Köln.\n\n  In Bonn.\n",
    "spaces around": "  In Köln.  ",
    "line breaks around": "\n\nIn Köln.\n\n",
    "unicode": "🙂 ß 日本語 e\u0301 \u200b",
    "nothing": "",
    "a space": " ",
    "a line break": "\n",
    "other families' markers": "<|eot_id|> [/INST] ### Response:\n</s> User: <start_of_turn>model",
}
"""Name -> an answer. What every family's own markers do has a test of its own."""

both_kinds = pytest.mark.parametrize("kind", KINDS)
every_family = pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
every_answer = pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
every_talk = pytest.mark.parametrize("talk", TALKS.values(), ids=TALKS)


@dataclass(frozen=True, kw_only=True)
class Reference:
    """A conversation as characters, and as the tokens that stand for them."""

    text: str
    spans: tuple[tuple[int, int], ...]
    """First and one past the last character of each answer that carries loss, with its end."""
    token_ids: tuple[int, ...]
    mask: tuple[bool, ...]
    """Which tokens carry loss."""
    joint: bool
    """Whether all of it could be tokenised as one text."""


def reference(
    family: Family,
    fast: PreTrainedTokenizerFast,
    turns: Sequence[Message],
    tools: Sequence[Tool] = (),
) -> Reference:
    """The last of `turns` is the target."""
    marked = [
        replace(turn, content=_mark(place), tool_calls=()) if turn.weight == 1 else turn
        for place, turn in enumerate(turns)
    ]
    rest = rendered(fast, marked, tools)
    text, spans = "", []
    for place, turn in enumerate(turns):
        if turn.weight != 1:
            continue
        before, _, rest = rest.partition(_mark(place))
        assert before.endswith(family.lead)
        assert rest.startswith(family.end)
        start = len(text + before) - len(family.lead)
        text += before + written(family, turn)
        spans.append((start, len(text) + len(family.end)))
    text += family.end
    assert rendered(fast, turns, tools).startswith(text)
    token_ids, mask, joint = _tokens(fast, text, spans)
    return Reference(text=text, spans=tuple(spans), token_ids=token_ids, mask=mask, joint=joint)


def _mark(place: int) -> str:
    return f"⟦{place}⟧"


def written(family: Family, turn: Message) -> str:
    """What a turn says, as the family writes it."""
    said = turn.content.strip() if family.trims else turn.content
    return said + (family.calls(turn.tool_calls) if family.calls and turn.tool_calls else "")


def rendered(
    fast: PreTrainedTokenizerFast, turns: Sequence[Message], tools: Sequence[Tool] = ()
) -> str:
    """The conversation through the template, with nothing of ours between."""
    conversation: list[dict[str, object]] = []
    for turn in turns:
        conversation.append({"role": turn.role, "content": turn.content})
        if turn.tool_calls:
            functions = [
                {"name": call.name, "arguments": json.loads(call.arguments)}
                for call in turn.tool_calls
            ]
            conversation[-1]["tool_calls"] = [{"function": function} for function in functions]
    return str(
        fast.apply_chat_template(
            cast("list[dict[str, str]]", conversation),
            tools=cast("list[dict[str, object]]", list(tools)) or None,
            tokenize=False,
        )
    )


def _tokens(
    fast: PreTrainedTokenizerFast, text: str, spans: Sequence[tuple[int, int]]
) -> tuple[tuple[int, ...], tuple[bool, ...], bool]:
    """Token ids, their mask, and whether all of it could be tokenised as one text.

    It cannot where the text up to a border has other tokens alone than it has as a beginning.
    """
    borders = [border for span in spans for border in span][:-1]
    whole = fast.encode(text, add_special_tokens=False)
    alone = {border: fast.encode(text[:border], add_special_tokens=False) for border in borders}
    cuts = [border for border, begun in alone.items() if whole[: len(begun)] != begun]
    ids: list[int] = []
    mask: list[bool] = []
    for start, stop in pairwise([0, *cuts, len(text)]):
        piece = fast(text[start:stop], add_special_tokens=False, return_offsets_mapping=True)
        ids += piece["input_ids"]
        mask += [
            any(a <= start + first and start + last <= b for a, b in spans)
            for first, last in piece["offset_mapping"]
        ]
    return tuple(ids), tuple(mask), not cuts


def chat(fast: PreTrainedTokenizerFast) -> ChatTokenizer:
    """The same, as the code under test knows it."""
    return cast(ChatTokenizer, fast)


def mask_of(example: TokenisedExample) -> tuple[bool, ...]:
    """Which tokens carry loss."""
    return tuple(
        any(start <= place < stop for start, stop in example.answers)
        for place in range(len(example.token_ids))
    )


def learnt(fast: PreTrainedTokenizerFast, example: TokenisedExample) -> list[str]:
    """The texts that carry loss."""
    return [str(fast.decode(list(example.token_ids[a:b]))) for a, b in example.answers]


def target_turn(answer: str) -> Message:
    return Message(role="assistant", content=answer, weight=1)


def with_answer(talk: Sequence[Message], answer: str) -> tuple[Message, ...]:
    """The same talk with every answer that carries loss replaced."""
    return tuple(replace(turn, content=answer) if turn.weight == 1 else turn for turn in talk)


@both_kinds
@every_family
@every_answer
def test_the_mask_agrees_token_by_token_with_the_characters_of_the_answers(
    family: Family, kind: Kind, answer: str
) -> None:
    fast = small_tokenizer(family, kind)
    talk = with_answer(TALKS["weights 1, None, 0 and 1"], answer)
    example = answer_tokens(chat(fast), talk, answer)
    expected = reference(family, fast, [*talk, target_turn(answer)])
    assert example.token_ids == expected.token_ids
    assert mask_of(example) == expected.mask


@both_kinds
@every_family
@every_talk
def test_every_turn_is_masked_by_its_weight(
    family: Family, kind: Kind, talk: tuple[Message, ...]
) -> None:
    fast = small_tokenizer(family, kind)
    example = answer_tokens(chat(fast), talk, "In Köln.")
    expected = reference(family, fast, [*talk, target_turn("In Köln.")])
    assert example.token_ids == expected.token_ids
    assert mask_of(example) == expected.mask


@both_kinds
@every_family
@every_answer
def test_what_carries_loss_is_the_answer_and_its_end_of_turn_and_nothing_else(
    family: Family, kind: Kind, answer: str
) -> None:
    fast = small_tokenizer(family, kind)
    talk = with_answer(TALKS["all earlier answers of weight 1"], answer)
    said = f"{family.lead}{written(family, target_turn(answer))}{family.end}"
    assert learnt(fast, answer_tokens(chat(fast), talk, answer)) == [said] * 3


@both_kinds
@every_family
def test_an_answer_that_holds_the_familys_own_markers_carries_loss_to_its_true_end(
    family: Family, kind: Kind
) -> None:
    fast = small_tokenizer(family, kind)
    answer = f"A turn is {family.opening}Hello.{family.end}\n{family.opening}and more."
    talk = with_answer(TALKS["weights 1, None, 0 and 1"], answer)
    example = answer_tokens(chat(fast), talk, answer)
    expected = reference(family, fast, [*talk, target_turn(answer)])
    assert example.token_ids == expected.token_ids
    assert mask_of(example) == expected.mask
    assert learnt(fast, example) == [f"{family.lead}{answer}{family.end}"] * 3


@both_kinds
@every_family
@every_answer
def test_the_tokens_before_the_target_are_those_an_engine_is_asked_with(
    family: Family, kind: Kind, answer: str
) -> None:
    fast = small_tokenizer(family, kind)
    for name in ("one turn", "a system turn", "all earlier answers of weight 0"):
        talk = TALKS[name]
        example = answer_tokens(chat(fast), talk, answer)
        (target,) = example.answers
        assert example.token_ids[: target.start] == prompt_tokens(chat(fast), talk)


@both_kinds
@every_family
@every_talk
def test_the_sequence_says_what_the_template_writes(
    family: Family, kind: Kind, talk: tuple[Message, ...]
) -> None:
    fast = small_tokenizer(family, kind)
    example = answer_tokens(chat(fast), talk, "In Köln.")
    text = str(fast.decode(list(example.token_ids)))
    assert rendered(fast, [*talk, target_turn("In Köln.")]).startswith(text)
    assert text.endswith(family.end)


@both_kinds
@every_family
@every_answer
def test_the_sequence_tokenised_again_is_the_same_unless_a_prompt_would_not_be(
    family: Family, kind: Kind, answer: str
) -> None:
    fast = small_tokenizer(family, kind)
    talk = with_answer(TALKS["weights 1, None, 0 and 1"], answer)
    ids = list(answer_tokens(chat(fast), talk, answer).token_ids)
    again = fast.encode(str(fast.decode(ids)), add_special_tokens=False)
    expected = reference(family, fast, [*talk, target_turn(answer)])
    assert (again == ids) == expected.joint


@both_kinds
@every_family
@pytest.mark.parametrize("weight", [0, None])
def test_an_example_learns_its_target_where_no_earlier_turn_carries_loss(
    family: Family, kind: Kind, weight: Literal[0] | None
) -> None:
    fast = small_tokenizer(family, kind)
    talk = (ASK, Message(role="assistant", content="In Ulm.", weight=weight), AGAIN)
    (said,) = learnt(fast, answer_tokens(chat(fast), talk, "In Köln."))
    assert said == f"{family.lead}In Köln.{family.end}"


@both_kinds
@every_family
@pytest.mark.parametrize("answer", ["", " ", "\n\n"], ids=["nothing", "a space", "line breaks"])
def test_an_empty_answer_still_learns_to_stop(family: Family, kind: Kind, answer: str) -> None:
    fast = small_tokenizer(family, kind)
    example = answer_tokens(chat(fast), (ASK,), answer)
    assert example.loss_tokens >= 1
    assert example.token_ids[-1] == fast.convert_tokens_to_ids(family.end.strip())
    assert mask_of(example)[-1]


@both_kinds
@every_family
@every_talk
def test_the_text_before_the_target_is_the_prompt_whatever_earlier_turns_weigh(
    family: Family, kind: Kind, talk: tuple[Message, ...]
) -> None:
    fast = small_tokenizer(family, kind)
    example = answer_tokens(chat(fast), talk, "In Köln.")
    before = fast.decode(list(example.token_ids[: example.answers[-1].start]))
    assert before == fast.decode(list(prompt_tokens(chat(fast), talk)))


@both_kinds
def test_two_answers_in_a_row_carry_loss_apart(kind: Kind) -> None:
    fast = small_tokenizer(CHATML, kind)
    first = Message(role="assistant", content="In Ulm.", weight=1)
    example = answer_tokens(chat(fast), (ASK, first), "In Köln.")
    assert learnt(fast, example) == ["In Ulm.<|im_end|>", "In Köln.<|im_end|>"]


FRAGMENTS = (
    *("a", "In Köln.", " ", "  ", "\n", "\n\n", ":", "]", ">", "User: ", "🙂", "\u0301", "▁", "\t"),
    *("[INST] ", " [/INST]", "### Response:\n", "<|user|>\n", "</s>", "<|im_end|>", "<|end|>"),
)
texts = st.lists(st.sampled_from(FRAGMENTS), max_size=6).map("".join)


@settings(max_examples=300, deadline=None, derandomize=True, database=None)
@given(
    family=st.sampled_from(FAMILIES),
    kind=st.sampled_from(KINDS),
    asked=texts,
    answers=st.lists(st.tuples(texts, st.sampled_from([0, 1, None])), max_size=3),
    target=texts,
)
def test_the_mask_is_exact_whatever_is_said(
    family: Family,
    kind: Kind,
    asked: str,
    answers: list[tuple[str, Literal[0, 1] | None]],
    target: str,
) -> None:
    fast = small_tokenizer(family, kind)
    talk = [Message(role="user", content=asked)]
    for content, weight in answers:
        talk += [Message(role="assistant", content=content, weight=weight), talk[0]]
    example = answer_tokens(chat(fast), talk, target)
    expected = reference(family, fast, [*talk, target_turn(target)])
    assert example.token_ids == expected.token_ids
    assert mask_of(example) == expected.mask


@settings(max_examples=200, deadline=None, derandomize=True, database=None)
@given(
    kind=st.sampled_from(KINDS),
    asked=texts,
    answers=st.lists(st.tuples(texts, st.sampled_from([0, 1, None])), max_size=3),
    target=texts,
)
def test_without_a_template_the_mask_is_exact_whatever_is_said(
    kind: Kind, asked: str, answers: list[tuple[str, Literal[0, 1] | None]], target: str
) -> None:
    fast = small_tokenizer(replace(ZEPHYR, name="none", template=None), kind)
    question = Message(role="user", content=asked)
    talk, text, spans = [question], f"User: {asked}\n\nAssistant:", list[tuple[int, int]]()
    for content, weight in answers:
        talk += [Message(role="assistant", content=content, weight=weight), question]
        if weight == 1:
            spans.append((len(text), len(text) + 1 + len(content)))
        text += f" {content}\n\nUser: {asked}\n\nAssistant:"
    spans.append((len(text), len(text) + 1 + len(target) + len("</s>")))
    example = answer_tokens(chat(fast), talk, target)
    token_ids, mask, _ = _tokens(fast, f"{text} {target}</s>", spans)
    assert example.token_ids == token_ids
    assert mask_of(example) == mask


WEATHER: Tool = {
    "type": "function",
    "function": {"name": "weather", "parameters": {"type": "object"}},
}


def call(place: str) -> ToolCall:
    return ToolCall(name="weather", arguments=json.dumps({"place": place}, ensure_ascii=False))


def calling(*calls: ToolCall, said: str = "") -> Message:
    return Message(role="assistant", content=said, weight=1, tool_calls=calls)


def target_of(turn: Message) -> str:
    return answer_with_calls(turn.content, turn.tool_calls)


TOLD = (
    Message(role="user", content="Weather in Bonn and Köln?"),
    calling(call("Bonn"), call("Köln")),
    Message(role="tool", content="8 degrees"),
    Message(role="tool", content="12 degrees"),
)
LOOKING = calling(call("Ulm"), call("Bonn"), said="Let me look.")
CALLING = {
    "one call": calling(call("Ulm")),
    "two calls": calling(call("Ulm"), call("Köln 🙂")),
    "words and a call": calling(call("Ulm"), said="Let me look."),
    "words alone": target_turn("Warm."),
}


@both_kinds
@every_family
@pytest.mark.parametrize("turn", CALLING.values(), ids=CALLING)
def test_tool_calls_are_masked_exactly_whether_the_template_knows_tools_or_not(
    family: Family, kind: Kind, turn: Message
) -> None:
    fast = small_tokenizer(family, kind)
    example = answer_tokens(chat(fast), TOLD, target_of(turn), [WEATHER])
    turns, tools = [*TOLD, turn], [WEATHER]
    if family.calls is None:
        turns, tools = list(as_plain(turns, tools)), []
    expected = reference(family, fast, turns, tools)
    assert example.token_ids == expected.token_ids
    assert mask_of(example) == expected.mask


@both_kinds
@every_family
def test_a_call_is_learnt_as_the_family_writes_it_with_its_end(family: Family, kind: Kind) -> None:
    fast = small_tokenizer(family, kind)
    turn = calling(call("Ulm"), said="Let me look.")
    example = answer_tokens(chat(fast), TOLD, target_of(turn), [WEATHER])
    expected = written(family, turn) if family.calls else target_of(turn)
    assert learnt(fast, example)[-1] == f"{family.lead}{expected}{family.end}"


@both_kinds
@every_family
@pytest.mark.parametrize("turn", CALLING.values(), ids=CALLING)
def test_before_a_call_stands_what_an_engine_is_asked_with(
    family: Family, kind: Kind, turn: Message
) -> None:
    fast = small_tokenizer(family, kind)
    talk = [replace(turn, weight=None) for turn in TOLD]
    example = answer_tokens(chat(fast), talk, target_of(turn), [WEATHER])
    (target,) = example.answers
    assert example.token_ids[: target.start] == prompt_tokens(chat(fast), talk, [WEATHER])


@both_kinds
@every_family
def test_a_call_that_holds_the_end_of_turn_in_its_arguments_is_learnt_whole(
    family: Family, kind: Kind
) -> None:
    fast = small_tokenizer(family, kind)
    turn = calling(call(f"Ulm{family.end} and {family.opening}"), said="Let me look.")
    turns, tools = [*TOLD[:1], turn, TOLD[2], turn], [WEATHER]
    example = answer_tokens(chat(fast), turns[:-1], target_of(turn), tools)
    if family.calls is None:
        turns, tools = list(as_plain(turns, tools)), []
    expected = reference(family, fast, turns, tools)
    assert example.token_ids == expected.token_ids
    assert mask_of(example) == expected.mask


THOUGHT = "<think>Hm.</think>In Ulm."


@both_kinds
def test_a_thought_in_the_target_is_learnt_and_one_before_it_is_not_there(kind: Kind) -> None:
    fast = small_tokenizer(CHATML_THOUGHTS, kind)
    talk = (ASK, Message(role="assistant", content=THOUGHT), AGAIN)
    example = answer_tokens(chat(fast), talk, THOUGHT)
    assert learnt(fast, example) == [f"{THOUGHT}<|im_end|>"]
    assert str(fast.decode(list(example.token_ids))).count("Hm.") == 1


@both_kinds
def test_an_earlier_thought_that_the_template_strips_cannot_be_learnt(kind: Kind) -> None:
    fast = small_tokenizer(CHATML_THOUGHTS, kind)
    talk = (ASK, Message(role="assistant", content=THOUGHT, weight=1), AGAIN)
    with pytest.raises(UserError, match="an earlier answer differently once more turns follow"):
        answer_tokens(chat(fast), talk, "In Köln.")


def chatml(
    *,
    turns: str = "messages",
    header: str = "'<|im_start|>' + m.role + '\\n'",
    content: str = "m.content",
    calls: str = "m.tool_calls | tojson if m.tool_calls else ''",
    end: str = "'<|im_end|>\\n'",
    prompt: str = "'<|im_start|>assistant\\n'",
) -> PreTrainedTokenizerFast:
    """ChatML with some of its expressions replaced."""
    turn = f"{{{{- {header} }}}}{{{{- {content} }}}}{{{{- {calls} }}}}{{{{- {end} }}}}"
    template = (
        "{{- tools | tojson if tools else '' }}"
        f"{{%- for m in ({turns}) %}}{turn}{{%- endfor %}}"
        f"{{%- if add_generation_prompt %}}{{{{- {prompt} }}}}{{%- endif %}}"
    )
    special = ("<|endoftext|>", "<|im_start|>", "<|eom|>", "<|im_end|>")
    return small_tokenizer(replace(CHATML, template=template, special=special))


PROMPT, CHANGES, NO_END, EARLIER = (
    "writes the prompt differently once an answer follows",
    "changes the answer it is given",
    "ends a turn with no token of its own",
    "writes an earlier answer differently once more turns follow",
)
LEARNT = TALKS["all earlier answers of weight 1"]
CANNOT = {
    "an empty thought opens the last answer": (
        {"content": "('<think></think>' if loop.last else '') + m.content"},
        PROMPT,
    ),
    "the prompt opens a thought": ({"prompt": "'<|im_start|>assistant\\n<think>'"}, PROMPT),
    "the prompt opens no answer": ({"prompt": "''"}, PROMPT),
    "the prompt opens a third party's turn": ({"prompt": "'<|im_start|>model\\n'"}, PROMPT),
    "headers count the turns": ({"header": "'Of ' ~ messages | length + m.role + ':'"}, PROMPT),
    "answers become capitals": ({"content": "m.content | upper"}, CHANGES),
    "answers are cut": ({"content": "m.content[:3]"}, CHANGES),
    "answers are left out": ({"content": "m.content if m.role == 'user' else ''"}, CHANGES),
    "nothing ends a turn": ({"end": "'\\n'"}, NO_END),
    "only the next header ends a turn": ({"end": "''"}, NO_END),
}


@pytest.mark.parametrize("answer", ["In Köln.", ""], ids=["a sentence", "nothing"])
@pytest.mark.parametrize("talk", [(ASK,), LEARNT], ids=["one turn", "earlier turns"])
@pytest.mark.parametrize(("changed", "why"), CANNOT.values(), ids=CANNOT)
def test_a_template_that_cannot_be_kept_exact_is_refused(
    changed: dict[str, str], why: str, talk: tuple[Message, ...], answer: str
) -> None:
    with pytest.raises(UserError, match=why):
        answer_tokens(chat(chatml(**changed)), talk, answer)


def test_an_answer_that_the_template_changes_is_refused_and_others_are_not() -> None:
    fast = chatml(content="m.content | replace('Köln', 'Cologne')")
    assert learnt(fast, answer_tokens(chat(fast), (ASK,), "In Ulm.")) == ["In Ulm.<|im_end|>"]
    with pytest.raises(UserError, match=CHANGES):
        answer_tokens(chat(fast), (ASK,), "In Köln.")


_LAST = "loop.last or m.role == 'user'"
ONLY_LAST = {
    "the end of turn": {"end": f"'<|im_end|>' if {_LAST} else '\\n'"},
    "another end of turn": {"end": f"'<|im_end|>' if {_LAST} else '<|eom|>'"},
    "a line before the end": {"end": f"'<|im_end|>' if {_LAST} else '\\n<|im_end|>'"},
    "words as they are": {"content": f"m.content if {_LAST} else m.content | upper"},
    "words at all": {"content": f"m.content if {_LAST} else ''"},
}
"""What only the last answer gets -> the expression for it."""


@pytest.mark.parametrize("changed", ONLY_LAST.values(), ids=ONLY_LAST)
def test_an_earlier_answer_without_what_only_the_last_one_gets_is_refused(
    changed: dict[str, str],
) -> None:
    with pytest.raises(UserError, match=EARLIER):
        answer_tokens(chat(chatml(**changed)), LEARNT, "In Köln.")


@pytest.mark.parametrize("changed", ONLY_LAST.values(), ids=ONLY_LAST)
def test_an_earlier_answer_of_weight_0_may_be_written_as_the_template_likes(
    changed: dict[str, str],
) -> None:
    fast = chatml(**changed)
    talk = [replace(turn, weight=0) for turn in LEARNT]
    (said,) = learnt(fast, answer_tokens(chat(fast), talk, "In Köln."))
    assert said == "In Köln.<|im_end|>"


def test_an_earlier_exchange_that_the_template_drops_is_refused_though_the_last_is_the_same() -> (
    None
):
    fast = chatml(turns="messages[-1:] if add_generation_prompt else messages[-2:]")
    talk = (ASK, target_turn("In Köln."), ASK)
    with pytest.raises(UserError, match=EARLIER):
        answer_tokens(chat(fast), talk, "In Köln.")


@pytest.mark.parametrize(
    ("trim", "left"), [("strip", "In Köln."), ("lstrip", "In Köln.\n"), ("rstrip", " In Köln.")]
)
def test_white_space_that_a_template_takes_off_is_not_learnt(trim: str, left: str) -> None:
    fast = chatml(content=f"m.content.{trim}()")
    talk = with_answer(LEARNT, " In Köln.\n")
    example = answer_tokens(chat(fast), talk, " In Köln.\n")
    assert learnt(fast, example) == [f"{left}<|im_end|>"] * 3


def test_calls_may_stand_closer_to_their_end_than_words() -> None:
    fast = chatml(end="'<|im_end|>' if m.tool_calls else '\\n<|im_end|>\\n'")
    talk = [TOLD[0], LOOKING, *TOLD[2:]]
    first, last = learnt(fast, answer_tokens(chat(fast), talk, "Warm.", [WEATHER]))
    assert first.startswith("Let me look.[")
    assert first.endswith("]<|im_end|>")
    assert last == "Warm.\n<|im_end|>"


CALLS_CANNOT = {
    "words beside calls are left out": (
        {"content": "'' if m.tool_calls else m.content"},
        CHANGES,
    ),
    "only the first call is written": (
        {"calls": "m.tool_calls[0] | tojson if m.tool_calls else ''"},
        CHANGES,
    ),
    "calls are a turn of their own": (
        {
            "calls": "'<|im_end|>\\n<|im_start|>calls\\n' + m.tool_calls | tojson "
            "if m.tool_calls else ''"
        },
        CHANGES,
    ),
    "calls end otherwise than words": (
        {"end": "'<|eom|>' if m.tool_calls else '<|im_end|>\\n'"},
        NO_END,
    ),
    "the prompt opens no answer": ({"prompt": "''"}, PROMPT),
}


@pytest.mark.parametrize(("changed", "why"), CALLS_CANNOT.values(), ids=CALLS_CANNOT)
def test_calls_that_cannot_be_kept_exact_are_refused(changed: dict[str, str], why: str) -> None:
    with pytest.raises(UserError, match=why):
        answer_tokens(chat(chatml(**changed)), TOLD[:1], target_of(LOOKING), [WEATHER])


@pytest.mark.parametrize(
    "changed", [changed for changed, _ in CALLS_CANNOT.values()], ids=CALLS_CANNOT
)
def test_earlier_calls_that_cannot_be_kept_exact_are_refused(changed: dict[str, str]) -> None:
    talk = [TOLD[0], LOOKING, *TOLD[2:]]
    with pytest.raises(UserError, match="|".join([PROMPT, NO_END, EARLIER])):
        answer_tokens(chat(chatml(**changed)), talk, "Warm.", [WEATHER])


def test_an_added_word_inside_the_end_of_turn_does_not_cut_it_short() -> None:
    fast = small_tokenizer(PHI_3, words=(AddedToken("end"), AddedToken("|>")))
    example = answer_tokens(chat(fast), LEARNT, "In the end.")
    assert learnt(fast, example) == ["In Ulm.<|end|>", "Who knows.<|end|>", "In the end.<|end|>"]
    assert example.token_ids[-1] == fast.convert_tokens_to_ids("<|end|>")


@every_answer
def test_white_space_that_the_tokens_of_a_template_swallow_is_not_learnt(answer: str) -> None:
    swallowing = tuple(
        AddedToken(token, lstrip=True, rstrip=True, special=True)
        for token in ("<|user|>", "<|assistant|>", "<|end|>")
    )
    fast = small_tokenizer(PHI_3, words=swallowing)
    example = answer_tokens(chat(fast), (ASK,), answer)
    (target,) = example.answers
    assert example.token_ids[: target.start] == prompt_tokens(chat(fast), (ASK,))
    assert learnt(fast, example) == [f"{answer.strip()}<|end|>"]


@both_kinds
@every_answer
def test_added_tokens_of_white_space_neither_end_a_turn_nor_begin_before_an_answer(
    kind: Kind, answer: str
) -> None:
    blanks = tuple(AddedToken(text, normalized=False) for text in ("\n\n", "\n", "  "))
    template = str(PHI_3.template).replace("<|end|>", "\n<|end|>")
    fast = small_tokenizer(replace(PHI_3, template=template), kind, words=blanks)
    talk = with_answer(LEARNT, answer)
    assert learnt(fast, answer_tokens(chat(fast), talk, answer)) == [f"{answer}\n<|end|>"] * 3


def test_a_normaliser_changes_the_tokens_of_an_answer_and_not_the_mask() -> None:
    fast = small_tokenizer(CHATML, normalizer=normalizers.NFC())
    talk = with_answer(LEARNT, "In Ko\u0308ln.")
    example = answer_tokens(chat(fast), talk, "In Ko\u0308ln.")
    assert learnt(fast, example) == ["In K\u00f6ln.<|im_end|>"] * 3


def test_a_normaliser_that_joins_the_prompt_and_the_answer_is_refused() -> None:
    template = str(ZEPHYR.template).replace("|>\n", "|>")
    fast = small_tokenizer(replace(ZEPHYR, template=template), normalizer=normalizers.NFC())
    with pytest.raises(UserError, match="differently when the prompt stands before it"):
        answer_tokens(chat(fast), (ASK,), "\u0338")


@every_family
@every_answer
def test_with_a_tokenizer_that_puts_a_space_before_a_text_it_is_exact_or_refused(
    family: Family, answer: str
) -> None:
    fast = small_tokenizer(family, "sentencepiece", normalizer=normalizers.Prepend(" "))
    talk = with_answer(LEARNT, answer)
    expected = reference(family, fast, [*talk, target_turn(answer)])
    if expected.joint:
        example = answer_tokens(chat(fast), talk, answer)
        assert example.token_ids == expected.token_ids
        assert mask_of(example) == expected.mask
    else:
        with pytest.raises(UserError, match="differently when the prompt stands before it"):
            answer_tokens(chat(fast), talk, answer)


def test_tokenising_an_answer_apart_does_not_carry_its_end_into_the_next_turn() -> None:
    # ":▁" takes the space in the whole text; apart, "▁a\n" would take the line break after it.
    merges = [(":", " "), (" ", "a"), (" a", "\n")]
    letters = dict.fromkeys("User: q\nAssistant: a")
    names = [*letters, *("".join(merge) for merge in merges)]
    vocabulary = {name: place for place, name in enumerate(names)}
    tokenizer = Tokenizer(models.BPE(vocab=vocabulary, merges=merges))
    tokenizer.decoder = decoders.Fuse()
    tokenizer.add_special_tokens(["</s>"])
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="</s>")
    talk = (
        Message(role="user", content="q"),
        Message(role="assistant", content="a", weight=1),
        Message(role="user", content="q"),
    )
    assert learnt(fast, answer_tokens(chat(fast), talk, "a")) == [" a", " a</s>"]
