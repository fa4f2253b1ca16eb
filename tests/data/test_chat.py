from typing import cast

import pytest
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import PreTrainedTokenizerFast

from tunewise.data.chat import ChatTokenizer, answer_tokens, prompt_tokens, render_prompt
from tunewise.errors import UserError
from tunewise.types import Message

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


def decoded(tokenizer: ChatTokenizer, ids: tuple[int, ...]) -> object:
    return tokenizer.decode(list(ids))


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
    assert example.token_ids[: example.answer_start] == prompt_tokens(tokenizer, ASK)
    written = f"{target}<|im_end|>" if template else f" {target}<|end|>"
    assert decoded(tokenizer, example.token_ids[example.answer_start :]) == written


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
    assert decoded(tokenizer, example.token_ids[example.answer_start :]) == "In Köln.<|im_end|>"


def test_a_template_that_rewrites_the_prompt_is_refused() -> None:
    thinking = CHATML.replace("assistant\n{% endif", "assistant\n<think>{% endif")
    with pytest.raises(UserError, match="writes the prompt differently once an answer follows"):
        answer_tokens(build(thinking), ASK, "In Köln.")


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
