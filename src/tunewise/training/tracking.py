"""Writes the numbers of a training where a person watches experiments: TensorBoard, MLflow, W&B.

Each tracker receives the events of a training and takes the numbers out of them. A training that
goes on, goes on in the same place: what names it is kept in `tracking.json`. Nothing leaves the
machine unless the person's own settings of the library say so.
"""

import hashlib
import importlib
import importlib.util
import json
import os
import secrets
import socket
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from tunewise.errors import UserError, first_line
from tunewise.storage import write_json
from tunewise.types import JsonValue

IDS = "tracking.json"
"""Which training a folder holds, and its name with each tracker."""
TENSORBOARD = "tensorboard"
"""Folder of the event files, beside `IDS`."""
_OF_A_STEP = ("loss", "learning_rate", "gradient_norm", "tokens_per_second", "share_of_peak")
_INSTALL = {
    "tensorboard": "Install tunewise[tracking]",
    "mlflow": "pip install mlflow",
    "wandb": "pip install wandb",
}
_DEFAULTS = {
    # Both report how they are used; W&B its errors and all that a terminal shows, too.
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "WANDB_ERROR_REPORTING": "false",
    "WANDB_CONSOLE": "off",
    # And both write on the terminal, between the lines of the training.
    "MLFLOW_LOGGING_LEVEL": "WARNING",
    "WANDB_SILENT": "true",
}
"""Environment variables of the libraries, where the person set none."""
_PARAMETER = 500
"""Characters of a setting's value that every MLflow server takes."""


def numbers_of(event: Mapping[str, Any]) -> dict[str, float]:
    """Name -> number, of an event that has some: train/loss, dev/accuracy."""
    if event["event"] == "step":
        return {f"train/{name}": float(event[name]) for name in _OF_A_STEP if name in event}
    if event["event"] == "dev":
        return {f"dev/{event['metric']}": float(event["value"])}
    return {}


@dataclass(kw_only=True, slots=True)
class Tracked:
    """One training, as trackers know it."""

    folder: Path
    name: str
    """Shown to people."""
    settings: Mapping[str, JsonValue]
    """Shown beside its numbers."""
    ids: dict[str, str]
    """Tracker -> the training's id there; of those that gave it one."""
    goes_on: bool
    """Whether the folder held the same training before."""


class Tracker(ABC):
    """Writes the numbers of one training to one place; a watcher of its events.

    Args:
        name: of the place.
        warn: called once, when the place takes no more: the training is worth more than its curve.
    """

    def __init__(self, name: str, *, warn: Callable[[str], None]) -> None:
        self._name, self._warn = name, warn
        self._gave_up = self._failed = False

    def __call__(self, event: Mapping[str, Any]) -> None:
        """Writes down what is in the event."""
        self._failed = event["event"] == "not finite"
        self._try(lambda: self._write(event))

    def close(self) -> None:
        """Ends what is written; the training may still go on later."""
        self._try(self._close)

    def _try(self, action: Callable[[], None]) -> None:
        if self._gave_up:
            return
        try:
            action()
        except Exception as error:  # noqa: BLE001 - boundary around one request
            self._gave_up = True
            why = first_line(error).rstrip(".")
            self._warn(f"training.track: {self._name} takes no more: {why}.")

    @abstractmethod
    def _write(self, event: Mapping[str, Any]) -> None: ...

    @abstractmethod
    def _close(self) -> None: ...


