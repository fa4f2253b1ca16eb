"""Writes base and adapter as one model that transformers opens, and all that reads safetensors."""

import json
import shutil
from pathlib import Path
from typing import Any, cast

import transformers

from tunewise.chat.template import render_prompt, template_of
from tunewise.errors import UserError
from tunewise.exporting.adapter import copy_card, trained_of
from tunewise.exporting.source import Source
from tunewise.models import loading
from tunewise.models.adapters import (
    ADAPTER_SETTINGS,
    check_adapter,
    is_whole_model,
    merge_into_folder,
)
from tunewise.types import Message

_MERGED = {"LORA", "ADALORA", "LOHA", "LOKR", "IA3", "OFT", "BOFT", "HRA", "VERA", "FOURIERFT"}
"""PEFT's types whose change is part of the weights once it is added."""
PLAIN_TEMPLATE = (
    "{% for message in messages %}"
    "{% if message['role'] == 'system' %}{{ 'System: ' }}"
    "{% elif message['role'] == 'assistant' %}{{ 'Assistant: ' }}"
    "{% else %}{{ 'User: ' }}{% endif %}"
    "{{ message['content'] + '\n\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ 'Assistant:' }}{% endif %}"
)
"""The plain form of `chat.template`, for models that come without a template."""


def write_merged(source: Source, folder: Path) -> None:
    """Fills a folder that does not exist yet with one model, its tokenizer and its card.

    Raises:
        UserError: there is nothing to merge, it belongs to another base, or it cannot be part of
            the weights.
    """
    adapter = trained_of(source)
    check_adapter(adapter, source.local)
    if not is_whole_model(adapter):
        settings = json.loads((adapter / ADAPTER_SETTINGS).read_text("utf-8"))
        kind = str(settings.get("peft_type"))
        if kind not in _MERGED:
            raise UserError(
                f"{adapter}: an adapter of the type {kind} works beside the weights and cannot be "
                "merged into them. Use --to adapter."
            )
    merge_into_folder(source.local, adapter, folder)
    complete(source, folder)
    copy_card(source, folder)


def copy_base(source: Source, folder: Path) -> None:
    """Fills a folder that does not exist yet with the base as it is; large files are links."""
    folder.mkdir()
    for file in source.local.folder.iterdir():
        if file.suffix == ".safetensors":
            (folder / file.name).symlink_to(file.resolve())
        elif file.suffix != ".gguf":
            shutil.copyfile(file, folder / file.name)
    complete(source, folder)


def complete(source: Source, folder: Path) -> None:
    """Writes into a model's folder how conversations are rendered and how answers end."""
    tokenizer = cast("Any", loading.load_tokenizer(folder))
    if not template_of(tokenizer):
        tokenizer.chat_template = _opening(source) + PLAIN_TEMPLATE
        loading.save(tokenizer, folder)
    ends = sorted(loading.end_token_ids(source.local.folder, source.tokenizer))
    configs = cast("Any", transformers.GenerationConfig)
    there = (folder / "generation_config.json").is_file()
    config = configs.from_pretrained(str(folder)) if there else configs()
    config.eos_token_id = ends[0] if len(ends) == 1 else ends
    config.save_pretrained(str(folder))


def _opening(source: Source) -> str:
    """The begin-of-text token as a template writes it, where the plain form begins with it."""
    plain = render_prompt(source.tokenizer, [Message(role="user", content="")])
    return "{{ bos_token }}" if not plain.startswith("User: ") else ""
