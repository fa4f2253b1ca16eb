from scripted_rows import Counted, engine, race, rows
from tunewise.contenders.zero_shot import ZeroShot
from tunewise.models.engines.scripted import ScriptedEngine
from tunewise.types import Message


def zero_shot(told: ScriptedEngine, progress: Counted | None = None) -> ZeroShot:
    return ZeroShot(
        engine=told,
        instruction="Say the letter.",
        budget_tokens=1,
        progress=progress or Counted(),
    )


def test_it_asks_with_the_instruction_alone() -> None:
    told = engine()
    fitted = zero_shot(told).fit(rows(9), race(rows(2, "dev")))
    fitted.answer([rows(1, "test")[0].input], seed=0)
    assert {request.messages[0] for request in told.requests} == {
        Message(role="system", content="Say the letter.")
    }
    asked = [request.messages[1].content for request in told.requests]
    assert sorted(asked[:2]) == ["dev number 0 means a", "dev number 1 means b"]
    assert asked[2:] == ["test number 0 means a"]


def test_it_is_stopped_where_it_is_surely_too_far_behind() -> None:
    field = race(rows(100, "dev"))
    field.add("classifier", [row.target for row in field.dev])
    told = engine(lambda request: "?")
    fit = zero_shot(told).fit(rows(9), field).fit
    assert fit.stopped is not None
    assert len(told.requests) == fit.stopped.rows == 16
    assert (fit.stopped.quality, fit.stopped.best, fit.stopped.behind) == (0.0, 1.0, "classifier")
    assert fit.tokens["prefilled"] == sum(len(r.messages) for r in told.requests) * 4


def test_it_chooses_nothing_and_says_what_dev_cost() -> None:
    fit = zero_shot(engine(lambda r: "a")).fit(rows(9), race(rows(3, "dev"))).fit
    assert fit.settings == {"instruction": "Say the letter."}
    assert fit.dev_answers == {0: ("a", "a", "a")}
    assert fit.tokens == {"prefilled": 3 * 8, "generated": 3, "trained": 0}
    assert (fit.artifact, fit.trials) == ({}, ())


def test_it_says_how_far_it_is() -> None:
    progress = Counted()
    zero_shot(engine(), progress).fit(rows(9), race(rows(3, "dev")))
    assert (progress.totals, progress.done) == ([3], [3])