class TensorBoardTracker(Tracker):
    """Event files in `tensorboard/`, one for each time that the training was begun or went on.

    Records go straight into a file: the writers that tensorboard and torch offer import TensorFlow
    where it is installed.
    """

    def __init__(self, tracked: Tracked, *, warn: Callable[[str], None]) -> None:
        super().__init__("tensorboard", warn=warn)
        self._events = _library("tensorboard.compat.proto.event_pb2")
        self._summaries = _library("tensorboard.compat.proto.summary_pb2")
        self._tracked, self._begun = tracked, False
        folder = tracked.folder / TENSORBOARD
        folder.mkdir(parents=True, exist_ok=True)
        # Files are read in the order of their names.
        place = f"{time.time_ns()}.{socket.gethostname()}.{os.getpid()}"
        records = _library("tensorboard.summary.writer.record_writer")
        self._records = records.RecordWriter((folder / f"events.out.tfevents.{place}").open("xb"))
        self._add(0, file_version="brain.Event:2")

    def _write(self, event: Mapping[str, Any]) -> None:
        if event["event"] in ("start", "resumed") and not self._begun:
            self._begin(int(event["at"]))
        if numbers := numbers_of(event):
            values = [
                self._summaries.Summary.Value(tag=tag, simple_value=number)
                for tag, number in numbers.items()
            ]
            self._add(int(event["step"]), summary=self._summaries.Summary(value=values))

    def _begin(self, at: int) -> None:
        """Takes back what was shown of steps that no checkpoint kept, or of another training."""
        tracked, self._begun = self._tracked, True
        log = self._events.SessionLog(status=self._events.SessionLog.START)
        self._add(at + 1 if tracked.goes_on else 0, session_log=log)
        if not tracked.goes_on:
            lines = [f"| {tracked.name} | |", "| - | - |"]
            lines += [f"| {key} | {value} |" for key, value in _flat(tracked.settings).items()]
            texts = _library("tensorboard.plugins.text.summary_v2")
            self._add(0, summary=texts.text_pb("settings", "\n".join(lines)))

    def _add(self, step: int, **content: Any) -> None:
        event = self._events.Event(wall_time=time.time(), step=step, **content)
        self._records.write(event.SerializeToString())
        self._records.flush()

    def _close(self) -> None:
        self._records.close()


class MlflowTracker(Tracker):
    """One run of the experiment that the person's environment names, else of "tunewise"."""

    def __init__(self, tracked: Tracked, *, warn: Callable[[str], None]) -> None:
        super().__init__("mlflow", warn=warn)
        mlflow = _library("mlflow")
        self._client: Any = mlflow.MlflowClient()
        self._entities: Any = mlflow.entities
        self._last: dict[str, int] = {}
        kept = tracked.ids.get("mlflow")
        if kept is not None and self._is_there(kept, mlflow.exceptions.MlflowException):
            self._run_id = kept
            self._client.update_run(kept, status="RUNNING")
            for key in self._client.get_run(kept).data.metrics:
                history = self._client.get_metric_history(kept, key)
                self._last[key] = max(metric.step for metric in history)
            return
        run = self._client.create_run(self._experiment(), run_name=tracked.name)
        self._run_id = tracked.ids["mlflow"] = str(run.info.run_id)
        parameters = [
            self._entities.Param(key, value[:_PARAMETER])
            for key, value in _flat(tracked.settings).items()
        ]
        self._client.log_batch(self._run_id, params=parameters)

    def _is_there(self, run_id: str, error_type: type[Exception]) -> bool:
        try:
            stage = self._client.get_run(run_id).info.lifecycle_stage
        except error_type as error:
            if getattr(error, "error_code", None) != "RESOURCE_DOES_NOT_EXIST":
                raise
            return False  # deleted for good, or the person keeps runs elsewhere now
        return stage == "active"

    def _experiment(self) -> str:
        chosen = os.environ.get("MLFLOW_EXPERIMENT_ID")
        if chosen:
            return chosen
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME") or "tunewise"
        found = self._client.get_experiment_by_name(name)
        return str(found.experiment_id if found else self._client.create_experiment(name))

    def _write(self, event: Mapping[str, Any]) -> None:
        step, now = int(event["step"]), int(time.time() * 1000)
        metrics = [
            self._entities.Metric(key, number, now, step)
            for key, number in numbers_of(event).items()
            if step > self._last.get(key, -1)  # or it is there from before
        ]
        if metrics:
            self._client.log_batch(self._run_id, metrics=metrics)

    def _close(self) -> None:
        self._client.set_terminated(self._run_id, "FAILED" if self._failed else "FINISHED")


