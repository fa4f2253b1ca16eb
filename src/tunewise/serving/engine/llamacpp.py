"""The engine `llamacpp`: GGUF files of any family that llama.cpp knows."""

import os
import tempfile
from pathlib import Path

from filelock import FileLock

from tunewise.errors import UserError
from tunewise.models.adapters import merge_into_folder, merge_into_gguf
from tunewise.models.catalog import LocalModel
from tunewise.models.engines.signals import keep_signals
from tunewise.models.gguf import convert_to_gguf
from tunewise.models.sources import locate
from tunewise.serving.engine.backend import Prepared
from tunewise.serving.engine.lane import Lane
from tunewise.serving.engine.llamacpp_server import PARALLEL, LlamaPipeline
from tunewise.serving.engine.wire import GREEDY

CONVERTED = "llamacpp-q8_0.gguf"
"""Beside a prepared model of which OpenVINO reads no GGUF file."""


class LlamaCppBackend:
    """See `Backend`."""

    suffix = ".gguf"

    def base_file(self, name: str, model: LocalModel) -> Path:
        """See `Backend.base_file`. A GGUF file is opened as it is, whatever its precision."""
        source = locate(name)
        if source.is_file():
            return source
        if model.gguf is not None:
            return model.gguf
        out = model.folder / CONVERTED
        with FileLock(model.folder.with_name(f"{model.folder.name}.lock")):
            if not out.is_file():
                _convert(model.folder, out, name)
        return out

    def merge(self, model: LocalModel, adapter: Path, out: Path) -> None:
        """See `Backend.merge`."""
        if model.gguf is not None:
            merge_into_gguf(model, adapter, out)
            return
        with tempfile.TemporaryDirectory(dir=out.parent, prefix=".merged-") as folder:
            merged = Path(folder) / "model"
            merge_into_folder(model, adapter, merged)
            _convert(merged, out, f"{model.name} with {adapter}")

    @keep_signals()
    def open(self, prepared: Prepared, blocks: int) -> Lane:
        """See `Backend.open`."""
        base = prepared.base
        pipeline = LlamaPipeline(prepared.file, base.tokenizer, blocks)
        handle = pipeline.add([min(base.ends, default=0)], 1, GREEDY, 0)
        while True:
            pipeline.step()
            said = handle.read()
            if said.fault:
                raise UserError(f"{prepared.file}: llama.cpp cannot run it: {said.fault}")
            if said.over:
                return Lane(pipeline, blocks, most=PARALLEL, blocks_shared=False)


def _convert(folder: Path, out: Path, name: str) -> None:
    beside = out.with_name(f".{out.name}-{os.getpid()}")
    try:
        fault = convert_to_gguf(folder, beside)
        if fault:
            raise UserError(
                f"The engine llamacpp cannot serve {name}: {fault}. Start the server with "
                "--engine transformers, or choose another model."
            )
        beside.rename(out)
    finally:
        beside.unlink(missing_ok=True)
