"""What a gate is asked and reads, before anything heavy is loaded: a fault is told at once."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tunewise.data.prepare import Prepared, prepare
from tunewise.decision.gate import GateDemands
from tunewise.errors import UserError
from tunewise.project.settings import Project
from tunewise.runs.asked import asked_rows


@dataclass(frozen=True, kw_only=True, slots=True)
class GateAsked:
    """What a person asks of the gate."""

    models: tuple[str, ...]
    """Names, at least one."""
    baseline: str | None = None
    """Name of the last release."""
    margin: float | None = None
    """Quality, 0 to 1, that may be lost against it; None: `decision.minimum_gain`."""
    floor: float | None = None
    """Quality, 0 to 1, to be exceeded; None: `decision.minimum_quality`, where there is no
    baseline."""
    history: Path | None = None
    """Where looks are counted; None: beside tunewise.toml."""
    opened: bool = False
    """Whether to show the numbers, which ends the use of the gate set."""


def demands_of(project: Project, asked: GateAsked) -> GateDemands:
    """What models have to show.

    Raises:
        UserError: there is nothing to hold them against, or a number is out of range.
    """
    faults = [
        f"{option}: is out of range. Choose a share between 0 and 1, as in 0.05."
        for option, value in (("--margin", asked.margin), ("--floor", asked.floor))
        if value is not None and not 0.0 < value < 1.0
    ]
    floor, margin = asked.floor, None
    if asked.baseline is not None:
        margin = project.decision.minimum_gain if asked.margin is None else asked.margin
    elif asked.margin is not None:
        faults.append("--margin: goes with --baseline. Name the last release with it.")
    elif floor is None:
        floor = project.decision.minimum_quality
        if floor is None:
            faults.append(
                "There is nothing to hold the model against. Name the last release with "
                "--baseline, or a quality to be exceeded with --floor or decision.minimum_quality."
            )
    if faults:
        raise UserError("\n".join(faults), exit_code=2)
    return GateDemands(margin=margin, floor=floor)


def read_for_gate(
    project: Project, asked: GateAsked, *, writes: Sequence[Path | None] = ()
) -> Prepared:
    """The rows that a gate judges by, and those that prompts are made from.

    Args:
        project: whose gate set it is.
        asked: what is asked of it.
        writes: files that will be written when the look was taken.

    Raises:
        UserError: there is no gate set, it shares rows with the others, files cannot be written,
            or `demands_of` refuses.
    """
    demands_of(project, asked)
    faults = [
        f"{file}: there is no folder {file.parent}. Make it, or name another file."
        for file in (*writes, asked.history)
        if file is not None and not file.parent.is_dir()
    ]
    if faults:
        raise UserError.together(faults)
    if project.data.gate is None:
        raise UserError(
            "[data] gate: is missing. Name a file of rows that nothing else holds: "
            'gate = "gate.jsonl".'
        )
    return prepare(project, asked=asked_rows(project))
