"""Times training, answering and tests alone and beside one busy process; prints a Markdown table.

    .venv/bin/python benchmarks/company.py --data ../shared/data

The busy process is a single thread that never rests. Every pace is that of a process of its own;
alone and in company alternate, and medians over `--turns` are printed. The machine should do
nothing else: what it does takes a processor from both.
"""

import argparse
import contextlib
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any

from training import ROOT, base, ours, prepare, rows_of

WORKS = ("training", "fixed", "answering", "tests")
"""`fixed` is training with as many threads as processors, whatever else runs."""
TRAINING_STEPS = 14
FIXED_STEPS = 5
"""Fewer: beside other work a step takes ten times as long."""
ANSWERED_ROWS, ANSWER_TOKENS = 32, 48
TESTS = ("tests/training/test_packing.py", "tests/training/test_loop.py")


def main() -> None:
    """Measures every work in turn, or one of them where `--one` asks for it."""
    given = arguments()
    if given.one:
        print(json.dumps(PACES[given.one](given)))
        return
    paces: dict[str, dict[bool, list[float]]] = {w: {False: [], True: []} for w in given.work}
    with tempfile.TemporaryDirectory() as folder:
        prepare(Path(folder), given.data)
        for _ in range(given.turns):
            for work in given.work:
                for company in (False, True):
                    with busy_process() if company else contextlib.nullcontext():
                        pace = measured(work, Path(folder), given.data)
                    paces[work][company].append(pace)
                    said = f"{work}, {'in company' if company else 'alone'}: {pace:.3g}"
                    print(said, file=sys.stderr, flush=True)
    print(markdown(paces))


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--work", nargs="+", default=list(WORKS), choices=WORKS)
    parser.add_argument("--one", choices=WORKS, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    return parser.parse_args()


@contextlib.contextmanager
def busy_process() -> Generator[None]:
    """Within it a process of another session keeps one processor busy, as a browser tab may."""
    busy = subprocess.Popen([sys.executable, "-c", "while True: pass"], start_new_session=True)
    try:
        yield
    finally:
        busy.kill()
        busy.wait()


def measured(work: str, folder: Path, data: Path) -> float:
    """The pace of one work, as its own process says it."""
    command = [sys.executable, __file__, "--one", work]
    command += ["--folder", str(folder), "--data", str(data)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return float(json.loads(done.stdout.splitlines()[-1]))


def training(given: argparse.Namespace) -> float:
    """Tokens a second of the training loop on snips_json, after two steps of warm-up."""
    return _trained(given, TRAINING_STEPS)


def fixed(given: argparse.Namespace) -> float:
    """The same, with the number of threads that torch chose at the start."""
    from tunewise.training.threads import Threads

    class Fixed(Threads):
        def look(self) -> None:
            pass

    return _trained(given, FIXED_STEPS, threads=Fixed())


def _trained(given: argparse.Namespace, steps: int, **more: Any) -> float:
    examples = rows_of("snips_json", given.data)[: 8 * steps]
    return ours(examples, given.folder / "start", given.folder, **more)["tokens_per_second"]


def answering(given: argparse.Namespace) -> float:
    """Tokens a second, read and written, of one batch of answers, after one of warm-up."""
    from tunewise.models.engines.openvino import OpenVinoEngine
    from tunewise.models.engines.protocol import Request, Sampling
    from tunewise.types import Failure

    engine = OpenVinoEngine(base())
    asked = [
        Request(messages=example.messages, sampling=Sampling(max_tokens=ANSWER_TOKENS))
        for example in rows_of("snips_json", given.data)[:ANSWERED_ROWS]
    ]
    engine.generate(asked)
    began = time.perf_counter()
    answers = engine.generate(asked)
    seconds = time.perf_counter() - began
    usages = [answer.usage for answer in answers if not isinstance(answer, Failure)]
    engine.close()
    return sum(usage.prompt_tokens + usage.completion_tokens for usage in usages) / seconds


def tests(_: argparse.Namespace) -> float:
    """Runs an hour of some tests with two workers, as `make test` has them."""
    command = [sys.executable, "-m", "pytest", "-n", "2", "-m", "not slow and not gpu"]
    began = time.perf_counter()
    subprocess.run(
        [*command, "-p", "no:cacheprovider", *TESTS],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stdout=sys.stderr,
        check=True,
    )
    return 3600 / (time.perf_counter() - began)


PACES = {"training": training, "fixed": fixed, "answering": answering, "tests": tests}


def markdown(paces: dict[str, dict[bool, list[float]]]) -> str:
    """A line a work: medians over the turns, and what of the pace is kept in company."""
    what = {
        "training": "training, tokens/s",
        "fixed": "training with threads fixed, tokens/s",
        "answering": f"answering {ANSWERED_ROWS} at once, tokens/s",
        "tests": "tests, two workers, runs an hour",
    }
    lines = [f"{os.cpu_count()} processors ({chip()}), medians over the turns.", ""]
    lines += ["| work | alone | beside one busy process | kept |", "|---|---:|---:|---:|"]
    for work, by_company in paces.items():
        alone, company = (statistics.median(by_company[kind]) for kind in (False, True))
        lines.append(f"| {what[work]} | {alone:.0f} | {company:.0f} | {company / alone:.0%} |")
    return "\n".join(lines)


def chip() -> str:
    """The processor's name, and which of the instructions that matter here it has."""
    info = Path("/proc/cpuinfo")
    if not info.is_file():
        return platform.processor() or platform.machine()
    facts = info.read_text("utf-8")
    (name, flags) = (_first(facts, key) for key in ("model name", "flags"))
    known: Sequence[str] = ("avx2", "avx512f", "avx512_bf16", "amx_bf16")
    return ", ".join([name, *(flag for flag in known if flag in flags.split())])


def _first(facts: str, key: str) -> str:
    lines = (line.split(":", 1) for line in facts.splitlines() if ":" in line)
    return next((value.strip() for name, value in lines if name.strip() == key), "")


if __name__ == "__main__":
    main()
