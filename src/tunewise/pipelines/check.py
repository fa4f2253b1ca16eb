"""From a project to everything that is wrong with its data: reads it once, then judges.

What takes long or needs a model's tokenizer is looked for here and not by `decide`: tokens, likely
label mistakes, secrets. Nothing is fetched, and no data is changed.
"""

import time
from collections import Counter
from collections.abc import Callable, Collection, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path

import numpy as np

from tunewise.chat.template import set_thinking
from tunewise.data.checks.duplicates import (
    Contradictions,
    check_contradictions,
    check_duplicates,
    check_near_duplicates,
)
from tunewise.data.checks.findings import Finding, Found
from tunewise.data.checks.forecast import outlook, test_side
from tunewise.data.checks.judgeable import check_judgeable
from tunewise.data.checks.label_errors import FOLDS, Doubts, check_label_errors
from tunewise.data.checks.label_sets import check_label_sets
from tunewise.data.checks.label_spelling import meant_targets
from tunewise.data.checks.labels import check_labels, foreign_rows
from tunewise.data.checks.leaks import check_leaks, find_leaks, rows_to_leave_out
from tunewise.data.checks.lengths import ModelTokenizer, check_tokens, sampled
from tunewise.data.checks.names import check_names
from tunewise.data.checks.read_all import Gathered, UnreadableRowsError, gather
from tunewise.data.checks.repair import planned_repairs, refuse_taken, write_fixed
from tunewise.data.checks.result import Checked, DocumentCounts, ShownRepair, ShownRow
from tunewise.data.checks.row_rules import (
    check_arguments,
    check_personal_data,
    check_sizes,
    check_special_tokens,
    check_targets,
    check_thoughts,
)
from tunewise.data.checks.shown import (
    shown_groups,
    shown_label_errors,
    shown_leaks,
    shown_repairs,
    shown_secrets,
)
from tunewise.data.checks.survey import Survey
from tunewise.data.documents.document import Document, DocumentsFound
from tunewise.data.formats.text_stream import is_windows_1252
from tunewise.data.language import SAMPLE, language_note
from tunewise.data.sources import find_parts
from tunewise.data.splitting.near_duplicates import Indices
from tunewise.data.splitting.units import comparable_text
from tunewise.models.tokenizers import FoundTokenizer, find_tokenizer
from tunewise.pipelines.reading import documents_of
from tunewise.progress import Progress
from tunewise.project.derived import reads_documents
from tunewise.project.infer_task import infer_task
from tunewise.project.settings import Project, Task
from tunewise.retrieval.chunk import SIZES, chunk
from tunewise.retrieval.embed import LOOKED_AT, MODEL
from tunewise.runs.asked import asked_rows
from tunewise.text.answer_text import target_proper
from tunewise.text.words import main_script
from tunewise.wording import listed

_NO_COPY = "No copy is written of a file that cannot be read to its end: mend these first."
_TO_JUDGE = (
    "near_duplicate",
    "near_leak",
    "document_leak",
    "overlap_leak",
    "group_leak",
    "contradiction",
    "label_mistake",
    "personal_data",
    "special_token",
    "too_long",
)
"""Rules whose findings `--fix` leaves as they are."""
_MANY = 4_000
"""Rows from which looking at them again takes a few seconds."""


