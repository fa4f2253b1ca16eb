import gzip
import json
import os
import shutil
import tomllib
from pathlib import Path

import pytest

from command_line import Done, tunewise
from folders import (
    chat,
    tickets,
    write_lines,
    write_manuals,
    write_pdf,
    write_saved_split,
    write_table,
)
from tunewise.errors import UserError
from tunewise.pipelines.init.start import Started, start_project
from tunewise.project.load import load_project
from tunewise.project.settings import Project


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    path = tmp_path / "support desk"
    path.mkdir()
    return path


def start(folder: Path) -> Started:
    return start_project(folder)


def toml(folder: Path) -> str:
    return (folder / "tunewise.toml").read_text("utf-8")


def said(folder: Path) -> str:
    """The file with its comments unwrapped."""
    return " ".join(toml(folder).replace("\n# ", " ").split())


def works(folder: Path) -> Project:
    """Loads what `init` wrote; `check` and `decide --dry-run` take it as it is."""
    for command in (["check"], ["decide", "--dry-run"]):
        done = tunewise(command[0], folder, *command[1:])
        assert done.code == 0, done.err + done.out
    return load_project(folder)


def refused(folder: Path, *parts: str) -> str:
    before = sorted(folder.rglob("*")) if folder.is_dir() else []
    done: Done = tunewise("init", folder)
    assert done.code == 1
    assert done.out == ""
    assert done.err.startswith("error: ")
    for part in parts:
        assert part in done.err
    assert (sorted(folder.rglob("*")) if folder.is_dir() else []) == before
    return done.err


class TestAHelpDeskExport:
    def test_with_pdfs_beside_it_goes_from_init_over_check_to_a_dry_run(self, folder: Path) -> None:
        write_table(folder / "tickets export (final) v2.csv", tickets())
        write_pdf(folder / "Returns policy 2025.pdf")
        write_pdf(folder / "X4 manual.pdf")
        done = tunewise("init", folder)
        assert done.code == 0
        assert f"tunewise check '{folder}'" in done.out
        assert f"tunewise decide '{folder}' --dry-run" in done.out
        project = works(folder)
        data = project.data
        assert data.examples == (folder / "tickets export (final) v2.csv",)
        assert (data.input, data.output, data.group) == ("Ticket text", "Final category", None)
        assert data.documents == (folder / "Returns policy 2025.pdf", folder / "X4 manual.pdf")
        assert (project.task.kind, project.task.metric) == ("classification", "accuracy")
        assert project.task.labels == ("Account", "Defect", "Delivery", "Refund")

    def test_gets_reasons_and_alternatives_as_comments(self, folder: Path) -> None:
        write_table(folder / "export.csv", tickets())
        start(folder)
        text = said(folder)
        assert 'Or: "Subject"' in text
        assert 'Or: "Suggested category" (4 different values)' in text
        assert "because 80 rows share 4 short answers" in text
        assert '# group = "Customer ID"' in toml(folder)
        assert "fewer than 40 groups" in text

    def test_gets_an_instruction_that_is_marked_as_guessed(self, folder: Path) -> None:
        write_table(folder / "export.csv", tickets())
        project = start(folder).project
        assert project.task.instruction == (
            "Read the ticket text and answer with one of these, and nothing else: "
            "Account, Defect, Delivery, Refund."
        )
        assert "EDIT THIS SENTENCE" in toml(folder)

    def test_with_many_customers_is_grouped_by_them(self, folder: Path) -> None:
        write_table(folder / "export.csv", tickets(400, customers=150))
        start(folder)
        assert works(folder).data.group == "Customer ID"

    def test_with_semicolons_is_read(self, folder: Path) -> None:
        write_table(folder / "export.csv", tickets(), delimiter=";")
        assert start(folder).project.data.output == "Final category"
        works(folder)

    def test_with_a_mistyped_label_leaves_the_labels_open_and_says_why(self, folder: Path) -> None:
        rows = tickets()
        rows[7]["Final category"] = "Delivry"
        write_table(folder / "export.csv", rows)
        project = start(folder).project
        assert project.task.labels is None
        assert '# Mistyped? "Delivry" for "Delivery".' in toml(folder)
        assert "Delivry" not in project.task.instruction
        works(folder)

    def test_with_rows_without_an_answer_says_how_many(self, folder: Path) -> None:
        rows = tickets()
        for row in rows[3:11]:
            row["Final category"] = ""
        write_table(folder / "export.csv", rows)
        started = start(folder)
        assert started.found.faults == 8
        assert "8 rows cannot be read: `tunewise check` names them." in said(folder)
        assert "10% of the rows have none" in said(folder)

    def test_in_an_old_encoding_is_read_and_sent_to_be_repaired(self, folder: Path) -> None:
        file = write_table(folder / "export.csv", tickets())
        text = file.read_text("utf-8-sig").replace("Customer Number", "Käufer Nº ")
        file.write_bytes(text.encode("cp1252"))
        done = tunewise("init", folder)
        assert done.code == 0, done.err
        assert "no UTF-8, but Windows-1252" in said(folder)
        assert "--fix" in done.out
        repaired = folder / "repaired"
        assert tunewise("check", folder).code == 1
        done = tunewise("check", folder, "--fix", repaired)
        assert "Repaired copy" in done.out, done.err
        old = toml(folder)
        new = old.replace('"export.csv"', '"repaired/examples.jsonl"')
        (folder / "tunewise.toml").write_text(new, "utf-8")
        works(folder)
        assert "Käufer Nº" in (repaired / "examples.jsonl").read_text("utf-8")

    def test_an_older_export_of_the_same_rows_is_left_aside(self, folder: Path) -> None:
        write_table(folder / "tickets.csv", tickets())
        write_table(folder / "old" / "tickets (1).csv", tickets()[:60])
        started = start(folder)
        assert started.found.sources == {"examples": ("tickets.csv",)}
        assert "old/tickets (1).csv: repeats rows of tickets.csv." in toml(folder)
        works(folder)


