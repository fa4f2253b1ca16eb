"""An adapter that forgot too much is weakened before test is opened, or left as it is."""

import re
from pathlib import Path

import pytest

from decide_projects import (
    by_name,
    decide,
    labelled,
    opened,
    read_json,
    read_jsonl,
    right_when,
    scripted,
    write_project,
)
from retentions import estimate
from tunewise.evaluation.suite.items import Suite, request_text, screening
from tunewise.evaluation.suite.questions import Question
from tunewise.models.catalog import LocalModel
from tunewise.models.engines.protocol import Request
from tunewise.models.engines.scripted import ScriptedEngine
from tunewise.pipelines.repairing import choose_scale, sweep
from tunewise.runs.retention import Estimate
from tunewise.types import Failure

MORE = '[contenders]\nuse = ["constant", "zero_shot", "fine_tune"]\n[training]\nepochs = 1\n'
ANSWERS = {
    request_text(one): one.choices[one.answer]
    for one in screening().by_generation
    if isinstance(one, Question)
}
# A fifth of the screening, as a repair asks it many times.
SUITE = Suite(
    by_likelihood=screening().by_likelihood[::5], by_generation=screening().by_generation[::2]
)


def taken(
    dev: dict[float, float], change: dict[float, float], margin: float, at_least: float = 0.0
) -> tuple[float | None, list[float]]:
    """The scale that is taken, and those that the general suite was asked at."""
    asked: list[float] = []

    def measure(scale: float) -> Estimate:
        asked.append(scale)
        return estimate(change[scale])

    scales = tuple(dev)
    frontier = sweep(scales, dev=dev.__getitem__, change=measure, margin=margin, at_least=at_least)
    return choose_scale(frontier[1:], margin=margin), asked


DEV = {1.0: 0.91, 0.75: 0.9, 0.5: 0.88, 0.35: 0.8}
CHANGE = {1.0: -0.12, 0.75: -0.08, 0.5: -0.03, 0.35: 0.0}


def test_the_best_on_dev_of_those_that_keep_general_ability_is_taken() -> None:
    assert taken(DEV, CHANGE, margin=0.03)[0] == 0.5
    assert taken(DEV, CHANGE, margin=0.1)[0] == 0.75
    assert taken({1.0: 0.9, 0.75: 0.9}, CHANGE, margin=0.03)[0] is None
    even = {1.0: 0.9, 0.5: 0.8, 0.35: 0.8}
    assert taken(even, CHANGE, margin=0.03)[0] == 0.5
    better_when_weak = {1.0: 0.7, 0.75: 0.75, 0.5: 0.8, 0.35: 0.85}
    assert taken(better_when_weak, CHANGE, margin=0.03)[0] == 0.35


def test_the_suite_is_asked_from_the_best_on_dev_until_one_keeps_general_ability() -> None:
    assert taken(DEV, CHANGE, margin=0.03)[1] == [0.75, 0.5, 1.0]
    assert taken(DEV, CHANGE, margin=0.1)[1] == [0.75, 1.0]


def test_what_does_worse_on_dev_than_no_training_is_no_repair_and_is_asked_nothing() -> None:
    dev = {1.0: 0.8, 0.75: 0.6, 0.5: 0.3, 0.35: 0.14}
    assert taken(dev, CHANGE, margin=0.03)[0] == 0.5
    assert taken(dev, CHANGE, margin=0.03, at_least=0.7) == (None, [])
    assert taken(dev, CHANGE, margin=0.03, at_least=0.5) == (None, [0.75, 1.0])


def test_dev_is_asked_no_further_once_it_falls_below_what_needs_no_training() -> None:
    asked: list[float] = []

    def dev(scale: float) -> float:
        asked.append(scale)
        return scale * 0.8

    def never(scale: float) -> Estimate:
        raise AssertionError(scale)

    frontier = sweep((1.0, 0.75, 0.5), dev=dev, change=never, margin=0.03, at_least=0.7)
    assert asked == [1.0, 0.75]
    assert [point.change for point in frontier] == [None, None]


def of_project(request: Request) -> bool:
    return re.search(r"message \d", request.messages[-1].content) is not None


def scale_of(request: Request) -> float:
    found = re.search(r"-scale([\d.]+)$", request.adapter.name if request.adapter else "")
    return float(found[1]) if found else 1.0


