import json
import sys
from pathlib import Path

import pytest

from tunewise.errors import UserError
from tunewise.metrics.by_name import metric_named


def write_metric(folder: Path, source: str) -> Path:
    (folder / "my_metric.py").write_text(source, encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    ("result", "value"),
    [
        ("numpy.bool_(True)", 1.0),
        ("numpy.float32(0.5)", 0.5),
        ("numpy.int64(0)", 0.0),
        ("numpy.array(0.25)", 0.25),
        ("torch.tensor(0.5)", 0.5),
        ("decimal.Decimal('0.5')", 0.5),
        ("fractions.Fraction(1, 4)", 0.25),
        ("0.1 * 3 + 0.7 + 1e-16", 1.0),  # 1.0000000000000002
        ("-1e-17", 0.0),
    ],
)
def test_numbers_of_other_libraries_are_numbers_and_rounding_is_forgiven(
    tmp_path: Path, result: str, value: float
) -> None:
    # promptfoo/promptfoo#10438: what a script returns as its score, and what is none.
    source = "import decimal, fractions, numpy, torch\ndef f(answer, target): return "
    metric = metric_named("my_metric:f", folder=write_metric(tmp_path, source + result))
    assert metric.score("a", "b").value == value


@pytest.mark.parametrize("annotation", ["bool", "'bool'", "numpy.bool_"])
def test_every_way_to_annotate_a_bool_makes_a_binary_metric(
    tmp_path: Path, annotation: str
) -> None:
    source = (
        f"import numpy\ndef f(answer, target) -> {annotation}: return numpy.bool_(answer == target)"
    )
    metric = metric_named("my_metric:f", folder=write_metric(tmp_path, source))
    assert metric.binary
    assert metric.score("a", "a").value == 1


def test_an_object_that_can_be_called_is_binary_as_its_call_is_annotated(tmp_path: Path) -> None:
    source = """
class Judge:
    def __call__(self, answer, target) -> bool: return answer == target
judge = Judge()
"""
    assert metric_named("my_metric:judge", folder=write_metric(tmp_path, source)).binary


def test_what_a_metric_prints_is_not_on_stdout(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    # skillberry-ai/cap-evolve#255: a scorer that prints made the JSON on stdout unreadable.
    source = "print('loaded')\ndef f(answer, target):\n    print('judged')\n    return True"
    metric_named("my_metric:f", folder=write_metric(tmp_path, source)).score("a", "b")
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err == "loaded\njudged\n"


def test_a_module_may_hold_dataclasses_and_import_modules_beside_it(tmp_path: Path) -> None:
    (tmp_path / "beside.py").write_text("FULL = 1.0", encoding="utf-8")
    source = """
from __future__ import annotations
from dataclasses import dataclass
from beside import FULL
@dataclass
class Verdict:
    value: float
def f(answer, target): return Verdict(FULL).value
"""
    before = list(sys.path)
    assert (
        metric_named("my_metric:f", folder=write_metric(tmp_path, source)).score("", "").value == 1
    )
    assert sys.path == before


def test_a_module_of_the_project_hides_no_installed_one(tmp_path: Path) -> None:
    (tmp_path / "json.py").write_text("def f(answer, target): return 1", encoding="utf-8")
    assert metric_named("json:f", folder=tmp_path).score("a", "b").value == 1
    assert sys.modules["json"] is json


@pytest.mark.parametrize("place", ["import", "call"])
def test_a_module_that_ends_the_program_is_an_error(tmp_path: Path, place: str) -> None:
    ends = "raise SystemExit(0)"
    source = {
        "import": f"{ends}\ndef f(answer, target): return 1",
        "call": f"def f(answer, target): {ends}",
    }
    folder = write_metric(tmp_path, source[place])
    with pytest.raises(UserError, match="SystemExit"):
        metric_named("my_metric:f", folder=folder).score("a", "b")
