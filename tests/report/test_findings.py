import io
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
from rich.console import Console

from checked_data import checked, finding
from tunewise.data.checks.findings import Findings, Found
from tunewise.data.checks.result import Checked
from tunewise.errors import UserError
from tunewise.report.findings import (
    faults_document,
    findings_document,
    lengths_sentence,
    render_findings,
    verdict,
    warnings_summary,
)

REPORT = Findings(
    errors=(finding("empty_target", "a.jsonl:3", "The answer is empty."),),
    warnings=(finding("duplicate", "a.jsonl:9", "Repeats [/red] a.jsonl:1."),),
    notes=(finding("read", "examples", "rows read as two columns."),),
    counts={"empty_target": 1, "duplicate": 1, "read": 1},
)


def printed(found: Checked) -> str:
    console = Console(file=io.StringIO(), width=80)
    render_findings(found, console)
    return console.file.getvalue()  # type: ignore[attr-defined]


def test_the_errors_come_first_each_with_rule_place_and_message() -> None:
    lines = printed(checked(report=REPORT)).splitlines()
    assert lines[0] == "412 rows, classification judged by accuracy."
    assert lines[2:5] == [
        "error [empty_target] a.jsonl:3: The answer is empty.",
        "warning [duplicate] a.jsonl:9: Repeats [/red] a.jsonl:1.",
        "note [read] examples: rows read as two columns.",
    ]
    assert lines[-2:] == [
        "411 of 412 rows can be used; 1 error, 1 warning.",
        "Mend the errors, then check again.",
    ]


def test_of_many_warnings_the_first_are_shown_then_counted() -> None:
    found = Found()
    found.each("warning", "duplicate", range(1, 31), lambda n: (f"a.jsonl:{n}", "Repeats."))
    shown = [
        line for line in printed(checked(report=found.report())).splitlines() if "[dup" in line
    ]
    assert shown[:5] == [f"warning [duplicate] a.jsonl:{n}: Repeats." for n in range(1, 6)]
    assert shown[5:] == ["warning [duplicate] 25 more. The page and --json place the first 20."]


def test_a_summary_of_warnings_has_a_line_a_rule() -> None:
    found = Found()
    found.each("warning", "duplicate", [3, 4], lambda n: (f"a.jsonl:{n}", "Repeats."))
    found.add("warning", "imbalance", "labels", "Nearly all are one.")
    assert warnings_summary(found.report(), Path("shop")) == [
        "Rows that repeat another: 2, the first at a.jsonl:3.",
        "labels: Nearly all are one.",
        "All warnings with what to do: tunewise check shop",
    ]
    assert warnings_summary(Found().report(), Path("shop")) == []


def test_rows_that_cannot_be_read_can_be_left_out_of_a_copy() -> None:
    last = printed(checked(report=REPORT, unreadable=2)).splitlines()[-1]
    assert last == "Mend the errors, then check again; `--fix OUT` writes a copy without them."


def test_what_looks_like_markup_is_shown_as_it_is() -> None:
    assert "because of [/b]" in printed(checked())


def test_without_errors_the_next_command_is_named() -> None:
    lines = printed(checked(report=Findings(), usable=412)).splitlines()
    assert lines[-2:] == [
        "412 rows can be used; nothing found.",
        "No errors. Next: tunewise decide /data/shop (with --quick: a first opinion in minutes)",
    ]


def test_a_long_message_is_not_broken_into_lines() -> None:
    long = Findings(warnings=(finding("leak", "a.jsonl:1", "word " * 60),), counts={"leak": 1})
    assert any(line.count("word") == 60 for line in printed(checked(report=long)).splitlines())


def test_findings_that_are_only_counted_are_in_the_verdict() -> None:
    assert verdict(checked()) == "411 of 412 rows can be used; 1 error, 26 warnings."


def test_lengths_are_said_against_the_context() -> None:
    lengths = replace(checked().lengths, sample=np.arange(1, 101))
    assert lengths_sentence(checked(lengths=lengths, rows={"train": 100})) == (
        "Half of the rows have up to 50 tokens, 95 of 100 up to 95, the longest 100; "
        "the context of small holds 256."
    )
    plain = replace(lengths, unit="characters", context=None, model=None)
    said = lengths_sentence(checked(lengths=plain, no_tokens="the model small is not here"))
    assert "the longest 100 (a sample of 100 rows). Tokens were not counted: the model" in said


def test_the_document_holds_the_same_and_is_json() -> None:
    document = json.loads(json.dumps(findings_document(checked(report=REPORT))))
    assert document["rows"] == 412
    assert document["task"] == {
        "kind": "classification", "metric": "accuracy", "labels": ["a", "b"],
    }  # fmt: skip
    assert document["errors"] == [
        {"rule": "empty_target", "where": "a.jsonl:3", "message": "The answer is empty."}
    ]
    assert document["warnings"] == [
        {"rule": "duplicate", "where": "a.jsonl:9", "message": "Repeats [/red] a.jsonl:1."}
    ]
    assert document["notes"] == [
        {"rule": "read", "where": "examples", "message": "rows read as two columns."}
    ]
    assert document["counts"] == {"empty_target": 1, "duplicate": 1, "read": 1}
    assert document["summary"] == "411 of 412 rows can be used; 1 error, 1 warning."
    assert document["leaks"] == {"exact": 4, "overlap": 1}
    assert document["lengths"]["too_long"] == 9


def test_where_nothing_could_be_read_the_document_holds_the_faults() -> None:
    faults = [finding("not_JSON", "a.jsonl:3", "is not JSON. Mend it.")]
    document = json.loads(json.dumps(faults_document(UserError("..."), faults)))
    assert document["rows"] == 0
    assert document["errors"] == [
        {"rule": "not_JSON", "where": "a.jsonl:3", "message": "is not JSON. Mend it."}
    ]
    assert document["warnings"] == document["notes"] == []


def test_an_error_without_findings_is_taken_apart_by_line() -> None:
    error = UserError("t.toml:2: data.x: unknown key. Remove it.\nNo such thing.")
    assert faults_document(error, ())["errors"] == [
        {"rule": "unreadable", "where": "t.toml:2", "message": "data.x: unknown key. Remove it."},
        {"rule": "unreadable", "where": "", "message": "No such thing."},
    ]
