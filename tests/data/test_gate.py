import json
from pathlib import Path

import pytest

from decide_projects import labelled, write_jsonl, write_project
from tunewise.data.gate import gate_units
from tunewise.data.prepare import prepare
from tunewise.errors import UserError
from tunewise.project.load import load_project
from tunewise.types import Example, Message

ROWS = [
    {
        "text": f"the parcel {n} from the shop in town arrived {n * 3} days late and wet",
        "label": label,
    }
    for n, label in zip(range(60), ["late", "lost"] * 30, strict=True)
]


def project(folder: Path, gate: list[dict[str, str]], more: str = "") -> Path:
    """A project with these rows in its gate set."""
    write_project(folder, ROWS, f'gate = "gate.jsonl"\n{more}')
    write_jsonl(folder / "gate.jsonl", gate)
    return folder


def refused(folder: Path) -> list[str]:
    with pytest.raises(UserError) as caught:
        prepare(load_project(folder))
    return str(caught.value).splitlines()


def test_a_row_that_is_in_the_data_too_is_told_with_both_lines(tmp_path: Path) -> None:
    gate = [{"text": "a new one about a broken zip", "label": "late"}, ROWS[16]]
    said = refused(project(tmp_path, gate))
    assert said[0] == (
        f"{tmp_path}/gate.jsonl:2: the same input is in {tmp_path}/examples.jsonl:17."
    )
    assert "cannot gate them" in said[1]
    assert len(said) == 2


def test_a_row_that_nearly_repeats_one_is_told_as_well(tmp_path: Path) -> None:
    near = {"text": ROWS[16]["text"] + " today", "label": "late"}
    said = refused(project(tmp_path, [near]))
    assert "gate.jsonl:1: nearly the same input is in" in said[0]
    assert "examples.jsonl:" in said[0]


def test_case_and_spaces_make_no_other_row(tmp_path: Path) -> None:
    same = {"text": "  " + ROWS[3]["text"].upper(), "label": "late"}
    assert "gate.jsonl:1: the same input is in" in refused(project(tmp_path, [same]))[0]


@pytest.mark.parametrize("part", ["train", "dev", "test"])
def test_no_part_of_a_split_of_ones_own_may_hold_a_row_of_it(part: str, tmp_path: Path) -> None:
    parts = {"train": ROWS[:20], "dev": ROWS[20:40], "test": ROWS[40:]}
    for name, rows in parts.items():
        write_jsonl(tmp_path / f"{name}.jsonl", rows)
    write_jsonl(tmp_path / "gate.jsonl", [parts[part][4]])
    named = "\n".join(f'{name} = "{name}.jsonl"' for name in (*parts, "gate"))
    (tmp_path / "tunewise.toml").write_text(f"[data]\n{named}\n")
    assert f"is in {tmp_path}/{part}.jsonl:5." in refused(tmp_path)[0]


def test_many_shared_rows_are_counted(tmp_path: Path) -> None:
    said = refused(project(tmp_path, ROWS[:30]))
    assert len(said) == 22
    assert said[20] == "10 more rows like these."


def test_rows_of_its_own_are_kept_apart_from_the_others(tmp_path: Path) -> None:
    gate = labelled(30)
    prepared = prepare(load_project(project(tmp_path, gate)))
    assert prepared.gate is not None
    assert [row.input.text for row in prepared.gate.examples] == [one["text"] for one in gate]
    splits = prepared.splits
    held = {row.input.text for row in (*splits.train, *splits.dev, *splits.test, *splits.reserved)}
    assert held == {row["text"] for row in ROWS}


def test_a_gate_set_may_have_any_layout(tmp_path: Path) -> None:
    project(tmp_path, [])
    turns = [{"role": "user", "content": "a zip broke"}, {"role": "assistant", "content": "late"}]
    (tmp_path / "gate.jsonl").write_text(json.dumps({"messages": turns}) + "\n")
    prepared = prepare(load_project(tmp_path))
    assert prepared.gate is not None
    (row,) = prepared.gate.examples
    assert (row.input.text, row.target) == ("a zip broke", "late")


def test_a_row_that_cannot_be_read_is_told(tmp_path: Path) -> None:
    project(tmp_path, labelled(3))
    with (tmp_path / "gate.jsonl").open("a") as file:
        file.write('{"text": "cut off\n')
    assert "gate.jsonl:4" in refused(tmp_path)[0]


def test_near_repeats_within_the_gate_set_are_one_unit() -> None:
    texts = [ROWS[0]["text"], "something else entirely", ROWS[0]["text"] + " again"]
    rows = tuple(
        Example(id=str(n), messages=(Message(role="user", content=text),), target="late")
        for n, text in enumerate(texts)
    )
    first, other, again = gate_units(rows)
    assert first == again is not None
    assert other is None
