"""What docs/security.md promises: its tests exist, and what no test of a package shows is here."""

import ast
import re
import socket
import threading
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from packaging.version import Version

from http_serving import Served, serving
from job_rows import chat_rows, jsonl
from places import ROOT
from tunewise.serving.jobs.service import open_jobs

TABLE = (ROOT / "docs" / "security.md").read_text().partition("|---|---|---|---|\n")[2]
ROWS = [line for line in TABLE.splitlines() if line.startswith("|")]
SOURCES = sorted((ROOT / "src").rglob("*.py"))
UNPICKLING = {
    "pickle",
    "cPickle",
    "marshal",
    "shelve",
    "dill",
    "cloudpickle",
    "joblib",
    "jsonpickle",
}
CALLS = {
    "eval",
    "exec",
    "os.system",
    "os.popen",
    "torch.load",
    "yaml.load",
    "yaml.unsafe_load",
    "np.load",
    "numpy.load",
    "shutil.unpack_archive",
    "subprocess.getoutput",
}
SIGNS = re.compile(
    "|".join(
        [*UNPICKLING, "extractall", "shell", "trust_remote_code"]
        + [re.escape(f"{call.rpartition('.')[2]}(") for call in CALLS]
    )
)
"""Without one of them a source is not worth a look."""
FIRST_SAFE = {"jinja2": "3.1.6", "starlette": "1.0.1"}


