"""The instruction alone, in the person's own words. Nothing is chosen."""

import time
from collections.abc import Sequence
from dataclasses import dataclass

from tunewise.chat.prompts import Prompt, instructed
from tunewise.contenders.answering import FittedPrompt, PromptStrategy, answer_limit
from tunewise.contenders.race import Race
from tunewise.contenders.search import Candidate, search_and_fit
from tunewise.models.engines.protocol import Engine
from tunewise.progress import Progress
from tunewise.types import Example, Input


def with_instruction(instruction: str, max_tokens: int) -> PromptStrategy:
    """Asks with an instruction as the system turn."""

    def prompts(inputs: Sequence[Input]) -> list[Prompt]:
        return [Prompt(messages=instructed(instruction, item), tools=item.tools) for item in inputs]

    return PromptStrategy(prompts=prompts, max_tokens=max_tokens)


@dataclass(frozen=True, kw_only=True)
class ZeroShot:
    """Asks with the instruction as the system turn."""

    engine: Engine
    instruction: str
    budget_tokens: int
    progress: Progress
    name: str = "zero_shot"

    def fit(self, train: Sequence[Example], race: Race) -> FittedPrompt:
        """Only looks how long answers are, and answers dev."""
        began = time.perf_counter()
        strategy = with_instruction(self.instruction, answer_limit(self.engine, train))
        return search_and_fit(
            self,
            [Candidate(value=self.instruction, settings={"instruction": self.instruction})],
            lambda _: strategy,
            race,
            what="instruction",
            settings=lambda one: one.settings,
            began=began,
        )
