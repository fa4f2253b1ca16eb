"""The first screen, for each way a run can end: finding, gain, tokens and latency, what to do."""

import io
from collections.abc import Callable

import pytest
from rich.console import Console

from example_run import RATES, SHOPS
from tunewise.report.html import render_html
from tunewise.report.sentences import headline
from tunewise.report.summary import summary
from tunewise.report.terminal import render_brief, render_verdict
from tunewise.runs.schema import Run

MakeRun = Callable[..., Run]
TUNED, SHOTS = (
    "the fine-tuned model (fine_tune)",
    "the model with examples in its prompt (few_shot)",
)
FINDINGS = {
    "fine_tune": f"Fine-tune: use {TUNED}; it is worth its training.",
    "cheaper": f"Fine-tune: use {TUNED}; it is as good as {SHOTS}, and cheaper.",
    "better_by_less": "The fine-tuned model (fine_tune) is better, but by less than the 5 points "
    "you asked for: your minimum_gain decides.",
    "surely_by_less": "The fine-tuned model (fine_tune) is better, but by less than the 5 points "
    f"you asked for: as asked, use {SHOTS}.",
    "practically_the_same": f"Do not fine-tune: {TUNED} and {SHOTS} are practically the same.",
    "do_not": f"Do not fine-tune: use {SHOTS}, which is better than the best training tried.",
    "stay": f"Stay with {SHOTS}: more labels would not pay.",
    "cannot_tell": "Do not decide yet: whether fine-tuning is worth it is open; until then, use "
    f"{SHOTS}.",
    "nothing_learned": "Use none of these yet, and do not fine-tune: nothing tried is shown to be "
    "better than giving one fixed answer to everything.",
}
TOOK = "(trained in 3 min 32 s on this machine)"
NEXT = {
    "fine_tune": "Next: use fine_tune, whose adapter is in models/fine_tune of the run folder "
    f"{TOOK}. Whether it kept its general ability was not measured: try it on whatever else it has "
    "to do.",
    "better_by_less": "Next: decide whether 4.8 points are worth a training to you. If so, use "
    f"fine_tune {TOOK}: only the one-off training speaks against it; if not, use few_shot.",
    "surely_by_less": "Next: use few_shot. If so much is worth a training to you after all, use "
    f"fine_tune {TOOK}: only the one-off training speaks against it.",
    "practically_the_same": "Next: use few_shot, the simpler one: nothing has to be trained. A "
    "request to the fine-tuned one takes less, which at a high volume can pay for a training; "
    "[prices] would count it.",
    "do_not": "Next: use few_shot; no training has to be paid for.",
    "stay": "Next: use few_shot, and label no more for this question: staying is expected to cost "
    "0.5 points against knowing the truth, less than labels would have to bring.",
    "nothing_learned": "Next: look whether the answers in your file belong to their questions, and "
    "whether two people would give the same ones; label more only after that.",
}


