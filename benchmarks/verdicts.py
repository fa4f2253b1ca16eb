"""Runs `tunewise decide` on examples and public data sets; prints each verdict as a Markdown table.

    python benchmarks/verdicts.py snips_json --data ../shared/data

The data sets are not part of this repository: `--data` names a folder with one folder a data set
(train.jsonl, test.jsonl, task.json). Projects are written to build/verdicts/, and runs lie there.
"""

import argparse
import json
import random
import shutil
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

from tunewise.project.examples import LEFT_OUT, example_folders

BUILD = Path("build/verdicts")
ROWS = 300
FEW = 20


def snips_json(data: Path) -> dict[str, Any]:
    """300 training rows, all test rows."""
    return project(data / "snips_json", kind="extraction", metric="json_fields")


def snips_shuffled(data: Path) -> dict[str, Any]:
    """The same rows, answers shuffled among rows within train and within test."""
    made = project(data / "snips_json", kind="extraction", metric="json_fields")
    rng = random.Random(0)
    for part in ("train", "test"):
        targets = [row["output"] for row in made[part]]
        rng.shuffle(targets)
        made[part] = [
            {**row, "output": target} for row, target in zip(made[part], targets, strict=True)
        ]
    return made


def snips_20(data: Path) -> dict[str, Any]:
    """20 rows in one file."""
    made = project(data / "snips_json", kind="extraction", metric="json_fields")
    return {"task": made["task"], "examples": made["train"][:FEW]}


def banking10(data: Path) -> dict[str, Any]:
    """The 10 labels with most test rows, 300 training rows of them."""
    source = data / "banking77"
    counts = Counter(row["output"] for row in rows(source / "test.jsonl"))
    labels = sorted(label for label, _ in counts.most_common(10))
    made = project(source, kind="classification", metric="accuracy", keep=set(labels))
    made["task"]["labels"] = labels
    return made


def contoso(data: Path) -> dict[str, Any]:
    """All rows and the 20 manuals, without the section that holds test questions word for word."""
    made = project(data / "contoso", kind="qa", metric="token_f1", limit=None)
    made["data"] = {"documents": str((data / "contoso" / "docs_nofaq").resolve())}
    return made


EXAMPLES = Path(__file__).resolve().parents[1] / "examples"
DESK = (file.parent for file in sorted(EXAMPLES.glob("eshop/projects/*/tunewise.toml")))
OWN = {folder.name: folder.resolve() for folder in (*example_folders(), *DESK)}
"""Projects of this repository."""
PROJECTS = {
    "snips_json": snips_json,
    "snips_shuffled": snips_shuffled,
    "snips_20": snips_20,
    "banking10": banking10,
    "contoso": contoso,
}


def rows(file: Path) -> list[dict[str, Any]]:
    """Rows of a chat file as input, output and document."""
    read = []
    for line in file.read_text("utf-8").splitlines():
        row = json.loads(line)
        *_, question, answer = row["messages"]
        document = row.get("meta", {}).get("doc")
        read.append(
            {"input": question["content"], "output": answer["content"]}
            | ({"document": document} if document else {})
        )
    return read


def project(
    source: Path, *, kind: str, metric: str, limit: int | None = ROWS, keep: set[str] | None = None
) -> dict[str, Any]:
    """Rows and [task] of a data set; training rows are a seeded sample."""
    train, test = rows(source / "train.jsonl"), rows(source / "test.jsonl")
    if keep is not None:
        train, test = ([row for row in part if row["output"] in keep] for part in (train, test))
    random.Random(0).shuffle(train)
    instruction = json.loads((source / "task.json").read_text("utf-8"))["instruction"]
    task = {"instruction": instruction, "kind": kind, "metric": metric}
    return {"train": train[:limit], "test": test, "task": task}


def write(name: str, data: Path) -> Path:
    """The project folder of a data set."""
    if name in OWN:  # with the others, whose documents it may search
        left = shutil.ignore_patterns(*LEFT_OUT)
        shutil.copytree(EXAMPLES, BUILD / "examples", dirs_exist_ok=True, ignore=left)
        return BUILD / "examples" / OWN[name].relative_to(EXAMPLES)
    folder = BUILD / name
    folder.mkdir(parents=True, exist_ok=True)
    made = PROJECTS[name](data)
    lines = ["[task]", *(f"{key} = {json.dumps(value)}" for key, value in made["task"].items())]
    lines.append("[data]")
    for part in ("examples", "train", "test"):
        if made.get(part):
            text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in made[part])
            (folder / f"{part}.jsonl").write_text(text, "utf-8")
            lines.append(f'{part} = "{part}.jsonl"')
    lines += [f"{key} = {json.dumps(value)}" for key, value in made.get("data", {}).items()]
    (folder / "tunewise.toml").write_text("\n".join(lines) + "\n", "utf-8")
    return folder


def table(verdict: dict[str, Any], seconds: float | None) -> str:
    """A verdict as Markdown."""
    took = f" Whole run: {seconds / 60:.1f} minutes." if seconds else ""
    out = [
        f"**{verdict['outcome']}** ({verdict['rule']}; {verdict['n_test']} test rows, "
        f"look {verdict['test_set_uses']}). {verdict['reason']}{took}",
        "",
        "| contender | quality (95%) | seeds | prompt tokens | answer tokens | p50 ms | fit s | "
        "tokens spent |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for one in verdict["contenders"]:
        if "skipped" in one:
            spent = sum(one["fit"]["tokens"].values()) if "stopped" in one else None
            why = one["skipped"] if spent is not None else f"skipped: {one['skipped']}"
            seconds_too = f"{one['fit']['seconds']:.0f} | {spent:,}" if spent is not None else " | "
            out.append(f"| {one['name']} | {why} | | | | | {seconds_too} |")
            continue
        quality, tokens = one["quality"], one["tokens"]
        interval = (
            f" ({quality['low']:.3f}–{quality['high']:.3f})" if quality["low"] is not None else ""
        )
        out.append(
            f"| {one['name']} | {quality['value']:.3f}{interval} | {one['seeds']} "
            f"| {tokens['prompt']:.0f} | {tokens['completion']:.0f} "
            f"| {one['latency_ms']['p50']:.0f} | {one['fit']['seconds']:.0f} "
            f"| {sum(one['fit']['tokens'].values()):,} |"
        )
    return "\n".join(out)


def main() -> None:
    """Prepares, runs, prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="+", choices=sorted([*PROJECTS, *OWN]))
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--set", action="append", default=[], dest="settings")
    args = parser.parse_args()
    for name in args.names:
        folder = write(name, args.data)
        settings = [part for setting in args.settings for part in ("--set", setting)]
        command = [sys.executable, "-m", "tunewise", "decide", str(folder), "--json", *settings]
        began = time.perf_counter()
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
        print(f"\n### {name}\n")
        print(f"`python benchmarks/verdicts.py {name} {' '.join(settings)}`\n")
        print(table(json.loads(done.stdout), time.perf_counter() - began), flush=True)


if __name__ == "__main__":
    main()
