"""Times `tunewise decide` against the usual stack on the same demo, and prints Markdown tables.

Four arms, one after the other, each a process of its own: Tunewise on a fresh copy of a project;
the same with every contender asked to the end (`contenders.finish`); TRL with its defaults and
batched `generate`; TRL with the documented settings for speed.
What the arms do and why it is the same work: benchmarks/README.md. Results: benchmarks/RESULTS.md.
"""

import argparse
import json
import os
import platform
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from datetime import datetime
from importlib import metadata
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
ARMS = {
    "tunewise": "tunewise decide",
    "tunewise_finish": "tunewise decide, every contender to the end",
    "trl_default": "TRL defaults + generate",
    "trl_best": "TRL best documented + generate",
}
STAGES = ("searches", "fine-tune", "test", "latency")
QUIET_LOAD = 0.5
"""Runnable processes at the start; above it, other work shares the processors."""
PACKAGES = ("tunewise", "torch", "transformers", "trl", "peft", "openvino-genai")


def main() -> None:
    """Runs the arms that are asked for and prints the tables of all that lie in --out."""
    given = arguments()
    out: Path = given.out
    task = {"project": given.project.name, "overrides": overrides(given)}
    if "tunewise" in given.arms:
        if out.exists() and any(out.iterdir()):
            sys.exit(f"{out} is not empty. Name another folder with --out, or leave tunewise out.")
        out.mkdir(parents=True, exist_ok=True)
        (out / "task.json").write_text(json.dumps(task), "utf-8")
    elif not (out / "task.json").is_file():
        sys.exit(f"{out} holds no finished Tunewise arm. Run that first, with the same --out.")
    elif json.loads((out / "task.json").read_text("utf-8")) != task:
        sys.exit(f"{out} was made with other settings. Give the same ones, or run all arms anew.")
    for arm in (arm for arm in ARMS if arm in given.arms):
        ours = arm.startswith("tunewise")
        result = tunewise(arm, given, out) if ours else usual_stack(arm, out)
        (out / f"{arm}.json").write_text(json.dumps(result, indent=1), "utf-8")
    results = {
        arm: json.loads((out / f"{arm}.json").read_text("utf-8"))
        for arm in ARMS
        if (out / f"{arm}.json").is_file()
    }
    text = markdown(results, task)
    (out / "tables.md").write_text(text, "utf-8")
    print(text)


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--project", type=Path, default=ROOT / "examples" / "support_triage")
    parser.add_argument("--arms", default=",".join(ARMS), help="names, separated by commas")
    parser.add_argument("--limit", type=int, help="examples used at most")
    parser.add_argument("--seeds", type=int, help="trainings of the fine-tune")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    stamp = datetime.now().strftime("%Y%m%d-%H%M%S")
    parser.add_argument("--out", type=Path, default=ROOT / "build" / f"peers-{stamp}")
    given = parser.parse_args()
    given.arms = [arm.strip() for arm in given.arms.split(",")]
    given.out = given.out.resolve()
    if unknown := set(given.arms) - set(ARMS):
        parser.error(f"no arm {', '.join(sorted(unknown))}; there are {', '.join(ARMS)}")
    return given


def overrides(given: argparse.Namespace) -> list[str]:
    """The settings that both sides run with, as `key=value`.

    What `decide` measures beside quality, tokens and latency is left out: the others have nothing
    like it.
    """
    named = {"contenders.limit": given.limit, "training.seeds": given.seeds}
    limits = (f"{key}={value}" for key, value in named.items() if value)
    return ["decision.measure=[]", *limits, *given.set]


