from typing import cast

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from tunewise.chat.tokenize import (
    ChatTokenizer,
    TokenisedExample,
    answer_tokens,
    prompt_tokens,
    render_prompt,
)
from tunewise.chat.tools import canonical_answer
from tunewise.errors import UserError
from tunewise.types import Message, Tool, ToolCall

CHATML = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
ASK = (Message(role="system", content="Be brief."), Message(role="user", content="Where is it?"))


def build(template: str | None, *, bos: bool = False) -> ChatTokenizer:
    """A byte-level BPE tokenizer with a few merges, as small models have it."""
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=330,
        special_tokens=["<|end|>", "<|im_start|>", "<|im_end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(["Where is it? In Köln.\n\nBe brief.\n\n"] * 5, trainer)
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        eos_token="<|end|>",
        bos_token="<|im_start|>" if bos else None,
        additional_special_tokens=["<|im_start|>", "<|im_end|>"],
    )
    fast.chat_template = template
    return cast(ChatTokenizer, fast)


def learnt(tokenizer: ChatTokenizer, example: TokenisedExample) -> list[object]:
    """The texts that carry loss."""
    return [decoded(tokenizer, example.token_ids[a.start : a.stop]) for a in example.answers]


def decoded(tokenizer: ChatTokenizer, ids: tuple[int, ...]) -> object:
    return tokenizer.decode(list(ids))


@pytest.mark.parametrize(
    "today",
    [
        "{% if not date_string is defined %}{% set date_string = strftime_now('%d %b %Y') %}"
        "{% endif %}{{ date_string }}",
        "{{ strftime_now('%d %b %Y') }}",
        "{{ strftime_now('%-d') + ' ' + strftime_now('%B')[:3] ~ strftime_now(' %Y') }}",
    ],
)
def test_a_template_that_writes_the_date_writes_the_same_on_any_day(today: str) -> None:
    # locuslab/open-unlearning#98: results differed from day to day, the date was in every prompt.
    tokenizer = build(f"<|im_start|>system\nToday: {today}<|im_end|>\n{CHATML}")
    prompt = render_prompt(tokenizer, ASK)
    assert prompt.startswith("<|im_start|>system\nToday: 26 Jul 2024<|im_end|>\n")
    whole = decoded(tokenizer, answer_tokens(tokenizer, ASK, "In Köln.").token_ids)
    assert whole == f"{prompt}In Köln.<|im_end|>"


def test_the_prompt_ends_where_the_answer_begins() -> None:
    assert render_prompt(build(CHATML), ASK) == (
        "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\nWhere is it?<|im_end|>\n"
        "<|im_start|>assistant\n"
    )


def test_a_model_without_a_template_gets_the_plain_form() -> None:
    assert render_prompt(build(None), ASK) == (
        "System: Be brief.\n\nUser: Where is it?\n\nAssistant:"
    )


@pytest.mark.parametrize("target", ["In Köln.", "\nIn Köln.", " ", '{"a": 1}\n', "🙂"])
@pytest.mark.parametrize("template", [CHATML, None], ids=["ChatML", "plain"])
def test_loss_covers_the_answer_and_its_end_and_nothing_else(
    template: str | None, target: str
) -> None:
    tokenizer = build(template)
    example = answer_tokens(tokenizer, ASK, target)
    (answer,) = example.answers
    assert example.token_ids[: answer.start] == prompt_tokens(tokenizer, ASK)
    written = f"{target}<|im_end|>" if template else f" {target}<|end|>"
    assert decoded(tokenizer, example.token_ids[answer.start : answer.stop]) == written
    assert answer.stop == len(example.token_ids)


def test_the_end_of_turn_is_one_token_and_the_last() -> None:
    tokenizer = build(CHATML)
    end = tokenizer.get_added_vocab()["<|im_end|>"]
    assert answer_tokens(tokenizer, ASK, "In Köln.").token_ids[-1] == end


def test_a_token_across_the_border_does_not_change_the_prompt() -> None:
    tokenizer = build(CHATML)
    joint = tokenizer.encode(
        render_prompt(tokenizer, ASK) + "\n\nIn Köln.<|im_end|>", add_special_tokens=False
    )
    example = answer_tokens(tokenizer, ASK, "\n\nIn Köln.")
    assert tuple(joint) != example.token_ids
    assert decoded(tokenizer, tuple(joint)) == decoded(tokenizer, example.token_ids)


def test_a_template_that_trims_answers_is_followed() -> None:
    tokenizer = build(CHATML.replace("m.content", "m.content | trim"))
    example = answer_tokens(tokenizer, ASK, " In Köln.\n")
    assert learnt(tokenizer, example) == ["In Köln.<|im_end|>"]