class TestFormats:
    def test_chat_with_a_system_turn_brings_its_own_instruction(self, folder: Path) -> None:
        write_lines(folder / "conversations.jsonl", chat(system="You are the helper of a shop."))
        started = start(folder)
        assert started.project.task.instruction == ""
        assert "Each row brings its own instruction" in toml(folder)
        assert works(folder).task.kind == "generation"

    def test_chat_without_one_gets_an_instruction(self, folder: Path) -> None:
        write_lines(folder / "conversations.jsonl", chat())
        assert (
            start(folder).project.task.instruction == "Answer the last message as the examples do."
        )
        works(folder)

    def test_alpaca_in_one_json_array(self, folder: Path) -> None:
        rows = [
            {
                "instruction": "Shorten this.",
                "input": f"A long text {n} " * 9,
                "output": f"Text {n}",
            }
            for n in range(40)
        ]
        (folder / "data.json").write_text(json.dumps(rows, indent=1))
        assert start(folder).found.shape.startswith("Alpaca")
        works(folder)

    def test_answers_that_are_objects_are_an_extraction_with_their_fields(
        self, folder: Path
    ) -> None:
        rows = [
            {"mail": f"Please send {n} of part {n * 3} to me", "json": {"part": n * 3, "count": n}}
            for n in range(40)
        ]
        write_lines(folder / "orders.jsonl", rows)
        project = start(folder).project
        assert project.task.instruction.endswith("one JSON object with the fields part, count.")
        assert works(folder).task.kind == "extraction"

    def test_a_gzipped_file(self, folder: Path) -> None:
        plain = write_lines(folder / "rows.jsonl", chat())
        (folder / "rows.jsonl.gz").write_bytes(gzip.compress(plain.read_bytes()))
        plain.unlink()
        assert start(folder).found.sources == {"examples": ("rows.jsonl.gz",)}
        works(folder)

    def test_a_table_that_ends_in_txt(self, folder: Path) -> None:
        write_table(folder / "dump.txt", tickets(), delimiter="\t")
        assert start(folder).found.sources == {"examples": ("dump.txt",)}
        works(folder)


