"""Documents and questions whose words never meet: only meaning brings them together."""

import json
from pathlib import Path

from scripted_rows import row
from tunewise.contenders.race import Race
from tunewise.data.documents.read import read_documents
from tunewise.metrics.by_name import metric_named
from tunewise.retrieval.shelf import Shelf
from tunewise.types import Example

TOPICS = {
    "stove.md": ("gas", "rain"),
    "tent.md": ("wash", "light"),
    "mat.md": ("price", "boots"),
}
"""Document -> words that are asked for and do not stand in it."""
METRIC = metric_named("ndcg_at_10")


def write_documents(folder: Path) -> Path:
    """A document for each topic, which holds its own name alone."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in TOPICS:
        stem = name.removesuffix(".md")
        (folder / name).write_text(f"# {stem}\n\n{stem} {stem} {stem} warranty\n", "utf-8")
    return folder


def shelf(folder: Path) -> Shelf:
    return Shelf(read_documents(write_documents(folder)))


def questions(count: int, prefix: str = "q") -> list[Example]:
    """Questions in turn about each topic."""
    names = list(TOPICS)
    return [
        row(
            f"{prefix}{n}",
            f"{TOPICS[names[n % 3]][n // 3 % 2]} {prefix} {n}",
            names[n % 3],
        )
        for n in range(count)
    ]


def dev(count: int = 12) -> Race:
    examples = questions(count, "dev")
    return Race(examples, metric=METRIC, margin=0.05)


def write_search_project(folder: Path, *, rows: int = 90, more: str = "") -> Path:
    """A project of the kind `search`."""
    write_documents(folder / "docs")
    lines = [
        json.dumps({"id": one.id, "input": one.input.text, "output": one.target})
        for one in questions(rows)
    ]
    (folder / "rows.jsonl").write_text("\n".join(lines), "utf-8")
    (folder / "tunewise.toml").write_text(
        f"""[task]
instruction = "Find the document."
kind = "search"
[data]
examples = "rows.jsonl"
documents = "docs"
{more}""",
        "utf-8",
    )
    return folder
