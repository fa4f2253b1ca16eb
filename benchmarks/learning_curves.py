"""Tests what a curve says of twice the rows on public data sets; prints a Markdown table.

    .venv/bin/python benchmarks/learning_curves.py --data ../shared/data

From a data set's rows a sample of N is taken as if it were all there is; the classifier's curve
over it is drawn by folds. Then the classifier learns from as many rows as a fold's largest part
held, and from twice as many, and answers rows of the data set that the curve never
saw: what twice the rows brought there, beside the 90% band that was promised. `--repeats` samples
are drawn of each set.
"""

import argparse
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tunewise.contenders.classifier import Classifier
from tunewise.contenders.race import Race
from tunewise.evaluation.learning_curve import measure_curve, rounds_by_folds
from tunewise.metrics.by_name import metric_named, quality
from tunewise.retrieval.embed import Embedder, load_embedder
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
MIN_JUDGED = 150
"""Rows that judge what came, at least."""
LARGEST = 0.8
"""Of N: what a fold's largest part holds."""
STRENGTH = 10.0
"""C of every classifier: nothing is chosen on rows that judge."""


class Remembered:
    """An embedder that reads each text once."""

    def __init__(self, inner: Embedder) -> None:
        self.inner, self.name = inner, inner.name
        self.known: dict[str, NDArray[np.float32]] = {}

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """See `Embedder.encode`."""
        new = [text for text in dict.fromkeys(texts) if text not in self.known]
        self.known |= dict(zip(new, self.inner.encode(new), strict=True))
        return np.stack([self.known[text] for text in texts])


def main() -> None:
    """Prints a row for each data set."""
    given = arguments()
    embedder = Remembered(load_embedder())
    print("| set | label | N | promised by doubling, 90% | brought | within |")
    print("|---|---|---:|---:|---:|---:|")
    held = asked = 0
    for name, key in TASKS:
        rows = labelled(given.data / name, key)
        for repeat in range(given.repeats):
            told, inside = one_test(rows, embedder, given.rows, repeat)
            print(f"| {name} | {key or 'answer'} | {told}", flush=True)
            held, asked = held + inside, asked + 1
    print(f"\nWithin the band: {held} of {asked}.")


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--rows", type=int, nargs="+", default=[100, 200, 400])
    parser.add_argument("--repeats", type=int, default=3)
    return parser.parse_args()


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


def one_test(
    rows: Sequence[Example], embedder: Embedder, sizes: Sequence[int], repeat: int
) -> tuple[str, bool]:
    """The rest of a row of the table, and whether what came lies within what was promised."""
    rng = np.random.default_rng([repeat, len(rows)])
    shuffled = [rows[int(n)] for n in rng.permutation(len(rows))]
    fitting = [size for size in sizes if size + LARGEST * size + MIN_JUDGED <= len(rows)]
    size = fitting[repeat % len(fitting)]
    sample, others = shuffled[:size], shuffled[size:]
    labels = sorted({row.target for row in rows})
    metric = metric_named("accuracy", labels)

    def learn(learned: Sequence[Example], asked: Sequence[Example]) -> list[str | None]:
        race = Race(asked, metric=metric, margin=1.0)
        classifier = Classifier(
            metric=metric, labels=labels, strengths=(STRENGTH,), load=lambda: embedder
        )
        made = classifier.fit(learned, race)
        return [one.text for one in made.answer([row.input for row in asked], seed=0)]

    curve = measure_curve(
        learn,
        rounds_by_folds(sample, {}, rounds=2, rng=rng),
        {},
        metric,
        minimum_gain=0.05,
        rng=rng,
    ).curve
    assert curve is not None
    grown = curve.growth(2 * curve.rows)
    low, middle, high = (float(np.quantile(grown, level)) for level in (0.05, 0.5, 0.95))
    extra = others[: curve.rows]
    judged = others[curve.rows :]
    targets = [row.target for row in judged]
    (once, twice), error = _brought(learn, metric, sample[: curve.rows], extra, judged, targets)
    came = twice - once
    inside = low - error <= came <= high + error
    told = f"{100 * middle:+.1f} ({100 * low:+.1f} to {100 * high:+.1f})"
    brought = f"{100 * came:+.1f} ± {100 * error:.1f}"
    return f"{size} | {told} | {brought} | {inside} |", inside


def _brought(
    learn: Any,
    metric: Any,
    first: Sequence[Example],
    extra: Sequence[Example],
    judged: Sequence[Example],
    targets: Sequence[str],
) -> tuple[tuple[float, float], float]:
    """Quality with the rows and with twice as many, and 1.645 standard errors of the difference."""
    answers = [learn(part, judged) for part in (first, [*first, *extra])]
    once, twice = (quality(metric, some, targets) for some in answers)
    scores = [
        np.array([metric.score(a, t).value for a, t in zip(some, targets, strict=True)])
        for some in answers
    ]
    spread = float(np.std(scores[1] - scores[0], ddof=1)) / len(judged) ** 0.5
    return (once, twice), 1.645 * spread


if __name__ == "__main__":
    main()
