import inspect
import math
import signal
import subprocess
import sys
from itertools import count
from pathlib import Path

import pytest

from tunewise.storage import (
    append_lines,
    read_lines,
    replaced_folder,
    shortened,
    write_json,
    write_lines,
    write_private,
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


def fill(folder: "Path", version: str) -> None:
    (folder / "deep").mkdir()
    for name in ("a", "b", "deep/c"):
        (folder / name).write_text(version)


def contents(folder: Path) -> dict[str, str]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_text() for path in files}


def whole(version: str) -> dict[str, str]:
    return dict.fromkeys(("a", "b", "deep/c"), version)


def test_a_folder_is_replaced_as_a_whole_and_nothing_stays_beside_it(tmp_path: Path) -> None:
    place = tmp_path / "models" / "place"
    for version in ("old", "new"):
        with replaced_folder(place) as folder:
            fill(folder, version)
        assert contents(place) == whole(version)
        assert list(place.parent.iterdir()) == [place]


@pytest.mark.parametrize("fault", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_folder_stays_as_it_was_when_the_new_one_fails(
    tmp_path: Path, fault: BaseException
) -> None:
    place = tmp_path / "place"
    with replaced_folder(place) as folder:
        fill(folder, "old")

    def fail() -> None:
        with replaced_folder(place) as folder:
            fill(folder, "new")
            raise fault

    with pytest.raises(type(fault)):
        fail()
    assert contents(place) == whole("old")
    assert list(tmp_path.iterdir()) == [place]


KILLED_AT_A_STEP = """
import os, signal, sys
from pathlib import Path
from tunewise.storage import replaced_folder

left = int(sys.argv[2])

def strike(event, given):
    global left
    if event == "open" or event.startswith(("os.", "shutil.")):
        left -= 1
        if left == -1:
            os.kill(os.getpid(), signal.SIGKILL)

sys.addaudithook(strike)
with replaced_folder(Path(sys.argv[1])) as folder:
    fill(folder, "new")
"""
"""After `fill`: replaces a folder, and is killed before the n-th thing it asks of the system."""


def test_killed_at_any_step_a_folder_is_the_old_or_the_new_one_never_half(tmp_path: Path) -> None:
    found = list[dict[str, str]]()
    for step in count():
        place = tmp_path / str(step) / "place"
        with replaced_folder(place) as folder:
            fill(folder, "old")
        ended = subprocess.run(
            [sys.executable, "-c", inspect.getsource(fill) + KILLED_AT_A_STEP, place, str(step)],
            env={"PYTHONPATH": ":".join(sys.path)},
            check=False,
        )
        found.append(contents(place))
        with replaced_folder(place) as folder:  # the next one clears up
            assert contents(place) == (found[-1] or whole("old"))
            fill(folder, "next")
        assert contents(place) == whole("next")
        assert list(place.parent.iterdir()) == [place]
        if ended.returncode == 0:
            break
        assert ended.returncode == -signal.SIGKILL
    assert {tuple(one.items()) for one in found} == {
        tuple(one.items()) for one in (whole("old"), {}, whole("new"))
    }
    assert found.count({}) == 1  # between the two renames


def test_paths_are_told_from_the_folders_that_a_person_knows() -> None:
    home, project = Path("/home/anna"), Path("/srv/law")
    text = "/srv/law/rows.csv:3: repeats /home/anna/old/rows.csv:1 and /srv/lawyers/rows.csv:2"
    assert shortened(text, home, project) == (
        "rows.csv:3: repeats old/rows.csv:1 and /srv/lawyers/rows.csv:2"
    )


def test_a_path_inside_another_one_and_the_root_of_the_disk_stay() -> None:
    assert shortened("/mnt/srv/law/rows.csv", Path("/srv/law")) == "/mnt/srv/law/rows.csv"
    assert shortened("/srv/law/rows.csv", Path("/")) == "/srv/law/rows.csv"


def test_a_private_file_is_its_owners_alone_and_replaces_nothing_by_itself(tmp_path: Path) -> None:
    file = tmp_path / "keys.json"
    file.write_text("before")
    (tmp_path / ".keys.json.new").write_text("left by a kill")
    beside = write_private(file, b"now")
    assert (beside.read_bytes(), file.read_text()) == (b"now", "before")
    assert beside.stat().st_mode & 0o777 == 0o600
