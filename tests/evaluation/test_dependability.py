"""The same inputs asked again: counts, their intervals, and what they mean for each contender."""

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from scripted_rows import row
from tunewise.chat.prompts import Prompt
from tunewise.contenders.answering import FittedPrompt, PromptStrategy
from tunewise.evaluation.dependability import (
    DRAWS,
    TEMPERATURE,
    Found,
    Inputs,
    chosen_inputs,
    measure_dependability,
)
from tunewise.metrics.by_name import metric_named
from tunewise.metrics.readings import reading_of
from tunewise.models.engines.protocol import Request
from tunewise.models.engines.scripted import ScriptedEngine
from tunewise.statistics.intervals import clopper_pearson
from tunewise.types import Answer, Example, Failure, Fit, Input, Message

LABELS = ("refund", "delivery")
TEXT = "Please tell me where the parcel is that was promised for Thursday"


def examples(count: int) -> list[Example]:
    return [row(f"r{n}", f"{TEXT}, says customer number {n}", "delivery") for n in range(count)]


class Deterministic:
    """A contender without a model, such as a classifier."""

    fit = Fit(contender="classifier", settings={}, seconds=0.0, tokens={}, dev_answers={})
    seeds = (0,)

    def answer(self, inputs: Sequence[Input], *, seed: int) -> list[Answer]:
        """Says the same to everything."""
        return [
            Answer(example_id=one.id, contender="classifier", seed=seed, text="delivery")
            for one in inputs
        ]


def asking(script: Callable[[Request], str | Failure]) -> FittedPrompt:
    def prompts(inputs: Sequence[Input]) -> list[Prompt]:
        return [Prompt(messages=item.messages) for item in inputs]

    return FittedPrompt(
        engine=ScriptedEngine(script),
        strategy=PromptStrategy(prompts=prompts, max_tokens=20),
        fit=Fit(contender="prompt", settings={}, seconds=0.0, tokens={}, dev_answers={}),
    )


def measure(
    fitted: FittedPrompt | Deterministic,
    rows: Sequence[Example],
    units: Sequence[str | None] | None = None,
) -> Found:
    metric = metric_named("accuracy", LABELS)
    return measure_dependability(
        fitted,
        "prompt",
        0,
        fitted.answer([one.input for one in rows], seed=0),
        Inputs(
            examples=rows,
            units=units or [None] * len(rows),
            metric=metric,
            reading=reading_of(metric, "classification", LABELS),
            seed=0,
        ),
    )


def last(request: Request) -> str:
    return request.messages[-1].content


def test_a_contender_that_reads_nothing_is_always_dependable() -> None:
    found = measure(asking(lambda request: "delivery"), examples(20)).dependability
    for one in (found.slips, found.case, found.sampled):
        assert one is not None
        assert (one.inputs, one.kept.count, one.broken.count) == (20, one.answers, 0)
        assert one.quality == 1.0
    assert found.sampled is not None
    assert found.sampled.answers == 20 * DRAWS


def test_an_answer_that_hangs_on_case_is_lost_in_other_case_alone() -> None:
    script = asking(lambda request: "delivery" if "Please" in last(request) else "refund")
    rows = [row(f"r{n}", f"Please, {n}?", "delivery") for n in range(30)]
    found = measure(script, rows).dependability
    assert found.case is not None
    assert found.sampled is not None
    assert (found.case.kept.count, found.case.broken.count, found.case.quality) == (0, 0, 0.0)
    assert found.sampled.kept.count == 30 * DRAWS


def test_answers_are_sampled_at_a_temperature_with_a_seed_of_each_draw() -> None:
    def warm(request: Request) -> str:
        return "no label" if request.sampling.temperature else "delivery"

    fitted = asking(warm)
    found = measure(fitted, examples(20)).dependability
    assert found.sampled is not None
    assert (found.sampled.kept.count, found.sampled.broken.count) == (0, 20 * DRAWS)
    engine = fitted.engine
    assert isinstance(engine, ScriptedEngine)
    sampled = [one.sampling for one in engine.requests if one.sampling.temperature]
    assert {one.temperature for one in sampled} == {TEMPERATURE}
    assert {one.seed for one in sampled} == set(range(1, DRAWS + 1))


def test_a_contender_without_a_model_is_not_sampled() -> None:
    found = measure(Deterministic(), examples(20)).dependability
    assert found.sampled is None
    assert found.slips is not None


def test_a_crash_is_a_broken_answer_that_is_not_kept() -> None:
    def crashes(request: Request) -> str | Failure:
        return Failure(message="gone") if request.sampling.temperature else "delivery"

    found = measure(asking(crashes), examples(20)).dependability
    assert found.sampled is not None
    assert (found.sampled.kept.count, found.sampled.broken.count) == (0, 20 * DRAWS)
    assert found.sampled.quality == 0.0


def test_answers_to_one_input_count_as_one_where_they_are_all_alike() -> None:
    found = measure(asking(lambda request: "delivery"), examples(20)).dependability
    assert found.slips is not None
    assert found.sampled is not None
    exact = clopper_pearson(20, 20)
    assert (found.slips.kept.low, found.slips.kept.method) == (exact.low, "Clopper–Pearson")
    # 60 answers of which 3 belong together tell no more than 20 that stand alone.
    assert found.sampled.kept.method == "Korn–Graubard"
    assert found.sampled.kept.low == pytest.approx(exact.low, abs=0.02)


def test_inputs_of_one_unit_are_one_cluster() -> None:
    rows = examples(40)
    units = [f"customer {n % 12}" for n in range(40)]
    alone = measure(asking(lambda request: "delivery"), rows).dependability.slips
    grouped = measure(asking(lambda request: "delivery"), rows, units).dependability.slips
    assert alone is not None
    assert grouped is not None
    assert grouped.kept.low is not None
    assert alone.kept.low is not None
    assert grouped.kept.low < alone.kept.low
    few = measure(asking(lambda request: "delivery"), rows, ["one"] * 40).dependability.slips
    assert few is not None
    assert few.kept.low is None
    assert "groups" in str(few.kept.method)


def test_every_contender_is_asked_the_same_slips() -> None:
    rows = examples(20)
    one, other = (
        measure(asking(lambda request, said=said: said), rows) for said in ("delivery", "refund")
    )
    assert [a.asked for a in one.answers] == [a.asked for a in other.answers]
    slipped = [a for a in one.answers if a.way == "slips"]
    assert all(
        a.asked != example.messages[-1].content for a, example in zip(slipped, rows, strict=True)
    )


def test_an_input_without_words_gets_no_slips() -> None:
    rows = [row(f"r{n}", f"{n} + {n}", "delivery") for n in range(20)]
    found = measure(asking(lambda request: "delivery"), rows).dependability
    assert found.slips is None
    assert found.plain.inputs == 20


def test_inputs_are_chosen_by_chance_and_keep_their_order() -> None:
    rows = examples(100)
    chosen = chosen_inputs(rows, 60, np.random.default_rng(0))
    assert len(chosen) == 60
    assert chosen == [one for one in rows if one in chosen]
    assert chosen != rows[:60]
    silent = Example(id="x", messages=(Message(role="system", content="go"),), target="refund")
    assert chosen_inputs([silent], 60, np.random.default_rng(0)) == []
    assert len(chosen_inputs(rows[:5], 60, np.random.default_rng(0))) == 5
