from scripted_rows import Counted, engine, rows
from tunewise.contenders.zero_shot import ZeroShot
from tunewise.metrics.by_name import metric_named
from tunewise.models.engines.scripted import ScriptedEngine
from tunewise.types import Message


def zero_shot(told: ScriptedEngine, progress: Counted | None = None) -> ZeroShot:
    return ZeroShot(
        engine=told,
        metric=metric_named("accuracy"),
        instruction="Say the letter.",
        progress=progress or Counted(),
    )


def test_it_asks_with_the_instruction_alone() -> None:
    told = engine()
    fitted = zero_shot(told).fit(rows(9), rows(2, "dev"))
    fitted.answer([rows(1, "test")[0].input], seed=0)
    assert [request.messages for request in told.requests] == [
        (Message(role="system", content="Say the letter."), Message(role="user", content=text))
        for text in ("dev number 0 means a", "dev number 1 means b", "test number 0 means a")
    ]


def test_it_chooses_nothing_and_says_what_dev_cost() -> None:
    fit = zero_shot(engine(lambda r: "a")).fit(rows(9), rows(3, "dev")).fit
    assert fit.settings == {"instruction": "Say the letter."}
    assert fit.dev_answers == {0: ("a", "a", "a")}
    assert fit.tokens == {"prefilled": 3 * 8, "generated": 3, "trained": 0}
    assert (fit.artifact, fit.trials) == ({}, ())


def test_it_says_how_far_it_is() -> None:
    progress = Counted()
    zero_shot(engine(), progress).fit(rows(9), rows(3, "dev"))
    assert (progress.totals, progress.done) == ([3], [3])
