from pathlib import Path

import pytest

from scripted_rows import engine, row, rows
from tunewise.chat.prompts import Prompt, instructed, reworded
from tunewise.contenders.answering import (
    FittedPrompt,
    PromptStrategy,
    answer_limit,
    spent,
    texts,
)
from tunewise.metrics.by_name import metric_named
from tunewise.models.engines.protocol import Request
from tunewise.models.engines.scripted import ScriptedEngine
from tunewise.types import Answer, Fit, Input, Message, Usage


def bare(inputs: list[Input]) -> list[Prompt]:
    return [Prompt(messages=item.messages, passages=(f"{item.id}#0",)) for item in inputs]


def test_every_input_gets_one_answer_in_order_with_its_passages_and_tokens() -> None:
    strategy = PromptStrategy(prompts=bare, max_tokens=10)
    answers = strategy.ask(engine(), "few_shot", [e.input for e in rows(3)], seed=0)
    assert [(a.example_id, a.text, a.passages) for a in answers] == [
        ("row0", "a", ("row0#0",)),
        ("row1", "b", ("row1#0",)),
        ("row2", "c", ("row2#0",)),
    ]
    assert {a.contender for a in answers} == {"few_shot"}
    assert answers[0].usage == Usage(prompt_tokens=5, completion_tokens=1)


def test_all_inputs_go_to_the_engine_as_one_batch() -> None:
    batches: list[int] = []

    class Batches(ScriptedEngine):
        def generate(self, requests: list[Request]) -> list:
            batches.append(len(requests))
            return super().generate(requests)

    strategy = PromptStrategy(prompts=bare, max_tokens=10)
    strategy.ask(Batches(lambda r: "x"), "c", [e.input for e in rows(5)], seed=0)
    assert batches == [5]


def test_a_request_that_fails_is_an_error_with_no_text_and_no_tokens() -> None:
    failing = ScriptedEngine(lambda r: "x", failures={"row number 1 means b": "does not fit"})
    answers = PromptStrategy(prompts=bare, max_tokens=10).ask(
        failing, "c", [e.input for e in rows(3)], seed=0
    )
    assert [(a.text, a.error) for a in answers] == [
        ("x", None),
        (None, "does not fit"),
        ("x", None),
    ]
    assert answers[1].usage == Usage()


def test_each_seed_asks_with_its_own_adapter() -> None:
    told = engine()
    strategy = PromptStrategy(prompts=bare, max_tokens=7, adapters={1: Path("one"), 2: Path("two")})
    for seed in (2, 1):
        strategy.ask(told, "fine_tune", [rows(1)[0].input], seed=seed)
    assert [r.adapter for r in told.requests] == [Path("two"), Path("one")]
    assert {r.sampling.max_tokens for r in told.requests} == {7}
    assert {r.sampling.temperature for r in told.requests} == {0.0}


def test_a_fitted_contender_has_the_seeds_of_its_adapters() -> None:
    fit = Fit(contender="c", settings={}, seconds=0, tokens={}, dev_answers={})
    strategy = PromptStrategy(prompts=bare, max_tokens=1, adapters={1: None, 3: None})
    asked = FittedPrompt(engine=engine(), strategy=strategy, fit=fit)
    assert asked.seeds == (1, 3)
    (answer,) = asked.answer([rows(1)[0].input], seed=3)
    assert (answer.contender, answer.seed) == ("c", 3)


def test_white_space_around_an_answer_is_dropped_unless_it_is_read_otherwise() -> None:
    told = engine(lambda r: "  yes \n")
    (plain,) = PromptStrategy(prompts=bare, max_tokens=9).ask(told, "c", [rows(1)[0].input], seed=0)
    (own,) = PromptStrategy(prompts=bare, max_tokens=9, read=str.upper).ask(
        told, "c", [rows(1)[0].input], seed=0
    )
    assert (plain.text, own.text) == ("yes", "  YES \n")


def test_tools_go_to_the_engine_and_calls_come_back_as_json() -> None:
    tool = {"type": "function", "function": {"name": "weather"}}
    item = Input(id="1", messages=turns(("user", "Weather?")), tools=(tool,))

    def with_tools(inputs: list[Input]) -> list[Prompt]:
        return [Prompt(messages=item.messages, tools=item.tools) for item in inputs]

    told = engine(
        lambda r: 'Well.\n<tool_call>\n{"name": "weather", "arguments": {}}\n</tool_call>'
    )
    (answer,) = PromptStrategy(prompts=with_tools, max_tokens=9).ask(told, "c", [item], seed=0)
    assert told.requests[0].tools == (tool,)
    assert answer.text == 'Well.\n{"name": "weather", "arguments": {}}'


