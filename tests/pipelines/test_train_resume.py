"""A training that is gone on with is the one that was begun: what changed since is named."""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

import small_models
from decide_projects import labelled, write_jsonl, write_project
from small_models import adapter
from tunewise.errors import UserError
from tunewise.models.catalog import open_model
from tunewise.pipelines.train import run_train
from tunewise.progress import Silent
from tunewise.project.load import load_project
from tunewise.training.loop import Training

TOML = """
[model]
base = "{model}"
engine = "transformers"
[training]
epochs = 2
rank = 2
batch_tokens = 256
"""
PAIRS = ("training.method=dpo", "data.preferences=pairs.jsonl")
DOCUMENTS = ("training.method=cpt", "data.documents=docs")
REPLAY = ("data.replay=general.jsonl",)


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_models.build(tmp_path_factory.mktemp("hub") / "small-mistral", family="mistral")


@pytest.fixture
def project(tmp_path: Path, model: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Examples, pairs, documents and general examples."""
    monkeypatch.setenv("TUNEWISE_CACHE", str(cache))
    folder = write_project(tmp_path / "project", labelled(44), TOML.format(model=model))
    monkeypatch.chdir(folder)
    write_jsonl(folder / "pairs.jsonl", pairs(24))
    write_jsonl(
        folder / "general.jsonl", [{"input": f"Say {n}", "output": f"{n}"} for n in range(5)]
    )
    (folder / "docs").mkdir()
    for n in range(4):
        (folder / "docs" / f"part{n}.md").write_text(f"# Part {n}\n\n" + f"Item {n} is red. " * 9)
    return folder


def pairs(count: int) -> list[dict[str, str]]:
    return [
        {"prompt": f"Is number {n} fine?", "chosen": "It is.", "rejected": "No!"}
        for n in range(count)
    ]


def add_rows(file: Path, rows: Sequence[dict[str, Any]]) -> None:
    with file.open("a") as handle:
        handle.writelines(json.dumps(row) + "\n" for row in rows)


def train(project: Path, *settings: str, resume: bool = False, out: Path | None = None) -> Path:
    folder = run_train(load_project(project, settings), progress=Silent(), out=out, resume=resume)
    assert folder is not None
    return folder


@pytest.fixture
def begin(project: Path, monkeypatch: pytest.MonkeyPatch):
    """Begins a training, which is stopped after its first epoch."""

    def _begin(*settings: str) -> Path:
        run_epoch = Training.run_epoch

        def one(training: Training, *given: Any) -> Any:
            if training.epochs:
                raise KeyboardInterrupt
            return run_epoch(training, *given)

        with monkeypatch.context() as patched:
            patched.setattr(Training, "run_epoch", one)
            with pytest.raises(KeyboardInterrupt):
                train(project, *settings, out=project / "run")
        return project / "run"

    return _begin


def refusal(project: Path, *settings: str, out: Path | None = None) -> str:
    with pytest.raises(UserError) as caught:
        train(project, *settings, resume=True, out=out or project / "run")
    return str(caught.value)


def rewrite(file: Path, change: Any) -> None:
    lines = file.read_text().splitlines(keepends=True)
    file.write_text("".join(change(lines)))


def test_rows_that_came_are_counted_and_their_file_is_named(project: Path, begin: Any) -> None:
    begin()
    add_rows(project / "examples.jsonl", labelled(50)[44:])
    said = refusal(project)
    assert "examples.jsonl: 6 rows are new" in said
    assert "Since it began (20" in said
    assert "--out" in said


CHANGES: dict[str, tuple[tuple[str, ...], str, Any, str]] = {
    "gone": ((), "examples.jsonl", lambda rows: rows[8:], r"examples.jsonl: 8 rows are gone"),
    "answers corrected": (
        (),
        "examples.jsonl",
        lambda rows: [row.replace('"other"', '"none"') for row in rows],
        r"examples.jsonl: 1\d rows changed",
    ),
    "order": (
        (),
        "examples.jsonl",
        lambda rows: rows[::-1],
        r"examples.jsonl: its rows are in another order",
    ),
    "pairs": (PAIRS, "pairs.jsonl", lambda rows: rows[:-3], r"pairs.jsonl: 3 pairs are gone"),
    "pairs corrected": (
        PAIRS,
        "pairs.jsonl",
        lambda rows: [rows[0].replace("No!", "Never!"), *rows[1:]],
        r"pairs.jsonl: 1 pair changed",
    ),
    "documents": (
        DOCUMENTS,
        "docs/part2.md",
        lambda lines: [*lines, "And blue."],
        r"docs: 1 document changed",
    ),
    "replay": (
        REPLAY,
        "general.jsonl",
        lambda rows: rows[:-1],
        r"data.replay \(general.jsonl\): 1 row is gone",
    ),
}


@pytest.mark.parametrize(("settings", "file", "change", "said"), CHANGES.values(), ids=CHANGES)
def test_what_else_changed_is_named_too(
    settings: tuple[str, ...], file: str, change: Any, said: str, project: Path, begin: Any
) -> None:
    begin(*settings)
    rewrite(project / file, change)
    found = refusal(project, *settings)
    assert re.search(said, found), found


def test_a_changed_dev_file_is_named(project: Path, begin: Any) -> None:
    (project / "examples.jsonl").rename(project / "train.jsonl")
    write_jsonl(project / "dev.jsonl", labelled(70)[44:58])
    write_jsonl(project / "test.jsonl", labelled(90)[58:])
    text = (project / "tunewise.toml").read_text()
    files = 'train = "train.jsonl"\ndev = "dev.jsonl"\ntest = "test.jsonl"'
    (project / "tunewise.toml").write_text(text.replace('examples = "examples.jsonl"', files))
    begin()
    before = (project / "dev.jsonl").read_text()
    rewrite(project / "dev.jsonl", lambda rows: rows[2:])
    assert "dev.jsonl: 2 rows are gone" in refusal(project)
    (project / "dev.jsonl").write_text(before)
    # Nothing is learnt from the sealed rows, nor chosen by them.
    rewrite(project / "test.jsonl", lambda rows: rows[2:])
    assert train(project, resume=True, out=project / "run") == project / "run"


def test_changed_settings_are_named_from_what_to_what(project: Path, begin: Any) -> None:
    begin()
    said = refusal(project, "training.epochs=3", "training.learning_rate=0.01")
    assert "training.epochs was 2 and is 3 now" in said
    assert 'training.learning_rate was "auto" and is 0.01 now' in said
    assert "model.base" not in said


def test_rows_and_settings_are_told_together(project: Path, begin: Any) -> None:
    begin()
    add_rows(project / "examples.jsonl", labelled(46)[44:])
    said = refusal(project, "training.epochs=3")
    assert "2 rows are new" in said
    assert "training.epochs was 2" in said


def test_another_base_of_the_same_name_is_named(project: Path, begin: Any, tmp_path: Path) -> None:
    base = small_models.build(tmp_path / "base", family="mistral")
    begin(f"model.base={base}")
    small_models.build(base, family="mistral", initializer_range=0.3)
    assert "the base model is another than it was" in refusal(project, f"model.base={base}")


def test_another_adapter_to_go_on_from_is_named(
    project: Path, begin: Any, model: Path, tmp_path: Path
) -> None:
    base = open_model(str(model), progress=Silent())
    start = adapter(base, tmp_path / "start", rank=2, alpha=4)
    begin(f"training.start={start}")
    adapter(base, start, rank=2, alpha=4, seed=1)
    said = refusal(project, f"training.start={start}")
    assert "the adapter of training.start is another than it was" in said


def test_another_metric_of_the_project_is_named(project: Path, begin: Any) -> None:
    metric = project / "strict.py"
    metric.write_text("def same(answer: str, target: str) -> bool:\n    return answer == target\n")
    begin("task.metric=strict:same")
    metric.write_text("def same(answer: str, target: str) -> bool:\n    return target in answer\n")
    assert "strict.py is another than it was" in refusal(project, "task.metric=strict:same")


def test_a_finished_result_is_not_shown_for_other_rows(project: Path) -> None:
    train(project, "training.epochs=1", out=project / "run")
    add_rows(project / "examples.jsonl", labelled(50)[44:])
    assert "6 rows are new" in refusal(project, "training.epochs=1")


def test_the_newest_training_of_the_same_rows_is_found_without_naming_it(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = (project / "examples.jsonl").read_text()
    first = train(project, "training.epochs=1")
    add_rows(project / "examples.jsonl", labelled(60)[44:])
    with pytest.raises(UserError, match=f"Since {first.name} began .*16 rows are new"):
        train(project, "training.epochs=1", resume=True)
    (project / "examples.jsonl").write_text(before)
    assert train(project, "training.epochs=1", resume=True) == first


def test_put_back_it_goes_on(project: Path, begin: Any) -> None:
    folder = begin()
    before = (project / "examples.jsonl").read_text()
    add_rows(project / "examples.jsonl", labelled(50)[44:])
    refusal(project)
    (project / "examples.jsonl").write_text(before)
    train(project, resume=True, out=folder)
    events = [json.loads(line)["event"] for line in (folder / "events.jsonl").open()]
    assert events.count("start") == events.count("resumed") == 1


def test_a_project_that_moved_is_the_same(project: Path, begin: Any, tmp_path: Path) -> None:
    begin()
    moved = project.rename(tmp_path / "moved")
    assert train(moved, resume=True, out=moved / "run") == moved / "run"


def test_a_record_that_is_damaged_or_missing_is_said(project: Path, begin: Any) -> None:
    record = begin() / "made-from.json"
    record.write_text("{}")
    assert "made-from.json: is damaged" in refusal(project)
    record.unlink()
    assert "rows were not written down" in refusal(project)
