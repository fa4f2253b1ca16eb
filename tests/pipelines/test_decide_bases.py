"""Several base models in one run: each is asked and tuned, and the smallest good one is named."""

import json
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

import pytest
from rich.console import Console

import small_models
from decide_projects import (
    Json,
    by_name,
    contract_faults,
    decide,
    essence,
    labelled,
    read_json,
    read_jsonl,
    repeated_answers,
    right_when,
    scripted,
    stopping,
    tuned_well,
    write_project,
)
from tunewise.data.prepare import prepare
from tunewise.errors import UserError
from tunewise.exporting.bundle import read_bundle
from tunewise.models.adapters import check_adapter
from tunewise.models.catalog import LocalModel
from tunewise.models.engines.open import Opened
from tunewise.models.engines.protocol import Request
from tunewise.models.stored import parameters
from tunewise.pipelines.dry_run import dry_run
from tunewise.pipelines.publish import publish
from tunewise.pipelines.quick import first_opinion, take_answers
from tunewise.progress import Progress, Silent
from tunewise.project.load import load_project
from tunewise.project.settings import Model
from tunewise.report.html import render_html
from tunewise.report.terminal import render_verdict
from tunewise.runs.model_file import BaseUsed
from tunewise.runs.read import read_run
from tunewise.runs.registry import Registry
from tunewise.types import Failure

SETTINGS = """
[model]
base = ["org/large", "org/small"]
[training]
rank = 2
epochs = 1
learning_rate = 1e-3
batch_tokens = 4096
seeds = 2
[contenders]
use = ["constant", "zero_shot", "prompt", "classifier", "fine_tune"]
[decision]
measure = []
minimum_gain = 0.2
"""
Script = Callable[[Request], str | Failure]


class Machine:
    """Two models that are trained for real and answer by a script each; one is open at a time."""

    def __init__(self, scripts: dict[str, Script], models: dict[str, LocalModel]) -> None:
        self.engines = {base: scripted(script) for base, script in scripts.items()}
        self.opened: list[str] = []
        self._models = models

    def __call__(self, settings: Model, *, progress: Progress) -> AbstractContextManager[Opened]:
        (base,) = settings.bases
        self.opened.append(base)
        engine = self.engines[base]
        engine._closed = False
        return Opened(engine=engine, model=self._models[base], why="given")


@pytest.fixture
def models(small_llama: LocalModel, small_qwen: LocalModel) -> dict[str, LocalModel]:
    found = {"org/large": small_qwen, "org/small": small_llama}
    assert parameters(small_qwen.folder) > parameters(small_llama.folder)
    return found


def alike(models: dict[str, LocalModel]) -> Machine:
    """Both answer well once they are tuned."""
    return Machine(dict.fromkeys(models, right_when(tuned_well)), models)


def only_the_large_one_learns(models: dict[str, LocalModel]) -> Machine:
    return Machine(
        {"org/large": right_when(tuned_well), "org/small": right_when(lambda request: 0.3)}, models
    )


def found_of(run: Path) -> Json:
    verdict = read_json(run / "verdict.json")
    assert contract_faults(verdict) == []
    return verdict


def test_each_base_is_asked_and_tuned_and_the_smallest_good_one_is_named(
    tmp_path: Path, models: dict[str, LocalModel]
) -> None:
    machine = alike(models)
    run = decide(write_project(tmp_path, labelled(240), SETTINGS), opener=machine)
    verdict = found_of(run)
    found = by_name(verdict)
    assert set(found) == {
        "constant", "classifier", "zero_shot", "prompt", "fine_tune",
        "zero_shot@small", "prompt@small", "fine_tune@small",
    }  # fmt: skip
    assert {name: one.get("base") for name, one in found.items() if "base" in one} == {
        name: None
        if name in ("constant", "classifier")
        else "small"
        if name.endswith("@small")
        else "large"
        for name, one in found.items()
        if "base" in one
    }
    assert verdict["outcome"] == "fine_tune"
    assert verdict["smallest_base"] == "small"
    small, large = verdict["bases"]
    assert (small["base"], small["contender"], small["good_enough"]) == (
        "small", "fine_tune@small", True,
    )  # fmt: skip
    assert small["rival"] in found
    assert small["parameters"] == parameters(models["org/small"].folder) < large["parameters"]
    assert -0.2 < small["low"] < small["delta"] <= 0.0
    assert verdict["model"]["base"] == "org/large, org/small"


