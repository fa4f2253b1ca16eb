"""Columns that a project names for times and segments: what is wrong, by file and line."""

import json
from pathlib import Path

import pytest

from tunewise.data.prepare import prepare
from tunewise.errors import UserError
from tunewise.project.load import load_project


def read(folder: Path, cells: list[object], *overrides: str) -> None:
    lines = [
        {"text": f"question {n} {n * 7919 % 1009}", "label": "ab"[n % 2], "created": cell}
        for n, cell in enumerate(cells)
    ]
    (folder / "rows.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    prepare(load_project(folder / "rows.jsonl", overrides))


DAYS: list[object] = [f"2024-01-{1 + n % 28:02d}" for n in range(60)]


def test_every_time_that_is_none_is_named_with_its_line(tmp_path: Path) -> None:
    with pytest.raises(UserError) as refusal:
        read(tmp_path, [*DAYS, "soon", "03/04/2024"], "data.time=created")
    said = str(refusal.value).splitlines()
    assert 'rows.jsonl:61: "soon" in the column created (data.time) is no time.' in said[0]
    assert "Write dates as 2024-03-31" in said[0]
    assert 'rows.jsonl:62: "03/04/2024"' in said[1]


def test_dates_and_numbers_do_not_mix(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"rows\.jsonl:61: .*a number here and a date in line 1"):
        read(tmp_path, [*DAYS, 12], "data.time=created")


def test_a_column_that_is_not_there_is_said_once_with_the_one_it_is_near_to(
    tmp_path: Path,
) -> None:
    with pytest.raises(UserError) as refusal:
        read(tmp_path, DAYS, "data.time=creatd")
    assert str(refusal.value).count("creatd") == 1
    assert 'Did you mean "created"?' in str(refusal.value)


def test_a_segment_column_that_is_not_there_is_said(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r'no row has the column "channel" of data\.segments'):
        read(tmp_path, DAYS, 'data.segments=["channel"]')
    read(tmp_path, DAYS, 'data.segments=["created"]')


def test_times_that_all_can_be_read_are_no_fault(tmp_path: Path) -> None:
    read(tmp_path, DAYS, "data.time=created")
    read(tmp_path, list(range(60)), "data.time=created")


def test_a_time_has_no_effect_on_a_split_of_ones_own(tmp_path: Path) -> None:
    for name in ("train", "test"):
        (tmp_path / f"{name}.jsonl").write_text('{"text": "x", "label": "y"}\n')
    (tmp_path / "tunewise.toml").write_text(
        '[data]\ntrain = "train.jsonl"\ntest = "test.jsonl"\ntime = "created"\n'
    )
    with pytest.raises(UserError, match=r"data\.time: has no effect on a split of your own"):
        load_project(tmp_path)