def run_check(
    project: Project,
    *,
    source: str,
    progress: Progress,
    fix: Path | None = None,
    keep: Collection[str] = (),
) -> Checked:
    """Reads and judges a project's examples.

    Args:
        project: as loaded; what is open about its task is inferred from the rows.
        source: what the person named, for the report.
        progress: informed of what is being done.
        fix: where a repaired copy is written; None: nowhere.
        keep: rows (`rows.csv:12`, from the project's folder) and rules that the copy leaves as they
            are.

    Raises:
        UnreadableRowsError: no row can be read, or a copy is wanted of a file that cannot be
            read to its end; all faults together. Nothing is written.
        UserError: files that are not there, or `fix` is taken or cannot be written.
    """
    started = time.monotonic()
    documents = documents_of(project)
    parts = find_parts(project.data)
    windows_1252: set[Path] = set()
    if fix is not None:
        refuse_taken(fix, parts)
        files = {file for part in parts.values() for file in part.files}
        windows_1252 = {file for file in files if is_windows_1252(file)}
    found_tokenizer = find_tokenizer(project.model)
    own = found_tokenizer.tokenizer.get_added_vocab() if found_tokenizer.tokenizer else ()
    try:
        read = gather(
            parts, project.data, windows_1252=windows_1252, special=own, progress=progress
        )
    except UnreadableRowsError as error:
        raise _with_documents(error, documents) from error
    unread = () if read.cut_short else _left_out(read.found.report().errors)
    counts = judge_documents(documents, read.found)
    try:
        if fix is not None and read.cut_short:
            faults = read.found.report().errors
            lines = [str(fault) for fault in faults]
            raise UnreadableRowsError(faults, "\n".join([*lines, _NO_COPY]))
        held = documents if documents is not None and reads_documents(project) else None
        usable = held.documents if held else ()
        checked = _judged(project, source, read, usable, found_tokenizer, progress, started)
        task = replace(checked.task, labels=project.task.labels)
        planned = {} if read.cut_short else planned_repairs(read.survey, task)
        checked = replace(
            checked,
            documents=counts,
            repairs=(*unread, *shown_repairs(read.survey, planned)),
            repair_counts=Counter(repair.rule for repair in planned.values())
            + Counter({one.rule: checked.report.counts[one.rule] for one in unread}),
        )
        if fix is None:
            return checked
        left = {rule: n for rule, n in checked.report.counts.items() if rule in _TO_JUDGE}
        fixed = write_fixed(
            read.survey,
            parts,
            windows_1252,
            planned,
            project.data,
            read.kind,
            left,
            fix,
            [_absolute(one, project.root) for one in keep],
        )
        return replace(checked, fixed=fixed)
    finally:
        read.survey.kept.close()


def _left_out(faults: Sequence[Finding]) -> tuple[ShownRepair, ...]:
    """What a copy does to rows that cannot be read."""
    return tuple(
        ShownRepair(
            row=ShownRow(where=fault.where, input="", target=""),
            rule=fault.rule,
            done=fault.message,
            goes=fault.rule != "comma",
        )
        for fault in faults
        if fault.where
    )


def _absolute(place: str, root: Path) -> str:
    """A place as the survey names it; a rule stays."""
    file, colon, line = place.rpartition(":")
    return f"{root / file}:{line}" if colon else place


def judge_documents(documents: DocumentsFound | None, found: Found) -> DocumentCounts | None:
    """Adds what was found in a project's documents; None: it has none."""
    if documents is None:
        return None
    found.each("error", "document", documents.faults, _as_they_are)
    found.each("warning", "document_part", documents.missing, _as_they_are)
    found.each("note", "document_copy", documents.copies, _describe_copy)
    for what, names in documents.left_out.items():
        found.add("note", "left_out", "documents", f"{what}: {listed(names)}.")
    words = SIZES[0][0]
    faulty = {where for where, _ in documents.faults}
    copies = len(documents.copies)
    return DocumentCounts(
        files=len(documents.documents) + copies + len(faulty),
        usable=len(documents.documents),
        passages=len(chunk(documents.documents, words=words)),
        passage_words=words,
    )


def _as_they_are(fault: tuple[str, str]) -> tuple[str, str]:
    return fault


def _describe_copy(pair: tuple[str, str]) -> tuple[str, str]:
    copy, name = pair
    return copy, f"repeats {name}, and is left out."


def _with_documents(
    error: UnreadableRowsError, documents: DocumentsFound | None
) -> UnreadableRowsError:
    """The faults of rows, and those of documents behind them."""
    found = Found()
    judge_documents(documents, found)
    faults = found.report().errors
    lines = [str(fault) for fault in faults]
    return UnreadableRowsError([*error.findings, *faults], "\n".join([str(error), *lines]))


