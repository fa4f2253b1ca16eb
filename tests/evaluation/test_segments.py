"""Quality apart: the parts that get worse stand first, and chance alone makes none of them."""

from collections.abc import Sequence

import numpy as np
import pytest

from tunewise.decision.plan import Measured
from tunewise.evaluation.segments import (
    OTHERS,
    measure_label_noise,
    measure_segments,
    parted,
)
from tunewise.metrics.by_name import metric_named
from tunewise.types import Example, JsonValue, Message


def row(number: int, target: str, text: str = "", **metadata: JsonValue) -> Example:
    return Example(
        id=f"r{number}",
        messages=(Message(role="user", content=text or f"question {number}"),),
        target=target,
        metadata=metadata,
    )


def contender(name: str, *seeds: Sequence[float]) -> Measured:
    return Measured(name=name, trained=name == "fine_tune", scores=dict(enumerate(seeds, 1)))


def by_label(labels: Sequence[str]) -> list[Example]:
    return [row(n, label) for n, label in enumerate(labels)]


def test_a_label_that_a_fine_tune_loses_stands_first_and_is_called_worse() -> None:
    rows = by_label(["refund"] * 30 + ["delivery"] * 170)
    lost = [0.0] * 30 + [1.0] * 170
    kept = [1.0] * 30 + [0.0] * 40 + [1.0] * 130
    parts = parted(rows, "classification", [], labels=None, group=None)
    found = measure_segments(
        contender("fine_tune", lost), contender("few_shot", kept), parts, [None] * 200, binary=True
    )
    first, second = (one for one in found.items if one.by == "label")
    assert (first.value, first.n, first.a, first.b, first.worse) == ("refund", 30, 0.0, 1.0, True)
    assert first.high is not None
    assert first.high < 0
    assert (second.value, second.worse) == ("delivery", False)
    assert second.p_adjusted is not None
    assert first.p is not None
    assert first.p_adjusted is not None
    assert first.p_adjusted >= first.p


def test_where_nothing_differs_at_most_one_table_in_twenty_calls_anything_worse() -> None:
    rng = np.random.default_rng(0)
    rows = by_label([f"label {n % 8}" for n in range(240)])
    parts = parted(rows, "classification", [], labels=None, group=None)
    false = 0
    for _ in range(200):
        a, b = (rng.binomial(1, 0.7, 240).astype(float).tolist() for _ in range(2))
        found = measure_segments(
            contender("fine_tune", a), contender("few_shot", b), parts, [None] * 240, binary=True
        )
        false += any(one.worse for one in found.items)
    assert false <= 16  # 5% of 200 and two standard errors


def test_parts_with_too_few_rows_have_no_interval_and_say_why() -> None:
    rows = by_label(["refund"] * 12 + ["delivery"] * 60)
    parts = parted(rows, "classification", [], labels=None, group=None)
    found = measure_segments(
        contender("fine_tune", [0.0] * 72), contender("few_shot", [1.0] * 72), parts,
        [None] * 72, binary=True,
    )  # fmt: skip
    few = next(one for one in found.items if one.value == "refund")
    assert (few.low, few.p, few.worse) == (None, None, False)
    assert "12 rows" in str(few.method)
    assert found.items[0].value == "delivery"


def test_the_mean_over_seeds_is_what_counts() -> None:
    rows = by_label(["refund"] * 40 + ["delivery"] * 40)
    parts = parted(rows, "classification", [], labels=None, group=None)
    found = measure_segments(
        contender("fine_tune", [1.0] * 80, [0.0] * 80), contender("few_shot", [1.0] * 80), parts,
        [None] * 80, binary=True,
    )  # fmt: skip
    assert {one.a for one in found.items} == {0.5}


def test_rows_of_one_unit_are_one_cluster() -> None:
    rows = by_label(["refund"] * 60 + ["delivery"] * 60)
    units = [f"customer {n % 30}" for n in range(120)]
    rng = np.random.default_rng(1)
    a = [float((n % 30) % 3 > 0) for n in range(120)]
    b = rng.binomial(1, 0.7, 120).astype(float).tolist()
    parts = parted(rows, "classification", [], labels=None, group=None)
    one = measure_segments(
        contender("fine_tune", a), contender("few_shot", b), parts, units, binary=True
    ).items[0]
    assert (one.n, one.units) == (60, 30)
    assert one.method == "cluster t"


def test_columns_lengths_groups_and_labels_of_sets_are_parts() -> None:
    rows = [
        row(
            n, "a, b" if n % 2 else "b", "word " * (1 + n % 9), channel=("mail", "chat")[n % 2],
            age=n, customer=f"c{n % 3}", note=None,
        )
        for n in range(90)
    ]  # fmt: skip
    found = parted(
        rows, "multilabel", ["channel", "age", "note"], labels=("a", "b"), group="customer"
    )
    assert set(found) == {"label", "length", "customer", "channel", "age"}  # note is empty
    assert {name: len(rows) for name, rows in found["label"].items()} == {"b": 90, "a": 45}
    assert set(found["channel"]) == {"mail", "chat"}
    assert list(found["age"]) == ["0 to 29", "30 to 59", "60 to 89"]
    assert list(found["length"]) == ["1 to 3 words", "4 to 6 words", "7 to 9 words"]
    assert set(found["customer"]) == {"c0", "c1", "c2"}


def test_rare_values_are_put_together() -> None:
    rows = by_label(["refund"] * 50 + [f"rare {n}" for n in range(30)])
    found = parted(rows, "classification", [], labels=None, group=None)["label"]
    assert {name: len(rows) for name, rows in found.items()} == {"refund": 50, OTHERS: 30}


def test_labels_of_one_input_that_agree_leave_a_ceiling_near_one() -> None:
    twice = [row(n, "refund", f"text {n // 2}") for n in range(200)]
    noise = measure_label_noise(twice, metric_named("accuracy", ("refund", "other")))
    assert noise is not None
    assert (noise.inputs, noise.agreement, noise.ceiling) == (100, 1.0, 1.0)


def test_labels_that_disagree_set_a_ceiling_that_no_model_exceeds() -> None:
    """100 simulated data sets whose labels are right in 80%, others at random."""
    rng = np.random.default_rng(0)
    labels = ("a", "b", "c")
    metric = metric_named("accuracy", labels)
    below = 0
    for _ in range(100):
        rows: list[Example] = []
        for n in range(120):
            for copy in range(2):
                true = n % 3
                label = true if rng.random() < 0.8 else (true + 1 + int(rng.integers(2))) % 3
                rows.append(row(2 * n + copy, labels[label], f"text {n}"))
        noise = measure_label_noise(rows, metric)
        assert noise is not None
        assert noise.ceiling is not None
        below += noise.ceiling < 0.8  # the share that the best model gets right
    assert below <= 5


def test_scores_that_are_no_rates_have_an_agreement_and_no_ceiling() -> None:
    rows = [row(n, f"the answer is {n}", f"text {n // 2}") for n in range(80)]
    noise = measure_label_noise(rows, metric_named("token_f1"))
    assert noise is not None
    assert noise.ceiling is None
    assert noise.agreement == pytest.approx(2 / 3)  # of answer, is and the number; no article


def test_few_inputs_with_two_labels_say_nothing_and_none_is_none() -> None:
    metric = metric_named("accuracy", ("a", "b"))
    few = measure_label_noise([row(n, "a", f"text {n // 2}") for n in range(10)], metric)
    assert few is not None
    assert (few.inputs, few.low, few.ceiling) == (5, None, None)
    assert measure_label_noise([row(n, "a") for n in range(10)], metric) is None
