"""Says what `decide` would do, without running anything: test stays sealed."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

from tunewise.pipelines.estimate import NOT_ESTIMATED, Forecast, forecast, work_of
from tunewise.pipelines.quick import first_opinion
from tunewise.pipelines.reading import read_all
from tunewise.pipelines.workload import Work, Workload
from tunewise.project.derived import budget_tokens, without_constant
from tunewise.project.settings import Project
from tunewise.runs.asked import asked_rows
from tunewise.runs.data_changes import about_earlier_runs
from tunewise.wording import cash, count, rough_duration


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """One line of what a run would take."""

    name: str
    work: Work
    seconds: float | None
    """None where no time can be told."""
    cost: float | None = None
    """None where the project has no price for it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DryRun:
    """What a run would be."""

    facts: Mapping[str, Any]
    """Rows of each side, kind, metric, model, contenders, seeds, tokens."""
    estimate: Forecast | None
    """How long it would take here; None where that cannot be known."""
    work: Workload
    """The tokens of each part."""
    notes: Sequence[str]
    project: Project
    """With its prices."""

    def as_dict(self) -> dict[str, Any]:
        """As one JSON document."""
        one = self.estimate
        seconds = one and {"least": round(one.low), "most": round(one.high)}
        parts = [
            {
                "part": part.name,
                "seconds": None if part.seconds is None else round(part.seconds, 1),
                "tokens": part.work.tokens,
                "cost": None if part.cost is None else round(part.cost, 4),
            }
            for part in self.parts
        ]
        return {
            **self.facts,
            "seconds": seconds,
            "currency": self.project.prices.currency,
            "parts": parts,
            "notes": list(self.notes),
        }

    @property
    def parts(self) -> list["Part"]:
        """Every contender, its further seeds apart, then what is measured beside."""
        found: list[Part] = []
        for name, stages in self.work.contenders.items():
            seeds = stages.get("seeds", Work())
            alone = [work for stage, work in stages.items() if stage != "seeds"]
            timed = self.estimate.contenders[name] if self.estimate else None
            one = None if timed is None else sum(timed.values()) - timed.get("seeds", 0.0)
            found.append(Part(name=name, work=sum(alone, Work()), seconds=one))
            if seeds != Work():
                more = None if timed is None else timed.get("seeds", 0.0)
                found.append(Part(name=f"{name}, further seeds", work=seeds, seconds=more))
        for name, work in self.work.parts.items():
            seconds = None if self.estimate is None else self.estimate.parts[name]
            found.append(Part(name=name, work=work, seconds=seconds))
        return [replace(part, cost=_cost(part, self.project)) for part in found]

    def lines(self) -> Iterator[str]:
        """As a person reads it."""
        for key, value in self.facts.items():
            shown = ", ".join(cast("list[str]", value)) if isinstance(value, list) else value
            if isinstance(value, dict):
                counts = cast("dict[str, int]", value)
                shown = ", ".join(f"{n} in {where}" for where, n in counts.items())
            yield f"{key:14} {shown}"
        for note in self.notes:
            yield f"{'note':14} {note}"
        widest = max(len(part.name) for part in self.parts)
        parts = self.parts
        priced = any(part.cost is not None for part in parts)
        money = f" {'cost':>12}" if priced else ""
        told = f"{'tokens read':>11} {'written':>9} {'trained':>10}"
        yield f"{'part':{widest}} {'time':>8} {told}{money}"
        for part in parts:
            seconds = "" if part.seconds is None else rough_duration(part.seconds)
            read, written, trained = map(count, part.work.tokens.values())
            money = "" if part.cost is None else cash(part.cost, self.project.prices.currency)
            line = f"{part.name:{widest}} {seconds:>8} {read:>11} {written:>9} {trained:>10}"
            yield f"{line} {money:>12}" if priced else line
        if priced:
            known = sum(part.cost for part in parts if part.cost is not None)
            money = cash(known, self.project.prices.currency)
            yield f"{'cost':14} {money} in all that has a price"
        yield f"{'time':14} {self.estimate.sentence if self.estimate else NOT_ESTIMATED}"


def dry_run(project: Project, *, quick: bool = False) -> DryRun:
    """Reads the data and splits it, no more.

    Args:
        project: from `load_project`.
        quick: say it of a first opinion.

    Raises:
        UserError: a fault in the data or the documents.
    """
    prepared, documents = read_all(project, asked=asked_rows(project))
    if quick:
        prepared = first_opinion(prepared)
        project = prepared.project
    splits, task = prepared.splits, prepared.project.task
    bases = project.model.bases
    leaked = {where: len(rows) for where, rows in splits.leaked.items()}
    facts = {
        "train": len(splits.train),
        "dev": len(splits.dev),
        "test": len(splits.test),
        **({"leaked": leaked} if leaked else {}),
        **({"documents": len(documents)} if documents else {}),
        "kind": task.kind,
        "metric": task.metric,
        "model": project.model.base if len(bases) == 1 else list(bases),
        "contenders": [*project.contenders.use, *(e.name for e in project.contenders.endpoints)],
        "seeds": project.training.seeds,
        "budget_tokens": budget_tokens(project),
    }
    work = work_of(prepared, quick=quick)
    return DryRun(
        facts=facts,
        estimate=forecast(prepared, quick=quick, work=work),
        work=work,
        notes=(
            *prepared.notes,
            *without_constant(project),
            *(() if quick else about_earlier_runs(project, splits)),
        ),
        project=project,
    )


def _cost(part: Part, project: Project) -> float | None:
    """An endpoint is paid by the token, what runs here by the hour of the machine that trains."""
    for one in project.contenders.endpoints:
        if part.name == one.name:
            if one.prompt_tokens is None or one.completion_tokens is None:
                return None
            written = part.work.written + part.work.alone
            return (part.work.read * one.prompt_tokens + written * one.completion_tokens) / 1e6
    hour = project.prices.training_hour
    return None if hour is None or part.seconds is None else part.seconds / 3600.0 * hour