class TestColumnsThatAreNone:
    def test_a_constant_answer_is_replaced_by_a_better_column_and_named(self, folder: Path) -> None:
        kept = [{"text": row["Ticket text"], "label": "x", "queue": row["Final category"]}
                for row in tickets()]  # fmt: skip
        write_table(folder / "rows.csv", kept)
        started = start_project(folder)
        assert (started.project.data.input, started.project.data.output) == ("text", "queue")
        assert 'Neither: "label" (always "x").' in started.file.read_text()

    @pytest.mark.parametrize("name", ["label", "status"])
    def test_with_nothing_left_it_says_so_and_what_to_set(self, folder: Path, name: str) -> None:
        kept = [{"text": row["Ticket text"], name: "open"} for row in tickets()]
        write_table(folder / "rows.csv", kept)
        with pytest.raises(UserError) as caught:
            start_project(folder)
        assert f'"{name}" (always "open")' in str(caught.value)
        assert "or name yours with input and output under [data]" in str(caught.value)

    def test_turns_as_rows_are_refused_with_the_first_written_right(self, folder: Path) -> None:
        turns = [{"from": ("human", "gpt")[n % 2], "value": f"said {n}"} for n in range(40)]
        (folder / "turns.json").write_text(json.dumps(turns))
        with pytest.raises(UserError) as caught:
            start_project(folder)
        assert '{"messages": [{"role": "user", "content": "said 0"}' in str(caught.value)
        assert not (folder / "tunewise.toml").exists()


class TestSplits:
    def test_train_dev_and_test_by_name_are_kept_as_such(self, folder: Path) -> None:
        rows = tickets(200)
        write_table(folder / "data" / "tickets_train.csv", rows[:120])
        write_table(folder / "data" / "tickets_valid.csv", rows[120:150])
        write_table(folder / "data" / "tickets-test.csv", rows[150:])
        sources = start(folder).found.sources
        assert sources == {
            "train": ("data/tickets_train.csv",),
            "dev": ("data/tickets_valid.csv",),
            "test": ("data/tickets-test.csv",),
        }
        assert "The split into train and test is yours" in toml(folder)
        assert "\n# group = " in toml(folder)
        works(folder)

    def test_a_split_by_folders(self, folder: Path) -> None:
        write_lines(folder / "train" / "a.jsonl", chat(60))
        write_lines(folder / "train" / "b.jsonl", [{**row, "n": 1} for row in chat(90)[60:]])
        write_lines(folder / "test" / "a.jsonl", chat(120)[90:])
        assert start(folder).found.sources == {
            "train": ("train/a.jsonl", "train/b.jsonl"),
            "test": ("test/a.jsonl",),
        }
        works(folder)

    def test_a_saved_data_set_keeps_its_split(self, folder: Path) -> None:
        write_saved_split(folder / "my dataset")
        started = start(folder)
        assert started.found.sources == {"examples": ("my dataset/",)}
        assert started.found.own_split
        assert len(started.found.examples) == 90
        assert "The split into train and test is yours" in toml(folder)
        works(folder)

    def test_train_alone_is_split(self, folder: Path) -> None:
        write_lines(folder / "train.jsonl", chat())
        assert start(folder).found.sources == {"examples": ("train.jsonl",)}
        works(folder)

    def test_files_of_one_shape_are_used_together(self, folder: Path) -> None:
        for year in (2023, 2024):
            rows = tickets(100)[:50] if year == 2023 else tickets(100)[50:]
            write_table(folder / f"tickets {year}.csv", rows)
        write_lines(
            folder / "other.jsonl", [{"text": f"short {n}", "tag": n % 2} for n in range(9)]
        )
        started = start(folder)
        assert started.found.sources == {"examples": ("tickets 2023.csv", "tickets 2024.csv")}
        assert "Or other.jsonl, read as text -> tag." in toml(folder)
        works(folder)

    def test_many_files_become_a_pattern(self, folder: Path) -> None:
        rows = chat(200)
        for n in range(20):
            write_lines(folder / "parts" / f"part-{n:02}.jsonl", rows[10 * n : 10 * n + 10])
        assert start(folder).found.sources == {"examples": ("parts/*.jsonl",)}
        assert len(works(folder).data.examples or ()) == 20


