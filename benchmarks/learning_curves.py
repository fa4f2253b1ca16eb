"""Tests what a curve says of twice the rows on public data sets; prints a Markdown table.

    .venv/bin/python benchmarks/learning_curves.py --data ../shared/data
    .venv/bin/python benchmarks/learning_curves.py --data ../shared/data --arm few_shot \
        --rows 100 200 --repeats 2 --keep FOLDER [--only snips_json]

From a data set's rows a sample of N is taken as if it were all there is, and the curve over it is
drawn as `decide` draws it: the classifier's by folds, that of few_shot on 60 further rows. Then the
contender learns from as many rows as the curve's largest part held, and from twice as many, and
answers rows of the data set that the curve never saw: what twice the rows brought there, beside the
90% band that was promised. `--repeats` samples are drawn of each set.

few_shot asks the starter model with the 4 nearest examples. With `--keep` what it answered is kept
there: the same command goes on where it was stopped.
"""

import argparse
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tunewise.contenders.classifier import Classifier
from tunewise.contenders.few_shot import FewShot, Shots
from tunewise.contenders.race import Race
from tunewise.evaluation.learning_curve import (
    Learn,
    Round,
    measure_curve,
    rounds_by_folds,
    rounds_on_dev,
)
from tunewise.metrics.by_name import metric_named, quality
from tunewise.models.engines.cached import JournalEngine
from tunewise.models.engines.open import open_engine
from tunewise.progress import Silent
from tunewise.project.settings import Model
from tunewise.retrieval.embed import RememberingEmbedder, load_embedder
from tunewise.types import Example, Message

TASKS = (
    ("banking77", None),
    ("bitext_reply", "category"),
    ("bitext_reply", "intent"),
    ("cuad_clauses", None),
    ("eshop_triage", "satisfaction"),
    ("eshop_triage", "status"),
    ("eshop_triage", "type"),
    ("mts_dialog", "section"),
    ("snips_json", "label"),
)
"""Data sets, and the column that is the label; None: the answer is."""
SHORT_TASKS = (
    ("snips_json", "label"),
    ("banking77", None),
    ("bitext_reply", "category"),
    ("cuad_clauses", None),
)
"""Those of few_shot."""
LONGEST = {"cuad_clauses": 300}
"""Characters of an input at most, where many are long and a prompt holds several."""
MIN_JUDGED = 150
"""Rows that judge what came, at least."""
FEW_JUDGED, FEW_DEV = 120, 60
"""Rows that judge what came, and those that judge the curve, of few_shot."""
FEW_SHOTS = Shots(k=4, selection="nearest")
INSTRUCTION = "Give the label of the message, and nothing else."
LARGEST = 0.8
"""Of N: what a fold's largest part holds."""
STRENGTH = 10.0
"""C of every classifier: nothing is chosen on rows that judge."""


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One sample of a data set's rows."""

    size: int
    rounds: Sequence[Round]
    """What the curve is drawn from."""
    first: Sequence[Example]
    """As many as its largest part holds."""
    extra: Sequence[Example]
    """As many again."""
    judged: Sequence[Example]
    rng: np.random.Generator
    """Behind the draw of the rows."""


Learner = Callable[[Sequence[str], Any], Learn]
"""(labels, metric) -> what learns."""
Draw = Callable[[Sequence[Example], Sequence[int], int], Trial]
"""(rows, sizes, repeat) -> a sample."""


def main() -> None:
    """Prints a row for each sample."""
    given = arguments()
    few = given.arm == "few_shot"
    learner = few_shot(given.keep) if few else classifier()
    print("| set | label | N | promised by doubling, 90% | brought | within |")
    print("|---|---|---:|---:|---:|---:|")
    held = asked = 0
    for name, key in SHORT_TASKS if few else TASKS:
        if given.only and name not in given.only:
            continue
        rows = labelled(given.data / name, key)
        if few and name in LONGEST:
            rows = [row for row in rows if len(row.input.text) <= LONGEST[name]]
        for repeat in range(given.repeats):
            drawn = (on_dev if few else by_folds)(rows, given.rows, repeat)
            told, inside = one_test(rows, drawn, learner)
            print(f"| {name} | {key or 'answer'} | {told}", flush=True)
            held, asked = held + inside, asked + 1
    print(f"\nWithin the band: {held} of {asked}.")


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--arm", choices=["classifier", "few_shot"], default="classifier")
    parser.add_argument("--rows", type=int, nargs="+", default=[100, 200, 400])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--only", nargs="+", help="names of data sets")
    parser.add_argument("--keep", type=Path, help="folder for what few_shot answered")
    given = parser.parse_args()
    if given.arm == "few_shot" and given.keep is None:
        parser.error("--arm few_shot takes --keep FOLDER")
    return given


def labelled(folder: Path, key: str | None) -> list[Example]:
    """Messages of a data set with a label each: the answer, or a column beside it."""
    unlike: dict[str, Example] = {}
    for part in ("train", "test"):
        for line in (folder / f"{part}.jsonl").read_text("utf-8").splitlines():
            row = json.loads(line)
            asked, answered = (one["content"] for one in row["messages"][-2:])
            label = answered if key is None else str(row["meta"][key])
            example = Example(
                id=f"{part} {len(unlike)}",
                messages=(Message(role="user", content=asked),),
                target=label,
            )
            unlike.setdefault(asked, example)
    return list(unlike.values())


