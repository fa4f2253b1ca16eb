"""Test rows that train, dev or a document hold take no part in a decision."""

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from command_line import tunewise
from decide_projects import (
    Json,
    decide,
    labelled,
    opened,
    read_json,
    read_jsonl,
    right_when,
    scripted,
    write_jsonl,
)
from tunewise.data.prepare import prepare
from tunewise.errors import UserError
from tunewise.pipelines.check import run_check
from tunewise.pipelines.dry_run import dry_run
from tunewise.pipelines.reading import read_all
from tunewise.progress import Silent
from tunewise.project.load import load_project
from tunewise.report.terminal import render_verdict
from tunewise.runs.read import read_run

TOML = """
[task]
instruction = "Which label?"
kind = "classification"
[data]
train = "train.jsonl"
dev = "dev.jsonl"
test = "test.jsonl"
[training]
seeds = 1
[contenders]
use = ["constant", "zero_shot"]
"""
HELD = {"train": 12, "dev": 1}


def own_split(folder: Path, *, clean: int = 60) -> Path:
    """Of the test rows, 12 stand in train as well (4 of them but for case) and 1 in dev."""
    rows = labelled(400)
    again = [{**row, "text": row["text"].upper()} for row in rows[8:12]]
    write_jsonl(folder / "train.jsonl", rows[:200])
    write_jsonl(folder / "dev.jsonl", rows[200:240])
    write_jsonl(folder / "test.jsonl", [*rows[:8], *again, rows[230], *rows[300 : 300 + clean]])
    (folder / "tunewise.toml").write_text(TOML)
    return folder


def decided(folder: Path) -> Path:
    """Its run, with a model that is right on 6 of 10 rows."""
    return decide(folder, opener=opened(scripted(right_when(lambda request: 0.6))))


def first_screen(run: Path) -> str:
    """What stands above the first table of the report."""
    return (run / "report.html").read_text().split("<table")[0]


def on_the_terminal(run: Path) -> str:
    console = Console(file=io.StringIO(), width=120, force_terminal=False)
    render_verdict(read_run(run), console)
    assert isinstance(console.file, io.StringIO)
    return " ".join(console.file.getvalue().split())


def test_rows_that_stand_in_train_take_no_part_and_are_counted(tmp_path: Path) -> None:
    run = decided(own_split(tmp_path))
    verdict = read_json(run / "verdict.json")
    assert verdict["n_test"] == verdict["splits"]["test"] == 60
    assert verdict["splits"]["leaked"] == HELD
    assert "13 test examples" in verdict["reason"]
    assert any(note.startswith("13 rows are left out of test") for note in verdict["notes"])
    asked = {row["example_id"] for row in read_jsonl(run / "answers.jsonl")}
    assert asked == set(read_json(run / "splits.json")["test"])
    assert len(read_jsonl(run / "test.jsonl")) == 60
    (use,) = read_jsonl(tmp_path / "runs" / "test-uses.jsonl")
    assert len(use["rows"]) == 60


def test_the_first_screen_and_the_terminal_name_the_count(tmp_path: Path) -> None:
    run = decided(own_split(tmp_path))
    assert "13 test examples that stand in train, dev or the documents" in first_screen(run)
    assert "13 test examples that stand in train, dev or the documents" in on_the_terminal(run)


def test_the_run_keeps_which_rows_were_left_out(tmp_path: Path) -> None:
    run = decided(own_split(tmp_path))
    kept = read_json(run / "splits.json")
    splits = prepare(load_project(tmp_path)).splits
    for held, count in HELD.items():
        assert kept[f"leaked_{held}"] == [row.id for row in splits.leaked[held]]
        assert len(kept["contents"][f"leaked_{held}"]) == count
    assert not {*kept["leaked_train"], *kept["leaked_dev"]} & set(kept["test"])


def test_the_verdict_is_that_of_a_test_without_them(tmp_path: Path) -> None:
    (tmp_path / "leaky").mkdir()
    (tmp_path / "clean").mkdir()
    leaky, clean = own_split(tmp_path / "leaky"), own_split(tmp_path / "clean")
    rows = read_jsonl(clean / "test.jsonl")
    write_jsonl(clean / "test.jsonl", rows[13:])
    one, other = (read_json(decided(folder) / "verdict.json") for folder in (leaky, clean))
    assert one["outcome"] == other["outcome"]
    qualities = [[c["quality"] for c in verdict["contenders"]] for verdict in (one, other)]
    assert qualities[0] == qualities[1]
    assert "leaked" not in other["splits"] or other["splits"]["leaked"] == {}
    assert "no part" not in other["reason"]


