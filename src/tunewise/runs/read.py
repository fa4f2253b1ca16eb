"""Turns a run folder into one typed `Run`.

The folder is the only input, so a report can be made again at any time. Missing optional keys are
None or empty; broken records are faults, reported together.
"""

import json
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import cast

from tunewise.errors import UserError
from tunewise.runs.folder import QUICK, state_of
from tunewise.runs.held_out import TEST_ROW
from tunewise.runs.judged import JUDGE_RESULT, JUDGED, JudgeResult
from tunewise.runs.privacy import without_personal
from tunewise.runs.records import (
    damaged,
    parse_json,
    read_records,
    validate,
    visible,
    visible_value,
)
from tunewise.runs.schema import ANSWER, SCORE, VERDICT, Json, Run, VerdictFile
from tunewise.types import Finding, JsonValue, Rule


def read_run(folder: Path) -> Run:
    """Reads verdict.json and, where kept, project.toml, test.jsonl, answers and scores.

    Raises:
        UserError: no verdict there yet, or records that cannot be read; all faults together.
    """
    return _read(folder, with_rows=True)


def read_summary(folder: Path) -> Run:
    """The same without rows, answers and scores, however many there are.

    Raises:
        UserError: as `read_run`.
    """
    return _read(folder, with_rows=False)


def _read(folder: Path, *, with_rows: bool) -> Run:
    path = _verdict_of(folder)
    faults: list[str] = []
    verdict = validate(VERDICT, _completed(_parse_verdict(path), folder), path.name, faults)
    places = read_places(folder / "places.json") if with_rows else {}
    tests = read_records(folder / "test.jsonl", TEST_ROW, faults) if with_rows else ()
    answers = read_records(folder / "answers.jsonl", ANSWER, faults) if with_rows else ()
    scores = read_records(folder / "scores.jsonl", SCORE, faults) if with_rows else ()
    if faults or verdict is None:
        raise damaged(folder, faults, "`tunewise decide PROJECT --resume` writes it anew.")
    run = Run(
        **{item.name: getattr(verdict, item.name) for item in fields(verdict)},
        folder=folder,
        tests=tuple(replace(row, place=places.get(row.id)) for row in tests),
        answers=answers,
        scores=scores,
        judge=read_judged(folder),
    )
    return run if shows_personal(folder / "project.toml") else without_personal(run)


def read_judged(folder: Path) -> JudgeResult | None:
    """judge.json of a run; None where nothing was judged.

    Raises:
        UserError: it cannot be read; all faults together.
    """
    file = folder / JUDGED
    if not file.is_file():
        return None
    faults: list[str] = []
    found: JudgeResult | None = None
    try:
        value = visible_value(parse_json(file.read_text(encoding="utf-8")))
        found = validate(JUDGE_RESULT, value, file.name, faults)
    except (ValueError, OSError) as fault:
        faults.append(f"{file.name}: cannot be read ({fault}).")
    if faults:
        raise damaged(folder, faults, "`tunewise rate RUN --judge` writes judge.json anew.")
    return found


def read_verdict(folder: Path) -> VerdictFile:
    """verdict.json to the letter, for what asks a run's contenders again: nothing is masked.

    Raises:
        UserError: as `read_run`.
    """
    path, faults = _verdict_of(folder), list[str]()
    document = _completed(_parse_verdict(path, for_people=False), folder)
    verdict = validate(VERDICT, document, path.name, faults)
    if verdict is None:
        raise damaged(folder, faults, "`tunewise decide PROJECT --resume` writes it anew.")
    return verdict


def _verdict_of(folder: Path) -> Path:
    """The file of a finished run's verdict."""
    path = folder / "verdict.json"
    quick = " --quick" if folder.resolve().parent.name == QUICK else ""
    if not path.is_file():
        if (folder / ".lock").exists() and state_of(folder) == "running":
            raise UserError(
                f"{folder}: this run is still going on in another process, and has no verdict "
                "yet. Wait for it to end."
            )
        raise UserError(
            f"{folder} holds no verdict.json, so it is no finished run. Name a folder such as "
            f"runs/<id>, or finish the run with `tunewise decide PROJECT{quick} --resume`."
        )
    return path


