"""Picks the worst rows of each kind and makes them ready for people: a few, in full, masked."""

from collections import Counter
from collections.abc import Mapping, Sequence

from tunewise.data.checks.label_errors import LabelError
from tunewise.data.checks.leaks import Leak
from tunewise.data.checks.personal import without_personal_data
from tunewise.data.checks.repair import Repair
from tunewise.data.checks.result import (
    ShownGroup,
    ShownLabelError,
    ShownLeak,
    ShownRepair,
    ShownRow,
    ShownSecret,
)
from tunewise.data.checks.survey import Survey
from tunewise.data.splitting.near_duplicates import Indices
from tunewise.types import Example

MAX_COUNT = 20
"""Things of a kind that are shown."""
MAX_REPAIRS = 100
"""Repairs of a rule that are shown."""
_OF_GROUP = 4
"""Rows of a group that are shown."""
_MAX_LENGTH = 4_000
"""Characters of a text that are shown."""


def shown_rows(survey: Survey, rows: Sequence[int] | Indices) -> list[ShownRow]:
    """Some rows, masked."""
    return [
        ShownRow(
            where=survey.where(int(row)),
            input=_shown(_conversation(example)),
            target=_shown(example.target),
        )
        for row, example in zip(rows, survey.kept.get(rows), strict=True)
    ]


def shown_groups(survey: Survey, groups: Sequence[Indices]) -> tuple[ShownGroup, ...]:
    """The first groups of rows, and the first rows of each."""
    return tuple(
        ShownGroup(size=len(group), rows=tuple(shown_rows(survey, group[:_OF_GROUP])))
        for group in groups[:MAX_COUNT]
    )


def shown_label_errors(
    survey: Survey, label_errors: Sequence[LabelError]
) -> tuple[ShownLabelError, ...]:
    """The surest mistakes; their rows and classes are those of the survey."""
    chosen = label_errors[:MAX_COUNT]
    rows = shown_rows(survey, [label_error.row for label_error in chosen])
    return tuple(
        ShownLabelError(
            row=row, likely=survey.labels[label_error.likely], probability=label_error.probability
        )
        for row, label_error in zip(rows, chosen, strict=True)
    )


def shown_repairs(survey: Survey, planned: Mapping[int, Repair]) -> tuple[ShownRepair, ...]:
    """The first repairs of each rule, in the order of the rows."""
    met: Counter[str] = Counter()
    chosen: list[int] = []
    for row in sorted(planned):
        rule = planned[row].rule
        met[rule] += 1
        if met[rule] <= MAX_REPAIRS:
            chosen.append(row)
    return tuple(
        ShownRepair(
            row=shown,
            rule=planned[row].rule,
            done=without_personal_data(planned[row].done),
            goes=not planned[row].new,
        )
        for row, shown in zip(chosen, shown_rows(survey, chosen), strict=True)
    )


def shown_leaks(survey: Survey, leaks: Sequence[Leak]) -> tuple[ShownLeak, ...]:
    """Leaks of each kind in turn, so that no kind hides another."""
    by_kind: dict[str, list[Leak]] = {}
    for leak in leaks:
        by_kind.setdefault(leak.kind, []).append(leak)
    each = max(MAX_COUNT // max(len(by_kind), 1), 1)
    chosen = [leak for kind in by_kind.values() for leak in kind[:each]]
    return tuple(
        ShownLeak(
            kind=leak.kind,
            test=shown_rows(survey, [leak.test])[0],
            other=None if leak.other is None else shown_rows(survey, [leak.other])[0],
            share=leak.share,
            document=leak.document,
        )
        for leak in chosen
    )


def shown_secrets(survey: Survey) -> tuple[ShownSecret, ...]:
    """Secrets and personal data of each kind in turn."""
    by_kind: dict[str, list[ShownSecret]] = {}
    for row, match in survey.personal:
        found = by_kind.setdefault(match.kind, [])
        if len(found) < MAX_COUNT:
            where = survey.where(row)
            found.append(ShownSecret(where=where, kind=match.kind, masked=match.masked))
    each = max(MAX_COUNT // max(len(by_kind), 1), 1)
    return tuple(secret for found in by_kind.values() for secret in found[:each])


def _conversation(example: Example) -> str:
    """The input as one text; who speaks is said where it is not one user turn alone."""
    if len(example.messages) == 1 and example.messages[0].role == "user":
        return example.messages[0].content
    turns = [
        "\n".join(
            [f"{turn.role}: {turn.content}", *(f"{c.name}({c.arguments})" for c in turn.tool_calls)]
        )
        for turn in example.messages
    ]
    return "\n\n".join(turns)


def _shown(text: str) -> str:
    masked = without_personal_data(text[: 2 * _MAX_LENGTH])
    return masked if len(masked) <= _MAX_LENGTH else masked[:_MAX_LENGTH] + "…"