def _judged(
    project: Project,
    source: str,
    read: Gathered,
    documents: Sequence[Document],
    model: FoundTokenizer,
    progress: Progress,
    started: float,
) -> Checked:
    survey, seed, answered = read.survey, project.data.seed, read.kind != "texts"
    found = read.found
    look_at = sampled(len(survey), seed)
    looked_at = survey.kept.get(look_at) if answered else ()
    inference = infer_task(project, looked_at)
    thinking = inference.project.model.thinking is True
    if model.tokenizer is not None:
        set_thinking(model.tokenizer, thinking=thinking)
    task = _completed(inference.project.task, project.task, survey) if answered else Task()
    declared = replace(task, labels=project.task.labels)
    check_sizes(read.rows, found)
    empty = check_targets(survey, found) if answered else look_at[:0]
    of_labels = check_label_sets if task.kind == "multilabel" else check_labels
    labels = of_labels(survey, declared, found) if answered else []
    judged = read.kind == "examples"
    mute = check_judgeable(survey, declared, project.root, found) if judged else look_at[:0]
    if judged and task.kind == "search":
        mute = np.union1d(mute, check_names(survey, documents, found))
    answers = meant_targets(survey, declared)
    check_duplicates(survey, answers, found)
    near = check_near_duplicates(survey, found)
    is_examples = read.kind == "examples"  # two answers to a prompt are what a preference is
    contradictions = (
        check_contradictions(survey, answers, found) if is_examples else Contradictions()
    )
    leaks = find_leaks(survey, test_side(survey, project.data), documents if judged else ())
    check_leaks(survey, leaks, found)
    leaked = rows_to_leave_out(survey, leaks)
    leaks = [leak for leak in leaks if leak.kind != "phrase"]
    if answered:
        _check_script(survey, look_at, found)
    check_special_tokens(survey, found)
    check_arguments(survey, found)
    thought = [
        int(row)
        for row, one in zip(look_at, looked_at, strict=False)
        if target_proper(one.target) != one.target
    ]
    check_thoughts(survey, thought, found, thinking=thinking)
    check_personal_data(survey, found)
    counted_with = _model(model)
    judging = task.kind == "classification" and bool(survey.labels)
    with _bar(progress, "counting tokens", len(look_at), len(look_at)) as advance:
        lengths = check_tokens(
            survey, counted_with, seed, found, plain=not answered, advance=advance
        )
    with _bar(progress, "looking for label mistakes", FOLDS, len(look_at) * judging) as advance:
        doubts = check_label_errors(survey, look_at, seed, found, advance) if judging else Doubts()
    for part, note in read.notes:
        found.add("note", "read", part, note)
    faulty = np.union1d(np.union1d(empty, lengths.refused), foreign_rows(survey, declared))
    faulty = np.union1d(faulty, mute)
    view = outlook(
        survey,
        project.data,
        project.decision.minimum_gain,
        asked=asked_rows(project),
        leaked=leaked,
    )
    found.add("note", "outlook", "data", view.sentence)
    if is_examples:
        seen = [example.input.text for example in survey.kept.get(look_at[:SAMPLE])]
        for base in project.model.bases:
            for note in language_note(base, seen):
                found.add("note", "language", "data", note)
    return Checked(
        source=source,
        root=project.root,
        kind=read.kind,
        files=survey.files,
        rows=read.rows,
        unreadable=read.unreadable,
        usable=len(survey) - len(faulty),
        task=task,
        reason=inference.reason if answered else "",
        report=found.report(),
        lengths=lengths,
        no_tokens="" if counted_with else model.why_not,
        labels=tuple(labels),
        near_duplicates=sum(len(rows) - 1 for rows in near),
        clusters=shown_groups(survey, near),
        contradictions=shown_groups(survey, contradictions.groups),
        ceiling=contradictions.ceiling,
        label_errors=shown_label_errors(survey, doubts.label_errors),
        label_errors_found=len(doubts.label_errors),
        label_error_rows=len(look_at) if judging and not doubts.why_none else 0,
        no_label_errors=doubts.why_none,
        leaks=shown_leaks(survey, leaks),
        leak_kinds=Counter(leak.kind for leak in leaks),
        secrets=shown_secrets(survey),
        secret_kinds=Counter(match.kind for _, match in survey.personal),
        outlook=view,
        seconds=time.monotonic() - started,
    )


def _check_script(survey: Survey, rows: Indices, found: Found) -> None:
    """Says so where most inputs are in a script that the sentence model cannot read."""
    few = rows[:: max(len(rows) // LOOKED_AT, 1)]
    script = main_script(comparable_text(example) for example in survey.kept.get(few))
    if script != "Latin":
        found.add(
            "note",
            "script",
            "data",
            f"Most inputs are in {script} script, which the sentence model {MODEL} cannot read: "
            "nearest examples, passages and the classifier go by words instead.",
        )


def _completed(task: Task, given: Task, survey: Survey) -> Task:
    """What was inferred from a sample, with the labels of all rows."""
    if task.kind != "classification" or given.labels is not None:
        return task
    return replace(task, labels=tuple(sorted(label for label in survey.labels if label)))


def _bar(
    progress: Progress, description: str, total: int, rows: int
) -> AbstractContextManager[Callable[[int], None]]:
    """A task of the progress; none for what takes no time."""
    return progress.task(description, total=total) if rows > _MANY else nullcontext(_ignore)


def _ignore(units: int) -> None:
    """Advances nothing."""


def _model(found: FoundTokenizer) -> ModelTokenizer | None:
    if found.tokenizer is None:
        return None
    return ModelTokenizer(model=found.name, tokenizer=found.tokenizer, context=found.context_tokens)
