"""Chat templates in the style of well-known families, and small tokenizers to go with them.

Each is written for these tests: what a family does to turns, white space, tools and ends of turns,
and no more. What a family is expected to write is stated beside its template, in Python.
"""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from tokenizers import (
    AddedToken,
    Tokenizer,
    decoders,
    models,
    normalizers,
    pre_tokenizers,
    trainers,
)
from transformers import PreTrainedTokenizerFast

from tunewise.types import ToolCall

Kind = Literal["byte-level", "sentencepiece"]
KINDS: tuple[Kind, ...] = ("byte-level", "sentencepiece")


@dataclass(frozen=True, kw_only=True)
class Family:
    """A chat template and what is known of it without reading it."""

    name: str
    template: str | None
    special: tuple[str, ...]
    """Its added tokens; the first begins a text, the last ends one."""
    end: str
    """What follows every answer, its end-of-turn token included."""
    opening: str
    """How a user's turn is opened: text that an answer may hold as well."""
    lead: str = ""
    """White space of the template's own between the prompt and an answer."""
    trims: bool = False
    """Whether white space around a turn is taken off."""
    calls: Callable[[Sequence[ToolCall]], str] | None = None
    """Calls as the template writes them; None if it knows no tools."""


def _json(call: ToolCall, arguments: str = "arguments") -> str:
    written = {"name": call.name, arguments: json.loads(call.arguments)}
    return json.dumps(written, ensure_ascii=False)


_CHATML_TOOLS = """
{%- if tools %}
    {{- '<|im_start|>system\n' }}
    {%- if messages[0].role == 'system' %}{{- messages[0].content + '\n\n' }}{%- endif %}
    {{- 'You may call:' }}
    {%- for tool in tools %}{{- '\n' + tool | tojson }}{%- endfor %}
    {{- '<|im_end|>\n' }}
{%- endif %}
"""
_CHATML_CALLS = """
{%- for call in m.tool_calls or [] %}
    {{- '<tool_call>\n' }}
    {{- {'name': call.function.name, 'arguments': call.function.arguments} | tojson }}
    {{- '\n</tool_call>' }}
{%- endfor %}
"""


def _chatml(content: str) -> str:
    return (
        _CHATML_TOOLS
        + """
{%- for m in messages %}
    {%- if m.role == 'tool' %}
        {{- '<|im_start|>user\n<tool_response>' + m.content + '</tool_response><|im_end|>\n' }}
    {%- elif not (m.role == 'system' and tools) %}
        {{- '<|im_start|>' + m.role + '\n' }}
"""
        + content
        + _CHATML_CALLS
        + """
        {{- '<|im_end|>\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|im_start|>assistant\n' }}{%- endif %}
"""
    )


def _chatml_calls(calls: Sequence[ToolCall]) -> str:
    return "".join(f"<tool_call>\n{_json(call)}\n</tool_call>" for call in calls)


