"""Rules of the house that no linter has: exceptions to a rule name it, and files stay readable."""

import ast
import io
import re
import tokenize
from pathlib import Path

import pytest

from tunewise.project.contenders import BUILT_IN, simplicity
from tunewise.project.settings import CONTENDERS

ROOT = Path(__file__).parents[1]
SOURCES = sorted((ROOT / "src").rglob("*.py"))
TESTS = sorted((ROOT / "tests").rglob("*.py"))
MAX_FILE = 500
"""Lines."""

BLANKET = re.compile(
    r"type:\s*ignore(?!\[[\w-]+)"
    r"|pyright:\s*(ignore(?!\[\w+)|basic|report\w+\s*=\s*false)"
    r"|noqa(?!:\s*[A-Z]+[0-9]+)"
    r"|(ruff|flake8):\s*noqa"
)
WORDLESS_IMPORT = re.compile(r"noqa:\s*PLC0415\W*$")


def comments(source: str) -> dict[int, str]:
    """The comment on each line that has one."""
    tokens = tokenize.generate_tokens(io.StringIO(source).readline)
    return {t.start[0]: t.string for t in tokens if t.type == tokenize.COMMENT}


def blanket_ignores(source: str) -> list[int]:
    """Lines that silence a checker without naming the rule."""
    return [line for line, text in comments(source).items() if BLANKET.search(text)]


def unexplained_late_imports(source: str) -> list[int]:
    """Lines that excuse an import inside a function without saying why."""
    return [line for line, text in comments(source).items() if WORDLESS_IMPORT.search(text)]


def catches_everything(handler: ast.ExceptHandler) -> bool:
    """Whether it catches any exception and does not end in raising it again."""
    caught = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    names = {getattr(kind, "id", None) if kind else "BaseException" for kind in caught}
    last = handler.body[-1]
    passed_on = isinstance(last, ast.Raise) and last.exc is None
    return bool(names & {"Exception", "BaseException"}) and not passed_on


def unexplained_catches(source: str) -> list[int]:
    """Lines that catch every exception, keep it, and give no reason of at least two words."""
    said = comments(source)
    return [
        node.lineno
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.ExceptHandler)
        and catches_everything(node)
        and len(re.sub(r"#|noqa: \w+|\W-\W", " ", said.get(node.lineno, "")).split()) < 2
    ]


def where(files: list[Path], rule: object) -> list[str]:
    """`file:line` of every fault that the rule finds."""
    assert callable(rule)
    return [f"{path.relative_to(ROOT)}:{line}" for path in files for line in rule(path.read_text())]


def test_every_ignore_names_the_rule_that_it_ignores() -> None:
    assert where(SOURCES + TESTS, blanket_ignores) == []


def test_every_import_inside_a_function_says_why() -> None:
    assert where(SOURCES, unexplained_late_imports) == []


def test_whoever_catches_every_exception_says_why() -> None:
    assert where(SOURCES + TESTS, unexplained_catches) == []


def test_no_source_file_is_too_long_to_read() -> None:
    lines = {p.relative_to(ROOT).as_posix(): len(p.read_text().splitlines()) for p in SOURCES}
    assert {name: n for name, n in lines.items() if n > MAX_FILE} == {}


def test_every_contender_has_its_place_and_its_everyday_words() -> None:
    assert [simplicity(name) for name in CONTENDERS] == list(range(len(CONTENDERS)))
    words = {BUILT_IN[name].in_words for name in CONTENDERS}
    assert len(words - {""}) == len(CONTENDERS)


@pytest.mark.parametrize(
    ("comment", "silences_all"),
    [
        ("# type: ignore", True),
        ("# type: ignore[arg-type]", False),
        ("# pyright: ignore", True),
        ("# pyright: basic", True),
        ("# pyright: ignore[reportUnknownMemberType]", False),
        ("# noqa", True),
        ("# noqa: S101 - narrows the type", False),
        ("# ruff: noqa", True),
    ],
)
def test_an_ignore_is_blanket_when_it_names_no_rule(comment: str, silences_all: bool) -> None:
    assert blanket_ignores(f"x = 1  {comment}\n") == ([1] if silences_all else [])


@pytest.mark.parametrize(
    ("handler", "wanting"),
    [
        ("except Exception:\n    pass", True),
        ("except:\n    pass", True),
        ("except (OSError, Exception):\n    pass", True),
        ("except Exception:  # noqa: BLE001\n    pass", True),
        ("except Exception:  # noqa: BLE001 - boundary around one request\n    pass", False),
        ("except BaseException:\n    clean()\n    raise", False),
        ("except OSError:\n    pass", False),
    ],
)
def test_a_catch_of_everything_needs_a_reason(handler: str, wanting: bool) -> None:
    assert unexplained_catches(f"try:\n    act()\n{handler}\n") == ([3] if wanting else [])


def test_a_late_import_is_explained_by_words_after_the_rule() -> None:
    assert unexplained_late_imports("import a  # noqa: PLC0415\n") == [1]
    assert unexplained_late_imports("import a  # noqa: PLC0415 - extra `pdf`\n") == []
