"""Whoever comes to the gate is asked as it was when it was chosen."""

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

import small_models
from decide_projects import (
    opened,
    read_json,
    scripted,
)
from every_kind import NAMES, EveryKind, script
from exports import model_of
from tunewise.contenders.answering import texts
from tunewise.data.prepare import Prepared, prepare
from tunewise.errors import UserError
from tunewise.metrics.by_name import metric_named
from tunewise.models.catalog import LocalModel
from tunewise.models.engines.scripted import ScriptedEngine
from tunewise.pipelines.gate_models import EntrantOpener
from tunewise.pipelines.publish import publish
from tunewise.progress import Silent
from tunewise.project.load import load_project
from tunewise.runs.model_file import EndpointUsed
from tunewise.types import JsonValue


@pytest.fixture
def project(every_kind: EveryKind) -> Path:
    return every_kind.project


@pytest.fixture
def now() -> ScriptedEngine:
    return scripted(script)


@pytest.fixture
def entrants(
    project: Path, now: ScriptedEngine, small_llama: LocalModel
) -> Iterator[EntrantOpener]:
    with ExitStack() as stack:
        yield opener_of(project, now, small_llama, stack)


def opener_of(
    project: Path, engine: ScriptedEngine, model: LocalModel | None, stack: ExitStack
) -> EntrantOpener:
    prepared = prepare(load_project(project))
    task = prepared.project.task
    return EntrantOpener(
        prepared=prepared,
        metric=metric_named(str(task.metric), task.labels),
        progress=Silent(),
        opener=opened(engine, model),
        stack=stack,
    )


def asked(engine: ScriptedEngine) -> set[object]:
    """All that was asked, whichever folder the adapter lay in."""
    return {
        (r.messages, r.adapter is not None, r.sampling.max_tokens, r.sampling.temperature)
        for r in engine.requests
    }


@pytest.mark.parametrize("name", NAMES)
def test_a_runs_contender_answers_as_it_did_on_test(
    name: str, every_kind: EveryKind, now: ScriptedEngine, entrants: EntrantOpener
) -> None:
    entrant = entrants.open(f"{every_kind.run}:{name}")
    answers = entrant.answering.answer(every_kind.inputs, seed=0)
    assert list(texts(answers)) == every_kind.answers(name)
    assert asked(now) <= asked(every_kind.engine)


def test_a_prompt_that_asks_for_steps_is_read_as_then(
    project: Path, entrants: EntrantOpener
) -> None:
    settings = {
        one["name"]: one.get("fit", {}).get("settings")
        for one in read_json(project / "runs" / "first" / "verdict.json")["contenders"]
    }
    assert settings["prompt"]["variant"] == "step by step"
    assert settings["prompt"]["marked"] is True
    row = entrants.prepared.splits.test[0]
    (answer,) = entrants.open(f"{project}/runs/first:prompt").answering.answer([row.input], seed=0)
    assert answer.text == row.target


def test_a_run_alone_is_what_it_recommends(
    project: Path, tmp_path: Path, entrants: EntrantOpener
) -> None:
    verdict = read_json(project / "runs" / "first" / "verdict.json")
    assert verdict["recommended"] is not None
    rows = [row.input for row in entrants.prepared.splits.test]
    alone, named = (
        texts(entrants.open(f"{project}/runs/first{name}").answering.answer(rows, seed=0))
        for name in ("", f":{verdict['recommended']}")
    )
    assert alone == named


@pytest.mark.parametrize(
    "name", ["constant", "classifier", "prompt", "few_shot", "rag", "fine_tune_rag"]
)
def test_a_model_with_a_name_answers_as_its_contender_did_on_test(
    name: str, every_kind: EveryKind, now: ScriptedEngine, entrants: EntrantOpener
) -> None:
    publish(every_kind.run, contender=name, registry=entrants.registry, progress=Silent())
    answers = entrants.open("triage@1").answering.answer(every_kind.inputs, seed=0)
    assert list(texts(answers)) == every_kind.answers(name)
    assert asked(now) <= asked(every_kind.engine)


