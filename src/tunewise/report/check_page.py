"""Turns what `check` found into one self-contained HTML page, in the style of the report.

No script, no request to anywhere; every text of the data goes through Jinja's autoescape. It
prepares what the template shows; the template only lays it out.
"""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tunewise.data.checks.findings import Finding
from tunewise.data.checks.labels import LabelCount
from tunewise.data.checks.result import Checked, ShownGroup, ShownLeak, ShownRow
from tunewise.errors import UserError
from tunewise.report.advice import advice_for, urgency
from tunewise.report.bars import BarRow, bars, histogram
from tunewise.report.findings import HOLDS, documents_sentence, lengths_sentence, verdict
from tunewise.report.pages import Clip, clip, page_template, with_code
from tunewise.report.pictures import Figure, Plot, both
from tunewise.statistics.distributions import quantile
from tunewise.storage import write_text
from tunewise.wording import count, duration, percent, plural, whole_percent

_FULL_BYTES = 900
"""Escaped bytes of one text in its details: up to two hundred texts keep 1 MB."""
_MAX_LABELS = 25
_MAX_GROUPS, _MAX_OF_GROUP = 8, 3
_MAX_LEAKS = 8
_LEAK_WORDS = {
    "exact": "the same input",
    "normalised": "the same input but for case, spaces or the form of signs",
    "near": "nearly the same input",
    "documents": "question and answer in a document",
    "overlap": "long passages in common",
    "group": "the same group",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class _Todo:
    severity: str
    count: str
    title: str
    remedy: str
    rule: str


@dataclass(frozen=True, kw_only=True, slots=True)
class _ExampleRow:
    where: str
    input: Clip
    target: Clip


@dataclass(frozen=True, kw_only=True, slots=True)
class _LabelErrorRow:
    row: _ExampleRow
    likely: str
    sure: str


@dataclass(frozen=True, kw_only=True, slots=True)
class _RowGroup:
    title: str
    rows: tuple[_ExampleRow, ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Rule:
    """All findings of a rule, for the list at the end."""

    severity: str
    rule: str
    title: str
    count: str
    findings: tuple[tuple[str, str], ...]
    """Place, message."""


def render_check_page(checked: Checked) -> str:
    """The page as text, less than 1 MB."""
    place = _Places(checked)
    report = checked.report
    clusters, contradictions = (
        [_group(group, place, what) for group in groups[:_MAX_GROUPS]]
        for groups, what in (
            (checked.clusters, "rows that nearly repeat one another"),
            (checked.contradictions, "rows with this input"),
        )
    )
    return page_template("check.html").render(
        checked=checked,
        headline=verdict(checked),
        mood="errors" if report.errors else "warnings" if report.warnings else "sound",
        figures=_figures(checked),
        todos=_todos(checked),
        lengths=_lengths(checked),
        lengths_said=lengths_sentence(checked),
        labels=_labels(checked),
        rarest=checked.labels[-1] if len(checked.labels) > _MAX_LABELS else None,
        label_errors=[
            _LabelErrorRow(
                row=_row(label_error.row, place),
                likely=label_error.likely,
                sure=whole_percent(label_error.probability),
            )
            for label_error in checked.label_errors
        ],
        clusters=clusters,
        contradictions=contradictions,
        leaks=[_leak(leak, place) for leak in checked.leaks[:_MAX_LEAKS]],
        secrets=[
            (place.short(secret.where), secret.kind, secret.masked) for secret in checked.secrets
        ],
        sides=_sides(checked),
        rules=_rules(checked, place),
        facts=_facts(checked),
        source=place.source,
        with_code=with_code,
    )


def write_check_page(checked: Checked, path: Path) -> Path:
    """Writes the page, and makes its folder if need be.

    Raises:
        UserError: it cannot be written there.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_text(path, render_check_page(checked))
    except OSError as error:
        raise UserError(
            f"{path}: the page cannot be written ({error.strerror}). "
            "Name a file that you may write with --page."
        ) from None
    return path


class _Places:
    """Shortens `file:line` to what tells files apart."""

    def __init__(self, checked: Checked) -> None:
        folders = {os.path.dirname(file) for file in checked.files if os.path.isabs(file)}
        self._prefix = os.path.commonpath(folders) + os.sep if folders else ""
        self.source = os.path.basename(os.path.abspath(checked.source)) or checked.source

    def short(self, text: str) -> str:
        """The text without the folder that all places share."""
        return text.replace(self._prefix, "") if len(self._prefix) > 1 else text


def _figures(checked: Checked) -> list[Figure]:
    sizes = checked.lengths.sample
    parts = ", ".join(f"{part} {count(rows)}" for part, rows in checked.rows.items())
    figures = [
        Figure(
            value=count(checked.total),
            label="rows",
            detail=parts if len(checked.rows) > 1 else f"{count(checked.usable)} can be used",
        )
    ]
    if len(sizes):
        middle = quantile(sizes, 0.5)
        context = checked.lengths.context
        detail = f"the context holds {count(context)}" if context else "tokens were not counted"
        label = f"{checked.lengths.unit} in the middle row"
        figures.append(Figure(value=count(middle), label=label, detail=detail))
    figures.append(
        Figure(
            value=count(checked.near_duplicates),
            label="near duplicates",
            detail=f"of {plural(checked.total, 'row')}",
        )
    )
    if documents := checked.documents:
        out = documents.files - documents.usable
        detail = plural(documents.passages, "passage") + (f", {count(out)} left out" if out else "")
        label = "document" if documents.usable == 1 else "documents"
        figures.append(Figure(value=count(documents.usable), label=label, detail=detail))
    figures.append(
        Figure(
            value=count(checked.outlook.sides.get("test", 0)),
            label="test rows",
            detail=f"up to {count(checked.outlook.wanted)} are used",
        )
    )
    return figures


def _todos(checked: Checked) -> list[_Todo]:
    """One line a rule, errors first, then by urgency."""
    found = [
        (severity, finding.rule)
        for severity, findings in (
            ("error", checked.report.errors),
            ("warning", checked.report.warnings),
        )
        for finding in findings
    ]
    rules = sorted(dict.fromkeys(found), key=lambda one: (one[0] != "error", urgency(one[1])))
    return [
        _Todo(
            severity=severity,
            count=count(checked.report.counts[rule]),
            title=advice_for(rule).title,
            remedy=advice_for(rule).remedy,
            rule=rule,
        )
        for severity, rule in rules
    ]


def _lengths(checked: Checked) -> Plot | None:
    lengths = checked.lengths
    if not len(lengths.sample):
        return None
    return both(
        lambda width: histogram(
            lengths.sample, unit=lengths.unit, context=lengths.context, width=width
        )
    )


def _labels(checked: Checked) -> Plot | None:
    if not checked.labels:
        return None
    rows = [
        BarRow(label=label.label, value=label.total, text=_label_text(label, checked.total))
        for label in checked.labels[:_MAX_LABELS]
    ]
    return both(lambda width: bars(rows, title="Rows by label", width=width))


def _label_text(label: LabelCount, total: int) -> str:
    text = f"{count(label.total)} ({percent(label.total / max(total, 1))})"
    return f"{text}, test {count(label.rows['test'])}" if "test" in label.rows else text


def _sides(checked: Checked) -> Plot:
    rows = [
        BarRow(label=side, value=rows, text=f"{count(rows)} rows")
        for side, rows in checked.outlook.sides.items()
    ]
    return both(lambda width: bars(rows, title="Rows by side of the split", width=width))


def _row(row: ShownRow, place: _Places) -> _ExampleRow:
    return _ExampleRow(
        where=place.short(row.where),
        input=clip(row.input, full=_FULL_BYTES),
        target=clip(row.target, full=_FULL_BYTES),
    )


def _group(group: ShownGroup, place: _Places, what: str) -> _RowGroup:
    return _RowGroup(
        title=f"{count(group.size)} {what}",
        rows=tuple(_row(row, place) for row in group.rows[:_MAX_OF_GROUP]),
    )


def _leak(leak: ShownLeak, place: _Places) -> _RowGroup:
    title = _LEAK_WORDS[leak.kind]
    if leak.kind == "overlap":
        title += f" ({whole_percent(leak.share)} of the test row's runs of 13 words)"
    if leak.document:
        title += f", {leak.document}"
    rows = [row for row in (leak.test, leak.other) if row is not None]
    return _RowGroup(title=title, rows=tuple(_row(row, place) for row in rows))


def _rules(checked: Checked, place: _Places) -> list[_Rule]:
    report = checked.report
    every: list[_Rule] = []
    for severity, findings in (
        ("error", report.errors),
        ("warning", report.warnings),
        ("note", report.notes),
    ):
        by_rule: dict[str, list[Finding]] = {}
        for finding in findings:
            by_rule.setdefault(finding.rule, []).append(finding)
        every += [
            _Rule(
                severity=severity,
                rule=rule,
                title=advice_for(rule).title,
                count=count(report.counts[rule]),
                findings=_lines(found, place),
            )
            for rule, found in by_rule.items()
        ]
    return every


def _lines(found: Sequence[Finding], place: _Places) -> tuple[tuple[str, str], ...]:
    return tuple((place.short(one.where), place.short(one.message)) for one in found)


def _facts(checked: Checked) -> list[tuple[str, str]]:
    task = checked.task
    facts = [("rows", HOLDS[checked.kind])]
    if checked.kind == "examples":
        facts = [("task", f"{task.kind}, judged by {task.metric}")]
    if checked.reason and checked.kind == "examples":
        facts.append(("inferred", checked.reason))
    sampled = len(checked.lengths.sample)
    whole = "every row" if sampled >= checked.total else f"a seeded sample of {count(sampled)} rows"
    facts.append((checked.lengths.unit, f"counted on {whole}"))
    if checked.documents:
        facts.append(("documents", documents_sentence(checked.documents)))
    if checked.no_tokens:
        facts.append(("tokenizer", f"not used: {checked.no_tokens}"))
    if checked.label_error_rows:
        looked = checked.label_error_rows
        whole = (
            "every row" if looked >= checked.total else f"a seeded sample of {count(looked)} rows"
        )
        facts.append(
            (
                "label mistakes",
                f"{whole}: five-fold cross-validation of a linear classifier on words, confident "
                "learning (Northcutt et al., 2021), shown where it is sure",
            )
        )
    if checked.no_label_errors:
        facts.append(("label mistakes", f"not looked for: {checked.no_label_errors}"))
    facts += [
        (
            "near duplicates",
            "Jaccard similarity of words and pairs of words of at least 0.8, without runs of 13 "
            "words that 1% of the rows share; proposed by MinHash, each pair verified",
        ),
        (
            "leaks",
            "the same input (exact, normalised), nearly the same, or a fifth of its runs of 13 "
            "words (or 13 of them) in train or dev",
        ),
        ("personal data", "by form and checksum: names and addresses are not found"),
        ("time", duration(checked.seconds)),
    ]
    return facts
