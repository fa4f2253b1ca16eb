import numpy as np
import pytest

from tunewise.evaluation.measure import measure
from tunewise.metrics.by_name import metric_named

TARGETS = ["a", "a", "a", "b"]


def measured(metric: str, *seeds: list[str | None]):
    return measure(
        "few_shot",
        dict(enumerate(seeds)),
        TARGETS,
        metric_named(metric),
        trained=False,
        ceiling=False,
    )


def test_a_mean_has_the_scores_of_each_row_and_no_aggregate() -> None:
    found = measured("accuracy", ["a", "a", "b", "b"])
    assert found.scores[0].tolist() == [1, 1, 0, 1]
    assert found.aggregate is None
    assert found.quality(0) == 0.75


def test_an_aggregate_is_one_of_any_rows() -> None:
    found = measured("macro_f1", ["a", "a", "b", "b"], ["a", "a", "a", "a"])
    assert found.quality(0) == pytest.approx((4 / 5 + 2 / 3) / 2)
    assert found.quality(1) == pytest.approx((6 / 7 + 0) / 2)
    assert found.aggregate[0](np.array([0, 1, 3])) == 1.0


@pytest.mark.parametrize(("metric", "quality"), [("accuracy", 0.5), ("macro_f1", 0.4)])
def test_a_crash_has_no_score_and_counts_as_wrong(metric: str, quality: float) -> None:
    found = measured(metric, ["a", "a", None, None])
    assert np.isnan(found.scores[0]).tolist() == [False, False, True, True]
    assert found.quality(0) == pytest.approx(quality)


def test_answers_to_other_rows_are_refused() -> None:
    with pytest.raises(ValueError, match="zip"):
        measured("accuracy", ["a", "a"])
