"""Compares training settings over data sets by their dev scores: what should `auto` mean?

    python benchmarks/defaults.py --data ../shared/data --out build/defaults
    python benchmarks/defaults.py --out build/defaults --table

Every training takes the same 300 rows, and answers the same 100 dev rows at the same points as in
`decide`; the best point counts. Test rows are never read. Each finished one is a line in
`scores.jsonl`, and is not repeated; several processes may work on different sets. The data sets are
not part of this repository (benchmarks/README.md).
"""

import argparse
import json
import random
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
TRAIN, DEV = 300, 100
SETS = {
    "support_triage": "json_fields",
    "snips_json": "json_fields",
    "eshop_triage": "json_fields",
    "banking10": "accuracy",
    "cuad_clauses": "accuracy",
    "contoso": "token_f1",
    "mts_dialog": "rouge_l",
    "eshop_summary": "rouge_l",
}
ARMS: dict[str, tuple[float, Callable[[Sequence[int]], int]] | None] = {
    "5e-4, twentieth": (5e-4, lambda tokens: twentieth(tokens)),
    "auto": None,
    "1e-3, twentieth": (1e-3, lambda tokens: twentieth(tokens)),
    "5e-4, 512": (5e-4, lambda tokens: 512),
    "1e-3, 512": (1e-3, lambda tokens: 512),
    "1e-3, 256": (1e-3, lambda tokens: 256),
    "2e-3, 512": (2e-3, lambda tokens: 512),
    "1e-3, 8 rows": (1e-3, lambda tokens: 8 * sum(tokens) // len(tokens)),
}
"""Learning rate, and tokens of a step by those of each row; None: what `auto` means today. The
first one was the default when the others were compared with it."""
RESAMPLES = 10_000


def main() -> None:
    """Trains what is missing, then prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--sets", nargs="+", default=list(SETS), choices=list(SETS))
    parser.add_argument("--arms", nargs="+", default=list(ARMS), choices=list(ARMS))
    parser.add_argument("--out", type=Path, default=Path("build/defaults"))
    parser.add_argument("--table", action="store_true", help="only print what is there")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    file = given.out / "scores.jsonl"
    for name in [] if given.table else given.sets:
        for arm in given.arms:
            if any((one["set"], one["arm"]) == (name, arm) for one in finished(file)):
                continue
            began = time.perf_counter()
            scores, points = train_and_score(name, arm, given.data)
            line = {"set": name, "arm": arm, "seconds": time.perf_counter() - began}
            with file.open("a", encoding="utf-8") as out:
                out.write(json.dumps({**line, "scores": scores, "points": points}) + "\n")
            print(f"{name}, {arm}: {np.mean(scores):.3f}", flush=True)
    print(table(finished(file)))


def twentieth(tokens: Sequence[int]) -> int:
    """Of all tokens, from 512 to 2048."""
    return min(2048, max(512, 256 * round(sum(tokens) / 20 / 256)))


def finished(file: Path) -> list[dict[str, Any]]:
    """The trainings that are done."""
    lines = file.read_text("utf-8").splitlines() if file.exists() else []
    return [json.loads(line) for line in lines]


def rows_of(name: str, data: Path) -> tuple[list[Any], list[Any]]:
    """(train, dev) of one set: a seeded sample of its training rows alone."""
    from tunewise.data.prepare import prepare
    from tunewise.data.read import read_examples
    from tunewise.project.load import load_project

    if name == "support_triage":
        splits = prepare(load_project(ROOT / "examples" / name)).splits
        return list(splits.train), list(splits.dev)
    folder = data / ("banking77" if name == "banking10" else name)
    examples = list(read_examples(folder / "train.jsonl").examples)
    if name == "banking10":
        common = Counter(example.target for example in examples).most_common(10)
        labels = {label for label, _ in common}
        examples = [example for example in examples if example.target in labels]
    random.Random(0).shuffle(examples)
    dev = min(DEV, len(examples) // 4)
    return examples[dev : dev + TRAIN], examples[:dev]


def train_and_score(name: str, arm: str, data: Path) -> tuple[list[float], list[dict[str, Any]]]:
    """Scores of each dev row at the best point, and the points."""
    from tunewise.contenders.fine_tune import FineTune
    from tunewise.evaluation.measure import measure
    from tunewise.metrics.by_name import metric_named
    from tunewise.models.engines.open import open_engine
    from tunewise.models.loading import load_tokenizer
    from tunewise.progress import Silent
    from tunewise.project.settings import Model, TrainingSettings
    from tunewise.training.rows import example_rows

    train, dev = rows_of(name, data)
    opened = open_engine(Model(), progress=Silent())
    assert opened.model is not None
    tokenizer = load_tokenizer(opened.model.folder)
    tokens = [row.tokens for row in example_rows(tokenizer, train)]
    settings = TrainingSettings()
    if chosen := ARMS[arm]:
        settings = TrainingSettings(learning_rate=chosen[0], batch_tokens=chosen[1](tokens))
    with tempfile.TemporaryDirectory() as folder:
        metric = metric_named(SETS[name], folder=Path(folder))
        fitted = FineTune(
            name="fine_tune",
            engine=opened.engine,
            metric=metric,
            model=opened.model,
            tokenizer=tokenizer,
            settings=settings,
            budget_tokens=10**9,
            folder=Path(folder),
            progress=Silent(),
        ).fit(train, dev)
        answers = fitted.fit.dev_answers[1]
        on_dev = measure(
            arm, {1: answers}, [row.target for row in dev], metric, trained=True, ceiling=False
        )
    return [float(score) for score in on_dev.values(1)], list(fitted.fit.trials)


def table(done: Sequence[dict[str, Any]]) -> str:
    """Dev scores, and each arm's gain over the first, with a paired interval over rows and sets."""
    scores = {(one["set"], one["arm"]): np.array(one["scores"]) for one in done}
    first, *others = (arm for arm in ARMS if any(key[1] == arm for key in scores))
    lines = [f"| set | {' | '.join([first, *others])} |", "|---|" + "---:|" * (1 + len(others))]
    for name in SETS:
        found = [scores.get((name, arm)) for arm in (first, *others)]
        rows = next((len(one) for one in found if one is not None), 0)
        cells = ["" if one is None else f"{one.mean():.3f}" for one in found]
        lines.append(f"| {name} ({rows} rows) | {' | '.join(cells)} |")
    rng = np.random.default_rng(0)
    for arm in others:
        both = [name for name in SETS if {(name, first), (name, arm)} <= scores.keys()]
        gains = [scores[name, arm] - scores[name, first] for name in both]
        if not gains:
            continue
        drawn = np.mean(
            [rng.choice(gain, (RESAMPLES, len(gain))).mean(axis=1) for gain in gains], axis=0
        )
        low, high = np.quantile(drawn, [0.025, 0.975])
        ahead = sum(gain.mean() > 0 for gain in gains)
        mean = np.mean([gain.mean() for gain in gains])
        lines.append(
            f"\n{arm}: {mean:+.3f} over {first} ({low:+.3f} to {high:+.3f}, rows resampled in "
            f"each set), ahead on {ahead} of {len(both)}."
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
