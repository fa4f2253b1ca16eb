"""The instruction alone, in the person's own words. Nothing is chosen."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from tunewise.chat.prompts import Prompt, instructed
from tunewise.contenders.answering import (
    FittedPrompt,
    PromptStrategy,
    answer_limit,
    spent,
    texts,
)
from tunewise.metrics.by_name import Metric
from tunewise.models.engines.protocol import Engine
from tunewise.progress import Progress
from tunewise.types import Example, Fit, Input


@dataclass(frozen=True, kw_only=True)
class ZeroShot:
    """Asks with the instruction as the system turn."""

    engine: Engine
    metric: Metric
    instruction: str
    progress: Progress
    name: str = "zero_shot"

    def fit(self, train: Sequence[Example], dev: Sequence[Example]) -> FittedPrompt:
        """Only looks how long answers are, and answers dev."""
        began = time.perf_counter()

        def prompts(inputs: Sequence[Input]) -> list[Prompt]:
            return [
                Prompt(messages=instructed(self.instruction, item), tools=item.tools)
                for item in inputs
            ]

        strategy = PromptStrategy(prompts=prompts, max_tokens=answer_limit(self.engine, train))
        with self.progress.task(f"{self.name}: dev", total=len(dev)) as advance:
            inputs = [example.input for example in dev]
            answers = strategy.ask(self.engine, self.name, inputs, seed=0, advance=advance)
        return FittedPrompt(
            engine=self.engine,
            strategy=strategy,
            fit=Fit(
                contender=self.name,
                settings={"instruction": self.instruction},
                seconds=time.perf_counter() - began,
                tokens=spent(answers),
                dev_answers={0: texts(answers)},
            ),
        )
