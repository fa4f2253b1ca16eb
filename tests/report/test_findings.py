import io
import json

import pytest
from rich.console import Console

from tunewise.data.check import Finding, Report
from tunewise.inference import Inference
from tunewise.project import Project, Task, load_project
from tunewise.report.findings import findings_document, render_findings


def finding(rule: str, where: str, message: str) -> Finding:
    return Finding(rule=rule, where=where, message=message)


REPORT = Report(
    errors=(finding("empty_target", "a.jsonl:3", "The answer is empty."),),
    warnings=(finding("duplicate", "a.jsonl:9", "Repeats [/red] a.jsonl:1."),),
    notes=(finding("read", "examples", "rows read as two columns."),),
)


@pytest.fixture
def inference(tmp_path) -> Inference:
    (tmp_path / "a.jsonl").write_text("{}\n")
    loaded = load_project(tmp_path / "a.jsonl")
    task = Task(kind="classification", labels=("a", "b"), metric="accuracy")
    project = Project(
        **{name: getattr(loaded, name) for name in loaded.__dataclass_fields__ if name != "task"},
        task=task,
    )
    return Inference(project=project, reason="kind classification, because of [/b] reasons")


def shown(report: Report, inference: Inference) -> str:
    console = Console(file=io.StringIO(), width=80)
    render_findings(report, inference, 1234, console)
    return console.file.getvalue()  # type: ignore[attr-defined]


def test_the_errors_come_first_each_with_rule_place_and_message(inference: Inference) -> None:
    lines = shown(REPORT, inference).splitlines()
    assert lines[0] == "1,234 rows, classification judged by accuracy."
    assert lines[2:5] == [
        "error [empty_target] a.jsonl:3: The answer is empty.",
        "warning [duplicate] a.jsonl:9: Repeats [/red] a.jsonl:1.",
        "note [read] examples: rows read as two columns.",
    ]
    assert lines[5] == "Mend the errors, then check again."


def test_what_looks_like_markup_is_shown_as_it_is(inference: Inference) -> None:
    assert "because of [/b] reasons" in shown(REPORT, inference)


def test_without_errors_the_next_command_is_named(inference: Inference) -> None:
    assert shown(Report(), inference).splitlines()[-1] == "No errors. Next: tunewise decide"


def test_a_long_message_is_not_broken_into_lines(inference: Inference) -> None:
    long = Report(warnings=(finding("leak", "a.jsonl:1", "word " * 60),))
    assert any(line.count("word") == 60 for line in shown(long, inference).splitlines())


def test_the_document_holds_the_same_and_is_json(inference: Inference) -> None:
    document = json.loads(json.dumps(findings_document(REPORT, inference, 7)))
    assert document == {
        "rows": 7,
        "task": {"kind": "classification", "metric": "accuracy", "labels": ["a", "b"]},
        "errors": [
            {"rule": "empty_target", "where": "a.jsonl:3", "message": "The answer is empty."}
        ],
        "warnings": [
            {"rule": "duplicate", "where": "a.jsonl:9", "message": "Repeats [/red] a.jsonl:1."}
        ],
        "notes": [{"rule": "read", "where": "examples", "message": "rows read as two columns."}],
    }
