"""Uploaded files, by the official client."""

import errno
import hashlib
from collections.abc import Generator

import httpx2
import pytest
from openai import APIStatusError, BadRequestError, NotFoundError, OpenAI

from job_rows import chat_rows, jsonl
from served_jobs import served
from tunewise.serving.jobs import files as file_store
from tunewise.serving.jobs import routes_files
from tunewise.serving.jobs.service import Jobs

ROWS = jsonl(chat_rows(3))


@pytest.fixture
def client(jobs: Jobs) -> Generator[OpenAI]:
    with served(jobs, {}) as found:
        yield found


def test_a_file_comes_back_as_it_was_sent(client: OpenAI, jobs: Jobs) -> None:
    made = client.files.create(file=("rows.jsonl", ROWS), purpose="fine-tune")
    assert (made.filename, made.bytes, made.purpose) == ("rows.jsonl", len(ROWS), "fine-tune")
    assert made.status == "processed"
    assert client.files.retrieve(made.id) == made
    assert client.files.content(made.id).content == ROWS
    stored = jobs.files.find(made.id)
    assert stored is not None
    assert stored.sha256 == hashlib.sha256(ROWS).hexdigest()
    assert list(jobs.files.incoming.iterdir()) == []


def test_lists_are_paged(client: OpenAI) -> None:
    made = [client.files.create(file=ROWS, purpose="fine-tune").id for _ in range(5)]
    assert [one.id for one in client.files.list(limit=2)] == made[::-1]
    assert [one.id for one in client.files.list(limit=2, order="asc")] == made
    page = client.files.list(limit=2, after=made[2])
    assert [one.id for one in page.data] == [made[1], made[0]]
    assert page.has_more is False
    assert client.files.list(purpose="fine-tune-results").data == []


def test_a_deleted_file_is_gone(client: OpenAI, jobs: Jobs) -> None:
    made = client.files.create(file=ROWS, purpose="fine-tune")
    assert client.files.delete(made.id).deleted is True
    for ask in (client.files.retrieve, client.files.content, client.files.delete):
        with pytest.raises(NotFoundError, match=made.id):
            ask(made.id)
    assert not jobs.files.path(made.id).exists()


def test_the_name_of_a_file_leads_nowhere(client: OpenAI, jobs: Jobs) -> None:
    for name in ("../../etc/passwd", "..\\..\\passwd", "/etc/passwd", "a/passwd"):
        made = client.files.create(file=(name, ROWS), purpose="fine-tune")
        assert made.filename == "passwd"
        assert jobs.files.path(made.id).parent == jobs.files.folder
    for wanted in ("..%2F..%2Fjobs.sqlite3", "%2e%2e", "incoming"):
        answer = httpx2.get(f"{client.base_url}files/{wanted}/content")
        assert answer.status_code == 404


def refusal(client: OpenAI, **form: object) -> dict[str, object]:
    """The error of a form that is no good."""
    answer = httpx2.post(f"{client.base_url}files", **form)  # type: ignore[arg-type]
    assert answer.status_code == 400, answer.text
    return answer.json()["error"]


def test_another_purpose_is_refused(client: OpenAI) -> None:
    with pytest.raises(BadRequestError) as refused:
        client.files.create(file=ROWS, purpose="batch")
    assert refused.value.param == "purpose"
    assert refused.value.code == "invalid_purpose"


def test_a_form_that_lacks_something_or_has_too_much_names_it(client: OpenAI, jobs: Jobs) -> None:
    file, purpose = {"file": ("a.jsonl", ROWS)}, {"purpose": "fine-tune"}
    assert refusal(client, files=file)["param"] == "purpose"
    assert refusal(client, data=purpose, files={"other": ("a", ROWS)})["param"] == "file"
    assert refusal(client, data={**purpose, "x": "1"}, files=file)["param"] == "x"
    assert refusal(client, data=purpose, files={"file": ("a.jsonl", b"")})["code"] == "empty_file"
    two = [("file", ("a", ROWS)), ("file", ("b", ROWS))]
    assert refusal(client, data=purpose, files=two)["param"] == "file"
    assert "multipart/form-data" in str(refusal(client, json={"file": "x"})["message"])
    headers = {"content-type": "multipart/form-data; boundary=x"}
    assert "form" in str(refusal(client, content=b"no form", headers=headers)["message"])
    assert list(jobs.files.incoming.iterdir()) == []
    assert client.files.list().data == []


def test_expiry_is_not_promised(client: OpenAI) -> None:
    with pytest.raises(BadRequestError) as refused:
        client.files.create(
            file=ROWS,
            purpose="fine-tune",
            expires_after={"anchor": "created_at", "seconds": 3600},
        )
    assert str(refused.value.param).startswith("expires_after")


@pytest.mark.parametrize("size", [2_000_001, 12_000_000])
def test_a_file_that_is_too_large_is_told_so_and_leaves_nothing(
    client: OpenAI, jobs: Jobs, size: int
) -> None:
    with pytest.raises(APIStatusError) as refused:
        client.files.create(file=b"x" * size, purpose="fine-tune")
    assert refused.value.status_code == 413
    assert refused.value.code == "file_too_large"
    assert list(jobs.files.incoming.iterdir()) == []
    assert client.files.list().data == []


def test_an_upload_of_unknown_length_is_limited_as_well(client: OpenAI) -> None:
    head = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'

    def chunks() -> Generator[bytes]:
        yield head
        for _ in range(40):
            yield b"x" * 100_000

    answer = httpx2.post(
        f"{client.base_url}files",
        content=chunks(),
        headers={"content-type": "multipart/form-data; boundary=x"},
    )
    assert answer.status_code == 413


def test_so_many_files_are_kept_and_no_more(
    client: OpenAI, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(routes_files, "MAX_FILES", 1)
    client.files.create(file=ROWS, purpose="fine-tune")
    with pytest.raises(APIStatusError) as refused:
        client.files.create(file=ROWS, purpose="fine-tune")
    assert (refused.value.status_code, refused.value.code) == (413, "too_many_files")


def test_so_many_rows_are_taken_and_no_more(
    client: OpenAI, jobs: Jobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(routes_files, "MAX_ROWS", 3)
    client.files.create(file=ROWS, purpose="fine-tune")
    with pytest.raises(APIStatusError, match="has 4 lines") as refused:
        client.files.create(file=ROWS + b"{}\n", purpose="fine-tune")
    assert (refused.value.status_code, refused.value.code) == (413, "too_many_rows")
    assert list(jobs.files.incoming.iterdir()) == []
    assert len(client.files.list().data) == 1


@pytest.mark.parametrize("place", ["file_sha256", "sync", "_insert"])
def test_a_full_disk_is_told_and_leaves_nothing(
    client: OpenAI, jobs: Jobs, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    kept = client.files.create(file=ROWS, purpose="fine-tune")

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as disk:
        disk.setattr(file_store, place, full)
        with pytest.raises(APIStatusError) as refused:
            client.files.create(file=ROWS, purpose="fine-tune")
    assert refused.value.status_code == 507
    assert refused.value.code == "disk_full"
    assert list(jobs.files.incoming.iterdir()) == []
    assert [path.name for path in jobs.files.folder.iterdir() if path.is_file()] == [kept.id]
    assert client.files.content(kept.id).content == ROWS
    assert client.files.create(file=ROWS, purpose="fine-tune").status == "processed"
