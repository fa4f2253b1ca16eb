"""Examples in the prompt: how many, and which, chosen on dev.

Fixed ones are the same for every input and as different from each other as possible; nearest ones
are looked up for each input (Liu et al. 2022, arXiv:2101.06804).
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from tunewise.chat.prompts import Prompt, example_turns, shown_examples
from tunewise.contenders.answering import FittedPrompt, PromptStrategy, answer_limit
from tunewise.contenders.protocol import NotApplicable
from tunewise.contenders.search import Candidate, search_and_fit
from tunewise.metrics.by_name import Metric
from tunewise.models.engines.protocol import Engine
from tunewise.progress import Progress
from tunewise.retrieval.embed import MODEL, Embedder, unread_script
from tunewise.retrieval.index import ExampleIndex
from tunewise.types import Example, Input

COUNTS = (1, 2, 4, 8, 16)
"""Examples tried, as far as the context allows."""
CONTEXT_SHARE = 0.75
"""Part of the context that examples may fill."""

Selection = Literal["fixed", "nearest"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Shots:
    """Which examples are shown."""

    k: int
    selection: Selection


@dataclass(frozen=True, kw_only=True)
class FewShot:
    """Shows k examples as turns of the conversation.

    Args:
        embedder: for nearest examples by meaning; None, or inputs in a script that it cannot read:
            by words (BM25).
    """

    engine: Engine
    metric: Metric
    instruction: str
    embedder: Embedder | None
    budget_tokens: int
    progress: Progress
    name: str = "few_shot"

    def fit(self, train: Sequence[Example], dev: Sequence[Example]) -> FittedPrompt:
        """Chooses k and the way of selection on dev by successive halving.

        Raises:
            NotApplicable: not even one example fits the context.
        """
        began = time.perf_counter()
        embedder = self.embedder
        if script := unread_script(embedder, [example.input.text for example in train]):
            embedder = None
            self.progress.note(
                f"Nearest examples are found by words: most inputs are in {script} script, which "
                f"{MODEL} cannot read."
            )
        index = ExampleIndex(train, embedder)
        limit = answer_limit(self.engine, train)
        candidates = self._candidates(train, limit, by=embedder.name if embedder else "BM25")

        def strategy(shots: Shots) -> PromptStrategy:
            def prompts(inputs: Sequence[Input]) -> list[Prompt]:
                if shots.selection == "fixed":
                    found = [index.diverse(shots.k)] * len(inputs)
                else:
                    found = index.nearest_many([item.text for item in inputs], shots.k)
                return [
                    Prompt(
                        messages=shown_examples(self.instruction, examples, item), tools=item.tools
                    )
                    for item, examples in zip(inputs, found, strict=True)
                ]

            return PromptStrategy(prompts=prompts, max_tokens=limit)

        return search_and_fit(
            self,
            candidates,
            strategy,
            dev,
            what="settings",
            settings=lambda best: best.settings,
            began=began,
        )

    def _candidates(
        self, train: Sequence[Example], limit: int, *, by: str
    ) -> list[Candidate[Shots]]:
        typical = sorted(self.engine.count_tokens(example_turns(example)) for example in train)
        long = typical[int(0.9 * (len(typical) - 1))]
        room = CONTEXT_SHARE * self.engine.context_tokens - limit
        ways: tuple[Selection, ...] = ("fixed", "nearest")
        found = [
            Candidate(
                value=Shots(k=k, selection=way),
                settings={"k": k, "selection": "fixed, diverse" if way == "fixed" else "nearest"}
                | ({"by": by} if way == "nearest" else {}),
            )
            for k in COUNTS
            for way in ways
            if k < len(train) and k * long <= room
        ]
        if not found:
            raise NotApplicable("one example alone fills most of the model's context")
        return found
