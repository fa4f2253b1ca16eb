from collections.abc import Callable

from example_run import RATES, SHIPPED
from tunewise.report.disagreements import disagreements
from tunewise.runs.schema import Run

MakeRun = Callable[..., Run]


def test_wins_and_losses_of_the_challenger_take_turns(make_run: MakeRun) -> None:
    found = disagreements(make_run())
    assert len(found.chosen) == 10
    assert found.incumbent_ahead >= 2
    sides = [
        next(r.value for r in item.replies if "fine_tune" in r.contenders) for item in found.chosen
    ]
    assert sides[:4] == [1.0, 0.0, 1.0, 0.0]


def test_equal_answers_stand_together_best_first(make_run: MakeRun) -> None:
    for item in disagreements(make_run()).chosen:
        named = [name for reply in item.replies for name in reply.contenders]
        assert len(named) == len(set(named)) == 7
        values = [reply.value or 0.0 for reply in item.replies]
        assert values == sorted(values, reverse=True)
        assert len({(r.text, r.crashed, r.value) for r in item.replies}) == len(item.replies)


def test_the_seed_that_ships_is_the_one_shown(make_run: MakeRun) -> None:
    run = make_run()
    shipped = [a for a in run.answers if a.contender != "fine_tune" or a.seed == SHIPPED]
    only_shipped = type(run)(
        **{name: getattr(run, name) for name in run.__dataclass_fields__ if name != "answers"},
        answers=tuple(shipped),
    )
    assert disagreements(only_shipped) == disagreements(run)


def test_a_crashed_answer_is_shown_as_what_went_wrong(make_run: MakeRun) -> None:
    run = make_run(n_test=40)
    replies = [r for item in disagreements(run, limit=40).chosen for r in item.replies]
    crashed = [r for r in replies if r.crashed]
    assert [r.text for r in crashed] == ["the endpoint answered 503 five times"]
    assert crashed[0].value is None


def test_contenders_that_never_differ_leave_nothing_to_show(make_run: MakeRun) -> None:
    always_right = {name: 2.0 for name in RATES if name != "big-model"}
    found = disagreements(make_run(n_test=30, rates=always_right))
    assert found.chosen == ()
    assert found.compared == 30
