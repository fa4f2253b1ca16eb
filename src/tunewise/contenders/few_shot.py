"""Examples in the prompt: how many, and which, chosen on dev.

Fixed ones are the same for every input and as different from each other as possible; nearest ones
are looked up for each input (Liu et al. 2022, arXiv:2101.06804).
"""

import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from tunewise.chat.prompts import Prompt, example_turns, shown_examples
from tunewise.contenders.answering import FittedPrompt, PromptStrategy, answer_limit
from tunewise.contenders.protocol import NotApplicable
from tunewise.contenders.race import FIRST, Race
from tunewise.contenders.search import Candidate, Search, Trial, search_and_fit
from tunewise.models.engines.protocol import Engine
from tunewise.progress import Progress, Silent
from tunewise.retrieval.embed import MODEL, Embedder, unread_script
from tunewise.retrieval.index import ExampleIndex
from tunewise.types import Example, Input, JsonValue

COUNTS = (1, 2, 4, 8, 16)
"""Examples tried, as far as the context allows."""
START = 4
"""Examples that the search starts with."""
JUDGED = 0.5
"""Part of dev that settings are compared on."""
CONTEXT_SHARE = 0.75
"""Part of the context that examples may fill."""

WORDS = "BM25"
"""What finds nearest examples where no embedder does."""

Selection = Literal["fixed", "nearest"]
FIXED: Selection = "fixed"
_IN_WORDS: Mapping[Selection, str] = {"fixed": "fixed, diverse", "nearest": "nearest"}
"""As the settings of a fit name them."""


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
    instruction: str
    embedder: Embedder | None
    budget_tokens: int
    progress: Progress
    counts: Sequence[int] = COUNTS
    """How many examples are tried."""
    name: str = "few_shot"

    def fit(self, train: Sequence[Example], race: Race) -> FittedPrompt:
        """Chooses k and the way of selection on dev, from the middle.

        Raises:
            NotApplicable: not even one example fits the context.
        """
        began = time.perf_counter()
        embedder = readable(self.embedder, train, self.progress)
        index = ExampleIndex(train, embedder)
        limit = answer_limit(self.engine, train)
        candidates = self._candidates(train, limit, by=embedder.name if embedder else WORDS)
        return search_and_fit(
            self,
            candidates,
            lambda shots: with_examples(shots, index, self.instruction, limit),
            race,
            what="settings",
            settings=lambda best: best.settings,
            began=began,
            walk=lambda search: from_the_middle(search, candidates),
            most=most_asked(len(race.order)),
        )

    def strategies(self, train: Sequence[Example]) -> Callable[[Shots], PromptStrategy]:
        """Ways to ask with examples of train, by which of them are shown."""
        index = ExampleIndex(train, readable(self.embedder, train, Silent()))
        limit = answer_limit(self.engine, train)
        return lambda shots: with_examples(shots, index, self.instruction, limit)

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
                settings={"k": k, "selection": _IN_WORDS[way]}
                | ({"by": by} if way == "nearest" else {}),
            )
            for k in self.counts
            for way in ways
            if k < len(train) and k * long <= room
        ]
        if not found:
            raise NotApplicable("one example alone fills most of the model's context")
        return found


def readable(
    embedder: Embedder | None, train: Sequence[Example], progress: Progress
) -> Embedder | None:
    """The embedder; None where there is none, or it cannot read the inputs' script."""
    script = unread_script(embedder, [example.input.text for example in train])
    if script:
        progress.note(
            f"Nearest examples are found by words: most inputs are in {script} script, which "
            f"{MODEL} cannot read."
        )
    return None if script else embedder


class Searched(Protocol):
    """Examples that can be chosen among, as an `ExampleIndex` does."""

    def nearest_many(self, texts: Sequence[str], k: int) -> list[list[Example]]:
        """The k examples nearest to each text, best first."""
        ...

    def diverse(self, k: int) -> list[Example]:
        """A fixed set of k examples."""
        ...


