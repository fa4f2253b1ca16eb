"""The metric of examples/visit_notes: facts kept, facts invented, and the section."""

import json
import re
from typing import Any

import pytest

from places import ROOT
from tunewise.metrics.by_name import metric_named
from tunewise.metrics.metric import Metric

FOLDER = ROOT / "examples" / "visit_notes"
TARGET = "medication: Ramipril 5 mg once a day, metformin 500 mg 2 times a day; no aspirin."


@pytest.fixture(scope="module")
def metric() -> Metric:
    return metric_named("metric:note_score", folder=FOLDER)


def rows() -> list[dict[str, Any]]:
    return [json.loads(line) for line in (FOLDER / "examples.jsonl").open()]


def test_every_note_wanted_is_worth_1_and_has_two_facts_to_lose(metric: Metric) -> None:
    poor = [
        row["id"]
        for row in rows()
        if metric.score(row["output"], row["output"]).value != 1
        or metric.score(f"{row['output'].split(':')[0]}: nothing", row["output"]).value != 0
    ]
    assert poor == []


def test_there_are_at_least_fifteen_rows_of_each_section_and_no_other() -> None:
    sections = [row["output"].partition(":")[0] for row in rows()]
    assert len(sections) >= 240
    guide = (FOLDER / "guide.md").read_text().split("## note")[0]
    assert set(sections) == set(re.findall(r"^\| `(\w+)` \|", guide, re.MULTILINE))
    assert min(sections.count(section) for section in set(sections)) >= 15


@pytest.mark.parametrize(
    ("answer", "value"),
    [
        ("medication: metformin 500 mg twice daily. Ramipril 5 mg daily. Denies aspirin", 1),
        ("Medication: Takes 5 milligrams ramipril once per day, metformin 500mg "
         "two times a day, without aspirin.", 1),
        # 8 facts: 3 drugs, 2 doses, 2 frequencies, 1 denial.
        ("medication: Ramipril 5 mg once a day, metformin 500 mg 2 times a day.", 2 * 6 / (6 + 8)),
        ("medication: Ramipril 500 mg once a day, metformin 5 mg 2 times a day; no aspirin.",
         2 * 6 / (8 + 8)),
        ("medication: Ramipril 5 mg once a week, metformin 500 mg 2 times a day; no aspirin.",
         2 * 7 / (8 + 8)),
        ("medication: Ramipril 5 mg once a day, metformin 500 mg 2 times a day and aspirin.",
         2 * 7 / (8 + 8)),
        ("medication: Ramipril 5 mg once a day, metformin 500 mg 2 times a day for 3 years; "
         "no aspirin.", 2 * 8 / (9 + 8)),
        ("plan: Ramipril 5 mg once a day, metformin 500 mg 2 times a day; no aspirin.", 0),
        ("Ramipril 5 mg once a day, metformin 500 mg 2 times a day; no aspirin.", 0),
        ("medication:", 0),
        ("", 0),
    ],
)  # fmt: skip
def test_lost_swapped_turned_and_invented_facts_cost_alike(
    metric: Metric, answer: str, value: float
) -> None:
    assert metric.score(answer, TARGET).value == pytest.approx(value)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("Pain in the left knee", "Left knee hurts", True),
        ("Pain in the left knee", "Pain in the right knee", False),
        ("Left knee, right hip", "Right knee, left hip", False),
        ("for three weeks", "3 weeks", True),
        ("3 weeks", "3 days", False),
        ("a week ago in the left ear", "1 week ago in the left ear", False),
        ("for a week", "for 1 week", True),
        ("twenty-five drops", "25 drops", True),
        ("140 over 90", "140/90 mmHg", True),
        ("38.5 °C", "38.5 degrees", True),
        ("5-10 minutes", "5 to 10 minutes", True),
        ("half a tablet", "0.5 tablets", True),
        ("never smoked, 2 beers", "no smoking, 2 beers", True),
        ("no fever", "fever", False),
        ("vitamin B12 low", "vitamin low", True),
        ("paracetamol", "acetaminophen", True),
        ("lives on the 4th floor with his gran", "lives with his grandmother", True),
        ("left home 2 years ago", "moved out 2 years ago", True),
        ("one of her sisters", "her sister", True),
    ],
)
def test_the_same_fact_may_be_written_in_several_ways(
    metric: Metric, one: str, other: str, same: bool
) -> None:
    value = metric.score(f"history: {one}", f"history: {other}, in 2020").value
    again = metric.score(f"history: {one}, in 2020", f"history: {other}, in 2020").value
    assert (again == 1) is same
    assert value < 1


def test_a_target_without_section_or_fact_is_refused(metric: Metric) -> None:
    with pytest.raises(Exception, match="no section"):
        metric.score("plan: rest", "rest for 3 days")
    with pytest.raises(Exception, match="no fact"):
        metric.score("plan: rest", "plan: rest")
