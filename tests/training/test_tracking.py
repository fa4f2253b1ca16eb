import importlib.util
import json
import os
import struct
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from small_models import user
from tunewise.chat.tokenize import answer_tokens
from tunewise.errors import UserError
from tunewise.models import loading
from tunewise.models.catalog import LocalModel
from tunewise.training import tracking
from tunewise.training.loop import Training
from tunewise.training.recipe import Recipe
from tunewise.training.rows import single_rows
from tunewise.training.tracking import IDS, TENSORBOARD, Tracker, open_trackers

SETTINGS = {"recipe": {"learning_rate": 1e-3, "rank": 8}, "rows": "5f2c"}
TRAIN = {
    "train/loss",
    "train/learning_rate",
    "train/gradient_norm",
    "train/tokens_per_second",
    "train/share_of_peak",
}


def step(number: int, loss: float) -> dict[str, Any]:
    return {
        "event": "step",
        "step": number,
        "epoch": 1,
        "loss": loss,
        "gradient_norm": 1.0,
        "learning_rate": 1e-3,
        "tokens": 128,
        "tokens_per_second": 900.0,
        "share_of_peak": 0.5,
    }


def dev(number: int, value: float) -> dict[str, Any]:
    return {"event": "dev", "step": number, "epoch": 1, "metric": "accuracy", "value": value}


def begin(event: str, at: int) -> dict[str, Any]:
    return {"event": event, "step": at, "total_steps": 6, "at": at}


KILLED = [begin("start", 0), *(step(n, 10.0 - n) for n in range(1, 4)), dev(3, 0.5)]
KILLED += [step(4, 6.0), {"event": "spike", "step": 5, "loss": 5.0, "rows": ["a"]}, step(5, 5.0)]
GONE_ON = [begin("resumed", 3), *(step(n, 10.0 - n) for n in range(4, 7)), dev(6, 0.75)]
LOSSES = [(n, 10.0 - n) for n in range(1, 7)]


def track(
    library: str,
    folder: Path,
    events: list[dict[str, Any]],
    *,
    settings: Mapping[str, Any] = SETTINGS,
    close: bool = True,
) -> Tracker:
    (tracker,) = open_trackers([library], folder, name="first try", settings=settings)
    for event in events:
        tracker(event)
    if close:
        tracker.close()
    return tracker


def shown(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """What TensorBoard shows: name -> (step, value) of each point."""
    found = EventAccumulator(str(folder / TENSORBOARD), size_guidance={"scalars": 0}).Reload()
    return {
        tag: [(point.step, pytest.approx(point.value)) for point in found.Scalars(tag)]
        for tag in found.Tags()["scalars"]
    }


def test_tensorboard_shows_every_step_and_the_metrics_of_dev(tmp_path: Path) -> None:
    track("tensorboard", tmp_path, KILLED)
    found = shown(tmp_path)
    assert found.keys() == TRAIN | {"dev/accuracy"}
    assert found["train/loss"] == LOSSES[:5]
    assert found["train/learning_rate"] == [(n, 1e-3) for n in range(1, 6)]
    assert found["dev/accuracy"] == [(3, 0.5)]


def test_tensorboard_shows_the_settings(tmp_path: Path) -> None:
    track("tensorboard", tmp_path, KILLED)
    found = EventAccumulator(str(tmp_path / TENSORBOARD)).Reload()
    (text,) = found.Tensors("settings")
    assert b"| recipe.rank | 8 |" in text.tensor_proto.string_val[0]


def test_steps_that_a_kill_lost_are_shown_once(tmp_path: Path) -> None:
    track("tensorboard", tmp_path, [*KILLED[:-1], step(5, 99.0)], close=False)
    track("tensorboard", tmp_path, GONE_ON)
    found = shown(tmp_path)
    assert found["train/loss"] == LOSSES
    assert found["dev/accuracy"] == [(3, 0.5), (6, 0.75)]


def test_a_record_cut_in_half_hides_nothing_of_what_comes_after(tmp_path: Path) -> None:
    track("tensorboard", tmp_path, KILLED)
    (file,) = (tmp_path / TENSORBOARD).iterdir()
    os.truncate(file, file.stat().st_size - 20)
    track("tensorboard", tmp_path, GONE_ON)
    assert shown(tmp_path)["train/loss"] == LOSSES


def test_a_model_loaded_again_within_one_training_hides_no_point(tmp_path: Path) -> None:
    middle = [begin("resumed", 3), *KILLED[-3:]]
    track("tensorboard", tmp_path, [*KILLED[:5], *middle])
    assert shown(tmp_path)["train/loss"] == LOSSES[:5]


def test_another_training_in_the_same_folder_begins_a_curve_of_its_own(tmp_path: Path) -> None:
    track("tensorboard", tmp_path, KILLED)
    track("tensorboard", tmp_path, [begin("start", 0), step(1, 7.0)], settings={"rows": "9a"})
    assert shown(tmp_path)["train/loss"] == [(1, 7.0)]


def test_a_real_training_is_tracked_across_two_processes(
    small_llama: LocalModel, tmp_path: Path
) -> None:
    tokenizer = loading.load_tokenizer(small_llama.folder)
    sequences = [answer_tokens(tokenizer, user("Where is it?"), "delivery")] * 12
    rows = single_rows([str(n) for n in range(12)], sequences)
    recipe = Recipe(learning_rate=1e-2, epochs=2, batch_tokens=128, seed=1, precision="float32")
    for _ in range(2):
        trackers = open_trackers(["tensorboard"], tmp_path, name="it", settings=SETTINGS)
        training = Training(small_llama, rows, recipe, tmp_path, watchers=trackers)
        training.run_epoch()
        trackers[0].close()
    found = shown(tmp_path)
    assert found.keys() == TRAIN
    steps = list(range(1, training.total_steps + 1))
    assert [[at for at, _ in points] for points in found.values()] == [steps] * len(TRAIN)


def test_tensorflow_is_not_imported_where_it_is_installed(tmp_path: Path) -> None:
    (tmp_path / "tensorflow.py").write_text("raise SystemExit('TensorFlow was imported')")
    code = (
        "import pathlib, sys; from tunewise.training.tracking import open_trackers; "
        "one, = open_trackers(['tensorboard'], pathlib.Path('out'), name='x', settings={'a': 1}); "
        "one({'event': 'start', 'step': 0, 'at': 0}); "
        "one({'event': 'dev', 'step': 1, 'metric': 'f1', 'value': 0.5}); one.close(); "
        "assert 'torch' not in sys.modules"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])},
        capture_output=True,
        text=True,
    )
    assert (ran.returncode, ran.stderr) == (0, "")
    assert shown(tmp_path / "out") == {"dev/f1": [(1, 0.5)]}


