"""What a gate said: for a terminal, a pull request (Markdown) and a build server (JUnit)."""

import re
from collections.abc import Iterator
from xml.etree import ElementTree

from tunewise.decision.gate import GateDemands, GateNumbers, GateReport, GateResult
from tunewise.runs.records import visible
from tunewise.statistics.intervals import Interval
from tunewise.wording import (
    count,
    in_points,
    percent,
    percent_span,
    plural,
    points,
    points_span,
    rough,
    whole_percent,
)

SUITE = "tunewise.gate"


def gate_lines(report: GateReport) -> list[str]:
    """The report as lines of text: a verdict a model, and what stands behind it."""
    lines = [_frame(report)]
    for one in report.results:
        lines += [f"{'passed' if one.passed else 'FAILED'}  {visible(one.model)}"]
        lines += [f"        {text}" for text in _behind(one, report)]
    return [*lines, *report.notes]


def gate_markdown(report: GateReport) -> str:
    """The report as Markdown: a table with a row for each model, for a pull request."""
    title = "passed" if report.passed else "failed"
    rows = [
        f"| {_cell(one.model)} | {'✅ passed' if one.passed else '❌ **failed**'} | "
        f"{_cell(_asked(report))} | {_cell(_look(one))} |"
        for one in report.results
    ]
    numbers = [
        f"- {_cell(one.model)}: {text}"
        for one in report.results
        if one.numbers
        for text in _numbers(one.numbers, report)
    ]
    notes = [f"- {note}" for note in (*_crashes(report), *report.notes)]
    blocks = [
        [f"### Gate {title}"],
        [_frame(report)],
        ["| model | result | asked to be shown | look |", "|---|---|---|---|", *rows],
        numbers,
        notes,
    ]
    return "\n\n".join("\n".join(block) for block in blocks if block) + "\n"


def gate_junit(report: GateReport) -> str:
    """The report as JUnit XML: a test case a model, a failure where it was not let through."""
    failed = sum(not one.passed for one in report.results)
    seconds = f"{sum(one.seconds for one in report.results):.3f}"
    counts = {"tests": str(len(report.results)), "failures": str(failed), "errors": "0"}
    root = ElementTree.Element("testsuites", {"name": "tunewise", **counts, "time": seconds})
    suite = ElementTree.SubElement(
        root, "testsuite", {"name": SUITE, **counts, "skipped": "0", "time": seconds}
    )
    properties = ElementTree.SubElement(suite, "properties")
    for name, value in _properties(report):
        ElementTree.SubElement(properties, "property", {"name": name, "value": _legal(value)})
    for one in report.results:
        case = ElementTree.SubElement(
            suite,
            "testcase",
            {"classname": SUITE, "name": _legal(one.model), "time": f"{one.seconds:.3f}"},
        )
        behind = _legal("\n".join(_behind(one, report)))
        if one.passed:
            ElementTree.SubElement(case, "system-out").text = behind
        else:
            message = _legal(f"not shown to be {_asked(report)}")
            failure = ElementTree.SubElement(case, "failure", {"message": message, "type": "gate"})
            failure.text = behind
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _properties(report: GateReport) -> Iterator[tuple[str, str]]:
    yield "metric", report.metric
    yield "rows", str(report.rows)
    yield "units", str(report.units)
    if report.baseline is not None:
        yield "baseline", report.baseline
    if report.demands.margin is not None:
        yield "margin", f"{report.demands.margin:g}"
    if report.demands.floor is not None:
        yield "floor", f"{report.demands.floor:g}"


def _frame(report: GateReport) -> str:
    rows = plural(report.rows, "row")
    units = "" if report.units == report.rows else f" in {plural(report.units, 'unit')}"
    return f"{report.metric} on {rows}{units} of the gate set"


def _asked(report: GateReport) -> str:
    """`less than 5 points worse than models/release`."""
    demands: GateDemands = report.demands
    parts: list[str] = []
    if demands.margin is not None and report.baseline is not None:
        baseline = visible(report.baseline)
        parts.append(f"less than {in_points(demands.margin)} worse than {baseline}")
    if demands.floor is not None:
        parts.append(f"better than {percent(demands.floor)}")
    return " and ".join(parts)


def _behind(one: GateResult, report: GateReport) -> Iterator[str]:
    yield f"{'' if one.passed else 'not '}shown to be {_asked(report)}"
    yield f"{_look(one)}: one that should not pass does so at such a look in 1 of {_odds(one)}"
    if one.chance is not None:
        yield f"one exactly as good as the baseline passes in about {whole_percent(one.chance)}"
    if one.crashed:
        yield f"{plural(one.crashed, 'answer')} crashed, and counted as wrong"
    if one.numbers is not None:
        yield from _numbers(one.numbers, report)


def _look(one: GateResult) -> str:
    return f"look {count(one.look)}{', told again: the same answers' if one.repeated else ''}"


def _odds(one: GateResult) -> str:
    return rough(1.0 / one.error) if one.error > 0 else "any number of cases"


def _crashes(report: GateReport) -> Iterator[str]:
    for one in report.results:
        if one.crashed:
            yield f"{_cell(one.model)}: {plural(one.crashed, 'answer')} crashed."


def _numbers(numbers: GateNumbers, report: GateReport) -> Iterator[str]:
    quality, difference = numbers.quality, numbers.difference
    span = f" ({percent_span(quality.low, quality.high)})" if isinstance(quality, Interval) else ""
    yield f"quality {percent(quality.value)}{span}"
    if difference is not None:
        inside = (
            f" ({points_span(difference.low, difference.high)})"
            if isinstance(difference, Interval)
            else ""
        )
        baseline = visible(report.baseline or "the baseline")
        yield f"{points(difference.value)} points against {baseline}{inside}"


def _cell(text: str) -> str:
    """Text inside a Markdown table or list."""
    return re.sub(r"([\\|`*_<>\[\]])", r"\\\1", " ".join(visible(text).split()))


def _legal(text: str) -> str:
    """Text that XML 1.0 may hold."""
    return re.sub(r"[\ufffe\uffff]", "\ufffd", visible(text))
