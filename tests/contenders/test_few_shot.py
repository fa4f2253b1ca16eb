from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from scripted_rows import Counted, engine, race, row, rows
from tunewise.contenders.few_shot import FewShot, Shots, shots_of
from tunewise.contenders.protocol import NotApplicable
from tunewise.models.engines.protocol import Request
from tunewise.models.engines.scripted import ScriptedEngine
from tunewise.progress import Silent
from tunewise.retrieval.embed import MODEL
from tunewise.types import Example, Message

TOPICS = {"tent": "shelter", "boot": "shoes", "stove": "kitchen", "lamp": "light"}


def topics(count: int = 24, prefix: str = "t") -> list[Example]:
    """Rows that only the example of the same topic explains."""
    names = list(TOPICS)
    return [
        row(f"{prefix}{n}", f"{prefix} {n} my {names[n % 4]} broke", TOPICS[names[n % 4]])
        for n in range(count)
    ]


def copies_last_example(request: Request) -> str:
    """A model that repeats the answer of the example right before the input."""
    answers = [turn.content for turn in request.messages if turn.role == "assistant"]
    return answers[-1] if answers else "?"


def few_shot(told: ScriptedEngine, progress: Counted | None = None) -> FewShot:
    return FewShot(
        engine=told,
        instruction="Say where it belongs.",
        embedder=None,
        budget_tokens=10**9,
        progress=progress or Counted(),
    )


def shown(request: Request) -> list[str]:
    """Inputs of the examples in a prompt."""
    return [turn.content for turn in request.messages[:-1] if turn.role == "user"]


def test_nearest_examples_win_where_the_topic_decides_and_the_nearest_stands_last() -> None:
    told = engine(copies_last_example)
    dev = topics(16, "dev")
    fitted = few_shot(told).fit(topics(), race(dev))
    assert fitted.fit.settings["selection"] == "nearest"
    assert fitted.fit.settings["by"] == "BM25"
    assert fitted.fit.dev_answers == {0: tuple(row.target for row in dev)}
    assert all(e.target == a.text for e, a in zip(
        topics(8, "test"),
        fitted.answer([e.input for e in topics(8, "test")], seed=0),
        strict=True,
    ))  # fmt: skip


def test_fixed_examples_are_the_same_for_all_inputs_and_nearest_ones_differ() -> None:
    told = engine(copies_last_example)
    few_shot(told).fit(topics(), race(topics(16, "dev")))
    fixed, nearest = told.requests[:8], told.requests[8:16]  # the settings come in this order
    assert len({text for request in fixed for text in shown(request)}) == 4
    assert len({text for request in nearest for text in shown(request)}) > 4
    assert all(len(shown(request)) == 4 for request in [*fixed, *nearest])
    for request in nearest:
        assert request.messages[-1].content.split()[3] in shown(request)[-1]


def test_examples_are_turns_of_the_conversation_between_instruction_and_input() -> None:
    told = engine(copies_last_example)
    fitted = few_shot(told).fit(topics(), race(topics(16, "dev")))
    fitted.answer([row("x", "my lamp is dark", "").input], seed=0)
    messages = told.requests[-1].messages
    assert messages[0] == Message(role="system", content="Say where it belongs.")
    assert [turn.role for turn in messages[1:]] == ["user", "assistant", "user"]
    assert "lamp" in messages[1].content
    assert messages[2].content == "light"
    assert messages[3].content == "my lamp is dark"


def test_more_examples_end_with_the_nearest() -> None:
    told = engine(copies_last_example)  # nearest ones win, so that eight of them are tried
    few_shot(told).fit(topics(), race(topics(16, "dev")))
    eight = [r for r in told.requests if len(shown(r)) == 8]
    topic_last = [r.messages[-1].content.split()[3] in shown(r)[-1] for r in eight]
    topic_first = [r.messages[-1].content.split()[3] in shown(r)[0] for r in eight]
    assert sum(topic_last) > sum(topic_first)


def tried(told: ScriptedEngine, train: list[Example], dev: int = 16) -> list[tuple[object, str]]:
    fit = few_shot(told).fit(train, race(topics(dev, "dev"))).fit
    return [(trial["k"], str(trial["selection"]).split(",")[0]) for trial in fit.trials]


def reads(least: int, most: int = 99):
    """A model that is right when it sees so many examples."""

    def script(request: Request) -> str:
        topic = request.messages[-1].content.split()[3]
        return TOPICS[topic] if least <= len(shown(request)) <= most else "?"

    return script


def test_the_search_starts_in_the_middle_both_ways() -> None:
    assert tried(engine(copies_last_example), topics())[:2] == [(4, "fixed"), (4, "nearest")]