def test_missing_libraries_are_one_error_that_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tracking.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(UserError) as error:
        open_trackers(["tensorboard", "mlflow", "wandb"], tmp_path / "out", name="x", settings={})
    assert str(error.value).splitlines() == [
        "training.track: tensorboard is not installed. Install tunewise[tracking], or remove it "
        "from track.",
        "training.track: mlflow is not installed. pip install mlflow, or remove it from track.",
        "training.track: wandb is not installed. pip install wandb, or remove it from track.",
    ]
    assert not (tmp_path / "out").exists()


def test_a_place_that_cannot_be_opened_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / TENSORBOARD).write_text("a file")
    with pytest.raises(UserError, match=r"training\.track: tensorboard cannot be opened: .*File"):
        open_trackers(["tensorboard"], tmp_path, name="x", settings={})


def test_a_place_that_takes_no_more_is_told_once_and_the_training_goes_on(tmp_path: Path) -> None:
    told: list[str] = []
    (tracker,) = open_trackers(["tensorboard"], tmp_path, name="x", settings={}, warn=told.append)
    tracker({"event": "step", "step": 1, "loss": "no number"})
    tracker(step(2, 1.0))
    tracker.close()
    assert len(told) == 1
    assert told[0].startswith("training.track: tensorboard takes no more: could not convert")


def test_a_damaged_file_of_ids_begins_anew(tmp_path: Path) -> None:
    (tmp_path / IDS).write_text("{")
    track("tensorboard", tmp_path, KILLED)
    assert json.loads((tmp_path / IDS).read_text())["ids"] == {}
    assert shown(tmp_path)["train/loss"] == LOSSES[:5]


# MLflow and W&B are not among the project's own libraries. Where they are installed, they are
# asked what they took; where not, the person is told.


def is_refused(library: str, folder: Path) -> bool:
    """Whether the library is missing; then, that the error says so."""
    if importlib.util.find_spec(library) is not None:
        return False
    with pytest.raises(UserError, match=f"{library} is not installed. pip install {library}"):
        track(library, folder, [])
    return True


