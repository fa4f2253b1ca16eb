"""The engine `openvino`: GGUF files of the families that OpenVINO GenAI's reader knows."""

from pathlib import Path

from tunewise.errors import UserError
from tunewise.models.adapters import merge_into_gguf
from tunewise.models.catalog import LocalModel
from tunewise.models.engines.openvino_pipeline import BATCH, Vocabulary
from tunewise.models.engines.prefixes import BLOCK
from tunewise.models.engines.signals import keep_signals
from tunewise.serving.engine.backend import Prepared
from tunewise.serving.engine.lane import Lane
from tunewise.serving.engine.resident import resident
from tunewise.serving.engine.steps import SteppedPipeline
from tunewise.serving.engine.wire import GREEDY


class OpenVinoBackend:
    """See `Backend`."""

    suffix = ".gguf"

    def __init__(self) -> None:
        self._vocabularies: dict[Path, Vocabulary] = {}

    def base_file(self, name: str, model: LocalModel) -> Path:
        """See `Backend.base_file`."""
        if model.gguf is None:
            raise UserError(
                f"The engine openvino cannot serve {name}: {model.no_gguf}. Start the server with "
                "--engine llamacpp or --engine transformers, or choose another base."
            )
        return model.gguf

    def merge(self, model: LocalModel, adapter: Path, out: Path) -> None:
        """See `Backend.merge`."""
        merge_into_gguf(model, adapter, out)

    @keep_signals()
    def open(self, prepared: Prepared, blocks: int) -> Lane:
        """See `Backend.open`. It is asked with as many tokens as a step takes at most."""
        base = prepared.base
        if base.file not in self._vocabularies:
            # That of the base is its adapters' too: to read it takes as long as to open a pipeline.
            self._vocabularies[base.file] = Vocabulary(base.file, base.ends)
        with resident():
            pipeline = SteppedPipeline(prepared.file, self._vocabularies[base.file], blocks)
            longest = min(BATCH, base.model.context_tokens, blocks * BLOCK) - 1
            handle = pipeline.add([min(base.ends, default=0)] * longest, 1, GREEDY, 0)
            while not handle.read().tokens:
                pipeline.step()
        return Lane(pipeline, blocks)