def test_a_template_that_rewrites_the_prompt_is_refused() -> None:
    thinking = CHATML.replace("assistant\n{% endif", "assistant\n<think>{% endif")
    with pytest.raises(UserError, match="writes the prompt differently once an answer follows"):
        answer_tokens(build(thinking), ASK, "In Köln.")


THINKS = (
    "{% for m in messages %}<|im_start|>{{ m.role }}\n"
    "{% if m.role == 'assistant' and loop.last %}<think>\n\n</think>\n\n{% endif %}"
    "{{ m.content }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n"
    "{% if enable_thinking is false %}<think>\n\n</think>\n\n{% endif %}{% endif %}"
)
"""Like Qwen3's: the last answer has thoughts, empty ones where the model is not to think."""


def test_a_model_that_can_think_is_asked_and_trained_without() -> None:
    tokenizer = build(THINKS)
    assert render_prompt(tokenizer, ASK).endswith("assistant\n<think>\n\n</think>\n\n")
    example = answer_tokens(tokenizer, ASK, "In Köln.")
    assert learnt(tokenizer, example) == ["In Köln.<|im_end|>"]
    assert example.token_ids[: example.answers[0].start] == prompt_tokens(tokenizer, ASK)


def test_an_earlier_answer_that_would_lose_its_empty_thoughts_is_refused() -> None:
    talk = (ASK[1], Message(role="assistant", content="In Köln.", weight=1), ASK[1])
    with pytest.raises(UserError, match=r"an earlier answer differently once .*weight 0, or"):
        answer_tokens(build(THINKS), talk, "In Bonn.")


def test_a_template_that_changes_the_answer_is_refused() -> None:
    with pytest.raises(UserError, match="changes the answer"):
        answer_tokens(build(CHATML.replace("m.content", "m.content | upper")), ASK, "In Köln.")


def test_a_template_without_an_end_of_turn_is_refused() -> None:
    with pytest.raises(UserError, match="ends a turn with no token of its own"):
        answer_tokens(build("{% for m in messages %}{{ m.content }}\n{% endfor %}"), ASK, "Köln")


def test_a_template_that_refuses_the_conversation_says_so() -> None:
    strict = "{{ raise_exception('System role not supported') }}"
    with pytest.raises(UserError, match=r"refuses a conversation of system, user: System role"):
        render_prompt(build(strict), ASK)


def test_a_template_cannot_reach_out_of_its_sandbox() -> None:
    with pytest.raises(UserError, match="refuses"):
        render_prompt(build("{{ messages.__class__.__mro__ }}"), ASK)


def test_a_model_that_cannot_stop_is_refused() -> None:
    tokenizer = build(None)
    cast(PreTrainedTokenizerFast, tokenizer).eos_token = None
    with pytest.raises(UserError, match="cannot learn to stop"):
        answer_tokens(tokenizer, ASK, "In Köln.")


TALK = (
    Message(role="user", content="Where is it?"),
    Message(role="assistant", content="In Köln.", weight=1),
    Message(role="user", content="And the other?"),
    Message(role="assistant", content="Who knows.", weight=0),
    Message(role="user", content="Be brief."),
)


@pytest.mark.parametrize(
    ("template", "texts"),
    [
        (CHATML, ["In Köln.<|im_end|>", "In Bonn.<|im_end|>"]),
        (None, [" In Köln.", " In Bonn.<|end|>"]),
    ],
    ids=["ChatML", "plain"],
)
def test_earlier_answers_carry_loss_by_their_weight(template: str | None, texts: list[str]) -> None:
    tokenizer = build(template)
    example = answer_tokens(tokenizer, TALK, "In Bonn.")
    assert learnt(tokenizer, example) == texts
    assert example.token_ids[: example.answers[-1].start] == prompt_tokens(tokenizer, TALK)
    masked = [
        token
        for place, token in enumerate(example.token_ids)
        if not any(start <= place < stop for start, stop in example.answers)
    ]
    assert "Who knows." in str(decoded(tokenizer, tuple(masked)))
    assert "Köln" not in str(decoded(tokenizer, tuple(masked)))


def test_without_weights_only_the_last_answer_carries_loss() -> None:
    tokenizer = build(CHATML)
    shots = (*ASK, Message(role="assistant", content="In Köln."), ASK[1])
    assert learnt(tokenizer, answer_tokens(tokenizer, shots, "In Bonn.")) == ["In Bonn.<|im_end|>"]


def test_a_token_across_the_start_of_an_earlier_answer_keeps_the_loss_exact() -> None:
    tokenizer = build(CHATML)
    talk = (ASK[1], Message(role="assistant", content="\n\nBe brief.", weight=1), ASK[1])
    example = answer_tokens(tokenizer, talk, "In Köln.")
    assert learnt(tokenizer, example) == ["\n\nBe brief.<|im_end|>", "In Köln.<|im_end|>"]


