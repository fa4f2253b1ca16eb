"""Makes ready what a pipeline opens: the base's files and tokenizer, and an adapter merged into it.

It takes seconds, in which no pipeline is touched: it has a thread of its own.
"""

import functools
import os
import shutil
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

from tunewise.models import loading
from tunewise.models.adapters import check_adapter
from tunewise.models.catalog import open_model
from tunewise.models.engines.prefixes import BLOCK
from tunewise.models.stored import adapter_hash
from tunewise.progress import Silent
from tunewise.serving.engine.backend import Backend, Base, Prepared
from tunewise.serving.protocol import Weights

MERGED_KEPT = 8
"""Merged models on disk, so that an adapter that was closed opens again at once."""


class Preparer:
    """Prepares weights one after another, beside whatever runs.

    Args:
        backend: what opens them.
        merged: folder that keeps merged files; what it holds from before is used again.
        kept: how many; each is as large as the base's.
    """

    def __init__(self, backend: Backend, merged: Path, *, kept: int = MERGED_KEPT) -> None:
        self._backend, self._merged, self._kept = backend, merged, kept
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
            return Prepared(base=base, file=base.file)
        check_adapter(weights.adapter, base.model)
        # The base is part of the name: an adapter that nobody signed fits several.
        name = f"{base.model.sha256[:16]}-{adapter_hash(weights.adapter)}{self._backend.suffix}"
        merged = self._merged / name
        if not merged.exists():
            self._backend.merge(base.model, weights.adapter, merged)
        now = time.time_ns()  # finer than the file system's own clock
        os.utime(merged, ns=(now, now))
        self._forget_oldest()
        return Prepared(base=base, file=merged)

    def _forget_oldest(self) -> None:
        """Deletes the merged files used longest ago; one that is open needs its file no more."""
        files = sorted(self._merged.glob("[!.]*"), key=lambda file: file.stat().st_mtime_ns)
        for file in files[: -self._kept]:
            if file.is_dir():
                shutil.rmtree(file)
            else:
                file.unlink()

    @functools.lru_cache(maxsize=8)  # noqa: B019 - the preparer lives as long as its process
    def _base(self, name: str) -> Base:
        model = open_model(name, progress=Silent())
        file = self._backend.base_file(name, model)
        tokenizer = loading.load_tokenizer(model.folder)
        return Base(
            model=model,
            file=file,
            tokenizer=tokenizer,
            ends=loading.end_token_ids(model.folder, tokenizer),
            block_bytes=BLOCK * loading.cache_bytes(model.folder),
        )