def test_only_the_last_user_turn_gets_another_wording() -> None:
    talk = turns(("user", "hi"), ("assistant", "hello"), ("user", "bye"), ("tool", "12"))
    assert reworded(talk, str.upper) == turns(
        ("user", "hi"), ("assistant", "hello"), ("user", "BYE"), ("tool", "12")
    )


def turns(*pairs: tuple[str, str]) -> tuple[Message, ...]:
    return tuple(Message(role=role, content=content) for role, content in pairs)


@pytest.mark.parametrize(
    ("instruction", "own", "expected"),
    [
        ("Sort it.", (), (("system", "Sort it."),)),
        ("", (), ()),
        ("", (("system", "Be kind."),), (("system", "Be kind."),)),
        ("Sort it.", (("system", "Be kind."),), (("system", "Sort it.\n\nBe kind."),)),
    ],
)
def test_the_instruction_is_the_first_turn_and_a_rows_own_system_turn_stays(
    instruction: str, own: tuple, expected: tuple
) -> None:
    talk = (("user", "hi"), ("assistant", "hello"), ("user", "bye"))
    item = Input(id="1", messages=turns(*own, *talk))
    assert instructed(instruction, item) == turns(*expected, *talk)


def test_answers_may_be_a_quarter_longer_than_the_longest_of_train_and_eight_tokens() -> None:
    train = [row("1", "q", "one two three"), row("2", "q", " ".join(["word"] * 40))]
    assert answer_limit(engine(), train) == 58
    assert answer_limit(engine(), [row("1", "q", " ".join(["word"] * 4000))]) == 512
    assert answer_limit(engine(), []) == 88


def test_a_crash_on_dev_is_no_text_rather_than_an_empty_one() -> None:
    answers = [
        Answer(example_id="row0", contender="c", seed=0, text="b"),
        Answer(example_id="row1", contender="c", seed=0, error="refused"),
    ]
    assert texts(answers) == ("b", None)


def test_tokens_spent_are_those_computed_for_all_answers() -> None:
    answers = [
        Answer(
            example_id=str(n),
            contender="c",
            seed=0,
            text="x",
            usage=Usage(prompt_tokens=10, cached_tokens=4, completion_tokens=n),
        )
        for n in range(3)
    ]
    assert spent(answers) == {"prefilled": 18, "generated": 3, "trained": 0}


# --- thinking


def test_an_answer_may_spend_more_tokens_where_the_model_thinks() -> None:
    train = [row(0, "a", "<think>one two three</think> a b")]
    assert answer_limit(ScriptedEngine({}), train) == 15
    assert answer_limit(ScriptedEngine({}, thinking_tokens=100), train) == 11 + 100
    small = ScriptedEngine({}, thinking_tokens=100, context_tokens=200)
    assert answer_limit(small, train) == 11 + 50


def test_thoughts_are_kept_with_the_answer_and_counted_apart() -> None:
    thinker = ScriptedEngine(lambda request: "<think>p or q</think> b")
    strategy = PromptStrategy(prompts=bare, max_tokens=10)
    (answer,) = strategy.ask(thinker, "c", [row(0, "a", "b").input], seed=0)
    assert answer.text == "<think>p or q</think> b"
    assert answer.usage.thinking_tokens == 3
    metric = metric_named("accuracy", ["a", "b"])
    assert metric.score(answer.text, "b").value == 1.0


def test_a_call_that_is_only_thought_of_is_not_made() -> None:
    tool = {"type": "function", "function": {"name": "f", "parameters": {}}}
    call, other = (f'{{"name": "f", "arguments": {{"a": {n}}}}}' for n in (1, 2))
    item = Input(id="1", messages=(Message(role="user", content="x"),), tools=(tool,))

    def prompts(inputs: list[Input]) -> list[Prompt]:
        return [Prompt(messages=one.messages, tools=one.tools) for one in inputs]

    said = f"<think>{other}</think><tool_call>{call}</tool_call>"
    strategy = PromptStrategy(prompts=prompts, max_tokens=99)
    (answer,) = strategy.ask(ScriptedEngine(lambda request: said), "c", [item], seed=0)
    assert answer.text == call