STRIPS_THOUGHT = CHATML.replace(
    "{{ m.content }}",
    "{{ m.content if loop.last else m.content.split('</think>')[-1] }}",
)


def test_a_template_that_rewrites_earlier_answers_is_refused_where_they_carry_loss() -> None:
    tokenizer = build(STRIPS_THOUGHT)
    thought = Message(role="assistant", content="<think>Hm.</think>In Köln.", weight=1)
    with pytest.raises(UserError, match=r"an earlier answer differently once .*weight 0, or"):
        answer_tokens(tokenizer, (ASK[1], thought, ASK[1]), "In Bonn.")
    unlearnt = Message(role="assistant", content=thought.content, weight=0)
    example = answer_tokens(tokenizer, (ASK[1], unlearnt, ASK[1]), "In Bonn.")
    assert learnt(tokenizer, example) == ["In Bonn.<|im_end|>"]


WEATHER: Tool = {
    "type": "function",
    "function": {"name": "weather", "parameters": {"type": "object"}},
}
ASKED = (Message(role="user", content="Weather in Bonn and Köln?"),)
CALLS = Message(
    role="assistant",
    content="",
    weight=1,
    tool_calls=(
        ToolCall(name="weather", arguments='{"place": "Bonn"}', id="a"),
        ToolCall(name="weather", arguments='{"place": "Köln"}', id="b"),
    ),
)
TOLD = (
    *ASKED,
    CALLS,
    Message(role="tool", content="8 degrees", tool_call_id="b"),
    Message(role="tool", content="12 degrees", tool_call_id="a"),
)
HERMES = (
    "{% if tools %}<|im_start|>system\n{% for t in tools %}{{ t | tojson }}{% endfor %}<|im_end|>\n"
    "{% endif %}{% for m in messages %}<|im_start|>{{ m.role }}\n"
    "{% if m.role == 'tool' %}{{ m.name }} {{ m.tool_call_id }}: {% endif %}{{ m.content }}"
    "{% for c in m.tool_calls or [] %}<tool_call>\n"
    "{{ {'name': c.function.name, 'arguments': c.function.arguments} | tojson }}\n</tool_call>"
    "{% endfor %}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


def test_a_template_that_knows_tools_writes_them_its_own_way() -> None:
    tokenizer = build(HERMES)
    text = render_prompt(tokenizer, TOLD, [WEATHER])
    assert text.count('"name": "weather"') == 3
    assert '<tool_call>\n{"name": "weather", "arguments": {"place": "Bonn"}}' in text
    assert "weather call00001: 8 degrees" in text
    assert "weather call00000: 12 degrees" in text


def test_calls_written_by_the_template_carry_loss() -> None:
    tokenizer = build(HERMES)
    target = '{"name": "weather", "arguments": {"place": "Ulm"}}'
    example = answer_tokens(tokenizer, TOLD, target, [WEATHER])
    first, last = learnt(tokenizer, example)
    assert str(first).count("<tool_call>") == 2
    assert last == f"<tool_call>\n{target}\n</tool_call><|im_end|>"
    assert example.token_ids[: example.answers[-1].start] == prompt_tokens(
        tokenizer, TOLD, [WEATHER]
    )
    assert canonical_answer(str(last).removesuffix("<|im_end|>"), [WEATHER]) == target


@pytest.mark.parametrize("template", [CHATML, None], ids=["ChatML", "plain"])
def test_a_model_that_knows_no_tools_gets_them_as_text(template: str | None) -> None:
    tokenizer = build(template)
    target = '{"name": "weather", "arguments": {"place": "Ulm"}}'
    example = answer_tokens(tokenizer, TOLD, target, [WEATHER])
    text = str(decoded(tokenizer, example.token_ids))
    assert "You can call these functions:" in text
    assert '[{"name": "weather", "parameters": {"type": "object"}}]' in text
    assert '[{"name": "weather", "arguments": {"place": "Bonn"}}, {"name": "weather"' in text
    assert "Result of weather: 8 degrees\nResult of weather: 12 degrees" in text
    assert len(example.answers) == 2
    assert target in str(learnt(tokenizer, example)[-1])
    assert example.token_ids[: example.answers[-1].start] == prompt_tokens(
        tokenizer, TOLD, [WEATHER]
    )


def test_an_answer_in_words_is_an_answer_in_words_with_and_without_tools() -> None:
    for template in (HERMES, CHATML):
        tokenizer = build(template)
        example = answer_tokens(tokenizer, TOLD, "Cool.", [WEATHER])
        assert learnt(tokenizer, example)[-1] == "Cool.<|im_end|>"


def test_rows_without_tools_are_written_as_if_there_were_none() -> None:
    for template in (HERMES, CHATML):
        assert render_prompt(build(template), ASK) == render_prompt(build(CHATML), ASK)
