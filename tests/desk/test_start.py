"""From files that are dropped to a project that can run: what is taken, found, repaired and set."""

import io
import json
import time
from pathlib import Path

import pytest
from openpyxl import Workbook
from starlette.testclient import TestClient

from decide_projects import labelled, write_project
from desk_pages import ORIGIN, desk_client
from html_pages import HOSTILE
from tunewise.desk import uploads
from tunewise.desk.places import id_of
from tunewise.desk.uploads import safe_file_name
from tunewise.errors import UserError
from tunewise.project.load import load_project

TABLE = "message,category\n" + "".join(
    f"where is parcel {n} that I sent back,{('delivery', 'refund')[n % 2]}\n" for n in range(60)
)


@pytest.fixture
def client(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> TestClient:
    monkeypatch.setenv("TUNEWISE_CACHE", str(tmp_path / "cache"))  # no tokenizer: quicker
    (tmp_path / "desk").mkdir()
    return desk_client(tmp_path / "desk")


def drop(client: TestClient, *files: tuple[str, str | bytes], **fields: str) -> tuple[int, str]:
    """The status, and where it leads or what it says."""
    sent = [("files", (name, content)) for name, content in files]
    answer = client.post("/ui/start/files", files=sent, data=fields, headers=ORIGIN)
    return answer.status_code, answer.headers.get("location", answer.text)


def done(client: TestClient, path: str) -> str:
    """The page once what was begun has ended."""
    end = time.monotonic() + 120
    while "hx-trigger" in (text := client.get(path).text):
        assert time.monotonic() < end
        time.sleep(0.1)
    return text


def test_a_table_becomes_a_project_with_what_was_found_and_why(
    client: TestClient, tmp_path: Path
) -> None:
    status, place = drop(client, ("my mail.csv", TABLE))
    folder = tmp_path / "desk" / "my-mail"
    assert (status, place) == (303, f"/ui/projects/{id_of(folder)}/data")
    assert load_project(folder).data.input == "message"
    text = client.get(place).text
    assert "named like an input" in text
    assert "classification" in text
    assert [path.name for path in (tmp_path / "desk").iterdir()] == ["my-mail"]


def test_sheets_of_excel_become_rows(client: TestClient, tmp_path: Path) -> None:
    book = Workbook()
    for line in TABLE.splitlines():
        book.worksheets[0].append(line.split(","))
    raw = io.BytesIO()
    book.save(raw)
    status, _ = drop(client, ("mail.xlsx", raw.getvalue()), name="shop")
    assert status == 303
    assert (tmp_path / "desk" / "shop" / "mail.csv").read_text().splitlines() == TABLE.splitlines()


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("../outside", "cannot be the name"),
        ("/etc", "cannot be the name"),
        (".hidden", "cannot be the name"),
        ("a\0b", "cannot be the name"),
        ("a/b", "cannot be the name"),
        ("x" * 200, "cannot be the name"),
        ("taken", "is there already"),
    ],
)
def test_a_project_goes_nowhere_else_and_over_nothing(
    client: TestClient, tmp_path: Path, name: str, said: str
) -> None:
    (tmp_path / "desk" / "taken").mkdir()
    status, text = drop(client, ("rows.csv", TABLE), name=name)
    assert (status, said in text) == (400, True)
    assert [path.name for path in (tmp_path / "desk").iterdir()] == ["taken"]


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("../../etc/passwd.csv", "passwd.csv"),
        ("C:\\data\\rows.csv", "rows.csv"),
        (".tunewise.toml", "tunewise.toml"),
        ("a;rm -rf $HOME`.csv", "a_rm -rf _HOME_.csv"),
        ("é ü.jsonl", "é ü.jsonl"),
        ("x" * 300 + ".csv", "x" * 96 + ".csv"),
    ],
)
def test_names_of_files_lose_what_could_lead_elsewhere(given: str, kept: str) -> None:
    assert safe_file_name(given) == kept


def test_a_file_without_a_name_is_told() -> None:
    with pytest.raises(UserError, match="Rename it"):
        safe_file_name("///..")


def test_files_that_hold_no_examples_are_told_and_leave_nothing(
    client: TestClient, tmp_path: Path
) -> None:
    status, text = drop(client, ("note.md", "# Only prose"), ("old.xls", b"\xd0\xcf\x11"))
    assert status == 400
    assert "holds no examples" in text
    assert str(tmp_path) not in text
    assert list((tmp_path / "desk").iterdir()) == []


@pytest.mark.parametrize(
    ("files", "said"),
    [
        ([("a.csv", TABLE), ("x/a.csv", TABLE)], "Two files are called a.csv"),
        ([(f"{n}.csv", "a") for n in range(51)], "no more than 50"),
        ([("tunewise.toml", "[data]"), ("a.csv", TABLE)], "exists already"),
    ],
)
def test_what_cannot_be_taken_together_is_told(
    client: TestClient, tmp_path: Path, files: list[tuple[str, str]], said: str
) -> None:
    status, text = drop(client, *files)
    assert (status, said in text) == (400, True)
    assert list((tmp_path / "desk").iterdir()) == []


