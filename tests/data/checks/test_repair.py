import gzip
import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from tunewise.data.checks.read_all import UnreadableRowsError
from tunewise.data.checks.repair import with_answer
from tunewise.data.checks.result import Checked
from tunewise.errors import UserError
from tunewise.pipelines.check import run_check
from tunewise.progress import Silent
from tunewise.project.load import load_project
from tunewise.project.settings import Data

ROWS = [
    {"text": f"message {n} is about {topic}", "label": label}
    for n, (topic, label) in enumerate([("money", "refund"), ("parcels", "delivery")] * 20)
]
ASKED = {"role": "user", "content": "olb"}


def jsonl(rows: list[object]) -> str:
    return "".join(json.dumps(row) + "\n" for row in rows)


def fixed(path: Path, out: Path, *settings: str, keep: Sequence[str] = ()) -> Checked:
    project = load_project(path, list(settings))
    return run_check(project, source=str(path), progress=Silent(), fix=out, keep=keep)


def checked_only(path: Path) -> int | None:
    """Rows that cannot be read; None where none can."""
    try:
        project = load_project(path, [])
        return run_check(project, source=str(path), progress=Silent()).unreadable
    except UnreadableRowsError:
        return None


@pytest.fixture(autouse=True)
def no_tokenizer(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TUNEWISE_CACHE", str(tmp_path / "cache"))


def rows_of(file: Path) -> list[object]:
    return [json.loads(line) for line in file.read_text("utf-8").splitlines()]


def log_of(out: Path) -> list[str]:
    return (out / "changes.log").read_text("utf-8").splitlines()


def test_sound_rows_come_out_as_they_are(tmp_path: Path) -> None:
    rows = [{"id": 7 + n, **row, "meta": {"é": [n, None]}} for n, row in enumerate(ROWS)]
    (tmp_path / "a.jsonl").write_text(jsonl(rows))
    checked = fixed(tmp_path / "a.jsonl", tmp_path / "out")
    assert rows_of(tmp_path / "out" / "examples.jsonl") == rows
    assert log_of(tmp_path / "out") == []
    assert checked.fixed is not None
    assert checked.fixed.changes == {}


def test_each_sure_repair_is_made_and_logged_with_its_old_place(tmp_path: Path) -> None:
    rows: list[object] = [*ROWS, {}, {"text": " ", "label": None}, ROWS[3]]
    rows.append({"text": "something about money", "label": "refnd"})
    file = tmp_path / "a.jsonl"
    file.write_bytes(b"\xef\xbb\xbf" + jsonl(rows).replace("\n", "\r\n").encode())
    before = file.read_bytes()
    fixed(file, tmp_path / "out")
    assert rows_of(tmp_path / "out" / "examples.jsonl") == [
        *ROWS,
        {"text": "something about money", "label": "refund"},
    ]
    assert log_of(tmp_path / "out") == [
        f"{file}:41: unknown_columns: removed; the row is empty. Write an input and an answer.",
        "  {}",
        f"{file}:42: empty: removed; text is empty. Fill it in, or remove the row.",
        '  {"text": " ", "label": null}',
        f"{file}:43: duplicate: removed; it repeats {file}:4",
        f"  {json.dumps(ROWS[3])}",
        f'{file}:44: label_typo: "refnd" corrected to "refund"',
        f"{file}: form: read as UTF-8 with a byte order mark. Now JSONL.",
        f"{file}: form: lines end in CRLF; read as line ends. Now JSONL.",
    ]
    assert file.read_bytes() == before


def test_rows_and_rules_that_are_to_stay_are_left_as_they_are(tmp_path: Path) -> None:
    rows: list[object] = [*ROWS, {"text": " ", "label": None}, ROWS[3], ROWS[4]]
    rows += [{"text": f"something about money, {n}", "label": "refnd"} for n in (1, 2)]
    (tmp_path / "a.jsonl").write_text(jsonl(rows))
    fixed(tmp_path / "a.jsonl", tmp_path / "out", keep=["a.jsonl:41", "a.jsonl:42", "label_typo"])
    kept = [*rows[:42], *rows[43:]]
    assert rows_of(tmp_path / "out" / "examples.jsonl") == kept
    assert [line.split(": ")[1] for line in log_of(tmp_path / "out")[::2]] == ["duplicate"]


@pytest.mark.parametrize("place", ["a.jsonl:1", "b.jsonl:42", "nonsense"])
def test_a_place_where_nothing_is_repaired_is_told(tmp_path: Path, place: str) -> None:
    (tmp_path / "a.jsonl").write_text(jsonl([*ROWS, ROWS[3]]))
    with pytest.raises(UserError, match="nothing is repaired there"):
        fixed(tmp_path / "a.jsonl", tmp_path / "out", keep=[place])
    assert not (tmp_path / "out").exists()


def test_each_repair_is_told_before_it_is_made(tmp_path: Path) -> None:
    rows: list[object] = [*ROWS, {"text": " ", "label": None}, ROWS[3]]
    rows.append({"text": "something about money", "label": "refnd"})
    file = tmp_path / "a.jsonl"
    file.write_text(jsonl(rows))
    checked = run_check(load_project(file), source="a.jsonl", progress=Silent())
    assert [(one.row.where, one.rule, one.goes) for one in checked.repairs] == [
        (f"{file}:41", "empty", True),
        (f"{file}:42", "duplicate", True),
        (f"{file}:43", "label_typo", False),
    ]
    assert checked.repair_counts == {"empty": 1, "duplicate": 1, "label_typo": 1}
    assert checked.repairs[2].row.input == "something about money"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", ("text,label\n" + "".join(f"{r['text']},{r['label']}\n" for r in ROWS)).encode()),
        ("a.json", json.dumps(ROWS, indent=1).encode()),
        ("a.jsonl.gz", gzip.compress(jsonl(list(ROWS)).encode())),
        ("b.jsonl", jsonl(list(ROWS)).encode("utf-16")),
    ],
)
def test_whatever_the_format_the_copy_is_jsonl_with_the_same_columns(
    tmp_path: Path, name: str, content: bytes
) -> None:
    (tmp_path / name).write_bytes(content)
    fixed(tmp_path / name, tmp_path / "out")
    assert rows_of(tmp_path / "out" / "examples.jsonl") == ROWS
    assert any(line.startswith(f"{tmp_path / name}: form: ") for line in log_of(tmp_path / "out"))