CHATML = Family(
    name="ChatML",
    template=_chatml("{{- m.content }}"),
    special=("<|endoftext|>", "<|im_start|>", "<|im_end|>"),
    end="<|im_end|>",
    opening="<|im_start|>user\n",
    calls=_chatml_calls,
)
CHATML_THOUGHTS = Family(
    name="ChatML without earlier thoughts",
    template=_chatml("""
{%- if m.role == 'assistant' and not loop.last %}
    {{- m.content.split('</think>')[-1] }}
{%- else %}
    {{- m.content }}
{%- endif %}
"""),
    special=("<|endoftext|>", "<|im_start|>", "<think>", "</think>", "<tool_call>", "<|im_end|>"),
    end="<|im_end|>",
    opening="<|im_start|>user\n",
    calls=_chatml_calls,
)
LLAMA_2 = Family(
    name="Llama 2",
    template="""
{%- set first = messages[0] %}
{%- set turns = messages[1:] if first.role == 'system' else messages %}
{%- for m in turns %}
    {%- if (m.role == 'user') != (loop.index0 % 2 == 0) %}
        {{- raise_exception('turns must alternate') }}
    {%- endif %}
    {%- if m.role == 'user' %}
        {{- bos_token + '[INST] ' }}
        {%- if loop.first and first.role == 'system' %}
            {{- '<<SYS>>\n' + first.content + '\n<</SYS>>\n\n' }}
        {%- endif %}
        {{- m.content | trim + ' [/INST]' }}
    {%- else %}
        {{- ' ' + m.content | trim + ' ' + eos_token }}
    {%- endif %}
{%- endfor %}
""",
    special=("<s>", "</s>"),
    end=" </s>",
    opening="[INST] ",
    lead=" ",
    trims=True,
)
LLAMA_3 = Family(
    name="Llama 3",
    template="""
{{- bos_token }}
{%- if tools %}
    {{- '<|start_header_id|>system<|end_header_id|>\n\nYou may call:' }}
    {%- for tool in tools %}{{- '\n' + tool | tojson }}{%- endfor %}
    {{- '<|eot_id|>' }}
{%- endif %}
{%- for m in messages %}
    {{- '<|start_header_id|>' + ('ipython' if m.role == 'tool' else m.role) }}
    {{- '<|end_header_id|>\n\n' + m.content | trim }}
    {%- for call in m.tool_calls or [] %}
        {{- {'name': call.function.name, 'parameters': call.function.arguments} | tojson }}
    {%- endfor %}
    {{- '<|eot_id|>' }}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|start_header_id|>assistant<|end_header_id|>\n\n' }}
{%- endif %}
""",
    special=("<|begin_of_text|>", "<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"),
    end="<|eot_id|>",
    opening="<|start_header_id|>user<|end_header_id|>\n\n",
    trims=True,
    calls=lambda calls: "".join(_json(call, "parameters") for call in calls),
)
GEMMA = Family(
    name="Gemma",
    template="""
{{- bos_token }}
{%- set first = messages[0] %}
{%- set turns = messages[1:] if first.role == 'system' else messages %}
{%- for m in turns %}
    {{- '<start_of_turn>' + ('model' if m.role == 'assistant' else m.role) + '\n' }}
    {%- if loop.first and first.role == 'system' %}{{- first.content + '\n\n' }}{%- endif %}
    {{- m.content | trim + '<end_of_turn>\n' }}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<start_of_turn>model\n' }}{%- endif %}
""",
    special=("<bos>", "<start_of_turn>", "<end_of_turn>"),
    end="<end_of_turn>",
    opening="<start_of_turn>user\n",
    trims=True,
)
MISTRAL = Family(
    name="Mistral v3",
    template="""
{{- bos_token }}
{%- if tools %}{{- '[AVAILABLE_TOOLS]' + tools | tojson + '[/AVAILABLE_TOOLS]' }}{%- endif %}
{%- set first = messages[0] %}
{%- set turns = messages[1:] if first.role == 'system' else messages %}
{%- for m in turns %}
    {%- if m.role == 'user' %}
        {{- '[INST]' }}
        {%- if loop.first and first.role == 'system' %}{{- first.content + '\n\n' }}{%- endif %}
        {{- m.content + '[/INST]' }}
    {%- elif m.role == 'tool' %}
        {{- '[TOOL_RESULTS]' + m.content + '[/TOOL_RESULTS]' }}
    {%- else %}
        {{- m.content }}
        {%- if m.tool_calls %}
            {{- '[TOOL_CALLS][' }}
            {%- for call in m.tool_calls %}
                {{- {'name': call.function.name, 'arguments': call.function.arguments} | tojson }}
                {{- ']' if loop.last else ', ' }}
            {%- endfor %}
        {%- endif %}
        {{- eos_token }}
    {%- endif %}
{%- endfor %}
""",
    special=(
        "<s>",
        "[INST]",
        "[/INST]",
        "[AVAILABLE_TOOLS]",
        "[/AVAILABLE_TOOLS]",
        "[TOOL_CALLS]",
        "[TOOL_RESULTS]",
        "[/TOOL_RESULTS]",
        "</s>",
    ),
    end="</s>",
    opening="[INST]",
    calls=lambda calls: f"[TOOL_CALLS][{', '.join(map(_json, calls))}]",
)
PHI_3 = Family(
    name="Phi-3",
    template="""
{%- for m in messages %}
    {{- '<|' + m.role + '|>\n' + m.content + '<|end|>\n' }}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|assistant|>\n' }}{%- else %}{{- eos_token }}{%- endif %}
""",
    special=("<s>", "<|system|>", "<|user|>", "<|assistant|>", "<|end|>", "<|endoftext|>"),
    end="<|end|>",
    opening="<|user|>\n",
)
ZEPHYR = Family(
    name="Zephyr",
    template="""
{%- for m in messages %}
    {{- '<|' + m.role + '|>\n' + m.content + eos_token + '\n' }}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|assistant|>\n' }}{%- endif %}
""",
    special=("<s>", "</s>"),
    end="</s>",
    opening="<|user|>\n",
)
ALPACA = Family(
    name="Alpaca",
    template="""
{%- for m in messages %}
    {%- if m.role == 'system' %}
        {{- m.content + '\n\n' }}
    {%- elif m.role == 'user' %}
        {{- '### Instruction:\n' + m.content + '\n\n' }}
    {%- else %}
        {{- '### Response:\n' + m.content + eos_token + '\n\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{- '### Response:\n' }}{%- endif %}
""",
    special=("<s>", "</s>"),
    end="</s>",
    opening="### Instruction:\n",
)
DEEPSEEK = Family(
    name="DeepSeek",
    template="""
{{- bos_token }}
{%- for m in messages %}
    {%- if m.role == 'system' %}
        {{- m.content + '\n\n' }}
    {%- elif m.role == 'user' %}
        {{- 'User: ' + m.content + '\n\n' }}
    {%- else %}
        {{- 'Assistant: ' + m.content + eos_token }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{- 'Assistant:' }}{%- endif %}
""",
    special=("<|begin_of_sentence|>", "<|end_of_sentence|>"),
    end="<|end_of_sentence|>",
    opening="User: ",
    lead=" ",
)

