from dataclasses import replace
from xml.etree import ElementTree

import pytest

from tunewise.decision.gate import GateDemands, GateNumbers, GateReport, GateResult
from tunewise.report.gate import gate_junit, gate_lines, gate_markdown
from tunewise.statistics.intervals import Interval

PASSED = GateResult(
    model="models/next",
    passed=True,
    look=3,
    error=0.0016,
    repeated=False,
    chance=0.71,
    crashed=0,
    seconds=1.25,
)
FAILED = replace(PASSED, model="runs/a:few_shot", passed=False, look=4, crashed=2, seconds=2.5)
REPORT = GateReport(
    metric="accuracy",
    rows=1200,
    units=1100,
    baseline="models/release",
    demands=GateDemands(margin=0.05, floor=None),
    results=(PASSED, FAILED),
    notes=("The gate set is used up.",),
)
NUMBERS = GateNumbers(
    quality=Interval(value=0.81, low=0.77, high=0.85, p=None, method=""),
    difference=Interval(value=-0.07, low=-0.11, high=-0.03, p=0.01, method=""),
)

SUITES = {
    "testsuites": {"name", "tests", "failures", "errors", "time"},
    "testsuite": {"name", "tests", "failures", "errors", "skipped", "time"},
    "properties": set[str](),
    "property": {"name", "value"},
    "testcase": {"classname", "name", "time"},
    "failure": {"message", "type"},
    "system-out": set[str](),
}
"""The elements and attributes of the schema that Jenkins publishes, as far as they are used."""
INSIDE = {
    "testsuites": {"testsuite"},
    "testsuite": {"properties", "testcase"},
    "properties": {"property"},
    "testcase": {"failure", "system-out"},
}


def parsed(report: GateReport) -> ElementTree.Element:
    """The JUnit XML, which is as its schema says."""
    root = ElementTree.fromstring(gate_junit(report))
    assert root.tag == "testsuites"
    for element in root.iter():
        assert set(element.attrib) == SUITES[element.tag]
        assert {child.tag for child in element} <= INSIDE.get(element.tag, set())
    (suite,) = root
    for one in (root, suite):
        assert int(one.attrib["tests"]) == len(suite.findall("testcase"))
        assert int(one.attrib["failures"]) == len(suite.findall("testcase/failure"))
        seconds = sum(float(case.attrib["time"]) for case in suite.findall("testcase"))
        assert float(one.attrib["time"]) == pytest.approx(seconds)
    return root


def test_junit_has_a_case_a_model_and_a_failure_with_numbers() -> None:
    suite = parsed(REPORT)[0]
    cases = suite.findall("testcase")
    assert [case.attrib["name"] for case in cases] == ["models/next", "runs/a:few_shot"]
    assert cases[0].find("failure") is None
    failure = cases[1].find("failure")
    assert failure is not None
    assert failure.attrib["message"] == (
        "not shown to be less than 5 points worse than models/release"
    )
    assert failure.text is not None
    for number in ("look 4", "1 of 620", "71%", "2 answers crashed"):
        assert number in failure.text
    properties = {p.attrib["name"]: p.attrib["value"] for p in suite.iter("property")}
    assert properties == {
        "metric": "accuracy",
        "rows": "1200",
        "units": "1100",
        "baseline": "models/release",
        "margin": "0.05",
    }


def test_junit_stays_well_formed_whatever_a_model_is_called() -> None:
    named = replace(FAILED, model='a<b>&"c"\x1b[31m\ufffe')
    case = parsed(replace(REPORT, results=(named,))).find(".//testcase")
    assert case is not None
    assert case.attrib["name"] == 'a<b>&"c"␛[31m\ufffd'


def test_markdown_is_a_table_with_a_row_a_model() -> None:
    text = gate_markdown(REPORT)
    assert text.startswith("### Gate failed\n")
    rows = [line for line in text.splitlines() if line.startswith("|")]
    assert rows[0] == "| model | result | asked to be shown | look |"
    assert rows[2] == (
        "| models/next | ✅ passed | less than 5 points worse than models/release | look 3 |"
    )
    assert rows[3].startswith("| runs/a:few\\_shot | ❌ **failed** |")
    assert "accuracy on 1,200 rows in 1,100 units of the gate set" in text
    assert "- runs/a:few\\_shot: 2 answers crashed." in text
    assert "- The gate set is used up." in text
    assert gate_markdown(replace(REPORT, results=(PASSED,))).startswith("### Gate passed\n")


def test_a_name_cannot_break_the_table() -> None:
    text = gate_markdown(replace(REPORT, results=(replace(PASSED, model="a|b\n| c"),)))
    (row,) = [line for line in text.splitlines() if "passed |" in line]
    assert row.startswith("| a\\|b \\| c | ✅ passed |")


def test_the_terminal_says_what_was_and_was_not_shown() -> None:
    lines = gate_lines(REPORT)
    assert "passed  models/next" in lines
    assert "FAILED  runs/a:few_shot" in lines
    assert "        shown to be less than 5 points worse than models/release" in lines
    assert "        not shown to be less than 5 points worse than models/release" in lines
    assert lines[-1] == "The gate set is used up."


def test_a_floor_is_told_beside_the_release() -> None:
    both = replace(REPORT, demands=GateDemands(margin=0.05, floor=0.85))
    assert "less than 5 points worse than models/release and better than 85.0%" in (
        gate_markdown(both)
    )


def test_numbers_are_told_only_where_the_set_is_opened() -> None:
    assert "81.0%" not in "\n".join([*gate_lines(REPORT), gate_markdown(REPORT)])
    opened = replace(REPORT, results=(replace(FAILED, numbers=NUMBERS),))
    for text in ("\n".join(gate_lines(opened)), gate_markdown(opened), gate_junit(opened)):
        assert "quality 81.0% (77.0–85.0)" in text
        assert "−7.0 points against models/release (−11.0 to −3.0)" in text


def test_an_answer_that_was_judged_before_is_called_so() -> None:
    again = replace(REPORT, results=(replace(PASSED, repeated=True),))
    assert "look 3, told again: the same answers" in gate_markdown(again)
