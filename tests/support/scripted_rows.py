"""Rows and engines for contenders that only need a model that says what it is told."""

from collections.abc import Callable, Sequence

from tunewise.contenders.race import Race
from tunewise.metrics.by_name import metric_named
from tunewise.metrics.metric import Metric
from tunewise.models.engines.protocol import Request
from tunewise.models.engines.scripted import ScriptedEngine
from tunewise.types import Answer, Example, Message, Usage


def row(name: str, text: str, target: str, **metadata: str) -> Example:
    return Example(
        id=name,
        messages=(Message(role="user", content=text),),
        target=target,
        metadata=metadata,
    )


def rows(count: int, prefix: str = "row") -> list[Example]:
    """Rows whose target is the last word of their input: `a`, `b` and `c` in turn."""
    return [
        row(f"{prefix}{n}", f"{prefix} number {n} means {'abc'[n % 3]}", "abc"[n % 3])
        for n in range(count)
    ]


def last_word(request: Request) -> str:
    """A perfect model for `rows`."""
    return request.messages[-1].content.split()[-1]


def engine(script: Callable[[Request], str] = last_word, **settings: int) -> ScriptedEngine:
    return ScriptedEngine(script, **settings)


def says(example: Example, text: str, *, tokens: int = 0) -> Answer:
    return Answer(
        example_id=example.id,
        contender="c",
        seed=0,
        text=text,
        usage=Usage(prompt_tokens=tokens),
    )


class Counted:
    """A progress that adds up what it is told."""

    def __init__(self) -> None:
        self.totals: list[int] = []
        self.done: list[int] = []

    def task(self, description: str, *, total: int) -> "Counted":
        self.totals.append(total)
        self.done.append(0)
        return self

    def __enter__(self) -> Callable[[int], None]:
        return self._advance

    def __exit__(self, *fault: object) -> None:
        pass

    def _advance(self, units: int) -> None:
        self.done[-1] += units

    def status(self, text: str) -> None:
        pass

    def note(self, text: str) -> None:
        pass


def race(
    dev: Sequence[Example], metric: str | Metric = "accuracy", *, margin: float = 0.05
) -> Race:
    judged_by = metric_named(metric) if isinstance(metric, str) else metric
    return Race(dev, metric=judged_by, margin=margin)
