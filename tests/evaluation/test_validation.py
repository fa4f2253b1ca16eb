from collections.abc import Sequence

from tunewise.evaluation.validation import Validation, Validator

ROWS = 120
TUNED = Validation(value=0.75, scores=(1.0, 1.0, 1.0, 0.0) * 30)
PLAIN = Validation(value=0.5, scores=((1.0,) * 6 + (0.0,) * 6) * 10)


def validator(groups: Sequence[str | None]) -> Validator:
    return Validator(
        metric="accuracy",
        higher_is_better=True,
        rows=ROWS,
        unit="row",
        binary=True,
        groups=groups,
        baselines=lambda training: {},
        validate=lambda training, saved: TUNED,
    )


def test_rows_of_one_unit_widen_the_interval_of_a_lead_on_dev() -> None:
    alone = validator([None] * ROWS).lead(TUNED, PLAIN)
    together = validator([str(row // 6) for row in range(ROWS)]).lead(TUNED, PLAIN)
    assert alone is not None
    assert together is not None
    assert together.delta == alone.delta == 0.25
    assert together.low < alone.low


def test_units_too_few_for_an_interval_give_none() -> None:
    assert validator([str(row % 9) for row in range(ROWS)]).lead(TUNED, PLAIN) is None
