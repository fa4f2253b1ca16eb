from collections.abc import Callable

from example_run import RATES
from tunewise.report.more_rows import label_more
from tunewise.report.questions import when_to_fine_tune
from tunewise.report.sentences import (
    headline,
    lead,
    what_was_measured,
    what_would_change,
)
from tunewise.runs.schema import Run

MakeRun = Callable[..., Run]


def test_the_headline_is_the_first_sentence_and_the_lead_is_the_rest(make_run: MakeRun) -> None:
    run = make_run(changes={"reason": "Fine-tune. It answers 91.5% right. Each seed is ahead."})
    assert headline(run) == "Fine-tune."
    assert lead(run) == "It answers 91.5% right. Each seed is ahead."


def test_a_reason_without_a_short_opening_gets_a_headline_from_the_rule(make_run: MakeRun) -> None:
    run = make_run(rule="not_worth_it", changes={"reason": "few_shot is as good"})
    assert headline(run) == "Do not fine-tune: use few_shot."
    assert lead(run) == "few_shot is as good"


def test_a_recommended_training_names_the_gain_at_which_it_would_not_be(make_run: MakeRun) -> None:
    run = make_run()
    assert run.primary is not None
    first = what_would_change(run)[0]
    assert f"`minimum_gain` above {run.primary.delta:.3f} (now 0.05)" in first
    assert f"above {run.primary.high:.3f} it would be few_shot" in first


def test_a_rival_close_behind_lowers_the_gain_that_may_be_asked(make_run: MakeRun) -> None:
    run = make_run(rates=RATES | {"classifier": 0.8})
    challenger, rival = run.challenger, run.contender("classifier")
    assert challenger is not None
    assert rival is not None
    assert challenger.quality is not None
    assert rival.quality is not None
    gap = challenger.quality.value - rival.quality.value
    assert run.primary is not None
    assert gap < run.primary.delta
    assert f"`minimum_gain` above {gap:.3f}" in what_would_change(run)[0]


def test_forgetting_that_was_not_measured_is_named_as_a_risk(make_run: MakeRun) -> None:
    assert any(
        "not measured" in line and "Forgetting" in line for line in what_would_change(make_run())
    )
    measured = make_run(changes={"retention": {"fine_tune": "retained"}})
    assert not any("Forgetting" in line for line in what_would_change(measured))


def test_an_open_verdict_says_how_many_rows_to_label_in_all(make_run: MakeRun) -> None:
    run = make_run(rule="cannot_tell")
    # 140 test rows at a test share of 120 in 420 are 490 rows in all.
    assert label_more(run) == (
        "About 140 more test examples would settle the question with a chance of 80%. Label about "
        "490 further rows, which the split turns into train, dev and test as it did the others; "
        "with the 420 there are, that makes about 910 in total."
    )
    assert what_would_change(run)[0] == label_more(run)


SIZES = {"train": 83, "dev": 18, "test": 49}


def with_unused(make_run: MakeRun, needed: int, unused: dict[str, int], unused_test: int) -> Run:
    splits = {**SIZES, "unused": unused, "unused_test": unused_test}
    return make_run(rule="cannot_tell", changes={"splits": splits, "examples_needed": needed})


def test_rows_that_a_limit_left_out_come_before_rows_to_label(make_run: MakeRun) -> None:
    run = with_unused(make_run, 140, {"contenders.limit": 81}, 26)
    # 114 of the 140 are missing, at a test share of 49 in 150: 349 rows.
    assert label_more(run) == (
        "About 140 more test examples would settle the question with a chance of 80%. First use "
        "the rows there are: 81 labelled rows were left out by --limit (`contenders.limit`): run "
        "without it. That adds about 26 test examples. Then label about 350 further rows, which "
        "the split turns into train, dev and test as it did the others; with the 231 there are, "
        "that makes about 590 in total."
    )


def test_rows_kept_for_later_are_named_with_the_setting_that_takes_them_in(
    make_run: MakeRun,
) -> None:
    said = label_more(with_unused(make_run, 30, {"data.limit_test": 41}, 41)) or ""
    assert "41 labelled rows of the test side were kept for later" in said
    assert "set `data.limit_test = 79` to use 30 of them" in said
    assert said.endswith("That is enough: nothing has to be labelled.")
    all_of_them = label_more(with_unused(make_run, 140, {"data.limit_test": 41}, 41)) or ""
    assert "set `data.limit_test = 90` to use them" in all_of_them


