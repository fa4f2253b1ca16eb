"""Trains a challenger again that forgot too much where no weaker form of its adapter helps.

First beside a replay of what the base says to general requests, then with fewer and smaller
changes: a lower rank and learning rate.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

from tunewise.contenders.answering import FittedPrompt
from tunewise.contenders.fine_tune import FineTune
from tunewise.contenders.protocol import Fitted
from tunewise.pipelines.fitting import Job, measured
from tunewise.pipelines.replaying import replay_rows
from tunewise.runs.retention import Estimate, RepairPoint
from tunewise.types import JsonValue
from tunewise.wording import setting

REPLAY_SHARE = 0.25
"""Tokens of general answers in a step, as a share of the project's."""
GENTLER = (1 / 3, 1 / 10)
"""What the learning rate is multiplied by, in turn."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Again:
    """A way to train the same contender once more."""

    way: str
    """As a person reads it, after `trained again`."""
    folder: str
    replays: bool = False
    rank: int
    alpha: float
    learning_rate: float


class Retrained(NamedTuple):
    """What came of it."""

    points: tuple[RepairPoint, ...]
    """One a way that was tried, in turn."""
    fitted: FittedPrompt | None
    """With all of its seeds; None: no way keeps general ability and does well enough on dev."""


def ways_of(fitted: Fitted, *, replay: bool) -> list[Again]:
    """What is tried in turn.

    Args:
        fitted: the contender as it was trained.
        replay: whether its training is worth a replay: one that does not learn the task needs
            other settings, not other company.
    """
    settings = fitted.fit.settings
    rank, alpha, rate = (_number(settings[key]) for key in ("rank", "alpha", "learning_rate"))
    lower = max(1, int(rank) // 2)
    gentler = [
        Again(
            way=f"at rank {lower} with a learning rate of {setting(rate * factor)}",
            folder=f"gentler-{factor:.2g}",
            rank=lower,
            alpha=alpha * lower / rank,  # what is learnt counts as much as before
            learning_rate=rate * factor,
        )
        for factor in GENTLER
    ]
    beside = Again(
        way="beside a replay of what the base says to general requests",
        folder="replay",
        replays=True,
        rank=int(rank),
        alpha=alpha,
        learning_rate=rate,
    )
    return [beside, *gentler] if replay else gentler


def train_again(
    job: Job,
    contender: FineTune,
    ways: Sequence[Again],
    *,
    seeds: int,
    change: Callable[[Path], Estimate],
    margin: float,
    at_least: float,
) -> Retrained:
    """One seed a way, until one keeps general ability; that one is then trained with all seeds.

    Args:
        job: of the run.
        contender: as it was trained, with its teacher if it has one.
        ways: in turn.
        seeds: that it had.
        change: of general ability, of an adapter; asked only where dev is high enough.
        margin: general ability that may be lost, as a share.
        at_least: quality on dev below which it is no repair.
    """
    train, points = job.prepared.splits.train, list[RepairPoint]()
    for way in ways:
        trained = _as(contender, way)
        job.progress.note(f"{contender.name}: trained again {way.way}, since it forgot too much.")
        with job.run.timed(contender.name):
            found = trained.fit(train, job.race.apart())
            dev = measured(job, contender.name, found.fit.dev_answers, job.prepared.splits.dev)
            quality = dev.quality(1)
            kept = change(Path(found.fit.artifact[1])) if quality >= at_least else None
            points.append(RepairPoint(scale=1.0, way=way.way, dev=quality, change=kept))
            if kept is not None and kept.value >= -margin:
                if seeds > 1:
                    found = trained.replicate(found, train, job.race.apart(), seeds=seeds)
                fit = replace(found.fit, settings={**found.fit.settings, "trained again": way.way})
                return Retrained(tuple(points), replace(found, fit=fit))
    return Retrained(tuple(points), None)


def _as(contender: FineTune, way: Again) -> FineTune:
    """The contender that trains in this way, in a folder of its own."""
    settings = replace(
        contender.settings, rank=way.rank, alpha=way.alpha, learning_rate=way.learning_rate
    )
    if not way.replays:
        return replace(contender, settings=settings, folder=contender.folder / way.folder)
    return replace(
        contender,
        settings=replace(settings, replay_share=REPLAY_SHARE),
        replay=replay_rows(contender.engine, contender.tokenizer),
        folder=contender.folder / way.folder,
    )


def _number(value: JsonValue) -> float:
    if not isinstance(value, int | float):
        raise TypeError(f"{value!r} is no number")
    return float(value)
