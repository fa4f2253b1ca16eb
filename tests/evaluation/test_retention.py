"""What was forgotten is found, in the right order, and a base is asked only once."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

import small_models
from tunewise.evaluation.likelihood import LikelihoodPair
from tunewise.evaluation.retention import generated, measure_retention
from tunewise.evaluation.suite.instructions import Instruction
from tunewise.evaluation.suite.items import Suite, request_text, screening
from tunewise.evaluation.suite.questions import Question
from tunewise.models.catalog import LocalModel
from tunewise.models.engines.protocol import Request
from tunewise.models.engines.scripted import ScriptedEngine
from tunewise.models.engines.transformers import TransformersEngine
from tunewise.progress import Silent
from tunewise.runs.retention import RetentionResult
from tunewise.types import Failure


def measured(
    model: LocalModel,
    adapter: Path,
    engine: ScriptedEngine | TransformersEngine,
    suite: Suite,
    folder: Path,
) -> RetentionResult:
    folder.mkdir(parents=True, exist_ok=True)
    return measure_retention(
        adapter,
        engine=engine,
        model=model,
        suite=suite,
        margin=0.03,
        folder=folder,
        progress=Silent(),
        cache=folder.parent / "cache",
    )


def spread(step: int) -> Suite:
    """Every kind, but few of each, so that a small model is done in a second."""
    whole = screening()
    return Suite(
        by_likelihood=whole.by_likelihood[::step], by_generation=whole.by_generation[::step]
    )


def right_answer(request: Request, by_text: dict[str, Question | Instruction]) -> str:
    asked = by_text[request.messages[-1].content]
    return asked.choices[asked.answer] if isinstance(asked, Question) else ""


def knows(questions: Sequence[Question], nats: Sequence[Sequence[float]]) -> tuple[Question, ...]:
    """The questions with what a model prefers as the right answer: it knows everything."""
    return tuple(
        replace(question, answer=max(range(len(values)), key=values.__getitem__))
        for question, values in zip(questions, nats, strict=True)
    )


def test_answers_that_turn_are_counted_by_ability_and_kind(
    small_llama: LocalModel, tmp_path: Path
) -> None:
    suite = spread(2)
    by_text = {request_text(one): one for one in suite.by_generation}
    forgotten = [one for one in suite.by_generation if isinstance(one, Question)][::4]
    lost = {request_text(one) for one in forgotten}

    def script(request: Request) -> str:
        if request.adapter and request.messages[-1].content in lost:
            return "nothing"
        return right_answer(request, by_text) or "Of course."

    silent = small_models.adapter(small_llama, tmp_path / "a", alpha=1e-9)
    found = measured(small_llama, silent, ScriptedEngine(script), suite, tmp_path / "run")
    assert found.lost == len(lost)
    assert found.won == 0
    assert sum(one.lost for one in found.abilities) == sum(one.lost for one in found.kinds)
    assert {(one.ability, one.kind) for one in found.kinds if one.lost} == {
        (one.ability, one.kind) for one in forgotten
    }
    assert found.kinds[0].lost >= 1
    assert found.same_answers is not None
    assert found.same_answers.value == pytest.approx(1 - len(lost) / len(suite.by_generation))
    assert found.items + found.left_out == suite.size
    assert found.drift is not None
    assert found.drift.divergence < 1e-6


def test_a_base_pays_once_and_a_second_training_is_asked_alone(
    small_llama: LocalModel, tmp_path: Path
) -> None:
    suite = spread(6)
    engine = ScriptedEngine(lambda request: "Yes.")
    adapters = [
        small_models.adapter(small_llama, tmp_path / f"a{n}", alpha=10.0 * n, seed=n)
        for n in (1, 2)
    ]
    first = measured(small_llama, adapters[0], engine, suite, tmp_path / "run1")
    assert len(engine.requests) == 2 * len(suite.by_generation)
    measured(small_llama, adapters[1], engine, suite, tmp_path / "run2")
    assert len(engine.requests) == 3 * len(suite.by_generation)
    assert engine.requests[-1].adapter == adapters[1]
    again = measured(small_llama, adapters[0], engine, suite, tmp_path / "run1")
    assert len(engine.requests) == 3 * len(suite.by_generation)
    assert again == first


def test_requests_that_fail_are_left_out_for_both(small_llama: LocalModel, tmp_path: Path) -> None:
    suite = spread(6)
    refused = request_text(suite.by_generation[0])

    def script(request: Request) -> str | Failure:
        told = request.messages[-1].content
        return Failure(message="no") if request.adapter and told == refused else "Yes."

    silent = small_models.adapter(small_llama, tmp_path / "a", alpha=1e-9)
    found = measured(small_llama, silent, ScriptedEngine(script), suite, tmp_path / "run")
    assert found.left_out >= 1
    assert found.items + found.left_out == suite.size


def test_a_model_of_random_weights_has_little_to_forget(
    small_llama: LocalModel, tmp_path: Path
) -> None:
    silent = small_models.adapter(small_llama, tmp_path / "a", alpha=1e-9)
    engine = ScriptedEngine(lambda request: "Yes.")
    found = measured(small_llama, silent, engine, spread(3), tmp_path / "run")
    assert found.little_to_forget
    assert found.state == "not shown"


def test_the_larger_the_noise_in_an_adapter_the_more_is_broken(
    small_llama: LocalModel, tmp_path: Path
) -> None:
    """What the base prefers counts as right, so that a model of random weights knows it all."""
    engine = TransformersEngine(small_llama, device="cpu")
    asked = [q for q in screening().by_likelihood[::4] if len(q.text) < 80]
    noisy = [
        small_models.adapter(small_llama, tmp_path / f"noise{n}", alpha=alpha, seed=7)
        for n, alpha in enumerate((1e-9, 2.0, 10.0, 80.0))
    ]
    with LikelihoodPair(small_llama, noisy[0], device="cpu") as pair:
        known = knows(asked, pair.choice_log_probabilities("base", asked))
    suite = Suite(by_likelihood=known, by_generation=screening().by_generation[:2])
    results = [
        measured(small_llama, adapter, engine, suite, tmp_path / f"run{n}")
        for n, adapter in enumerate(noisy)
    ]
    losses = [one.lost for one in results]
    assert losses == sorted(losses)
    assert losses[0] == 0
    order = ["retained", "not shown", "broken"]
    states = [order.index(one.state) for one in results]
    assert states == sorted(states)
    assert results[0].state != "broken"
    assert results[-1].state == "broken"
    assert [one.warns for one in results] == sorted(one.warns for one in results)
    assert results[-1].warns
    distances = [one.drift.divergence for one in results if one.drift is not None]
    assert len(distances) == 4
    assert distances == sorted(distances)


def test_thoughts_are_no_part_of_an_answer() -> None:
    engine = ScriptedEngine(lambda request: "<think>Hm.</think>Paris", thinking_tokens=50)
    (asked,) = [one for one in screening().by_likelihood if one.id == "geography-1"]
    assert generated(engine, [asked], None, int) == ["Paris"]
    assert engine.requests[0].sampling.max_tokens > 50
