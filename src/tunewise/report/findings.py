"""Shows what `check` found, for a terminal and as JSON."""

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.text import Text

from tunewise.data.checks.findings import Finding, Findings
from tunewise.data.checks.repair import Fixed
from tunewise.data.checks.result import Checked, DocumentCounts
from tunewise.data.layouts.detect import Kind
from tunewise.data.read_log import SHOWN
from tunewise.errors import UserError
from tunewise.report.advice import advice_for
from tunewise.statistics.distributions import quantile
from tunewise.storage import shortened
from tunewise.wording import plural

MAX_WARNINGS = 5
"""Warnings of a rule that the terminal shows; errors are shown as they are kept."""
HOLDS: Mapping[Kind, str] = {
    "examples": "rows",
    "preferences": "preference pairs",
    "texts": "texts",
    "ratings": "rated answers",
}
"""What rows of a kind are called."""


def findings_document(checked: Checked) -> dict[str, Any]:
    """What `tunewise check --json` prints."""
    task, lengths, ceiling = checked.task, checked.lengths, checked.ceiling
    return {
        "rows": checked.total,
        "unreadable": checked.unreadable,
        "kind": checked.kind,
        "task": {"kind": task.kind, "metric": task.metric, "labels": task.labels},
        **_findings(checked.report),
        "counts": dict(checked.report.counts),
        "summary": verdict(checked),
        "parts": dict(checked.rows),
        "usable": checked.usable,
        "lengths": {
            "unit": lengths.unit,
            "model": lengths.model,
            "context": lengths.context,
            "sampled": len(lengths.sample),
            "too_long": lengths.too_long,
            "cut_off": lengths.cut_off,
            **_quantiles(lengths.sample),
            "why_no_tokens": checked.no_tokens or None,
        },
        "labels": {count.label: dict(count.rows) for count in checked.labels},
        "near_duplicates": checked.near_duplicates,
        "ceiling": ceiling.share if ceiling else None,
        "label_mistakes": {
            "rows": checked.label_errors_found,
            "looked_at": checked.label_error_rows,
            "why_none": checked.no_label_errors or None,
        },
        "leaks": dict(checked.leak_kinds),
        "personal_data": dict(checked.secret_kinds),
        "outlook": asdict(checked.outlook),
        "documents": asdict(checked.documents) if checked.documents else None,
        "seconds": round(checked.seconds, 2),
        "repairs": [
            {
                "where": one.row.where,
                "rule": one.rule,
                "done": one.done,
                "goes": one.goes,
                "input": one.row.input,
                "answer": one.row.target,
            }
            for one in checked.repairs
        ],
        "repair_counts": dict(checked.repair_counts),
        "fixed": {
            "out": str(fixed.out),
            "files": {part: str(file) for part, file in fixed.files.items()},
            "log": str(fixed.log),
            "changes": dict(fixed.changes),
        }
        if (fixed := checked.fixed)
        else None,
    }


def faults_document(error: UserError, findings: Sequence[Finding]) -> dict[str, Any]:
    """What `tunewise check --json` prints where nothing could be checked.

    Args:
        error: what stopped it.
        findings: the same, fault by fault, where they are known.
    """
    faults = findings or [_from_line(line) for line in str(error).splitlines()]
    return {
        "rows": 0,
        "task": {"kind": None, "metric": None, "labels": None},
        **_findings(Findings(errors=tuple(faults))),
        "summary": f"Cannot be read: {plural(len(faults), 'fault')}.",
        "usable": 0,
    }


def verdict(checked: Checked) -> str:
    """One sentence: `412 of 415 rows can be used; 3 errors, 14 warnings.`"""
    counts = [
        sum(checked.report.counts[rule] for rule in {f.rule for f in found})
        for found in (checked.report.errors, checked.report.warnings)
    ]
    rows = plural(checked.usable, "row")
    met = checked.total + checked.unreadable
    if checked.usable < met:
        rows = f"{checked.usable:,} of {plural(met, 'row')}"
    if documents := checked.documents:
        opened = documents.files
        share = f"{documents.usable:,} of " if documents.usable < opened else ""
        rows += f" and {share}{plural(opened, 'document')}"
    found = [plural(n, what) for n, what in zip(counts, ("error", "warning"), strict=True) if n]
    return f"{rows} can be used; {', '.join(found) or 'nothing found'}."


def render_findings(checked: Checked, console: Console | None = None) -> None:
    """Prints every finding, the errors first."""
    console = console or Console()
    task, report = checked.task, checked.report
    judged = f", {task.kind} judged by {task.metric}" if checked.kind == "examples" else ""
    head = f"{checked.total:,} {HOLDS[checked.kind]}{judged}."
    console.print(Text(head), soft_wrap=True)
    if checked.reason and judged:
        console.print(Text(checked.reason), soft_wrap=True)
    roots = [checked.root] if checked.root else []
    _list(console, "error", "bold red", report.errors, roots)
    _list(console, "warning", "yellow", _first_of_each(report), roots)
    _list(console, "note", "dim", report.notes, roots)
    console.print(Text(lengths_sentence(checked)), soft_wrap=True)
    if checked.documents:
        console.print(Text(documents_sentence(checked.documents)), soft_wrap=True)
    console.print(Text(verdict(checked), style="bold"), soft_wrap=True)
    if checked.fixed:
        console.print(Text(fixed_sentence(checked.fixed)), soft_wrap=True)
    if checked.fixed and checked.fixed.changes:
        root = (checked.root or Path.cwd()).resolve()
        line = "Look at the log, write under [data] of tunewise.toml"
        console.print(Text(line), soft_wrap=True)
        for part, file in checked.fixed.files.items():
            named = shortened(str(file.resolve()), root)
            console.print(
                Text(f"  {part} = {json.dumps(named, ensure_ascii=False)}"), soft_wrap=True
            )
        line = f"and check again: tunewise check {shlex.quote(checked.source)}"
        console.print(Text(line), soft_wrap=True)
    elif report.errors:
        line = "Mend the errors, then check again"
        line += "; `--fix OUT` writes a copy without them." if checked.unreadable else "."
        console.print(line, highlight=False)
    elif checked.kind != "examples":
        line = f"No errors. `tunewise decide` needs examples; these are {HOLDS[checked.kind]}."
        console.print(Text(line), soft_wrap=True)
    else:
        line = f"No errors. Next: tunewise decide {shlex.quote(checked.source)}"
        line += " (with --quick: a first opinion in minutes)"
        console.print(Text(_before_deciding(checked) + line), soft_wrap=True)


