"""A made-up `Checked`, for tests of what is shown of it."""

from dataclasses import replace
from typing import Any

import numpy as np

from tunewise.data.checks.duplicates import Ceiling
from tunewise.data.checks.findings import Finding, Found
from tunewise.data.checks.forecast import Outlook
from tunewise.data.checks.labels import LabelCount
from tunewise.data.checks.lengths import RowLengths
from tunewise.data.checks.result import (
    Checked,
    ShownGroup,
    ShownLabelError,
    ShownLeak,
    ShownRow,
    ShownSecret,
)
from tunewise.project.settings import Task


def shown(n: int, text: str = "where is my order", answer: str = "delivery") -> ShownRow:
    return ShownRow(where=f"/data/shop/train.jsonl:{n}", input=text, target=answer)


def checked(text: str = "where is my order", **changes: Any) -> Checked:
    """One finding of each kind; `text` stands wherever a row or a label is quoted."""
    found = Found()
    found.add("error", "empty_target", "/data/shop/train.jsonl:3", f"The answer is empty. {text}")
    for n in range(25):
        where = f"/data/shop/train.jsonl:{n + 9}"
        found.add("warning", "duplicate", where, "Repeats /data/shop/train.jsonl:1.")
    found.add("warning", "label_mistake", "/data/shop/train.jsonl:5", f'"{text}" is likely wrong.')
    found.add("note", "read", "train", "rows read as two columns.")
    rows = (shown(1, text, text), shown(2, text, text))
    base = Checked(
        source="/data/shop",
        kind="examples",
        files=("/data/shop/train.jsonl", "/data/shop/test.jsonl"),
        rows={"train": 300, "test": 112},
        unreadable=0,
        usable=411,
        task=Task(kind="classification", labels=("a", "b"), metric="accuracy"),
        reason=f"kind classification, because of [/b] {text}",
        report=found.report(),
        lengths=RowLengths(
            unit="tokens",
            sample=np.random.default_rng(0).integers(20, 300, 412),
            context=256,
            model="small",
            too_long=9,
            cut_off=2,
            refused=np.array([1, 2]),
        ),
        no_tokens="",
        labels=(
            LabelCount(label="delivery", rows={"train": 200, "test": 100}),
            LabelCount(label=text, rows={"train": 100, "test": 12}),
        ),
        near_duplicates=7,
        clusters=(ShownGroup(size=5, rows=rows),),
        contradictions=(ShownGroup(size=2, rows=rows),),
        ceiling=Ceiling(inputs=1, share=0.9976),
        label_errors=(ShownLabelError(row=rows[0], likely=text, probability=0.93),),
        label_errors_found=1,
        label_error_rows=412,
        no_label_errors="",
        leaks=(ShownLeak(kind="exact", test=rows[0], other=rows[1], share=1.0),),
        leak_kinds={"exact": 4, "overlap": 1},
        secrets=(ShownSecret(where="/data/shop/train.jsonl:8", kind="a key", masked="sk-a…z9"),),
        secret_kinds={"a key": 1},
        outlook=Outlook(
            sides={"train": 250, "dev": 50, "test": 112},
            own_split=True,
            wanted=630,
            minimum_gain=0.05,
            sentence="With 112 test rows, a true gain of 5 points would be told with 29%.",
        ),
        seconds=1.5,
    )
    return replace(base, **changes)


def finding(rule: str, where: str, message: str) -> Finding:
    return Finding(rule=rule, where=where, message=message)
