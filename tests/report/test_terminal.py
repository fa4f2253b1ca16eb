import io
import re
import sys
from collections.abc import Callable

import pytest
from rich.console import Console

from tunewise.report.comparison_table import interval_bar
from tunewise.report.terminal import RichProgress, render_verdict
from tunewise.runs.schema import Quality, Run

MakeRun = Callable[..., Run]


def rendered(run: Run, width: int) -> str:
    console = Console(file=io.StringIO(), width=width, force_terminal=False)
    render_verdict(run, console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.mark.parametrize("width", [80, 100, 140, 200])
def test_every_contender_stands_in_full_at_any_width(make_run: MakeRun, width: int) -> None:
    run = make_run()
    text = rendered(run, width)
    for contender in run.contenders:
        assert re.search(rf"^[ →]*{re.escape(contender.name)}\b", text, re.MULTILINE)
    assert "rag did not run: no documents given" in text
    assert "92.5% (86.2–96.5)" in text
    assert "+12.2 (+6.6 to +17.8)" in text
    assert "learning_rate 0.0005" in text
    assert "seeds 92.5% 94.2% 95.0%" in text
    assert "mean 93.9%" in text
    above_the_command = text.split("\nThe whole report")[0]
    assert max(map(len, above_the_command.splitlines())) <= width


def test_the_recommended_contender_is_marked_without_colour(make_run: MakeRun) -> None:
    assert "→ fine_tune " in rendered(make_run(), 140)


def test_the_verdict_comes_with_what_would_change_it_and_the_next_command(
    make_run: MakeRun,
) -> None:
    run = make_run()
    text = rendered(run, 140)
    order = [
        "Fine-tune.\n",
        "Next: use fine_tune",
        "The rule that decided",
        "What would change this verdict",
        f"report {run.folder}",
    ]
    places = [text.index(part) for part in order]
    assert places == sorted(places)


def test_an_open_verdict_shows_its_chances_and_where_reserved_rows_are(make_run: MakeRun) -> None:
    text = rendered(make_run(ends="cannot_tell", unused={"data.limit_test": 70}), 100)
    lines = [
        line.split() for line in text.splitlines() if re.match(r" *(70|100|300|1,000)\b", line)
    ]
    assert [line[0].strip(",") for line in lines] == ["70", "100", "300", "1,000"]
    assert lines[0][1:3] == ["labelled", "already"]
    assert "set data.limit_test = 130" in text


def test_square_brackets_in_a_reason_are_no_markup(make_run: MakeRun) -> None:
    run = make_run(changes={"reason": "Use [bold]this[/bold] [link=http://x]one[/link]."})
    assert "Use [bold]this[/bold] [link=http://x]one[/link]." in rendered(run, 140)


def test_the_interval_bar_shows_both_ends_and_the_value_between() -> None:
    bar = interval_bar(Quality(value=0.5, low=0.25, high=0.75))
    assert bar == "     ╶────●────╴     "
    assert interval_bar(Quality(value=1.0, low=1.0, high=1.0))[-1] == "●"


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