def with_examples(
    shots: Shots, index: Searched, instruction: str, max_tokens: int
) -> PromptStrategy:
    """Asks with examples in the prompt.

    Args:
        shots: which.
        index: of train.
        instruction: the system turn.
        max_tokens: of an answer.
    """

    def found(inputs: Sequence[Input], k: int) -> list[list[Example]]:
        if shots.selection == "fixed":
            return [index.diverse(k)] * len(inputs)
        return index.nearest_many([item.text for item in inputs], k)

    def shown(inputs: Sequence[Input], examples: Sequence[Sequence[Example]]) -> list[Prompt]:
        return [
            Prompt(messages=shown_examples(instruction, some, item), tools=item.tools)
            for item, some in zip(inputs, examples, strict=True)
        ]

    def prompts(inputs: Sequence[Input]) -> list[Prompt]:
        return shown(inputs, found(inputs, shots.k))

    def of_train(inputs: Sequence[Input]) -> list[Prompt]:
        beside = [
            [one for one in some if one.id != item.id][: shots.k]
            for item, some in zip(inputs, found(inputs, shots.k + 1), strict=True)
        ]
        return shown(inputs, beside)

    return PromptStrategy(prompts=prompts, of_train=of_train, max_tokens=max_tokens)


def shots_of(settings: Mapping[str, JsonValue]) -> Shots:
    """The examples that the settings of a run's fit describe.

    Raises:
        ValueError: they describe none.
    """
    k = settings["k"]
    named = str(settings.get("selection"))
    ways: list[Selection] = [way for way, words in _IN_WORDS.items() if words == named]
    if not isinstance(k, int) or not ways:
        raise ValueError(f"{dict(settings)} are no examples")
    return Shots(k=k, selection=ways[0])


def most_asked(rows: int) -> int:
    """Answers that `from_the_middle` asks for at most, as a rule.

    Two ways at the start, two numbers beside the better one, one more in its direction, and the
    rest of dev for the winner.
    """
    judged = _judged(rows)
    return 5 * judged + rows - judged


def _judged(rows: int) -> int:
    return max(math.ceil(JUDGED * rows), min(FIRST, rows))


def from_the_middle(
    search: Search[Shots], candidates: Sequence[Candidate[Shots]]
) -> list[Trial[Shots]]:
    """The best of the settings, which answered every row; none where they are out.

    Both ways of selection are compared with `START` examples, the better one with twice and half as
    many, and so on in the direction that is better. Before all are given up, the longest prompt
    has its try.
    """
    rows = len(search.race.order)
    judged = _judged(rows)
    counts = sorted({candidate.value.k for candidate in candidates})
    start = max((k for k in counts if k <= START), default=counts[0])

    def entered(*wanted: Shots) -> list[Trial[Shots]]:
        return search.enter([c for one in wanted for c in candidates if c.value == one])

    def tried() -> set[Shots]:
        return {trial.candidate.value for trial in search.trials}

    def best(trials: Sequence[Trial[Shots]]) -> list[Trial[Shots]]:
        return search.best(search.run(trials, judged), 1)

    left = best(entered(*(Shots(k=start, selection=way) for way in ("fixed", "nearest"))))
    while left:
        (now,) = left
        place = counts.index(now.candidate.value.k)
        beside = [
            Shots(k=k, selection=now.candidate.value.selection)
            for k in counts[max(0, place - 1) : place + 2]
        ]
        untried = [one for one in beside if one not in tried()]
        if not untried:
            break
        if search.exhausted:
            search.early = True
            break
        trials = sorted([now, *entered(*untried)], key=lambda trial: trial.candidate.value.k)
        left = best(trials)
    longest = Shots(k=counts[-1], selection="nearest")
    if not left and longest not in tried():
        left = search.run(entered(longest), judged)
    return search.run(left, rows)
