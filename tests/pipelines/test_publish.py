"""A run's contender becomes a model that needs neither the run nor the project any more."""

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from huggingface_hub import ModelCard

from every_kind import NAMES, EveryKind
from tunewise.errors import UserError
from tunewise.exporting.bundle import read_bundle
from tunewise.models.stored import adapter_hash
from tunewise.pipelines.publish import publish, publish_adapter, publish_newest
from tunewise.progress import Silent
from tunewise.runs.model_file import BaseUsed, Origin
from tunewise.runs.registry import Registry, Version


@pytest.fixture
def registry() -> Registry:
    return Registry()


@pytest.fixture
def copied(every_kind: EveryKind, tmp_path: Path) -> Path:
    """The project, moved elsewhere: a copy that a test may change."""
    moved = shutil.copytree(every_kind.project, tmp_path / "moved" / "triage")
    kept = moved / "runs" / "first" / "project.toml"
    kept.write_text(kept.read_text().replace(str(every_kind.project), "/not/there/triage"))
    return moved


def made(run: Path, contender: str | None, registry: Registry) -> Version:
    return publish(run, contender=contender, registry=registry, progress=Silent())


def test_what_the_newest_run_recommends_gets_the_projects_name(
    every_kind: EveryKind, registry: Registry
) -> None:
    version = publish_newest(every_kind.project, registry=registry, progress=Silent())
    verdict = json.loads((every_kind.run / "verdict.json").read_text())
    assert version.id == "triage@1"
    assert version.lineage.contender == verdict["recommended"]
    assert version.lineage.data == verdict["splits"]["fingerprint"]
    assert version.lineage.run == "first"
    again = publish_newest(every_kind.project, registry=registry, progress=Silent())
    assert again == version


def test_each_kind_holds_what_it_needs_and_no_more(
    every_kind: EveryKind, registry: Registry
) -> None:
    kept: dict[str, set[str]] = {}
    by_meaning: set[str] = set()  # whose search was chosen to go by meaning, which needs vectors
    for name in NAMES:
        bundle = read_bundle(made(every_kind.run, name, registry).folder)
        bundle.check()
        kept[name] = {file.split("/")[0] for file in bundle.model.files}
        if "index.npy" in kept[name]:
            by_meaning.add(name)
            kept[name].remove("index.npy")
        assert not list(bundle.folder.rglob("*.pkl"))
        assert bundle.model.base is None or bundle.model.base.sha256 == every_kind.model.sha256
    assert kept == {
        "constant": set(),
        "zero_shot": set(),
        "prompt": set(),
        "few_shot": {"examples.jsonl"},
        "classifier": {"examples.jsonl"},
        "rag": {"passages.jsonl"},
        "internalised": {"adapter"},
        "fine_tune": {"adapter"},
        "fine_tune_rag": {"adapter", "passages.jsonl"},
    }
    assert by_meaning <= {"few_shot", "rag", "fine_tune_rag"}


def test_it_names_nothing_of_the_project_and_outlives_it(copied: Path, registry: Registry) -> None:
    versions = [made(copied / "runs" / "first", name, registry) for name in NAMES]
    shutil.rmtree(copied)
    for version in versions:
        read_bundle(version.folder).check()
        texts = [f.read_text(errors="replace") for f in version.folder.rglob("*.json*")]
        assert not [text for text in texts if str(copied.parent) in text]


def test_what_was_published_is_found_though_its_rows_are_gone(
    copied: Path, registry: Registry
) -> None:
    first = made(copied / "runs" / "first", "few_shot", registry)
    (copied / "examples.jsonl").unlink()
    assert made(copied / "runs" / "first", "few_shot", registry) == first
    with pytest.raises(UserError, match=r"examples\.jsonl"):
        made(copied / "runs" / "first", "classifier", registry)


def test_rows_that_are_gone_are_told(copied: Path, registry: Registry) -> None:
    rows = (copied / "examples.jsonl").read_text().splitlines()
    (copied / "examples.jsonl").write_text("\n".join(rows[:-20]) + "\n")
    with pytest.raises(UserError, match=r"\d+ of the \d+ rows that it learned from are not in"):
        made(copied / "runs" / "first", "classifier", registry)
    assert registry.content().versions == ()


def test_a_document_that_changed_is_told(copied: Path, registry: Registry) -> None:
    (copied / "docs" / "returns.md").write_text("# returns\n\nAll is otherwise now.\n")
    with pytest.raises(UserError, match=r"1 document of the project changed.*returns\.md"):
        made(copied / "runs" / "first", "rag", registry)


