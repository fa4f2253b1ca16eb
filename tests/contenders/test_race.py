import pytest

from scripted_rows import race, row, rows, says
from tunewise.contenders.race import Race
from tunewise.metrics.by_name import metric_named


def runs(field: Race, name: str, right: int, upto: int) -> bool:
    """Lets a new setting answer block by block, every n-th row right; whether it is out."""
    runner = field.enter(name)
    for end in field.ends(upto):
        new = field.order[len(runner.answers) : end]
        start = len(runner.answers)
        field.record(
            runner,
            [says(e, e.target if n % 10 < right else "?") for n, e in enumerate(new, start)],
        )
        if field.surely_behind(runner):
            return True
    return False


def perfect(field: Race) -> None:
    field.add("classifier", [example.target for example in field.dev])


def test_blocks_are_small_at_first_and_grow() -> None:
    assert race(rows(200)).ends(200) == [8, 16, 24, 36, 54, 81, 122, 183, 200]
    assert race(rows(200)).ends(20) == [8, 16, 20]
    assert race(rows(5)).ends(200) == [5]


def test_everybody_answers_in_one_order_that_does_not_depend_on_the_file() -> None:
    there, back = race(rows(30)), race(rows(30)[::-1])
    assert [e.id for e in there.order] == [e.id for e in back.order] != [e.id for e in rows(30)]


def test_rows_of_one_unit_stand_together_and_blocks_end_with_their_unit() -> None:
    dev = rows(60)
    units = [f"u{n % 12}" if n < 50 else None for n in range(60)]
    field = Race(dev, metric=metric_named("accuracy"), units=units, margin=0.05)
    of = dict(zip((e.id for e in dev), units, strict=True))
    order = [of[e.id] for e in field.order]
    changes = [n for n in range(1, 60) if order[n] != order[n - 1] or order[n] is None]
    assert len([unit for unit in order if unit]) == 50
    assert set(field.ends(60)[:-1]) <= set(changes)
    assert len({order[n] for n in range(60) if order[n]}) == 12
    assert sum(order[n] is not None and order[n] != order[n - 1] for n in range(60)) == 12


def test_one_that_would_win_is_never_out() -> None:
    field = race(rows(100))
    field.add("constant", ["a"] * 100)
    assert not runs(field, "few_shot", 9, 100)


def test_one_that_is_within_the_margin_is_not_out() -> None:
    field = race(rows(100), margin=0.2)
    perfect(field)
    assert not runs(field, "few_shot", 9, 100)


def test_a_hopeless_one_is_out_after_a_few_rows() -> None:
    field = race(rows(100))
    perfect(field)
    assert runs(field, "zero_shot", 0, 100)


def test_what_is_said_of_one_that_is_out() -> None:
    field = race(rows(100))
    perfect(field)
    field.add("constant", ["a"] * 100)
    runner = field.enter("zero_shot")
    field.record(runner, [says(e, "?") for e in field.order[:16]])
    found = field.stopped(runner)
    assert (found.rows, found.of, found.quality, found.best) == (16, 100, 0.0, 1.0)
    assert (found.behind, found.margin) == ("classifier", 0.05)


def test_a_crash_counts_as_wrong() -> None:
    field = race(rows(40))
    perfect(field)
    runner = field.enter("zero_shot")
    field.record(runner, [says(e, "?") for e in field.order[:8]])
    crashed = field.enter("zero_shot")
    field.record(crashed, [*runner.answers[:4], *[says(e, "") for e in field.order[4:8]]])
    assert crashed.scores == runner.scores == [0.0] * 8


def test_contenders_weigh_alike_however_many_settings_they_have() -> None:
    """Ten settings that are no better do not hide that another contender is far better."""
    alone, crowded = race(rows(100)), race(rows(100))
    for field in (alone, crowded):
        perfect(field)
    for _ in range(10):
        runs(crowded, "prompt", 0, 8)
    assert runs(alone, "zero_shot", 0, 16)
    assert runs(crowded, "zero_shot", 0, 24)


def test_apart_nobody_elses_answers_count() -> None:
    field = race(rows(100))
    perfect(field)
    assert not runs(field.apart(), "ceiling", 0, 100)
    assert runs(field, "zero_shot", 0, 100)


def test_one_quality_also_where_it_is_no_mean() -> None:
    dev = [row(f"row{n}", f"text {n}", "b" if n % 5 == 0 else "a") for n in range(100)]
    field = race(dev, "macro_f1")
    perfect(field)
    always = field.enter("constant")
    field.record(always, [says(e, "a") for e in field.order])
    assert field.quality(always) == pytest.approx((2 * 0.8 / 1.8) / 2)
    assert field.surely_behind(always)
