"""Asks a model which of two answers is better, in both orders.

A judge that prefers what stands first names the same place twice: that is a flip, and counts as a
tie. What its verdicts are worth is not known here.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tunewise.models.engines.protocol import Engine, Request, Sampling
from tunewise.runs.judged import Choice, Judgement
from tunewise.runs.made_from import text_hash
from tunewise.runs.pairs import NOTHING, Pair, Pairs
from tunewise.text.answer_text import split_thoughts
from tunewise.types import Failure, Generation, Message

GROUP = 16
"""Pairs asked at once; what was said of them is written down before the next are asked."""
ANSWER_TOKENS = 12
"""One word is wanted; beside thoughts, where the model thinks."""
_WORD = re.compile(r"\W*(?:answer\W+)?(?P<said>a|b|tie)\W*", re.IGNORECASE)
_SENTENCE = re.compile(r"\W*(?:Answer\W+)?(?P<said>A|B)\W*\s+is\b")
_CHOICES: Mapping[str, Choice] = {"a": "first", "b": "second", "tie": "tie"}


@dataclass(frozen=True, kw_only=True)
class Judge:
    """A model that compares answers."""

    engine: Engine
    model: str
    """Its name, and what else tells it from others: an address, a hash of its weights."""
    criteria: Mapping[str, str]
    """Name -> what it means; at least one."""
    instruction: str = ""
    """What the contenders were told."""

    @property
    def told(self) -> str:
        """The system turn: the criteria, and the form of the answer."""
        named = "\n".join(f"- {name}: {meaning}" for name, meaning in self.criteria.items())
        task = f" The task was: {self.instruction}\n" if self.instruction else ""
        return (
            f"You compare two answers to the same request.{task}\n"
            "Judge by these criteria and by nothing else, neither by length nor by which "
            f"answer stands first:\n{named}\n\n"
            "Say one word: A if answer A is better, B if answer B is better, TIE if neither is."
        )

    @property
    def id(self) -> str:
        """What tells this judge from another one: the model, what it is told, its thoughts."""
        made_of = [self.model, self.told, self.engine.thinking_tokens]
        return text_hash(json.dumps(made_of, ensure_ascii=False))

    def request(self, pair: Pair, first: str, second: str) -> Request:
        """One comparison, with these answers in this order."""
        parts = {
            "Request": pair.row.input,
            "From the documents": "\n\n".join(pair.passages),
            "A good answer to it, as a guide": pair.row.target,
            "Answer A": first or NOTHING,
            "Answer B": second or NOTHING,
        }
        shown = [f"{title}:\n{text}" for title, text in parts.items() if text]
        asked = "\n\n".join([*shown, "Which is better: A, B or TIE?"])
        limit = ANSWER_TOKENS + self.engine.thinking_tokens
        return Request(
            messages=(
                Message(role="system", content=self.told),
                Message(role="user", content=asked),
            ),
            sampling=Sampling(max_tokens=limit),
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Missed:
    """A pair that could not be judged."""

    example_id: str
    why: str


def judge_pairs(judge: Judge, pairs: Pairs, group: Sequence[Pair]) -> list[Judgement | Missed]:
    """Asks about some pairs as one batch, each in both orders, at temperature 0.

    Args:
        judge: asked.
        pairs: what the pairs belong to.
        group: those to judge.

    Returns:
        What was said of each, in order.
    """
    requests = [
        request
        for pair in group
        for request in (judge.request(pair, pair.a, pair.b), judge.request(pair, pair.b, pair.a))
    ]
    answers = judge.engine.generate(requests)
    return [
        _judged(judge.id, pairs, pair, answers[2 * n], answers[2 * n + 1])
        for n, pair in enumerate(group)
    ]


def _judged(
    judge: str, pairs: Pairs, pair: Pair, one: Generation | Failure, other: Generation | Failure
) -> Judgement | Missed:
    if isinstance(one, Failure):
        return Missed(example_id=pair.row.id, why=one.message)
    if isinstance(other, Failure):
        return Missed(example_id=pair.row.id, why=other.message)
    return Judgement(
        example_id=pair.row.id,
        judge=judge,
        a=pairs.a,
        b=pairs.b,
        a_first=read_choice(one.text),
        b_first=read_choice(other.text),
        said=(one.text, other.text),
    )


def read_choice(text: str) -> Choice | None:
    """What a judge's answer names: `A`, `Answer B.`, `**TIE**`, `A is better`; None: neither."""
    answer = split_thoughts(text).answer
    lines = (answer or "").strip().splitlines()
    if not lines:
        return None
    found = _WORD.fullmatch(lines[0]) or _SENTENCE.match(lines[0])
    return None if found is None else _CHOICES[found["said"].lower()]