def test_leaks_leave_train_and_test_stays_whole(tmp_path: Path) -> None:
    shouted = {"text": str(ROWS[30]["text"]).upper(), "label": "refund"}
    test = [*ROWS[30:], ROWS[31]]
    (tmp_path / "train.jsonl").write_text(jsonl([*ROWS[:32], shouted]))
    (tmp_path / "test.jsonl").write_text(jsonl(list(test)))
    toml = tmp_path / "tunewise.toml"
    toml.write_text('[data]\ntrain = "train.jsonl"\ntest = "test.jsonl"\n')
    fixed(tmp_path, tmp_path / "out")
    assert rows_of(tmp_path / "out" / "test.jsonl") == test
    assert rows_of(tmp_path / "out" / "train.jsonl") == ROWS[:30]
    train = tmp_path / "train.jsonl"
    assert log_of(tmp_path / "out") == [
        said
        for line, at, row in ((31, 1, ROWS[30]), (32, 2, ROWS[31]), (33, 1, shouted))
        for said in (
            f"{train}:{line}: leak: removed; its input is in test, at "
            f"{tmp_path / 'test.jsonl'}:{at}",
            f"  {json.dumps(row)}",
        )
    ]


def test_rows_of_several_files_go_into_one_copy_of_the_part(tmp_path: Path) -> None:
    for name, rows in (("a", ROWS[:20]), ("b", [*ROWS[20:], ROWS[0]])):
        (tmp_path / f"{name}.jsonl").write_text(jsonl(list(rows)))
    (tmp_path / "tunewise.toml").write_text('[data]\nexamples = ["a.jsonl", "b.jsonl"]\n')
    fixed(tmp_path, tmp_path / "out")
    assert rows_of(tmp_path / "out" / "examples.jsonl") == ROWS
    assert log_of(tmp_path / "out") == [
        f"{tmp_path / 'b.jsonl'}:21: duplicate: removed; it repeats {tmp_path / 'a.jsonl'}:1",
        f"  {json.dumps(ROWS[0])}",
    ]


