"""One model opened by OpenVINO GenAI, moved on step by step: requests join and leave at any time.

OpenVINO's classes carry no types, so they stay in here. One thread calls all of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import openvino
import openvino_genai

from tunewise.models.engines.openvino_pipeline import Vocabulary, open_pipe
from tunewise.serving.engine.wire import Choice

_LEAST = -9999.0
"""A log-probability; JSON knows no infinite ones."""
_SEEDS = 2**32
"""OpenVINO's generator takes seeds below it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Generated:
    """What a step gave for one request."""

    tokens: Sequence[int]
    logprobs: Sequence[float]


class Handle:
    """A request within a pipeline."""

    def __init__(self, handle: Any) -> None:
        self._handle = handle

    def read(self) -> Generated:
        """What was generated since it was read last. Not after `cancel`."""
        tokens: list[int] = []
        logprobs: list[float] = []
        while self._handle.can_read():
            for part in self._handle.read().values():
                tokens += part.generated_ids
                logprobs += [max(_LEAST, one) for one in part.generated_log_probs]
        return Generated(tokens=tokens, logprobs=logprobs)

    def ignored(self) -> bool:
        """Whether OpenVINO will not answer it: it finds no room."""
        statuses = cast("Any", openvino_genai).GenerationStatus
        return bool(self._handle.get_status() == statuses.IGNORED)

    def cancel(self) -> None:
        """Its room is free after the next step."""
        self._handle.cancel()


class SteppedPipeline:
    """An open model with its prefix cache.

    Args:
        weights: a GGUF file.
        vocabulary: of the file, or of another with the same tokens.
        cache_blocks: how many blocks of keys and values it may hold.
    """

    def __init__(self, weights: Path, vocabulary: Vocabulary, cache_blocks: int) -> None:
        self._pipe = open_pipe(weights, vocabulary, cache_blocks)
        self._ends = vocabulary.ends
        self._added = 0

    def add(self, prompt: Sequence[int], limit: int, choice: Choice, seed: int) -> Handle:
        """Takes a request in; the next step works on it.

        Nothing is checked here, and what is wrong with it fails every request in `step`.

        Args:
            prompt: token ids.
            limit: tokens of the answer at most; with the prompt, within context and cache.
            choice: how tokens are chosen.
            seed: of this one answer.
        """
        self._added += 1  # OpenVINO takes the same number twice, and mixes the two up.
        ids = openvino.Tensor(np.array([prompt], dtype=np.int64))
        return Handle(self._pipe.add_request(self._added, ids, self._config(limit, choice, seed)))

    def step(self) -> None:
        """Moves every request on by a token, or by a part of its prompt.

        Raises:
            Exception: of OpenVINO; the pipeline is of no use any more.
        """
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
            config.rng_seed = seed % _SEEDS
        if choice.grammar is not None:
            config.structured_output_config = genai.StructuredOutputConfig(grammar=choice.grammar)
        return config
