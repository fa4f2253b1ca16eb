"""Writes the gallery, and every figure of the story, from the finished runs of the examples.

python tools/gallery.py                  writes docs/gallery.md, fills the story and the READMEs
python tools/gallery.py --check          exits with 1 where a page is not what the runs say
python tools/gallery.py --keep NAME RUN  keeps a run of an example as its finished one

A finished run is examples/NAME/finished: the run's folder without weights and without what only
`--resume` reads. In the story (docs/when-to-fine-tune.md) and in the examples' READMEs a figure
stands between marks that name it:
`<!--= shop_sql quality fine_tune -->41.2%<!--/-->`.
"""

import json
import re
import shutil
import sys
import tomllib
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path

from tunewise.project.examples import Example, examples
from tunewise.project.price_list import PriceList, read_price_list
from tunewise.report.comparison_table import ranked
from tunewise.report.price_table import at_list_prices
from tunewise.runs.read import read_summary
from tunewise.runs.retention import Estimate, Repair
from tunewise.runs.schema import ContenderResult, Run, StoppedContender
from tunewise.storage import write_json
from tunewise.wording import (
    amount,
    difference,
    mean_tokens,
    milliseconds,
    percent,
    percent_span,
    points,
)

ROOT = Path(__file__).resolve().parents[1]
GALLERY = ROOT / "docs" / "gallery.md"
STORY = ROOT / "docs" / "when-to-fine-tune.md"
PRICES = ROOT / "docs" / "prices.toml"
LISTED = "gpt-4.1-nano"
"""The model of docs/prices.toml at whose prices a card shows what requests would cost."""
FINISHED = "finished"
KEPT = (
    "project.toml", "environment.json", "made-from.json", "splits.json", "places.json",
    "plan.json", "test.jsonl", "answers.jsonl", "scores.jsonl", "events.jsonl", "verdict.json",
)  # fmt: skip
WRITTEN = "<!-- Written by tools/gallery.py from the finished runs: change it there. -->"

CARDS = {
    "house_tone": ("style and tone", "Can it speak in our voice without changing what it says?"),
    "order_forms": ("reliable output", "Can a program book what people write?"),
    "replies_by_rule": ("complex instructions", "Can it keep six rules at once?"),
    "shop_sql": ("a new skill", "Can it ask our database?"),
    "contract_clauses": ("law", "Which clauses of a pile of contracts want a second look?"),
    "visit_notes": ("medicine", "Can talk become a note that keeps every fact and adds none?"),
    "support_triage": ("customer support", "Who should answer this message, and how soon?"),
    "product_manuals": ("customer support", "Can it answer from the manuals?"),
}
"""Example -> what it is an example of, and the question of whoever has it; in the page's order."""
MARK = re.compile(r"<!--= (?P<asked>[^>]+?) -->(?P<said>.*?)<!--/-->", re.DOTALL)


def finished() -> dict[str, tuple[Example, Run]]:
    """Each example that has a finished run, with it."""
    known = {one.name: one for one in examples()}
    return {
        name: (known[name], read_summary(known[name].folder / FINISHED))
        for name in CARDS
        if (known[name].folder / FINISHED / "verdict.json").is_file()
    }


def gallery(runs: dict[str, tuple[Example, Run]]) -> str:
    """The page of cards."""
    prices = read_price_list(PRICES, today=date(2026, 11, 1))
    lines = [
        "# Gallery", "", WRITTEN, "",
        f"{len(runs)} projects with rows written for them, each decided on its sealed test rows,",
        "all with the same small base model. Every number is of the finished run that lies in the",
        "project's folder. p50 is the median time of one request on one processor core while",
        "another run had the other; the last column is what 1,000 such requests would cost at the",
        f"list prices of {LISTED} ({prices.as_of}, [what it costs](prices.md)).",
        "`tunewise new NAME DIR` copies a project as a start;",
        "[when to fine-tune](when-to-fine-tune.md) tells what they teach together.", "",
        '<div class="grid cards" markdown>', "",
    ]  # fmt: skip
    for name, (_, run) in runs.items():
        about, question = CARDS[name]
        lines += [
            f"-   **[{name}](#{name})** · {about}", "",
            f"    {question}", "",
            f"    **{headline(run)}**", "",
        ]  # fmt: skip
    lines += ["</div>", ""]
    for name, (example, run) in runs.items():
        lines += [*card(name, example, run, prices), ""]
    return "\n".join(lines)


def headline(run: Run) -> str:
    """The verdict in a line: what was found, and the quality of what is recommended."""
    best = run.contender(run.recommended)
    said = run.reason.partition(".")[0]
    return f"{said}." if best is None else f"{said}. {best.name}: {quality_of(best)}"