def test_files_too_large_are_told(
    client: TestClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(uploads, "MAX_BYTES", 1_000)
    status, text = drop(client, ("a.csv", TABLE))
    assert (status, "Copy them into a folder" in text) == (400, True)
    assert list((tmp_path / "desk").iterdir()) == []


def test_a_folder_is_named_where_it_lies_below_a_known_one(
    client: TestClient, tmp_path: Path
) -> None:
    own, other = tmp_path / "desk" / "mail", tmp_path / "other"
    for folder in (own, other):
        folder.mkdir()
        (folder / "rows.csv").write_text(TABLE)
    (tmp_path / "desk" / "link").symlink_to(other)
    for named in ("../other", str(other), "link", "nowhere", "mail/rows.csv", "a\0"):
        answer = client.post("/ui/start/folder", data={"folder": named}, headers=ORIGIN)
        assert answer.status_code == 400, named
    assert not (other / "tunewise.toml").exists()
    for _ in range(2):  # a project already: it is shown
        answer = client.post("/ui/start/folder", data={"folder": "mail"}, headers=ORIGIN)
        assert answer.headers["location"] == f"/ui/projects/{id_of(own)}/data"
    assert (own / "tunewise.toml").is_file()


@pytest.mark.parametrize(
    "path",
    [
        "/ui/start/files",
        "/ui/start/folder",
        *(f"/ui/projects/0/{what}" for what in ("check", "repair", "repaired", "settings")),
    ],
)
def test_only_a_page_of_this_server_changes_something(client: TestClient, path: str) -> None:
    assert client.post(path).status_code == 403


def test_texts_of_a_file_are_text(client: TestClient) -> None:
    rows = TABLE.replace("parcel 3 ", HOSTILE.replace(",", " ") + " ")
    _, place = drop(client, ("rows.csv", rows), ("prompt.md", HOSTILE))
    text = client.get(place).text
    assert "onerror" in text
    assert "<img" not in text
    assert "<iframe" not in text


# --- Findings -------------------------------------------------------------------------------------


@pytest.fixture
def faulty(tmp_path: Path) -> Path:
    rows = labelled(60)
    rows += [rows[3], rows[4], {"text": "message 70", "label": "refnd"}]
    rows.append({"text": "no answer", "label": ""})
    return write_project(tmp_path / "desk" / "mail", rows)


def test_findings_stand_row_by_row_with_their_repair_and_what_is_ticked_is_repaired(
    client: TestClient, faulty: Path
) -> None:
    there = f"/ui/projects/{id_of(faulty)}"
    assert "Not checked yet" in client.get(f"{there}/findings").text
    client.post(f"{there}/check", headers=ORIGIN)
    text = done(client, f"{there}/findings")
    for place in ("61", "62", "63", "64"):
        assert f'value="examples.jsonl:{place}" checked' in text
    assert "repeats examples.jsonl:4" in text
    assert "corrected to" in text

    ticked = ["examples.jsonl:61", "examples.jsonl:63", "examples.jsonl:64"]
    client.post(f"{there}/repair", data={"row": ticked}, headers=ORIGIN)
    assert "A repaired copy is written" in done(client, f"{there}/findings")
    before = (faulty / "tunewise.toml").read_text()
    client.post(f"{there}/repaired", headers=ORIGIN)
    assert (faulty / "tunewise.toml").read_text() == before.replace(
        '"examples.jsonl"', '"repaired/examples.jsonl"'
    )
    rows = [
        json.loads(line)
        for line in (faulty / "repaired" / "examples.jsonl").read_text().splitlines()
    ]
    assert len(rows) == 62  # one repetition and the row without an answer are gone
    assert rows[-1] == {"text": "message 70", "label": "refund"}
    assert "1 of 62" not in done(client, f"{there}/findings")
    assert len((faulty / "examples.jsonl").read_text().splitlines()) == 64


def test_a_file_that_cannot_be_read_is_told_with_its_line(client: TestClient, faulty: Path) -> None:
    (faulty / "examples.jsonl").write_text('{"text": "a"')
    there = f"/ui/projects/{id_of(faulty)}"
    client.post(f"{there}/check", headers=ORIGIN)
    assert "examples.jsonl:1" in done(client, f"{there}/findings")


def test_without_findings_there_is_nothing_to_choose_or_to_use(
    client: TestClient, faulty: Path
) -> None:
    there = f"/ui/projects/{id_of(faulty)}"
    for path, said in (("repair", "no findings"), ("repaired", "no repaired copy")):
        answer = client.post(f"{there}/{path}", headers=ORIGIN)
        assert (answer.status_code, said in answer.text) == (400, True)
