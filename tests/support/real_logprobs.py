"""What a model itself says of the next token, to hold the log-probabilities of engines against."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from small_models import user
from tunewise.chat.tokenize import prompt_tokens
from tunewise.models import loading
from tunewise.serving.protocol import TokenLogprob


class Real:
    """A model in the hub's layout, asked token by token."""

    def __init__(self, folder: Path) -> None:
        self.model = loading.load_model(folder)
        self.tokenizer: Any = loading.load_tokenizer(folder)

    def prompt(self, text: str) -> list[int]:
        return list(prompt_tokens(self.tokenizer, user(text)))

    @torch.inference_mode()
    def logprobs(self, ids: list[int]) -> torch.Tensor:
        return self.model(torch.tensor([ids])).logits[0, -1].log_softmax(-1)

    def id_of(self, logprobs: torch.Tensor, told: TokenLogprob) -> int:
        """The token that is written so and is about so probable."""
        written = [n for n in range(len(logprobs)) if self.tokenizer.decode([n]) == told.text]
        return min(written, key=lambda n: abs(float(logprobs[n]) - told.logprob))


def agree(told: Sequence[TokenLogprob], real: Real, text: str, rounding: float) -> bool:
    """Whether every token of a greedy answer is as probable as the model says, and no other is more
    so; both to so many nats."""
    assert told
    ids = real.prompt(text)
    for one in told:
        logprobs = real.logprobs(ids)
        token = real.id_of(logprobs, one)
        found, best = float(logprobs[token]), float(logprobs.max())
        if abs(one.logprob - found) > rounding or best - found > rounding:
            return False
        ids.append(token)
    return True