def card(name: str, example: Example, run: Run, prices: PriceList) -> Iterator[str]:
    """One project: question, data, verdict, what each contender takes."""
    about, question = CARDS[name]
    yield from (f"## {name}", "", f"*{about}: {question}*", "", example.about, "")
    splits = run.splits
    rows = f"{splits.train} to learn from, {splits.dev} to choose by, " if splits else ""
    yield f"{example.rows} rows: {rows}{run.n_test} sealed to judge. Base: {run.model.base}."
    yield from ("", f"> {run.reason}", "")
    listed = at_list_prices(run, prices)
    at_price = next(row for row in listed.rows if row[0] == LISTED)
    cost = dict(zip(listed.titles, at_price, strict=True))
    money = prices.currency
    yield f"| contender | {run.metric} (95%) | prompt tokens | answer tokens | p50 | {money} |"
    yield "|---|---|---:|---:|---:|---:|"
    for one in ranked(run):
        won = "**" if one.name == run.recommended else ""
        yield (
            f"| {won}{one.name}{won} | {quality_of(one)} "
            f"| {mean_tokens(one.tokens.prompt) if one.tokens else ''} "
            f"| {mean_tokens(one.tokens.completion) if one.tokens else ''} "
            f"| {milliseconds(one.latency.p50) if one.latency else ''} "
            f"| {cost.get(one.name, '')} |"
        )
    for one in run.skipped:
        if isinstance(one, StoppedContender):
            yield f"| {one.name} | {one.sentence} | | | | |"
    yield from ("", f"`{run.reproduce}`" if run.reproduce else "")


def quality_of(one: ContenderResult) -> str:
    """`70.3% (65.5–75.1)`."""
    value = one.quality
    span = f" ({percent_span(value.lower, value.upper)})" if value.computed else ""
    return f"{percent(value.value)}{span}"


def _compared(run: Run, a: str, b: str) -> str:
    for item in run.comparisons:
        if (item.a, item.b) == (a, b):
            return difference(item)
    raise KeyError(f"{a} was not compared with {b}")


def _one(run: Run, name: str) -> ContenderResult:
    found = run.contender(name)
    if found is None:
        raise KeyError(f"{name} was not judged")
    return found


def _change(change: Estimate) -> str:
    return f"{points(change.value)} points ({points(change.low)} to {points(change.high)})"


def _repair(run: Run, name: str) -> Repair:
    found = run.retention[name].repair
    if found is None:
        raise KeyError(f"{name} was not repaired")
    return found


FIGURES: dict[str, Callable[..., str]] = {
    "quality": lambda run, name: quality_of(_one(run, name)),
    "value": lambda run, name: percent(_one(run, name).quality.value),
    "difference": _compared,
    "prompt": lambda run, name: mean_tokens(_one(run, name).tokens.prompt),
    "answer": lambda run, name: mean_tokens(_one(run, name).tokens.completion),
    "p50": lambda run, name: milliseconds(_one(run, name).latency.p50),
    "forgot": lambda run, name: _change(run.retention[name].change),
    "test": lambda run: str(run.n_test),
    "outcome": lambda run: run.outcome,
    "reason": lambda run: run.reason,
    "headline": lambda run: headline(run),
    "command": lambda run: f"`{run.reproduce}`",
    "train": lambda run: str(run.splits.train) if run.splits else "",
    "gain": lambda run: f"{amount(run.decision.minimum_gain)} points",
    "broken": lambda run, name: _change(_repair(run, name).before),
    "repaired": lambda run, name: _change(run.retention[name].change),
}
"""What a mark may ask of a run."""


def filled(text: str, runs: dict[str, tuple[Example, Run]]) -> str:
    """The story with every figure as the runs have it.

    Raises:
        KeyError: a mark asks for what no run has.
    """

    def figure(mark: re.Match[str]) -> str:
        name, what, *of = mark["asked"].split()
        return f"<!--= {mark['asked']} -->{FIGURES[what](runs[name][1], *of)}<!--/-->"

    return MARK.sub(figure, text)


def keep(name: str, run: Path) -> Path:
    """Copies what a finished run says, without weights, into the example's folder.

    Paths in it are then those of the example, wherever that lies.
    """
    target = next(one.folder for one in examples() if one.name == name) / FINISHED
    root = tomllib.loads((run / "project.toml").read_text("utf-8"))["root"]
    if target.is_dir():
        shutil.rmtree(target)
    target.mkdir()
    for file in KEPT:
        if (run / file).is_file():
            text = (run / file).read_text("utf-8").replace(f"{root}/", "").replace(root, "..")
            (target / file).write_text(text, "utf-8")
    verdict = json.loads((target / "verdict.json").read_text("utf-8"))
    place = rf"decide \S*/{name}( --json)?"
    verdict["reproduce"] = re.sub(place, f"decide examples/{name}", verdict["reproduce"])
    write_json(target / "verdict.json", verdict)
    environment = json.loads((target / "environment.json").read_text("utf-8"))
    environment["platform"] = environment["platform"].partition("-")[0]
    write_json(target / "environment.json", environment)
    return target


def main() -> int:
    """Writes, compares or keeps."""
    match sys.argv[1:]:
        case ["--keep", name, run]:
            sys.stdout.write(f"{keep(name, Path(run))}\n")
            return 0
        case [] | ["--check"]:
            pass
        case _:
            sys.stderr.write(f"{__doc__}\n")
            return 2
    runs = finished()
    filling = (STORY, *(one.folder / "README.md" for one, _ in runs.values()))
    pages = {GALLERY: gallery(runs), **{p: filled(p.read_text("utf-8"), runs) for p in filling}}
    stale = [file for file, text in pages.items() if file.read_text("utf-8") != text]
    if "--check" in sys.argv:
        for file in stale:
            sys.stderr.write(f"Out of date: {file.relative_to(ROOT)}. Run tools/gallery.py.\n")
        return int(bool(stale))
    for file in stale:
        file.write_text(pages[file], "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
