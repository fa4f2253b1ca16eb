"""Better wordings of an instruction, proposed by an optimiser model: GEPA.

GEPA (Agrawal et al. 2025, arXiv:2507.19457) shows the optimiser what a model answered to a few rows
and what was wanted, has it write another instruction, and keeps those that do better on other rows.
All rows are train's: dev, on which the wordings race afterwards, stays unseen.
"""

import importlib
import importlib.util
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, cast

import numpy as np

from tunewise.contenders.answering import PromptStrategy, ask_together, spent
from tunewise.errors import UserError
from tunewise.models.engines.protocol import Engine, Request, Sampling
from tunewise.progress import Progress
from tunewise.text.answer_text import split_thoughts
from tunewise.types import Answer, Example, Failure, Message, Usage

BUDGET_SHARE = 0.5
"""Part of the tokens that `prompt` may spend on fitting which the optimiser's search may take, its
own tokens among them; the race on dev has the rest."""
MAX_ROUNDS = 40
"""Instructions that the optimiser is asked for at most."""
MIN_ROWS, MAX_JUDGED, MAX_SHOWN = 8, 24, 60
"""Rows of train that it takes at least; that judge an instruction; that may be shown."""
MAX_WORDINGS = 3
"""Instructions that go on to the race on dev."""
MINIBATCH = 3
"""Rows that the optimiser is shown in a round."""
MOST_ANSWERS = MAX_JUDGED + MAX_ROUNDS * (2 * MINIBATCH + MAX_JUDGED)
"""Answers of the model whose instruction is reworded, at most."""
REPLY_TOKENS = 1024
"""Of the optimiser's answer at most, beside its thoughts."""
_PART = "instruction"
"""What GEPA calls the text that it improves."""


@dataclass(frozen=True, kw_only=True)
class Proposals:
    """What came of it."""

    texts: tuple[str, ...]
    """Instructions that do better than the person's own on rows of train, the best first."""
    tokens: Mapping[str, int]
    """Spent by both models, as `Fit.tokens` counts them."""
    total: int
    """Prompt and completion tokens of both."""
    fault: str = ""
    """Why the optimiser stopped before its time, if a request to it failed."""


def check_optimiser() -> None:
    """Whether the library is there, before anything runs.

    Raises:
        UserError: it is not installed.
    """
    if importlib.util.find_spec("gepa") is None:
        raise UserError("GEPA is not installed. Run `pip install 'tunewise[openai]'`.")


