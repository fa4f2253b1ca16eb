"""What a training brought: the trained model against its base on rows that neither has learnt from.

The comparison is the one that `decide` makes between its two final contenders. It gives no advice.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tunewise.chat.prompts import Prompt
from tunewise.contenders.answering import PromptStrategy, answer_limit, texts
from tunewise.data.fingerprints import item_hash, preference_hash
from tunewise.data.prepare import Prepared
from tunewise.data.splitting.units import own_unit
from tunewise.decision.comparisons import compare, prepare
from tunewise.decision.plan import Measured, Plan
from tunewise.errors import UserError
from tunewise.evaluation.likelihood import LikelihoodPair, Which
from tunewise.evaluation.measure import measure
from tunewise.metrics.by_name import metric_of
from tunewise.models.catalog import LocalModel
from tunewise.models.engines.open import EngineOpener, open_engine
from tunewise.models.loading import load_tokenizer
from tunewise.progress import Progress
from tunewise.statistics.intervals import Interval
from tunewise.training.rows import pair_rows
from tunewise.types import Comparison, Preference
from tunewise.wording import difference, percent, plural

BASE, TRAINED = "base", "fine_tune"
PREFERS = "prefers_the_chosen_answer"
"""Metric of pairs: whether the better answer is the more probable one of the two."""
CONFIDENCE = 0.95
_ONLY = 0  # the seed: each has one
Finding = Literal["better", "worse", "no_difference_shown"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Quality:
    """The metric of one model, with its 95% interval where rows are enough for one."""

    value: float
    low: float | None
    high: float | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Proof:
    """A held-out comparison."""

    finding: Finding
    """Whether the interval of the difference lies above 0, below it, or neither."""
    sentence: str
    """The same for people, with the numbers."""
    metric: str
    n_test: int
    """Held-out rows."""
    base: Quality
    trained: Quality
    comparison: Comparison
    """Of `fine_tune` with `base`, by the statistics of `decide`."""
    held_out: str
    """sha256 of the held-out rows: who measures on the same ones again sees the same here."""


def prove(
    prepared: Prepared,
    adapter: Path,
    *,
    progress: Progress,
    opener: EngineOpener = open_engine,
) -> Proof:
    """Asks base and trained model every row of test, with the row's own messages and nothing else.

    Args:
        prepared: from `prepare_for_training`; its test was not trained on.
        adapter: what was trained.
        progress: shows how many rows are done.
        opener: opens the engine of the base model.

    Raises:
        UserError: the engine cannot be opened, or not one answer came back.
    """
    splits = prepared.splits
    metric = metric_of(prepared.project)
    inputs = [example.input for example in splits.test]
    targets = [example.target for example in splits.test]
    measured: list[Measured] = []
    with opener(prepared.project.model, progress=progress) as opened:
        for name, weights in ((BASE, None), (TRAINED, adapter)):
            strategy = PromptStrategy(
                prompts=lambda asked: [Prompt(messages=i.messages, tools=i.tools) for i in asked],
                max_tokens=answer_limit(opened.engine, splits.train),
                adapters={_ONLY: weights},
            )
            with progress.task(f"{name}: held-out rows", total=len(inputs)) as advance:
                answers = strategy.ask(opened.engine, name, inputs, seed=_ONLY, advance=advance)
            if all(answer.text is None for answer in answers):
                why = next((answer.error for answer in answers if answer.error), "no reason given")
                raise UserError(f"{name}: no answer came back to the held-out rows ({why}).")
            measured.append(
                measure(
                    name,
                    {_ONLY: texts(answers)},
                    targets,
                    metric,
                    trained=name == TRAINED,
                    ceiling=False,
                )
            )
    return _proof(
        measured,
        metric.name,
        binary=metric.binary and metric.aggregate is None,
        groups=splits.units_of(splits.test),
        held_out=_fingerprint([item_hash(example) for example in splits.test]),
    )


def prove_pairs(
    pairs: Sequence[Preference], model: LocalModel, adapter: Path, *, progress: Progress
) -> Proof:
    """Asks base and trained model which of two answers they find more probable.

    Args:
        pairs: held out.
        model: the base.
        adapter: what was trained.
        progress: shows how many pairs are done.

    Raises:
        UserError: a pair does not fit the context, or the adapter is of another base.
    """
    rows = pair_rows(load_tokenizer(model.folder), pairs, context_tokens=model.context_tokens)
    measured: list[Measured] = []
    asked: tuple[tuple[str, Which], ...] = ((BASE, "base"), (TRAINED, "trained"))
    with LikelihoodPair(model, adapter) as both:
        for name, which in asked:
            with progress.task(f"{name}: held-out pairs", total=len(rows)) as advance:
                found = both.row_log_probabilities(which, rows, advance=advance)
            scores = [float(chosen > rejected) for chosen, rejected in found]
            measured.append(Measured(name=name, trained=name == TRAINED, scores={_ONLY: scores}))
    return _proof(
        measured,
        PREFERS,
        binary=True,
        groups=[own_unit(pair) for pair in pairs],
        held_out=_fingerprint([preference_hash(pair) for pair in pairs]),
    )


def _proof(
    measured: Sequence[Measured],
    metric: str,
    *,
    binary: bool,
    groups: Sequence[str | None],
    held_out: str,
) -> Proof:
    plan = Plan(
        incumbent=BASE,
        challenger=TRAINED,
        ships={BASE: _ONLY, TRAINED: _ONLY},
        seeds={BASE: 1, TRAINED: 1},
        seeds_wanted=1,
        dev_quality={},
    )
    bench = prepare(plan, measured, binary=binary, groups=groups, confidence=CONFIDENCE)
    (comparison,) = compare(bench, metric)
    qualities = [bench.quality(name) for name in (BASE, TRAINED)]
    base, trained = (
        Quality(value=one.value, low=one.low, high=one.high)
        if isinstance(one, Interval)
        else Quality(value=one.value, low=None, high=None)
        for one in qualities
    )
    finding: Finding = "no_difference_shown"
    if comparison.computed and comparison.low > 0.0:
        finding = "better"
    elif comparison.computed and comparison.high < 0.0:
        finding = "worse"
    return Proof(
        finding=finding,
        sentence=_sentence(finding, base, trained, comparison),
        metric=metric,
        n_test=comparison.n,
        base=base,
        trained=trained,
        comparison=comparison,
        held_out=held_out,
    )


def _sentence(finding: Finding, base: Quality, trained: Quality, found: Comparison) -> str:
    verdict = {
        "better": "The fine-tuned model is better than its base",
        "worse": "The fine-tuned model is worse than its base",
        "no_difference_shown": "No difference between the fine-tuned model and its base is shown",
    }[finding]
    values = f"{percent(trained.value)} against {percent(base.value)}"
    where = f"{found.metric} on {plural(found.n, 'held-out row')}"
    if not found.computed:
        return f"{verdict}: {values} ({where}); no interval: {found.method.partition(': ')[2]}."
    return f"{verdict}: {values} ({where}), {difference(found)}."


def _fingerprint(hashes: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(sorted(hashes)).encode()).hexdigest()
