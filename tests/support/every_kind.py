"""A finished run in which every kind of contender answered, and what each asked on test."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

from decide_projects import (
    decide,
    labelled,
    number_of,
    opened,
    read_jsonl,
    scripted,
    target_of,
    write_project,
)
from tunewise.contenders.answering import FittedPrompt
from tunewise.data.prepare import Prepared, prepare
from tunewise.models.catalog import LocalModel
from tunewise.models.engines.protocol import Request, Sampling
from tunewise.models.engines.scripted import ScriptedEngine
from tunewise.pipelines import decide as pipeline
from tunewise.project.load import load_project
from tunewise.serving.protocol import ChatRequest
from tunewise.types import Input

NAMES = (
    "constant", "zero_shot", "prompt", "few_shot", "classifier", "rag", "internalised", "fine_tune",
    "fine_tune_rag",
)  # fmt: skip
ROWS = 200
TOML = """documents = "docs/"
test_size = 0.31
[training]
rank = 2
epochs = 1
learning_rate = 1e-3
seeds = 1
[contenders]
use = ["constant", "zero_shot", "prompt", "few_shot", "classifier", "rag", "internalised",
       "fine_tune", "fine_tune_rag"]
finish = true
[decision]
measure = []
"""


@dataclass(frozen=True, kw_only=True)
class EveryKind:
    """A project with its run."""

    project: Path
    run: Path
    engine: ScriptedEngine
    prepared: Prepared
    model: LocalModel
    """Its base."""
    asked: Mapping[str, Sequence[Request]] = field(default_factory=dict)
    """Contender -> what it asked for each test row, in order; none for those that ask no model."""

    @property
    def inputs(self) -> list[Input]:
        """Of the test rows."""
        return [row.input for row in self.prepared.splits.test]

    def answers(self, contender: str) -> list[str | None]:
        """What a contender answered on test, in order."""
        kept = {
            row["example_id"]: row["text"]
            for row in read_jsonl(self.run / "answers.jsonl")
            if row["contender"] == contender
        }
        return [kept[item.id] for item in self.inputs]


def script(request: Request) -> str:
    """Right most often with steps, and says where the answer is; else by how it was asked."""
    number, label = number_of(request), target_of(request)
    said = "".join(turn.content for turn in request.messages)
    if request.adapter is not None:
        return f"Hm. Answer: {label}" if number % 7 else "nonsense"
    if "Think step by step" in said:
        return f"It says {number}.\nAnswer: {label}"
    return label if (number + len(said)) % 3 else "nonsense"


def said_in_the_run(asked: ChatRequest) -> str:
    """What the model of the run says to what a server asks it."""
    assert asked.decoding.max_tokens is not None
    return script(
        Request(
            messages=asked.messages,
            tools=asked.tools,
            adapter=asked.weights.adapter,
            sampling=Sampling(max_tokens=asked.decoding.max_tokens),
        )
    )


def make_every_kind(folder: Path, model: LocalModel) -> EveryKind:
    """Runs decide on a new project in a folder.

    Args:
        folder: of the project.
        model: trained; what it answers is scripted.
    """
    more = f'{TOML}[model]\nbase = "{model.name}"\n'
    project = write_project(folder, labelled(ROWS), more)
    (project / "docs").mkdir()
    for name in ("returns", "parcels"):
        text = f"# {name}\n\n" + f"Of {name} it is written here at some length. " * 30
        (project / "docs" / f"{name}.md").write_text(text)
    engine = scripted(script)
    asked: dict[str, list[Request]] = {}
    collect = pipeline.collect

    def noting(fitted: Any, name: str, seed: int, inputs: Sequence[Input], *rest: Any) -> Any:
        if isinstance(fitted, FittedPrompt):
            way = fitted.strategy
            asked[name] = [way.request(prompt, seed) for prompt in way.prompts(inputs)]
        return collect(fitted, name, seed, inputs, *rest)

    with patch.object(pipeline, "collect", noting):
        run = decide(project, out=project / "runs" / "first", opener=opened(engine, model))
    return EveryKind(
        project=project,
        run=run,
        engine=engine,
        prepared=prepare(load_project(project)),
        model=model,
        asked=asked,
    )