def propose(
    *,
    optimiser: Engine,
    engine: Engine,
    contender: str,
    instruction: str,
    strategy: Callable[[str], PromptStrategy],
    train: Sequence[Example],
    score: Callable[[Example, Answer], float],
    budget_tokens: int,
    seed: int,
    progress: Progress,
) -> Proposals:
    """Has the optimiser reword an instruction.

    Args:
        optimiser: the model that writes instructions; it is shown rows of train with answers.
        engine: the model that follows them.
        contender: whose search it is.
        instruction: the person's own.
        strategy: how an instruction asks.
        train: fewer than `MIN_ROWS`: nothing is proposed.
        score: of an answer to an example, 0 to 1.
        budget_tokens: of both models together; what might exceed it is not asked.
        seed: of the choice of rows.
        progress: shows how much of the budget is used.
    """
    places: list[int] = np.random.default_rng(seed).permutation(len(train)).tolist()
    rows = [train[place] for place in places]
    judged = rows[: min(MAX_JUDGED, len(rows) // 2)]
    shown = rows[len(judged) : len(judged) + MAX_SHOWN]
    if len(rows) < MIN_ROWS:
        return Proposals(texts=(), tokens=spent(()), total=0)
    with progress.task(f"{contender}: an optimiser rewords", total=budget_tokens) as advance:
        work = _Work(
            optimiser=optimiser,
            engine=engine,
            contender=contender,
            strategy=strategy,
            score=score,
            budget_tokens=budget_tokens,
            advance=advance,
        )
        gepa = cast("Any", importlib.import_module("gepa"))
        found = gepa.optimize(
            seed_candidate={_PART: instruction},
            trainset=shown,
            valset=judged,
            adapter=work,
            reflection_lm=work.reply,
            reflection_minibatch_size=MINIBATCH,
            stop_callbacks=work.is_over,
            logger=_Silent(),
            seed=seed,
            display_progress_bar=False,
        )
        advance(max(0, budget_tokens - work.total))
    scored = zip(found.candidates, found.val_aggregate_scores, strict=True)
    (_, bar), *others = [(str(one[_PART]), float(value)) for one, value in scored]
    better = sorted((one for one in others if one[1] > bar and one[0]), key=lambda one: -one[1])
    texts = tuple(dict.fromkeys(text for text, _ in better if text != instruction))
    return Proposals(
        texts=texts[:MAX_WORDINGS], tokens=work.tokens, total=work.total, fault=work.fault
    )


class _Silent:
    """GEPA's log, which nobody reads."""

    def log(self, message: str) -> None:
        """Drops it."""


@dataclass(kw_only=True)
class _Work:
    """What GEPA asks of both models: its adapter, by its own names.

    What would exceed the budget is not asked: it counts as wrong, and the search is over.
    """

    optimiser: Engine
    engine: Engine
    contender: str
    strategy: Callable[[str], PromptStrategy]
    score: Callable[[Example, Answer], float]
    budget_tokens: int
    advance: Callable[[int], object]
    fault: str = ""
    over: bool = False
    rounds: int = 0
    propose_new_texts: None = None
    """GEPA asks `reply` in its own words."""
    _known: dict[tuple[str, str], Answer] = field(default_factory=dict[tuple[str, str], Answer])
    """(instruction, example id) -> what was answered."""
    _replies: list[Usage] = field(default_factory=list[Usage])

    @property
    def total(self) -> int:
        """Tokens of both models so far."""
        return sum(one.usage.total for one in self._known.values()) + sum(
            one.total for one in self._replies
        )

    @property
    def tokens(self) -> dict[str, int]:
        """The same by kind."""
        found = spent(list(self._known.values()))
        for usage in self._replies:
            found["prefilled"] += usage.prompt_tokens - usage.cached_tokens
            found["generated"] += usage.completion_tokens
        return found

    def is_over(self, state: object) -> bool:
        """GEPA's stopper, asked before each round."""
        self.rounds += 1
        return self.over or self.rounds > MAX_ROUNDS

    def evaluate(
        self, batch: list[Example], candidate: Mapping[str, str], capture_traces: bool = False
    ) -> Any:
        """GEPA's: how good an instruction is on some rows; the traces are what is shown of it."""
        text = candidate[_PART]
        self._ask(text, [one for one in batch if (text, one.id) not in self._known])
        answers = [self._known.get((text, one.id)) for one in batch]
        scores = [
            0.0 if answer is None else self.score(one, answer)
            for one, answer in zip(batch, answers, strict=True)
        ]
        traces = [
            self._told(one, answer, value)
            for one, answer, value in zip(batch, answers, scores, strict=True)
        ]
        kind = cast("Any", importlib.import_module("gepa")).EvaluationBatch
        return kind(outputs=answers, scores=scores, trajectories=traces if capture_traces else None)

    def make_reflective_dataset(
        self, candidate: Mapping[str, str], eval_batch: Any, components_to_update: Sequence[str]
    ) -> dict[str, list[dict[str, str]]]:
        """GEPA's: what the optimiser is shown."""
        return {part: list(eval_batch.trajectories) for part in components_to_update}

    def reply(self, prompt: str | Sequence[Mapping[str, Any]]) -> str:
        """The optimiser's answer; the same text as before, where it may not be asked."""
        asked = prompt if isinstance(prompt, str) else str(prompt[-1]["content"])
        messages = (Message(role="user", content=asked),)
        most = REPLY_TOKENS + self.optimiser.thinking_tokens
        if not self._affordable(self.optimiser.count_tokens(messages) + most):
            return ""
        before = self.total
        sampling = Sampling(max_tokens=most, temperature=1.0, seed=len(self._replies))
        (found,) = self.optimiser.generate([Request(messages=messages, sampling=sampling)])
        if isinstance(found, Failure):
            self.fault, self.over = found.message, True
            return ""
        self._replies.append(found.usage)
        self.advance(self.total - before)
        return split_thoughts(found.text).answer or ""

    def _ask(self, text: str, rows: Sequence[Example]) -> None:
        """Has rows answered that were not yet, as far as they can be paid."""
        way = self.strategy(text)
        inputs = [one.input for one in rows]
        most = sum(
            self.engine.count_tokens(prompt.messages) + way.max_tokens
            for prompt in way.prompts(inputs)
        )
        if not rows or not self._affordable(most):
            return
        before = self.total
        (answers,) = ask_together(self.engine, self.contender, [(way, inputs)])
        self._known |= {(text, one.example_id): one for one in answers}
        self.advance(self.total - before)

    def _affordable(self, tokens: int) -> bool:
        self.over = self.over or self.total + tokens > self.budget_tokens
        return not self.over

    def _told(self, example: Example, answer: Answer | None, value: float) -> dict[str, str]:
        said = "" if answer is None or answer.text is None else answer.text
        right = value >= 1.0
        feedback = "Right." if right else f"The answer wanted is:\n{example.target}"
        return {"Input": example.input.text, "Answer": said, "Feedback": feedback}