def tunewise(arm: str, given: argparse.Namespace, out: Path) -> dict[str, Any]:
    """The first arms: `tunewise decide` on a copy of the project, with an empty model cache."""
    place = out if arm == "tunewise" else out / arm
    project, run = place / "project", place / "run"
    shutil.copytree(given.project, project, ignore=shutil.ignore_patterns("runs"))
    command = [sys.executable, "-m", "tunewise", "decide", str(project), "--out", str(run)]
    settings = [*overrides(given), *(["contenders.finish=true"] if place != out else [])]
    for setting in settings:
        command += ["--set", setting]
    measured = measure(arm, command, out, cache=place / "cache")
    verdict = json.loads((run / "verdict.json").read_text("utf-8"))
    fits = {c["name"]: c["fit"] for c in verdict["contenders"] if "fit" in c}
    opened = next(
        datetime.fromisoformat(event["time"]).timestamp()
        for event in map(json.loads, (run / "events.jsonl").read_text("utf-8").splitlines())
        if event["event"] == "test opened"
    )
    answered = (run / "answers.jsonl").stat().st_mtime
    decided = (run / "verdict.json").stat().st_mtime
    tune = fits.get("fine_tune", {})
    journal = (run / "fit-answers.jsonl").read_text("utf-8").splitlines()
    usages = [json.loads(line)["result"].get("usage", {}) for line in journal]
    return {
        **measured,
        "verdict": verdict["reason"],
        "n_test": verdict["n_test"],
        "stages": {
            "searches": sum(f["seconds"] for n, f in fits.items() if n != "fine_tune"),
            "fine-tune": tune.get("seconds", 0.0),
            "test": answered - opened,
            "latency": decided - answered,
        },
        "quality": {c["name"]: c["by_seed"] for c in verdict["contenders"] if "by_seed" in c},
        "latency_ms": {
            c["name"]: c["latency_ms"]["p50"] for c in verdict["contenders"] if "latency_ms" in c
        },
        "asked": {
            "requests": len(usages),
            "prompt_tokens": sum(u.get("prompt_tokens", 0) for u in usages),
            "completion_tokens": sum(u.get("completion_tokens", 0) for u in usages),
        },
        "tune": {"epochs_trained": epochs_trained(tune)} if tune else {},
    }


def epochs_trained(fit: Mapping[str, Any]) -> int:
    """Epochs that Tunewise's fine-tune trained: every trial to its last point, then the seeds."""
    last: dict[float, int] = {}
    for trial in fit["trials"]:
        rate = float(trial["learning_rate"])
        last[rate] = max(last.get(rate, 0), int(trial["epochs"]))
    settings = fit["settings"]
    return sum(last.values()) + (int(settings["seeds"]) - 1) * int(settings["epochs"])


def usual_stack(arm: str, out: Path) -> dict[str, Any]:
    """The second and third arm, in a process of its own; the third asks the probe first."""
    script = [sys.executable, str(ROOT / "benchmarks" / "usual_stack.py")]
    where = ["--run", str(out / "run"), "--out"]
    formats: list[str] = []
    note = ""
    if arm == "trl_best":
        measure("probe", [*script, "probe", *where, str(out / "probe")], out)
        found = json.loads((out / "probe" / "found.json").read_text("utf-8"))
        formats = ["--training", found["training"], "--answering", found["answering"]]
        note = (
            f"trl_best trains in {found['training']} and answers in {found['answering']}, "
            f"the faster here ({found['detail']}; not counted)."
        )
    measured = measure(arm, [*script, arm, *where, str(out / arm), *formats], out)
    found = json.loads((out / arm / "found.json").read_text("utf-8"))
    return {**measured, **found, "note": note}


def measure(
    name: str, command: Sequence[str], out: Path, *, cache: Path | None = None
) -> dict[str, float]:
    """Runs a command to its end, its output in a log file.

    Args:
        name: of the log file.
        command: what runs.
        out: folder of the log.
        cache: of the models that Tunewise converts; None: the one that the first arm filled.

    Returns:
        `seconds` (wall), `cpu_seconds` (user and system, children included), `peak_mib` (resident
        memory of its largest process) and `load` (of the machine when it started, one minute).
    """
    load = os.getloadavg()[0]
    if load > QUIET_LOAD:
        print(
            f"{name}: the machine's load is {load:.1f}: other work is running, and wall times will "
            "be too long.",
            file=sys.stderr,
        )
    print(f"{name}: running, output in {out / f'{name}.log'}", file=sys.stderr)
    environment = os.environ | {
        "TUNEWISE_CACHE": str(cache or out / "cache"),  # the same base model for all
        "CUDA_VISIBLE_DEVICES": "",  # a comparison on the CPU
        "HF_HUB_OFFLINE": "1",
    }
    with (out / f"{name}.log").open("wb") as log:
        began = time.perf_counter()
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.perf_counter() - began
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        tail = (out / f"{name}.log").read_text("utf-8", "replace")[-3000:]
        sys.exit(f"{tail}\n{name} ended with exit code {process.returncode}.")
    print(f"{name}: {seconds:.0f} s", file=sys.stderr)
    return {
        "seconds": seconds,
        "cpu_seconds": usage.ru_utime + usage.ru_stime,
        "peak_mib": usage.ru_maxrss / 1024,
        "load": load,
    }


