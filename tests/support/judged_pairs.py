"""Pairs of answers whose better one is known, and judges of known accuracy and position bias."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from tunewise.evaluation.calibration import Said
from tunewise.evaluation.judge import Judge, judge_pairs
from tunewise.models.engines.protocol import Engine, Request
from tunewise.models.engines.scripted import ScriptedEngine
from tunewise.runs.held_out import HeldOut
from tunewise.runs.judged import Judgement
from tunewise.runs.pairs import Pair, Pairs

A_BETTER, TIE, B_BETTER = 1.0, 0.0, -1.0


@dataclass(frozen=True, kw_only=True)
class Kind:
    """A judge: on a share of pairs it names whatever stands first, on the others it is right so
    often, and else says one of the two wrong things."""

    accuracy: float
    bias: float = 0.0

    def draw(self, truths: np.ndarray, rng: np.random.Generator) -> "Verdicts":
        """What it says of pairs with these truths."""
        n = truths.size
        wrong = (truths + rng.integers(1, 3, n) + 1) % 3 - 1
        said = np.where(rng.random(n) < self.accuracy, truths, wrong)
        return Verdicts(said=said, biased=rng.random(n) < self.bias)


@dataclass(frozen=True, kw_only=True)
class Verdicts:
    """What a judge says of each pair."""

    said: np.ndarray
    biased: np.ndarray
    """Where it names the first place instead."""

    @property
    def values(self) -> np.ndarray:
        """What is left of it once flips are ties."""
        return np.where(self.biased, TIE, self.said)

    def engine(self) -> ScriptedEngine:
        """A model that says it, whichever order it is asked in."""
        return ScriptedEngine(self._say)

    def _say(self, request: Request) -> str:
        asked = request.messages[-1].content
        found = re.search(r"Answer A:\n(\w) (\d+)", asked)
        assert found is not None, asked
        n = int(found[2])
        if self.biased[n]:
            return "A"
        if self.said[n] == TIE:
            return "TIE"
        better = "a" if self.said[n] == A_BETTER else "b"
        return "A" if found[1] == better else "B"


def draw_truths(n: int, rng: np.random.Generator) -> np.ndarray:
    """a is better on half of the pairs, b on three of ten: the mean is 0.2."""
    return rng.choice([A_BETTER, TIE, B_BETTER], size=n, p=[0.5, 0.2, 0.3])


def questions(n: int, *, settled: int = 0, units: Sequence[str | None] | None = None) -> Pairs:
    """Pairs `a 0` and `b 0`, `a 1` and `b 1`, ..., and rows on which both say the same."""
    return Pairs(
        a="fine_tune",
        b="few_shot",
        instruction="Answer kindly.",
        open=tuple(
            Pair(
                row=HeldOut(id=f"r{k}", input=f"question {k}", target=f"good {k}"),
                a=f"a {k}",
                b=f"b {k}",
            )
            for k in range(n)
        ),
        settled={f"s{k}": 0.0 for k in range(settled)},
        units=units if units is not None else [None] * (n + settled),
    )


def judge_of(engine: Engine) -> Judge:
    return Judge(engine=engine, model="scripted", criteria={"tone": "kind", "help": "solves it"})


def said_of(pairs: Pairs, truths: np.ndarray, verdicts: Verdicts, rated: int, **more: int) -> Said:
    """A person who is right about the first pairs, and a judge that was asked about all."""
    judge = judge_of(verdicts.engine())
    found = judge_pairs(judge, pairs, pairs.open)
    judgements = [one for one in found if isinstance(one, Judgement)]
    assert len(judgements) == len(pairs.open)
    return Said(
        pairs=pairs,
        ratings={f"r{k}": float(truths[k]) for k in range(rated)},
        judgements={one.example_id: one for one in judgements},
        **more,
    )


Typed = Callable[[str], str]


def typing(*keys: str) -> Typed:
    """What a person types, key after key; then there is no more."""
    left = list(keys)

    def read(prompt: str) -> str:
        if not left:
            raise EOFError
        return left.pop(0)

    return read
