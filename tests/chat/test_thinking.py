from typing import cast

import pytest

from chat_templates import CHATML, Family, small_tokenizer
from tunewise.chat.template import render_prompt, set_thinking
from tunewise.chat.tokenize import ChatTokenizer, answer_tokens, prompt_tokens, said_after
from tunewise.errors import UserError
from tunewise.types import Message

ASK = Message(role="user", content="Where is it?")
HEAD = "<|im_start|>user\nWhere is it?<|im_end|>\n<|im_start|>assistant\n"
THOUGHT = "<think>\nHm.\n</think>\n\nIn Ulm."

SWITCHED = (
    "{%- for m in messages %}{{- '<|im_start|>' + m.role + '\\n' }}"
    "{%- if m.role == 'assistant' and loop.last %}"
    "{%- set parts = m.content.split('</think>') %}"
    "{{- '<think>\\n' + (parts[0].split('<think>')[-1] | trim if parts | length > 1 else '') }}"
    "{{- '\\n</think>\\n\\n' + parts[-1].lstrip('\\n') }}"
    "{%- else %}{{- m.content }}{%- endif %}{{- '<|im_end|>\\n' }}{%- endfor %}"
    "{%- if add_generation_prompt %}{{- '<|im_start|>assistant\\n' }}"
    "{%- if enable_thinking is false %}{{- '<think>\\n\\n</think>\\n\\n' }}{%- endif %}{%- endif %}"
)
"""As Qwen3 has it: the switch writes empty thoughts into the prompt."""
ALWAYS = SWITCHED.replace(
    "{%- if enable_thinking is false %}{{- '<think>\\n\\n</think>\\n\\n' }}{%- endif %}",
    "{{- '<think>\\n' }}",
)
"""As Qwen3-Thinking has it: no switch, and the prompt opens a thought."""


def build(template: str, *, thinking: bool) -> ChatTokenizer:
    family = Family(
        name="thinking", template=template, special=CHATML.special, end=CHATML.end, opening=""
    )
    tokenizer = cast(ChatTokenizer, small_tokenizer(family))
    return set_thinking(tokenizer, thinking=thinking)


def learnt(tokenizer: ChatTokenizer, target: str) -> str:
    """What carries loss; the rest is the prompt that the model is asked with."""
    example = answer_tokens(tokenizer, (ASK,), target)
    (answer,) = example.answers
    assert example.token_ids[: answer.start] == prompt_tokens(tokenizer, (ASK,))
    return str(tokenizer.decode(list(example.token_ids[answer.start :])))


@pytest.mark.parametrize("template", [SWITCHED, ALWAYS], ids=["switched", "always"])
def test_a_model_asked_not_to_think_gets_empty_thoughts_in_training_as_when_asked(
    template: str,
) -> None:
    tokenizer = build(template, thinking=False)
    assert render_prompt(tokenizer, (ASK,)) == f"{HEAD}<think>\n\n</think>\n\n"
    assert learnt(tokenizer, "In Ulm.") == "In Ulm.<|im_end|>"


def test_a_model_asked_to_think_begins_with_its_thoughts() -> None:
    assert render_prompt(build(SWITCHED, thinking=True), (ASK,)) == HEAD
    assert render_prompt(build(ALWAYS, thinking=True), (ASK,)) == f"{HEAD}<think>\n"


@pytest.mark.parametrize("target", [THOUGHT, "<think>Hm.</think>In Ulm."])
def test_thoughts_in_a_target_are_learnt_where_the_model_thinks(target: str) -> None:
    assert learnt(build(SWITCHED, thinking=True), target) == f"{THOUGHT}<|im_end|>"
    rest = THOUGHT.removeprefix("<think>\n")
    assert learnt(build(ALWAYS, thinking=True), target) == f"{rest}<|im_end|>"


def test_a_target_without_thoughts_is_learnt_with_empty_ones_where_the_model_thinks() -> None:
    written = "<think>\n\n</think>\n\nIn Ulm.<|im_end|>"
    assert learnt(build(SWITCHED, thinking=True), "In Ulm.") == written
    assert learnt(build(ALWAYS, thinking=True), "In Ulm.") == written.removeprefix("<think>\n")


def test_thoughts_that_the_prompt_rules_out_are_refused() -> None:
    with pytest.raises(UserError, match="changes the answer it is given"):
        answer_tokens(build(SWITCHED, thinking=False), (ASK,), THOUGHT)


def test_thoughts_are_counted_and_the_tag_that_the_prompt_wrote_stands_before_them() -> None:
    tokenizer = build(ALWAYS, thinking=True)
    prompt = prompt_tokens(tokenizer, (ASK,))
    generated = tokenizer.encode("Hm.\n</think>\n\nIn Ulm.", add_special_tokens=False)
    said = said_after(tokenizer, prompt, generated)
    assert said.text == THOUGHT
    assert said.thinking_tokens == len(tokenizer.encode("Hm.", add_special_tokens=False))
    cut = said_after(tokenizer, prompt, generated[:2])
    assert cut.text.startswith("<think>\n")
    assert cut.thinking_tokens == 2
    plain = build(SWITCHED, thinking=False)
    asked = prompt_tokens(plain, (ASK,))
    assert said_after(plain, asked, generated[-3:]).thinking_tokens == 0
