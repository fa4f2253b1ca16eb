"""Writes a winner that trains nothing as a folder: the model, and a program that asks as it did.

The model lies there as the registry keeps it, so that `tunewise serve` takes the folder. What is
the same for every input stands in prompt.json too; the program needs the client alone then.
Examples and passages that are looked up for each input need Tunewise's search, and a marked answer
its reading.
"""

import json
import subprocess
import sys
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any, cast

from tunewise.contenders.answering import PromptStrategy
from tunewise.errors import UserError
from tunewise.exporting.bundle import CARD, copy_bundle
from tunewise.exporting.model_card import model_card
from tunewise.exporting.prompt_folder import PROMPT_FILE
from tunewise.exporting.source import COMPARED, Source
from tunewise.models.engines.openai import OFFICIAL, api_turns
from tunewise.runs.exported import EngineParity
from tunewise.runs.model_names import base_id
from tunewise.storage import write_json, write_text
from tunewise.types import Input, Message

PROGRAM = "ask.py"
SERVED = "http://127.0.0.1:8642/v1"
"""Where `tunewise serve` listens, which serves bases that run on this machine."""
_PROBE = "\N{OBJECT REPLACEMENT CHARACTER}input\N{OBJECT REPLACEMENT CHARACTER}"
_SENT = """
import importlib.util, json, sys
spec = importlib.util.spec_from_file_location("ask", sys.argv[1])
ask = importlib.util.module_from_spec(spec)
spec.loader.exec_module(ask)
json.dump([ask.messages(turns) for turns in json.load(sys.stdin)], sys.stdout)
"""


def write_prompt(source: Source, folder: Path) -> None:
    """Fills a folder with the contender itself, as a model with a name is kept, and beside that
    prompt.json and ask.py.

    Raises:
        UserError: the source trains something, or asks no language model.
    """
    if source.adapter is not None:
        raise UserError(
            f"{source.named}: {source.contender} is a trained model, of which a prompt is no copy. "
            "Use --to gguf, merged, adapter or ollama."
        )
    strategy = strategy_of(source)
    if source.bundle is None:
        raise ValueError(f"{source.named} is an adapter alone")
    model = copy_bundle(source.bundle, folder).model
    write_text(folder / CARD, model_card(model, source.contender))
    endpoint, base = model.endpoint, model.base
    base_url = endpoint.base_url if endpoint else SERVED
    about = {
        "contender": source.contender,
        "model": endpoint.model if endpoint else base_id(base.name if base else ""),
        "base_url": base_url,
        "key_variable": (endpoint and endpoint.api_key_env) or "OPENAI_API_KEY",
        "limit": "max_completion_tokens" if base_url == OFFICIAL else "max_tokens",
        "tokens": strategy.max_tokens,
    }
    if _is_fixed(source):
        write_json(folder / PROMPT_FILE, {**about, **_parts(strategy)})
        program = _program("ask_plain.txt")
    else:
        write_json(folder / PROMPT_FILE, about)
        extra = "[dense]" if model.embedder else ""
        why = (
            "looks up what the prompt holds"
            if source.looks_up
            else "reads the answer that the model marks"
        )
        program = _program("ask_looked_up.txt").replace("EXTRA", why)
        program = program.replace("`tunewise`", f"`tunewise{extra}`")
    (folder / PROGRAM).write_text(program, "utf-8")


def compare_prompts(source: Source, folder: Path) -> EngineParity:
    """What ask.py would send for held-out conversations, in a process of its own, beside what the
    contender sends.

    Raises:
        UserError: ask.py does not run.
    """
    rows = source.held_out.rows[:COMPARED]
    wanted = [api_turns(p.messages) for p in strategy_of(source).prompts([r.input for r in rows])]
    done = subprocess.run(  # noqa: S603 - our own interpreter, arguments as a list
        [sys.executable, "-B", "-c", _SENT, str(folder / PROGRAM)],
        input=json.dumps([api_turns(row.messages) for row in rows]),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise UserError(f"{source.named}: the program that was exported does not run: {last}")
    sent = cast("list[Any]", json.loads(done.stdout))
    differ = tuple(
        row.id
        for row, one, other in zip(rows, wanted, sent, strict=True)
        if _without_ids(one) != _without_ids(other)
    )
    faults = (f"ask.py: {len(differ)} of {len(rows)} prompts are not the contender's",)
    return EngineParity(
        engine="script", rendered=len(rows), prompts_differ=differ, faults=faults if differ else ()
    )


def strategy_of(source: Source) -> PromptStrategy:
    """How the source is asked.

    Raises:
        UserError: it asks no language model.
    """
    if source.strategy is None:
        raise UserError(
            f"{source.named}: {source.contender} needs no language model, so that there is neither "
            "a prompt nor a model to export. `tunewise serve` answers with it."
        )
    return source.strategy


def _is_fixed(source: Source) -> bool:
    settings = source.settings
    found = "chunk_words" in settings or settings.get("selection") == "nearest"
    return not found and not settings.get("marked") and settings.get("variant") != "step by step"


def _parts(strategy: PromptStrategy) -> dict[str, object]:
    """What stands around every input: found with an input that is none."""
    (prompt,) = strategy.prompts([Input(id="", messages=(Message(role="user", content=_PROBE),))])
    first, *rest = prompt.messages
    system = first.content if first.role == "system" else ""
    turns = rest if first.role == "system" else list(prompt.messages)
    before, _, after = turns[-1].content.partition(_PROBE)
    return {
        "system": system,
        "before": before.removesuffix("\n\n"),
        "after": after.removeprefix("\n\n"),
        "examples": list(api_turns(turns[:-1])),
    }


def _program(name: str) -> str:
    return (files("tunewise.exporting") / name).read_text("utf-8")


def _without_ids(turns: Sequence[Any]) -> str:
    """A conversation without the ids of calls, which are numbered in each by itself."""
    plain = json.loads(json.dumps(turns))
    for turn in plain:
        turn.pop("tool_call_id", None)
        for call in turn.get("tool_calls") or ():
            call.pop("id")
    return json.dumps(plain, sort_keys=True)
