"""Turns a project into checked, split examples: reads, checks, infers the task and splits."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from tunewise.data.checks.findings import Findings
from tunewise.data.checks.leaks import find_leaks, rows_to_leave_out
from tunewise.data.checks.quick import check_data, survey_parts
from tunewise.data.documents.document import Document
from tunewise.data.gate import read_gate, refuse_shared
from tunewise.data.language import SAMPLE, language_note
from tunewise.data.read import ReadResult, read_data
from tunewise.data.splitting.label_balance import balance_notes
from tunewise.data.splitting.split import split_data
from tunewise.errors import UserError
from tunewise.project.infer_task import infer_task
from tunewise.project.settings import Project
from tunewise.types import Splits


@dataclass(frozen=True, kw_only=True, slots=True)
class Prepared:
    """A project whose task is complete, with its examples."""

    project: Project
    splits: Splits
    places: Mapping[str, str]
    """Example id -> `file:line` where the row begins."""
    report: Findings
    """Warnings and notes; its errors are raised, not returned."""
    notes: tuple[str, ...]
    """What was inferred and how the split came about, one line each."""
    unused: Mapping[str, int] = field(default_factory=dict[str, int])
    """Setting -> labelled rows that it leaves out."""
    unused_test: int = 0
    """How many of these would be test rows, about."""
    gate: ReadResult | None = None
    """The rows of `data.gate`, none of which is in `splits`; None where there is none."""


def prepare(
    project: Project, *, asked: int | None = None, documents: Sequence[Document] = ()
) -> Prepared:
    """Reads, splits and checks a project's examples.

    What is inferred about the task is inferred from train and dev alone. Rows that train, dev or
    the documents hold are left out of test.

    Args:
        project: whose examples they are.
        asked: test rows that an earlier verdict asked for in all.
        documents: those that a contender reads.

    Raises:
        UserError: rows that cannot be read, faults in the data, too few rows, or rows that the gate
            set has as well; those of one kind together.
    """
    parts = read_data(project.data)
    gate = read_gate(project.data)
    if gate is not None:
        refuse_shared(gate, parts)
    survey = survey_parts(parts)
    leaks = find_leaks(survey, documents=documents)
    names = [
        row.id for part in ("test", "examples") if part in parts for row in parts[part].examples
    ]
    leaked = {names[row]: held for row, held in rows_to_leave_out(survey, leaks).items()}
    division = split_data(
        parts,
        project.data,
        limit=project.contenders.limit,
        minimum_gain=project.decision.minimum_gain,
        asked=asked,
        leaked=leaked,
    )
    splits = division.splits
    everything = [row.target for part in parts.values() for row in part.examples]
    inference = infer_task(project, [*splits.train, *splits.dev], judged=everything)
    # A label that only test holds is no fault, unless the project itself declares the labels.
    declared = replace(inference.project.task, labels=project.task.labels)
    gone = {row.id for rows in splits.leaked.values() for row in rows}
    report = check_data(
        parts,
        declared,
        folder=project.root,
        survey=survey,
        leaks=[leak for leak in leaks if leak.kind != "documents" or names[leak.test] in gone],
    )
    if report.errors:
        raise UserError.together([str(f) for f in report.errors])
    inferred = (inference.reason,) if inference.reason else ()
    limited = project.contenders.limit is not None
    labelled = inference.project.task.kind == "classification"
    return Prepared(
        project=inference.project,
        splits=splits,
        places={name: place for part in parts.values() for name, place in part.places.items()},
        report=report,
        unused=division.unused,
        unused_test=division.unused_test,
        gate=gate,
        notes=(
            *inferred,
            *division.notes,
            *(
                note
                for base in project.model.bases
                for note in language_note(base, [row.input.text for row in splits.train[:SAMPLE]])
            ),
            *(balance_notes(splits, limited=limited) if labelled else ()),
        ),
    )


def prepare_for_training(project: Project, *, asked: int | None = None) -> Prepared | None:
    """The examples that `tunewise train` learns from, or that it must keep clear of.

    Args:
        project: whose examples they are.
        asked: test rows that an earlier verdict asked for in all.

    Returns:
        None where the method reads none: cpt, and dpo and kto without examples beside the pairs.

    Raises:
        UserError: as `prepare`.
    """
    data, method = project.data, project.training.method
    beside_pairs = data.preferences is not None and bool(data.examples or data.train)
    if method == "cpt" or (method in ("dpo", "kto") and not beside_pairs):
        return None
    return prepare(project, asked=asked)
