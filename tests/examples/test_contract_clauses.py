"""The labels of examples/contract_clauses are those of its guide, and none is rare."""

import json
import re
from collections import Counter

import pytest

from places import ROOT

FOLDER = ROOT / "examples" / "contract_clauses"
OUTPUTS = [json.loads(line)["output"] for line in (FOLDER / "examples.jsonl").open()]


def listed(field: str) -> set[str]:
    """The labels that the guide explains below the heading of a field."""
    section = (FOLDER / "guide.md").read_text().split(f"\n## {field}\n")[1].split("\n## ")[0]
    return set(re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE))


@pytest.mark.parametrize("field", ["type", "red_flag"])
def test_the_guide_explains_the_labels_that_are_used(field: str) -> None:
    assert {output[field] for output in OUTPUTS} == listed(field)


@pytest.mark.parametrize("field", ["type", "party", "red_flag"])
def test_every_label_has_at_least_fifteen_rows(field: str) -> None:
    assert len(OUTPUTS) >= 240
    assert min(Counter(output[field] for output in OUTPUTS).values()) >= 15
