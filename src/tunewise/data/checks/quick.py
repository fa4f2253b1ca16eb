"""The checks that every decision makes: over the whole data set, without models, in seconds."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from tunewise.data.checks.duplicates import (
    check_contradictions,
    check_duplicates,
    check_near_duplicates,
)
from tunewise.data.checks.findings import Findings, Found
from tunewise.data.checks.judgeable import check_judgeable
from tunewise.data.checks.label_sets import check_label_sets
from tunewise.data.checks.label_spelling import meant_targets
from tunewise.data.checks.labels import check_labels
from tunewise.data.checks.leaks import Leak, check_leaks, find_leaks
from tunewise.data.checks.row_rules import (
    check_arguments,
    check_sizes,
    check_special_tokens,
    check_targets,
)
from tunewise.data.checks.scan import Scope
from tunewise.data.checks.survey import Survey, Surveyor
from tunewise.data.read import ReadResult
from tunewise.project.settings import Task


def survey_parts(parts: Mapping[str, ReadResult]) -> Survey:
    """The survey of what `read_data` gave; the rows of a part stand in it in their order."""
    with Surveyor(Scope()) as surveyor:
        for part in sorted(parts, key=lambda part: part != "test"):
            for example in parts[part].examples:
                file, _, line = parts[part].places.get(example.id, part).rpartition(":")
                number = int(line) if file else 0
                surveyor.add(part, file or line, number, example)
        return surveyor.finish()


def check_data(
    parts: Mapping[str, ReadResult],
    task: Task,
    *,
    folder: Path | None = None,
    survey: Survey | None = None,
    leaks: Sequence[Leak] | None = None,
) -> Findings:
    """Looks for faults over the whole data set.

    Args:
        parts: what `read_data` gave: `examples`, or `train`, `dev` and `test`.
        task: the project's task; labels are checked where its kind is classification.
        folder: the project's, where a metric of its own lies.
        survey: of the parts, if it was taken before.
        leaks: those found in it before.

    Returns:
        The findings; the first 20 of each rule with their lines, then a count.
    """
    found = Found()
    check_sizes({part: len(result.examples) for part, result in parts.items()}, found)
    survey = survey or survey_parts(parts)
    check_targets(survey, found)
    (check_label_sets if task.kind == "multilabel" else check_labels)(survey, task, found)
    check_judgeable(survey, task, folder or Path(), found)
    meant = meant_targets(survey, task)
    check_duplicates(survey, meant, found)
    check_near_duplicates(survey, found)
    check_contradictions(survey, meant, found)
    check_leaks(survey, find_leaks(survey) if leaks is None else leaks, found)
    check_special_tokens(survey, found)
    check_arguments(survey, found)
    for part, result in parts.items():
        for note in result.notes:
            found.add("note", "read", part, note)
    return found.report()