def test_one_part_may_go_into_a_file(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(jsonl([*ROWS, ROWS[0]]))
    fixed(tmp_path / "a.jsonl", tmp_path / "new" / "clean.jsonl")
    assert rows_of(tmp_path / "new" / "clean.jsonl") == ROWS
    assert (tmp_path / "new" / "clean.changes.log").read_text().count("\n") == 2
    assert len(list((tmp_path / "new").iterdir())) == 2


def test_a_place_that_is_taken_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text("broken")
    for name in ("folder", "file.jsonl"):
        out = tmp_path / name
        out.mkdir() if name == "folder" else out.write_text("mine")
        with pytest.raises(UserError, match="exists already"):
            fixed(tmp_path / "a.jsonl", out)
    assert (tmp_path / "file.jsonl").read_text() == "mine"


def test_rows_that_cannot_be_read_are_removed_each_with_its_reason(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    file.write_text(jsonl([*ROWS, {"text": "no answer", "label": ""}]) + '{"text": "cut')
    checked = fixed(file, tmp_path / "out")
    assert [finding.where for finding in checked.report.errors] == [f"{file}:41", f"{file}:42"]
    assert (checked.total, checked.unreadable, checked.usable) == (40, 2, 40)
    assert rows_of(tmp_path / "out" / "examples.jsonl") == ROWS
    first, row, second = log_of(tmp_path / "out")
    assert first == f"{file}:41: empty: removed; label is empty. Fill it in, or remove the row."
    assert row == '  {"text": "no answer", "label": ""}'
    assert second.startswith(f"{file}:42: not_JSON: removed; ")


def test_a_file_that_cannot_be_read_to_its_end_has_no_copy(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    rows = "".join(f"{row['text']},{row['label']}\n" for row in ROWS)
    file.write_text(f'text,label\n{rows}"never closed,refund\n{rows}')
    with pytest.raises(UnreadableRowsError, match="cannot be read to its end"):
        fixed(file, tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert checked_only(file) == 1


def test_a_table_of_an_old_spreadsheet_becomes_utf_8(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    rows = "".join(f"{row['text']} für Émile – 5 €,{row['label']}\n" for row in ROWS)
    file.write_bytes(f"text,label\n{rows}".encode("cp1252"))
    assert checked_only(file) is None
    fixed(file, tmp_path / "out")
    copied = rows_of(tmp_path / "out" / "examples.jsonl")
    assert copied[0] == {"text": f"{ROWS[0]['text']} für Émile – 5 €", "label": "refund"}
    assert len(copied) == 40
    assert f"{file}: form: read as Windows-1252. Now JSONL." in log_of(tmp_path / "out")


def test_a_file_of_two_encodings_has_no_sure_one(tmp_path: Path) -> None:
    lines = jsonl([{"text": f"größe {n}", "label": "x"} for n in range(30)])
    lines = lines.encode().decode("unicode_escape")
    mixed = lines.encode() + lines.encode("cp1252")
    (tmp_path / "a.jsonl").write_bytes(mixed)
    checked = fixed(tmp_path / "a.jsonl", tmp_path / "out")
    assert (checked.total, checked.unreadable) == (30, 30)
    assert checked.report.counts["not_UTF-8"] == 30


def test_what_a_person_has_to_judge_stays_and_is_named(tmp_path: Path) -> None:
    text = "the courier left my parcel in the rain beside the old door of my neighbour and"
    near = [{"text": f"{text} {extra}", "label": "delivery"} for extra in "ab"]
    (tmp_path / "a.jsonl").write_text(jsonl([*ROWS, *near]))
    fixed(tmp_path / "a.jsonl", tmp_path / "out")
    assert rows_of(tmp_path / "out" / "examples.jsonl") == [*ROWS, *near]
    said = "data: near_duplicate: 1 left as they are: a person has to judge."
    assert said in log_of(tmp_path / "out")


def test_a_row_whose_corrected_answer_repeats_another_goes_at_once(tmp_path: Path) -> None:
    twice = {"text": ROWS[0]["text"], "label": "Refund"}
    (tmp_path / "a.jsonl").write_text(jsonl([*ROWS, twice]))
    checked = fixed(tmp_path / "a.jsonl", tmp_path / "out")
    assert "contradiction" not in checked.report.counts
    assert rows_of(tmp_path / "out" / "examples.jsonl") == ROWS


def test_a_place_that_cannot_be_written_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(jsonl(list(ROWS)))
    with pytest.raises(UserError, match="cannot be written"):
        fixed(tmp_path / "a.jsonl", tmp_path / "a.jsonl" / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.jsonl"]


@pytest.mark.parametrize(
    ("row", "mended"),
    [
        ({"text": "a", "label": "olb "}, {"text": "a", "label": "old"}),
        ({"input": "olb", "output": "olb"}, {"input": "olb", "output": "old"}),
        (
            {"messages": [ASKED, {"role": "assistant", "content": "olb"}]},
            {"messages": [ASKED, {"role": "assistant", "content": "old"}]},
        ),
        (
            {"conversations": [{"from": "gpt", "value": "olb"}]},
            {"conversations": [{"from": "gpt", "value": "old"}]},
        ),
        ({"label": "olb", "target": "olb"}, None),
        ({"other": "olb"}, None),
        (["olb"], None),
    ],
)
def test_an_answer_is_corrected_where_it_is_clear_which_it_is(row: object, mended: object) -> None:
    assert with_answer(row, "olb", "old", Data()) == mended


def test_a_column_that_the_project_names_is_the_answer() -> None:
    row = {"class": "olb", "label": "olb"}
    data = Data(input="x", output="class")
    assert with_answer(row, "olb", "old", data) == {"class": "old", "label": "olb"}


def test_each_label_is_written_in_one_way(tmp_path: Path) -> None:
    spelled = ["Refund", "refund", "Refund", "Ru\u0308ck", "Rück", "Rück\u200b"] * 5
    rows = [{"text": f"message {n}", "label": label} for n, label in enumerate(spelled)]
    (tmp_path / "a.jsonl").write_text(jsonl(rows))
    checked = fixed(tmp_path / "a.jsonl", tmp_path / "out")
    written = rows_of(tmp_path / "out" / "examples.jsonl")
    assert {row["label"] for row in written} == {"Refund", "Rück"}
    assert checked.fixed is not None
    assert checked.fixed.changes == {"label_spelling": 15}
    assert '"Rück<U+200B>" corrected to "Rück"' in log_of(tmp_path / "out")[2]
    assert checked.report.counts["label_spelling"] == 1
    copy = load_project(tmp_path / "out" / "examples.jsonl", [])
    again = run_check(copy, source="the copy", progress=Silent())
    assert "label_spelling" not in again.report.counts


def test_declared_labels_are_written_and_typos_of_them_mended(tmp_path: Path) -> None:
    spelled = ["yes", "NO.", "Yes", "No"] * 6 + ["Yess please"]
    rows = [{"text": f"message {n}", "label": label} for n, label in enumerate(spelled)]
    (tmp_path / "a.jsonl").write_text(jsonl(rows))
    labels = 'task.labels=["Yes", "No", "Yes please"]'
    project = load_project(tmp_path / "a.jsonl", [labels])
    checked = run_check(project, source="a", progress=Silent(), fix=tmp_path / "out")
    assert checked.fixed is not None
    assert checked.fixed.changes == {"label_spelling": 12, "label_typo": 1}
    assert [f.where.rpartition(":")[2] for f in checked.report.errors] == ["25"]


SETS = ["Wing, tail", "tail;wing", "Wing | nose", "nose", '["Wing", "nose"]', "- tail\n- NOSE."]
MENDED = ["Wing, tail", "tail;Wing", "Wing | nose", "nose", '["Wing", "nose"]', "- tail\n- nose"]


def test_each_label_of_a_set_is_written_in_one_way_and_the_rest_of_the_row_stays(
    tmp_path: Path,
) -> None:
    rows = [{"text": f"message {n}", "label": SETS[n % 6]} for n in range(36)]
    odd = {"text": "message 36", "label": "tail, winng, Nose"}
    (tmp_path / "a.jsonl").write_text(jsonl([*rows, odd]))
    checked = fixed(tmp_path / "a.jsonl", tmp_path / "out")
    assert checked.task.kind == "multilabel"
    assert checked.fixed is not None
    assert checked.fixed.changes == {"label_spelling": 12, "label_typo": 1}
    right = [{"text": f"message {n}", "label": MENDED[n % 6]} for n in range(36)]
    mended = {"text": "message 36", "label": "tail, Wing, nose"}
    assert rows_of(tmp_path / "out" / "examples.jsonl") == [*right, mended]
    assert log_of(tmp_path / "out")[-1].endswith(
        'a.jsonl:37: label_typo: "winng" corrected to "Wing"; "Nose" corrected to "nose"'
    )
    copy = load_project(tmp_path / "out" / "examples.jsonl", [])
    again = run_check(copy, source="the copy", progress=Silent())
    assert not {"label_spelling", "label_typo"} & again.report.counts.keys()


def test_lists_of_labels_stay_lists_and_declared_labels_decide(tmp_path: Path) -> None:
    lists = [["Wing", "tail"], ["TAIL"], ["tail", "wing", "nose"], ["nose"]]
    rows = [{"text": f"message {n}", "label": lists[n % 4]} for n in range(24)]
    (tmp_path / "a.jsonl").write_text(jsonl([*rows, {"text": "last", "label": ["winng", "tip"]}]))
    settings = ['task.labels=["wing", "tail", "nose"]', 'task.kind="multilabel"']
    checked = fixed(tmp_path / "a.jsonl", tmp_path / "out", *settings)
    written = [row["label"] for row in rows_of(tmp_path / "out" / "examples.jsonl")]
    right = [["wing", "tail"], ["tail"], ["tail", "wing", "nose"], ["nose"]]
    assert written == [*(right[n % 4] for n in range(24)), ["wing", "tip"]]
    assert [f.where.rpartition(":")[2] for f in checked.report.errors] == ["25", "25"]
