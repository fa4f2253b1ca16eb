import io
from collections.abc import Callable
from dataclasses import replace

import pytest
from rich.console import Console

from example_costs import TRAINING, shop_costs
from example_run import TOKENS
from tunewise.report.changes import what_would_change
from tunewise.report.costs import cost_sentence, saving_rows, volume_that_pays
from tunewise.report.figures import key_figures
from tunewise.report.html import render_html
from tunewise.report.sentences import what_was_measured
from tunewise.report.summary import summary
from tunewise.report.terminal import render_verdict
from tunewise.runs.schema import Run
from tunewise.wording import rough

MakeRun = Callable[..., Run]


def priced(make_run: MakeRun, *, tuned=TOKENS["fine_tune"], ends="practically_the_same", **costs):
    """A run with costs, the fine-tune's requests taking so many tokens."""
    run = make_run(ends=ends)
    found = shop_costs({**TOKENS, "fine_tune": tuned}, run.n_test, **costs)
    return replace(run, economics=replace(found.economics))


def test_without_prices_nothing_is_said_of_money(make_run: MakeRun) -> None:
    run = make_run()
    assert cost_sentence(run) == ""
    assert "USD" not in render_html(run)
    assert dict(what_was_measured(run))["Cost"] == "no prices given ([prices])"


def test_the_first_screen_says_what_is_saved_and_when_it_pays(make_run: MakeRun) -> None:
    run = make_run(ends="cheaper")
    assert run.rule == "cheaper"
    said = summary(run).cost
    assert said.startswith("A thousand requests save 0.243 USD (0.2")
    assert "; the training, 253 USD, is recovered after 1,040,000 requests (9" in said
    assert said.endswith("2.1 months at 500,000 a month.")


def test_a_training_that_may_save_nothing_is_open(make_run: MakeRun) -> None:
    said = cost_sentence(priced(make_run, tuned=(530.0, 12.0)))
    assert said.startswith("Whether a thousand requests save anything is open (−0.")
    assert "at least, perhaps never)" in said


def test_a_training_that_costs_more_is_never_recovered(make_run: MakeRun) -> None:
    said = cost_sentence(priced(make_run, tuned=(900.0, 12.0)))
    assert said.startswith("A thousand requests cost 0.184 USD more (0.1")
    assert said.endswith("; the training, 253 USD, is never recovered.")


def test_without_a_price_of_training_only_requests_are_told(make_run: MakeRun) -> None:
    said = cost_sentence(priced(make_run, training=replace(TRAINING, hour=None)))
    assert said.startswith("A thousand requests save 0.243 USD")
    assert "training" not in said


def test_every_contender_without_training_has_its_row_and_ceilings_are_marked(
    make_run: MakeRun,
) -> None:
    rows = {one.name: one for one in saving_rows(make_run(ends="cheaper"))}
    assert set(rows) == {"zero_shot", "prompt", "few_shot", "classifier", "big-model"}
    assert rows["big-model"].note == "shown for scale"
    assert rows["classifier"].break_even == "never"
    assert rows["few_shot"].in_horizon == "1,204 USD"


def test_the_volume_that_pays_is_where_a_year_covers_its_training(make_run: MakeRun) -> None:
    few = priced(make_run, monthly=20_000)
    volume = volume_that_pays(few)
    assert volume is not None
    assert volume > 20_000
    enough = priced(make_run, monthly=round(1.01 * volume)).economics.against("few_shot")
    short = priced(make_run, monthly=round(0.99 * volume)).economics.against("few_shot")
    assert enough.in_horizon.low > 0 > short.in_horizon.low
    lines = what_would_change(few)
    told = f"More requests: from about {rough(volume)} a month on (now 20,000), fine_tune"
    assert any(line.startswith(told) for line in lines)


def test_hours_against_tokens_are_said_to_suppose_a_busy_machine(make_run: MakeRun) -> None:
    run = make_run(ends="cheaper")
    savings = tuple(replace(one, comparable=False) for one in run.economics.savings)
    said = cost_sentence(replace(run, economics=replace(run.economics, savings=savings)))
    assert "if its machine is always busy; the training" in said


def test_with_prices_the_saving_stands_among_the_key_numbers(make_run: MakeRun) -> None:
    figures = {one.label: one for one in key_figures(make_run(ends="cheaper"))}
    saved = figures["saved in 1,000 requests, fine_tune against few_shot"]
    assert saved.value == "0.243 USD"
    assert saved.detail.startswith("95% interval 0.2")
    assert not any("saved" in one.label for one in key_figures(make_run()))


def test_terminal_and_page_show_what_the_summary_says(make_run: MakeRun) -> None:
    run = make_run(ends="cheaper")
    console = Console(file=io.StringIO(), width=2000)
    render_verdict(run, console)
    assert summary(run).cost in console.file.getvalue()
    assert summary(run).cost in render_html(run)


@pytest.mark.parametrize(("ends", "plots"), [("cheaper", 2), ("fine_tune", 0)])
def test_the_page_draws_total_cost_and_what_it_hangs_on(
    make_run: MakeRun, ends: str, plots: int
) -> None:
    page = render_html(make_run(ends=ends))
    titles = ("Total cost over requests", "Saved in 12 months, USD")
    assert sum(f"<title>{title}</title>" in page for title in titles) == plots