def functions_of(file: Path) -> set[str]:
    """`test_a`, or `TestB::test_a` within a class."""
    found: set[str] = set()
    for node in ast.parse(file.read_text()).body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            found.add(node.name)
        elif isinstance(node, ast.ClassDef):
            found |= {f"{node.name}::{one.name}" for one in node.body if hasattr(one, "name")}
    return found


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.split("|")[1].strip())
def test_every_threat_has_tests_and_they_exist(row: str) -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)::([\w:]+)`", row)
    assert named
    assert row.count("::") == len(named)
    for file, test in named:
        assert (ROOT / file).is_file(), file
        assert test in functions_of(ROOT / file), f"{file}::{test}"


def dotted(node: ast.AST) -> str:
    """`a.b` of what is called; `.b` where something else than a name has it."""
    if isinstance(node, ast.Attribute):
        return f"{dotted(node.value)}.{node.attr}"
    return node.id if isinstance(node, ast.Name) else ""


def faults_of(tree: ast.AST) -> Iterator[str]:
    """What a source does that could run what it reads."""
    for node in ast.walk(tree):
        imported = [one.name for one in node.names] if isinstance(node, ast.Import) else []
        if isinstance(node, ast.ImportFrom):
            imported.append(node.module or "")
        yield from (f"imports {one}" for one in imported if one.split(".")[0] in UNPICKLING)
        if not isinstance(node, ast.Call):
            continue
        called = dotted(node.func)
        on = {one.arg for one in node.keywords if getattr(one.value, "value", True) is not False}
        off = {one.arg for one in node.keywords} - on
        if called in CALLS and "allow_pickle" not in off:
            yield f"calls {called}"
        if called.endswith(".extractall"):  # it writes where a member of the archive says
            yield f"calls {called}"
        yield from (f"calls {called} with {one}" for one in on & {"shell", "trust_remote_code"})


def test_no_source_unpickles_or_runs_what_it_reads() -> None:
    assert len(SOURCES) > 100
    found = {
        str(file.relative_to(ROOT)): faults
        for file in SOURCES
        if SIGNS.search(text := file.read_text()) and (faults := list(faults_of(ast.parse(text))))
    }
    assert found == {}


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from joblib import load",
        "torch.load(f)",
        "eval(text)",
        "archive.extractall(folder)",
        "subprocess.run(text, shell=True)",
        "load(name, trust_remote_code=flag)",
        "np.load(file)",
    ],
)
def test_this_check_would_notice(source: str) -> None:
    assert SIGNS.search(source)
    assert list(faults_of(ast.parse(source)))


LOCKED = re.compile(
    r"^([\w.-]+)(?:\[[\w,]+\])?==(\S+)[^\n]*\\\n((?: +--hash=sha256:[0-9a-f]{64}(?: \\)?\n)+)", re.M
)
LOCKS = ["requirements.lock", "deploy/requirements.lock"]


@pytest.mark.parametrize("name", LOCKS)
def test_every_package_is_locked_by_hash(name: str) -> None:
    text = (ROOT / name).read_text()
    wanted = [line for line in text.splitlines() if line[:1].isalnum()]
    assert len(wanted) > 50
    assert len(LOCKED.findall(text)) == len(wanted)


@pytest.mark.parametrize("name", LOCKS)
def test_what_guards_us_is_locked_at_a_version_that_does(name: str) -> None:
    versions = {
        package: version for package, version, _ in LOCKED.findall((ROOT / name).read_text())
    }
    for package, first in FIRST_SAFE.items():
        assert Version(versions[package]) >= Version(first), package
    wanted = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    assert f"jinja2>={FIRST_SAFE['jinja2']}" in wanted


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    jobs = open_jobs(home=tmp_path / "jobs")
    routers = jobs.routers(lambda: {"base": "base"})
    with serving(routers=routers, upload_paths=["/v1/files"]) as running:
        yield running
    jobs.close()


@pytest.fixture
def elsewhere() -> Iterator[tuple[str, list[bytes]]]:
    """The address of a server of somebody else, and what it was asked."""
    asked: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def listen() -> None:
            while True:
                try:
                    connection, _ = listening.accept()
                except OSError:
                    return
                with connection:
                    asked.append(connection.recv(65536))

        thread = threading.Thread(target=listen)
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/x", asked
        listening.shutdown(socket.SHUT_RDWR)
        thread.join(10)


def test_no_address_in_a_request_is_ever_called(
    served: Served, elsewhere: tuple[str, list[bytes]]
) -> None:
    url, asked = elsewhere

    def turn(content: object) -> list[dict[str, object]]:
        return [{"role": "user", "content": content}]

    chats: list[dict[str, Any]] = [
        {"messages": turn([{"type": "image_url", "image_url": {"url": url}}])},
        {"messages": turn([{"type": "file", "file": {"file_id": url}}])},
        {"messages": turn("hello"), "model": url},
        {"messages": turn("hello"), "web_search_options": {"url": url}},
    ]
    jobs: list[dict[str, Any]] = [{"model": url}, {"training_file": url}, {"validation_file": url}]
    with served.http(timeout=30) as http:
        upload = {"file": ("a.jsonl", jsonl(chat_rows(3)))}
        form = {"purpose": "fine-tune"}
        file = http.post("/v1/files", data=form, files=upload).json()["id"]
        answers = [
            http.post("/v1/chat/completions", json={"model": "base", **one}) for one in chats
        ]
        answers += [
            http.post("/v1/fine_tuning/jobs", json={"model": "base", "training_file": file, **one})
            for one in (
                *jobs,
                {"integrations": [{"type": "wandb", "wandb": {"project": url}}]},
                {"method": {"type": "reinforcement", "reinforcement": {"grader": {"url": url}}}},
            )
        ]
        answers.append(http.post("/v1/embeddings", json={"model": url, "input": url}))
        answers.append(http.post("/v1/files", data={**form, "url": url}, files=upload))
        # A text may hold an address; nobody goes there.
        told = http.post("/v1/chat/completions", json={"model": "base", "messages": turn(url)})
    assert {answer.status_code for answer in answers} <= {400, 404}, [one.text for one in answers]
    assert told.status_code == 200
    assert asked == []


def test_a_request_brings_no_template(served: Served) -> None:
    body = {"model": "base", "messages": [{"role": "user", "content": "{{ 7 * 7 }}"}]}
    with served.http() as http:
        for field in ("chat_template", "chat_template_kwargs"):
            refused = http.post("/v1/chat/completions", json={**body, field: "{{ 7 * 7 }}"})
            assert (refused.status_code, refused.json()["error"]["param"]) == (400, field)
        said = http.post("/v1/chat/completions", json=body).json()
    assert said["choices"][0]["message"]["content"] == "{{ 7 * 7 }}"
