"""One model opened by OpenVINO GenAI, moved on step by step: requests join and leave at any time.

OpenVINO's classes carry no types, so they stay in here. One thread calls all of it.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np
import openvino
import openvino_genai

from tunewise.models.engines.openvino_pipeline import Vocabulary, open_pipe
from tunewise.serving.engine.pipeline import LEAST_LOGPROB, SEEDS, Generated
from tunewise.serving.engine.wire import Choice


class SteppedRequest:
    """See `Handle`."""

    def __init__(self, handle: Any) -> None:
        self._handle = handle

    def read(self) -> Generated:
        """See `Handle.read`."""
        tokens: list[int] = []
        logprobs: list[float] = []
        while self._handle.can_read():
            for part in self._handle.read().values():
                tokens += part.generated_ids
                logprobs += [max(LEAST_LOGPROB, one) for one in part.generated_log_probs]
        return Generated(tokens=tokens, logprobs=logprobs)

    def ignored(self) -> bool:
        """See `Handle.ignored`."""
        statuses = cast("Any", openvino_genai).GenerationStatus
        return bool(self._handle.get_status() == statuses.IGNORED)

    def cancel(self) -> None:
        """See `Handle.cancel`."""
        self._handle.cancel()


class SteppedPipeline:
    """See `Pipeline`: an open model with its prefix cache.

    Args:
        weights: a GGUF file.
        vocabulary: of the file, or of another with the same tokens.
        cache_blocks: how many blocks of keys and values it may hold.
    """

    def __init__(self, weights: Path, vocabulary: Vocabulary, cache_blocks: int) -> None:
        self._pipe = open_pipe(weights, vocabulary, cache_blocks)
        self._ends = vocabulary.ends
        self._added = 0

    def add(self, prompt: Sequence[int], limit: int, choice: Choice, seed: int) -> SteppedRequest:
        """See `Pipeline.add`; the next step works on it.

        Nothing is checked here, and what is wrong with it fails every request in `step`.
        """
        self._added += 1  # OpenVINO takes the same number twice, and mixes the two up.
        ids = openvino.Tensor(np.array([prompt], dtype=np.int64))
        config = self._config(limit, choice, seed)
        return SteppedRequest(self._pipe.add_request(self._added, ids, config))

    def step(self) -> None:
        """See `Pipeline.step`."""
        self._pipe.step()

    def _config(self, limit: int, choice: Choice, seed: int) -> Any:
        genai = cast("Any", openvino_genai)
        config = genai.GenerationConfig()
        config.apply_chat_template = False
        config.max_new_tokens = limit
        config.stop_token_ids = self._ends
        config.logprobs = 1 if choice.logprobs else 0
        config.do_sample = choice.temperature > 0
        if config.do_sample:
            config.temperature = choice.temperature
            config.top_p = choice.top_p
            config.rng_seed = seed % SEEDS
        if choice.grammar is not None:
            config.structured_output_config = genai.StructuredOutputConfig(grammar=choice.grammar)
        return config
