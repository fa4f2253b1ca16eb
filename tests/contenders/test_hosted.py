import re
from collections.abc import Callable

import pytest

from scripted_rows import Counted, engine, race, row
from tunewise.contenders.few_shot import FewShot
from tunewise.contenders.hosted import Hosted
from tunewise.contenders.prompt import TunedPrompt
from tunewise.models.engines.protocol import Request
from tunewise.types import Example

TOPICS = {"tent": "shelter", "boot": "shoes", "stove": "kitchen", "lamp": "light"}


def topics(count: int, prefix: str) -> list[Example]:
    names = list(TOPICS)
    return [
        row(f"{prefix}{n}", f"{prefix} {n} my {names[n % 4]} broke", TOPICS[names[n % 4]])
        for n in range(count)
    ]


def topic(request: Request) -> str:
    return TOPICS[re.findall(r"my (\w+) broke", request.messages[-1].content)[-1]]


def shown(request: Request) -> bool:
    return any(turn.role == "assistant" for turn in request.messages)


def only_with_examples(request: Request) -> str:
    return topic(request) if shown(request) else "?"


def only_in_a_wording(request: Request) -> str:
    """A model that examples lead astray."""
    return topic(request) if not shown(request) else "?"


def hosted(script: Callable[[Request], str], budget: int = 10**9) -> Hosted:
    told, common = engine(script), {"budget_tokens": budget, "progress": Counted()}
    return Hosted(
        wordings=TunedPrompt(
            engine=told, instruction="Say where it belongs.", kind="classification",
            labels=tuple(TOPICS.values()), own=(), name="big", **common,
        ),
        examples=FewShot(
            engine=told, instruction="Say where it belongs.", embedder=None, name="big", **common,
        ),
    )  # fmt: skip


@pytest.mark.parametrize(
    ("script", "setting"), [(only_with_examples, "k"), (only_in_a_wording, "variant")]
)
def test_the_better_of_wordings_and_examples_is_taken_on_dev(
    script: Callable[[Request], str], setting: str
) -> None:
    dev, test = topics(16, "dev"), topics(8, "test")
    on_dev = race(dev)
    fitted = hosted(script).fit(topics(24, "train"), on_dev)
    assert setting in fitted.fit.settings
    assert fitted.fit.dev_answers == {0: tuple(one.target for one in dev)}
    assert on_dev.dev_answers(on_dev.chosen["big"]) == fitted.fit.dev_answers[0]
    answers = fitted.answer([one.input for one in test], seed=0)
    assert [one.text for one in answers] == [one.target for one in test]
    assert {one.contender for one in answers} == {"big"}


def test_of_equals_the_wording_is_taken_which_needs_no_examples() -> None:
    fitted = hosted(topic).fit(topics(24, "train"), race(topics(16, "dev")))
    assert "variant" in fitted.fit.settings


def test_what_both_searches_took_is_counted() -> None:
    one = hosted(only_with_examples)
    fitted = one.fit(topics(24, "train"), race(topics(16, "dev")))
    tried = {key for trial in fitted.fit.trials for key in trial}
    assert {"variant", "k"} <= tried
    asked = len(one.wordings.engine.requests)
    assert fitted.fit.tokens["generated"] == asked, "one token an answer"


def test_without_room_for_an_example_the_wordings_are_all() -> None:
    one = hosted(topic)
    one.examples.engine.context_tokens = 20
    fitted = one.fit(topics(24, "train"), race(topics(16, "dev")))
    assert "variant" in fitted.fit.settings
