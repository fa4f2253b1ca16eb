"""A person compares the answers of a finished run's two finalists, blind, and holds a judge to it.

Every rating is on the disk before the next pair is shown.
"""

import tomllib
import zlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import cast

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
from tunewise.runs.pairs import Pairs, RatingFile, pairs_of
from tunewise.runs.read import read_judged, read_run
from tunewise.runs.records import dump, read_records
from tunewise.runs.schema import Run
from tunewise.storage import cut_half_line, write_json


def rate_run(folder: Path, screen: Screen, *, seed: int = 0) -> None:
    """Shows pairs in random order until all are rated or the person stops.

    Args:
        folder: of a finished run.
        screen: shows them.
        seed: of the order, and of which answer stands on the left.

    Raises:
        UserError: no finished run, no pairs in it, or ratings that are none of it.
    """
    run = read_run(folder)
    pairs = pairs_of(run)
    file = RatingFile(folder, pairs)
    if not pairs.open:
        raise UserError(
            f"{folder}: {pairs.a} and {pairs.b} say the same on all {pairs.rows} test rows: there "
            "is nothing to compare."
        )
    judged = read_judged(folder)
    judgements = judgements_of(folder, pairs)
    verdicts = judgements.get(judged.id, {}) if judged else {}

    def standing() -> Standing:
        said = Said(pairs=pairs, ratings=file.values, judgements=verdicts, tried=len(judgements))
        return Standing(
            rated=len(said.ratings),
            wanted=wanted_of(pairs),
            left=len(pairs.open) - len(file.latest),
            agreement=agreement_of(said) if verdicts else None,
        )

    criteria: dict[str, str] = {}
    try:  # a run can be rated wherever its project went
        project = project_of(folder)
    except UserError:
        pass
    else:
        criteria = dict(project.judge.criteria)
        pairs, unseen = with_passages(pairs, run, project)
        for note in unseen:
            screen.say(note)
    screen.begin(pairs, criteria, standing())
    _show_all(pairs, file, screen, seed=seed, standing=standing)
    screen.end(standing())
    if judged and verdicts:
        conclude_judging(run, pairs, judged.id, name=judged.judge, criteria=judged.criteria)


def _show_all(
    pairs: Pairs, file: RatingFile, screen: Screen, *, seed: int, standing: Callable[[], Standing]
) -> None:
    """Shows pair after pair, and writes down what is said of each."""
    by_id = {pair.row.id: pair for pair in pairs.open}
    waiting = [pair for pair in pairs.shuffled(seed) if pair.row.id not in file.latest]
    while waiting:
        pair = waiting[0]
        names = [pairs.a, pairs.b]
        np.random.default_rng([seed, zlib.crc32(pair.row.id.encode())]).shuffle(names)
        texts = [pair.a if name == pairs.a else pair.b for name in names]
        key = screen.ask(pair, texts[0], texts[1], standing())
        if key == "quit":
            return
        if key == "undo":
            last = file.last()
            if last is None:
                screen.say("There is nothing to take back.")
                continue
            file.add(replace(last, said="undone"))
            waiting.insert(0, by_id[last.example_id])
            continue
        file.add(Rating(example_id=pair.row.id, a=pairs.a, b=pairs.b, left=names[0], said=key))
        waiting.pop(0)


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