class WandbTracker(Tracker):
    """One run of the project that the person's settings name, else of "tunewise".

    Without credentials it is kept in `wandb/` until the person syncs it.
    """

    def __init__(self, tracked: Tracked, *, warn: Callable[[str], None]) -> None:
        super().__init__("wandb", warn=warn)
        wandb = _library("wandb")
        settings = wandb.setup().settings
        known = settings.mode != "online" or wandb.login(prompt=False, verify=False)
        run_id = tracked.ids.setdefault("wandb", secrets.token_hex(8))
        self._run: Any = wandb.init(
            project=settings.project or "tunewise",
            name=tracked.name,
            id=run_id,
            resume="allow",
            dir=os.environ.get("WANDB_DIR") or tracked.folder,
            config=dict(tracked.settings),
            mode=None if known else "offline",
            reinit="create_new",
        )

    def _write(self, event: Mapping[str, Any]) -> None:
        numbers, step = numbers_of(event), int(event["step"])
        if numbers and step >= self._run.step:  # or it is there from before
            self._run.log(numbers, step=step)

    def _close(self) -> None:
        self._run.finish(exit_code=1 if self._failed else 0)


_TRACKERS: dict[str, type[TensorBoardTracker | MlflowTracker | WandbTracker]] = {
    "tensorboard": TensorBoardTracker,
    "mlflow": MlflowTracker,
    "wandb": WandbTracker,
}


def open_trackers(
    names: Sequence[str],
    folder: Path,
    *,
    name: str,
    settings: Mapping[str, JsonValue],
    warn: Callable[[str], None] = lambda line: None,
) -> list[Tracker]:
    """Opens the places that a training is tracked in. In a group of processes, the first does.

    Args:
        names: of `TRACKERS` in `tunewise.project.settings`.
        folder: the training's; made if missing.
        name: of the training, for people.
        settings: of the training, for people. They say which training it is, too: one with other
            settings in the same folder gets a place of its own.
        warn: called when a place takes no more while training.

    Raises:
        UserError: a library is missing, or a place cannot be opened; all of them together.
    """
    wanted = list(dict.fromkeys(names))
    faults = [
        f"training.track: {one} is not installed. {_INSTALL[one]}, or remove it from track."
        for one in wanted
        if not _is_installed(one)
    ]
    if faults:
        raise UserError.together(faults)
    for variable, value in _DEFAULTS.items():
        os.environ.setdefault(variable, value)
    tracked = _tracked(folder, name, settings)
    opened: list[Tracker] = []
    for one in wanted:
        try:
            opened.append(_TRACKERS[one](tracked, warn=warn))
        except Exception as error:  # noqa: BLE001 - boundary: servers that are not ours
            why = first_line(error).rstrip(".")
            what = f"training.track: {one} cannot be opened: {why}."
            faults.append(f"{what} Check its settings, or remove it from track.")
    try:
        if wanted:
            folder.mkdir(parents=True, exist_ok=True)
            ids = {"training": _hash(settings), "ids": tracked.ids}
            write_json(folder / IDS, ids)
    except OSError as error:
        faults.append(
            f"{folder}: the training cannot write here: {error.strerror or error}. Name another "
            "folder with --out."
        )
    if faults:
        for tracker in opened:
            tracker.close()
        raise UserError.together(faults)
    return opened


def _tracked(folder: Path, name: str, settings: Mapping[str, JsonValue]) -> Tracked:
    """What the folder's file says, if it says it of this training."""
    ids: dict[str, str] | None = None
    try:
        found = cast("object", json.loads((folder / IDS).read_text("utf-8")))
    except (OSError, ValueError):
        found = None
    if isinstance(found, dict):
        kept = cast("dict[str, Any]", found)
        if kept.get("training") == _hash(settings) and isinstance(kept.get("ids"), dict):
            ids = dict(kept["ids"])
    return Tracked(
        folder=folder, name=name, settings=settings, ids=ids or {}, goes_on=ids is not None
    )


def _hash(settings: Mapping[str, JsonValue]) -> str:
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()


def _flat(settings: Mapping[str, JsonValue], above: str = "") -> dict[str, str]:
    """Dotted name -> value, as text."""
    flat: dict[str, str] = {}
    for key, value in settings.items():
        if isinstance(value, Mapping):
            flat |= _flat(value, f"{above}{key}.")
        else:
            flat[f"{above}{key}"] = str(value)
    return flat


def _is_installed(library: str) -> bool:
    """A mere folder of that name, such as those that W&B makes, is no library."""
    found = importlib.util.find_spec(library)
    return found is not None and found.origin is not None


def _library(module: str) -> Any:
    return importlib.import_module(module)
