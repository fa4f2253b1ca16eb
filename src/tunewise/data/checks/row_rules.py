"""Whether there are rows enough, and what is wrong with single rows by themselves."""

from collections.abc import Mapping, Sequence

import numpy as np

from tunewise.data.checks.findings import Found
from tunewise.data.checks.survey import Survey
from tunewise.data.splitting.near_duplicates import Indices
from tunewise.data.splitting.sides import MIN_DEV, MIN_TEST, MIN_TRAIN
from tunewise.data.splitting.split import MIN_ROWS

MIN_SHARE = {
    "examples": MIN_ROWS,
    "train": MIN_TRAIN,
    "dev": MIN_DEV,
    "test": MIN_TEST,
}


def check_sizes(rows: Mapping[str, int], found: Found) -> None:
    """Parts with too few rows to decide anything.

    Args:
        rows: part -> rows in it.
        found: gets the findings.
    """
    for part, count in rows.items():
        if count < MIN_SHARE[part]:
            found.add(
                "error",
                "too_few_rows",
                part,
                f"{count} rows are too few to decide anything. Give at least {MIN_SHARE[part]}.",
            )


def check_targets(survey: Survey, found: Found) -> Indices:
    """Rows without an answer, which are given back."""
    empty = np.flatnonzero(survey.columns.target_chars == 0)
    found.each(
        "error",
        "empty_target",
        [int(row) for row in empty],
        lambda row: (survey.where(row), "The answer is empty. Write it, or remove the row."),
    )
    return empty


def check_special_tokens(survey: Survey, found: Found) -> None:
    """Rows with text that a model reads as a command."""
    found.each(
        "warning",
        "special_token",
        survey.special,
        lambda hit: (
            survey.where(hit[0]),
            f'Holds "{hit[1]}", which models read as a command. Remove it.',
        ),
    )


def check_arguments(survey: Survey, found: Found) -> None:
    """Rows whose calls do not fit the tools that they may call."""
    for rule in dict.fromkeys(fault.rule for _, fault in survey.arguments):
        found.each(
            "warning",
            rule,
            [hit for hit in survey.arguments if hit[1].rule == rule],
            lambda hit: (survey.where(hit[0]), hit[1].message),
        )


def check_thoughts(survey: Survey, rows: Sequence[int], found: Found, *, thinking: bool) -> None:
    """Rows whose answer begins with thoughts, where the model is trained and asked without.

    Args:
        survey: of all rows.
        rows: those with thoughts.
        found: gets the findings.
        thinking: whether the model is to think; nothing is wrong then.
    """
    found.each(
        "warning",
        "thoughts",
        [] if thinking else rows,
        lambda row: (
            survey.where(row),
            "The answer begins with thoughts, and the model is trained and asked without: set "
            "model.thinking = true, or take the thoughts out. What follows them is the answer.",
        ),
    )


def check_personal_data(survey: Survey, found: Found) -> None:
    """Rows with what looks like a secret or personal data, masked."""
    found.each(
        "warning",
        "personal_data",
        survey.personal,
        lambda hit: (
            survey.where(hit[0]),
            f"Holds what looks like {hit[1].kind} ({hit[1].masked}). A model may repeat what it "
            "was trained on: remove or replace it.",
        ),
    )