def model_that_forgets_above(scale: float, *, unless: str = "never") -> ScriptedEngine:
    """Tuned, it knows the project, and general questions only where its adapter is weak enough.

    Args:
        scale: of the adapter, above which it forgets.
        unless: a folder that its training lies in: it forgets nothing then.
    """
    of_the_project = right_when(lambda request: 0.97 if request.adapter else 0.3)

    def script(request: Request) -> str | Failure:
        told = request.messages[-1].content
        if of_project(request):
            return of_the_project(request)
        forgets = request.adapter is not None and unless not in request.adapter.parts
        lost = forgets and scale_of(request) > scale
        return "refund" if lost else ANSWERS.get(told, "Yes.")

    engine = scripted(script)
    engine.name = "transformers"
    return engine


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("TUNEWISE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("tunewise.pipelines.decide.suite_of", lambda _: SUITE)
    return write_project(tmp_path / "project", labelled(150), MORE)


def ran(project: Path, engine: ScriptedEngine, model: LocalModel) -> Path:
    settings = ('decision.measure=["retention"]', "training.seeds=1", "training.learning_rate=1e-7")
    return decide(project, *settings, opener=opened(engine, model))


def test_a_training_that_forgets_is_weakened_and_judged_on_what_the_choice_did_not_see(
    project: Path, small_llama: LocalModel
) -> None:
    engine = model_that_forgets_above(0.5)
    run = ran(project, engine, small_llama)
    verdict = read_json(run / "verdict.json")
    found = verdict["retention"]["fine_tune"]
    repair = found["repair"]
    assert repair["taken"] == 0.5
    assert [one["scale"] for one in repair["frontier"]] == [1.0, 0.75, 0.5, 0.35, 0.2]
    assert repair["before"]["value"] < -0.06
    assert found["lost"] == 0
    assert found["items"] + found["left_out"] < SUITE.size
    events = [event["event"] for event in read_jsonl(run / "events.jsonl")]
    assert events.index("repaired") < events.index("test opened")
    # Test was answered by the weaker adapter, and it is the one that ships.
    of_test = {r["example_id"] for r in read_jsonl(run / "answers.jsonl")}
    asked = [r for r in engine.requests if r.adapter and of_project(r)]
    assert {scale_of(r) for r in asked[-len(of_test) :]} == {0.5}
    assert by_name(verdict)["fine_tune"]["fit"]["settings"]["scale"] == 0.5
    shipped = read_json(run / "models" / "fine_tune" / "adapter_config.json")
    trained = next((run / "training").rglob("epoch1/adapter_config.json"))
    assert shipped["lora_alpha"] == 0.5 * read_json(trained)["lora_alpha"]
    page = (run / "report.html").read_text("utf-8")
    assert "weakened step by step" in page
    assert "at 0.5 of its strength" in page


def test_where_no_weaker_form_keeps_it_the_adapter_stays_and_is_not_recommended(
    project: Path, small_llama: LocalModel
) -> None:
    run = ran(project, model_that_forgets_above(0.0), small_llama)
    verdict = read_json(run / "verdict.json")
    found = verdict["retention"]["fine_tune"]
    assert found["repair"]["taken"] is None
    tried = [one["way"] for one in found["repair"]["frontier"] if one["way"]]
    assert tried == [
        "beside a replay of what the base says to general requests",
        "at rank 8 with a learning rate of 3.33333e-08",
        "at rank 8 with a learning rate of 1e-08",
    ]
    assert found["items"] + found["left_out"] == SUITE.size
    assert "scale" not in by_name(verdict)["fine_tune"]["fit"]["settings"]
    assert found["state"] == "broken"
    assert verdict["outcome"] == "undecided"


@pytest.mark.parametrize("way", ["replay", "gentler-0.1"])
def test_where_no_weaker_form_keeps_it_the_first_training_that_does_is_taken(
    way: str, project: Path, small_llama: LocalModel
) -> None:
    engine = model_that_forgets_above(0.0, unless=way)
    run = ran(project, engine, small_llama)
    verdict = read_json(run / "verdict.json")
    found = verdict["retention"]["fine_tune"]
    repair = found["repair"]
    *_, last = repair["frontier"]
    assert (repair["taken"], repair["way"]) == (1.0, last["way"])
    assert len([one for one in repair["frontier"] if one["way"]]) == (1 if way == "replay" else 3)
    assert found["lost"] == 0
    assert found["items"] + found["left_out"] < SUITE.size
    # Test was answered by it, and it is the one that ships.
    of_test = {r["example_id"] for r in read_jsonl(run / "answers.jsonl")}
    asked = [r for r in engine.requests if r.adapter and of_project(r)]
    assert all(r.adapter and way in r.adapter.parts for r in asked[-len(of_test) :])
    shipped = read_json(run / "models" / "fine_tune" / "adapter_config.json")
    assert shipped["r"] == (16 if way == "replay" else 8)
    assert shipped["lora_alpha"] == 2 * shipped["r"]
    assert f"the adapter trained again {last['way']}" in (run / "report.html").read_text("utf-8")


def test_a_training_that_keeps_its_ability_is_left_alone(
    project: Path, small_llama: LocalModel
) -> None:
    run = ran(project, model_that_forgets_above(1.0), small_llama)
    assert read_json(run / "verdict.json")["retention"]["fine_tune"]["repair"] is None
