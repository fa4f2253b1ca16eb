"""A model's tokenizer without transformers: what transformers made of its files, kept and read.

transformers builds a tokenizer from a model's files by rules that differ from family to family,
and takes seconds to import. What it has built is kept once, in the cache of prepared models; from
then on the library `tokenizers` gives the same tokens alone.
"""

import hashlib
import json
import shutil
from collections.abc import Mapping
from contextlib import suppress
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple, cast

from filelock import FileLock
from tokenizers import Tokenizer

from tunewise.chat.jinja import fill_in
from tunewise.chat.tokenize import ChatTokenizer
from tunewise.models.prepared import cache_folder, safe_name
from tunewise.storage import replaced_folder

MAX_KEPT = 16
"""Tokenizers kept; those used first go first."""
_FORMAT = 1  # raised whenever what is kept changes
_READ = ("*.json", "*.jinja", "*.txt", "*.model")
"""The files of a model that its tokenizer is made from."""
_TOKENIZER, _FACTS = "tokenizer.json", "facts.json"


class PlainTokenizer:
    """See `ChatTokenizer`."""

    def __init__(
        self, backend: Tokenizer, template: str | None, special: Mapping[str, str]
    ) -> None:
        self.chat_template = template
        self.bos_token: object = special.get("bos_token")
        self.eos_token: object = special.get("eos_token")
        self._backend = backend
        self._special = special

    def apply_chat_template(
        self,
        conversation: list[dict[str, object]],
        *,
        tools: list[Mapping[str, object]] | None,
        tokenize: bool,
        add_generation_prompt: bool,
        enable_thinking: bool,
        thinking: bool,
        chat_template: str | None,
        date_string: str,
    ) -> object:
        """The conversation as text; as tokens with `tokenize`."""
        text = fill_in(
            chat_template or self.chat_template or "",
            {
                **self._special,
                "messages": conversation,
                "tools": tools,
                "documents": None,
                "add_generation_prompt": add_generation_prompt,
                "enable_thinking": enable_thinking,
                "thinking": thinking,
                "date_string": date_string,
            },
        )
        return self.encode(text, add_special_tokens=False) if tokenize else text

    def encode(self, text: str, *, add_special_tokens: bool) -> list[int]:
        """Text -> token ids."""
        return self._backend.encode(text, add_special_tokens=add_special_tokens).ids

    def decode(self, token_ids: list[int]) -> object:
        """Token ids -> text."""
        return self._backend.decode(token_ids, skip_special_tokens=False)

    def get_added_vocab(self) -> dict[str, int]:
        """Added and special tokens: text -> id."""
        added = self._backend.get_added_tokens_decoder()
        return {token.content: number for number, token in sorted(added.items())}


class Kept(NamedTuple):
    """What is kept of a model."""

    tokenizer: PlainTokenizer
    context_tokens: int
    """The context window, prompt and completion together."""


def kept_tokenizer(folder: Path, *, cache: Path | None = None) -> Kept | None:
    """What `keep_tokenizer` kept of the model in `folder`; None where it is not there.

    Files of the model or a transformers that changed since then make it another one.
    """
    try:
        place = _place(folder, cache)
        facts = cast("dict[str, Any]", json.loads((place / _FACTS).read_text("utf-8")))
        backend = _parsed((place / _TOKENIZER).read_text("utf-8"))
    except (OSError, ValueError, KeyError):
        return None
    return Kept(
        PlainTokenizer(backend, facts["chat_template"], facts["special"]), facts["context_tokens"]
    )


@lru_cache(maxsize=4)
def _parsed(text: str) -> Tokenizer:
    backend = Tokenizer.from_str(text)
    backend.no_padding()
    backend.no_truncation()
    return backend


def keep_tokenizer(
    folder: Path, tokenizer: ChatTokenizer, context_tokens: int, *, cache: Path | None = None
) -> None:
    """Keeps a tokenizer that transformers loaded, if it can be kept and the cache be written.

    Args:
        folder: of the model.
        tokenizer: of transformers.
        context_tokens: the model's window.
        cache: None: the usual folder.
    """
    loaded = cast("Any", tokenizer)
    backend = getattr(loaded, "backend_tokenizer", None)
    special: dict[str, object] = dict(getattr(loaded, "special_tokens_map", {}))
    template: object = getattr(loaded, "chat_template", None)
    plain = isinstance(backend, Tokenizer) and not getattr(loaded, "split_special_tokens", False)
    if not plain or not isinstance(template, str | None):  # several templates, by name
        return
    facts = {
        "chat_template": template,
        "special": {name: one for name, one in special.items() if isinstance(one, str)},
        "context_tokens": context_tokens,
    }
    with suppress(OSError):
        place = _place(folder, cache)
        place.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(place.parent / ".lock"), replaced_folder(place) as new:
            (new / _TOKENIZER).write_text(cast("Tokenizer", backend).to_str(), "utf-8")
            (new / _FACTS).write_text(json.dumps(facts, ensure_ascii=False), "utf-8")
        kept = sorted(place.parent.glob("[!.]*"), key=lambda one: -one.stat().st_mtime)
        for old in kept[MAX_KEPT:]:
            shutil.rmtree(old, ignore_errors=True)


def _place(folder: Path, cache: Path | None) -> Path:
    files = sorted({file for pattern in _READ for file in folder.glob(pattern)})
    stats = [(file.name, (stat := file.stat()).st_size, stat.st_mtime_ns) for file in files]
    versions = [version(name) for name in ("transformers", "tokenizers")]
    made_from = (_FORMAT, versions, str(folder.resolve()), stats)
    key = hashlib.sha256(repr(made_from).encode()).hexdigest()[:16]
    return (cache or cache_folder()) / "tokenizers" / f"{safe_name(folder.name)}-{key}"
