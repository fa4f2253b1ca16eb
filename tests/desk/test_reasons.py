"""What tunewise.toml says and why: each key with the remark above it."""

import pytest

from tunewise.desk.reasons import Reason, reasons_of
from tunewise.errors import UserError

TEXT = """\
#:schema ./tunewise.schema.json

[task]
# EDIT THIS: it was
# guessed.
instruction = "Sort \\u001b it."  # not told
kind = "classification"
[data]
examples = ["a.csv", "b.csv"]
# 12 groups are too few. Take the # away:
# group = "customer"
# labels = [
#   "a",
# ]
# Or none.

# Left aside: c.xls.
[contenders.big]
candidate = true
"""


def test_each_key_has_its_value_and_the_remark_above_it() -> None:
    head, task, data, big = reasons_of(TEXT)
    assert head.name == ""
    assert task.reasons == (
        Reason(key="instruction", value="Sort ␛ it.", remark="EDIT THIS: it was guessed."),
        Reason(key="kind", value="classification", remark=""),
    )
    assert data.reasons[0].value == "a.csv, b.csv"
    assert (big.name, big.reasons[0].value) == ("contenders.big", "true")


def test_a_key_that_is_commented_out_stands_as_such_on_a_line_of_its_own() -> None:
    data = reasons_of(TEXT)[2]
    assert [one.remark for one in data.reasons[1:]] == [
        '12 groups are too few. Take the # away:\n# group = "customer"\n# labels = [\n#   "a",\n# ]\nOr none.',
        "Left aside: c.xls.",
    ]


def test_what_is_no_toml_is_told() -> None:
    with pytest.raises(UserError, match="is not TOML"):
        reasons_of("[task")