def test_what_is_left_out_is_told_before_anything_runs(tmp_path: Path) -> None:
    project = load_project(own_split(tmp_path))
    planned = dry_run(project)
    assert planned.facts["test"] == 60
    assert planned.facts["leaked"] == HELD
    assert any("12 in train, 1 in dev" in line for line in planned.lines())
    checked = run_check(project, source=str(tmp_path), progress=Silent())
    assert (checked.outlook.sides["test"], checked.leak_kinds.total()) == (60, 13)
    assert "12 are in train too, 1 is in dev too." in checked.outlook.sentence


def test_too_few_that_are_left_stop_the_run_with_how_many_leaked(tmp_path: Path) -> None:
    project = own_split(tmp_path, clean=3)
    with pytest.raises(UserError, match=r"test holds 3 rows.* 13 more were left out of it: 12 are"):
        decided(project)
    assert not (tmp_path / "runs").exists()


def test_a_copy_without_them_in_train_tests_on_them_again(tmp_path: Path) -> None:
    project = own_split(tmp_path)
    done = tunewise("check", project, "--fix", tmp_path / "mended")
    assert done.code == 0, done.err
    lines = [f'{part} = "mended/{part}.jsonl"' for part in ("train", "dev", "test")]
    toml = TOML
    for part, line in zip(("train", "dev", "test"), lines, strict=True):
        toml = toml.replace(f'{part} = "{part}.jsonl"', line)
    (tmp_path / "tunewise.toml").write_text(toml)
    splits = prepare(load_project(project)).splits
    assert (len(splits.test), splits.leaked) == (73, {})


# --- documents -----------------------------------------------------------------------------------

QA = """
[task]
instruction = "Answer from the guide."
kind = "qa"
metric = "token_f1"
[data]
examples = "examples.jsonl"
documents = "guide.md"
"""


def questions(count: int) -> list[Json]:
    return [
        {"question": f"How long does part {n} of the machine last?", "answer": f"{n + 3} years"}
        for n in range(count)
    ]


def with_guide(folder: Path, held: int, use: str = "") -> Path:
    """A guide that answers every question, and holds the first ones word for word."""
    rows = questions(200)
    write_jsonl(folder / "examples.jsonl", rows)
    specs = [f"Part {n} is good for {n + 3} years." for n in range(200)]
    faq = [f"**{row['question']}**\n{row['answer']}." for row in rows[:held]]
    (folder / "guide.md").write_text("\n\n".join(["# Guide", *specs, "## Questions", *faq]))
    (folder / "tunewise.toml").write_text(QA + use)
    return folder


@pytest.mark.parametrize("held", [0, 90])
def test_test_rows_that_a_document_holds_with_their_answers_are_left_out(
    tmp_path: Path, held: int
) -> None:
    project = load_project(with_guide(tmp_path, held))
    prepared = read_all(project, asked=None).prepared
    on_test_side = {
        row.input.text
        for row in (*prepared.splits.test, *prepared.splits.leaked.get("documents", ()))
    }
    expected = on_test_side & {row["question"] for row in questions(200)[:held]}
    left_out = {row.input.text for row in prepared.splits.leaked.get("documents", ())}
    assert left_out == expected
    assert bool(expected) == bool(held)
    assert prepared.report.counts.get("document_leak", 0) == len(expected)
    whole = prepare(project).splits
    assert (prepared.splits.train, prepared.splits.dev) == (whole.train, whole.dev)
    checked = run_check(project, source=str(tmp_path), progress=Silent())
    assert checked.report.counts.get("document_leak", 0) == len(expected)


def test_documents_that_nobody_reads_give_nothing_away(tmp_path: Path) -> None:
    use = '[contenders]\nuse = ["constant", "zero_shot"]\n'
    project = load_project(with_guide(tmp_path, 90, use))
    assert read_all(project, asked=None).prepared.splits.leaked == {}
    checked = run_check(project, source=str(tmp_path), progress=Silent())
    assert "document_leak" not in checked.report.counts


def test_a_run_counts_what_the_documents_hold(tmp_path: Path) -> None:
    use = '[contenders]\nuse = ["constant", "rag"]\n'
    folder = with_guide(tmp_path, 90, use)
    run = decide(folder, opener=opened(scripted(lambda request: "4 years")))
    verdict = read_json(run / "verdict.json")
    (count,) = verdict["splits"]["leaked"].values()
    assert list(verdict["splits"]["leaked"]) == ["documents"]
    assert f"{count} test examples that stand in train, dev or the documents" in verdict["reason"]
    assert any("stand in a document with their answers" in note for note in verdict["notes"])
    assert json.loads((run / "splits.json").read_text())["leaked_documents"]