def test_it_goes_on_in_the_direction_that_is_better() -> None:
    both = [(4, "fixed"), (4, "nearest")]
    assert tried(engine(reads(7)), topics()) == [*both, (2, "fixed"), (8, "fixed"), (16, "fixed")]
    assert tried(engine(reads(1, 2)), topics()) == [
        *both, (2, "fixed"), (8, "fixed"), (1, "fixed")
    ]  # fmt: skip
    assert tried(engine(reads(4, 4)), topics()) == [*both, (2, "fixed"), (8, "fixed")]


def test_of_equals_the_shorter_prompt_is_chosen() -> None:
    fit = few_shot(engine(reads(1))).fit(topics(), race(topics(16, "dev"))).fit
    assert (fit.settings["k"], fit.settings["selection"]) == (1, "fixed, diverse")


def test_settings_are_compared_on_half_of_dev_and_the_best_answers_all_of_it() -> None:
    fit = few_shot(engine(reads(4, 4))).fit(topics(), race(topics(40, "dev"))).fit
    seen = {(t["k"], t["selection"]): t["dev_examples"] for t in fit.trials}
    assert seen.pop((4, "fixed, diverse")) == 40
    assert max(seen.values()) == 20


def test_before_it_is_given_up_the_longest_prompt_has_its_try() -> None:
    field = race(topics(60, "dev"))
    field.add("classifier", [row.target for row in field.dev])
    fit = few_shot(engine(reads(16))).fit(topics(), field).fit
    assert [trial["k"] for trial in fit.trials] == [4, 4, 16]
    assert fit.settings["k"] == 16
    assert fit.stopped is None
    assert len(fit.dev_answers[0]) == 60


def test_where_no_setting_comes_near_it_is_stopped() -> None:
    field = race(topics(60, "dev"))
    field.add("classifier", [row.target for row in field.dev])
    told = engine(lambda request: "?")
    fit = few_shot(told).fit(topics(), field).fit
    assert fit.stopped is not None
    assert (fit.stopped.behind, fit.stopped.of) == ("classifier", 60)
    assert fit.dev_answers == {}
    assert len(told.requests) == 3 * fit.stopped.rows < 60


def test_no_more_examples_are_tried_than_three_quarters_of_the_context_hold() -> None:
    # An example takes 5 or 6 tokens, an answer up to 10.
    more = reads(1 + 4)
    assert tried(engine(more, context_tokens=1000), topics())[-1] == (16, "fixed")
    assert tried(engine(more, context_tokens=80), topics())[-1] == (8, "fixed")
    assert tried(engine(more, context_tokens=40), topics())[0] == (2, "fixed")


def test_an_example_is_left_for_every_input_of_train_itself() -> None:
    assert max(k for k, _ in tried(engine(reads(5)), topics(8))) == 4


def test_it_does_not_apply_where_not_even_one_example_fits() -> None:
    with pytest.raises(NotApplicable, match="one example alone fills most"):
        few_shot(engine(context_tokens=20)).fit(topics(), race(topics(4, "dev")))


def test_progress_ends_full_whatever_the_search_left_out() -> None:
    progress, told = Counted(), engine(copies_last_example)
    few_shot(told, progress).fit(topics(), race(topics(16, "dev")))
    assert progress.totals == progress.done
    assert len(told.requests) <= progress.totals[0]


def test_an_examples_own_system_turn_is_not_repeated_for_each_example() -> None:
    told = engine(copies_last_example)
    train = [
        Example(
            id=e.id, messages=(Message(role="system", content="own"), *e.messages), target=e.target
        )
        for e in rows(12)
    ]
    few_shot(told).fit(train, race(train[:3]))
    assert {sum(turn.role == "system" for turn in r.messages) for r in told.requests} == {1}


def test_nearest_goes_by_words_where_the_model_cannot_read_the_inputs() -> None:
    train = [row(f"t{n}", f"คำถามที่ {n}", "ก") for n in range(6)]
    said: list[str] = []

    class Told(Silent):
        def note(self, text: str) -> None:
            said.append(text)

    class Model:
        name = MODEL

        def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
            raise AssertionError("it is not asked")

    FewShot(
        engine=engine(),
        instruction="",
        embedder=Model(),
        budget_tokens=10**9,
        progress=Told(),
    ).fit(train, race(train[:3]))
    assert [note for note in said if "Thai script" in note]


@pytest.mark.parametrize("selection", ["fixed", "nearest"])
def test_what_a_fit_chose_is_read_from_its_settings(selection: str) -> None:
    told = engine(copies_last_example if selection == "nearest" else reads(4))
    fit = few_shot(told).fit(topics(), race(topics(16, "dev"))).fit
    assert shots_of(fit.settings) == Shots(k=int(str(fit.settings["k"])), selection=selection)


def test_other_rows_can_be_shown_in_the_way_that_was_chosen() -> None:
    told = engine(copies_last_example)
    way = few_shot(told).strategies(topics(3))(Shots(k=4, selection="nearest"))
    way.ask(told, "few_shot", [topics(8, "dev")[0].input], seed=0)
    assert sorted(shown(told.requests[-1])) == sorted(one.input.text for one in topics(3))
