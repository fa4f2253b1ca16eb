"""Picks the test examples worth reading: those on which the contenders disagree.

Both sides get their say: examples that the challenger won alternate with those it lost. The choice
is fixed by the scores and the order of the test file.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import chain, zip_longest

from tunewise.runs.held_out import HeldOut
from tunewise.runs.schema import Run
from tunewise.types import Answer, Score


@dataclass(frozen=True, kw_only=True, slots=True)
class Reply:
    """One answer, and all contenders that gave exactly it."""

    contenders: tuple[str, ...]
    text: str
    """The answer, or what went wrong."""
    crashed: bool
    value: float | None
    """0 to 1 under the primary metric; None when not scorable."""
    reason: str | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Disagreement:
    """One test example with every contender's answer, best first."""

    example: HeldOut
    replies: tuple[Reply, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Disagreements:
    """The chosen examples, and how many there were to choose from."""

    chosen: tuple[Disagreement, ...]
    disagreeing: int
    """Test examples on which at least two contenders score differently."""
    challenger_ahead: int
    incumbent_ahead: int
    compared: int
    """Test examples with answers of at least two contenders."""


def disagreements(run: Run, *, limit: int = 10) -> Disagreements:
    """The examples with the largest differences in score, at most `limit`."""
    seeds = {c.name: _shown_seed(run, c.name) for c in run.measured}
    answers = {
        (a.example_id, a.contender): a for a in run.answers if a.seed == seeds.get(a.contender)
    }
    scores = _primary_scores(run, seeds)
    ahead: list[tuple[float, HeldOut]] = []
    behind: list[tuple[float, HeldOut]] = []
    level: list[tuple[float, HeldOut]] = []
    compared = 0
    for example in run.tests:
        values = {
            name: scores[example.id, name].value or 0.0
            for name in seeds
            if (example.id, name) in scores and (example.id, name) in answers
        }
        compared += len(values) > 1
        spread = max(values.values(), default=0.0) - min(values.values(), default=0.0)
        if spread <= 0:
            continue
        challenger = values.get(run.plan.challenger or "")
        incumbent = values.get(run.plan.incumbent or "")
        gap = 0.0 if challenger is None or incumbent is None else challenger - incumbent
        side = ahead if gap > 0 else behind if gap < 0 else level
        side.append((abs(gap) + spread, example))
    for side in (ahead, behind, level):
        side.sort(key=lambda item: -item[0])  # stable: ties stay in the order of the test file
    turns = chain.from_iterable(zip_longest(ahead, behind))
    ordered = [item[1] for item in chain(turns, level) if item is not None]
    return Disagreements(
        chosen=tuple(
            Disagreement(example=example, replies=_replies(run, example, answers, scores))
            for example in ordered[:limit]
        ),
        disagreeing=len(ordered),
        challenger_ahead=len(ahead),
        incumbent_ahead=len(behind),
        compared=compared,
    )


def _shown_seed(run: Run, name: str) -> int:
    """The seed that ships, else the lowest one that answered."""
    answered = {answer.seed for answer in run.answers if answer.contender == name}
    shipped = run.plan.shipped_seed
    if name == run.plan.challenger and shipped in answered:
        return shipped
    return min(answered, default=0)


def _primary_scores(run: Run, seeds: Mapping[str, int]) -> dict[tuple[str, str], Score]:
    """(example id, contender) -> score; the primary metric, else the first one recorded."""
    scores: dict[tuple[str, str], Score] = {}
    for score in run.scores:
        key = (score.example_id, score.contender)
        if score.seed == seeds.get(score.contender) and (
            score.metric == run.metric or key not in scores
        ):
            scores[key] = score
    return scores


def _replies(
    run: Run,
    example: HeldOut,
    answers: Mapping[tuple[str, str], Answer],
    scores: Mapping[tuple[str, str], Score],
) -> tuple[Reply, ...]:
    """Equal answers together, best score first, then in the order of the contenders."""
    together: dict[tuple[str, bool, float | None], list[str]] = {}
    reasons: dict[tuple[str, bool, float | None], str | None] = {}
    for contender in run.measured:
        key = (example.id, contender.name)
        answer, score = answers.get(key), scores.get(key)
        if answer is None or score is None:
            continue
        text = answer.text if answer.text is not None else answer.error or ""
        same = (text.strip(), answer.text is None, score.value)
        together.setdefault(same, []).append(contender.name)
        reasons.setdefault(same, score.reason)
    replies = [
        Reply(
            contenders=tuple(names),
            text=same[0],
            crashed=same[1],
            value=same[2],
            reason=reasons[same],
        )
        for same, names in together.items()
    ]
    return tuple(sorted(replies, key=lambda reply: -(reply.value or 0.0)))
