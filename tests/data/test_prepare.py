import json
from pathlib import Path

import pytest

from tunewise.data.prepare import prepare
from tunewise.errors import UserError
from tunewise.project.load import load_project
from tunewise.project.settings import Project


def project(folder: Path, rows: list[dict], *overrides: str) -> Project:
    (folder / "examples.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return load_project(folder / "examples.jsonl", overrides)


def labelled(count: int) -> list[dict]:
    return [{"text": f"message {n}", "label": "ab"[n % 2]} for n in range(count)]


def test_a_data_file_becomes_a_complete_task_and_three_splits(tmp_path: Path) -> None:
    prepared = prepare(project(tmp_path, labelled(100)))
    task, splits = prepared.project.task, prepared.splits
    assert (task.kind, task.metric, task.labels) == ("classification", "accuracy", ("a", "b"))
    assert len(splits.train) + len(splits.dev) + len(splits.test) == 100
    assert prepared.notes[0].startswith("kind classification, because")


def test_what_the_project_says_is_not_inferred(tmp_path: Path) -> None:
    prepared = prepare(project(tmp_path, labelled(40), "task.kind=generation", "task.metric=chrf"))
    assert (prepared.project.task.kind, prepared.project.task.metric) == ("generation", "chrf")
    assert [note for note in prepared.notes if "because" in note or "usual" in note] == []


def test_labels_are_inferred_from_train_and_dev_alone(tmp_path: Path) -> None:
    rows = labelled(60)
    whole = prepare(project(tmp_path, rows))
    sealed = whole.splits.test[0].messages[0].content
    for row in rows:
        if row["text"] == sealed:
            row["label"] = "seen in test only"
    with_strange = prepare(project(tmp_path, rows, "task.kind=classification"))
    assert "seen in test only" in {e.target for e in with_strange.splits.test}
    assert with_strange.project.task.labels == ("a", "b")


def test_what_so_many_test_rows_can_tell_is_said_for_the_gain_of_the_project(
    tmp_path: Path,
) -> None:
    prepared = prepare(project(tmp_path, labelled(100), "decision.minimum_gain=0.2"))
    n = len(prepared.splits.test)
    said = prepared.notes[1]
    assert said.startswith(f"With {n} test rows, a true gain of 20 points would be told with")
    assert said.endswith("More rows, up to about 37, would tell more.")


def test_more_test_rows_than_the_gain_needs_are_reserved(tmp_path: Path) -> None:
    prepared = prepare(project(tmp_path, labelled(400), "decision.minimum_gain=0.2"))
    assert len(prepared.splits.test) == 37
    assert len(prepared.splits.reserved) > 50


def test_the_shares_of_labels_are_told_for_a_classification_only(tmp_path: Path) -> None:
    assert "Labels in train / dev / test: " in prepare(project(tmp_path, labelled(100))).notes[2]
    free = prepare(project(tmp_path, labelled(100), "task.kind=generation")).notes
    assert not any("Labels" in note for note in free)


def test_the_limit_is_kept(tmp_path: Path) -> None:
    splits = prepare(project(tmp_path, labelled(100), "contenders.limit=30")).splits
    assert len(splits.train) + len(splits.dev) + len(splits.test) == 30


def test_warnings_are_handed_on(tmp_path: Path) -> None:
    rows = [*labelled(40), {"text": "message 3", "label": "b"}]
    report = prepare(project(tmp_path, rows)).report
    assert [w.rule for w in report.warnings] == ["duplicate"]
    assert report.warnings[0].where.endswith("examples.jsonl:41")


def test_faults_in_the_data_stop_it_with_every_line(tmp_path: Path) -> None:
    rows = labelled(40)
    rows[4]["label"] = "c"
    rows[9]["label"] = "d"
    with pytest.raises(UserError) as caught:
        prepare(project(tmp_path, rows, 'task.labels=["a", "b"]', "task.kind=classification"))
    lines = str(caught.value).splitlines()
    assert len(lines) == 2
    assert "examples.jsonl:5: " in lines[0]
    assert '"c" is not among [task] labels' in lines[0]
    assert "examples.jsonl:10: " in lines[1]


def test_too_few_rows_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="12 rows are too few to split"):
        prepare(project(tmp_path, labelled(12)))
