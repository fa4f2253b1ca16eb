"""Projects for `tunewise decide` that need no real model, and the contract of verdict.json."""

import json
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tunewise.models.catalog import LocalModel
from tunewise.models.engines.open import EngineOpener, Opened, open_engine
from tunewise.models.engines.protocol import Engine, Request
from tunewise.models.engines.scripted import ScriptedEngine
from tunewise.progress import Silent
from tunewise.project.load import load_project
from tunewise.types import Failure

LABELS = ("refund", "delivery", "other")

Json = dict[str, Any]


def labelled(count: int) -> list[Json]:
    """Messages whose label is not in their words: a model must be told, or say it by number."""
    return [{"text": f"message {n}", "label": LABELS[n * 7 % 3]} for n in range(count)]


def write_project(folder: Path, rows: Sequence[Json], more: str = "") -> Path:
    """A project folder with these rows."""
    folder.mkdir(parents=True, exist_ok=True)
    write_jsonl(folder / "examples.jsonl", rows)
    (folder / "tunewise.toml").write_text(
        '[task]\ninstruction = "Which label?"\n[data]\nexamples = "examples.jsonl"\n' + more
    )
    return folder


def number_of(request: Request) -> int:
    """The number of the message that a request asks about: the last one in it."""
    return int(re.findall(r"\d+", request.messages[-1].content)[-1])


def target_of(request: Request) -> str:
    """The right answer to the message a request ends with."""
    return LABELS[number_of(request) * 7 % 3]


def right_when(
    share: Callable[[Request], float],
) -> Callable[[Request], str | Failure]:
    """A model that answers a share of the messages right, always the same ones."""

    def script(request: Request) -> str:
        right = (number_of(request) * 37) % 100 < 100 * share(request)
        return target_of(request) if right else "nonsense"

    return script


def tuned_well(request: Request) -> float:
    """Nearly all right with an adapter, few without."""
    return 0.97 if request.adapter else 0.3


def opened(engine: Engine, model: LocalModel | None = None) -> EngineOpener:
    """An opener that has this engine (and model), whatever the project asks for."""
    return lambda settings, *, progress: Opened(engine=engine, model=model, why="given")


def scripted(script: Callable[[Request], str | Failure]) -> ScriptedEngine:
    return ScriptedEngine(script)


def decide(
    project: Path,
    *overrides: str,
    out: Path | None = None,
    resume: bool = False,
    opener: EngineOpener = open_engine,
) -> Path:
    """Runs it, silently."""
    from tunewise.pipelines.decide import run_decide

    return run_decide(
        load_project(project, overrides),
        progress=Silent(),
        out=out,
        resume=resume,
        opener=opener,
    )


def read_json(file: Path) -> Json:
    return json.loads(file.read_text(encoding="utf-8"))


def write_jsonl(file: Path, rows: Sequence[Json]) -> None:
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))


def read_jsonl(file: Path) -> list[Json]:
    return [json.loads(line) for line in file.read_text(encoding="utf-8").split("\n") if line]


def by_name(verdict: Json) -> dict[str, Json]:
    return {one["name"]: one for one in verdict["contenders"]}


def essence(verdict: Json) -> Json:
    """What must not depend on whether a run was interrupted: no times, no cached tokens."""
    return {
        "outcome": verdict["outcome"],
        "recommended": verdict["recommended"],
        "reason": verdict["reason"],
        "rule": verdict["rule"],
        "comparisons": verdict["comparisons"],
        "examples_needed": verdict["examples_needed"],
        "test_set_uses": verdict["test_set_uses"],
        "plan": verdict["plan"],
        "contenders": {
            name: {
                key: one.get(key)
                for key in ("quality", "by_seed", "seeds", "errors", "secondary", "dev", "skipped")
            }
            | {
                "settings": (one.get("fit") or {}).get("settings"),
                "spent": (one.get("fit") or {}).get("tokens"),
                "trials": (one.get("fit") or {}).get("trials"),
                "tokens": {
                    key: (one.get("tokens") or {}).get(key) for key in ("prompt", "completion")
                },
            }
            for name, one in by_name(verdict).items()
        },
    }


def repeated_answers(run: Path) -> list[tuple[str, int, str]]:
    """(contender, seed, example) that stand more than once in answers.jsonl."""
    keys = [
        (row["contender"], row["seed"], row["example_id"])
        for row in read_jsonl(run / "answers.jsonl")
    ]
    return [key for n, key in enumerate(keys) if key in keys[:n]]