@pytest.fixture
def mlflow_store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    for name in ("MLFLOW_EXPERIMENT_NAME", "MLFLOW_EXPERIMENT_ID"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path / "out"


def mlflow_runs(experiment: str) -> list[Any]:
    import mlflow  # pyright: ignore[reportMissingImports]

    client = mlflow.MlflowClient()
    found = client.get_experiment_by_name(experiment)
    return list(client.search_runs([found.experiment_id])) if found else []


def mlflow_points(run_id: str, key: str) -> list[tuple[int, float]]:
    import mlflow  # pyright: ignore[reportMissingImports]

    history = mlflow.MlflowClient().get_metric_history(run_id, key)
    return sorted((metric.step, metric.value) for metric in history)


def test_mlflow_goes_on_in_the_same_run(mlflow_store: Path) -> None:
    if is_refused("mlflow", mlflow_store):
        return
    track("mlflow", mlflow_store, KILLED, close=False)
    track("mlflow", mlflow_store, GONE_ON)
    (run,) = mlflow_runs("tunewise")
    assert (run.info.run_name, run.info.status) == ("first try", "FINISHED")
    assert run.data.params == {"recipe.learning_rate": "0.001", "recipe.rank": "8", "rows": "5f2c"}
    assert run.data.metrics.keys() == TRAIN | {"dev/accuracy"}
    assert mlflow_points(run.info.run_id, "train/loss") == LOSSES
    assert mlflow_points(run.info.run_id, "dev/accuracy") == [(3, 0.5), (6, 0.75)]


def test_mlflow_begins_a_new_run_for_another_training_or_one_that_is_gone(
    mlflow_store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if is_refused("mlflow", mlflow_store):
        return
    monkeypatch.setenv("MLFLOW_EXPERIMENT_NAME", "tents")
    track("mlflow", mlflow_store, KILLED)
    track("mlflow", mlflow_store, KILLED[:3], settings={"rows": "9a"})
    assert len(mlflow_runs("tents")) == 2
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{mlflow_store}/elsewhere.db")
    import mlflow  # pyright: ignore[reportMissingImports]

    track("mlflow", mlflow_store, KILLED[:3], settings={"rows": "9a"})
    assert mlflow.get_tracking_uri().endswith("elsewhere.db")
    assert len(mlflow_runs("tents")) == 1
    assert mlflow_runs("tunewise") == []


def test_a_training_that_failed_is_failed_in_mlflow(mlflow_store: Path) -> None:
    if is_refused("mlflow", mlflow_store):
        return
    track("mlflow", mlflow_store, [*KILLED, {"event": "not finite", "step": 5, "loss": "nan"}])
    assert [run.info.status for run in mlflow_runs("tunewise")] == ["FAILED"]


@pytest.fixture
def wandb_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A person without credentials or settings."""
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    yield tmp_path / "out"
    if importlib.util.find_spec("wandb") is not None:
        import wandb  # pyright: ignore[reportMissingImports]

        wandb.teardown()


def wandb_runs(folder: Path, read: Callable[[Any], Any]) -> list[list[Any]]:
    """What is read of each record, of each time that the run was begun offline."""
    from wandb.proto import wandb_internal_pb2  # pyright: ignore[reportMissingImports]

    runs: list[list[Any]] = []
    for file in sorted(folder.glob("wandb/offline-run-*/*.wandb")):
        values = [read(wandb_internal_pb2.Record.FromString(one)) for one in log_records(file)]
        runs.append([value for value in values if value is not None])
    return runs


def log_records(file: Path) -> Iterator[bytes]:
    """Records of a file in LevelDB's log format: blocks of 32 KiB of whole or split records."""
    data, at, record = file.read_bytes(), 7, b""  # behind the file's own header
    while at + 7 <= len(data):
        left = 32_768 - at % 32_768
        length, kind = struct.unpack_from("<HB", data, at + 4)
        if left < 7 or kind == 0:  # filled up with zeros
            at += left
            continue
        record += data[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # whole, or the last part
            yield record
            record = b""


def history(record: Any) -> dict[str, float] | None:
    if record.WhichOneof("record_type") != "history":
        return None
    return {
        item.key or "/".join(item.nested_key): json.loads(item.value_json)
        for item in record.history.item
    }


def test_wandb_is_offline_without_credentials_and_goes_on_under_the_same_id(
    wandb_home: Path,
) -> None:
    if is_refused("wandb", wandb_home):
        return
    track("wandb", wandb_home, KILLED)
    track("wandb", wandb_home, GONE_ON)
    ids = wandb_runs(
        wandb_home,
        lambda record: (
            (record.run.run_id, record.run.project, record.run.display_name)
            if record.WhichOneof("record_type") == "run"
            else None
        ),
    )
    kept = json.loads((wandb_home / IDS).read_text())["ids"]["wandb"]
    assert [set(one) for one in ids] == [{(kept, "tunewise", "first try")}] * 2
    first, second = wandb_runs(wandb_home, history)
    points = [(one["_step"], one["train/loss"]) for one in [*first, *second]]
    assert points == [*LOSSES[:5], *LOSSES[3:]]
    assert [one.get("dev/accuracy") for one in first] == [None, None, 0.5, None, None]
    assert second[-1].keys() >= TRAIN | {"dev/accuracy"}


def test_wandb_keeps_to_the_persons_own_mode(
    wandb_home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if is_refused("wandb", wandb_home):
        return
    monkeypatch.setenv("WANDB_MODE", "disabled")
    track("wandb", wandb_home, KILLED)
    assert not list(wandb_home.glob("wandb/*run-*"))