def markdown(results: Mapping[str, Mapping[str, Any]], task: Mapping[str, Any]) -> str:
    """All tables, for benchmarks/RESULTS.md and docs/results.md."""
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in PACKAGES)
    settings = f" with {', '.join(task['overrides'])}" if task["overrides"] else ""
    lines = [
        f"`{task['project']}`{settings}, {results['tunewise']['n_test']} test rows, "
        f"{os.cpu_count()} processors ({processor()}), {versions}.",
        "Machine load matters: read wall times only where the load at the start is near 0.",
        "",
        *times(results),
        "",
        *where_time_goes(results),
        "",
        *qualities(results),
        "",
        f"Tunewise's verdict: {results['tunewise']['verdict']}",
    ]
    lines += [result["note"] for result in results.values() if result.get("note")]
    return "\n".join(lines) + "\n"


def times(results: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Wall, processor time, memory and the amount of work."""
    ours = [
        results[a]["seconds"] if a in results else None for a in ("tunewise", "tunewise_finish")
    ]
    rows = [
        [
            ARMS[arm],
            f"{result['seconds']:.0f}",
            *(f"{result['seconds'] / one:.2f}" if one else "—" for one in ours),
            f"{result['cpu_seconds']:.0f}",
            f"{result['peak_mib']:.0f}",
            str(result["tune"].get("epochs_trained", 0)),
            f"{result['asked']['requests']:,}",
            f"{result['asked']['prompt_tokens']:,}",
            f"{result['asked']['completion_tokens']:,}",
            f"{result['load']:.1f}",
        ]
        for arm, result in results.items()
    ]
    head = ["arm", "wall s", "times Tunewise", "times Tunewise to the end", "CPU s", "peak MiB"]
    more = ["epochs", "requests", "prompt tokens", "answer tokens", "load at start"]
    return table([*head, *more], rows)


def where_time_goes(results: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Wall seconds of each stage; what is left is loading (and, for Tunewise, the report)."""
    rows = [
        [
            ARMS[arm],
            *(f"{result['stages'][stage]:.0f}" for stage in STAGES),
            f"{result['seconds'] - sum(result['stages'].values()):.0f}",
        ]
        for arm, result in results.items()
    ]
    names = ["choosing prompts on dev", "fine-tune with its dev answers", "test", "latency"]
    return table(["wall s", *names, "loading, report"], rows)


def qualities(results: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Test quality of each contender (mean over seeds) and its median latency."""
    names = list(dict.fromkeys(name for one in results.values() for name in one["quality"]))
    rows = [
        [
            ARMS[arm],
            *(
                f"{statistics.fmean(result['quality'][name].values()):.3f}"
                f" ({result['latency_ms'][name]:.0f} ms)"
                if name in result["quality"]
                else "—"
                for name in names
            ),
        ]
        for arm, result in results.items()
    ]
    return table(["test quality (latency, median)", *names], rows)


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """A Markdown table; all columns but the first are numbers."""
    rule = "|" + "|".join(["---", *["---:"] * (len(head) - 1)]) + "|"
    return [f"| {' | '.join(head)} |", rule, *(f"| {' | '.join(row)} |" for row in rows)]


def processor() -> str:
    """The processor's name, where the system tells."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text("utf-8").splitlines() if info.is_file() else []
    named = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(named, platform.machine())


if __name__ == "__main__":
    main()
