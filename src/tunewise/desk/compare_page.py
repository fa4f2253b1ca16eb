"""Two runs of a project side by side: what each contender scored, and whether that compares."""

from dataclasses import dataclass

from fastapi import APIRouter, Request, Response

from tunewise.desk.home import run_line
from tunewise.desk.pages import NotThereError, page
from tunewise.desk.places import Places
from tunewise.report.costs import cost_of
from tunewise.report.sentences import headline
from tunewise.runs.read import read_summary
from tunewise.runs.schema import Run
from tunewise.serving.http.sessions import PAGES
from tunewise.wording import count, mean_tokens, milliseconds, percent, percent_span


@dataclass(frozen=True, kw_only=True, slots=True)
class Cell:
    """What a run says of one contender; empty texts where it says nothing."""

    quality: str = ""
    interval: str = ""
    latency: str = ""
    tokens: str = ""
    cost: str = ""
    out: str = ""
    """Why it was not measured."""


class ComparePage:
    """Two runs.

    Args:
        places: where runs lie.
    """

    def __init__(self, places: Places) -> None:
        self._places = places

    def add_to(self, router: APIRouter) -> None:
        """Adds the routes."""
        router.add_api_route(
            f"{PAGES}/projects/{{name}}/compare", self.show, response_class=Response
        )

    def show(self, request: Request, name: str, a: str = "", b: str = "") -> Response:
        """Both, and what can be chosen instead."""
        project = self._places.project(name)
        known = [line for one in project.runs if (line := run_line(one)).is_verdict]
        ids = [one.id for one in known]
        if len(known) < 2:
            raise NotThereError("It takes two finished runs to compare them.")
        a = a if a in ids else ids[1]
        b = b if b in ids else ids[0]
        one, other = (read_summary(self._places.run(chosen).listed.path) for chosen in (a, b))
        names = list(dict.fromkeys(c.name for run in (one, other) for c in run.contenders))
        return page(
            request,
            "compare.html",
            title=f"Runs of {project.name} compared",
            project=project,
            known=known,
            a=a,
            b=b,
            headlines=(headline(one), headline(other)),
            facts=_facts(one, other),
            rows=[(name, _cell(one, name), _cell(other, name)) for name in names],
            caution=_caution(one, other),
        )


def _cell(run: Run, name: str) -> Cell:
    found = run.contender(name)
    if found is None:
        out = next((one.sentence for one in run.skipped if one.name == name), "")
        return Cell(out=out or "not asked")
    quality = found.quality
    return Cell(
        quality=percent(quality.value),
        interval=percent_span(quality.lower, quality.upper) if quality.computed else "no interval",
        latency=milliseconds(found.latency.p50) if found.latency else "",
        tokens=mean_tokens(found.tokens.total) if found.tokens else "",
        cost=cost_of(found),
    )


def _facts(one: Run, other: Run) -> list[tuple[str, str, str, bool]]:
    """(what, of the first, of the second, whether they differ)."""
    pairs = [("metric", one.metric, other.metric)]
    pairs.append(("rows that judged", count(one.n_test), count(other.n_test)))
    pairs.append(("base model", one.model.base or "", other.model.base or ""))
    pairs.append(("instruction", one.task.instruction or "", other.task.instruction or ""))
    pairs.append(("data", _data(one), _data(other)))
    return [(what, a, b, a != b) for what, a, b in pairs if a or b]


def _data(run: Run) -> str:
    return f"{(run.splits.fingerprint or '')[:12]}, {run.n_test} rows" if run.splits else ""


def _caution(one: Run, other: Run) -> str:
    """What to know before two qualities are compared."""
    if one.metric != other.metric:
        return "They were judged by different metrics: their qualities do not compare."
    if _data(one) != _data(other) or not _data(one):
        return (
            "They were judged on different rows: a difference between the two columns may come "
            "from the rows alone."
        )
    return (
        "Both were judged on the same rows. The intervals are each run's own and do not test the "
        "difference between runs: for that, both contenders have to be in one run."
    )
