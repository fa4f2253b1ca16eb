"""`tunewise check` from end to end: what it says, what it writes, and what it leaves alone."""

import json
from pathlib import Path
from typing import Any

import pytest

from command_line import tunewise
from decide_projects import labelled, write_project

SCRIPTED = '[model]\nengine = "scripted"\n'


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return write_project(tmp_path / "project", labelled(60), SCRIPTED)


@pytest.fixture(autouse=True)
def no_models(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TUNEWISE_CACHE", str(tmp_path / "cache"))


def files_in(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def document(*words: str | Path, code: int = 0) -> dict[str, Any]:
    done = tunewise("check", *words, "--json")
    assert done.code == code, done.err
    return json.loads(done.out)


def write_rows(file: Path, rows: list[dict[str, object]]) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


def test_a_sound_project_gets_a_verdict_a_page_and_the_next_command(project: Path) -> None:
    done = tunewise("check", project)
    assert done.code == 0
    assert "60 rows can be used; nothing found." in done.out
    assert "No errors. Next: tunewise decide" in done.out
    page = project / "runs" / "check.html"
    assert done.out.splitlines()[-1] == f"Page: {page}"
    assert "<h1>60 rows can be used; nothing found.</h1>" in page.read_text()


def test_the_page_goes_where_it_is_wanted(project: Path, tmp_path: Path) -> None:
    before = files_in(project)
    done = tunewise("check", project, "--page", tmp_path / "new" / "page.html")
    assert (tmp_path / "new" / "page.html").is_file()
    assert f"Page: {tmp_path / 'new' / 'page.html'}" in done.out
    assert files_in(project) == before


def test_a_folder_that_cannot_be_written_costs_the_page_and_nothing_else(project: Path) -> None:
    (project / "runs").write_text("a file where a folder should be")
    done = tunewise("check", project)
    assert done.code == 0
    assert "60 rows can be used" in done.out
    assert "No page: " in done.err
    assert tunewise("check", project, "--page", project / "runs" / "x.html").code == 1


def test_with_json_stdout_is_one_document_and_nothing_is_written(project: Path) -> None:
    before = files_in(project)
    found = document(project)
    assert found["rows"] == found["usable"] == 60
    assert found["errors"] == found["warnings"] == []
    assert found["lengths"]["unit"] == "characters"
    assert found["outlook"]["own_split"] is False
    assert files_in(project) == before


def test_errors_end_with_code_1_and_warnings_with_0(project: Path) -> None:
    file = project / "examples.jsonl"
    file.write_text(file.read_text() + file.read_text().splitlines()[0] + "\n")
    found = document(project)
    assert [warning["rule"] for warning in found["warnings"]] == ["duplicate"]
    assert found["warnings"][0]["where"] == f"{file}:61"
    (project / "tunewise.toml").write_text(
        '[data]\nexamples = "examples.jsonl"\n[task]\nlabels = ["x", "y"]\n' + SCRIPTED
    )
    assert {error["rule"] for error in document(project, code=1)["errors"]} == {"unknown_label"}


def test_rows_that_cannot_be_read_are_a_document_too(project: Path) -> None:
    file = project / "examples.jsonl"
    lines = file.read_text().splitlines()
    lines[3] = '{"text": "broken'
    lines[8] = "[1, 2]"
    file.write_text("\n".join(lines))
    found = document(project, code=1)
    assert [error["where"] for error in found["errors"]] == [f"{file}:4", f"{file}:9"]
    assert found["errors"][0]["rule"] == "not_JSON"
    assert (found["rows"], found["unreadable"], found["usable"]) == (58, 2, 58)
    done = tunewise("check", project)
    assert done.code == 1
    assert "[not_JSON] examples.jsonl:4: " in done.out  # from the project, not the disk
    assert "58 of 60 rows can be used; 2 errors" in done.out


def test_where_no_row_can_be_read_nothing_else_is_said(project: Path) -> None:
    file = project / "examples.jsonl"
    file.write_text("[1, 2]\n" * 3)
    found = document(project, code=1)
    assert [error["rule"] for error in found["errors"]] == ["no_object"] * 3
    assert found["rows"] == 0
    done = tunewise("check", project)
    assert (done.code, done.out) == (1, "")
    assert f"{file}:2: " in done.err
    assert not (project / "runs").exists()


def test_a_faulty_configuration_is_a_document_too(project: Path) -> None:
    toml = project / "tunewise.toml"
    toml.write_text('[data]\nexample = "examples.jsonl"\n')
    found = document(project, code=1)
    assert any(error["where"] == f"{toml}:2" for error in found["errors"])
    assert document(project / "nowhere", code=1)["errors"][0]["message"].startswith("does not")


def test_leaks_label_mistakes_and_personal_data_are_found_in_one_go(tmp_path: Path) -> None:
    words = {"refund": "money card bank paid twice", "parcel": "courier door late box street"}
    rows: list[dict[str, object]] = [
        {"input": f"{text} {n} {n * n} thing{n} about it", "output": label}
        for n in range(60)
        for label, text in words.items()
    ]
    wrong = {"input": "money card bank paid twice again thing", "output": "parcel"}
    mail = {"input": "courier is late, write to jane@company.com", "output": "parcel"}
    write_rows(tmp_path / "train.jsonl", [*rows[:80], wrong, mail])
    write_rows(tmp_path / "test.jsonl", [*rows[79:]])
    toml = '[data]\ntrain = "train.jsonl"\ntest = "test.jsonl"\n' + SCRIPTED
    (tmp_path / "tunewise.toml").write_text(toml)
    found = document(tmp_path)
    by_rule = {warning["rule"]: warning["where"] for warning in found["warnings"]}
    assert by_rule["leak"] == f"{tmp_path / 'test.jsonl'}:1"
    assert by_rule["label_mistake"] == f"{tmp_path / 'train.jsonl'}:81"
    assert by_rule["personal_data"] == f"{tmp_path / 'train.jsonl'}:82"
    assert "jane" not in json.dumps(found)
    assert found["leaks"] == {"exact": 1}


def test_preference_pairs_and_texts_are_checked_for_what_they_are(tmp_path: Path) -> None:
    pairs = [
        {"prompt": f"question {n % 20}", "chosen": f"good {n}", "rejected": f"bad {n}"}
        for n in range(40)
    ]
    found = document(write_rows(tmp_path / "pairs.jsonl", pairs))
    assert (found["kind"], found["rows"]) == ("preferences", 40)
    assert "contradiction" not in found["counts"]
    texts: list[dict[str, object]] = [
        {"text": f"A text of its own about thing {n}, {n * n}."} for n in range(30)
    ]
    found = document(write_rows(tmp_path / "texts.jsonl", [*texts, texts[0]]))
    assert (found["kind"], found["usable"]) == ("texts", 31)
    assert found["counts"]["duplicate"] == 1
    assert found["errors"] == []
    done = tunewise("check", tmp_path / "texts.jsonl")
    assert "31 texts." in done.out
    assert "`tunewise decide` needs examples; these are texts." in done.out
    (tmp_path / "prose.md").write_text("# Title\n\nSome prose, with a comma.\n" * 5)
    assert document(tmp_path / "prose.md", code=1)["counts"]["too_few_rows"] == 1


def test_a_repaired_copy_passes_the_check_that_the_original_did_not(tmp_path: Path) -> None:
    file = tmp_path / "examples.jsonl"
    rows = [*labelled(60), {}, labelled(60)[0]]
    write_rows(file, rows)
    before = file.read_bytes()
    assert document(file, "--set", "model.engine=scripted", code=1)["errors"][0]["rule"]
    done = tunewise("check", file, "--set", "model.engine=scripted", "--fix", tmp_path / "out")
    assert done.code == 1, done.err
    assert (
        f"Repaired copy in the folder {tmp_path / 'out'} (unknown_columns 1, duplicate 1"
        in done.out
    )
    copy = tmp_path / "out" / "examples.jsonl"
    assert '\n  examples = "out/examples.jsonl"\n' in done.out  # the very line to write
    assert file.read_bytes() == before
    again = document(copy, "--set", "model.engine=scripted")
    assert (again["rows"], again["counts"].get("duplicate")) == (60, None)
    taken = tunewise("check", file, "--fix", tmp_path / "out")
    assert taken.code == 1
    assert "exists already" in taken.err


@pytest.mark.slow
def test_with_the_starter_model_tokens_are_counted(
    tmp_path: Path, starter: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("TUNEWISE_CACHE")
    project = write_project(tmp_path / "project", labelled(60), "")
    lengths = document(project)["lengths"]
    assert (lengths["unit"], lengths["context"]) == ("tokens", 8192)
    assert 20 < lengths["median"] < 80


def with_documents(project: Path, **files: str) -> Path:
    docs = project / "docs"
    docs.mkdir()
    for name, text in files.items():
        (docs / name.replace("_", ".")).write_text(text)
    toml = project / "tunewise.toml"
    toml.write_text(toml.read_text().replace("[data]", '[data]\ndocuments = "docs"'))
    return docs


def test_documents_are_opened_and_judged_with_the_rows(project: Path) -> None:
    front = "---\ntitle: Lamp\n---\n"
    docs = with_documents(
        project,
        a_md=f"{front}Hang it up. {'It is bright. ' * 80}",
        b_md="Hang it.",
        c_md="Hang it.",
    )
    found = document(project)
    assert found["summary"] == "60 rows and 2 of 3 documents can be used; nothing found."
    assert found["documents"] == {"files": 3, "usable": 2, "passages": 4, "passage_words": 120}
    notes = [(note["rule"], note["message"]) for note in found["notes"]]
    assert [note for note in notes if note[0] in ("document_copy", "left_out")] == [
        ("document_copy", "repeats b.md, and is left out."),
        ("left_out", "front matter (its title is kept): a.md."),
    ]
    done = tunewise("check", project)
    assert "2 documents to retrieve from: 4 passages of up to 120 words." in done.out
    assert "4 passages, 1 left out" in (project / "runs" / "check.html").read_text()
    assert docs.is_dir()


def test_every_document_that_cannot_be_used_is_an_error_with_its_file(project: Path) -> None:
    docs = with_documents(project, a_md="Hang it up.", b_md=" \n", c_json="{}", d_jpg="photo")
    (docs / "e.txt").write_bytes("Größe".encode("latin-1"))
    (docs / ".DS_Store").write_bytes(b"\0")
    found = document(project, code=1)
    assert [(error["rule"], error["where"]) for error in found["errors"]] == [
        ("document", str(docs / name)) for name in ("b.md", "c.json", "e.txt")
    ]
    assert found["summary"] == "60 rows and 1 of 4 documents can be used; 3 errors."
    done = tunewise("check", project)
    assert "error [document] docs/b.md: holds no text." in done.out
    assert "docs/e.txt: line 1 is not UTF-8" in done.out


def test_rows_and_documents_that_cannot_be_read_are_named_together(project: Path) -> None:
    docs = with_documents(project, b_md="")
    (project / "examples.jsonl").write_text("[1, 2]\n" * 3)
    found = document(project, code=1)
    assert [error["rule"] for error in found["errors"]] == [*["no_object"] * 3, "document"]
    done = tunewise("check", project)
    assert f"{docs / 'b.md'}: holds no text." in done.err
    assert "examples.jsonl:1: " in done.err


def test_a_dry_run_of_decide_opens_the_documents_too(project: Path) -> None:
    docs = with_documents(project, a_md="Hang it up.", b_md="")
    done = tunewise("decide", project, "--dry-run")
    assert done.code == 1
    assert done.err.strip().endswith("b.md: holds no text. Fill it or move it away.")
    (docs / "b.md").write_text("---\ntitle: B\n---\nFold it.")
    plan = json.loads(tunewise("decide", project, "--dry-run", "--json").out)
    assert plan["documents"] == 2
    assert "front matter (its title is kept): left out of b.md." in plan["notes"]


def test_repairs_are_told_one_by_one_and_those_that_are_not_wanted_stay_away(
    tmp_path: Path,
) -> None:
    rows: list[dict[str, object]] = [*labelled(60), labelled(60)[3], labelled(60)[5]]
    project = write_project(tmp_path / "project", rows, SCRIPTED)
    found = document(project)
    places = [one["where"] for one in found["repairs"]]
    assert places == [str(project / f"examples.jsonl:{line}") for line in (61, 62)]
    assert found["repair_counts"] == {"duplicate": 2}
    out = tmp_path / "out"
    fixed = document(project, "--fix", out, "--keep", "examples.jsonl:61")["fixed"]
    assert fixed["changes"] == {"duplicate": 1}
    assert len(Path(fixed["files"]["examples"]).read_text().splitlines()) == 61
    assert tunewise("check", project, "--keep", "duplicate").code == 2


def test_inputs_that_the_sentence_model_cannot_read_are_said(tmp_path: Path) -> None:
    rows = [{"text": f"คำถามที่ {n} เรื่องการส่ง", "label": "กข"[n % 2]} for n in range(40)]
    found = document(write_rows(tmp_path / "a.jsonl", rows))
    (note,) = [one for one in found["notes"] if one["rule"] == "script"]
    assert "in Thai script" in note["message"]


def test_answers_with_thoughts_are_named_where_the_model_is_not_to_think(tmp_path: Path) -> None:
    rows: list[dict[str, object]] = [
        {**row, "label": f"<think>case {n}</think>{row['label']}"}
        for n, row in enumerate(labelled(60))
    ]
    off = write_project(tmp_path / "off", rows, f"{SCRIPTED}thinking = false\n")
    told = document(off)
    assert told["counts"]["thoughts"] == 60
    assert told["task"]["kind"] == "classification"
    auto = document(write_project(tmp_path / "auto", rows, SCRIPTED))
    assert "thoughts" not in auto["counts"]
