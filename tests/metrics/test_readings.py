"""What a metric takes from an answer: two answers that are scored alike read alike."""

import pytest

from tunewise.metrics.by_name import metric_named
from tunewise.metrics.readings import Reading, reading_of
from tunewise.types import Kind

LABELS = ("refund", "delivery", "other")


def reading(
    name: str, kind: Kind, labels: tuple[str, ...] | None = None, instruction: str = ""
) -> Reading:
    metric = metric_named(name, labels, instruction=instruction)
    return reading_of(metric, kind, labels, instruction=instruction)


@pytest.mark.parametrize(
    ("name", "kind", "labels", "one", "other", "same"),
    [
        ("accuracy", "classification", LABELS, "refund", "The label is **Refund**.", True),
        ("accuracy", "classification", LABELS, "refund", "delivery", False),
        ("macro_f1", "classification", LABELS, "no idea", "refund or delivery", True),
        ("exact_set", "multilabel", LABELS, "refund, other", "other; refund", True),
        ("set_f1", "multilabel", LABELS, "refund, other", "other", False),
        ("json_fields", "extraction", None, '{"a": 1, "b": "X"}', '{"b": "x", "a": 1.0}', True),
        ("json_fields", "extraction", None, '{"a": 1}', '```json\n{"a": 1}\n```', True),
        ("json_fields", "extraction", None, '{"a": 1}', '{"a": "1"}', False),
        ("exact_match", "qa", None, '{"a": "X"}', '{"a": "x"}', False),
        ("exact_match", "qa", None, "Paris", "Paris ", True),
        ("token_f1", "qa", None, "<think>well</think>Paris", "Paris", True),
        ("rouge_l", "generation", None, "Thank you.", "Thank you!", False),
    ],
)
def test_answers_read_alike_when_the_metric_cannot_tell_them_apart(
    name: str, kind: Kind, labels: tuple[str, ...] | None, one: str, other: str, same: bool
) -> None:
    read = reading(name, kind, labels)
    assert (read.scored(one) == read.scored(other)) is same


@pytest.mark.parametrize(
    ("name", "kind", "labels", "answer", "broken"),
    [
        ("accuracy", "classification", LABELS, "It is a refund", False),
        ("accuracy", "classification", LABELS, "refund or delivery", True),
        ("accuracy", "classification", LABELS, "invoice", True),
        ("set_f1", "multilabel", LABELS, "refund, delivery", False),
        ("set_f1", "multilabel", LABELS, "refund, invoice", True),
        ("json_fields", "extraction", None, '{"a": [1, 2]}', False),
        ("json_fields", "extraction", None, '{"a": [1, 2}', True),
        ("json_fields", "extraction", None, 'Here it is: {"a": 1}', True),
        ("exact_match", "extraction", None, "[1, 2]", False),
        ("rouge_l", "generation", None, "Dear Anna", False),
        ("rouge_l", "generation", None, " \n", True),
        ("token_f1", "qa", None, "<think>for ever", True),
    ],
)
def test_an_answer_is_broken_when_it_lacks_the_form_asked_for(
    name: str, kind: Kind, labels: tuple[str, ...] | None, answer: str, broken: bool
) -> None:
    assert reading(name, kind, labels).broken(answer) is broken


def test_an_answer_behind_a_mark_is_read_where_the_instruction_asks_for_the_mark() -> None:
    asked = 'Think step by step. Then write "Answer:" and the label.'
    read = reading("accuracy", "classification", LABELS, asked)
    assert read.scored("It is no delivery. Answer: refund") == read.scored("refund")
