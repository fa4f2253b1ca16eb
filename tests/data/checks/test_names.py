from pathlib import Path

from tunewise.pipelines.check import run_check
from tunewise.progress import Silent
from tunewise.project.load import load_project


def test_rows_that_name_no_document_are_faults_with_their_place(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "stove.md").write_text("# Stove\n\n## Care\n\nWipe it.\n", "utf-8")
    rows = [
        f'{{"input": "how do I clean it, number {n}", "output": "stove.md#{"Car" * (n == 7)}'
        f'{"Care" * (n != 7)}"}}'
        for n in range(40)
    ]
    (tmp_path / "rows.jsonl").write_text("\n".join(rows), "utf-8")
    (tmp_path / "tunewise.toml").write_text(
        '[task]\ninstruction = "find"\nkind = "search"\n'
        '[data]\nexamples = "rows.jsonl"\ndocuments = "docs"\n',
        "utf-8",
    )
    checked = run_check(load_project(tmp_path), source="x", progress=Silent())
    (fault,) = [one for one in checked.report.errors if one.rule == "unknown_document"]
    assert fault.where == f"{tmp_path / 'rows.jsonl'}:8"
    assert 'hold no "stove.md#Car"' in fault.message
    assert checked.usable == 39
