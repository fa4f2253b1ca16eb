"""Three sentences for the person who pays, for each way a run can end."""

import io
from collections.abc import Callable

import pytest
from rich.console import Console

from example_run import RATES
from tunewise.report.html import render_html
from tunewise.report.summary import summary
from tunewise.report.terminal import render_brief
from tunewise.runs.schema import Run

MakeRun = Callable[..., Run]
RULES = ["worth_more", "cheaper", "not_worth_it", "cannot_tell", "nothing_learned"]


def test_a_training_that_pays_says_what_to_use_how_sure_that_is_and_what_it_takes(
    make_run: MakeRun,
) -> None:
    found = summary(make_run())
    assert found.to_do == (
        "Fine-tune: use the fine-tuned model (fine_tune); it is worth its training."
    )
    assert found.sure == (
        "Measured on 120 test examples that took no part in fitting, the fine-tuned model "
        "(fine_tune) scores 92.5% (seeds 92.5%, 90.5%, 86.5%, mean 89.8%) and the model with "
        "examples in its prompt (few_shot) 81.7%; the true difference lies between 3.3 and 18.3 "
        "points in its favour, with at least 95% confidence."
    )
    assert found.next == (
        "The training took 3 min 32 s on this machine. One request takes 58 tokens and 140 ms; "
        "what that costs in money was not measured (no [prices] given)."
    )


def test_a_cheaper_training_is_called_as_good_and_not_better(make_run: MakeRun) -> None:
    assert "it is as good as the model with examples in its prompt (few_shot), and cheaper" in (
        summary(make_run(rule="cheaper")).to_do
    )


def test_where_training_is_no_better_the_other_is_named_and_nothing_is_to_be_paid(
    make_run: MakeRun,
) -> None:
    even = make_run(rule="not_worth_it", n_test=700, rates=RATES | {"fine_tune": 0.73})
    found = summary(even)
    assert found.to_do.startswith("Do not fine-tune: use the model with examples in its prompt")
    assert found.to_do.endswith("is as good as the best training tried.")
    assert found.next.startswith("No training has to be paid for. One request takes 543 tokens")


def test_where_another_is_shown_to_be_better_it_is_called_better(make_run: MakeRun) -> None:
    found = summary(make_run(rule="not_worth_it", rates=RATES | {"fine_tune": 0.3}))
    assert found.to_do.endswith("which is better than the best training tried.")
    assert "points against it, with at least 95% confidence" in found.sure


def test_an_open_verdict_says_how_many_rows_it_takes(make_run: MakeRun) -> None:
    found = summary(make_run(rule="cannot_tell"))
    assert found.to_do == (
        "Do not decide yet: whether fine-tuning is worth it is open; until then, use the model "
        "with examples in its prompt (few_shot)."
    )
    assert found.next == (
        "It takes about 140 more test examples: label about 490 rows beyond the 420 there are."
    )


def test_an_open_verdict_first_takes_the_rows_there_are(make_run: MakeRun) -> None:
    splits = {"train": 83, "dev": 18, "test": 49, "unused": {"contenders.limit": 81}}
    run = make_run(rule="cannot_tell", changes={"splits": {**splits, "unused_test": 26}})
    assert summary(run).next == (
        "It takes about 140 more test examples: first use the rows you have (81 labelled rows "
        "were left out by --limit (`contenders.limit`): run without it), then label about 350 "
        "rows beyond the 231 there are."
    )


def test_what_is_not_shown_to_help_is_not_advised_meanwhile(make_run: MakeRun) -> None:
    found = summary(make_run(rule="cannot_tell", changes={"recommended": None}))
    assert found.to_do.endswith("is open; nothing tried is shown to help yet.")


def test_what_more_rows_would_not_settle_is_not_told_to_label(make_run: MakeRun) -> None:
    found = summary(make_run(rule="cannot_tell", changes={"examples_needed": None}))
    assert found.next.startswith("More examples alone would not settle it")


def test_without_a_training_there_is_nothing_to_compare(make_run: MakeRun) -> None:
    plan = {"incumbent": "few_shot", "challenger": None}
    found = summary(make_run(rule="cannot_tell", changes={"plan": plan}))
    assert "Nothing with training was measured beside the model with examples" in found.sure


def test_where_nothing_was_learned_nothing_is_to_be_used(make_run: MakeRun) -> None:
    found = summary(make_run(rule="nothing_learned", rates=dict.fromkeys(RATES, 0.2)))
    assert found.to_do.startswith("Use none of these yet, and do not fine-tune")
    assert "one fixed answer to everything (constant)" in found.sure
    assert "belong to their questions" in found.next


@pytest.mark.parametrize("rule", RULES)
def test_the_sentences_stand_on_top_of_the_page_and_are_all_that_brief_prints(
    make_run: MakeRun, rule: str
) -> None:
    run = make_run(rule=rule)
    html = render_html(run)
    console = Console(file=io.StringIO(), width=2000)
    render_brief(run, console)
    assert isinstance(console.file, io.StringIO)
    lines = console.file.getvalue().splitlines()
    assert [line.removeprefix("• ").strip() for line in lines] == list(summary(run).sentences)
    for word in ("incumbent", "challenger", "McNemar", " dev"):
        assert word not in console.file.getvalue()
    assert html.index("<h1>") < html.index(summary(run).to_do) < html.index("When to fine-tune")
