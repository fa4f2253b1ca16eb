"""Small surveys of rows written in a test."""

from collections.abc import Mapping, Sequence

from tunewise.data.checks.findings import Finding, Findings, Found
from tunewise.data.checks.scan import Scope
from tunewise.data.checks.survey import Survey, Surveyor
from tunewise.types import Example, Message


def example(
    question: str, answer: str = "yes", *, group: str | None = None, system: str = ""
) -> Example:
    turns = [Message(role="user", content=question)]
    if system:
        turns.insert(0, Message(role="system", content=system))
    return Example(id=question, messages=tuple(turns), target=answer, group=group)


def surveyed(parts: Mapping[str, Sequence[Example]], scope: Scope | None = None) -> Survey:
    """The survey of parts; row n of a part stands on line n of `PART.jsonl`."""
    with Surveyor(scope or Scope()) as surveyor:
        for part in sorted(parts, key=lambda part: part != "test"):
            for line, row in enumerate(parts[part], 1):
                surveyor.add(part, f"{part}.jsonl", line, row)
        return surveyor.finish()


def of(rule: str, found: Found | Findings) -> list[Finding]:
    """What a rule found, of any severity."""
    report = found.report() if isinstance(found, Found) else found
    every = (*report.errors, *report.warnings, *report.notes)
    return [finding for finding in every if finding.rule == rule]
