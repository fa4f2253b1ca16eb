"""The engine `transformers`: any model that transformers knows, on a GPU where there is one.

Answers run beside each other, each in a pass of its own: there are no batches.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

import torch
import transformers
import xgrammar

from tunewise.models import loading
from tunewise.models.adapters import merge_into_folder
from tunewise.models.catalog import LocalModel
from tunewise.models.engines.signals import keep_signals
from tunewise.serving.engine.backend import Base, Prepared
from tunewise.serving.engine.lane import Lane
from tunewise.serving.engine.pipeline import LEAST_LOGPROB, SEEDS, Generated, Ranked
from tunewise.serving.engine.wire import GREEDY, Choice

BATCH = 512
"""Tokens of a prompt that go through the model in one step at most."""


class TransformersBackend:
    """See `Backend`."""

    suffix = ""

    def base_file(self, name: str, model: LocalModel) -> Path:
        """See `Backend.base_file`: a folder, whatever the base was opened from."""
        return model.folder

    def merge(self, model: LocalModel, adapter: Path, out: Path) -> None:
        """See `Backend.merge`."""
        merge_into_folder(model, adapter, out)

    @keep_signals()
    def open(self, prepared: Prepared, blocks: int) -> Lane:
        """See `Backend.open`."""
        pipeline = TransformersPipeline(prepared.file, prepared.base)
        handle = pipeline.add([min(prepared.base.ends, default=0)], 1, GREEDY, 0)
        while not handle.read().tokens:
            pipeline.step()
        return Lane(pipeline, blocks, blocks_shared=False)


class TransformersPipeline:
    """See `Pipeline`.

    Args:
        folder: weights in the hub's layout.
        base: whose tokenizer and end tokens they have.
        device: None: CUDA where there is one, in bfloat16, else the CPU in full precision.
    """

    def __init__(self, folder: Path, base: Base, *, device: str | None = None) -> None:
        self._device = device or ("cuda" if torch.cuda.is_available() else "cpu")
        dtype = torch.bfloat16 if self._device.startswith("cuda") else torch.float32
        self._model: Any = cast("Any", loading.load_model(folder, dtype=dtype)).to(self._device)
        self._base = base
        self._running: list[PassedRequest] = []
        self._compiler: Any = None

    def add(self, prompt: Sequence[int], limit: int, choice: Choice, seed: int) -> "PassedRequest":
        """See `Pipeline.add`."""
        matcher = None if choice.grammar is None else self._matcher(choice.grammar)
        cache = cast("Any", transformers).DynamicCache(config=self._model.config)
        request = PassedRequest(prompt, limit, choice, seed, cache=cache, matcher=matcher)
        self._running.append(request)
        return request

    @torch.inference_mode()
    def step(self) -> None:
        """See `Pipeline.step`."""
        for request in list(self._running):
            if not request.cancelled:
                self._move(request)
            if request.cancelled or request.over(self._base.ends):
                self._running.remove(request)

    def _move(self, request: "PassedRequest") -> None:
        part, request.ahead = request.ahead[:BATCH], request.ahead[BATCH:]
        out = self._model(
            input_ids=torch.tensor([part], device=self._device),
            past_key_values=request.cache,
            use_cache=True,
            logits_to_keep=1,
        )
        if not request.ahead:
            request.choose(out.logits[0, -1].float().cpu())

    def _matcher(self, grammar: str) -> Any:
        xgr = cast("Any", xgrammar)
        if self._compiler is None:
            info = xgr.TokenizerInfo.from_huggingface(
                self._base.tokenizer,
                vocab_size=self._model.config.get_text_config().vocab_size,
                stop_token_ids=sorted(self._base.ends),
            )
            self._compiler = xgr.GrammarCompiler(info, max_threads=1)
        return xgr.GrammarMatcher(self._compiler.compile_grammar(xgr.Grammar.from_ebnf(grammar)))


class PassedRequest:
    """See `Handle`.

    Attributes:
        ahead: tokens that have to go through the model next.
        cancelled: whether nobody reads it any more.
        cache: its keys and values.
    """

    def __init__(
        self,
        prompt: Sequence[int],
        limit: int,
        choice: Choice,
        seed: int,
        *,
        cache: Any,
        matcher: Any = None,
    ) -> None:
        self.ahead = list(prompt)
        self.cancelled = False
        self.cache = cache
        self._limit, self._choice, self._matcher = limit, choice, matcher
        self._rng = torch.Generator().manual_seed(seed % SEEDS)
        self._made: list[int] = []
        self._read = 0
        self._logprobs: list[float] = []
        self._ranked: list[Ranked] = []

    def read(self) -> Generated:
        """See `Handle.read`."""
        new = slice(self._read, len(self._made))
        self._read = len(self._made)
        return Generated(
            tokens=self._made[new], logprobs=self._logprobs[new], ranked=self._ranked[new]
        )

    def ignored(self) -> bool:
        """See `Handle.ignored`."""
        return False

    def cancel(self) -> None:
        """See `Handle.cancel`."""
        self.cancelled = True

    def over(self, ends: frozenset[int]) -> bool:
        """Whether nothing follows."""
        return bool(self._made) and (self._made[-1] in ends or len(self._made) >= self._limit)

    def choose(self, logits: torch.Tensor) -> None:
        """Takes the next token.

        Args:
            logits: (vocabulary,), in float32 on the CPU.
        """
        told = logits.log_softmax(-1) if self._choice.logprobs else None
        token = self._token(logits)
        self._made.append(token)
        self.ahead = [token]
        self._logprobs.append(0.0 if told is None else max(LEAST_LOGPROB, float(told[token])))
        self._ranked.append(() if told is None else _ranked(told, self._choice.top_logprobs))

    def _token(self, logits: torch.Tensor) -> int:
        if self._matcher is not None:
            xgr = cast("Any", xgrammar)
            allowed = xgr.allocate_token_bitmask(1, len(logits))
            self._matcher.fill_next_token_bitmask(allowed)
            xgr.apply_token_bitmask_inplace(logits, allowed[0])
        token = int(logits.argmax()) if self._choice.temperature == 0 else self._drawn(logits)
        if self._matcher is not None:
            self._matcher.accept_token(token)
        return token

    def _drawn(self, logits: torch.Tensor) -> int:
        """One of the most probable tokens that make up `top_p` together (Holtzman et al. 2020,
        arXiv:1904.09751)."""
        found = (logits / self._choice.temperature).softmax(-1).sort(descending=True)
        before = found.values.cumsum(-1) - found.values
        kept = torch.where(before < self._choice.top_p, found.values, 0.0)
        return int(found.indices[torch.multinomial(kept, 1, generator=self._rng)])


def _ranked(told: torch.Tensor, most: int) -> Ranked:
    found = cast("Any", told.topk(most))
    values = cast("list[float]", found.values.tolist())
    indices = cast("list[int]", found.indices.tolist())
    return tuple(
        (token, max(LEAST_LOGPROB, value)) for token, value in zip(indices, values, strict=True)
    )
