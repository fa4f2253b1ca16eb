"""What the pages show is true: commands parse, snippets run, the site asks nobody for anything."""

import json
import re
import shlex
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import typer
import typer.main
from typer.core import TyperGroup
from typer.exceptions import TyperException

from html_pages import Page, chromium, requests_made_by
from http_serving import serving
from places import ROOT
from tunewise.cli import app
from tunewise.project.load import load_project
from tunewise.project.settings import STARTER_MODEL
from tunewise.serving.http.contents import ContentLog
from tunewise.serving.jobs.service import open_jobs

PAGES = sorted(
    [
        *ROOT.glob("*.md"),
        *(ROOT / "docs").rglob("*.md"),
        *(ROOT / "examples").glob("*/README.md"),
        *(ROOT / "benchmarks").glob("*.md"),
        *(ROOT / ".github").rglob("*.md"),
    ]
)
LANGUAGES = {"bash", "python", "toml", "json", "text", "yaml"}


@dataclass(frozen=True)
class Snippet:
    """A fenced block of a page."""

    page: Path
    line: int
    language: str
    text: str

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


def snippets() -> list[Snippet]:
    found: list[Snippet] = []
    for page in PAGES:
        text = page.read_text()
        for fence in re.finditer(r"^( *)```(\w*)\n(.*?)^\1```$", text, re.MULTILINE | re.DOTALL):
            line = text.count("\n", 0, fence.start()) + 1
            found.append(Snippet(page, line, fence[2], fence[3]))
    return found


def of(language: str) -> list[Snippet]:
    return [one for one in snippets() if one.language == language]


def commands(snippet: Snippet) -> list[list[str]]:
    """The words of each command of a shell block, without comments."""
    joined = snippet.text.replace("\\\n", " ")
    return [words for line in joined.splitlines() if (words := shlex.split(line, comments=True))]


def parse(words: list[str]) -> None:
    """Parses `tunewise WORDS` by the real command line and runs nothing."""
    command = typer.main.get_command(app)
    rest = list(words)
    while isinstance(command, TyperGroup) and rest and not rest[0].startswith("-"):
        name = rest.pop(0)
        if name not in command.commands:
            raise typer.BadParameter(f"there is no command {name}")
        command = command.commands[name]
    command.make_context("tunewise", rest)


def test_every_block_says_its_language() -> None:
    assert {str(one): one.language for one in snippets() if one.language not in LANGUAGES} == {}


@pytest.mark.parametrize("snippet", of("bash"), ids=str)
def test_commands_exist_with_their_options(snippet: Snippet) -> None:
    targets = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    for words in commands(snippet):
        if "tunewise" in words:
            parse(words[words.index("tunewise") + 1 :])
        elif words[0] == "make":
            assert {word for word in words[1:] if "=" not in word} <= set(targets)
        else:
            files = [word for word in words if re.search(r"^(benchmarks|tests)/", word)]
            assert all((ROOT / file.partition("::")[0]).exists() for file in files), words


def test_this_check_would_notice_an_option_that_is_gone() -> None:
    with pytest.raises(TyperException):
        parse(["decide", "support/", "--no-such-option"])
    with pytest.raises(TyperException):
        parse(["decides"])


def test_commands_named_in_sentences_exist() -> None:
    names = set(typer.main.get_command(app).commands)  # pyright: ignore[reportAttributeAccessIssue]
    for page in PAGES:
        said = set(re.findall(r"`tunewise ([a-z]+)", page.read_text()))
        assert said <= names, f"{page}: {said - names}"


@pytest.mark.parametrize("snippet", of("toml"), ids=str)
def test_settings_load(snippet: Snippet, tmp_path: Path) -> None:
    (tmp_path / "tunewise.toml").write_text(snippet.text)
    named = tomllib.loads(snippet.text)["data"]["examples"]
    (tmp_path / named).parent.mkdir(exist_ok=True)
    (tmp_path / named).write_text('{"text": "hello", "label": "greeting"}\n')
    if documents := tomllib.loads(snippet.text)["data"].get("documents"):
        (tmp_path / documents).mkdir()
    if gate := tomllib.loads(snippet.text)["data"].get("gate"):
        (tmp_path / gate).write_text('{"text": "bye", "label": "farewell"}\n')
    assert load_project(tmp_path).data.examples


def test_documents_parse() -> None:
    for snippet in of("json"):
        assert json.loads(snippet.text), snippet


@contextmanager
def with_server(text: str) -> Iterator[str]:
    """The text, with a server at the address that it asks, if it asks one.

    It logs contents, and takes jobs that no worker looks at.
    """
    if "127.0.0.1:8642" not in text:
        yield text
        return
    with (
        TemporaryDirectory() as folder,
        closing(open_jobs(home=Path(folder) / "jobs")) as jobs,
        serving(
            contents=ContentLog(Path(folder) / "log"),
            routers=jobs.routers(lambda: {STARTER_MODEL: STARTER_MODEL}),
            upload_paths=["/v1/files"],
        ) as running,
    ):
        yield text.replace("127.0.0.1:8642", f"127.0.0.1:{running.port}")


@pytest.mark.slow
@pytest.mark.parametrize("snippet", of("python"), ids=str)
def test_programs_run(snippet: Snippet, tmp_path: Path) -> None:
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    with with_server(snippet.text) as text:
        done = subprocess.run(
            [sys.executable, "-c", text], cwd=tmp_path, capture_output=True, text=True
        )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("snippet", of("python"), ids=str)
def test_programs_compile(snippet: Snippet) -> None:
    compile(snippet.text, str(snippet), "exec")


def test_the_tree_of_the_readme_is_that_of_the_sources() -> None:
    tree = (ROOT / "README.md").read_text().partition("src/tunewise/\n")[2].partition("```")[0]
    rooms = [path.parent.name for path in (ROOT / "src" / "tunewise").glob("*/__init__.py")]
    assert re.findall(r"^  (\w+)/", tree, re.MULTILINE) == sorted(rooms)


def test_pages_that_are_pointed_to_exist() -> None:
    for page in PAGES:
        for link in re.findall(r"\]\(([^)#\s]+)", page.read_text()):
            assert link.startswith("http") or (page.parent / link).exists(), f"{page}: {link}"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder


def test_no_page_of_the_site_takes_anything_from_elsewhere(site: Path) -> None:
    pages = sorted(site.rglob("*.html"))
    assert len(pages) > 7
    for page in pages:
        for tag, attributes in Page(page.read_text()).elements:
            taken = attributes.get("href") if tag == "link" else attributes.get("src")
            assert not re.match(r"(https?:)?//", taken or ""), f"{page.name}: {tag} {taken}"
    for style in site.rglob("*.css"):
        assert not re.search(r"(url\(|@import)\W*(https?:)?//", style.read_text()), style


def test_a_browser_asks_for_nothing_but_the_site(site: Path, tmp_path: Path) -> None:
    chromium()
    asked = requests_made_by(site / "index.html", tmp_path / "profile")
    assert [url for url in asked if not url.startswith(("file:", "data:"))] == []
