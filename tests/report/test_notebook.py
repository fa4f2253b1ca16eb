import builtins
import re
from collections.abc import Callable

import pytest
from rich.console import Console

from html_pages import HOSTILE, Page
from tunewise.errors import UserError
from tunewise.report.notebook import FinishedRun
from tunewise.report.terminal import render_verdict
from tunewise.runs.schema import Run

MakeRun = Callable[..., Run]


@pytest.fixture
def run(make_run: MakeRun) -> FinishedRun:
    return FinishedRun.of(make_run())


def test_the_table_holds_the_numbers_of_the_terminal(run: FinishedRun) -> None:
    console = Console(record=True, width=240, file=open("/dev/null", "w"))  # noqa: SIM115
    render_verdict(run, console)
    shown = console.export_text()
    table = run._repr_html_().partition("<tbody>")[2].partition("</tbody>")[0]
    cells = [Page(cell).text.strip() for cell in re.split(r"<br>|</td>", table)]
    assert len([cell for cell in cells if cell]) > 40
    assert [cell for cell in cells if cell not in shown] == []


def test_the_verdict_stands_above_the_table_and_who_did_not_run_below(run: FinishedRun) -> None:
    page = Page(run._repr_html_())
    assert page.text.startswith("Fine-tune.")
    assert "rag did not run: no documents given" in page.text
    assert "120 test examples" in page.text


def test_what_others_wrote_is_text(make_run: MakeRun) -> None:
    run = FinishedRun.of(
        make_run(changes={"reason": f"Fine-tune. {HOSTILE}", "metric": "<b>own</b>"})
    )
    page = Page(run._repr_html_())
    assert {tag for tag, _ in page.elements} == {
        "p", "strong", "br", "table", "thead", "tbody", "tr", "th", "td", "small",
    }  # fmt: skip
    assert "<b>own</b>" in page.text


def test_a_frame_has_a_row_for_every_answer_and_a_column_for_every_metric(
    run: FinishedRun,
) -> None:
    frame = run.to_pandas()
    assert len(frame) == len(run.answers)
    assert set(frame.columns) >= {"example_id", "contender", "seed", "input", "target", "text"}
    shipped = frame[(frame.contender == "few_shot") & (frame.seed == 0)]
    few_shot = run.contender("few_shot")
    assert few_shot is not None
    assert few_shot.quality is not None
    assert shipped.exact_match.mean() == pytest.approx(few_shot.quality.value)
    crashed = frame[frame.error.notna()]
    assert set(crashed.contender) == {"big-model"}
    assert crashed.exact_match.isna().all()
    assert crashed.text.isna().all()


def test_without_pandas_the_extra_is_named(
    run: FinishedRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = builtins.__import__

    def refuse(name: str, *rest: object) -> object:
        if name == "pandas":
            raise ImportError(name)
        return real(name, *rest)  # pyright: ignore[reportArgumentType]

    monkeypatch.setattr(builtins, "__import__", refuse)
    with pytest.raises(UserError, match=r"tunewise\[notebook\]"):
        run.to_pandas()
