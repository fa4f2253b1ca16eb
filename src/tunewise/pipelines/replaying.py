"""General requests that the base answered itself: what a training replays so as to forget less.

A model that also trains on what it said before keeps its ways better (self-synthesised rehearsal:
Huang et al. 2024, arXiv:2403.01244).
"""

from dataclasses import replace
from importlib import resources

from tunewise.chat.prompts import input_alone
from tunewise.chat.tokenize import ChatTokenizer
from tunewise.contenders.answering import PromptStrategy
from tunewise.models.engines.protocol import Engine
from tunewise.training.rows import Row, example_rows
from tunewise.types import Example, Message

REPLAYED = "replay"
"""Contender whose answers these are, in the run's answers."""
ANSWER_TOKENS = 96
"""Of what the base writes to a request at most."""


def replay_requests() -> list[str]:
    """What the base is asked: one hundred everyday requests, none of which the suite asks."""
    file = resources.files("tunewise.pipelines").joinpath("replay_requests.txt")
    return file.read_text("utf-8").splitlines()


def replay_rows(engine: Engine, tokenizer: ChatTokenizer) -> list[Row]:
    """A training row a request, with the base's own greedy answer.

    Args:
        engine: of the base.
        tokenizer: of the base.
    """
    asked = [
        Example(id=f"replay {n}", messages=(Message(role="user", content=text),), target="")
        for n, text in enumerate(replay_requests(), start=1)
    ]
    strategy = PromptStrategy(prompts=input_alone, max_tokens=ANSWER_TOKENS)
    inputs = [example.input for example in asked]
    said = strategy.ask(engine, REPLAYED, inputs, seed=0)
    return example_rows(
        tokenizer,
        [
            replace(example, target=answer.text)
            for example, answer in zip(asked, said, strict=True)
            if answer.text
        ],
    )
