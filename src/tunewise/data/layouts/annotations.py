"""Turns rows as tools for annotation export them into examples: Prodigy's tasks, Label Studio's.

What a person rejected, or annotated in another way than with one choice, is an error.
"""

from typing import cast

from tunewise.data.layouts.columns import Row, Shaped, question
from tunewise.data.read_log import RowError


def is_prodigy(row: Row) -> bool:
    """Whether a row is a task of Prodigy with an answer."""
    marks = ("accept", "reject", "ignore")
    return "_task_hash" in row and "text" in row and row.get("answer") in marks


def prodigy(row: Row) -> Shaped:
    """The text of a task with its label, or with the one option chosen.

    Raises:
        RowError: it was not accepted, or there is not one label.
    """
    text, answer, chosen = row["text"], row["answer"], row.get("accept")
    if answer != "accept":
        what = f'was answered with "{answer}", so its label is not right. Remove the row.'
        raise RowError("not accepted", what)
    options = cast("list[object]", chosen) if isinstance(chosen, list) else [row.get("label")]
    if len(options) != 1 or not isinstance(options[0], str) or not isinstance(text, str):
        raise RowError("no answer", "has no text with one label. Keep rows with one option chosen.")
    used = ("text", "label", "accept", "answer", "options", "_input_hash", "_task_hash", "_view_id")
    return question(text, options[0], *used)


def is_label_studio(row: Row) -> bool:
    """Whether a row is a task of Label Studio with its annotations."""
    return isinstance(row.get("data"), dict) and isinstance(row.get("annotations"), list)


def label_studio(row: Row) -> Shaped:
    """The only text of a task with the one choice of its one annotation.

    Raises:
        RowError: there is not just one.
    """
    data = cast("dict[str, object]", row["data"])
    texts = [value for value in data.values() if isinstance(value, str)]
    results = [
        result
        for annotation in cast("list[dict[str, object]]", row["annotations"])
        if not annotation.get("was_cancelled")
        for result in cast("list[dict[str, object]]", annotation.get("result") or [])
    ]
    values = [cast("dict[str, object]", result.get("value") or {}) for result in results]
    choices = [cast("list[str]", value.get("choices") or []) for value in values]
    if len(texts) != 1 or len(choices) != 1 or len(choices[0]) != 1:
        what = "has no one text with one choice of one annotator. Export it as JSON-MIN or CSV"
        raise RowError("no answer", f"{what}, and name its columns with input and output.")
    return question(texts[0], choices[0][0], "data", "annotations", "predictions", "drafts")
