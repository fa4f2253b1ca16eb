import io
import json
from pathlib import Path

from rich.console import Console

from tunewise.pipelines.init.show import render_started
from tunewise.pipelines.init.start import start_project


def shown(folder: Path) -> str:
    out = io.StringIO()
    render_started(start_project(folder), folder, Console(file=out, width=80))
    return out.getvalue()


def write_rows(path: Path, asked: str, answer: str, count: int = 30) -> None:
    rows = [
        {asked: f"What is the part {n} for?", answer: f"Part {n} holds {n}"} for n in range(count)
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))


def test_everything_found_is_listed_with_what_to_run_next(tmp_path: Path) -> None:
    folder = tmp_path / "my shop"
    folder.mkdir()
    write_rows(folder / "questions.jsonl", "question", "answer")
    write_rows(folder / "other.jsonl", "Enquiry", "Reply")
    (folder / "guide.md").write_text("# Guide\n\nPart 1 holds 1.\n")
    lines = [" ".join(line.split()) for line in shown(folder).splitlines()]
    assert lines[:3] == [
        "examples questions.jsonl",
        "rows 30, read as question -> answer",
        "task qa, judged by token_f1",
    ]
    assert "documents 1: guide.md" in lines
    assert "not used other.jsonl, read as Enquiry -> Reply" in lines
    assert lines[-5:] == [
        "Next:",
        f"tunewise check '{folder}'",
        f"tunewise decide '{folder}' --dry-run",
        f"tunewise decide '{folder}' --quick # a first opinion in minutes",
        f"tunewise decide '{folder}'",
    ]


def test_of_many_files_left_aside_only_the_first_are_shown(tmp_path: Path) -> None:
    write_rows(tmp_path / "questions.jsonl", "question", "answer")
    for n in range(8):
        (tmp_path / f"sheet {n}.xlsx").write_bytes(b"PK")
    text = shown(tmp_path)
    assert text.count("is an Excel file. Export it as CSV.") == 5
    assert "and 3 more files" in text
