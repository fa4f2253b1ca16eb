import math
from pathlib import Path

import pytest

from tunewise.storage import (
    append_lines,
    read_lines,
    shortened,
    write_json,
    write_lines,
    write_text,
)

ODD = "é 🎒 \ud800 line two\x85"


def test_what_is_appended_is_read_in_order_with_every_character(tmp_path: Path) -> None:
    file = tmp_path / "a.jsonl"
    append_lines(file, [{"n": 1, "text": ODD}])
    append_lines(file, [{"n": 2, "text": "line\none\r"}, {"n": 3}])
    assert read_lines(file) == [{"n": 1, "text": ODD}, {"n": 2, "text": "line\none\r"}, {"n": 3}]


def test_a_file_that_is_not_there_has_no_records(tmp_path: Path) -> None:
    assert read_lines(tmp_path / "none.jsonl") == []


@pytest.mark.parametrize("cut", range(1, 12))
def test_a_half_written_last_line_is_cut_off_so_that_the_next_one_is_whole(
    cut: int, tmp_path: Path
) -> None:
    file = tmp_path / "a.jsonl"
    append_lines(file, [{"n": 1}, {"n": "é"}])
    whole = file.read_bytes()
    file.write_bytes(whole[:-cut])
    kept = read_lines(file)
    assert kept == [{"n": 1}][: 1 if cut <= len('{"n": "é"}\n'.encode()) else 0]
    append_lines(file, [{"n": 3}])
    assert read_lines(file) == [*kept, {"n": 3}]


def test_replacing_a_file_leaves_the_old_one_when_it_fails(tmp_path: Path) -> None:
    file = tmp_path / "a.json"
    write_json(file, {"a": 1})
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(file, {"a": math.nan})
    assert file.read_text() == '{\n "a": 1\n}\n'


def test_what_is_written_is_read_back_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    write_text(tmp_path / "a.txt", ODD)
    assert (tmp_path / "a.txt").read_bytes() == ODD.encode(errors="surrogatepass")
    write_lines(tmp_path / "a.jsonl", [{"n": 1}, {"text": ODD}])
    write_lines(tmp_path / "a.jsonl", [{"text": ODD}])
    assert read_lines(tmp_path / "a.jsonl") == [{"text": ODD}]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.jsonl", "a.txt"]


def test_paths_are_told_from_the_folders_that_a_person_knows() -> None:
    home, project = Path("/home/anna"), Path("/srv/law")
    text = "/srv/law/rows.csv:3: repeats /home/anna/old/rows.csv:1 and /srv/lawyers/rows.csv:2"
    assert shortened(text, home, project) == (
        "rows.csv:3: repeats old/rows.csv:1 and /srv/lawyers/rows.csv:2"
    )


def test_a_path_inside_another_one_and_the_root_of_the_disk_stay() -> None:
    assert shortened("/mnt/srv/law/rows.csv", Path("/srv/law")) == "/mnt/srv/law/rows.csv"
    assert shortened("/srv/law/rows.csv", Path("/")) == "/srv/law/rows.csv"
