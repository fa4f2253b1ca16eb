"""Fits a contender that asks a model by searching among its settings on dev.

What prompt, few-shot and retrieval have in common: only their candidates and prompts differ.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from tunewise.contenders.answering import FittedPrompt, PromptStrategy
from tunewise.contenders.search import Candidate, choose, rounds
from tunewise.metrics.by_name import Metric
from tunewise.models.engines.protocol import Engine
from tunewise.progress import Progress
from tunewise.types import Example, Fit, JsonValue

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True)
class Tuning:
    """The budget and the means of one search.

    Args:
        name: of the contender.
        began: when its fit began, on the clock of `time.perf_counter`, seconds.
    """

    name: str
    engine: Engine
    metric: Metric
    budget_tokens: int
    progress: Progress
    began: float

    def fit(
        self,
        candidates: Sequence[Candidate[T]],
        strategy: Callable[[T], PromptStrategy],
        dev: Sequence[Example],
        *,
        what: str,
        settings: Callable[[Candidate[T]], Mapping[str, JsonValue]],
    ) -> FittedPrompt:
        """The contender with its best candidate, chosen by successive halving.

        Args:
            candidates: in order of preference, at least one.
            asking: how a candidate asks.
            dev: at least one example.
            what: what the candidates are, for the progress: `wordings`.
            settings: the winner's settings as the report shows them.
        """
        total = rounds(len(candidates), len(dev))
        label = f"{self.name}: {len(candidates)} {what}"
        with self.progress.task(label, total=total) as advance:
            choice = choose(
                candidates,
                lambda value, some: strategy(value).ask(
                    self.engine, self.name, [example.input for example in some], seed=0
                ),
                dev,
                metric=self.metric,
                budget_tokens=self.budget_tokens,
                advance=advance,
            )
        chosen = dict(settings(choice.candidate))
        if choice.exhausted:
            chosen["stopped"] = "by the budget"
        return FittedPrompt(
            engine=self.engine,
            strategy=strategy(choice.candidate.value),
            fit=Fit(
                contender=self.name,
                settings=chosen,
                seconds=time.perf_counter() - self.began,
                tokens=choice.tokens,
                dev_scores={0: choice.dev_scores},
                trials=choice.trials,
            ),
        )
