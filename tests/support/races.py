"""Races over drawn scores: the shipped race and searches, with answers that tell their own score.

Nothing here decides who is out; it only hands the shipped code what each setting would answer.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np

from tunewise.contenders.race import Race
from tunewise.contenders.search import Candidate, Choice, Search, Trial
from tunewise.metrics.metric import Judgement, Metric
from tunewise.types import Answer, Example, Message

T = TypeVar("T")

TOLD = Metric(
    name="told", binary=False, score=lambda answer, _: Judgement(value=float(answer))
)  # fmt: skip
"""An answer is its own score."""


def macro_f1_metric(classes: int) -> Metric:
    """Answers and targets are numbers of classes."""

    def of_all(answers: Sequence[str], targets: Sequence[str]) -> float:
        said, true = (np.array(list(map(int, texts))) for texts in (answers, targets))
        hits = np.bincount(true[true == said], minlength=classes)
        occurring = np.bincount(true, minlength=classes)
        total = occurring + np.bincount(said, minlength=classes)
        present = occurring > 0
        return float((2 * hits[present] / total[present]).mean())

    return Metric(
        name="macro_f1",
        binary=False,
        score=lambda answer, target: Judgement(value=float(answer == target)),
        aggregate=of_all,
    )


@dataclass(frozen=True, kw_only=True)
class Dev:
    """The rows of a race and how they are judged."""

    examples: Sequence[Example]
    units: Sequence[str] | None
    metric: Metric

    def race(self, margin: float) -> Race:
        return Race(self.examples, metric=self.metric, units=self.units, margin=margin)


def dev_of(
    rows: int,
    units: Sequence[str] | None = None,
    labels: np.ndarray | None = None,
    classes: int = 0,
) -> Dev:
    """Dev of drawn rows; with labels, quality is macro F1."""
    targets = [""] * rows if labels is None else [str(label) for label in labels]
    asked = (Message(role="user", content="?"),)
    return Dev(
        examples=[
            Example(id=f"row{n}", messages=asked, target=target) for n, target in enumerate(targets)
        ],
        units=units,
        metric=TOLD if labels is None else macro_f1_metric(classes),
    )


def told(
    scores: np.ndarray,
    labels: np.ndarray | None = None,
    classes: int = 0,
    rng: np.random.Generator | None = None,
) -> list[str]:
    """The (rows,) answers that have these scores; what is wrong is any other class."""
    if labels is None or rng is None:
        return [str(score) for score in scores]
    wrong = (labels + rng.integers(1, classes, size=labels.size)) % classes
    return [str(said) for said in np.where(scores > 0, labels, wrong)]


def search(
    race: Race,
    contender: str,
    says: Mapping[T, Sequence[str]],
    walk: Callable[[Search[T], Sequence[Candidate[T]]], list[Trial[T]]] = Search.halve,
) -> Choice[T]:
    """The shipped search among a contender's settings.

    Args:
        race: of dev, in which others may have run.
        contender: its name.
        says: setting -> its answer to each row of dev, in dev order.
        walk: how it goes through them.
    """
    place = _places(race)

    def ask(values: Sequence[T], rows: Sequence[Sequence[Example]]) -> list[list[Answer]]:
        return [
            [_answer(contender, one, says[value][place[one.id]]) for one in some]
            for value, some in zip(values, rows, strict=True)
        ]

    running: Search[T] = Search(name=contender, race=race, ask=ask, budget_tokens=10**9)
    candidates = [Candidate(value=value, settings={"setting": str(value)}) for value in says]
    return running.chosen(walk(running, candidates))


def checkpoints(race: Race, contender: str, says: Sequence[Sequence[str]]) -> list[int | None]:
    """The points of a training, one after another, as `FineTune` asks them.

    Args:
        race: of dev, in which others may have run.
        contender: its name.
        says: what each point answers to each row of dev, in dev order.

    Returns:
        The rows after which each was out; None: it answered all.
    """
    place = _places(race)
    out_after: list[int | None] = []
    for texts in says:
        runner = race.enter(contender)
        out = None
        for end in race.ends(len(race.order)):
            new = race.order[len(runner.answers) : end]
            race.record(runner, [_answer(contender, one, texts[place[one.id]]) for one in new])
            if race.surely_behind(runner):
                out = end
                break
        out_after.append(out)
    return out_after


def _places(race: Race) -> dict[str, int]:
    return {example.id: n for n, example in enumerate(race.dev)}


def _answer(contender: str, example: Example, text: str) -> Answer:
    return Answer(example_id=example.id, contender=contender, seed=0, text=text)
