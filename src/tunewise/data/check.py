"""Turns a data set that could be read into findings: what would spoil a verdict, and where.

Errors stop a run, warnings need a person's judgement, notes only tell. It changes no row and
knows nothing of models; faults of single rows (broken JSON, empty turns) are `read`'s.
"""

import difflib
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from tunewise.data.faults import SHOWN
from tunewise.data.read import ReadResult
from tunewise.data.split import (
    FEWEST_DEV,
    FEWEST_ROWS,
    FEWEST_TEST,
    FEWEST_TRAIN,
    normalised_input,
)
from tunewise.project import Task
from tunewise.types import Example

_LEAST = {
    "examples": FEWEST_ROWS,
    "train": FEWEST_TRAIN,
    "dev": FEWEST_DEV,
    "test": FEWEST_TEST,
}
_TEMPLATE_TOKEN = re.compile(
    r"<\|[A-Za-z0-9_]+\|>|</?s>|\[/?INST\]|<(?:start|end)_of_turn>|<[be]os>"
)
_LOPSIDED = 0.95


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One thing found."""

    rule: str
    """Name of the rule that found it."""
    where: str
    """`file:line`, or the part of the data it concerns."""
    message: str
    """What is wrong, and what to do."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """Everything found in a data set."""

    errors: tuple[Finding, ...] = ()
    warnings: tuple[Finding, ...] = ()
    notes: tuple[Finding, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class _Row:
    part: str
    where: str
    """`file:line`."""
    example: Example
    key: str
    """The normalised input."""


def check_data(parts: Mapping[str, ReadResult], task: Task) -> Report:
    """Looks for faults over the whole data set.

    Args:
        parts: what `read_data` gave: `examples`, or `train`, `dev` and `test`.
        task: the project's task; labels are checked where its kind is classification.

    Returns:
        The findings; the first 20 of each rule with their lines, then a count.
    """
    rows = [
        _Row(
            part=part,
            where=result.places.get(example.id, part),
            example=example,
            key=normalised_input(example),
        )
        for part, result in parts.items()
        for example in result.examples
    ]
    errors = [*_too_few(parts), *_empty_targets(rows), *_foreign_labels(rows, task)]
    warnings = [
        *_one_answer(rows),
        *_lopsided(rows, task),
        *_duplicates(rows),
        *_contradictions(rows),
        *_label_typos(rows, task),
        *_leaks(rows),
        *_shared_groups(rows),
        *_template_tokens(rows),
    ]
    notes = [
        Finding(rule="read", where=part, message=note)
        for part, result in parts.items()
        for note in result.notes
    ]
    return Report(errors=_shortened(errors), warnings=_shortened(warnings), notes=tuple(notes))


def _shortened(findings: Sequence[Finding]) -> tuple[Finding, ...]:
    shown: list[Finding] = []
    counts = Counter(finding.rule for finding in findings)
    seen: Counter[str] = Counter()
    for finding in findings:
        seen[finding.rule] += 1
        if seen[finding.rule] <= SHOWN:
            shown.append(finding)
        elif seen[finding.rule] == counts[finding.rule]:
            more = f"{counts[finding.rule] - SHOWN} more of the same."
            shown.append(Finding(rule=finding.rule, where="", message=more))
    return tuple(shown)


def _too_few(parts: Mapping[str, ReadResult]) -> Iterable[Finding]:
    for part, result in parts.items():
        if len(result.examples) < _LEAST[part]:
            yield Finding(
                rule="too_few_rows",
                where=part,
                message=f"{len(result.examples)} rows are too few to decide anything. "
                f"Give at least {_LEAST[part]}.",
            )


def _empty_targets(rows: Sequence[_Row]) -> Iterable[Finding]:
    for row in rows:
        if not row.example.target.strip():
            yield Finding(
                rule="empty_target",
                where=row.where,
                message="The answer is empty. Write it, or remove the row.",
            )


def _foreign_labels(rows: Sequence[_Row], task: Task) -> Iterable[Finding]:
    if task.kind != "classification" or task.labels is None:
        return
    known = set(task.labels)
    for row in rows:
        answer = row.example.target.strip()
        if answer and answer not in known:
            near = difflib.get_close_matches(answer, task.labels, n=1, cutoff=0.7)
            hint = f'Did you mean "{near[0]}"?' if near else "Correct it, or add it to labels."
            yield Finding(
                rule="unknown_label",
                where=row.where,
                message=f'"{answer[:60]}" is not among [task] labels. {hint}',
            )


def _one_answer(rows: Sequence[_Row]) -> Iterable[Finding]:
    if len(rows) > 1 and len({row.example.target.strip() for row in rows}) == 1:
        yield Finding(
            rule="one_answer",
            where=rows[0].where,
            message="All rows have the same answer: there is nothing to learn. "
            "Check that the right column is read as the answer.",
        )


def _lopsided(rows: Sequence[_Row], task: Task) -> Iterable[Finding]:
    if task.kind != "classification" or not rows:
        return
    (label, n), *others = Counter(row.example.target.strip() for row in rows).most_common()
    if others and n / len(rows) >= _LOPSIDED:
        yield Finding(
            rule="imbalance",
            where="labels",
            message=f'{n} of {len(rows)} rows are "{label[:60]}": always saying so is right that '
            "often. Add rows of the other labels, or judge by macro_f1.",
        )


def _duplicates(rows: Sequence[_Row]) -> Iterable[Finding]:
    first: dict[tuple[str, str], _Row] = {}
    for row in rows:
        twin = first.setdefault((row.key, row.example.target), row)
        if twin is not row and twin.part == row.part:
            yield Finding(
                rule="duplicate",
                where=row.where,
                message=f"Repeats {twin.where}. It stays on the same side of the split; "
                "remove it unless it should count twice.",
            )


def _contradictions(rows: Sequence[_Row]) -> Iterable[Finding]:
    same_input: dict[str, list[_Row]] = {}
    for row in rows:
        same_input.setdefault(row.key, []).append(row)
    best = 0
    contradictory = 0
    for twins in same_input.values():
        answers = Counter(row.example.target.strip() for row in twins)
        best += answers.most_common(1)[0][1]
        if len(answers) > 1:
            contradictory += 1
            others = ", ".join(row.where for row in twins[1:4])
            yield Finding(
                rule="contradiction",
                where=twins[0].where,
                message=f"{len(answers)} different answers to this input, here and at {others}. "
                "Keep the right one.",
            )
    if contradictory:
        yield Finding(
            rule="ceiling",
            where="data",
            message=f"{contradictory} inputs have more than one answer, so that no contender can "
            f"repeat more than {best / len(rows):.1%} of the answers. Resolve the contradictions.",
        )


def _label_typos(rows: Sequence[_Row], task: Task) -> Iterable[Finding]:
    """A rare answer that nearly equals a frequent one; declared labels are checked as errors."""
    if task.kind != "classification":
        return
    counts = Counter(row.example.target.strip() for row in rows)
    frequent = [label for label, n in counts.items() if n >= 5]
    spelled = {label.casefold(): label for label in frequent}
    likely: dict[str, str] = {}
    for label, n in counts.items():
        if n > 2:
            continue
        near = difflib.get_close_matches(label.casefold(), list(spelled), n=1, cutoff=0.85)
        if near:
            likely[label] = spelled[near[0]]
    for row in rows:
        label = row.example.target.strip()
        if label in likely:
            yield Finding(
                rule="label_typo",
                where=row.where,
                message=f'"{label[:60]}" occurs {counts[label]} times, "{likely[label][:60]}" '
                f"{counts[likely[label]]} times. Correct it if it is a typo.",
            )


def _leaks(rows: Sequence[_Row]) -> Iterable[Finding]:
    seen = {row.key: row for row in reversed(rows) if row.part in ("train", "dev")}
    for row in rows:
        if row.part == "test" and row.key in seen:
            yield Finding(
                rule="leak",
                where=row.where,
                message=f"The same input is in {seen[row.key].part}, at {seen[row.key].where}: "
                "memory would look like skill. Remove one of them.",
            )


def _shared_groups(rows: Sequence[_Row]) -> Iterable[Finding]:
    seen = {
        row.example.group: row
        for row in reversed(rows)
        if row.part in ("train", "dev") and row.example.group is not None
    }
    for row in rows:
        if row.part == "test" and row.example.group in seen:
            yield Finding(
                rule="group_leak",
                where=row.where,
                message=f'The group "{row.example.group}" is also in '
                f"{seen[row.example.group].part}, at {seen[row.example.group].where}. "
                "Keep each group on one side.",
            )


def _template_tokens(rows: Sequence[_Row]) -> Iterable[Finding]:
    for row in rows:
        texts = [turn.content for turn in row.example.messages]
        found = _TEMPLATE_TOKEN.search("\n".join([*texts, row.example.target]))
        if found:
            yield Finding(
                rule="special_token",
                where=row.where,
                message=f'Holds "{found.group()}", which models read as a command. Remove it.',
            )