def test_where_only_the_large_one_learns_it_is_the_smallest_that_is_good_enough(
    tmp_path: Path, models: dict[str, LocalModel]
) -> None:
    run = decide(
        write_project(tmp_path, labelled(240), SETTINGS), opener=only_the_large_one_learns(models)
    )
    verdict = found_of(run)
    assert (verdict["outcome"], verdict["smallest_base"]) == ("fine_tune", "large")
    small = verdict["bases"][0]
    assert (small["base"], small["good_enough"]) == ("small", False)
    assert small["why"]


def test_what_was_best_of_each_base_is_written_down_before_test_is_opened(
    tmp_path: Path, models: dict[str, LocalModel]
) -> None:
    run = decide(write_project(tmp_path, labelled(240), SETTINGS), opener=alike(models))
    plan = read_json(run / "plan.json")
    assert plan["best_of_base"] == {"large": "fine_tune", "small": "fine_tune@small"}
    named = {one["base"]: one["contender"] for one in read_json(run / "verdict.json")["bases"]}
    assert named == plan["best_of_base"]
    # Further seeds are for the challenger of the one primary comparison.
    assert plan["challenger"] == "fine_tune"
    assert (plan["seeds"]["fine_tune"], plan["seeds"]["fine_tune@small"]) == (2, 1)


def test_every_base_has_its_adapters_its_card_and_its_journal(
    tmp_path: Path, models: dict[str, LocalModel]
) -> None:
    run = decide(write_project(tmp_path, labelled(240), SETTINGS), opener=alike(models))
    check_adapter(run / "models" / "fine_tune", models["org/large"])
    check_adapter(run / "models" / "fine_tune@small", models["org/small"])
    with pytest.raises(UserError):
        check_adapter(run / "models" / "fine_tune@small", models["org/large"])
    assert "base_model: org/small\n" in (run / "models/fine_tune@small/README.md").read_text()
    assert "base_model: org/large\n" in (run / "models/fine_tune/README.md").read_text()
    for contender, base in (
        ("fine_tune@small", "org/small"),
        ("prompt@small", "org/small"),
        ("fine_tune", "org/large"),
    ):
        version = publish(run, contender=contender, registry=Registry(), progress=Silent())
        used = read_bundle(version.folder).model.base
        assert used == BaseUsed(name=base, sha256=models[base].sha256)
    assert read_jsonl(run / "fit-answers.jsonl")
    assert read_jsonl(run / "fit-answers@small.jsonl")


def test_a_base_is_done_before_the_next_one_is_opened(
    tmp_path: Path, models: dict[str, LocalModel]
) -> None:
    machine = alike(models)
    decide(write_project(tmp_path, labelled(240), SETTINGS), opener=machine)
    # Both at the start; then in turn for what needs no training, for training, test and latency.
    assert machine.opened[:2] == ["org/small", "org/large"]
    assert len(machine.opened) <= 12
    turns = zip(machine.opened, machine.opened[1:], strict=False)
    assert all(before != after for before, after in turns)


def test_a_stopped_run_with_two_bases_ends_like_one_that_was_not(
    tmp_path: Path, models: dict[str, LocalModel]
) -> None:
    whole = decide(write_project(tmp_path / "whole", labelled(90), SETTINGS), opener=alike(models))
    project, resume, stops = write_project(tmp_path / "broken", labelled(90), SETTINGS), False, 0
    while True:
        machine = alike(models)
        try:
            with (
                stopping(machine.engines["org/large"], after=90),
                stopping(machine.engines["org/small"], after=90),
            ):
                decide(project, out=project / "run", resume=resume, opener=machine)
            break
        except KeyboardInterrupt:
            stops, resume = stops + 1, True
    assert stops >= 2
    ended = read_json(project / "run" / "verdict.json")
    assert essence(ended) == essence(read_json(whole / "verdict.json"))
    assert ended["bases"] == read_json(whole / "verdict.json")["bases"]
    assert repeated_answers(project / "run") == []


