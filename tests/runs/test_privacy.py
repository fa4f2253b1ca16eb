"""Personal data in rows and answers is masked in reports, unless the project asks to see it."""

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from example_run import write_run
from tunewise.project.load import load_project, resolved_toml
from tunewise.report.html import render_html
from tunewise.report.terminal import render_verdict
from tunewise.runs.read import read_run

ADDRESS = "anna.berg@nordlicht-verlag.de"
SHOWN = "[report]\nshow_personal = true\n"


def run_with_an_address(folder: Path, project: str = "") -> Path:
    """A run whose inputs, answers and chosen settings hold an address."""
    run = write_run(folder, answers={"few_shot": f"Write to {ADDRESS}."})
    rows = [json.loads(line) for line in (run / "test.jsonl").read_text().splitlines()]
    for row in rows:
        row["input"] += f" My address is {ADDRESS}, my number +49 30 1234567."
    (run / "test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    verdict = json.loads((run / "verdict.json").read_text())
    for one in verdict["contenders"]:
        if "fit" in one:
            one["fit"]["settings"]["shown"] = [{"text": f"ask {ADDRESS}"}]
            one["fit"]["trials"] = [{"prompt": ADDRESS}]
    (run / "verdict.json").write_text(json.dumps(verdict))
    with (run / "project.toml").open("a") as file:
        file.write(project)
    return run


def test_rows_answers_and_settings_are_masked_and_the_page_says_so(tmp_path: Path) -> None:
    html = render_html(read_run(run_with_an_address(tmp_path)))
    assert ADDRESS not in html
    assert "+49 30" not in html
    assert "a…@….de" in html
    assert "looks like personal data is masked" in html


def test_the_terminal_masks_what_was_chosen_too(tmp_path: Path) -> None:
    console = Console(file=io.StringIO(), width=400)
    render_verdict(read_run(run_with_an_address(tmp_path)), console)
    assert isinstance(console.file, io.StringIO)
    assert ADDRESS not in console.file.getvalue()


def test_a_project_may_ask_to_see_it(tmp_path: Path) -> None:
    html = render_html(read_run(run_with_an_address(tmp_path, SHOWN)))
    assert ADDRESS in html
    assert "is masked" not in html


def test_a_run_without_its_project_file_masks(tmp_path: Path) -> None:
    run = run_with_an_address(tmp_path, SHOWN)
    (run / "project.toml").unlink()
    assert ADDRESS not in render_html(read_run(run))


def test_a_page_without_personal_data_says_nothing_of_masks(tmp_path: Path) -> None:
    assert "is masked" not in render_html(read_run(write_run(tmp_path)))


@pytest.mark.parametrize("shown", [True, False])
def test_the_setting_is_written_into_the_run(tmp_path: Path, shown: bool) -> None:
    (tmp_path / "rows.jsonl").write_text("{}\n")
    project = load_project(tmp_path / "rows.jsonl", [f"report.show_personal={str(shown).lower()}"])
    assert project.report.show_personal is shown
    assert f"[report]\nshow_personal = {str(shown).lower()}\n" in resolved_toml(project)
