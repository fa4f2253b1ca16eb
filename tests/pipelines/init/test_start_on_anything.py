"""Whatever lies in a folder, `init` writes a project that loads, or refuses in words."""

import json
import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from folders import chat, tickets, write_lines, write_table
from tunewise.errors import UserError
from tunewise.pipelines.init.start import start_project
from tunewise.project.load import load_project

NAMES = st.sampled_from(
    ["a.csv", "b.tsv", "c.json", "d.jsonl", "e.txt", "f.md", "g.html", "h.pdf", "i.parquet",
     "j.jsonl.gz", "prompt.txt", "README.md", "train.csv", "test.csv", "k.xlsx", "docs/l.txt"]
)  # fmt: skip
CELL = st.text(max_size=12).map(lambda text: text.replace("\r", " "))
TABLE = st.lists(st.lists(CELL, min_size=2, max_size=3), min_size=2, max_size=12).map(
    lambda rows: "\n".join(
        ",".join(f'"{cell.replace(chr(34), "")}"' for cell in row) for row in rows
    )
)
OBJECTS = st.lists(
    st.dictionaries(st.text(max_size=8), st.none() | st.integers() | st.text(max_size=12)),
    max_size=12,
)
CONTENT = st.one_of(
    st.binary(max_size=200),
    st.text(max_size=200).map(lambda text: text.encode("utf-8", "surrogatepass")),
    TABLE.map(lambda text: text.encode("utf-8", "surrogatepass")),
    OBJECTS.map(lambda rows: "\n".join(map(json.dumps, rows)).encode()),
)


def tried(folder: Path) -> bool:
    """Whether a project was written; it loads then, and nothing is written otherwise."""
    try:
        started = start_project(folder)
    except UserError:
        assert not (folder / "tunewise.toml").exists()
        return False
    assert load_project(folder) == started.project
    return True


@settings(max_examples=150, deadline=None)
@given(files=st.dictionaries(NAMES, CONTENT, max_size=5))
def test_any_files(files: dict[str, bytes]) -> None:
    with tempfile.TemporaryDirectory() as place:
        for name, content in files.items():
            path = Path(place) / name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(content)
        tried(Path(place))
        assert not [path for path in Path(place).iterdir() if path.name.startswith(".")]


@settings(max_examples=50, deadline=None)
@given(files=st.dictionaries(NAMES, CONTENT, max_size=4), table=st.booleans())
def test_any_files_beside_good_examples(files: dict[str, bytes], table: bool) -> None:
    with tempfile.TemporaryDirectory() as place:
        for name, content in files.items():
            path = Path(place) / name
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(content)
        if table:
            write_table(Path(place) / "good.csv", tickets())
        else:
            write_lines(Path(place) / "good.jsonl", chat())
        assert tried(Path(place))


@settings(max_examples=150, deadline=None)
@given(
    asked=st.text(min_size=1, max_size=20),
    answer=st.text(min_size=1, max_size=20),
    labels=st.lists(st.text(min_size=1, max_size=30), min_size=2, max_size=4),
    instruction=st.text(max_size=200),
)
def test_any_names_labels_and_instruction(
    asked: str, answer: str, labels: list[str], instruction: str
) -> None:
    rows = [
        {asked: f"a text of several words {n}", answer: labels[n % len(labels)]} for n in range(24)
    ]
    with tempfile.TemporaryDirectory() as place:
        write_lines(Path(place) / "rows.jsonl", rows)
        (Path(place) / "instruction.txt").write_text(instruction, "utf-8", "surrogatepass")
        tried(Path(place))
