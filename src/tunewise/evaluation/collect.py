"""Asks fitted contenders for their answers to the test split, once, and keeps every answer.

Answers go to an append-only file in fixed groups; a run that was interrupted goes on with the
groups that are missing. Targets are not seen here: scores are made from the file afterwards.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol

from tunewise.errors import UserError
from tunewise.progress import Progress
from tunewise.runs.records import dump, read_records
from tunewise.runs.schema import ANSWER
from tunewise.storage import append_lines, cut_half_line
from tunewise.types import Answer, Input

GROUP = 32
"""Inputs handed to a contender at once. Fixed, so that batching is the same when a run resumes."""


class Answering(Protocol):
    """What can answer: a fitted contender."""

    def answer(self, inputs: Sequence[Input], *, seed: int) -> list[Answer]:
        """One answer per input, in order."""
        ...


class AnswerFile:
    """The answers of a run on disk: one JSON line each, never changed.

    Raises:
        UserError: the file is damaged; with the line of each fault.
    """

    def __init__(self, file: Path) -> None:
        cut_half_line(file)
        faults: list[str] = []
        written = read_records(file, ANSWER, faults, for_people=False)
        if faults:
            faults.append(f"{file} was changed by hand. Restore it, or run without --resume.")
            raise UserError.together(faults)
        self._file = file
        self._answers = {
            (answer.contender, answer.seed, answer.example_id): answer for answer in written
        }

    def get(self, contender: str, seed: int, example_id: str) -> Answer | None:
        """The answer, if it is there."""
        return self._answers.get((contender, seed, example_id))

    def add(self, answers: Sequence[Answer]) -> None:
        """Writes answers down."""
        append_lines(self._file, [dump(ANSWER, answer) for answer in answers])
        self._answers.update(((a.contender, a.seed, a.example_id), a) for a in answers)


def collect(
    fitted: Answering,
    contender: str,
    seed: int,
    inputs: Sequence[Input],
    file: AnswerFile,
    progress: Progress,
) -> list[Answer]:
    """Every answer of one contender and seed, asked for or read from the file.

    Args:
        fitted: asked for the groups that miss an answer.
        contender: its name.
        seed: which replica.
        inputs: of the test split.
        file: new answers are added to it.
        progress: shows how many are done.

    Returns:
        Answers in the order of the inputs; one that was never given is left out.
    """
    label = f"{contender}: test" + (f", seed {seed}" if seed else "")
    with progress.task(label, total=len(inputs)) as advance:
        for start in range(0, len(inputs), GROUP):
            group = inputs[start : start + GROUP]
            missing = [i for i in group if file.get(contender, seed, i.id) is None]
            if missing:
                needed = {item.id for item in missing}
                answers = fitted.answer(group, seed=seed)
                file.add([answer for answer in answers if answer.example_id in needed])
            advance(len(group))
    found = [file.get(contender, seed, item.id) for item in inputs]
    return [answer for answer in found if answer is not None]
