"""Shows what `check` found, for a terminal and as JSON."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

from rich.console import Console
from rich.text import Text

from tunewise.data.check import Finding, Report
from tunewise.project import Inference


def findings_document(report: Report, inference: Inference, rows: int) -> dict[str, Any]:
    """What `tunewise check --json` prints."""
    task = inference.project.task
    return {
        "rows": rows,
        "task": {"kind": task.kind, "metric": task.metric, "labels": task.labels},
        "errors": [asdict(finding) for finding in report.errors],
        "warnings": [asdict(finding) for finding in report.warnings],
        "notes": [asdict(finding) for finding in report.notes],
    }


def render_findings(
    report: Report, inference: Inference, rows: int, console: Console | None = None
) -> None:
    """Prints every finding, the errors first."""
    console = console or Console()
    task = inference.project.task
    console.print(Text(f"{rows:,} rows, {task.kind} judged by {task.metric}."), soft_wrap=True)
    if inference.reason:
        console.print(Text(inference.reason), soft_wrap=True)
    _list(console, "error", "bold red", report.errors)
    _list(console, "warning", "yellow", report.warnings)
    _list(console, "note", "dim", report.notes)
    if report.errors:
        console.print("Mend the errors, then check again.", highlight=False)
    else:
        console.print("No errors. Next: tunewise decide", highlight=False)


def _list(console: Console, kind: str, style: str, findings: Sequence[Finding]) -> None:
    for finding in findings:
        head = Text(f"{kind} [{finding.rule}] ", style=style)
        console.print(head + Text(f"{finding.where}: {finding.message}"), soft_wrap=True)
