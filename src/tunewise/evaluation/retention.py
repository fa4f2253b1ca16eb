"""What a training cost in general ability: a base and what was trained from it, on the same suite.

Answers and likelihoods of the base are kept in the cache by their content, so that a model pays
for them once; those of the trained model are kept in the run, so that a resumed one goes on.
"""

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from filelock import FileLock

from tunewise.decision.retention import judge_kept, near_floor
from tunewise.evaluation.likelihood import LikelihoodPair, Which, Written, right_share
from tunewise.evaluation.suite.items import Asked, Suite, answer_tokens, request_text
from tunewise.evaluation.suite.questions import Question
from tunewise.models.catalog import LocalModel
from tunewise.models.engines.cached import JournalEngine
from tunewise.models.engines.protocol import Engine, Request, Sampling
from tunewise.models.prepared import cache_folder
from tunewise.models.stored import adapter_hash
from tunewise.progress import Progress
from tunewise.runs.retention import AbilityKept, Drift, Estimate, KindKept, RetentionResult
from tunewise.statistics.flips import flips, mean_change, mean_interval, share
from tunewise.statistics.intervals import FloatArray
from tunewise.storage import append_lines, read_lines
from tunewise.text.answer_text import split_thoughts
from tunewise.types import Failure, Message

AT_ONCE = 64
"""Requests that the engine gets at a time, so that progress can be told."""
DRIFT_TEXTS = 60
"""Texts of the base on which the screening compares all probabilities; the whole suite: all."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Compared:
    """One item, answered by both models."""

    ability: str
    kind: str
    unit: str
    """The question: asked in two ways it is one."""
    floor: float
    before: bool
    after: bool


def measure_retention(
    adapter: Path,
    *,
    engine: Engine,
    model: LocalModel,
    suite: Suite,
    margin: float,
    folder: Path,
    progress: Progress,
    cache: Path | None = None,
) -> RetentionResult:
    """Asks base and trained model the suite, and says what was lost.

    Args:
        adapter: what was trained from the base.
        engine: runs the base.
        model: the base on this machine.
        suite: what is asked.
        margin: general ability that may be lost, as a share.
        folder: of the run, where the trained model's answers are kept.
        progress: shows how many items are done.
        cache: where the base's are kept; None: `cache_folder()`.

    Raises:
        UserError: the adapter does not belong to the base.
    """
    kept = (cache or cache_folder()) / "general" / model.sha256[:16]
    kept.mkdir(parents=True, exist_ok=True)
    total = 2 * suite.size
    with progress.task("what it forgot", total=total) as advance:
        with FileLock(kept / f"{engine.name}.lock"):
            journal = JournalEngine(engine, kept / f"{engine.name}.jsonl")
            base = generated(journal, suite.by_generation, None, advance)
        journal = JournalEngine(engine, folder / "general-answers.jsonl")
        trained = generated(journal, suite.by_generation, adapter, advance)
        engine.unload()
        with LikelihoodPair(model, adapter) as pair:
            questions = [one for one in suite.by_likelihood if pair.fits(one)]
            advance(2 * (len(suite.by_likelihood) - len(questions)))
            with FileLock(kept / "likelihoods.lock"):
                before = _likelihoods(
                    pair, "base", questions, kept / "likelihoods.jsonl", "", advance
                )
            after = _likelihoods(
                pair,
                "trained",
                questions,
                folder / "general-likelihoods.jsonl",
                adapter_hash(adapter),
                advance,
            )
            texts = [
                Written(asked=request_text(asked), text=said)
                for asked, said in zip(suite.by_generation, base, strict=True)
                if said
            ]
            distances = pair.divergence(texts if suite.is_whole else texts[:DRIFT_TEXTS])
    return _result(suite, (base, trained), questions, (before, after), distances, margin=margin)


def generated(
    engine: Engine,
    asked: Sequence[Asked],
    adapter: Path | None,
    advance: Callable[[int], object],
) -> list[str | None]:
    """(asked,) the greedy answer to each, without its thoughts; None where a request failed.

    Args:
        engine: asked.
        asked: questions and instructions.
        adapter: what was trained; None: the base answers.
        advance: told of every few that are done.
    """
    thoughts = min(engine.thinking_tokens, engine.context_tokens // 4)
    requests = [
        Request(
            messages=(Message(role="user", content=request_text(one)),),
            adapter=adapter,
            sampling=Sampling(max_tokens=answer_tokens(one) + thoughts),
        )
        for one in asked
    ]
    said: list[str | None] = []
    for start in range(0, len(requests), AT_ONCE):
        some = requests[start : start + AT_ONCE]
        for result in engine.generate(some):
            failed = isinstance(result, Failure)
            said.append(None if failed else (split_thoughts(result.text).answer or "").strip())
        advance(len(some))
    return said


def _likelihoods(
    pair: LikelihoodPair,
    which: Which,
    questions: Sequence[Question],
    file: Path,
    weights: str,
    advance: Callable[[int], object],
) -> list[tuple[float, ...]]:
    """Nats of every choice, those in the file as they are; the others are asked and added."""
    known = {str(line["key"]): tuple(line["nats"]) for line in read_lines(file)}
    keys = [_key(pair.identity, weights, question) for question in questions]
    new = [n for n, key in enumerate(keys) if key not in known]
    advance(len(questions) - len(new))
    if new:
        found = pair.choice_log_probabilities(which, [questions[n] for n in new], advance=advance)
        lines = [{"key": keys[n], "nats": nats} for n, nats in zip(new, found, strict=True)]
        append_lines(file, lines)
        known |= {keys[n]: nats for n, nats in zip(new, found, strict=True)}
    return [known[key] for key in keys]


def _key(identity: str, weights: str, question: Question) -> str:
    parts = [identity, weights, question.text, *question.choices]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]


def _result(
    suite: Suite,
    said: tuple[Sequence[str | None], Sequence[str | None]],
    questions: Sequence[Question],
    nats: tuple[Sequence[tuple[float, ...]], Sequence[tuple[float, ...]]],
    distances: FloatArray,
    *,
    margin: float,
) -> RetentionResult:
    answered = [
        (asked, one, other)
        for asked, one, other in zip(suite.by_generation, *said, strict=True)
        if one is not None and other is not None
    ]
    items = [
        *(
            _compared(question, _prefers(before, question), _prefers(after, question))
            for question, before, after in zip(questions, *nats, strict=True)
        ),
        *(_compared(asked, asked.right(one), asked.right(other)) for asked, one, other in answered),
    ]
    found = flips(*_arrays(items), [_cluster(one.ability, one.kind) for one in items])
    floor = float(np.mean([one.floor for one in items]))
    judged = judge_kept(found.change, margin=margin, base=found.before, floor=floor)
    return RetentionResult(
        state=judged.state,
        warns=judged.warns,
        little_to_forget=judged.little_to_forget,
        margin=margin,
        suite="whole" if suite.is_whole else "screening",
        items=found.items,
        left_out=suite.size - found.items,
        before=found.before,
        after=found.after,
        floor=floor,
        change=Estimate.of(found.change),
        lost=found.lost,
        won=found.won,
        lost_share=None if found.lost_share is None else Estimate.of(found.lost_share),
        likelihood=_likelihood_change(questions, *nats),
        same_answers=_same_answers(answered),
        drift=_drift(distances),
        abilities=tuple(
            _ability(ability, [one for one in items if one.ability == ability])
            for ability in dict.fromkeys(one.ability for one in items)
        ),
        kinds=_kinds(items),
    )


def _compared(asked: Asked, before: bool, after: bool) -> Compared:
    return Compared(
        ability=asked.ability,
        kind=asked.kind,
        unit=asked.id,
        floor=asked.floor,
        before=before,
        after=after,
    )


def _prefers(nats: Sequence[float], question: Question) -> bool:
    """Whether the right choice is more likely than every other."""
    right = nats[question.answer]
    return all(right > other for n, other in enumerate(nats) if n != question.answer)


def _arrays(items: Sequence[Compared]) -> tuple[FloatArray, FloatArray]:
    before = np.array([one.before for one in items], dtype=np.float64)
    return before, np.array([one.after for one in items], dtype=np.float64)


def _cluster(ability: str, kind: str) -> str:
    return f"{ability}: {kind}"


def _likelihood_change(
    questions: Sequence[Question],
    before: Sequence[tuple[float, ...]],
    after: Sequence[tuple[float, ...]],
) -> Estimate | None:
    if not questions:
        return None
    shares = [
        np.array([right_share(n, q.answer) for n, q in zip(nats, questions, strict=True)])
        for nats in (before, after)
    ]
    clusters = [_cluster(question.ability, question.kind) for question in questions]
    return Estimate.of(mean_change(shares[0], shares[1], clusters))


def _same_answers(answered: Sequence[tuple[Asked, str, str]]) -> Estimate | None:
    if not answered:
        return None
    flags = np.array([one == other for _, one, other in answered], dtype=np.float64)
    return Estimate.of(share(flags, [_cluster(a.ability, a.kind) for a, _, _ in answered]))


def _drift(distances: FloatArray) -> Drift | None:
    if distances.size < 2:
        return None
    found = mean_interval(distances)
    return Drift(
        divergence=found.value,
        low=max(0.0, found.low),
        high=found.high,
        texts=int(distances.size),
    )


def _ability(ability: str, items: Sequence[Compared]) -> AbilityKept:
    found = flips(*_arrays(items), [one.unit for one in items])
    floor = float(np.mean([one.floor for one in items]))
    return AbilityKept(
        ability=ability,
        items=found.items,
        before=found.before,
        after=found.after,
        floor=floor,
        lost=found.lost,
        won=found.won,
        change=Estimate.of(found.change),
        little_to_forget=near_floor(found.before, floor),
    )


def _kinds(items: Sequence[Compared]) -> tuple[KindKept, ...]:
    """The kinds that lost most first."""
    by_kind: dict[tuple[str, str], list[Compared]] = {}
    for one in items:
        by_kind.setdefault((one.ability, one.kind), []).append(one)
    found = [
        KindKept(
            ability=ability,
            kind=kind,
            items=len(some),
            right=sum(one.before for one in some),
            lost=sum(one.before and not one.after for one in some),
            won=sum(one.after and not one.before for one in some),
        )
        for (ability, kind), some in by_kind.items()
    ]
    return tuple(sorted(found, key=lambda one: one.won - one.lost))