def test_what_would_not_ask_as_the_run_did_is_not_published(
    copied: Path, registry: Registry
) -> None:
    """The proof: nothing is as it was but the journal of answers, which knows every request."""
    verdict = copied / "runs" / "first" / "verdict.json"
    verdict.write_text(verdict.read_text().replace("Which label?", "Which label, please?"))
    with pytest.raises(UserError, match="few_shot cannot be made to ask as it did in the run"):
        made(copied / "runs" / "first", "few_shot", registry)
    (copied / "runs" / "first" / "fit-answers.jsonl").unlink()
    with pytest.raises(UserError, match="its journal is gone"):
        made(copied / "runs" / "first", "few_shot", registry)
    assert [one.name for one in (registry.database.parent / "models").iterdir()] == []


def test_a_contender_that_did_not_run_and_an_unfinished_run_are_told(
    every_kind: EveryKind, registry: Registry, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=r"no contender nobody.*Name one of its own"):
        made(every_kind.run, "nobody", registry)
    with pytest.raises(UserError, match=r"holds no verdict\.json"):
        made(tmp_path, None, registry)
    with pytest.raises(UserError, match="has no finished run under runs/"):
        publish_newest(tmp_path, registry=registry, progress=Silent())


def test_a_trained_adapter_of_elsewhere_is_asked_with_the_words_alone(
    every_kind: EveryKind, registry: Registry
) -> None:
    adapter = every_kind.run / "models" / "fine_tune"
    given = {
        "name": "mine",
        "base": BaseUsed(name="org/base", sha256="ab"),
        "origin": Origin(project="p", run="job-1", token="job-1"),
        "known_as": "ft:org/base:tunewise:mine:1",
        "registry": registry,
    }
    version = publish_adapter(adapter, **given)  # type: ignore[arg-type]
    assert publish_adapter(adapter, **given) == version  # type: ignore[arg-type]
    assert registry.resolve("ft:org/base:tunewise:mine:1") == version
    bundle = read_bundle(version.folder)
    assert bundle.model.max_tokens is None
    assert bundle.adapter is not None
    assert adapter_hash(bundle.adapter) == adapter_hash(adapter) == version.lineage.adapter


def test_the_folder_of_a_model_becomes_a_model_of_its_own(
    every_kind: EveryKind, registry: Registry, tmp_path: Path
) -> None:
    """As whoever serves an exported prompt does, on any machine."""
    first = made(every_kind.run, "few_shot", registry)
    folder = shutil.copytree(first.folder, tmp_path / "My Prompt")
    (folder / "ask.py").write_text("raise SystemExit")
    version = publish(folder, registry=registry, progress=Silent())
    assert version.id == "my-prompt@1"
    assert version.lineage.run == "first"
    assert read_bundle(version.folder).model == read_bundle(first.folder).model
    assert not (version.folder / "ask.py").exists()
    assert publish(folder, registry=registry, progress=Silent()) == version
    with pytest.raises(UserError, match="one model, which has no contenders"):
        publish(folder, contender="rag", registry=registry, progress=Silent())
    model = folder / "model.json"
    model.write_text(model.read_text().replace("Which label?", "Which of the labels?"))
    assert publish(folder, registry=registry, progress=Silent()).id == "my-prompt@2"
    (folder / "examples.jsonl").unlink()
    with pytest.raises(UserError, match=r"examples\.jsonl: is missing"):
        publish(folder, registry=registry, progress=Silent())


def test_the_card_tells_base_data_settings_verdict_quality_licence(
    every_kind: EveryKind, registry: Registry
) -> None:
    version = made(every_kind.run, "fine_tune", registry)
    verdict = json.loads((every_kind.run / "verdict.json").read_text())
    (found,) = (one for one in verdict["contenders"] if one["name"] == "fine_tune")
    card = ModelCard.load(version.folder / "README.md")
    assert card.data.base_model == every_kind.model.name
    assert card.data.library_name == "peft"
    (result,) = card.data.eval_results or []
    assert result.metric_value == found["quality"]["value"]
    assert result.metric_args["low"] == found["quality"]["low"]
    for text in (
        "# triage@1\n",
        f"- Data: fingerprint `{verdict['splits']['fingerprint']}`",
        "- Licence: not known here",
        "- epochs: 1",
        f"The verdict of the run: {verdict['reason']}",
    ):
        assert text in card.text
    assert re.search(
        r"- Quality on the sealed test split \(accuracy\): [\d.]+% of \d+ ex", card.text
    )


def test_publishing_loads_neither_torch_nor_transformers(every_kind: EveryKind) -> None:
    program = (
        "import sys; from pathlib import Path; from tunewise.pipelines.publish import publish\n"
        "from tunewise.progress import Silent; from tunewise.runs.registry import Registry\n"
        "for name in ('prompt', 'classifier', 'fine_tune'):\n"
        "    publish(Path(sys.argv[1]), contender=name, registry=Registry(), progress=Silent())\n"
        "assert not {'torch', 'transformers'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", program, str(every_kind.run)], check=True, timeout=120)
