"""training.json and events.jsonl are written and read by one definition; damage is named."""

import json
from pathlib import Path

import pytest

from places import SUPPORT
from tunewise.errors import UserError
from tunewise.runs.trained import read_events, read_steps, read_training, write_training

WRITTEN = SUPPORT / "written_by_0_1" / "train"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("training.json", "events.jsonl"):
        (tmp_path / name).write_text((WRITTEN / name).read_text("utf-8"), "utf-8")
    return tmp_path


def test_what_was_read_is_written_key_by_key(folder: Path) -> None:
    before = (folder / "training.json").read_text("utf-8")
    write_training(folder, read_training(folder))
    after = (folder / "training.json").read_text("utf-8")
    assert json.dumps(json.loads(after)) == json.dumps(json.loads(before))


def test_steps_and_times_are_those_of_the_events(folder: Path) -> None:
    written = [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]
    steps = [one for one in written if one["event"] == "step"]
    assert [(one.step, one.loss) for one in read_steps(folder)] == [
        (one["step"], one["loss"]) for one in steps
    ]
    assert [one.time for one in read_events(folder)] == [one["time"] for one in written]


def test_a_step_done_again_after_a_kill_counts_once(folder: Path) -> None:
    again = {"time": 9.0, "event": "step", "step": 2, "loss": 0.5, "tokens_per_second": 1.0}
    with (folder / "events.jsonl").open("a") as file:
        file.write(json.dumps(again) + "\n")
    steps = read_steps(folder)
    assert [one.step for one in steps] == sorted({one.step for one in steps})
    assert next(one.loss for one in steps if one.step == 2) == 0.5


def test_a_folder_without_a_result_says_how_to_go_on(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no finished training.*tunewise train PROJECT --resume"):
        read_training(tmp_path)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"steps": "many"}, "training.json: `steps` must be a whole number"),
        ({"dev": {}}, "training.json: dev: `metric` must be given"),
        ({"recipe": []}, "training.json: `recipe` must be an object"),
    ],
)
def test_every_damaged_key_is_named(folder: Path, change: dict[str, object], said: str) -> None:
    result = json.loads((folder / "training.json").read_text()) | change
    (folder / "training.json").write_text(json.dumps(result))
    with pytest.raises(UserError) as caught:
        read_training(folder)
    assert said in str(caught.value)
    assert "was changed or cut short" in str(caught.value)


def test_a_best_epoch_that_is_none_of_them_is_a_fault(folder: Path) -> None:
    result = json.loads((folder / "training.json").read_text())
    result["dev"]["best_epoch"] = 7
    (folder / "training.json").write_text(json.dumps(result))
    with pytest.raises(UserError, match="epoch 7 is the best and none of `points`"):
        read_training(folder)


def test_files_cut_short_are_named_with_their_line(folder: Path) -> None:
    (folder / "training.json").write_text('{"schema": 1, "met')
    with pytest.raises(UserError, match=r"training\.json: not JSON"):
        read_training(folder)
    with (folder / "events.jsonl").open("a") as file:
        file.write('{"time": 3.0, "ev')
    with pytest.raises(UserError, match=r"events\.jsonl:\d+: not JSON"):
        read_steps(folder)
