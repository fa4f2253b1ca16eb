"""What checking data finds: one thing a finding, its rule's name, its place and what to do.

Errors stop a run, warnings need a person's judgement, notes only tell.
"""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeVar

from tunewise.data.read_log import SHOWN

T = TypeVar("T")
Severity = Literal["error", "warning", "note"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One thing found."""

    rule: str
    """Name of the rule that found it."""
    where: str
    """`file:line`, or the part of the data it concerns."""
    message: str
    """What is wrong, and what to do."""

    def __str__(self) -> str:
        return f"{self.where}: {self.message}" if self.where else self.message


@dataclass(frozen=True, kw_only=True, slots=True)
class Findings:
    """Everything found in a data set."""

    errors: tuple[Finding, ...] = ()
    warnings: tuple[Finding, ...] = ()
    notes: tuple[Finding, ...] = ()
    counts: Mapping[str, int] = field(default_factory=dict[str, int])
    """rule -> how often it found something, those that are only counted included."""


class Found:
    """Collects findings; of each rule the first 20 are kept with their places, then a count."""

    def __init__(self) -> None:
        self._kept: dict[Severity, list[Finding]] = {"error": [], "warning": [], "note": []}
        self._counts: dict[Severity, Counter[str]] = {kind: Counter() for kind in self._kept}

    def add(self, severity: Severity, rule: str, where: str, message: str) -> None:
        """Adds one finding."""
        counts = self._counts[severity]
        counts[rule] += 1
        if counts[rule] <= SHOWN:
            self._kept[severity].append(Finding(rule=rule, where=where, message=message))

    def each(
        self,
        severity: Severity,
        rule: str,
        things: Sequence[T],
        describe: Callable[[T], tuple[str, str]],
    ) -> None:
        """Adds many findings of one rule; only those that are shown are described.

        Args:
            severity: of each.
            rule: name of the rule.
            things: what was found, the first ones to be shown first.
            describe: thing -> where, message.
        """
        for thing in things[:SHOWN]:
            self.add(severity, rule, *describe(thing))
        self.more(severity, rule, max(len(things) - SHOWN, 0))

    def more(self, severity: Severity, rule: str, count: int) -> None:
        """Counts findings that are not shown."""
        self._counts[severity][rule] += count

    def report(self) -> Findings:
        """Everything, errors and warnings in the order in which they were added."""
        counts: Counter[str] = Counter()
        for found in self._counts.values():
            counts.update(found)
        shown = {kind: self._with_counts(kind) for kind in self._kept}
        return Findings(
            errors=shown["error"],
            warnings=shown["warning"],
            notes=shown["note"],
            counts=dict(+counts),
        )

    def _with_counts(self, kind: Severity) -> tuple[Finding, ...]:
        """The findings, each rule's together, and behind them how many more there are."""
        counts = self._counts[kind]
        shown: list[Finding] = []
        for rule in +counts:
            kept = [finding for finding in self._kept[kind] if finding.rule == rule]
            shown += kept
            if counts[rule] > len(kept):
                more = f"{counts[rule] - len(kept):,} more of the same."
                shown.append(Finding(rule=rule, where="", message=more))
        return tuple(shown)