def test_rows_left_out_of_train_alone_do_not_pass_for_test_rows(make_run: MakeRun) -> None:
    said = label_more(with_unused(make_run, 140, {"data.limit_train": 50}, 0)) or ""
    assert "First use" not in said


def test_a_training_not_worth_it_tells_the_smaller_gain_that_would_reopen_it(
    make_run: MakeRun,
) -> None:
    run = make_run(rule="not_worth_it", n_test=700, rates=RATES | {"fine_tune": 0.73})
    assert run.primary is not None
    assert 0 < run.primary.high < 0.05
    assert f"at or below {run.primary.high:.3f} (now 0.05)" in what_would_change(run)[0]


def test_a_training_that_is_behind_for_certain_is_not_saved_by_any_threshold(
    make_run: MakeRun,
) -> None:
    run = make_run(rule="not_worth_it", rates=RATES | {"fine_tune": 0.3})
    assert what_would_change(run)[0].startswith("No choice of `minimum_gain` would")


def test_a_training_beaten_by_a_contender_that_dev_had_not_named_says_by_which(
    make_run: MakeRun,
) -> None:
    run = make_run(
        rule="not_worth_it", changes={"outcome": "classifier", "recommended": "classifier"}
    )
    first = what_would_change(run)[0]
    assert "few_shot, which had been chosen beforehand on other rows" in first
    assert "classifier was shown better than fine_tune" in first


def test_a_broken_demand_is_among_what_would_change_the_verdict(make_run: MakeRun) -> None:
    broken = {
        "name": "maximum_latency_ms",
        "contender": "fine_tune",
        "met": False,
        "detail": "910 ms (at most 800 ms)",
    }
    run = make_run(rule="cannot_tell", changes={"constraints": [broken]})
    assert (
        "`maximum_latency_ms` is not met by fine_tune: 910 ms (at most 800 ms)."
        in what_would_change(run)
    )


def test_without_a_trained_contender_the_reason_it_was_skipped_is_told(make_run: MakeRun) -> None:
    run = make_run(
        rule="cannot_tell",
        rates={k: v for k, v in RATES.items() if k != "big-model"},
        changes={
            "plan": {"incumbent": "few_shot", "challenger": None},
            "contenders": [{"name": "fine_tune", "skipped": "not in [contenders] use"}],
        },
    )
    assert "fine_tune: not in [contenders] use" in what_would_change(run)[0]
    assert {f.reply for f in when_to_fine_tune(run)} == {"not measured"}


def test_the_four_questions_are_answered_for_a_training_that_pays(make_run: MakeRun) -> None:
    findings = when_to_fine_tune(make_run())
    assert [f.reply for f in findings] == ["yes", "no", "yes", "yes"]
    assert {f.side for f in findings} == {"for"}
    assert "no documents given" in findings[1].text
    assert "fine_tune takes 58 tokens a request, few_shot 543, 9.4 times fewer" in findings[2].text
    assert "in money was not measured in this run" in findings[2].text
    assert "written down before the first test example was answered" in findings[3].text


def test_a_slower_answer_with_fewer_tokens_argues_only_partly_for_training(
    make_run: MakeRun,
) -> None:
    run = make_run()
    contenders = [
        {
            "name": name,
            "trained": name == "fine_tune",
            "quality": {"value": 0.8, "low": 0.7, "high": 0.9},
            "tokens": {"prompt": tokens, "completion": 10},
            "latency_ms": {"p50": latency},
        }
        for name, tokens, latency in (("fine_tune", 46, 900), ("few_shot", 531, 400))
    ]
    run = make_run(changes={"contenders": contenders})
    assert when_to_fine_tune(run)[2].reply == "partly"


def test_a_run_in_which_nothing_was_learned_says_no_to_the_first_question(
    make_run: MakeRun,
) -> None:
    run = make_run(rule="nothing_learned", rates=dict.fromkeys(RATES, 0.2))
    first = when_to_fine_tune(run)[0]
    assert first.reply == "no"
    assert "Held-out examples do not confirm" in first.text
    assert any("belong to their inputs" in line for line in what_would_change(run))


def test_what_was_not_measured_is_said_in_so_many_words(make_run: MakeRun) -> None:
    measured = dict(what_was_measured(make_run()))
    assert measured["Cost"] == "not measured in this run"
    assert measured["Retention of general ability"] == "not measured in this run"
    assert measured["Latency"] == "20 test requests, one at a time, on a warm model"
    assert measured["Note"] == "prompt: stopped at its token budget after 9 of 12 variants."
