"""What would change a verdict, for each finding."""

from collections.abc import Callable
from dataclasses import asdict

import pytest

from example_run import EVEN, RATES, SHOPS
from retentions import retention
from tunewise.report.changes import what_would_change
from tunewise.runs.schema import Run

MakeRun = Callable[..., Run]
FIRST = {
    "fine_tune": "A larger gain demanded: fine_tune is ahead of few_shot by 12.2 points (+6.6 to "
    "+17.8). With `minimum_gain` above 0.122 (now 0.05) it would be better by less than asked, "
    "above 0.178 the verdict would be few_shot.",
    "cheaper": "Quality: fine_tune was shown to lose less than the 2.5 points of `maximum_loss` "
    "against few_shot; the interval is −0.2 to +4.5. A stricter limit would undo that.",
    "better_by_less": "A smaller gain that counts: fine_tune is ahead of few_shot, +4.8 points "
    "(+2.4 to +7.2). With `minimum_gain` at or below 0.048 (now 0.05) the verdict would be to "
    "fine-tune.",
    "surely_by_less": "A smaller gain that counts: fine_tune is ahead of few_shot, +2.5 points "
    "(+0.9 to +4.1). With `minimum_gain` at or below 0.025 (now 0.05) the verdict would be to "
    "fine-tune.",
    "practically_the_same": "A smaller gain that counts: the difference is +1.7 points (−0.7 to "
    "+4.0). Only with `minimum_gain` below 0.040 (now 0.05) might a training matter.",
    "do_not": "No choice of `minimum_gain` would: fine_tune is behind few_shot over the whole "
    "interval, −53.1 points (−60.3 to −45.8).",
    "stay": "A clearer difference: fine_tune against few_shot is +2.2 points (−4.5 to +9.0). It "
    "is not shown to be less than 5 points, but a gain of so much is not likely enough to pay for "
    "labels. With `minimum_gain` at or below 0.022 (now 0.05) the estimate would be enough to go "
    "on asking.",
    "cannot_tell": "About 100 more test examples would settle the question with a chance of",
    "nothing_learned": "A contender shown to beat `constant`: answering the same whatever is "
    "asked scores 17.5%, the best of the others, prompt, 18.3%, +0.8 points (−6.1 to +7.8).",
}


@pytest.mark.parametrize("ends", SHOPS)
def test_the_nearest_condition_comes_first(make_run: MakeRun, ends: str) -> None:
    assert what_would_change(make_run(ends=ends))[0].startswith(FIRST[ends])


def test_a_gain_that_may_reach_what_was_asked_also_tells_where_it_no_longer_may(
    make_run: MakeRun,
) -> None:
    larger = "A larger one: with `minimum_gain` above 0.072 the verdict would be few_shot."
    assert larger in what_would_change(make_run(ends="better_by_less"))


def test_an_upper_end_below_the_gain_asked_for_tells_the_gain_that_reopens_it(
    make_run: MakeRun,
) -> None:
    run = make_run(ends="practically_the_same", changes={"finding": "do_not"})
    assert what_would_change(run)[0].endswith(
        "With `minimum_gain` at or below 0.040 (now 0.05) the verdict would be another one."
    )


def test_a_rival_that_is_beaten_only_just_is_named(make_run: MakeRun) -> None:
    run = make_run(rates=RATES | {"classifier": 0.78})
    assert run.finding == "fine_tune"
    line = next(line for line in what_would_change(run) if line.startswith("A closer rival"))
    assert "nearest is classifier, +" in line


def test_a_rival_that_is_not_beaten_is_named(make_run: MakeRun) -> None:
    run = make_run(ends="cannot_tell", rates=EVEN | {"fine_tune": 0.9, "classifier": 0.82})
    assert run.finding == "cannot_tell"
    assert any("A clearer lead over classifier" in line for line in what_would_change(run))


def test_where_training_is_shown_worse_prices_are_no_hope(make_run: MakeRun) -> None:
    assert not any("Cost:" in line for line in what_would_change(make_run(ends="do_not")))
    same = what_would_change(make_run(ends="practically_the_same"))
    assert any("Cost: fine_tune takes 58 tokens a request, few_shot 543" in line for line in same)


def test_forgetting_that_was_not_measured_is_named_as_a_risk(make_run: MakeRun) -> None:
    assert any(
        "not measured" in line and "Forgetting" in line for line in what_would_change(make_run())
    )
    measured = make_run(changes={"retention": {"fine_tune": asdict(retention())}})
    assert not any("orgetting" in line for line in what_would_change(measured))


def test_a_loss_that_is_surely_one_names_the_margin_that_would_exclude_it(
    make_run: MakeRun,
) -> None:
    lost = make_run(changes={"retention": {"fine_tune": asdict(retention("broken", -0.08))}})
    assert (
        "Less forgetting allowed: `retention_margin` below 0.060 (now 0.03) would exclude "
        "fine_tune." in what_would_change(lost)
    )


def test_a_training_beaten_by_a_contender_that_dev_had_not_named_says_by_which(
    make_run: MakeRun,
) -> None:
    run = make_run(ends="do_not", rates=RATES | {"fine_tune": 0.6, "classifier": 0.95})
    assert (run.outcome, run.plan.incumbent) == ("classifier", "few_shot")
    first = what_would_change(run)[0]
    assert first.startswith("A training that is not behind classifier: −")
    assert "Dev had picked few_shot to compare with" in first
    assert "classifier was shown better than fine_tune" in first


def test_a_broken_demand_is_among_what_would_change_the_verdict(make_run: MakeRun) -> None:
    broken = {
        "name": "maximum_latency_ms",
        "contender": "fine_tune",
        "met": False,
        "detail": "910 ms (at most 800 ms)",
    }
    run = make_run(ends="cannot_tell", changes={"constraints": [broken]})
    assert (
        "`maximum_latency_ms` is not met by fine_tune: 910 ms (at most 800 ms)."
        in what_would_change(run)
    )


def test_without_a_trained_contender_the_reason_it_was_skipped_is_told(make_run: MakeRun) -> None:
    run = make_run(
        ends="cannot_tell",
        changes={
            "plan": {"incumbent": "few_shot", "challenger": None},
            "contenders": [{"name": "fine_tune", "skipped": "not in [contenders] use"}],
        },
    )
    assert "fine_tune: not in [contenders] use" in what_would_change(run)[0]
