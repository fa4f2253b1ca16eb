"""How likely a base and what was trained from it find answers, on this machine's processor or GPU.

The two share one model in memory: the base is the trained one with its adapter switched off. A
model of which every weight was trained stands beside its base.
"""

import gc
from collections.abc import Callable, Generator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Self

import numpy as np
import torch
from torch.nn.functional import kl_div, log_softmax

from tunewise.chat.tokenize import ChatTokenizer, Span, TokenisedExample, prompt_tokens
from tunewise.evaluation.suite.questions import Question
from tunewise.models.adapters import attach_adapter, check_adapter
from tunewise.models.catalog import LocalModel
from tunewise.models.loading import load_model, load_tokenizer
from tunewise.models.stored import is_whole_model
from tunewise.statistics.intervals import FloatArray
from tunewise.training.attention import try_packing
from tunewise.training.distributed import default_device
from tunewise.training.hardware import give_back_memory, keep_freed_memory
from tunewise.training.objectives import answer_logits
from tunewise.training.packing import micro_batches
from tunewise.training.reference import row_log_probabilities
from tunewise.training.rows import Row
from tunewise.training.threads import Threads
from tunewise.types import Message

Which = Literal["base", "trained"]

MICRO_TOKENS = 2048
"""Tokens that go through the model at once."""
DRIFT_TOKENS = 512
"""The same where all probabilities of the vocabulary are compared."""
AT_ONCE = 64
"""Questions between two reports of progress."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Written:
    """A text that the base wrote."""

    asked: str
    """To what it was an answer."""
    text: str


class LikelihoodPair:
    """A base and what was trained from it, loaded to be asked for likelihoods; close it at the end.

    Args:
        base: the base model.
        adapter: what was trained from it: an adapter, or a whole model.
        device: torch device; None: the GPU when there is one.

    Raises:
        UserError: the adapter does not belong to the base.
    """

    def __init__(self, base: LocalModel, adapter: Path, *, device: str | None = None) -> None:
        check_adapter(adapter, base)
        keep_freed_memory()
        self._device = device or default_device()
        self._context_tokens = base.context_tokens
        self._tokenizer: ChatTokenizer = load_tokenizer(base.folder)
        self._threads = Threads()
        model: Any = load_model(base.folder, dtype=self._dtype)
        whole: Any = load_model(adapter, dtype=self._dtype) if is_whole_model(adapter) else None
        adapted = whole or attach_adapter(model, adapter, base, name="default")
        self._models: dict[Which, Any] = {
            "base": (model if whole else adapted).to(self._device).eval(),
            "trained": adapted.to(self._device).eval(),
        }
        self._switched = whole is None
        if self._device == "cpu":
            self._threads.follow(self._models["trained"])
        self._packs: dict[Which, bool] = {
            which: try_packing(model) for which, model in self._models.items()
        }

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Frees the memory."""
        self._models.clear()
        gc.collect()
        give_back_memory()

    @property
    def identity(self) -> str:
        """What decides the numbers, beside the weights and the question."""
        return f"{self._device.partition(':')[0]} {self._dtype}"

    def fits(self, question: Question) -> bool:
        """Whether a question goes into the model's context with each of its choices."""
        longest = max(len(one.token_ids) for one in self._row(question).sequences)
        return longest <= self._context_tokens

    def choice_log_probabilities(
        self,
        which: Which,
        questions: Sequence[Question],
        *,
        advance: Callable[[int], object] = int,
    ) -> list[tuple[float, ...]]:
        """(questions, choices of each) log-probability of each choice as the answer, nats.

        Args:
            which: of the two models.
            questions: each has to fit the context.
            advance: told of every few questions that are done.
        """
        found: list[tuple[float, ...]] = []
        for start in range(0, len(questions), AT_ONCE):
            some = questions[start : start + AT_ONCE]
            with self._threads, self._chosen(which) as model:
                found += row_log_probabilities(
                    model,
                    [self._row(question) for question in some],
                    micro_tokens=MICRO_TOKENS,
                    share=self._packs[which],
                    autocast=nullcontext,
                )
            advance(len(some))
        return found

    def divergence(self, texts: Sequence[Written]) -> FloatArray:
        """(texts,) mean over a text's tokens of KL(base || trained), nats a token.

        Args:
            texts: what the base wrote; one without a token, or too long for the context, is left
                out.
        """
        rows = [row for n, text in enumerate(texts) if (row := self._written(n, text)) is not None]
        means: list[float] = []
        packs = all(self._packs.values())
        with torch.no_grad(), self._threads:
            for batch in micro_batches(rows, micro_tokens=DRIFT_TOKENS, share=packs):
                moved = batch.to(self._device)
                with self._chosen("base") as model:
                    base = log_softmax(answer_logits(model, moved).float(), dim=-1)
                with self._chosen("trained") as model:
                    trained = log_softmax(answer_logits(model, moved).float(), dim=-1)
                each = kl_div(trained, base, log_target=True, reduction="none").sum(-1)
                for n in range(batch.sequences):
                    means.append(float(each[moved.owners == n].mean()))
        return np.maximum(np.array(means, dtype=np.float64), 0.0)  # rounding may go below

    @property
    def _dtype(self) -> torch.dtype:
        return torch.bfloat16 if self._device.startswith("cuda") else torch.float32

    @contextmanager
    def _chosen(self, which: Which) -> Generator[Any]:
        model = self._models[which]
        off = which == "base" and self._switched
        with model.disable_adapter() if off else nullcontext():
            yield model

    def _row(self, question: Question) -> Row:
        """The question, then each of its choices as the answer, without the end of a turn."""
        prompt = self._prompt(question.text)
        sequences = tuple(
            TokenisedExample(
                token_ids=(*prompt, *said), answers=(Span(len(prompt), len(prompt) + len(said)),)
            )
            for choice in question.choices
            if (said := self._tokenizer.encode(choice, add_special_tokens=False))
        )
        return Row(id=question.id, sequences=sequences)

    def _written(self, number: int, written: Written) -> Row | None:
        prompt = self._prompt(written.asked)
        said = self._tokenizer.encode(written.text, add_special_tokens=False)
        ids = (*prompt, *said)
        if not said or len(ids) > self._context_tokens:
            return None
        one = TokenisedExample(token_ids=ids, answers=(Span(len(prompt), len(ids)),))
        return Row(id=str(number), sequences=(one,))

    def _prompt(self, text: str) -> tuple[int, ...]:
        return prompt_tokens(self._tokenizer, (Message(role="user", content=text),))


def right_share(log_probabilities: Sequence[float], answer: int) -> float:
    """The probability of the right choice, given that the model says one of the choices."""
    values = np.asarray(log_probabilities, dtype=np.float64)
    weights = np.exp(values - values.max())
    return float(weights[answer] / weights.sum())