class TestDocuments:
    def test_a_folder_of_them_is_named_as_a_folder(self, folder: Path) -> None:
        write_lines(folder / "questions.jsonl", chat())
        write_manuals(folder / "manuals" / "2025")
        (folder / "manuals" / "picture.png").write_bytes(b"\x89PNG")
        assert works_with_documents(folder) == ("manuals/",)

    def test_beside_other_files_they_are_named_one_by_one(self, folder: Path) -> None:
        write_table(folder / "docs" / "export.csv", tickets())
        write_manuals(folder / "docs", 2)
        assert works_with_documents(folder) == ("docs/manual 0.md", "docs/manual 1.md")

    def test_a_readme_or_licence_is_none(self, folder: Path) -> None:
        write_lines(folder / "questions.jsonl", chat())
        for name in ("README.md", "LICENSE.txt", "CHANGELOG.md", "licence"):
            (folder / name).write_text("About these files.")
        assert start(folder).found.documents is None
        works(folder)

    def test_what_cannot_be_read_is_left_aside_with_its_reason(self, folder: Path) -> None:
        write_lines(folder / "questions.jsonl", chat())
        write_manuals(folder / "docs")
        (folder / "docs" / "broken.pdf").write_bytes(b"%PDF-1.4 no more")
        (folder / "docs" / "notes.docx").write_bytes(b"PK\x03\x04")
        assert works_with_documents(folder) == tuple(f"docs/manual {n}.md" for n in range(3))
        assert "docs/notes.docx: is a damaged Word file." in toml(folder)
        assert "docs/broken.pdf: cannot be read as PDF" in said(folder)

    def test_a_second_folder_with_the_same_names_is_an_alternative(self, folder: Path) -> None:
        write_lines(folder / "questions.jsonl", chat())
        write_manuals(folder / "docs")
        write_manuals(folder / "docs_short")
        assert works_with_documents(folder) == ("docs/",)
        assert "Or: docs_short/." in toml(folder)

    def test_short_answers_with_documents_are_questions(self, folder: Path) -> None:
        rows = [{"question": f"What weighs part {n}?", "answer": f"{n} grams"} for n in range(40)]
        write_lines(folder / "questions.jsonl", rows)
        write_manuals(folder / "docs")
        project = start(folder).project
        assert project.task.kind == "qa"
        assert project.task.instruction == (
            "Answer the question in a few words from the documents."
        )


def works_with_documents(folder: Path) -> tuple[str, ...]:
    """The documents that `init` names, once it is sure that they can be read."""
    from tunewise.data.documents.read import read_documents

    found = start(folder).found.documents
    assert found is not None
    places = works(folder).data.documents
    assert places is not None
    assert len(read_documents(*places)) == found.count
    return found.places


class TestTheInstruction:
    def test_is_taken_from_a_file_of_that_name(self, folder: Path) -> None:
        write_lines(folder / "rows.jsonl", chat())
        (folder / "system_prompt.txt").write_bytes(
            b'\xef\xbb\xbfSay "no" if unsure.\r\nUse C:\\path and """three""" quotes.\r\n'
        )
        project = start(folder).project
        assert project.task.instruction == (
            'Say "no" if unsure.\nUse C:\\path and """three""" quotes.'
        )
        assert "the text of system_prompt.txt" in toml(folder)
        assert start_over(folder).found.documents is None

    def test_with_placeholders_is_taken_with_a_remark(self, folder: Path) -> None:
        write_lines(folder / "rows.jsonl", chat())
        (folder / "prompt.md").write_text("Classify: {text}")
        assert start(folder).project.task.instruction == "Classify: {text}"
        assert "remove placeholders" in toml(folder)

    def test_too_long_for_one_it_is_a_document(self, folder: Path) -> None:
        write_lines(folder / "rows.jsonl", chat())
        (folder / "instructions.txt").write_text("Press the button. " * 3_000)
        started = start(folder)
        assert "Press" not in started.project.task.instruction
        assert started.found.documents is not None
        assert started.found.documents.places == ("instructions.txt",)


def start_over(folder: Path) -> Started:
    (folder / "tunewise.toml").unlink()
    return start(folder)


