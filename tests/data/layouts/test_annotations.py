"""Rows as tools for annotation export them: what a person chose is the answer, nothing else is."""

import json

import pytest

from data_files import Write, content, faults, jsonl
from tunewise.data.read import read_examples

TASK = {"text": "it leaks", "_input_hash": 1, "_task_hash": 2, "answer": "accept"}
CHOICE = {"value": {"choices": ["defect"]}, "type": "choices"}
STUDIO = {"id": 3, "data": {"text": "it leaks"}, "annotations": [{"result": [CHOICE]}]}


@pytest.mark.parametrize(
    "row",
    [
        {**TASK, "label": "defect"},
        {**TASK, "options": [{"id": "defect"}, {"id": "other"}], "accept": ["defect"]},
        STUDIO,
        {**STUDIO, "annotations": [{"was_cancelled": True, "result": []}, *STUDIO["annotations"]]},
    ],
)
def test_the_one_choice_is_the_answer(write: Write, row: object) -> None:
    assert content(read_examples(write(json.dumps(row))).examples) == [("it leaks", "defect")]


@pytest.mark.parametrize("answer", ["reject", "ignore"])
def test_a_label_that_a_person_rejected_is_not_learnt(write: Write, answer: str) -> None:
    rows = [{**TASK, "label": "defect"}, {**TASK, "label": "defect", "answer": answer}]
    wanted = f'2: was answered with "{answer}", so its label is not right. Remove the row.'
    assert faults(write(jsonl(rows))) == [wanted]


def test_two_choices_or_annotators_are_refused_with_what_to_do(write: Write) -> None:
    both = {**STUDIO, "annotations": STUDIO["annotations"] * 2}
    (message,) = faults(write(json.dumps(both)))
    assert "Export it as JSON-MIN or CSV" in message
    assert "one option chosen" in faults(write(json.dumps({**TASK, "accept": ["a", "b"]})))[0]
