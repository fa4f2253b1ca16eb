"""The workflow of docs/gates.md: its command is run as it stands there, on a small real model."""

import shlex
import shutil
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
import yaml

import small_models
from command_line import tunewise
from decide_projects import Json, labelled, write_jsonl, write_project
from gate_projects import FIRST, history_of
from places import ROOT
from tunewise.contenders.answering import texts
from tunewise.data.prepare import prepare
from tunewise.metrics.by_name import metric_named
from tunewise.models.catalog import LocalModel
from tunewise.models.engines.open import open_engine
from tunewise.pipelines.gate_models import EntrantOpener
from tunewise.progress import Silent
from tunewise.project.load import load_project

ROWS = 60


def workflow() -> dict[str, Any]:
    """The one of docs/gates.md."""
    page = (ROOT / "docs" / "gates.md").read_text("utf-8")
    return yaml.safe_load(page.partition("```yaml\n")[2].partition("```")[0])


def steps() -> dict[str, str]:
    """Name of a step -> what it runs."""
    every = workflow()["jobs"]["gate"]["steps"]
    return {step["name"]: step["run"] for step in every if "run" in step}


@pytest.fixture
def checkout(
    small_folder: Path,
    small_llama: LocalModel,
    small_gguf: None,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Path:
    """A repository as the workflow checks it out: a project, two adapters and the history.

    Its gate set asks for what the release answers: of random weights nothing else is right.
    """
    monkeypatch.setenv("TUNEWISE_CACHE", str(tmp_path / "cache"))
    project = write_project(
        tmp_path / "checkout",
        labelled(60),
        f"""gate = "gate.jsonl"
[model]
base = {str(small_folder)!r}
engine = "transformers"
[decision]
minimum_gain = 0.2
""",
    )
    toml = (project / "tunewise.toml").read_text()
    task = '[task]\nkind = "generation"\nmetric = "exact_match"\n'
    (project / "tunewise.toml").write_text(toml.replace("[task]\n", task))
    (project / "history").mkdir()
    for name, seed in (("release", 1), ("other", 2)):
        small_models.adapter(small_llama, project / "models" / name, seed=seed)
    asked = [{"text": f"message {FIRST + n}", "label": "?"} for n in range(2 * ROWS)]
    write_jsonl(project / "gate.jsonl", asked)
    monkeypatch.chdir(project)
    said = answers_of(project, "models/release")
    rows: list[Json] = [
        {**row, "label": text}
        for row, text in zip(asked, said, strict=True)
        if text and "\0" not in text  # random weights say anything
    ]
    assert len(rows) >= ROWS
    write_jsonl(project / "gate.jsonl", rows[:ROWS])
    return project


def answers_of(project: Path, model: str) -> tuple[str | None, ...]:
    """What a model says to the gate set."""
    prepared = prepare(load_project(project))
    assert prepared.gate is not None
    with ExitStack() as stack:
        entrants = EntrantOpener(
            prepared=prepared,
            metric=metric_named("exact_match"),
            progress=Silent(),
            opener=open_engine,
            stack=stack,
        )
        rows = [row.input for row in prepared.gate.examples]
        return texts(entrants.open(model).answering.answer(rows, seed=0))


def test_it_lets_a_model_through_and_stops_another(checkout: Path) -> None:
    words = shlex.split(steps()["gate"])
    assert words[:3] == ["tunewise", "eval", "."]

    shutil.copytree(checkout / "models" / "release", checkout / "models" / "next")
    passed = tunewise(*words[1:])
    assert passed.code == 0, passed.err
    assert "| models/next | ✅ passed |" in (checkout / "gate.md").read_text("utf-8")
    assert suite(checkout).attrib["failures"] == "0"

    shutil.rmtree(checkout / "models" / "next")
    shutil.copytree(checkout / "models" / "other", checkout / "models" / "next")
    stopped = tunewise(*words[1:])
    assert stopped.code == 100, stopped.err
    assert "FAILED  models/next" in stopped.out
    assert "| models/next | ❌ **failed** |" in (checkout / "gate.md").read_text("utf-8")
    assert suite(checkout).attrib["failures"] == "1"

    looks = history_of(checkout / "history" / "gate-history.jsonl")
    assert [look["passed"] for look in looks] == [True, False]


def suite(checkout: Path) -> ElementTree.Element:
    return ElementTree.parse(checkout / "gate.xml").getroot()[0]


def test_what_the_command_writes_is_kept_by_the_other_steps() -> None:
    every = workflow()["jobs"]["gate"]["steps"]
    (upload,) = (step for step in every if "upload" in step.get("uses", ""))
    words = shlex.split(steps()["gate"])
    written = {words[words.index(option) + 1] for option in ("--history", "--junit", "--markdown")}
    assert set(upload["with"]["path"].split()) == written
    assert upload["if"] == "always()"  # a gate that fails ends its step
    assert "gate.md" in steps()["keep"]
    assert "git add gate-history.jsonl" in steps()["keep"]
    (kept,) = (s for s in every if s.get("with", {}).get("ref") == "gate-history")
    assert f"{kept['with']['path']}/gate-history.jsonl" in written
    assert workflow()["concurrency"] == "gate"