def classifier() -> Learner:
    """The classifier with one strength."""
    embedder = RememberingEmbedder(load_embedder())

    def learner(labels: Sequence[str], metric: Any) -> Learn:
        one = Classifier(metric=metric, labels=labels, strengths=(STRENGTH,), load=lambda: embedder)

        def learn(learned: Sequence[Example], asked: Sequence[Example]) -> list[str | None]:
            made = one.fit(learned, Race(asked, metric=metric, margin=1.0))
            return [answer.text for answer in made.answer([row.input for row in asked], seed=0)]

        return learn

    return learner


def few_shot(keep: Path) -> Learner:
    """The starter model with the nearest examples; what it answered is kept."""
    keep.mkdir(parents=True, exist_ok=True)
    opened = open_engine(Model(), progress=Silent())
    one = FewShot(
        engine=JournalEngine(opened.engine, keep / "answers.jsonl"),
        instruction=INSTRUCTION,
        embedder=RememberingEmbedder(load_embedder()),
        budget_tokens=10**12,
        progress=Silent(),
    )

    def learn(learned: Sequence[Example], asked: Sequence[Example]) -> list[str | None]:
        ways = one.strategies(learned)(FEW_SHOTS)
        answers = ways.ask(one.engine, one.name, [row.input for row in asked], seed=0)
        return [answer.text for answer in answers]

    return lambda labels, metric: learn


def by_folds(rows: Sequence[Example], sizes: Sequence[int], repeat: int) -> Trial:
    """A sample whose folds judge each other, twice."""
    rng = np.random.default_rng([repeat, len(rows)])
    shuffled = [rows[int(n)] for n in rng.permutation(len(rows))]
    fitting = [size for size in sizes if size + LARGEST * size + MIN_JUDGED <= len(rows)]
    size = fitting[repeat % len(fitting)]
    sample, others = shuffled[:size], shuffled[size:]
    largest = round(LARGEST * size)
    return Trial(
        size=size,
        rounds=rounds_by_folds(sample, {}, rounds=2, rng=rng),
        first=sample[:largest],
        extra=others[:largest],
        judged=others[largest:],
        rng=rng,
    )


def on_dev(rows: Sequence[Example], sizes: Sequence[int], repeat: int) -> Trial:
    """A sample that further rows judge."""
    rng = np.random.default_rng([repeat, len(rows)])
    shuffled = [rows[int(n)] for n in rng.permutation(len(rows))]
    fitting = [size for size in sizes if 2 * size + FEW_DEV + FEW_JUDGED <= len(rows)]
    size = fitting[repeat % len(fitting)]
    sample, others = shuffled[:size], shuffled[size + FEW_DEV :]
    dev = shuffled[size : size + FEW_DEV]
    return Trial(
        size=size,
        rounds=rounds_on_dev(sample, dev, {}, rounds=1, rng=rng),
        first=sample,
        extra=others[:size],
        judged=others[size : size + FEW_JUDGED],
        rng=rng,
    )


def one_test(rows: Sequence[Example], drawn: Trial, learner: Learner) -> tuple[str, bool]:
    """The rest of a row of the table, and whether what came lies within what was promised."""
    labels = sorted({row.target for row in rows})
    metric = metric_named("accuracy", labels)
    learn = learner(labels, metric)
    curve = measure_curve(learn, drawn.rounds, {}, metric, minimum_gain=0.05, rng=drawn.rng).curve
    assert curve is not None
    assert curve.rows == len(drawn.first)
    grown = curve.growth(2 * curve.rows)
    low, middle, high = (float(np.quantile(grown, level)) for level in (0.05, 0.5, 0.95))
    (once, twice), error = _brought(learn, metric, drawn)
    came = twice - once
    inside = low - error <= came <= high + error
    told = f"{100 * middle:+.1f} ({100 * low:+.1f} to {100 * high:+.1f})"
    brought = f"{100 * came:+.1f} ± {100 * error:.1f}"
    return f"{drawn.size} | {told} | {brought} | {inside} |", inside


def _brought(learn: Learn, metric: Any, drawn: Trial) -> tuple[tuple[float, float], float]:
    """Quality with the rows and with twice as many, and 1.645 standard errors of the difference."""
    judged, targets = drawn.judged, [row.target for row in drawn.judged]
    parts = (drawn.first, [*drawn.first, *drawn.extra])
    answers = [learn(part, judged) for part in parts]
    once, twice = (quality(metric, some, targets) for some in answers)
    scores = [
        np.array(
            [
                0.0 if answer is None else metric.score(answer, target).value
                for answer, target in zip(some, targets, strict=True)
            ]
        )
        for some in answers
    ]
    spread = float(np.std(scores[1] - scores[0], ddof=1)) / len(judged) ** 0.5
    return (once, twice), 1.645 * spread


if __name__ == "__main__":
    main()
