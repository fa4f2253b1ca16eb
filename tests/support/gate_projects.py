"""Projects with a gate set, and the answers that their models give."""

import json
from collections.abc import Callable
from pathlib import Path

from chat_endpoint import Endpoint, Reply, completion, refusal
from decide_projects import LABELS, Json, labelled, write_jsonl, write_project

FIRST = 1000
"""Number of the first message of a gate set."""


def gate_rows(count: int) -> list[Json]:
    """Messages beyond those of `labelled`, each with its right label."""
    return [
        {"text": f"message {n}", "label": LABELS[n * 7 % 3]} for n in range(FIRST, FIRST + count)
    ]


def gate_project(folder: Path, rows: int = 100, more: str = "") -> Path:
    """A project with 60 rows, so many in its gate set, and a margin of 10 points."""
    demands = "[decision]\nminimum_gain = 0.1\n"
    write_project(folder, labelled(60), f'gate = "gate.jsonl"\n{more}{demands}')
    write_jsonl(folder / "gate.jsonl", gate_rows(rows))
    return folder


def named_endpoints(url: str, *names: str) -> str:
    """The tables of some endpoints, and of a base that nobody asks."""
    tables = "".join(
        f'[contenders.{name}]\ntype = "openai"\nmodel = "{name}"\nbase_url = "{url}"\n'
        "concurrency = 16\n"
        for name in names
    )
    return f'[model]\nengine = "scripted"\n{tables}'


def answering(wrong: dict[str, Callable[[int], bool]]) -> Callable[[Json], Reply]:
    """A server of several models.

    Args:
        wrong: model -> which messages it gets wrong, by their number after `FIRST`.
    """

    def reply(asked: Json) -> Reply:
        said = asked["messages"][-1]["content"]
        if not said.startswith("message "):
            return completion("OK")
        number = int(said.removeprefix("message "))
        label = LABELS[number * 7 % 3]
        return completion("nonsense" if wrong[asked["model"]](number - FIRST) else label)

    return reply


def down(endpoint: Endpoint, model: str) -> None:
    """From now on this model refuses everything but the greeting."""
    answer = endpoint.reply

    def reply(asked: Json) -> Reply:
        greeting = asked["messages"][-1]["content"] == "Say OK."
        refuses = asked["model"] == model and not greeting
        return refusal(400, "out of order") if refuses else answer(asked)

    endpoint.reply = reply


def history_of(file: Path) -> list[Json]:
    """The looks that a history holds."""
    lines = [json.loads(line) for line in file.read_text("utf-8").splitlines()]
    return [line["look"] for line in lines if "look" in line]
