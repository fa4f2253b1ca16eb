"""What every contender has in common: fitted on train and dev, then asked for answers.

By signature a fit never sees the test split and an answer never sees a target. Nothing here knows
how answers are scored, compared or shown.
"""

from collections.abc import Mapping, Sequence
from typing import Protocol

from tunewise.contenders.race import Race
from tunewise.types import Answer, Example, Fit, Input


class NotApplicable(Exception):  # noqa: N818 - not an error: the contender is skipped, with a reason
    """A contender that cannot be used on this task. Shown as skipped, with the reason.

    Args:
        reason: half a sentence for a person, such as "answers are not from a closed set".
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class Fitted(Protocol):
    """A contender whose choices are made; it only answers."""

    @property
    def fit(self) -> Fit:
        """What the fit cost and chose."""
        ...

    @property
    def seeds(self) -> tuple[int, ...]:
        """The replicas that can answer; (0,) for contenders that train nothing."""
        ...

    def answer(self, inputs: Sequence[Input], *, seed: int) -> list[Answer]:
        """One answer per input, in order, by the replica `seed`."""
        ...


class Contender(Protocol):
    """A way to get answers, before its choices are made."""

    @property
    def name(self) -> str:
        """Its name in tunewise.toml and in every table."""
        ...

    def fit(self, train: Sequence[Example], race: Race) -> Fitted:
        """Makes every choice by looking at train and dev alone.

        Args:
            train: what it learns from.
            race: dev, with what others answered there.

        Raises:
            NotApplicable: the contender cannot be used on this task.
        """
        ...


class TrainedContender(Contender, Protocol):
    """A contender that trains weights, so that chance has a say in how good it gets."""

    def untrainable(self, train: Sequence[Example]) -> Mapping[str, str]:
        """Example id -> why it cannot be trained on, and what to do; asked before any work."""
        ...

    def replicate(
        self, fitted: Fitted, train: Sequence[Example], race: Race, *, seeds: int
    ) -> Fitted:
        """Trains seeds 2 to n again with the winner's settings; `fitted` holds the first seed."""
        ...
