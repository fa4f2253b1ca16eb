"""Times `tunewise check` on generated chat rows with planted faults, and counts what it finds.

    python benchmarks/checking.py --sizes 10000 100000 1000000

Rows are written to build/checking/ (300 MB for a million), nine of ten to train, one to test. Each
size is checked by `tunewise check --json` in a process of its own; memory is the largest sum of
resident memory over it and its children, looked at ten times a second; processor time is that of
all of them, and says more where the machine is busy with other work. Then the rules are asked in
this process which rows they named, and held against what was planted; a twin of the data without
any fault gives the false alarms.
"""

import argparse
import itertools
import json
import random
import resource
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from tunewise.data.checks.duplicates import check_duplicates, check_near_duplicates
from tunewise.data.checks.findings import Found
from tunewise.data.checks.leaks import find_leaks
from tunewise.data.checks.scan import Scope
from tunewise.data.checks.survey import Survey, Surveyor
from tunewise.data.read import stream_examples
from tunewise.data.read_log import Reading
from tunewise.project.settings import Data

BUILD = Path("build/checking")
TOPICS = 24
WORDS = 30_000
SYLLABLES = [a + b for a in "bcdfghklmnprstvw" for b in ("a", "e", "i", "o", "u", "an", "er", "il")]


@dataclass
class Planted:
    """Lines (from 1) of planted rows: of test for leaks, of train for repetitions."""

    exact: set[int] = field(default_factory=set)
    normalised: set[int] = field(default_factory=set)
    passage: set[int] = field(default_factory=set)
    duplicate: set[int] = field(default_factory=set)
    near_duplicate: set[int] = field(default_factory=set)


