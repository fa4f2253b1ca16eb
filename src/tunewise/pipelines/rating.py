"""A person compares the answers of a finished run's two finalists, blind, and holds a judge to it.

Every rating is on the disk before the next pair is shown.
"""

import tomllib
import zlib
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, NamedTuple, cast

import numpy as np

from tunewise.errors import UserError
from tunewise.evaluation.calibration import Said, agreement_of, result_of, wanted_of
from tunewise.pipelines.passages import with_passages
from tunewise.project.load import load_project
from tunewise.project.settings import Project
from tunewise.project.toml_reader import FILE_NAME
from tunewise.report.html import write_html
from tunewise.report.rating import Screen, Standing
from tunewise.runs.judged import (
    JUDGE_RESULT,
    JUDGED,
    JUDGEMENT,
    JUDGEMENTS,
    Judgement,
    JudgeResult,
    Rating,
)
from tunewise.runs.pairs import Pair, Pairs, RatingFile, pairs_of
from tunewise.runs.read import read_judged, read_run
from tunewise.runs.records import dump, read_records
from tunewise.runs.schema import Run
from tunewise.storage import cut_half_line, write_json


@dataclass(frozen=True, kw_only=True)
class RatedRun:
    """What of a finished run a person compares; read once, however often it is shown."""

    run: Run
    pairs: Pairs
    """With the texts of their passages."""
    criteria: Mapping[str, str]
    """What the project says a good answer is judged by."""
    notes: tuple[str, ...]
    """What the person should know beforehand."""

    @property
    def folder(self) -> Path:
        """Of the run."""
        return self.run.folder


def open_rated(folder: Path) -> RatedRun:
    """Reads the pairs of a finished run.

    Raises:
        UserError: no finished run, or no pairs in it.
    """
    run = read_run(folder)
    pairs = pairs_of(run)
    if not pairs.open:
        raise UserError(
            f"{folder}: {pairs.a} and {pairs.b} say the same on all {pairs.rows} test rows: there "
            "is nothing to compare."
        )
    criteria: dict[str, str] = {}
    notes: tuple[str, ...] = ()
    with suppress(UserError):  # a run can be rated wherever its project went
        project = project_of(folder)
        criteria = dict(project.judge.criteria)
        pairs, notes = with_passages(pairs, run, project)
    return RatedRun(run=run, pairs=pairs, criteria=criteria, notes=notes)


class Blind(NamedTuple):
    """A pair as it is shown: which contender stands where is not said."""

    pair: Pair
    left: str
    right: str
    """The two answers."""
    left_name: str
    """For the file alone."""


class Sitting:
    """One person who rates; every rating is on the disk before the next pair is shown.

    Args:
        rated: the run.
        seed: of the order, and of which answer stands on the left.

    Raises:
        UserError: ratings that are none of the run.
    """

    def __init__(self, rated: RatedRun, *, seed: int = 0) -> None:
        self._rated, self._seed = rated, seed
        self._file = RatingFile(rated.folder, rated.pairs)
        self._by_id = {pair.row.id: pair for pair in rated.pairs.open}
        self._again: list[str] = []
        """Taken back in this sitting, the last one at the end."""
        self._judged = read_judged(rated.folder)
        known = judgements_of(rated.folder, rated.pairs)
        self._tried = len(known)
        self._judgements = known.get(self._judged.id, {}) if self._judged else {}

    def standing(self) -> Standing:
        """How far the person has come."""
        pairs = self._rated.pairs
        said = Said(
            pairs=pairs,
            ratings=self._file.values,
            judgements=self._judgements,
            tried=self._tried,
        )
        return Standing(
            rated=len(said.ratings),
            wanted=wanted_of(pairs),
            left=len(pairs.open) - len(self._file.latest),
            agreement=agreement_of(said) if self._judgements else None,
        )

    def next(self) -> Blind | None:
        """The pair to show; None: all were looked at."""
        looked_at = self._file.latest
        again = [name for name in self._again if name not in looked_at]
        if again:
            return self.shown(again[-1])
        waiting = self._rated.pairs.shuffled(self._seed)
        first = next((pair for pair in waiting if pair.row.id not in looked_at), None)
        return None if first is None else self.shown(first.row.id)

    def shown(self, example_id: str) -> Blind | None:
        """One pair as it is shown; None: there is none of that row."""
        pair, pairs = self._by_id.get(example_id), self._rated.pairs
        if pair is None:
            return None
        names = [pairs.a, pairs.b]
        np.random.default_rng([self._seed, zlib.crc32(example_id.encode())]).shuffle(names)
        left, right = (pair.a if name == pairs.a else pair.b for name in names)
        return Blind(pair=pair, left=left, right=right, left_name=names[0])

    def say(self, blind: Blind, said: Literal["left", "right", "tie", "skip"]) -> None:
        """Writes down what is said of a pair."""
        pairs = self._rated.pairs
        name = blind.pair.row.id
        self._file.add(
            Rating(example_id=name, a=pairs.a, b=pairs.b, left=blind.left_name, said=said)
        )

    def undo(self) -> bool:
        """Takes the last rating back, so that its pair is shown next; whether there was one."""
        last = self._file.last()
        if last is None:
            return False
        self._file.add(replace(last, said="undone"))
        self._again.append(last.example_id)
        return True

    def end(self) -> None:
        """Holds the judge, where one has judged, to what was rated."""
        if self._judged and self._judgements:
            conclude_judging(
                self._rated.run,
                self._rated.pairs,
                self._judged.id,
                name=self._judged.judge,
                criteria=self._judged.criteria,
            )