def read_places(file: Path) -> dict[str, str]:
    """Example id -> `file:line`; a run without them, or with damaged ones, has none."""
    try:
        places = cast(object, json.loads(file.read_text(encoding="utf-8")))
    except (ValueError, OSError):
        return {}
    if not isinstance(places, dict):
        return {}
    pairs = cast(dict[str, object], places).items()
    return {visible(name): visible(place) for name, place in pairs if isinstance(place, str)}


def shows_personal(project: Path) -> bool:
    """`report.show_personal` of the run's project.toml."""
    try:
        document = cast(dict[str, object], tomllib.loads(project.read_text(encoding="utf-8")))
    except (ValueError, OSError):
        return False
    table = document.get("report")
    return isinstance(table, dict) and cast(dict[str, object], table).get("show_personal") is True


def _parse_verdict(path: Path, *, for_people: bool = True) -> Json:
    try:
        written = parse_json(path.read_text(encoding="utf-8"))
        document = visible_value(written) if for_people else written
    except (ValueError, OSError) as fault:
        raise UserError(
            f"{path} cannot be read ({fault}). `tunewise decide PROJECT --resume` writes it anew."
        ) from fault
    if not isinstance(document, Mapping):
        raise UserError(f"{path} must hold one JSON object; this file was not written by Tunewise.")
    if document.get("schema", 1) != 1:
        raise UserError(
            f"{path} has schema {document['schema']!r}; this version reads schema 1. "
            "Use the version of Tunewise that made the run."
        )
    return document


def _read_demands(project: Path) -> JsonValue:
    """[decision] of the run's project.toml, for verdicts that lack it."""
    if not project.is_file():
        return {}
    try:
        document = cast(dict[str, JsonValue], tomllib.loads(project.read_text(encoding="utf-8")))
    except (ValueError, OSError) as fault:
        raise UserError(
            f"{project} cannot be read ({fault}). It is a copy made by the run: restore it."
        ) from fault
    return document.get("decision", {})


def _completed(verdict: Json, folder: Path) -> Json:
    """The verdict with what it lacks where only its contract was written, or by earlier versions:
    what can be told from the rest of it."""
    n_test = verdict.get("n_test")
    common = {"metric": verdict.get("metric"), "n": n_test, "groups": n_test, "method": ""}
    comparisons = [
        {**common, "p_adjusted": one.get("p"), **one} for one in _objects(verdict, "comparisons")
    ]
    first = comparisons[0] if comparisons else common
    rule = verdict.get("rule") or _rule(verdict)
    return {
        "rule": rule,
        "finding": _FOUND.get(rule if isinstance(rule, str) else "", "cannot_tell"),
        "plan": {"incumbent": first.get("b"), "challenger": first.get("a")},
        **verdict,
        **({"comparisons": comparisons} if comparisons else {}),
        "decision": verdict.get("decision") or _read_demands(folder / "project.toml"),
    }


_FOUND: dict[str, Finding] = {
    "worth_more": "fine_tune",
    "cheaper": "fine_tune",
    "not_worth_it": "do_not",
    "cannot_tell": "cannot_tell",
    "nothing_learned": "nothing_learned",
}
"""What was found by each rule before there were findings."""


def _rule(verdict: Json) -> Rule:
    """What the outcome tells of the rule."""
    if verdict.get("outcome") == "undecided":
        return "cannot_tell"
    trained = any(
        one.get("trained") and one.get("name") == verdict.get("outcome")
        for one in _objects(verdict, "contenders")
    )
    return "worth_more" if trained else "not_worth_it"


def _objects(verdict: Json, key: str) -> list[Json]:
    """The items of a list of objects; none where something else stands there."""
    value = verdict.get(key)
    items = value if isinstance(value, Sequence) and not isinstance(value, str) else ()
    objects = [item for item in items if isinstance(item, Mapping)]
    return objects if len(objects) == len(items) else []