class TestRefusals:
    def test_a_project_file_is_never_replaced(self, folder: Path) -> None:
        write_lines(folder / "rows.jsonl", chat())
        (folder / "tunewise.toml").write_text("# mine")
        refused(folder, "tunewise.toml: exists already", "never replaced")
        assert toml(folder) == "# mine"

    def test_not_even_a_link_to_nowhere(self, folder: Path) -> None:
        write_lines(folder / "rows.jsonl", chat())
        (folder / "tunewise.toml").symlink_to(folder / "gone.toml")
        refused(folder, "exists already")

    def test_one_written_in_the_meantime_is_not_replaced(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        write_lines(folder / "rows.jsonl", chat())
        real = os.open

        def overtaken(path: object, flags: int, *rest: object, **named: object) -> int:
            if str(path).endswith("/tunewise.toml") and flags & os.O_EXCL:
                (folder / "tunewise.toml").write_text("# faster")
            return real(path, flags, *rest, **named)  # type: ignore[arg-type]

        monkeypatch.setattr(os, "open", overtaken)
        done = tunewise("init", folder)
        assert done.code == 1
        assert "was written by someone else just now" in done.err
        assert toml(folder) == "# faster"
        assert sorted(path.name for path in folder.iterdir()) == ["rows.jsonl", "tunewise.toml"]

    def test_without_examples_each_file_is_named_with_its_reason(self, folder: Path) -> None:
        (folder / "book.xlsx").write_bytes(b"PK\x03\x04")
        (folder / "config.json").write_text('{"name": "x"}')
        (folder / "prices.csv").write_text(
            "item,price\n" + "".join(f"i{n},{n}\n" for n in range(9))
        )
        (folder / "broken.jsonl").write_text("{'a': 1}\n" * 9)
        write_lines(folder / "few.jsonl", chat(3))
        write_lines(
            folder / "pairs.jsonl",
            [{"prompt": f"p{n}", "chosen": "a", "rejected": "b"} for n in range(9)],
        )
        write_manuals(folder)
        refused(
            folder,
            "holds no examples beside 3 documents. Put a table there",
            "book.xlsx: is an Excel file. Export it as CSV.",
            "config.json: holds only 1 row",
            "prices.csv: has the columns",
            "broken.jsonl: line 1: is not JSON",
            "few.jsonl: holds only 3 rows",
            "pairs.jsonl: holds preference pairs",
        )

    def test_an_empty_folder(self, folder: Path) -> None:
        refused(folder, "holds no examples. Put a table there")

    def test_a_missing_folder(self, folder: Path) -> None:
        refused(folder / "nowhere", "does not exist. Name a folder.")

    def test_a_file(self, folder: Path) -> None:
        refused(write_lines(folder / "rows.jsonl", chat()), "is a file. Name the folder")

    def test_a_folder_full_of_other_things(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("tunewise.pipelines.init.files.MAX_FILES", 10)
        for n in range(12):
            (folder / f"{n}.txt").write_text("x")
        refused(folder, "holds more than 10 files. Name the folder with your data")


def test_earlier_runs_and_hidden_files_are_passed_over(folder: Path) -> None:
    write_lines(folder / "rows.jsonl", chat())
    write_lines(folder / "runs" / "20260101" / "test.jsonl", chat(90))
    write_lines(folder / ".cache" / "rows.jsonl", chat(90))
    write_manuals(folder / "runs" / "docs")
    found = start(folder).found
    assert found.sources == {"examples": ("rows.jsonl",)}
    assert (found.documents, found.not_taken) == (None, ())


def test_odd_names_and_contents_still_make_toml(folder: Path) -> None:
    rows = [
        {
            'the "text"\n# of it': f"a text of some words {n}",
            "étiquette [x]": ["ja", 'n"ein'][n % 2],
        }
        for n in range(40)
    ]
    write_lines(folder / 'rows "quoted" #1 [a].jsonl', rows)
    started = start(folder)
    assert tomllib.loads(toml(folder))["data"]["input"] == 'the "text"\n# of it'
    assert started.project.task.labels == ("ja", 'n"ein')
    works(folder)


def test_init_where_one_stands(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_lines(folder / "rows.jsonl", chat())
    monkeypatch.chdir(folder)
    done = tunewise("init", ".")
    assert done.code == 0
    assert "tunewise check ." in done.out
    assert [path.name for path in folder.iterdir() if path.name.startswith(".")] == []


def test_a_project_that_moves_still_works(folder: Path, tmp_path: Path) -> None:
    write_lines(folder / "rows.jsonl", chat())
    start(folder)
    shutil.move(folder, tmp_path / "moved")
    works(tmp_path / "moved")


def test_spellings_of_a_label_are_proposed_as_one(folder: Path) -> None:
    spelled = ["Yes", "No", "yes", "NO", "Yes", "No", "YES", "no"] * 8
    rows = [{"text": f"is {n} right?", "label": label} for n, label in enumerate(spelled)]
    write_lines(folder / "a.jsonl", rows)
    start(folder)
    assert tomllib.loads(toml(folder))["task"]["labels"] == ["No", "Yes"]
    assert "answer with one of these, and nothing else: No, Yes." in toml(folder)
    assert "in another case or with a full stop: that is the same label" in said(folder)
    assert works(folder).task.labels == ("No", "Yes")
