"""From files that are dropped to a project that can run: what is taken, found, repaired and set."""

import io
import json
import os
from collections.abc import Sequence
from pathlib import Path

import pytest
from openpyxl import Workbook
from starlette.testclient import TestClient

from command_line import tunewise
from decide_projects import labelled, write_project
from desk_pages import ORIGIN, desk_client
from html_pages import HOSTILE
from tunewise.desk import uploads
from tunewise.desk.places import id_of
from tunewise.desk.spawn import Children, Spawned
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


class Begun:
    """What pages began: it runs in this process, when `end` is called."""

    def __init__(self) -> None:
        self.waiting: list[tuple[Sequence[str], Path, Path]] = []

    def spawn(
        self, words: Sequence[str], *, folder: Path, log: Path, out: Path | None = None
    ) -> Spawned:
        assert out is not None
        log.parent.mkdir(parents=True, exist_ok=True)
        self.waiting.append((words, log, out))
        return Spawned(pid=os.getpid(), created=0.0)

    def alive(self, one: Spawned) -> bool:
        return bool(self.waiting)

    def end(self) -> list[str]:
        """Runs the command that is waiting; its words."""
        [(words, log, out)] = self.waiting
        ended = tunewise(*words)
        out.write_text(ended.out)
        log.write_text(ended.err)
        self.waiting.clear()
        return list(words)


@pytest.fixture
def begun(monkeypatch: pytest.MonkeyPatch) -> Begun:
    found = Begun()
    monkeypatch.setattr(Children, "spawn", lambda _, words, **where: found.spawn(words, **where))
    monkeypatch.setattr(Children, "alive", lambda _, one: found.alive(one))
    return found


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
    client: TestClient, faulty: Path, begun: Begun
) -> None:
    there = f"/ui/projects/{id_of(faulty)}"
    assert "Not checked yet" in client.get(f"{there}/findings").text
    client.post(f"{there}/check", headers=ORIGIN)
    assert "<h1>Checking</h1>" in client.get(f"{there}/findings").text
    again = client.post(f"{there}/check", headers=ORIGIN)
    assert (again.status_code, "being done already" in again.text) == (400, True)
    assert begun.end() == ["check", str(faulty), "--json"]
    text = client.get(f"{there}/findings").text
    for place in ("61", "62", "63", "64"):
        assert f'value="examples.jsonl:{place}" checked' in text
    assert "repeats examples.jsonl:4" in text
    assert "corrected to" in text

    ticked = ["examples.jsonl:61", "examples.jsonl:63", "examples.jsonl:64"]
    client.post(f"{there}/repair", data={"row": ticked}, headers=ORIGIN)
    assert begun.end()[2:] == [
        *("--fix", str(faulty / "repaired"), "--json", "--keep", "examples.jsonl:62")
    ]
    assert "A repaired copy is written" in client.get(f"{there}/findings").text
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
    begun.end()
    assert "62 rows can be used" in client.get(f"{there}/findings").text
    assert len((faulty / "examples.jsonl").read_text().splitlines()) == 64


def test_a_file_that_cannot_be_read_is_told_with_its_line(
    client: TestClient, faulty: Path, begun: Begun
) -> None:
    (faulty / "examples.jsonl").write_text('{"text": "a"')
    there = f"/ui/projects/{id_of(faulty)}"
    client.post(f"{there}/check", headers=ORIGIN)
    begun.end()
    assert "<code>examples.jsonl:1</code>" in client.get(f"{there}/findings").text


def test_findings_of_other_settings_are_said_to_be_so(
    client: TestClient, faulty: Path, begun: Begun
) -> None:
    there = f"/ui/projects/{id_of(faulty)}"
    client.post(f"{there}/check", headers=ORIGIN)
    begun.end()
    assert "have changed since" not in client.get(f"{there}/findings").text
    with (faulty / "tunewise.toml").open("a") as file:
        file.write("# one more remark\n")
    assert "have changed since" in client.get(f"{there}/findings").text


def test_without_findings_there_is_nothing_to_choose_or_to_use(
    client: TestClient, faulty: Path
) -> None:
    there = f"/ui/projects/{id_of(faulty)}"
    for path, said in (("repair", "no findings"), ("repaired", "no repaired copy")):
        answer = client.post(f"{there}/{path}", headers=ORIGIN)
        assert (answer.status_code, said in answer.text) == (400, True)
