"""Shows on real data that dpo, cpt and distill do what they are for.

    python benchmarks/methods.py --data FOLDER [--only dpo cpt distill]

dpo: the share of held-out pairs of llmbar_pref whose chosen answer has the higher implicit reward.
cpt: perplexity of one manual of contoso that was left out, before and after training on the
others. distill: KL of the teacher (8 nearest examples in the prompt) to the student without
examples, before and after, on snips_json. Each with a 95% interval. The data sets are not part of
this repository.
"""

import argparse
import math
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

ROOT = Path(__file__).resolve().parent.parent
RANK, ALPHA = 16, 32.0
MAX_PAIR = 600
"""Tokens of both answers with their prompts, in training."""


def main() -> None:
    """Runs what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--only", nargs="+", default=list(METHODS), choices=list(METHODS))
    given = parser.parse_args()
    for name in given.only:
        began = time.perf_counter()
        with tempfile.TemporaryDirectory() as folder:
            print(f"{name}: {METHODS[name](given.data, Path(folder))}", flush=True)
        print(f"  {time.perf_counter() - began:.0f} s", flush=True)


def base() -> Any:
    """The starter model."""
    from tunewise.models.catalog import open_model
    from tunewise.progress import Silent
    from tunewise.project.settings import STARTER_MODEL

    return open_model(STARTER_MODEL, progress=Silent())


def trained(rows: Sequence[Any], folder: Path, **settings: Any) -> Any:
    """A training at its end, told on the way."""
    from tunewise.training.loop import Training
    from tunewise.training.recipe import Recipe

    recipe = Recipe(seed=1, rank=RANK, alpha=ALPHA, **settings)

    def tell(event: Any) -> None:
        if event["event"] in ("step", "epoch"):
            shown = {k: event[k] for k in ("step", "loss", "tokens_per_second") if k in event}
            print(f"    {shown}", flush=True)

    training = Training(base(), rows, recipe, folder, watchers=[tell])
    for _ in range(recipe.epochs):
        training.run_epoch()
    return training


def untrained(rows: Sequence[Any], asked: Sequence[Any], folder: Path) -> list[tuple[float, ...]]:
    """Log-probabilities of `asked` before any training."""
    from tunewise.training.loop import Training
    from tunewise.training.recipe import Recipe

    recipe = Recipe(learning_rate=1e-9, epochs=1, batch_tokens=1024, seed=1)
    return Training(base(), rows, recipe, folder / "before").log_probabilities(asked)


def dpo(data: Path, folder: Path) -> str:
    """Held-out pairs with a higher implicit reward for the chosen answer."""
    from tunewise.data.read import read_preferences
    from tunewise.models import loading
    from tunewise.statistics.intervals import clopper_pearson
    from tunewise.training.rows import Row, pair_rows

    model = base()
    tokenizer = loading.load_tokenizer(model.folder)

    def rows_of(name: str) -> list[Row]:
        pairs = read_preferences([data / "llmbar_pref" / name]).rows
        return pair_rows(tokenizer, pairs, context_tokens=model.context_tokens)

    # All pairs of test; of train those that are quick to learn from.
    train, test = rows_of("train.jsonl"), rows_of("test.jsonl")
    train = [row for row in train if row.tokens <= MAX_PAIR]
    before = untrained(train, test, folder)
    training = trained(
        train, folder / "dpo", method="dpo", learning_rate=2e-4, epochs=1, batch_tokens=4096
    )
    after = training.log_probabilities(test)
    ahead = [(a[0] - b[0]) > (a[1] - b[1]) for a, b in zip(after, before, strict=True)]
    interval = clopper_pearson(sum(ahead), len(ahead))
    return (
        f"{sum(ahead)} of {len(ahead)} held-out pairs ({sum(ahead) / len(ahead):.1%}, "
        f"{interval.low:.1%} to {interval.high:.1%})"
    )


def cpt(data: Path, folder: Path) -> str:
    """Perplexity of a manual that was left out."""
    from tunewise.data.documents.read import read_documents, whole_text
    from tunewise.models import loading
    from tunewise.training.rows import text_rows

    tokenizer: Any = loading.load_tokenizer(base().folder)
    documents = read_documents(data / "contoso" / "docs")
    texts = {document.name: whole_text(document).text for document in documents}
    lengths = {name: len(text) for name, text in texts.items()}
    left_out = sorted(lengths, key=lambda name: lengths[name])[len(lengths) // 2]

    def rows_of(names: Sequence[str]) -> list[Any]:
        ids = [tokenizer.encode(texts[name], add_special_tokens=False) for name in names]
        return text_rows(names, ids, block_tokens=512)

    train, held = rows_of([name for name in texts if name != left_out]), rows_of([left_out])
    before = untrained(train, held, folder)
    training = trained(
        train, folder / "cpt", method="cpt", learning_rate=5e-4, epochs=2, batch_tokens=4096
    )
    after = training.log_probabilities(held)
    tokens = np.array([row.loss_tokens for row in held])
    was, now = (-np.array([v[0] for v in some]) for some in (before, after))
    low, high = bootstrap(was - now, tokens)
    return (
        f"{left_out} ({tokens.sum()} tokens): perplexity {math.exp(was.sum() / tokens.sum()):.2f} "
        f"-> {math.exp(now.sum() / tokens.sum()):.2f}; gain a token {low:.3f} to {high:.3f} nats"
    )


def distill(data: Path, folder: Path) -> str:
    """KL of the teacher to the student, a dev row, before and after."""
    import torch

    from tunewise.chat.prompts import shown_examples
    from tunewise.chat.tokenize import answer_tokens
    from tunewise.data.read import read_examples
    from tunewise.models import loading
    from tunewise.retrieval.embed import load_embedder
    from tunewise.retrieval.index import ExampleIndex
    from tunewise.training.loop import Training
    from tunewise.training.objectives import Distill, totals_of
    from tunewise.training.packing import pack
    from tunewise.training.rows import Row

    tokenizer = loading.load_tokenizer(base().folder)
    examples = list(read_examples(data / "snips_json" / "train.jsonl").examples)
    train, dev = examples[:300], examples[300:380]
    index = ExampleIndex(train, load_embedder())

    def rows_of(some: Sequence[Any]) -> list[Row]:
        found = index.nearest_many([e.input.text for e in some], 9)
        made: list[Row] = []
        for example, near in zip(some, found, strict=True):
            others = [n for n in near if n.id != example.id][:8]
            prompt = shown_examples("", others, example.input)
            student = answer_tokens(tokenizer, example.messages, example.target)
            teacher = answer_tokens(tokenizer, prompt, example.target)
            made.append(Row(id=example.id, sequences=(student, teacher)))
        return made

    rows, held = rows_of(train), rows_of(dev)

    def apart(training: Training) -> Any:
        training.log_probabilities(held[:1])  # loads
        model = training._model
        model.eval()
        values: list[float] = []
        for row in held:
            batch = pack([row])
            with torch.no_grad(), training._autocast():
                values.append(float(Distill().loss(model, batch, totals_of([batch])[False])))
        return np.array(values)

    from tunewise.training.recipe import Recipe

    recipe = Recipe(learning_rate=1e-9, epochs=1, batch_tokens=4096, seed=1, method="distill")
    before = apart(Training(base(), rows, recipe, folder / "before"))
    training = trained(
        rows, folder / "distill", method="distill", learning_rate=5e-4, epochs=1, batch_tokens=8192
    )
    after = apart(training)
    low, high = bootstrap(before - after, np.ones(len(held)))
    return (
        f"KL to the teacher {before.mean():.3f} -> {after.mean():.3f} nats a token on {len(held)} "
        f"dev rows; nearer by {low:.3f} to {high:.3f}"
    )


def bootstrap(gains: Any, weights: Any) -> tuple[float, float]:
    """95% interval of sum(gains) / sum(weights) over rows, percentile bootstrap."""
    rng = np.random.default_rng(0)
    drawn = rng.integers(len(gains), size=(10_000, len(gains)))
    ratios = gains[drawn].sum(1) / weights[drawn].sum(1)
    return float(np.quantile(ratios, 0.025)), float(np.quantile(ratios, 0.975))


METHODS = {"dpo": dpo, "cpt": cpt, "distill": distill}

if __name__ == "__main__":
    main()
