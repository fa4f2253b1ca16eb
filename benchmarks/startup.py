"""How long light commands take, of this version and of an earlier one, in turn.

    python benchmarks/startup.py [REVISION] [--times 5]

Every command runs in a process of its own, now and before by turns, so that what else the machine
does hits both. Processor seconds tell more than the clock on a machine that is busy.
"""

import argparse
import json
import os
import platform
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

ROOT = Path(__file__).resolve().parents[1]
ROWS = 300
WORDS = {
    "billing": ["refund", "card", "invoice", "charged"],
    "delivery": ["parcel", "late", "courier", "address"],
    "return": ["size", "swap", "back", "colour"],
}
SECONDS = """
import sys
from tunewise.cli import main
sys.argv = ["tunewise", *sys.argv[1:]]
main()
"""


def write_rows(file: Path, rows: int) -> None:
    """Labelled messages, the same every time."""
    rng = random.Random(0)
    lines = [
        {"text": f"{' '.join(rng.choices(WORDS[label], k=4))}, order {n}", "label": label}
        for n, label in enumerate(rng.choices(list(WORDS), k=rows))
    ]
    file.write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")


def took(source: Path, words: list[str], folder: Path) -> tuple[float, float]:
    """Seconds on the wall and of the processor of one command, run from the code in `source`."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    began = time.perf_counter()
    subprocess.run(
        [sys.executable, "-c", SECONDS, *words],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(source)},
        capture_output=True,
        check=False,
    )
    wall = time.perf_counter() - began
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def chip() -> str:
    """The processor's name and the widest of its instructions, where Linux tells them."""
    table = Path("/proc/cpuinfo")
    if not table.is_file():
        return platform.processor()
    facts = dict(
        (part.strip() for part in line.split(":", 1))
        for line in table.read_text("ascii", errors="replace").splitlines()
        if ":" in line
    )
    flags = facts.get("flags", "").split()
    known = [flag for flag in ("avx2", "avx512f", "avx512_bf16", "amx_bf16") if flag in flags]
    return f"{facts.get('model name', '')} ({', '.join(known)}), {os.cpu_count()} cores"


def main() -> None:
    """Prints a table in Markdown."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("revision", nargs="?", help="a revision of git to compare with")
    parser.add_argument("--times", type=int, default=5)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        sources = {"now": ROOT / "src"}
        if given.revision:
            packed = subprocess.run(
                ["git", "-C", str(ROOT), "archive", given.revision, "src"],
                capture_output=True,
                check=True,
            )
            (folder / "before").mkdir()
            subprocess.run(
                ["tar", "-x", "-C", str(folder / "before")], input=packed.stdout, check=True
            )
            sources["before"] = folder / "before" / "src"
        write_rows(folder / "three.jsonl", 3)
        write_rows(folder / "rows.jsonl", ROWS)
        commands = {
            "--help": ["--help"],
            "check, no such file": ["check", "nowhere.jsonl"],
            "check, 3 rows": ["check", "three.jsonl"],
            f"check, {ROWS} rows": ["check", "rows.jsonl"],
            f"decide --dry-run, {ROWS} rows": ["decide", "rows.jsonl", "--dry-run"],
            "runs list": ["runs", "list"],
            "models list": ["models", "list"],
        }
        print(f"Medians of {given.times} runs in seconds, on {chip()}.\n")
        print("| command | processor, now | wall, now | processor, before | wall, before | ratio |")
        print("|---|---|---|---|---|---|")
        for title, words in commands.items():
            found: dict[str, list[tuple[float, float]]] = {one: [] for one in sources}
            for turn in range(given.times + 1):
                for one, source in sources.items():
                    seconds = took(source, words, folder)
                    if turn:  # the first reads files from the disk, and keeps what is kept
                        found[one].append(seconds)
            middle = {
                one: [median(column) for column in zip(*runs, strict=True)]
                for one, runs in found.items()
            }
            wall, processor = middle["now"]
            cells = [f"{processor:.2f}", f"{wall:.2f}", "", "", ""]
            if "before" in middle:
                old_wall, old_processor = middle["before"]
                ratio = f"{old_processor / processor:.1f}"
                cells[2:] = [f"{old_processor:.2f}", f"{old_wall:.2f}", ratio]
            print(f"| {title} | {' | '.join(cells)} |", flush=True)


if __name__ == "__main__":
    main()
