"""The starter model, tuned once for all tests on the short messages of a shop's mail."""

import json
from dataclasses import dataclass
from pathlib import Path

from filelock import FileLock

from places import ROOT
from tunewise.metrics.by_name import metric_named
from tunewise.metrics.metric import Metric
from tunewise.models import loading
from tunewise.models.catalog import LocalModel
from tunewise.training.loop import Training
from tunewise.training.recipe import Recipe
from tunewise.training.rows import example_rows
from tunewise.types import Example, Message

TRIAGE = ROOT / "examples" / "support_triage" / "examples.jsonl"
TRAINED, ASKED = 60, 100
RANK, ALPHA = 8, 24.0


@dataclass(frozen=True, kw_only=True)
class TunedStarter:
    """What the starter model learnt, and what it can be asked. Read only."""

    base: LocalModel
    adapter: Path
    """Its alpha / r is 3, so that a path that forgets the scale cannot pass."""
    asked: tuple[Example, ...]
    """Messages that it did not learn from."""
    metric: Metric
    """Scores its answers."""


def tuned_starter_in(folder: Path, starter: LocalModel) -> TunedStarter:
    """The tuned model in a folder that processes share: the first one trains it."""
    records = [json.loads(line) for line in TRIAGE.read_text("utf-8").splitlines()]
    examples = [
        Example(
            id=record["id"],
            messages=(Message(role="user", content=record["input"]),),
            target=json.dumps(record["output"], ensure_ascii=False),
        )
        for record in records
    ]
    examples.sort(key=lambda e: len(e.messages[0].content))  # the short ones: time is dear
    train, asked = examples[0 : 2 * TRAINED : 2], examples[1 : 2 * ASKED : 2]
    assert not {e.id for e in train} & {e.id for e in asked}
    adapter = folder / "adapter"
    with FileLock(folder / "lock"):
        if not (folder / "done").exists():
            _train(starter, train, folder, adapter)
            (folder / "done").touch()
    return TunedStarter(
        base=starter,
        adapter=adapter,
        asked=tuple(asked),
        metric=metric_named("json_fields", None, folder=TRIAGE.parent),
    )


def _train(starter: LocalModel, train: list[Example], folder: Path, adapter: Path) -> None:
    recipe = Recipe(learning_rate=2e-3, epochs=3, batch_tokens=512, seed=1, rank=RANK, alpha=ALPHA)
    rows = example_rows(loading.load_tokenizer(starter.folder), train)
    training = Training(starter, rows, recipe, folder / "work")
    for _ in range(recipe.epochs):
        training.run_epoch()
    training.save(adapter)
    training.close()
