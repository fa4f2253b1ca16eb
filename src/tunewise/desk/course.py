"""How a run goes, told from the files that it writes anyway: stages, race, curves, time left.

Only reads. What a run does not write down, such as how far a search is, is not told.
"""

import calendar
import os
import time
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias, cast

from tunewise.desk.tail import Tail
from tunewise.runs.folder import State, state_of
from tunewise.runs.records import visible

Standing: TypeAlias = Literal["waiting", "fitting", "in", "out", "skipped"]
STAGES = (
    ("start", "fit on train and dev"),
    ("planned", "write down the plan"),
    ("test opened", "answer the test rows"),
    ("decided", "decide"),
)
"""Event with which a stage begins or, the last two, is reached; and the stage."""
STATE_SECONDS = 3.0
"""Between looks at whether a process works on the run."""
_STAMP = "%Y-%m-%dT%H:%M:%SZ"
_FIRST, _LAST = 0.2, 5.0
"""Bounds of how much faster or slower than estimated a run is taken to be."""


@dataclass(kw_only=True, slots=True)
class Racer:
    """One contender."""

    name: str
    standing: Standing = "waiting"
    dev: float | None = None
    """Its quality on dev, 0 to 1."""
    reason: str = ""
    """Why it is out, or did not run."""
    seconds: float | None = None
    """That fitting it took, in all sittings."""
    tested: int = 0
    """Test rows that it has answered, all seeds together."""


@dataclass(kw_only=True, slots=True)
class Curve:
    """What one training wrote down, step by step."""

    name: str
    steps: list[int] = field(default_factory=list[int])
    loss: list[float] = field(default_factory=list[float])
    pace: list[float] = field(default_factory=list[float])
    """Tokens a second."""
    dev_steps: list[int] = field(default_factory=list[int])
    dev: list[float] = field(default_factory=list[float])
    metric: str = ""
    total_steps: int = 0
    taken_back: int = 0
    """How often steps were forgotten that no checkpoint had kept."""


