import io
import re
from collections.abc import Callable

import pytest
from rich.console import Console

from tunewise.report.comparison_table import interval_bar
from tunewise.report.terminal import render_verdict
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