def _before_deciding(checked: Checked) -> str:
    """What to label before, where so few rows would hardly end in a verdict."""
    view = checked.outlook
    if not view.to_label:
        return ""
    side = "test rows" if view.own_split else "rows"
    return (
        f"Test can use about {view.wanted:,} rows, more than these give: label about "
        f"{view.to_label:,} more {side} first, or go on to see where you stand.\n"
    )


def fixed_sentence(fixed: Fixed) -> str:
    """What the repaired copy holds, and where it is."""
    changes = ", ".join(f"{rule} {n:,}" for rule, n in fixed.changes.items()) or "nothing to change"
    return f"Repaired copy in the folder {fixed.out} ({changes}; each change in {fixed.log})."


def lengths_sentence(checked: Checked) -> str:
    """How long rows are, and how that was counted."""
    lengths = checked.lengths
    if not len(lengths.sample):
        return ""
    numbers = _quantiles(lengths.sample)
    text = (
        f"Half of the rows have up to {numbers['median']:,} {lengths.unit}, 95 of 100 up to "
        f"{numbers['p95']:,}, the longest {numbers['longest']:,}"
    )
    if len(lengths.sample) < checked.total:
        text += f" (a sample of {plural(len(lengths.sample), 'row')})"
    if checked.no_tokens:
        return f"{text}. Tokens were not counted: {checked.no_tokens}."
    return f"{text}; the context of {lengths.model} holds {lengths.context or 0:,}."


def documents_sentence(documents: DocumentCounts) -> str:
    """How much there is to retrieve from."""
    passages = plural(documents.passages, "passage")
    return (
        f"{plural(documents.usable, 'document')} to retrieve from: {passages} of up to "
        f"{documents.passage_words} words."
    )


def warnings_summary(report: Findings, project: Path) -> list[str]:
    """The warnings for someone who came for something else: a line a rule."""
    lines: list[str] = []
    for rule in dict.fromkeys(finding.rule for finding in report.warnings):
        first = next(finding for finding in report.warnings if finding.rule == rule)
        count = report.counts[rule]
        if count == 1:
            lines.append(f"{first.where}: {first.message}")
        else:
            lines.append(f"{advice_for(rule).title}: {count:,}, the first at {first.where}.")
    lines += [finding.message for finding in report.notes if finding.rule == "ceiling"]
    if not lines:
        return []
    lines.append(f"All warnings with what to do: tunewise check {shlex.quote(str(project))}")
    return [shortened(line, Path.cwd(), project) for line in lines]


def _quantiles(sample: np.ndarray[Any, np.dtype[np.int64]]) -> dict[str, int]:
    return {
        "median": quantile(sample, 0.5),
        "p95": quantile(sample, 0.95),
        "longest": quantile(sample, 1.0),
    }


def _findings(report: Findings) -> dict[str, list[dict[str, Any]]]:
    return {
        "errors": [asdict(finding) for finding in report.errors],
        "warnings": [asdict(finding) for finding in report.warnings],
        "notes": [asdict(finding) for finding in report.notes],
    }


def _from_line(line: str) -> Finding:
    where, colon, message = line.partition(": ")
    return Finding(rule="unreadable", where=where if colon else "", message=message or where)


def _first_of_each(report: Findings) -> list[Finding]:
    """The first warnings of each rule, and behind them how many more there are."""
    shown: list[Finding] = []
    for rule in dict.fromkeys(finding.rule for finding in report.warnings):
        placed = [finding for finding in report.warnings if finding.rule == rule and finding.where]
        shown += placed[:MAX_WARNINGS]
        if len(placed) == MAX_WARNINGS + 1 == report.counts[rule]:
            shown.append(placed[-1])  # as long as the line that would tell of it
            continue
        more = report.counts[rule] - len(placed[:MAX_WARNINGS])
        if more > 0:
            message = f"{more:,} more. The page and --json place the first {SHOWN}."
            shown.append(Finding(rule=rule, where="", message=message))
    return shown


def _list(
    console: Console, kind: str, style: str, findings: Sequence[Finding], roots: Sequence[Path]
) -> None:
    for finding in findings:
        head = Text(f"{kind} [{finding.rule}] ", style=style)
        where = f"{finding.where}: " if finding.where else ""
        said = shortened(f"{where}{finding.message}", Path.cwd(), *roots)
        console.print(head + Text(said), soft_wrap=True)