def shown(render: Callable[[Run, Console], None], run: Run) -> str:
    console = Console(file=io.StringIO(), width=2000)
    render(run, console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


@pytest.mark.parametrize("ends", FINDINGS)
def test_every_finding_has_its_own_text(make_run: MakeRun, ends: str) -> None:
    assert summary(make_run(ends=ends)).finding == FINDINGS[ends]


@pytest.mark.parametrize("ends", NEXT)
def test_every_finding_says_what_to_do_next(make_run: MakeRun, ends: str) -> None:
    assert summary(make_run(ends=ends)).next == NEXT[ends]


def test_the_gain_is_that_of_the_mean_over_seeds_with_the_confidence_of_its_look(
    make_run: MakeRun,
) -> None:
    assert summary(make_run()).gain == (
        "The fine-tuned model (fine_tune) scores 93.9%, the mean of its 3 seeds, on 120 unseen "
        "test examples: 12.2 points more than the model with examples in "
        "its prompt (few_shot). With 92% confidence, the true difference lies between 6.6 and 17.8 "
        "points in its favour."
    )


def test_a_later_look_says_its_own_confidence(make_run: MakeRun) -> None:
    run = make_run()
    looks = [{**_fields(one), "method": "paired t, 99.4%"} for one in run.comparisons]
    assert "With 99.4% confidence" in summary(make_run(changes={"comparisons": looks})).gain


def test_a_run_that_did_not_note_its_confidence_says_what_it_at_least_was(
    make_run: MakeRun,
) -> None:
    run = make_run()
    looks = [{**_fields(one), "method": "Bonett–Price interval"} for one in run.comparisons]
    assert "With at least 95% confidence" in summary(make_run(changes={"comparisons": looks})).gain


def _fields(one: object) -> dict[str, object]:
    return {name: getattr(one, name) for name in one.__slots__}  # type: ignore[attr-defined]


def test_rows_that_belong_together_are_told_as_units(make_run: MakeRun) -> None:
    run = make_run()
    units = [{**_fields(one), "groups": 40} for one in run.comparisons]
    assert "on 120 unseen test examples in 40 independent units" in (
        summary(make_run(changes={"comparisons": units})).gain
    )


def test_a_loss_is_told_as_one(make_run: MakeRun) -> None:
    said = summary(make_run(ends="do_not")).gain
    assert "53.1 points less than the model with examples in its prompt" in said
    assert "between 45.8 and 60.3 points against it" in said


def test_what_a_request_takes_is_held_against_the_best_without_training(make_run: MakeRun) -> None:
    assert summary(make_run()).request == (
        "A request to fine_tune takes 58 tokens instead of 543, 9.4 times fewer, and 140 ms "
        "instead of 410 ms, 2.9 times faster; what that costs was not measured (no "
        "[prices])."
    )
    priced = summary(make_run(ends="cheaper")).request
    assert priced.endswith("2.9 times faster; 1,000 cost 0.041 USD instead of 0.284 USD.")


def test_the_best_without_training_is_the_one_that_was_measured_against(make_run: MakeRun) -> None:
    run = make_run(ends="do_not", rates=RATES | {"fine_tune": 0.6, "classifier": 0.95})
    assert run.plan.incumbent == "few_shot"
    assert "58 tokens instead of 0, and 140 ms instead of 8.4 ms" in summary(run).request
    assert "less than a small classifier (classifier)" in summary(run).gain


def test_test_rows_left_out_as_leaked_are_counted_in_line_one(make_run: MakeRun) -> None:
    counted = "38 test examples were left out: also in train (12) and the documents (26)."
    run = make_run(left_out={"train": 12, "documents": 26})
    assert summary(run).finding == f"{FINDINGS['fine_tune']} {counted}"
    assert f"Fine-tune. {counted}\n" in shown(render_verdict, run)
    assert f"<h1>Fine-tune. <small>{counted}</small></h1>" in render_html(run)


def test_an_open_verdict_says_what_rows_it_takes_and_how_likely_they_settle_it(
    make_run: MakeRun,
) -> None:
    run = make_run(ends="cannot_tell")
    chance = next(one.settled for one in run.assurance if one.rows == 100)
    assert summary(run).next == (
        f"Next: 100 more test examples settle it with a chance of {round(100 * chance)}%: label "
        "about 350 rows beyond the 210 there are."
    )


def test_an_open_verdict_first_takes_the_rows_there_are(make_run: MakeRun) -> None:
    run = make_run(ends="cannot_tell", unused={"data.limit_test": 70})
    assert summary(run).next.endswith(
        "use the rows you have (70 labelled rows of the test side were kept for later: set "
        "`data.limit_test = 130` to use them); nothing has to be labelled."
    )


def test_what_is_not_shown_to_help_is_not_advised_meanwhile(make_run: MakeRun) -> None:
    found = summary(make_run(ends="cannot_tell", changes={"recommended": None}))
    assert found.finding.endswith("is open; nothing tried is shown to help yet.")


def test_what_more_rows_would_not_settle_is_not_told_to_label(make_run: MakeRun) -> None:
    poor = [{"rows": 1000, "settled": 0.2, "fine_tune": 0.1}]
    changes = {"examples_needed": None, "assurance": poor}
    assert summary(make_run(ends="cannot_tell", changes=changes)).next == (
        "Next: use few_shot, and label no more for this question: up to 1,000 more test examples "
        "are unlikely to settle it."
    )
    unknown = {"examples_needed": None, "assurance": []}
    found = summary(make_run(ends="cannot_tell", changes=unknown))
    assert found.next.endswith("more examples alone would not settle it.")


def test_what_stands_in_the_way_of_a_clear_gain_is_not_rows(make_run: MakeRun) -> None:
    poor = [{"rows": 1000, "settled": 0.2, "fine_tune": 0.1}]
    slow = {"finding": "cannot_tell", "outcome": "undecided", "assurance": poor}
    assert summary(make_run(changes=slow)).next == (
        "Next: see below what is in the way; more examples alone would not settle it."
    )


def test_too_few_rows_for_any_interval_are_to_become_more(make_run: MakeRun) -> None:
    found = summary(make_run(n_test=10))
    assert "that is too few for any certainty" in found.gain
    few = "and run again: the test split has 10 rows (at least 20 are needed)."
    assert found.next == f"Next: label more, {few}"
    reserved = summary(make_run(n_test=10, unused={"data.limit_test": 30})).next
    assert reserved.startswith("Next: use the rows you have (30 labelled rows of the test side")
    assert reserved.endswith(few)


def test_without_a_training_there_is_nothing_to_compare(make_run: MakeRun) -> None:
    plan = {"incumbent": "few_shot", "challenger": None}
    found = summary(make_run(ends="cannot_tell", changes={"plan": plan}))
    assert "Nothing with training was measured beside the model with examples" in found.gain
    assert found.request == ""


def test_where_nothing_was_learned_the_best_is_held_against_a_fixed_answer(
    make_run: MakeRun,
) -> None:
    found = summary(make_run(ends="nothing_learned"))
    assert "more than one fixed answer to everything (constant)" in found.gain
    assert found.request == ""


@pytest.mark.parametrize("ends", SHOPS)
def test_finding_gain_request_and_next_stand_first_in_this_order(
    make_run: MakeRun, ends: str
) -> None:
    run = make_run(ends=ends)
    found = summary(run)
    assert [line.removeprefix("• ").strip() for line in shown(render_brief, run).splitlines()] == (
        found.sentences
    )
    terminal, page = shown(render_verdict, run), render_html(run)
    for text, after in ((terminal, "The rule that decided"), (page, "When to fine-tune")):
        parts = [headline(run), found.gain, found.request, found.next.replace("`", ""), after]
        places = [text.index(part) for part in parts if part]
        assert places == sorted(places)
    for word in ("incumbent", "challenger", "McNemar", " dev"):
        assert word not in shown(render_brief, run)


@pytest.mark.parametrize("ends", ["cannot_tell", "stay"])
def test_an_open_verdict_shows_what_more_rows_would_do(make_run: MakeRun, ends: str) -> None:
    run = make_run(ends=ends)
    for text in (shown(render_verdict, run), render_html(run)):
        assert ("chance of fine-tune" in text) == (ends == "cannot_tell")
