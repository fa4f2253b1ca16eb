"""Tests what a curve says of twice the rows on public data sets; prints a Markdown table.

    .venv/bin/python benchmarks/learning_curves.py --data ../shared/data

From a data set's rows a sample of N is taken as if it were all there is; the classifier's curve
over it is drawn by folds. Then the classifier learns from as many rows as a fold's largest part
held, and from twice as many, and answers rows of the data set that the curve never
saw: what twice the rows brought there, beside the 90% band that was promised. `--repeats` samples
are drawn of each set.
"""

import argparse
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tunewise.contenders.classifier import Classifier
from tunewise.contenders.protocol import NotApplicable
from tunewise.contenders.race import Race
from tunewise.data.read import read_examples
from tunewise.evaluation.learning_curve import measure_curve, rounds_by_folds
from tunewise.metrics.by_name import metric_named, quality
from tunewise.retrieval.embed import Embedder, load_embedder
from tunewise.types import Example

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
    print("| set | metric | N | promised by doubling, 90% | brought | within |")
    print("|---|---|---:|---:|---:|---:|")
    held = asked = 0
    for name in given.sets or sorted(one.name for one in given.data.iterdir() if one.is_dir()):
        rows = usable(given.data / name)
        for repeat in range(given.repeats if rows else 0):
            try:
                row, inside = one_test(name, rows, embedder, given.rows, repeat)
            except NotApplicable as reason:
                print(f"{name}: left out, {reason.reason}", flush=True)
                break
            print(row, flush=True)
            held, asked = held + inside, asked + 1
    print(f"\nWithin the band: {held} of {asked}.")


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--sets", nargs="*", default=[])
    parser.add_argument("--rows", type=int, nargs="+", default=[100, 200, 400])
    parser.add_argument("--repeats", type=int, default=3)
    return parser.parse_args()


def usable(folder: Path) -> list[Example]:
    """All rows of a data set with an answer each, in the order of its files."""
    files = [folder / f"{part}.jsonl" for part in ("train", "test")]
    if not all(file.is_file() for file in files):
        return []
    read: list[Example] = []
    for file in files:
        try:
            read += read_examples(file).examples
        except Exception as error:  # noqa: BLE001 -- a set of another kind, such as pairs
            print(f"{folder.name}: left out, {str(error).splitlines()[0]}", flush=True)
            return []
    unlike: dict[str, Example] = {}
    for row in read:
        unlike.setdefault(row.input.text, row)
    return list(unlike.values())


def one_test(
    name: str, rows: Sequence[Example], embedder: Any, sizes: Sequence[int], repeat: int
) -> tuple[str, bool]:
    """A row of the table, and whether what came lies within what was promised."""
    rng = np.random.default_rng([repeat, len(rows)])
    shuffled = [rows[int(n)] for n in rng.permutation(len(rows))]
    fitting = [size for size in sizes if 2 * LARGEST * size + size <= len(rows)]
    if not fitting:
        raise NotApplicable(f"{len(rows)} rows are too few")
    size = fitting[repeat % len(fitting)]
    sample, others = shuffled[:size], shuffled[size:]
    labels = sorted({row.target for row in rows})
    closed = len(labels) <= len(rows) / 3 and not labels[0].startswith("{")
    metric = metric_named("accuracy" if closed else "json_fields", labels if closed else None)

    def learn(learned: Sequence[Example], asked: Sequence[Example]) -> list[str | None]:
        race = Race(asked, metric=metric, margin=1.0)
        classifier = Classifier(metric=metric, strengths=(STRENGTH,), load=lambda: embedder)
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
    if curve is None:
        raise NotApplicable("too few parts")
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
    return f"| {name} | {metric.name} | {size} | {told} | {brought} | {inside} |", inside


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
