"""What is shown of running work, in a terminal and in a log."""

import io
import re
import sys

import pytest
from rich.console import Console

from tunewise.report.progress_bars import RichProgress


class Clock:
    """Seconds that pass only when told to."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def logged() -> tuple[RichProgress, Clock, io.StringIO]:
    file, clock = io.StringIO(), Clock()
    console = Console(file=file, force_terminal=False, width=80)
    return RichProgress(console, clock, lambda later: f"14:{3 + later // 60:02.0f}:07"), clock, file


def test_in_a_log_each_task_says_when_it_starts_and_how_long_it_took() -> None:
    progress, clock, file = logged()
    with progress.task("Fit few_shot", total=3) as advance:
        with progress.task("k = 8 [nearest]", total=1):
            clock.now = 12.0
        advance(3)
        progress.note("chose k = 8")
    assert file.getvalue().splitlines() == [
        "14:03:07 Fit few_shot ...",
        "14:03:07   k = 8 [nearest] ...",
        "14:03:07   k = 8 [nearest]: done in 12 s",
        "14:03:07   chose k = 8",
        "14:03:07 Fit few_shot: done in 12 s",
    ]


def test_long_work_tells_a_log_every_half_minute_how_long_it_will_take() -> None:
    progress, clock, file = logged()
    with progress.task("Answer test", total=100) as advance:
        for _ in range(4):
            clock.now += 10
            advance(10)
    assert file.getvalue().splitlines()[1:-1] == [
        "14:03:07 Answer test: 30% done, about 1 min left"
    ]


def test_long_work_tells_the_time_of_day_at_which_it_will_be_over() -> None:
    progress, clock, file = logged()
    with progress.task("Train", total=100) as advance:
        clock.now = 40.0
        advance(10)
    assert file.getvalue().splitlines()[1] == (
        "14:03:07 Train: 10% done, about 6 min left, until 14:09"
    )


def test_no_time_left_is_told_before_there_is_a_pace() -> None:
    progress, clock, file = logged()
    with progress.task("the whole run", total=1000) as advance:
        clock.now = 40.0
        advance(1)
    assert file.getvalue().splitlines()[1] == "14:03:07 the whole run: 0% done"


def test_work_that_is_interrupted_is_not_called_done() -> None:
    progress, clock, file = logged()

    def train() -> None:
        with progress.task("Train", total=10):
            clock.now = 61.0
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train()
    assert file.getvalue().splitlines()[-1] == "14:03:07 Train: stopped after 1 min 01 s"


def test_in_a_terminal_a_bar_runs_and_the_time_taken_stays() -> None:
    file = io.StringIO()
    progress = RichProgress(Console(file=file, force_terminal=True, width=100))
    with progress.task("Fit [few_shot]", total=2) as advance:
        advance(1)
        with progress.task("inner", total=0):
            progress.note("a note that stays")
        advance(1)
    shown = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", file.getvalue())
    assert "a note that stays" in shown
    assert re.search(r"Fit \[few_shot\]: (<|\d)", shown)
    assert "50%" in shown


def test_by_default_progress_leaves_stdout_alone(capsys: pytest.CaptureFixture[str]) -> None:
    with RichProgress().task("Fit", total=1):
        sys.stdout.write("{}\n")
    captured = capsys.readouterr()
    assert captured.out == "{}\n"
    assert "Fit" in captured.err
