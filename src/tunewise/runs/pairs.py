"""The two finalists' answers to each test row as pairs to compare, and what a person said of them.

Texts are those that a report shows: control characters visible, personal data masked unless the
project shows it. Whoever judges sees the same.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from tunewise.errors import UserError
from tunewise.runs.folder import units_of_test
from tunewise.runs.held_out import HeldOut
from tunewise.runs.judged import RATING, RATINGS, Rating
from tunewise.runs.records import MAX_FAULTS, dump, parse_json, validate, visible_value
from tunewise.runs.schema import ContenderResult, Run
from tunewise.storage import append_lines, cut_half_line
from tunewise.text.answer_text import split_thoughts
from tunewise.types import Answer

NOTHING = "(nothing)"
"""What is shown of an empty answer."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Pair:
    """Two different answers to one test row."""

    row: HeldOut
    a: str
    b: str
    """The texts, without thoughts."""
    shown: tuple[tuple[str, str], ...] = ()
    """(contender, passage id) of what retrieval put before either, best first."""
    passages: tuple[str, ...] = ()
    """The texts of these passages, as far as they were looked up; each once."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Pairs:
    """All test rows of a run, as far as two contenders go."""

    a: str
    b: str
    """Their names; a is the trained one where one of them is trained."""
    instruction: str
    """What the contenders were told; empty: nothing."""
    open: tuple[Pair, ...]
    """Those to compare, in the order of the run."""
    settled: Mapping[str, float]
    """Example id -> 1 (a), −1 (b) or 0 of rows that need no judge: the answers are the same, or
    one of them crashed."""
    units: Sequence[str | None] | None
    """Independent unit of each row, open ones first, settled ones after; None: not known."""

    @property
    def rows(self) -> int:
        """Test rows."""
        return len(self.open) + len(self.settled)

    def shuffled(self, seed: int) -> list[Pair]:
        """The open pairs in a random order: whoever rates the first n of them rates n at random."""
        order = np.random.default_rng(seed).permutation(len(self.open))
        return [self.open[n] for n in order.tolist()]


def pairs_of(run: Run) -> Pairs:
    """The pairs of a finished run.

    Raises:
        UserError: it has no two finalists, or keeps no answers.
    """
    a, b = _finalists(run)
    answers = {(one.contender, one.seed, one.example_id): one for one in run.answers}
    found: list[Pair] = []
    settled: dict[str, float] = {}
    for row in run.tests:
        given = [answers.get((one.name, _seed(run, one), row.id)) for one in (a, b)]
        first, second = map(_text, given)
        if first is None or second is None:
            settled[row.id] = float(first is not None) - float(second is not None)
        elif first == second:
            settled[row.id] = 0.0
        else:
            shown = tuple((one.contender, name) for one in given if one for name in one.passages)
            found.append(Pair(row=row, a=first, b=second, shown=shown))
    if not found and not any(one.contender == a.name for one in run.answers):
        raise UserError(
            f"{run.folder}: keeps no answers of {a.name}, so there are no pairs to compare. "
            "Restore answers.jsonl and test.jsonl, or run `tunewise decide` again."
        )
    known = units_of_test(run.folder)
    ids = [*(pair.row.id for pair in found), *settled]
    return Pairs(
        a=a.name,
        b=b.name,
        instruction=run.task.instruction or "",
        open=tuple(found),
        settled=settled,
        units=None if known is None else [known.get(name) for name in ids],
    )


def _finalists(run: Run) -> tuple[ContenderResult, ContenderResult]:
    """The best training and what it was held against; the best two where nothing was trained."""
    if run.challenger and run.rival and run.challenger.name != run.rival.name:
        return run.challenger, run.rival
    best = sorted((c for c in run.measured if not c.ceiling), key=lambda c: -c.quality.value)
    if len(best) < 2:
        raise UserError(
            f"{run.folder}: only {best[0].name if best else 'nobody'} was judged in this run, so "
            "there are no pairs of answers to compare. Run it with two contenders at least."
        )
    return best[0], best[1]


def _seed(run: Run, contender: ContenderResult) -> int:
    """The seed that ships."""
    if contender.name == run.plan.challenger and run.plan.shipped_seed is not None:
        return run.plan.shipped_seed
    return min(contender.by_seed, default=0)


def _text(answer: Answer | None) -> str | None:
    """The answer proper; None where it crashed, was never given, or its thoughts have no end."""
    if answer is None or answer.text is None:
        return None
    said = split_thoughts(answer.text).answer
    return None if said is None else said.strip()


class RatingFile:
    """ratings.jsonl of a run: appended to and synced with every rating, read back at any time.

    Raises:
        UserError: lines that are no ratings, or are about no pair of this run; with `file:line`.
    """

    def __init__(self, folder: Path, pairs: Pairs) -> None:
        self._file, self._pairs = folder / RATINGS, pairs
        self._lines: list[Rating] = _read(self._file, pairs)

    @property
    def latest(self) -> dict[str, Rating]:
        """Example id -> what was said last of its pair, where it is open and not taken back."""
        found = {one.example_id: one for one in self._lines}
        open_ids = {pair.row.id for pair in self._pairs.open}
        return {n: one for n, one in found.items() if one.said != "undone" and n in open_ids}

    @property
    def values(self) -> dict[str, float]:
        """Example id -> 1 (a is better), 0 or −1, of the pairs that are rated."""
        said = {name: one.value for name, one in self.latest.items()}
        return {name: value for name, value in said.items() if value is not None}

    @property
    def skipped(self) -> int:
        """Pairs that the person looked at and did not rate."""
        return sum(one.said == "skip" for one in self.latest.values())

    def add(self, rating: Rating) -> None:
        """Writes one down, and waits until it is on the disk."""
        append_lines(self._file, [dump(RATING, rating)])
        self._lines.append(rating)

    def last(self) -> Rating | None:
        """The newest rating that was not taken back."""
        held = self.latest
        kept = (one for one in reversed(self._lines) if held.get(one.example_id) is one)
        return next(kept, None)


def _read(file: Path, pairs: Pairs) -> list[Rating]:
    ids = {*(pair.row.id for pair in pairs.open), *pairs.settled}
    found: list[Rating] = []
    faults: list[str] = []
    for number, line in enumerate(cut_half_line(file).split(b"\n"), start=1):
        if not line.strip():
            continue
        where = f"{file}:{number}"
        try:
            value = visible_value(parse_json(line.decode("utf-8", errors="surrogatepass")))
        except ValueError as fault:
            faults.append(f"{where}: not JSON ({fault}).")
            continue
        rating = validate(RATING, value, where, faults)
        if rating is None:
            continue
        if rating.example_id not in ids:
            faults.append(f"{where}: the row {rating.example_id} is no test row of this run.")
        elif (rating.a, rating.b) != (pairs.a, pairs.b) or rating.left not in (pairs.a, pairs.b):
            faults.append(
                f"{where}: is about {rating.a} and {rating.b}; the pairs of this run are of "
                f"{pairs.a} and {pairs.b}."
            )
        else:
            found.append(rating)
    if faults:
        shown = faults[:MAX_FAULTS]
        more = [f"... and {len(faults) - len(shown)} more."] if len(faults) > len(shown) else []
        advice = f"Remove these lines from {file.name}, or restore the file of this run."
        raise UserError.together([*shown, *more, advice])
    return found