class Writer:
    """Writes rows whose words depend on their topic, which is their answer."""

    def __init__(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        pick = random.Random(seed)
        words: dict[str, None] = {}
        while len(words) < WORDS:
            words["".join(pick.choices(SYLLABLES, k=pick.randint(1, 3)))] = None
        self._words = np.array(list(words))
        # Zipf's law, as in any language; each topic has its own order of a part of the words.
        shares = 1.0 / np.arange(10, WORDS + 10)
        self._shares = np.cumsum(shares / shares.sum())
        self._orders = [rng.permutation(WORDS) for _ in range(TOPICS)]
        self._rng = rng
        self._pick = pick
        self.labels = [f"topic {self._words[5000 + n]}" for n in range(TOPICS)]

    def rows(self, n: int) -> Iterator[tuple[list[str], str]]:
        """Words of the question and the answer."""
        for start in range(0, n, 10_000):
            size = min(10_000, n - start)
            lengths = self._rng.integers(18, 52, size)
            topics = self._rng.integers(0, TOPICS, size)
            ranks = np.searchsorted(self._shares, self._rng.random(int(lengths.sum())))
            own = self._rng.random(len(ranks)) < 0.3
            topic_of = np.repeat(topics, lengths)
            for topic in range(TOPICS):
                chosen = own & (topic_of == topic)
                ranks[chosen] = self._orders[topic][ranks[chosen] % 2_000]
            texts = np.split(self._words[ranks], np.cumsum(lengths)[:-1])
            for words, topic in zip(texts, topics, strict=True):
                yield words.tolist(), self.labels[topic]

    def changed(self, words: list[str]) -> list[str]:
        """With as many words exchanged as leave a similarity of 0.8."""
        kept = list(words)
        while True:
            trial = list(kept)
            trial[self._pick.randrange(len(trial))] = str(self._pick.choice(self._words))
            if similarity(words, trial) < 0.8:
                return kept
            kept = trial


def similarity(a: list[str], b: list[str]) -> float:
    """Jaccard similarity of words and pairs of words."""
    left, right = ({*words, *itertools.pairwise(words)} for words in (a, b))
    return len(left & right) / len(left | right)


def line(words: list[str], answer: str) -> str:
    """One chat row."""
    turns = [
        {"role": "user", "content": " ".join(words)},
        {"role": "assistant", "content": answer},
    ]
    return json.dumps({"messages": turns}) + "\n"


def write_data(folder: Path, n: int, *, faults: bool) -> Planted:
    """Writes train.jsonl, test.jsonl and tunewise.toml with n rows in all."""
    folder.mkdir(parents=True, exist_ok=True)
    writer, pick = Writer(seed=n + faults), random.Random(n)
    planted, of_each = Planted(), max(n // 1_000, 50) if faults else 0
    n_test = n // 10
    n_train = n - n_test
    sources: list[tuple[list[str], str]] = []
    repeats = sorted(pick.sample(range(n_train // 2, n_train), 2 * of_each))
    again = {row: k for k, row in enumerate(repeats)}
    with (folder / "train.jsonl").open("w") as file:
        for row, (words, answer) in enumerate(writer.rows(n_train)):
            if row < n_train // 2 and len(sources) < 5 * of_each and len(words) > 34:
                sources.append((words, answer))
            if row in again:
                words, answer = sources[again[row]]
                if again[row] % 2:
                    planted.duplicate.add(row + 1)
                else:
                    words = writer.changed(words)
                    planted.near_duplicate.add(row + 1)
            file.write(line(words, answer))
    leaks = pick.sample(range(n_test), 3 * of_each)
    of_test = {row: k for k, row in enumerate(leaks)}
    with (folder / "test.jsonl").open("w") as file:
        for row, (words, answer) in enumerate(writer.rows(n_test)):
            if row in of_test:
                place = of_test[row]
                copied, answer = sources[2 * of_each + place]
                if place % 3 == 0:
                    words = copied
                    planted.exact.add(row + 1)
                elif place % 3 == 1:
                    words = [word.upper() for word in copied]
                    words[0] = " " + words[0]
                    planted.normalised.add(row + 1)
                else:
                    words = words[:15] + copied[2:30] + words[15:]
                    planted.passage.add(row + 1)
            file.write(line(words, answer))
    (folder / "tunewise.toml").write_text('[data]\ntrain = "train.jsonl"\ntest = "test.jsonl"\n')
    return planted


@dataclass
class Timed:
    """What one process took."""

    seconds: float
    processor: float
    """Seconds of processor time, of the process and its children."""
    megabytes: float
    """The largest sum of resident memory over the process and its children."""
    document: dict[str, object]


def timed_check(folder: Path) -> Timed:
    """Runs `tunewise check --json`."""
    command = [sys.executable, "-m", "tunewise", "check", str(folder), "--json"]
    started, before = time.monotonic(), resource.getrusage(resource.RUSAGE_CHILDREN)
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    largest = 0.0
    out: list[str] = []
    while process.poll() is None:
        largest = max(largest, resident(process.pid))
        time.sleep(0.1)
    assert process.stdout is not None
    out.append(process.stdout.read())
    seconds = time.monotonic() - started
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    processor = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Timed(
        seconds=seconds, processor=processor, megabytes=largest, document=json.loads("".join(out))
    )


def resident(pid: int) -> float:
    """Megabytes of a process and all its children; 0 where it has ended."""
    try:
        pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
        children = [
            int(child)
            for task in Path(f"/proc/{pid}/task").iterdir()
            for child in (task / "children").read_text().split()
        ]
    except (OSError, ValueError):
        return 0.0
    return pages * 4096 / 1e6 + sum(resident(child) for child in children)


def surveyed(folder: Path) -> Survey:
    """The survey of the generated data, in this process and its workers."""
    with Surveyor(Scope()) as surveyor:
        for part in ("test", "train"):
            for row in stream_examples([folder / f"{part}.jsonl"], Data(), Reading()):
                surveyor.add(part, part, row.line, row.example)
        return surveyor.finish()


def named_rows(folder: Path) -> dict[str, set[int]]:
    """Rule -> lines that it names: of test for leaks, of train for repetitions."""
    survey, found = surveyed(folder), Found()
    named: dict[str, set[int]] = {}
    for leak in (leak for leak in find_leaks(survey) if leak.kind != "phrase"):
        named.setdefault(leak.kind, set()).add(int(survey.line[leak.test]))
    first = check_duplicates(survey, found)
    repeats = np.flatnonzero(first != np.arange(len(survey)))
    named["duplicate"] = {int(survey.line[row]) for row in repeats if survey.part[row] == 1}
    named["near_duplicate"] = {
        int(survey.line[row])
        for cluster in check_near_duplicates(survey, found)
        for row in cluster[1:]
        if survey.part[row] == 1
    }
    survey.kept.close()
    return named


def main() -> None:
    """Generates, times and counts."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 100_000, 1_000_000])
    parser.add_argument("--judge", type=int, default=100_000, help="largest size to judge rows of")
    options = parser.parse_args()
    print("| rows | MB | seconds | processor seconds | rows/s | peak MB | to the size before |")
    print("|---|---|---|---|---|---|---|")
    before: tuple[int, float] | None = None
    judged: list[tuple[int, Planted]] = []
    for size in options.sizes:
        folder = BUILD / f"{size}"
        planted = write_data(folder, size, faults=True)
        megabytes = sum(file.stat().st_size for file in folder.glob("*.jsonl")) / 1e6
        run = timed_check(folder)
        ratio = f"{run.processor / before[1]:.1f} times for {size / before[0]:g}" if before else ""
        print(
            f"| {size:,} | {megabytes:,.0f} | {run.seconds:.1f} | {run.processor:.1f} "
            f"| {size / run.seconds:,.0f} | {run.megabytes:,.0f} | {ratio} |",
            flush=True,
        )
        print(json.dumps(run.document.get("counts")), file=sys.stderr, flush=True)
        before = (size, run.processor)
        if size <= options.judge:
            judged.append((size, planted))
    for size, planted in judged:
        judge(size, planted)


def judge(size: int, planted: Planted) -> None:
    """Prints recall of what was planted, and false alarms on a clean twin."""
    named = named_rows(BUILD / f"{size}")
    expected = {
        "exact": planted.exact,
        "normalised": planted.normalised,
        "overlap": planted.passage,
        "duplicate": planted.duplicate,
        "near_duplicate": planted.near_duplicate,
    }
    print(f"\n{size:,} rows: planted, found, others named")
    for rule, rows in expected.items():
        found = named.get(rule, set())
        others = found - set().union(*expected.values())
        share = len(rows & found) / max(len(rows), 1)
        print(f"  {rule:15} {len(rows):6} {share:7.1%} {len(others):6}")
    twin = BUILD / f"{size}-clean"
    write_data(twin, size, faults=False)
    alarms = named_rows(twin)
    total = sum(map(len, alarms.values()))
    print(f"  clean twin: {total} rows named ({total / size:.3%}): {dict.fromkeys(alarms)}")


if __name__ == "__main__":
    main()
