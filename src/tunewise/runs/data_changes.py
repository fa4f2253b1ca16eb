"""Says what changed in the data since a project's last finished run, in one or two sentences.

It compares what rows say, by the hashes in splits.json.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from tunewise.data.fingerprints import content_hash
from tunewise.project.settings import Project
from tunewise.runs.folder import RunFolder, rows_by_part
from tunewise.runs.ledger import next_use, noted_runs
from tunewise.runs.made_from import Item, count_changes
from tunewise.types import Example, Splits


@dataclass(frozen=True, kw_only=True, slots=True)
class Changes:
    """How the rows of a run differ from those of an earlier one."""

    since: str
    """The earlier run's name."""
    added: int
    removed: int
    changed: int
    """Rows with another content under the same id, or another answer to the same input."""
    test_before: int
    """Rows that the earlier run tested on."""
    test_still: int
    """Those of them that are test rows again."""
    test_elsewhere: int
    """Those of them that are in train or dev now."""
    test_left_out: int = 0
    """Those of them that are left out of test now, since train, dev or documents hold them."""

    @property
    def sentence(self) -> str:
        """What a person should know of it."""
        found = [
            f"{n:,} {'row' if n == 1 else 'rows'} {what}"
            for n, what in (
                (self.added, "added"),
                (self.removed, "removed"),
                (self.changed, "changed"),
            )
            if n
        ]
        first = (
            f"The data changed since run {self.since}: {', '.join(found)}."
            if found
            else f"The rows are those of run {self.since}, but the split, a group or another "
            "column is not."
        )
        left = self.test_before - self.test_still - self.test_left_out
        gone = left - self.test_elsewhere
        rest = [
            f"{n:,} {what}"
            for n, what in (
                (self.test_elsewhere, "in train or dev now"),
                (self.test_left_out, "left out now"),
                (gone, "gone, changed or reserved"),
            )
            if n
        ]
        tail = f" ({', '.join(rest)})" if rest else ""
        return (
            f"{first} Of its {self.test_before:,} test rows, {self.test_still:,} are tested on "
            f"again{tail}."
        )


def about_earlier_runs(
    project: Project, splits: Splits, run: RunFolder | None = None
) -> tuple[str, ...]:
    """What a person should know of earlier runs before a new one: changed data, used test rows.

    Args:
        project: whose runs are looked through.
        splits: of the run that is about to begin or go on.
        run: its folder; None: it has none yet.

    Raises:
        UserError: the ledger of uses is damaged.
    """
    changes = changes_since_last_run(project, splits)
    use = next_use(project, splits.test, run)
    runs = "1 run" if use == 2 else f"{use - 1} runs"
    used = (
        f"Some of these test rows were opened by {runs} before. This is look {use}, which needs "
        "stronger evidence."
    )
    return (*((changes.sentence,) if changes else ()), *((used,) if use > 1 else ()))


def changes_since_last_run(project: Project, splits: Splits) -> Changes | None:
    """Compares the rows of a run with those of the last finished run that shares any with it.

    Args:
        project: whose runs are looked through.
        splits: of the run that is about to begin.

    Returns:
        None when there is no such run, or it had the same rows on the same sides.

    Raises:
        UserError: the ledger of uses is damaged.
    """
    now = {part: _rows(rows) for part, rows in rows_by_part(splits).items()}
    contents = {row.content for rows in now.values() for row in rows}
    for run in reversed(noted_runs(project)):
        if not (run.path / "verdict.json").is_file() or not (run.path / "splits.json").is_file():
            continue
        try:
            text = (run.path / "splits.json").read_text("utf-8")
            known = cast("dict[str, Any]", json.loads(text))
            same_run, fingerprint = known["run"] == run.token, known["fingerprint"]
            before = _recorded(known)
        except (OSError, ValueError, KeyError, TypeError):
            continue  # damaged by hand: an older run will do
        if not same_run or not any(
            row.content in contents for rows in before.values() for row in rows
        ):
            continue
        if fingerprint == splits.fingerprint:
            return None
        return _compared(run.path.name, before, now)
    return None


def _rows(examples: Sequence[Example]) -> list[Item]:
    return [Item(example.id, content_hash(example)) for example in examples]


def _recorded(splits: Mapping[str, Any]) -> dict[str, list[Item]]:
    """part -> its rows, as an earlier run wrote them down."""
    contents = cast("dict[str, list[str]]", splits.get("contents", {}))
    return {
        part: [Item(*row) for row in zip(splits[part], of_part, strict=True)]
        for part, of_part in contents.items()
    }


def _compared(
    since: str, before: Mapping[str, Sequence[Item]], now: Mapping[str, Sequence[Item]]
) -> Changes:
    counts = count_changes(
        [row for rows in before.values() for row in rows],
        [row for rows in now.values() for row in rows],
    )
    tested = Counter(row.content for row in before["test"])
    still = (tested & Counter(row.content for row in now["test"])).total()
    fitted = Counter(row.content for part in ("train", "dev") for row in now[part])
    left_out = tested & Counter(
        row.content for part, rows in now.items() if part.startswith("leaked_") for row in rows
    )
    return Changes(
        since=since,
        added=counts.added,
        removed=counts.removed,
        changed=counts.changed,
        test_before=tested.total(),
        test_still=still,
        test_elsewhere=((tested - left_out) & fitted).total(),
        test_left_out=left_out.total(),
    )
