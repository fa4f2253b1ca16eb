"""How much of a run is done. What turns out not to be needed is no part of the whole."""

from collections.abc import Callable
from dataclasses import dataclass, field

from tunewise.pipelines.estimate import Forecast
from tunewise.pipelines.workload import STAGES, Stage


@dataclass
class Remaining:
    """Advances the bar of the whole run, so that its share is done / (done + what is left).

    A search that is stopped early weighs what it took, and the stages of a contender that is out
    weigh nothing: counted as done they would make the pace look faster than it is, and as still
    to come the time left longer.
    """

    forecast: Forecast
    """What each stage weighs: about its seconds."""
    advance: Callable[[int], None]
    """Of a bar of `forecast.total` units."""
    _counted: set[tuple[str, str]] = field(default_factory=set[tuple[str, str]])
    _done: float = 0.0
    _spared: float = 0.0
    _told: int = 0

    def did(self, name: str, stage: Stage, *, seconds: float | None = None) -> None:
        """A stage of a contender is over; `seconds` of one that was stopped before its end."""
        if name in self.forecast.contenders:
            self._count((name, stage), self.forecast.share(name, stage), seconds)

    def out(self, name: str) -> None:
        """A contender takes no further part."""
        for stage in STAGES:
            if stage != "seeds":
                self.did(name, stage, seconds=0.0)

    def did_seeds(self, name: str | None) -> None:
        """The further seeds of a contender are trained; None: of none."""
        weight = self.forecast.most_seeds
        took = 0.0 if name is None else float(self.forecast.share(name, "seeds"))
        self._count(("", "seeds"), weight, took)

    def did_part(self, name: str, *, measured: bool = True) -> None:
        """What `[decision] measure` asks for is measured, or cannot be."""
        if name in self.forecast.parts:
            self._count(("", name), self.forecast.part(name), None if measured else 0.0)

    def _count(self, what: tuple[str, str], weight: int, took: float | None) -> None:
        if what in self._counted:
            return
        self._counted.add(what)
        done = float(weight) if took is None else min(float(weight), took)
        self._done += done
        self._spared += weight - done
        total = self.forecast.total
        left = total - self._spared
        now = total if left <= 0 else round(total * self._done / left)
        if now > self._told:
            self.advance(now - self._told)
            self._told = now