class Course:
    """The course of one run or training.

    Args:
        folder: of the run; it may not be there yet.
        clock: seconds since 1970.
    """

    def __init__(self, folder: Path, *, clock: Callable[[], float] = time.time) -> None:
        self.folder, self._clock = folder, clock
        self.state: State = "running"
        self.racers: dict[str, Racer] = {}
        self.curves: dict[str, Curve] = {}
        self.reached: set[str] = set()
        """Events of stages that were seen in this sitting or before."""
        self.began: float | None = None
        """Seconds since 1970 when the sitting began."""
        self.decided: str | None = None
        """The outcome."""
        self.plan: tuple[str, str] = ("", "")
        """Incumbent and challenger."""
        self.test_rows = 0
        self._weights: Mapping[str, Mapping[str, float]] = {}
        self._fitting_since: float | None = None
        self._asked_at = 0.0
        self._events = Tail(folder / "events.jsonl")
        self._fits = Tail(folder / "fit-seconds.jsonl")
        self._answers = Tail(folder / "answers.jsonl")
        self._trainings: dict[str, Tail] = {}
        self._settings_read = False

    def look(self) -> bool:
        """Reads what is new; whether anything is. Blocks."""
        self._read_settings()
        changed = False
        for event in self._events.new():
            self._event(event)
            changed = True
        for line in self._fits.new():
            self._fit(line)
            changed = True
        for line in self._answers.new():
            self._racer(str(line.get("contender"))).tested += 1
            changed = True
        changed |= self._look_at_trainings()
        return self._look_at_state() or changed

    def time_left(self) -> tuple[float, float] | None:
        """Seconds, low and high; None where nothing tells it."""
        weights = self._weights
        if not weights or self.state != "running" or self.decided is not None:
            return None
        left = spent = expected = 0.0
        for name, stages in weights.items():
            racer = self.racers.get(name)
            if racer is None or racer.standing in ("out", "skipped"):
                continue
            fit, rest = stages.get("fit", 0.0), stages.get("test", 0.0)
            if racer.standing == "in":
                spent, expected = spent + (racer.seconds or 0.0), expected + fit
                done = min(1.0, racer.tested / self.test_rows) if self.test_rows else 0.0
                left += rest * (1.0 - done) + stages.get("latency", 0.0)
            else:
                going = racer.standing == "fitting" and self._fitting_since is not None
                gone = self._clock() - (self._fitting_since or 0.0) if going else 0.0
                left += max(0.1 * fit, fit - gone) + rest + stages.get("latency", 0.0)
        if "planned" not in self.reached:
            left += max((one.get("seeds", 0.0) for one in weights.values()), default=0.0) / 2
        pace = min(_LAST, max(_FIRST, spent / expected)) if expected > 20.0 else 1.0
        return 0.8 * left * pace, 1.4 * left * pace

    def _read_settings(self) -> None:
        file = self.folder / "project.toml"
        if self._settings_read or not file.is_file():
            return
        try:
            document = tomllib.loads(file.read_text("utf-8"))
        except (OSError, ValueError):
            return
        self._settings_read = True
        if not (self.folder / "test.jsonl").is_file():
            return  # a training has no race
        table = cast("dict[str, Any]", document.get("contenders") or {})
        for name in cast("list[object]", table.get("use") or []):
            self._racer(str(name))
        try:
            with (self.folder / "test.jsonl").open("rb") as lines:
                self.test_rows = sum(1 for _ in lines)
        except OSError:
            self.test_rows = 0

    def _racer(self, name: str) -> Racer:
        shown = visible(name)
        return self.racers.setdefault(shown, Racer(name=shown))

    def _event(self, event: Mapping[str, Any]) -> None:
        kind = str(event.get("event"))
        match kind:
            case "start":
                self.began = _seconds(event.get("time"))
                self.decided = None
            case "forecast":
                self._weights = cast("Mapping[str, Mapping[str, float]]", event["contenders"])
            case "fitted":
                racer = self._racer(str(event["contender"]))
                racer.standing, racer.dev = "out" if "out" in event else "in", event.get("dev")
                racer.reason = visible(str(event.get("out", ""))).removeprefix("out ")
            case "skipped" | "out":
                racer = self._racer(str(event["contender"]))
                racer.standing = "skipped" if kind == "skipped" else "out"
                racer.reason = visible(str(event.get("reason", ""))).removeprefix("out ")
            case "planned":
                said = (event.get("incumbent"), event.get("challenger"))
                self.plan = cast("tuple[str, str]", tuple(visible(str(s or "")) for s in said))
            case "decided":
                self.decided = visible(str(event.get("outcome")))
            case _:
                pass
        if kind == "step":  # of a training without a race
            self._point("training", event)
        self.reached.add(kind)

    def _fit(self, line: Mapping[str, Any]) -> None:
        racer = self._racer(str(line.get("contender")))
        if "began" in line:
            self._fitting_since = float(line["began"])
            if racer.standing == "waiting":
                racer.standing = "fitting"
        else:
            racer.seconds = (racer.seconds or 0.0) + float(line.get("seconds", 0.0))
            self._fitting_since = None

    def _look_at_trainings(self) -> bool:
        found = False
        try:
            with os.scandir(self.folder / "training") as entries:
                names = sorted(one.name for one in entries if one.is_dir())
        except OSError:
            names = []
        for name in names:
            tail = self._trainings.get(name)
            if tail is None:
                tail = self._trainings[name] = Tail(
                    self.folder / "training" / name / "events.jsonl"
                )
            for event in tail.new():
                self._point(visible(name), event)
                found = True
        return found

    def _point(self, name: str, event: Mapping[str, Any]) -> None:
        curve = self.curves.setdefault(name, Curve(name=name))
        match event.get("event"):
            case "start" | "resumed":
                curve.total_steps = int(event.get("total_steps", 0))
                _take_back(curve, int(event.get("at", 0)))
            case "step":
                curve.steps.append(int(event["step"]))
                curve.loss.append(float(event["loss"]))
                curve.pace.append(float(event.get("tokens_per_second", 0.0)))
            case "dev":
                curve.dev_steps.append(int(event["step"]))
                curve.dev.append(float(event["value"]))
                curve.metric = visible(str(event.get("metric", "")))
            case _:
                pass

    def _look_at_state(self) -> bool:
        now = self._clock()
        if now - self._asked_at < STATE_SECONDS and self.decided is None:
            return False
        before, self._asked_at = self.state, now
        self.state = state_of(self.folder) if self.folder.is_dir() else "running"
        if self.state == "interrupted" and self._fitting_since is not None:
            self._fitting_since = None
        return self.state != before


def _take_back(curve: Curve, at: int) -> None:
    """Forgets steps behind the one that a checkpoint kept."""
    kept = sum(1 for step in curve.steps if step <= at)
    kept_dev = sum(1 for step in curve.dev_steps if step <= at)
    if kept < len(curve.steps) or kept_dev < len(curve.dev_steps):
        curve.taken_back += 1
    del curve.steps[kept:], curve.loss[kept:], curve.pace[kept:]
    del curve.dev_steps[kept_dev:], curve.dev[kept_dev:]


def _seconds(stamp: object) -> float | None:
    if isinstance(stamp, int | float):
        return float(stamp)
    try:
        return float(calendar.timegm(time.strptime(str(stamp), _STAMP)))
    except ValueError:
        return None