def rate_run(folder: Path, screen: Screen, *, seed: int = 0) -> None:
    """Shows pairs in random order until all are rated or the person stops.

    Args:
        folder: of a finished run.
        screen: shows them.
        seed: of the order, and of which answer stands on the left.

    Raises:
        UserError: no finished run, no pairs in it, or ratings that are none of it.
    """
    rated = open_rated(folder)
    sitting = Sitting(rated, seed=seed)
    for note in rated.notes:
        screen.say(note)
    screen.begin(rated.pairs, rated.criteria, sitting.standing())
    while (blind := sitting.next()) is not None:
        key = screen.ask(blind.pair, blind.left, blind.right, sitting.standing())
        if key == "quit":
            break
        if key != "undo":
            sitting.say(blind, key)
        elif not sitting.undo():
            screen.say("There is nothing to take back.")
    screen.end(sitting.standing())
    sitting.end()


def conclude_judging(
    run: Run,
    pairs: Pairs,
    judge: str,
    *,
    name: str,
    criteria: Sequence[str],
    notes: Sequence[str] = (),
) -> JudgeResult:
    """Writes judge.json from what was rated and judged so far, and the report anew.

    Args:
        run: a finished one.
        pairs: of it.
        judge: the hash that its judgements carry.
        name: its model.
        criteria: their names.
        notes: what else a reader should know.
    """
    judgements = judgements_of(run.folder, pairs)
    file = RatingFile(run.folder, pairs)
    said = Said(
        pairs=pairs,
        ratings=file.values,
        judgements=judgements.get(judge, {}),
        skipped=file.skipped,
        tried=max(1, len(judgements)),
    )
    if pairs.units is None and (run.splits is None or run.splits.groups != run.n_test):
        notes = [*notes, "An older run, which kept no groups: each test row counts by itself."]
    found = result_of(said, judge=judge, name=name, criteria=criteria, notes=notes)
    write_json(run.folder / JUDGED, dump(JUDGE_RESULT, found))
    write_html(replace(run, judge=found))
    return found


def judgements_of(folder: Path, pairs: Pairs) -> dict[str, dict[str, Judgement]]:
    """Judge -> example id -> what it said, of the open pairs of a run.

    Raises:
        UserError: judgements.jsonl is damaged; with the line of each fault.
    """
    cut_half_line(folder / JUDGEMENTS)
    faults: list[str] = []
    lines = read_records(folder / JUDGEMENTS, JUDGEMENT, faults, for_people=False)
    if faults:
        faults.append(f"Remove these lines from {folder / JUDGEMENTS}, or the whole file.")
        raise UserError.together(faults)
    open_ids = {pair.row.id for pair in pairs.open}
    found: dict[str, dict[str, Judgement]] = {}
    for one in lines:
        if one.example_id in open_ids and (one.a, one.b) == (pairs.a, pairs.b):
            found.setdefault(one.judge, {})[one.example_id] = one
    return found


def project_of(folder: Path, overrides: Sequence[str] = ()) -> Project:
    """The project that a run was made from, as its tunewise.toml is today; where there is none,
    as the run keeps it.

    Raises:
        UserError: with every fault in it.
    """
    kept = folder / "project.toml"
    root: object = None
    with suppress(OSError, ValueError):
        root = cast("dict[str, object]", tomllib.loads(kept.read_text("utf-8"))).get("root")
    if isinstance(root, str) and (Path(root) / FILE_NAME).is_file():
        return load_project(Path(root), overrides)
    return load_project(kept, overrides)
