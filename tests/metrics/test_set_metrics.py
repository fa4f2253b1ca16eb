import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunewise.metrics.by_name import metric_named, side_metrics
from tunewise.text.label_sets import JSON, SEPARATORS, write_set

LABELS = ("refund", "delivery", "invoice", "café")


def value(metric: str, answer: str, target: str, labels: tuple[str, ...] | None = LABELS) -> float:
    return metric_named(metric, labels).score(answer, target).value


def reason(answer: str, target: str) -> str | None:
    return metric_named("set_f1", LABELS).score(answer, target).reason


@pytest.mark.parametrize("labels", [LABELS, None])
def test_set_f1_is_the_f1_over_the_labels(labels: tuple[str, ...] | None) -> None:
    assert value("set_f1", "delivery, refund", "refund, delivery", labels) == 1
    assert value("set_f1", "refund", "refund, delivery", labels) == pytest.approx(2 / 3)
    assert value("set_f1", "refund, invoice", "refund, delivery", labels) == 0.5
    assert value("set_f1", "invoice", "refund, delivery", labels) == 0
    assert value("set_f1", "[]", "[]", labels) == 1
    assert value("set_f1", "refund", "[]", labels) == 0


def test_exact_set_is_all_or_nothing() -> None:
    assert metric_named("exact_set", LABELS).binary
    assert value("exact_set", "Delivery; refund.", "refund, delivery") == 1
    assert value("exact_set", "refund", "refund, delivery") == 0


def test_the_reason_says_what_is_missing_and_what_is_too_much() -> None:
    assert reason("refund, invoice", "refund, delivery") == (
        "without 'delivery'; 'invoice' too much"
    )
    assert reason("delivery, refund", "refund, delivery") is None


@pytest.mark.parametrize(
    "answer",
    [
        "The labels are: refund and delivery.",
        "**refund**, **delivery**",
        '```json\n["refund", "delivery"]\n```',
        "- refund\n- delivery",
        "refund, delivery\n\nBecause the parcel is late, and money is asked for.",
    ],
)
def test_what_stands_around_known_labels_changes_nothing(answer: str) -> None:
    assert value("exact_set", answer, "delivery, refund") == 1


def test_a_label_that_does_not_exist_is_too_much() -> None:
    assert value("set_f1", "refund, rocket", "refund") == pytest.approx(2 / 3)


def test_exact_set_is_shown_beside_set_f1() -> None:
    beside = side_metrics("multilabel", metric_named("set_f1", LABELS))
    assert [metric.name for metric in beside] == ["exact_set"]
    assert beside[0].score("the labels: refund", "refund").value == 1


SUBSETS = st.lists(st.sampled_from(LABELS), min_size=1, max_size=4, unique=True)
FORMS = st.sampled_from([JSON, *SEPARATORS])


@given(SUBSETS, SUBSETS, FORMS, FORMS, st.sampled_from(["NFC", "NFD"]))
def test_only_the_same_set_scores_1_however_it_is_written(
    given_: list[str], wanted: list[str], one: str, other: str, form: str
) -> None:
    answer = unicodedata.normalize(form, write_set(given_, one))
    for metric in ("set_f1", "exact_set"):
        judged = value(metric, answer, write_set(wanted, other))
        assert (judged == 1) == (set(given_) == set(wanted))
