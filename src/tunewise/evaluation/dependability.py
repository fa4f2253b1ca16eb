"""Asks the same inputs again, typed otherwise and sampled, and counts how often the answer stays.

Run once test is open and everything is chosen: nothing is chosen by it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from tunewise.chat.prompts import reworded
from tunewise.contenders.answering import FittedPrompt
from tunewise.contenders.protocol import Fitted
from tunewise.metrics.metric import Metric
from tunewise.metrics.readings import Reading
from tunewise.runs.dependability import Counted, Dependability, Steadiness
from tunewise.statistics.intervals import FloatArray, Interval, clopper_pearson
from tunewise.statistics.paired import quality, rows_of, sample
from tunewise.text.retyped import in_other_case, with_slips
from tunewise.types import Answer, Example, Input

TEMPERATURE = 0.7
DRAWS = 3
"""Answers sampled to each input."""
ASKED = 2 + DRAWS
"""Requests an input."""

Retype = Callable[[str, np.random.Generator], str]


@dataclass(frozen=True, kw_only=True)
class AskedAgain:
    """One request among those of a contender, and what came of it."""

    example: Example
    way: str
    """`slips`, `case` or `sampled`."""
    asked: str
    """The last turn of the person's, as it was asked."""
    answer: Answer
    kept: bool
    broken: bool


@dataclass(frozen=True, kw_only=True)
class Found:
    """How dependable one contender is, and the answers behind it."""

    dependability: Dependability
    answers: Sequence[AskedAgain]


@dataclass(frozen=True, kw_only=True)
class Inputs:
    """What is asked again, and how answers to it are read."""

    examples: Sequence[Example]
    """At least one, each with a turn of the person's."""
    units: Sequence[str | None]
    """(examples,) the independent unit of each; None: it stands alone."""
    metric: Metric
    reading: Reading
    seed: int
    """Of the slips; the same for every contender."""
    advance: Callable[[int], object] = field(default=int)
    """Informed of every input that is asked again."""


def chosen_inputs(
    examples: Sequence[Example], count: int, rng: np.random.Generator
) -> list[Example]:
    """So many of the examples at random, in their order; those without a person's turn left out."""
    asked = [one for one in examples if any(turn.role == "user" for turn in one.messages)]
    picked = rng.permutation(len(asked))[:count]
    return [asked[n] for n in sorted(picked.tolist())]


def measure_dependability(
    fitted: Fitted, contender: str, seed: int, plain: Sequence[Answer], inputs: Inputs
) -> Found:
    """Asks one contender again.

    Args:
        fitted: asked at temperature 0 for inputs typed otherwise, above it for the same inputs.
        contender: its name.
        seed: which replica.
        plain: its answers to the inputs as they stand, in their order.
        inputs: what is asked.

    Raises:
        UserError: the user's own metric failed.
    """
    asking = _Asking(fitted, seed, plain, inputs)
    slips, case = asking.retyped("slips", with_slips), asking.retyped("case", in_other_case)
    sampled = asking.sampled()
    return Found(
        dependability=Dependability(
            contender=contender,
            form=inputs.reading.form,
            plain=asking.steadiness(asking.judged("plain", inputs.examples, plain)),
            slips=asking.steadiness(slips) if slips else None,
            case=asking.steadiness(case) if case else None,
            sampled=asking.steadiness(sampled) if sampled else None,
            temperature=TEMPERATURE,
            draws=DRAWS,
        ),
        answers=(*slips, *case, *sampled),
    )


class _Asking:
    """One contender, asked again."""

    def __init__(self, fitted: Fitted, seed: int, plain: Sequence[Answer], inputs: Inputs) -> None:
        self._fitted, self._seed = fitted, seed
        self._inputs = inputs
        self._plain = {answer.example_id: answer for answer in plain}
        ids = [example.id for example in inputs.examples]
        self._unit_of = dict(zip(ids, inputs.units, strict=True))

    def retyped(self, way: str, retype: Retype) -> list[AskedAgain]:
        """Every input that the retyping changes, asked once."""
        changed: list[Example] = []
        for n, example in enumerate(self._inputs.examples):
            rng = np.random.default_rng([self._inputs.seed, n])
            messages = reworded(example.messages, lambda text, rng=rng: retype(text, rng))
            if messages != example.messages:
                changed.append(replace(example, messages=messages))
        answers = self._answers(self._fitted, [example.input for example in changed])
        return self.judged(way, changed, answers)

    def sampled(self) -> list[AskedAgain]:
        """Every input, asked `DRAWS` times; nothing where no model is asked."""
        if not isinstance(self._fitted, FittedPrompt):
            return []
        found: list[AskedAgain] = []
        for draw in range(1, DRAWS + 1):
            drawn = self._fitted.sampling(TEMPERATURE, draw)
            answers = self._answers(drawn, [one.input for one in self._inputs.examples])
            found += self.judged("sampled", self._inputs.examples, answers)
        return found

    def _answers(self, fitted: Fitted, asked: Sequence[Input]) -> list[Answer]:
        answers = fitted.answer(asked, seed=self._seed) if asked else []
        self._inputs.advance(len(asked))
        return answers

    def judged(
        self, way: str, examples: Sequence[Example], answers: Sequence[Answer]
    ) -> list[AskedAgain]:
        """What became of each answer."""
        reading = self._inputs.reading
        found: list[AskedAgain] = []
        for example, answer in zip(examples, answers, strict=True):
            plain, again = self._plain[example.id].text, answer.text
            same = plain is not None and again is not None
            found.append(
                AskedAgain(
                    example=example,
                    way=way,
                    asked=next(t.content for t in reversed(example.messages) if t.role == "user"),
                    answer=answer,
                    kept=same and reading.scored(str(plain)) == reading.scored(str(again)),
                    broken=again is None or reading.broken(again),
                )
            )
        return found

    def steadiness(self, asked: Sequence[AskedAgain]) -> Steadiness:
        """The counts, with intervals whose unit is the input, or the unit that it belongs to."""
        metric = self._inputs.metric
        ids = [one.example.id for one in asked]
        units = [self._unit_of[name] or f"alone {name}" for name in ids]
        scores = [
            0.0
            if one.answer.text is None
            else metric.score(one.answer.text, one.example.target).value
            for one in asked
        ]
        return Steadiness(
            inputs=len(set(ids)),
            answers=len(asked),
            kept=counted([one.kept for one in asked], units),
            broken=counted([one.broken for one in asked], units),
            quality=float(np.mean(scores)),
        )


def counted(yes: Sequence[bool], units: Sequence[str]) -> Counted:
    """How many, with the exact interval of independent rows, or that of rows in units."""
    scores: FloatArray = np.array(yes, dtype=np.float64)
    rows = rows_of(scores.size, binary=True, groups=units)
    if rows.codes is None:
        found = clopper_pearson(float(scores.sum()), float(scores.size))
    else:
        found = quality(sample(scores, rows), rows)
    if not isinstance(found, Interval):
        return Counted(count=int(scores.sum()), method=found.reason)
    return Counted(count=int(scores.sum()), low=found.low, high=found.high, method=found.method)