def test_a_run_does_not_go_on_with_another_second_base(
    tmp_path: Path, models: dict[str, LocalModel]
) -> None:
    project = write_project(tmp_path, labelled(90), SETTINGS)
    machine = alike(models)
    with pytest.raises(KeyboardInterrupt), stopping(machine.engines["org/large"], after=20):
        decide(project, out=project / "run", opener=machine)
    other = {**models, "org/small": replace(models["org/small"], sha256="0" * 64)}
    with pytest.raises(UserError, match="the base model small is another than it was"):
        decide(project, out=project / "run", resume=True, opener=alike(other))


def test_rows_that_one_base_cannot_be_trained_on_are_named_with_it(
    tmp_path: Path, models: dict[str, LocalModel]
) -> None:
    short = {**models, "org/small": replace(models["org/small"], context_tokens=8)}
    with pytest.raises(UserError, match=r"examples\.jsonl:\d+: .*\(small\)"):
        decide(write_project(tmp_path, labelled(90), SETTINGS), opener=alike(short))


def test_terminal_and_page_name_the_smallest_base(
    tmp_path: Path, models: dict[str, LocalModel]
) -> None:
    run = read_run(decide(write_project(tmp_path, labelled(240), SETTINGS), opener=alike(models)))
    console = Console(record=True, width=120, file=None, force_terminal=False)
    with console.capture() as shown:
        render_verdict(run, console)
    said = " ".join(shown.get().split())
    assert "The smallest base that is good enough is small, with fine_tune@small" in said
    page = render_html(run)
    assert 'id="bases"' in page
    assert "the smallest" in page


def test_a_first_opinion_asks_the_first_base_whose_answers_the_whole_run_takes(
    tmp_path: Path, models: dict[str, LocalModel]
) -> None:
    project = load_project(write_project(tmp_path, labelled(120), SETTINGS))
    quick = first_opinion(prepare(project))
    assert quick.project.model.bases == ("org/large",)
    assert "Of the base models, it asks org/large alone." in quick.notes[0]
    before = tmp_path / "runs/quick/one"
    after = tmp_path / "runs/two"
    sha = models["org/large"].sha256
    for folder, base in ((before, '"org/large"'), (after, '["org/large", "org/small"]')):
        folder.mkdir(parents=True)
        (folder / "project.toml").write_text(f"[model]\nbase = {base}\n")
    (before / "made-from.json").write_text(json.dumps({"files": {"the base model": sha}}))
    (before / "fit-answers.jsonl").write_text('{"key": 1}\n')
    take_answers(after, tmp_path, base=sha)
    assert (after / "fit-answers.jsonl").read_text() == '{"key": 1}\n'


def test_a_dry_run_counts_the_tokens_of_each_base(tmp_path: Path) -> None:
    project = load_project(write_project(tmp_path, labelled(120), SETTINGS))
    found = dry_run(project).as_dict()
    assert found["model"] == ["org/large", "org/small"]
    parts = {one["part"]: one["tokens"] for one in found["parts"]}
    assert set(parts) >= {"fine_tune", "fine_tune@small", "prompt@small", "zero_shot@small"}
    assert "classifier@small" not in parts
    assert parts["fine_tune@small"]["trained"] == parts["fine_tune"]["trained"] > 0


def test_two_real_models_take_turns(
    tmp_path: Path, small_folder: Path, small_gguf: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TUNEWISE_CACHE", str(tmp_path / "cache"))
    other = small_models.build(tmp_path / "hub" / "second", family="qwen2", num_hidden_layers=1)
    bases = json.dumps([str(small_folder), str(other)])
    more = SETTINGS.replace('["org/large", "org/small"]', bases).replace("seeds = 2", "seeds = 1")
    run = decide(write_project(tmp_path / "project", labelled(60), more))
    verdict = found_of(run)
    assert {one["base"] for one in verdict["bases"]} == {"small-llama", "second"}
    assert verdict["bases"][0]["base"] == "second"
    assert (run / "models").is_dir()


def test_two_bases_that_do_not_exist_are_told_together(tmp_path: Path) -> None:
    more = SETTINGS.replace('["org/large", "org/small"]', '["nothing-a", "nothing-b"]')
    with pytest.raises(UserError) as caught:
        decide(write_project(tmp_path, labelled(60), more))
    lines = str(caught.value).splitlines()
    assert len(lines) == 2
    assert all(line.startswith("model.base: there is no model 'nothing-") for line in lines)
