"""Makes ready what a pipeline opens: the base's files and tokenizer, and an adapter's merged GGUF.

It takes seconds, in which no pipeline is touched: it has a thread of its own.
"""

import functools
import os
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tunewise.chat.tokenize import ChatTokenizer
from tunewise.errors import UserError
from tunewise.models import loading
from tunewise.models.adapters import check_adapter, merge_into_gguf
from tunewise.models.catalog import LocalModel, open_model
from tunewise.models.engines.prefixes import BLOCK
from tunewise.models.stored import adapter_hash
from tunewise.progress import Silent
from tunewise.serving.protocol import Weights

MERGED_KEPT = 8
"""Merged files on disk, so that an adapter that was closed opens again at once."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Base:
    """A base model on this machine."""

    model: LocalModel
    gguf: Path
    tokenizer: ChatTokenizer
    ends: frozenset[int]
    """Tokens that end an answer."""
    block_bytes: int
    """Of keys and values, a block of the cache."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Prepared:
    """Files that a pipeline can open at once."""

    base: Base
    gguf: Path
    """Of the base, or merged with the adapter."""


class Preparer:
    """Prepares weights one after another, beside whatever runs.

    Args:
        merged: folder that keeps merged files; what it holds from before is used again.
        kept: how many; each is as large as the base's.
    """

    def __init__(self, merged: Path, *, kept: int = MERGED_KEPT) -> None:
        self._merged, self._kept = merged, kept
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="prepare")

    def submit(self, weights: Weights) -> "Future[Prepared]":
        """Begins; the result is there later.

        Raises:
            UserError: from the future: they cannot be served, and why.
        """
        return self._thread.submit(self._prepare, weights)

    def _prepare(self, weights: Weights) -> Prepared:
        base = self._base(weights.base)
        if weights.adapter is None:
            return Prepared(base=base, gguf=base.gguf)
        check_adapter(weights.adapter, base.model)
        # The base is part of the name: an adapter that nobody signed fits several.
        name = f"{base.model.sha256[:16]}-{adapter_hash(weights.adapter)}.gguf"
        merged = self._merged / name
        if not merged.exists():
            merge_into_gguf(base.model, weights.adapter, merged)
        os.utime(merged)
        self._forget_oldest()
        return Prepared(base=base, gguf=merged)

    def _forget_oldest(self) -> None:
        """Deletes the merged files used longest ago; one that is open needs its file no more."""
        files = sorted(self._merged.glob("[!.]*.gguf"), key=lambda file: file.stat().st_mtime_ns)
        for file in files[: -self._kept]:
            file.unlink()

    @functools.lru_cache(maxsize=8)  # noqa: B019 - the preparer lives as long as its process
    def _base(self, name: str) -> Base:
        model = open_model(name, progress=Silent())
        if model.gguf is None:
            raise UserError(
                f"The engine openvino cannot serve {name}: {model.no_gguf}. Choose another base."
            )
        tokenizer = loading.load_tokenizer(model.folder)
        return Base(
            model=model,
            gguf=model.gguf,
            tokenizer=tokenizer,
            ends=loading.end_token_ids(model.folder, tokenizer),
            block_bytes=BLOCK * loading.cache_bytes(model.folder),
        )
