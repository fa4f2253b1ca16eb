"""What `tunewise check --json` printed, as a page shows it: repairs to choose, what to judge."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tunewise.report.advice import advice_for, urgency
from tunewise.runs.records import visible
from tunewise.storage import shortened


@dataclass(frozen=True, kw_only=True, slots=True)
class RepairRow:
    """A row, and what a repaired copy would do to it."""

    where: str
    """`file:line`, from the project's folder."""
    input: str
    answer: str
    done: str
    goes: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class Repairs:
    """The repairs of one rule."""

    rule: str
    title: str
    rows: tuple[RepairRow, ...]
    count: int
    """All there are."""

    @property
    def by_row(self) -> bool:
        """Whether each row is shown, so that each can be chosen."""
        return self.count == len(self.rows)


@dataclass(frozen=True, kw_only=True, slots=True)
class ToJudge:
    """What a person has to see to."""

    rule: str
    title: str
    remedy: str
    severity: str
    """`error`, `warning` or `note`."""
    count: int
    rows: tuple[tuple[str, str], ...]
    """(place, message)"""


@dataclass(frozen=True, kw_only=True, slots=True)
class ShownFindings:
    """Everything."""

    summary: str
    repairs: tuple[Repairs, ...]
    judge: tuple[ToJudge, ...]
    """Errors first."""
    notes: tuple[ToJudge, ...]
    labels: tuple[tuple[str, int], ...]
    """The frequent labels and how many rows have each."""
    rows: int


MAX_LABELS = 20


def findings_of(printed: Mapping[str, Any], folder: Path) -> ShownFindings:
    """The findings of a project.

    Args:
        printed: by `tunewise check --json`.
        folder: of the project.
    """

    def short(text: object) -> str:
        return visible(shortened(str(text), folder))

    counts: Mapping[str, int] = printed.get("counts", {})
    repairs: dict[str, list[RepairRow]] = {}
    for one in printed.get("repairs", ()):
        repairs.setdefault(one["rule"], []).append(
            RepairRow(
                where=short(one["where"]),
                input=visible(one["input"]),
                answer=visible(one["answer"]),
                done=short(one["done"]),
                goes=bool(one["goes"]),
            )
        )
    planned: Mapping[str, int] = printed.get("repair_counts", {})
    found: dict[tuple[str, str], list[tuple[str, str]]] = {}
    for severity, name in (("error", "errors"), ("warning", "warnings"), ("note", "notes")):
        for one in printed.get(name, ()):
            rule = one["rule"]
            if rule not in repairs or counts.get(rule, 0) > planned.get(rule, 0):
                rows = found.setdefault((severity, rule), [])
                rows.append((short(one["where"]), short(one["message"])))
    judge = [
        ToJudge(
            rule=rule,
            title=advice_for(rule).title,
            remedy=advice_for(rule).remedy,
            severity=severity,
            count=counts.get(rule, len(rows)),
            rows=tuple(rows),
        )
        for (severity, rule), rows in found.items()
    ]
    labels = {label: sum(rows.values()) for label, rows in printed.get("labels", {}).items()}
    frequent = sorted(labels.items(), key=lambda pair: -pair[1])[:MAX_LABELS]
    return ShownFindings(
        summary=str(printed.get("summary", "")),
        repairs=tuple(
            Repairs(
                rule=rule,
                title=advice_for(rule).title,
                rows=tuple(rows),
                count=max(planned.get(rule, 0), len(rows)),
            )
            for rule, rows in sorted(repairs.items(), key=lambda pair: urgency(pair[0]))
        ),
        judge=tuple(
            sorted(
                (one for one in judge if one.severity != "note"),
                key=lambda one: (one.severity != "error", urgency(one.rule)),
            )
        ),
        notes=tuple(one for one in judge if one.severity == "note"),
        labels=tuple((visible(label), rows) for label, rows in frequent),
        rows=int(printed.get("rows", 0)),
    )


def kept_places(
    found: ShownFindings, *, rows: Collection[str], rules: Collection[str]
) -> Sequence[str]:
    """What a copy leaves as it is: all that is not ticked.

    Args:
        found: what was shown.
        rows: the places that are ticked.
        rules: the rules that are ticked as a whole.
    """
    kept: list[str] = []
    for one in found.repairs:
        if not one.by_row:
            kept += [] if one.rule in rules else [one.rule]
        else:
            kept += [row.where for row in one.rows if row.where not in rows]
    return list(dict.fromkeys(kept))