def test_an_alias_is_asked_as_the_version_that_it_points_to(
    every_kind: EveryKind, now: ScriptedEngine, entrants: EntrantOpener
) -> None:
    for name in ("zero_shot", "constant"):
        publish(every_kind.run, contender=name, registry=entrants.registry, progress=Silent())
    entrants.registry.point("triage@production", "1")
    row = entrants.prepared.splits.test[0]
    entrants.open("triage@production").answering.answer([row.input], seed=0)
    assert len(now.requests) == 1
    entrants.registry.point("triage@production", "2")
    entrants.open("triage").answering.answer([row.input], seed=0)
    assert len(now.requests) == 1
    with pytest.raises(UserError, match=r"no such version\. There are triage@1, triage@2, "):
        entrants.open("triage@3")


def test_a_version_at_an_endpoint_that_the_project_does_not_name_is_refused(
    entrants: EntrantOpener, tmp_path: Path
) -> None:
    used = EndpointUsed(name="big", model="big", base_url="http://127.0.0.1:1/v1")
    settings: dict[str, JsonValue] = {"instruction": "Which label?"}
    model_of(tmp_path / "at-big", "zero_shot", settings, base=None, endpoint=used)
    publish(tmp_path / "at-big", registry=entrants.registry, progress=Silent())
    with pytest.raises(UserError, match=r"at-big@1: asks an endpoint that the project does not"):
        entrants.open("at-big@1")


def test_an_adapter_is_asked_with_the_input_alone(
    entrants: EntrantOpener, now: ScriptedEngine, small_llama: LocalModel, tmp_path: Path
) -> None:
    adapter = small_models.adapter(small_llama, tmp_path / "release")
    row = entrants.prepared.splits.test[0]
    entrants.open(str(adapter)).answering.answer([row.input], seed=0)
    (request,) = now.requests
    assert request.messages == row.messages
    assert request.adapter == adapter


def test_the_base_of_the_project_is_asked_with_the_instruction(
    entrants: EntrantOpener, now: ScriptedEngine
) -> None:
    row = entrants.prepared.splits.test[0]
    base = entrants.prepared.project.model.base
    entrants.open(base).answering.answer([row.input], seed=0)
    assert [turn.content for turn in now.requests[0].messages] == ["Which label?", row.input.text]
    assert now.requests[0].adapter is None


def test_an_adapter_of_another_base_is_refused(
    entrants: EntrantOpener, small_qwen: LocalModel, tmp_path: Path
) -> None:
    other = small_models.adapter(small_qwen, tmp_path / "other")
    with pytest.raises(UserError, match="trained for another base"):
        entrants.open(str(other))


def test_an_engine_without_weights_runs_no_adapter(
    project: Path, now: ScriptedEngine, small_llama: LocalModel, tmp_path: Path
) -> None:
    adapter = small_models.adapter(small_llama, tmp_path / "release")
    with ExitStack() as stack, pytest.raises(UserError, match="runs no adapters"):
        opener_of(project, now, None, stack).open(str(adapter))


def test_a_contender_that_the_run_lacks_is_told_with_those_it_has(
    project: Path, entrants: EntrantOpener
) -> None:
    with pytest.raises(UserError, match=r"no contender nobody with answers.*first:few_shot"):
        entrants.open(f"{project}/runs/first:nobody")


def test_a_folder_of_something_else_is_refused(entrants: EntrantOpener, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no model and no adapter"):
        entrants.open(str(tmp_path))


def test_a_prompt_whose_examples_are_gone_is_refused(
    project: Path, entrants: EntrantOpener
) -> None:
    fewer: Prepared = replace(
        entrants.prepared,
        splits=replace(entrants.prepared.splits, train=entrants.prepared.splits.train[:-3]),
    )
    with pytest.raises(UserError, match=r"3 of the \d+ rows that it learned from"):
        replace(entrants, prepared=fewer).open(f"{project}/runs/first:few_shot")


def test_rows_that_moved_to_another_side_since_are_found_again(
    project: Path, entrants: EntrantOpener, tmp_path: Path
) -> None:
    """The gate asks a run that was made with another seed of the split."""
    prepared = prepare(load_project(project, ["data.seed=5"]))
    assert prepared.splits.train != entrants.prepared.splits.train
    row = entrants.prepared.splits.test[0]
    moved = replace(entrants, prepared=prepared)
    then, after = (
        texts(one.open(f"{project}/runs/first:few_shot").answering.answer([row.input], seed=0))
        for one in (entrants, moved)
    )
    assert then == after