FAMILIES = (
    CHATML,
    CHATML_THOUGHTS,
    LLAMA_2,
    LLAMA_3,
    GEMMA,
    MISTRAL,
    PHI_3,
    ZEPHYR,
    ALPACA,
    DEEPSEEK,
)

_CORPUS = [
    "Where is my order? It should have been here on Monday.\n\nThe zip of the tent broke.",
    "[INST] [INST] [/INST] [/INST] <<SYS>>\n <</SYS>>\n\n ### Instruction:\n ### Response:\n",
    "User: User: \n\nAssistant: Assistant: \n\n <|user|>\n <|assistant|>\n user\n model\n",
    '{"name": "weather", "arguments": {"place": "Köln"}} You may call: Result of weather: ',
    "In Köln.\n\nIn Bonn. \n  In Ulm.\n\n\n\nBe brief. \n\nYes.  \n",
] * 4


@lru_cache
def small_tokenizer(
    family: Family,
    kind: Kind = "byte-level",
    *,
    words: tuple[AddedToken, ...] = (),
    normalizer: normalizers.Normalizer | None = None,
) -> PreTrainedTokenizerFast:
    """A tokenizer of a few hundred tokens with the family's own among them.

    Args:
        family: whose template and special tokens it gets.
        kind: bytes in words, as GPT-2 has it; or characters with bytes for the unknown, and with
            tokens that reach across white space, as Llama 2 has it.
        words: more added tokens; they take the place of special tokens of the same text.
        normalizer: what is done to a text before all else.
    """
    tokenizer = _byte_level() if kind == "byte-level" else _sentencepiece()
    if normalizer is not None:
        old = tokenizer.normalizer
        tokenizer.normalizer = normalizers.Sequence([normalizer, old]) if old else normalizer
    given = {str(word.content) for word in words}
    tokenizer.add_special_tokens([token for token in family.special if token not in given])
    tokenizer.add_tokens(list(words))
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, bos_token=family.special[0], eos_token=family.special[-1]
    )
    fast.chat_template = family.template
    return fast


def _byte_level() -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(
        _CORPUS,
        trainers.BpeTrainer(
            vocab_size=380,
            initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
            show_progress=False,
        ),
    )
    return tokenizer


def _sentencepiece() -> Tokenizer:
    tokenizer = Tokenizer(models.BPE(unk_token="<unk>", byte_fallback=True, fuse_unk=True))
    tokenizer.normalizer = normalizers.Replace(" ", "▁")
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    )
    bytes_ = [f"<0x{n:02X}>" for n in range(256)]
    tokenizer.train_from_iterator(
        _CORPUS,
        trainers.BpeTrainer(vocab_size=480, special_tokens=["<unk>", *bytes_], show_progress=False),
    )
    return tokenizer
