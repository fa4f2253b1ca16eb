import pytest

from tunewise.training.epochs import dev_points


@pytest.mark.parametrize(
    ("epochs", "points"),
    [(1, [1]), (2, [1, 2]), (3, [1, 2, 3]), (10, [4, 7, 10]), (20, [7, 14, 20])],
)
def test_dev_is_answered_three_times_in_a_training_the_end_included(
    epochs: int, points: list[int]
) -> None:
    assert dev_points(epochs) == points


def test_dev_may_be_answered_at_the_end_alone() -> None:
    assert dev_points(7, times=1) == [7]
