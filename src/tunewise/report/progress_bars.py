"""Shows running work: bars in a terminal, lines with the time of day in a log."""

import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console
from rich.progress import (
    BarColumn,
    ProgressColumn,
    TaskID,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
)
from rich.progress import Progress as Bars
from rich.progress import Task as Bar
from rich.table import Column
from rich.text import Text

from tunewise import wording
from tunewise.storage import shortened

_SECONDS_BETWEEN_LINES = 30.0
"""Without a terminal, running work says where it is this often."""
_PACE = 0.02
"""Part of the work that has to be done before its pace tells how much time is left."""
_WORTH_A_CLOCK = 120.0
"""Seconds left from which on the time of day is told at which it will be over."""


class _TimeLeft(ProgressColumn):
    """The estimate from the mean pace so far, which steps of uneven length do not upset."""

    def __init__(self, time_of_day: Callable[[float], str]) -> None:
        super().__init__(table_column=Column(no_wrap=True))
        self._time_of_day = time_of_day

    def render(self, task: Bar) -> Text:
        """See `ProgressColumn.render`."""
        done, total = task.completed, task.total or 0
        left = "" if task.finished else _left(done, total, task.elapsed or 0.0, self._time_of_day)
        return Text(left, style="cyan")


def _left(done: float, total: float, elapsed: float, time_of_day: Callable[[float], str]) -> str:
    """`about 20 s left`, `about 12 min left, until 14:15`; nothing before there is a pace."""
    if done < _PACE * total or done <= 0 or elapsed <= 0:
        return ""
    seconds = elapsed * (total - done) / done
    until = f", until {time_of_day(seconds)[:5]}" if seconds >= _WORTH_A_CLOCK else ""
    return f"about {wording.rough_duration(seconds)} left{until}"


def _time_of_day(later: float) -> str:
    return time.strftime("%H:%M:%S", time.localtime(time.time() + later))


class RichProgress:
    """Shows running work on stderr: bars in a terminal, single lines in a log.

    Args:
        console: where to draw; stderr unless told otherwise.
        clock: seconds, monotonic.
        time_of_day: what the clock shows so many seconds from now, `14:03:07`.
    """

    def __init__(
        self,
        console: Console | None = None,
        clock: Callable[[], float] = time.monotonic,
        time_of_day: Callable[[float], str] = _time_of_day,
    ) -> None:
        self._console = console or Console(stderr=True)
        self._clock = clock
        self._time_of_day = time_of_day
        self._bars: Bars | None = None
        self._shown: list[TaskID] = []
        self._status = ""
        self._depth = 0

    @contextmanager
    def task(self, description: str, *, total: int) -> Generator[Callable[[int], None]]:
        """See `Progress.task`. A task inside another one is shown indented below it."""
        shown = "  " * self._depth + description
        self._depth += 1
        try:
            work = self._bar(shown, total) if self._console.is_terminal else self._log(shown, total)
            with work as advance:
                yield advance
        finally:
            self._depth -= 1

    def note(self, text: str) -> None:
        """See `Progress.note`."""
        line = "  " * self._depth + shortened(text, Path.cwd())
        if not self._console.is_terminal:
            self._say(line)
            return
        console = self._bars.console if self._bars else self._console
        console.print(Text(line), soft_wrap=True)

    def status(self, text: str) -> None:
        """See `Progress.status`."""
        self._status = text
        if self._bars and self._shown:
            self._bars.update(self._shown[-1], status=text)

    @contextmanager
    def _bar(self, description: str, total: int) -> Generator[Callable[[int], None]]:
        bars, outermost = self._bars or self._new_bars(), self._bars is None
        self._bars = bars
        if outermost:
            bars.start()
        started = self._clock()
        bar = bars.add_task(description, total=total or None, status="")
        self._shown.append(bar)
        try:
            yield lambda units: bars.advance(bar, units)
            line = f"{description}: {wording.duration(self._clock() - started)}"
            bars.console.print(Text(line, style="dim"), soft_wrap=True)
        finally:
            self._shown.remove(bar)
            bars.remove_task(bar)
            if outermost:
                bars.stop()
                self._bars = None

    def _new_bars(self) -> Bars:
        return Bars(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            TaskProgressColumn(),
            TimeElapsedColumn(),
            _TimeLeft(self._time_of_day),
            TextColumn(
                "{task.fields[status]}",
                style="dim",
                markup=False,
                table_column=Column(no_wrap=True, overflow="ellipsis"),
            ),
            console=self._console,
            transient=True,
            # stdout may carry the one JSON document of --json: leave it alone.
            redirect_stdout=False,
        )

    @contextmanager
    def _log(self, description: str, total: int) -> Generator[Callable[[int], None]]:
        started = said = self._clock()
        done = 0

        def advance(units: int) -> None:
            nonlocal done, said
            done += units
            now = self._clock()
            if now - said >= _SECONDS_BETWEEN_LINES and done < total:
                said = now
                left = _left(done, total, now - started, self._time_of_day)
                estimate = f", {left}" if left else ""
                doing = f" ({self._status})" if self._status else ""
                self._say(
                    f"{description}: {wording.whole_percent(done / total)} done{estimate}{doing}"
                )

        self._say(f"{description} ...")
        self._status = ""
        try:
            yield advance
        except BaseException:
            self._say(f"{description}: stopped after {self._since(started)}")
            raise
        self._say(f"{description}: done in {self._since(started)}")

    def _since(self, started: float) -> str:
        return wording.duration(self._clock() - started)

    def _say(self, line: str) -> None:
        self._console.print(Text(f"{self._time_of_day(0.0)} {line}"), soft_wrap=True)