@contextmanager
def stopping(engine: ScriptedEngine, after: int) -> Iterator[None]:
    """Within it, the engine ends the process's work at its n-th request, as a kill would."""
    script = engine._script

    def _stop(request: Request) -> str | Failure:
        if len(engine.requests) > after:
            raise KeyboardInterrupt
        assert callable(script)
        return script(request)

    engine._script = _stop
    try:
        yield
    finally:
        engine._script = script


# --- the contract of verdict.json, design section 5 ----------------------------------------------

_NUMBER = (int, float)
_OPTIONAL_NUMBER = (int, float, type(None))


def contract_faults(verdict: Json) -> list[str]:
    """What in a verdict.json is not as design section 5 promises; empty when all is."""
    faults: list[str] = []
    _fields(
        "verdict",
        verdict,
        {
            "schema": int,
            "outcome": str,
            "recommended": (str, type(None)),
            "reason": str,
            "metric": str,
            "n_test": int,
            "test_set_uses": int,
            "contenders": list,
            "comparisons": list,
            "retention": dict,
            "economics": dict,
            "learning_curve": dict,
            "examples_needed": (int, type(None)),
        },
        faults,
    )
    if faults:
        return faults
    if verdict["schema"] != 1:
        faults.append("schema is not 1")
    names = [one.get("name") for one in verdict["contenders"]]
    if len(set(names)) != len(names):
        faults.append("a contender stands twice")
    ran = {one["name"] for one in verdict["contenders"] if "skipped" not in one}
    if verdict["outcome"] not in {"undecided", *ran}:
        faults.append(f"outcome {verdict['outcome']!r} did not run")
    if verdict["recommended"] not in {None, *ran}:
        faults.append(f"recommended {verdict['recommended']!r} did not run")
    for one in verdict["contenders"]:
        _contender(one, faults)
    for one in verdict["comparisons"]:
        _comparison(one, ran, faults)
    return faults


def _contender(one: Json, faults: list[str]) -> None:
    where = f"contender {one.get('name')}"
    if "skipped" in one:
        _fields(where, one, {"name": str, "skipped": str}, faults)
        if not str(one["skipped"]).strip():
            faults.append(f"{where}: skipped without a reason")
        return
    _fields(
        where,
        one,
        {
            "name": str,
            "quality": dict,
            "seeds": int,
            "errors": int,
            "tokens": dict,
            "latency_ms": dict,
            "cost": dict,
            "fit": dict,
        },
        faults,
    )
    parts: dict[str, dict[str, Any]] = {
        "quality": {"value": _NUMBER, "low": _OPTIONAL_NUMBER, "high": _OPTIONAL_NUMBER},
        "tokens": {"prompt": _NUMBER, "cached": _NUMBER, "completion": _NUMBER},
        "latency_ms": {"p50": _NUMBER, "p95": _NUMBER, "n": int},
        "fit": {"seconds": _NUMBER, "settings": dict},
    }
    for part, wanted in parts.items():
        _fields(f"{where}.{part}", one.get(part, {}), wanted, faults)
    if one.get("cost"):
        _fields(
            f"{where}.cost", one["cost"], {"per_1000_requests": _NUMBER, "currency": str}, faults
        )
    quality = one.get("quality", {})
    low, value, high = (quality.get(key) for key in ("low", "value", "high"))
    if (low is None) != (high is None):
        faults.append(f"{where}: one end of the interval is missing")
    if low is not None and not (0 <= low <= value <= high <= 1 and low < high):
        faults.append(f"{where}: {low}, {value}, {high} is no interval")


def _comparison(one: Json, ran: set[str], faults: list[str]) -> None:
    where = f"comparison {one.get('a')} with {one.get('b')}"
    numbers = dict.fromkeys(("delta", "low", "high", "p", "p_adjusted"), _NUMBER)
    _fields(where, one, {"a": str, "b": str, "method": str, **numbers}, faults)
    if not {one.get("a"), one.get("b")} <= ran:
        faults.append(f"{where}: one of them did not run")
    if not one.get("low", 0) < one.get("high", 0):
        faults.append(f"{where}: no interval")
    if not 0 <= one.get("p", -1) <= one.get("p_adjusted", -1) <= 1:
        faults.append(f"{where}: no p-values")


def _fields(
    where: str, values: Mapping[str, Any], wanted: Mapping[str, Any], faults: list[str]
) -> None:
    for key, kind in wanted.items():
        if key not in values:
            faults.append(f"{where}: {key} is missing")
            continue
        value = values[key]
        endless = isinstance(value, float) and not math.isfinite(value)
        if not isinstance(value, kind) or isinstance(value, bool) or endless:
            faults.append(f"{where}: {key} is {value!r}")
