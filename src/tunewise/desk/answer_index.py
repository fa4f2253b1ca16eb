"""Where each row, answer and score of a run stands in its files, so that a page reads only its own.

The files are gone through once; what stays in memory is numbers. Texts are read when they are
shown.
"""

import os
import threading
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray
from pydantic_core import from_json

from tunewise.errors import UserError
from tunewise.runs.schema import Run
from tunewise.runs.segments import SEGMENT_ROWS, read_segment_rows
from tunewise.text.words import count_words

_one_at_a_time = threading.Lock()
KEPT = 4
"""Runs whose index is kept."""
TESTS, ANSWERS, SCORES = "test.jsonl", "answers.jsonl", "scores.jsonl"
NOWHERE = -1


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Column:
    """What one contender did on the n rows, with the seed that is shown."""

    seed: int
    values: NDArray[np.float32]
    """(n,) 0 to 1; NaN where there is no score."""
    crashed: NDArray[np.bool_]
    """(n,)"""
    answers: NDArray[np.int64]
    """(n,) byte at which the answer's line begins; `NOWHERE` where there is none."""
    scores: NDArray[np.int64]
    """(n,) the same of its score."""


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class AnswerIndex:
    """The n test rows of a run."""

    ids: tuple[str, ...]
    rows: NDArray[np.int64]
    """(n,) byte at which the row's line begins."""
    words: NDArray[np.int32]
    """(n,) of the input."""
    wanted: tuple[str, ...]
    """(n,) the target."""
    columns: Mapping[str, Column]
    """Contender -> its own."""
    segments: Mapping[str, Mapping[str, NDArray[np.bool_]]]
    """Column of the data -> value -> (n,) which rows have it."""


def index_of(run: Run) -> AnswerIndex:
    """The index of a run, made where it is not there or the files changed.

    Args:
        run: its verdict; its folder holds the files.

    Raises:
        UserError: a file cannot be read.
    """
    names = tuple((one.name, _shipped(run, one.name)) for one in run.measured)
    with _one_at_a_time:  # whoever asks for the same waits for it, and does not make it again
        return _index(run.folder, names, run.metric, _state(run.folder))


def read_line(folder: Path, file: str, place: int) -> dict[str, Any]:
    """The record that begins at a byte of a file."""
    with (folder / file).open("rb") as handle:
        handle.seek(place)
        return cast("dict[str, Any]", from_json(handle.readline()))


def _shipped(run: Run, name: str) -> int | None:
    return run.plan.shipped_seed if name == run.plan.challenger else None


def _state(folder: Path) -> tuple[tuple[int, int], ...]:
    """What changes when a file does."""
    found: list[tuple[int, int]] = []
    for name in (TESTS, ANSWERS, SCORES, SEGMENT_ROWS):
        try:
            stat = os.stat(folder / name)
            found.append((stat.st_size, stat.st_mtime_ns))
        except OSError:
            found.append((0, 0))
    return tuple(found)


@lru_cache(maxsize=KEPT)
def _index(
    folder: Path,
    names: Sequence[tuple[str, int | None]],
    metric: str,
    state: tuple[tuple[int, int], ...],
) -> AnswerIndex:
    ids: list[str] = []
    rows: list[int] = []
    words: list[int] = []
    wanted: list[str] = []
    for place, row in _records(folder / TESTS):
        ids.append(str(row["id"]))
        rows.append(place)
        words.append(count_words(str(row["input"])))
        wanted.append(str(row["target"]))
    at = {name: n for n, name in enumerate(ids)}
    answers = _by_seed(folder / ANSWERS, at, _is_crash)
    scores = _by_seed(folder / SCORES, at, _value, of=lambda row: row.get("metric") == metric)
    columns: dict[str, Column] = {}
    for name, shipped in names:
        own = answers.get(name, {})
        seed = shipped if shipped in own else min(own, default=0)
        given, judged = own.get(seed, {}), scores.get(name, {}).get(seed, {})
        columns[name] = _column(len(ids), seed, given, judged)
    return AnswerIndex(
        ids=tuple(ids),
        rows=np.array(rows, dtype=np.int64),
        words=np.array(words, dtype=np.int32),
        wanted=tuple(wanted),
        columns=columns,
        segments={
            column: {value: np.isin(ids, list(some)) for value, some in values.items()}
            for column, values in read_segment_rows(folder).items()
        },
    )


_Placed = dict[int, tuple[int, float]]
"""Number of a row -> byte of the line, and what it says."""


def _by_seed(
    file: Path,
    at: Mapping[str, int],
    said: Callable[[Mapping[str, Any]], float],
    *,
    of: Callable[[Mapping[str, Any]], bool] = lambda row: True,
) -> dict[str, dict[int, _Placed]]:
    """Contender -> seed -> what stands where."""
    found: dict[str, dict[int, _Placed]] = {}
    for place, row in _records(file):
        number = at.get(row["example_id"])
        if number is not None and of(row):
            seeds = found.setdefault(row["contender"], {})
            seeds.setdefault(row["seed"], {})[number] = (place, said(row))
    return found


def _is_crash(row: Mapping[str, Any]) -> float:
    return float(row.get("error") is not None)


def _value(row: Mapping[str, Any]) -> float:
    value = row["value"]
    return float("nan") if value is None else float(value)


def _column(n: int, seed: int, given: _Placed, judged: _Placed) -> Column:
    values = np.full(n, np.nan, dtype=np.float32)
    crashed = np.zeros(n, dtype=np.bool_)
    answers = np.full(n, NOWHERE, dtype=np.int64)
    scores = np.full(n, NOWHERE, dtype=np.int64)
    for number, (place, crash) in given.items():
        answers[number], crashed[number] = place, crash
    for number, (place, value) in judged.items():
        scores[number], values[number] = place, value
    return Column(seed=seed, values=values, crashed=crashed, answers=answers, scores=scores)


def _records(file: Path) -> Generator[tuple[int, dict[str, Any]]]:
    """Byte at which each whole line begins, and what it holds."""
    if not file.is_file():
        return
    place = 0
    with file.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            if line.endswith(b"\n") and line.strip():
                try:
                    yield place, cast("dict[str, Any]", from_json(line))
                except (ValueError, KeyError, TypeError) as error:
                    raise UserError(
                        f"{file.name}:{number} cannot be read ({error}). The file was changed or "
                        "cut short; `tunewise decide PROJECT --resume` writes what is missing."
                    ) from error
            place += len(line)
