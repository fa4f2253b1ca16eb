"""Times as cells write them: dates and numbers, each with an order; nothing that two people read
differently."""

import pytest

from tunewise.text.moments import moment_of


@pytest.mark.parametrize(
    ("earlier", "later"),
    [
        ("2024-03-01", "2024-03-02"),
        ("2024-03", "2024-03-02"),
        ("2024-03-01T10:00:00", "2024-03-01 10:00:01"),
        ("2024-03-01T12:00:00+02:00", "2024-03-01T11:00:00Z"),
        (3, 4.5),
        ("9", "10"),
        ("20240131", "20240201"),
    ],
)
def test_times_have_their_order(earlier: str | float, later: str | float) -> None:
    first, second = moment_of(earlier), moment_of(later)
    assert first is not None
    assert second is not None
    assert first.kind == second.kind
    assert first.value < second.value


@pytest.mark.parametrize("cell", ["03/04/2024", "yesterday", "", None, True, [2024], {"y": 1}])
def test_what_is_no_time_or_can_be_read_in_two_ways_is_none(cell: object) -> None:
    assert moment_of(cell) is None  # pyright: ignore[reportArgumentType]
