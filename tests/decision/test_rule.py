import json
from dataclasses import asdict

import numpy as np
import pytest

from retentions import kept
from tunewise.decision.plan import Measured, choose_plan, futile
from tunewise.decision.rule import Demands, Saving, decide, quality
from tunewise.statistics.intervals import NotComputed

TRAINED = ("fine_tune", "fine_tune_rag")


def right(*ranges, n=120):
    """(n,) ones on the ranges of rows given, zeros elsewhere."""
    scores = np.zeros(n)
    for start, stop in ranges:
        scores[start:stop] = 1.0
    return scores


def one(name, *seeds, **settings):
    return Measured(name=name, trained=name in TRAINED, scores=dict(enumerate(seeds)), **settings)


def hopeless(tuned, plain, **settings):
    return futile(one("fine_tune", tuned), one("few_shot", plain), minimum_gain=0.05, **settings)


def verdict(contenders, dev=None, **settings):
    dev = contenders if dev is None else dev
    plan = choose_plan(dev, minimum_gain=0.05)
    settings = {"metric": "accuracy", "binary": True, "draws": 0, **settings}
    demands = Demands(**{"minimum_gain": 0.05, **settings.pop("demands", {})})
    return decide(plan, contenders, demands=demands, **settings)


CONSTANT = one("constant", right((0, 24)))
FEW_SHOT = one("few_shot", right((0, 88)))
FINE_TUNE = one("fine_tune", *[right((0, 80), (90, 119))] * 3)  # 109 of 120


# Choosing from dev


def test_the_incumbent_is_the_best_contender_without_training():
    plan = choose_plan([CONSTANT, FEW_SHOT, FINE_TUNE], minimum_gain=0.05)
    assert (plan.incumbent, plan.challenger) == ("few_shot", "fine_tune")


def test_the_simpler_contender_wins_within_half_of_the_minimum_gain():
    prompt = one("prompt", right((0, 86)))  # 2 of 120 behind: 1.7 points
    plan = choose_plan([FEW_SHOT, prompt, CONSTANT], minimum_gain=0.05)
    assert plan.incumbent == "prompt"
    assert choose_plan([FEW_SHOT, prompt, CONSTANT], minimum_gain=0.03).incumbent == "few_shot"


def test_a_classifier_may_be_the_incumbent():
    classifier = one("classifier", right((0, 100)))
    assert choose_plan([FEW_SHOT, classifier], minimum_gain=0.05).incumbent == "classifier"


def test_a_ceiling_is_neither_incumbent_nor_challenger():
    big = one("gpt", right((0, 120)), ceiling=True)
    assert choose_plan([big, FEW_SHOT, FINE_TUNE], minimum_gain=0.05).incumbent == "few_shot"
    candidate = one("gpt", right((0, 120)))
    assert choose_plan([candidate, FEW_SHOT], minimum_gain=0.05).incumbent == "gpt"


def test_the_seed_that_ships_is_the_best_on_dev_and_the_lowest_on_ties():
    tune = one("fine_tune", right((0, 90)), right((0, 100)), right((0, 100)))
    assert choose_plan([FEW_SHOT, tune], minimum_gain=0.05).ships["fine_tune"] == 1


def test_the_challenger_is_the_best_over_its_seeds_not_in_its_luckiest_one():
    lucky = one("fine_tune", right((0, 110)), right((0, 60)), right((0, 60)))
    steady = one("fine_tune_rag", *[right((0, 100))] * 3)
    assert choose_plan([FEW_SHOT, lucky, steady], minimum_gain=0.05).challenger == "fine_tune_rag"


def test_crashed_dev_answers_count_as_wrong():
    crashing = one("prompt", [1.0] * 90 + [None] * 30)
    assert choose_plan([crashing], minimum_gain=0.05).dev_quality["prompt"] == 0.75


def test_a_plan_can_be_written_as_json():
    plan = choose_plan([CONSTANT, FEW_SHOT, FINE_TUNE], minimum_gain=0.05)
    assert json.loads(json.dumps(asdict(plan)))["challenger"] == "fine_tune"


def test_dev_shows_futility_when_the_first_seed_is_clearly_behind():
    assert hopeless(right((0, 25), n=50), right((0, 40), n=50))


def test_dev_shows_no_futility_when_the_first_seed_is_ahead():
    assert not hopeless(right((0, 40), n=50), right((0, 37), n=50))


def test_a_handful_of_dev_examples_never_shows_futility():
    assert not hopeless([0.0] * 10, [1.0] * 10)


# Rule 1


def test_a_clear_gain_is_worth_a_training():
    found = verdict([CONSTANT, FEW_SHOT, FINE_TUNE])
    assert (found.outcome, found.rule) == ("fine_tune", "worth_more")
    assert found.reason == (
        "Fine-tune. It answers 90.8% of 120 test examples right (84.2–95.3; seeds 90.8%, 90.8%, "
        "90.8%, mean 90.8%); on average its 3 seeds score 17.5 points more than few_shot (+8.9 to "
        "+26.1), and each is ahead."
    )


def test_the_gain_is_that_of_the_recipe_and_the_quality_that_of_the_seed_that_ships():
    poor, good = right((0, 89)), right((0, 80), (90, 119))
    dev = [CONSTANT, FEW_SHOT, one("fine_tune", right((0, 90)), right((0, 110)), right((0, 90)))]
    test = [CONSTANT, FEW_SHOT, one("fine_tune", poor, good, poor)]
    found = verdict(test, dev)
    assert found.comparisons[0].delta == pytest.approx((1 + 21 + 1) / 3 / 120)
    assert "It answers 90.8% of 120 test examples right" in found.reason
    assert "on average its 3 seeds score 6.4 points more than few_shot" in found.reason


def test_a_seed_that_is_not_ahead_blocks_the_recommendation():
    tune = one("fine_tune", right((0, 80), (90, 119)), right((0, 80), (90, 119)), right((0, 88)))
    found = verdict([CONSTANT, FEW_SHOT, tune])
    assert found.outcome == "undecided"
    assert "seed 2 is not ahead of few_shot" in found.reason
    assert found.recommended == "few_shot"


def test_skipped_seeds_block_the_recommendation_and_are_said():
    tune = one("fine_tune", right((0, 80), (90, 119)))
    found = verdict([CONSTANT, FEW_SHOT, tune])
    assert found.outcome == "undecided"
    assert "only 1 of 3 seeds was trained, since dev showed more to be futile" in found.reason


def test_the_untrained_contender_shown_best_is_recommended_whichever_dev_had_named():
    dev = [CONSTANT, FEW_SHOT, one("prompt", right((0, 70))), FINE_TUNE]
    test = [CONSTANT, FEW_SHOT, one("prompt", right((0, 108))), FINE_TUNE]
    found = verdict(test, dev)
    assert (found.outcome, found.recommended) == ("prompt", "prompt")
    assert "Dev had named few_shot; test shows prompt to be better than few_shot." in found.reason


def test_another_untrained_contender_that_is_not_beaten_blocks_the_recommendation():
    dev = [CONSTANT, FEW_SHOT, one("prompt", right((0, 70))), FINE_TUNE]
    test = [CONSTANT, FEW_SHOT, one("prompt", right((17, 120))), FINE_TUNE]
    found = verdict(test, dev)
    assert found.finding == "cannot_tell"
    assert "It is not shown to beat prompt." in found.reason


def test_a_gain_that_is_certain_but_too_small_is_better_by_less_than_asked():
    tune = one("fine_tune", *[right((0, 540), n=600)] * 3)
    found = verdict([
        one("constant", right((0, 60), n=600)), one("few_shot", right((0, 522), n=600)), tune,
    ])  # fmt: skip
    assert found.comparisons[0].low > 0
    assert (found.finding, found.outcome, found.rule) == (
        "better_by_less", "few_shot", "not_worth_it",
    )  # fmt: skip
    assert found.reason.startswith("fine_tune is better, but by less than you asked. ")
    assert found.reason.endswith("As asked, use few_shot.")


def test_a_gain_below_the_one_asked_for_that_may_reach_it_is_left_to_the_person():
    few_shot = one("few_shot", right((0, 400), n=700), tokens=1107.0, latency_p50_ms=1584.0)
    tune = one("fine_tune", *[right((20, 449), n=700)] * 3, tokens=79.0, latency_p50_ms=549.0)
    found = verdict([one("constant", right((0, 60), n=700)), few_shot, tune])
    assert (found.finding, found.outcome, found.recommended) == (
        "better_by_less", "undecided", "few_shot",
    )  # fmt: skip
    assert (
        "fine_tune takes 79 tokens a request instead of 1107, and 549 ms instead of 1,584 ms: only "
        "the one-off training speaks against it."
    ) in found.reason.replace("1,107", "1107")
    assert found.examples_needed is None


@pytest.mark.parametrize(
    ("demands", "settings", "said"),
    [
        (
            {"maximum_latency_ms": 145.0},
            {"latency_p50_ms": 140.0, "latency_high_ms": 150.0},
            "140 ms, perhaps 150 ms (at most 145 ms)",
        ),
        (
            {"maximum_latency_ms": 145.0},
            {"latency_p50_ms": 100.0},
            "100 ms, not shown with so few requests (at most 145 ms)",
        ),
        ({"minimum_quality": 0.95}, {}, "90.8% (at least 95.0%)"),
    ],
)
def test_a_broken_constraint_blocks_the_recommendation(demands, settings, said):
    tune = one("fine_tune", *FINE_TUNE.scores.values(), **settings)
    found = verdict([CONSTANT, FEW_SHOT, tune], demands=demands)
    assert found.outcome == "undecided"
    assert said in found.reason
    assert found.examples_needed is None


def test_a_tune_that_forgot_too_much_is_excluded():
    found = verdict([CONSTANT, FEW_SHOT, FINE_TUNE], retention={"fine_tune": kept("broken", -0.1)})
    assert found.outcome == "undecided"
    assert "it breaks retention: 10 points of general ability lost" in found.reason


def test_retention_that_was_not_shown_is_said_at_once():
    found = verdict([CONSTANT, FEW_SHOT, FINE_TUNE], retention={"fine_tune": kept("not shown")})
    assert found.reason.startswith(
        "Fine-tune; that it kept its general ability is not shown. That general ability was kept "
        "is not shown: no general ability lost"
    )


def test_a_loss_above_twice_the_margin_warns_in_the_first_line_whatever_is_shown():
    large = kept("not shown", -0.07, 0.06)
    found = verdict([CONSTANT, FEW_SHOT, FINE_TUNE], retention={"fine_tune": large})
    assert found.outcome == "fine_tune"
    assert found.reason.startswith(
        "Fine-tune, but beware: 7 points of general ability lost. That general ability"
    )


def test_retention_that_was_shown_is_said_after_the_first_line():
    found = verdict([CONSTANT, FEW_SHOT, FINE_TUNE], retention={"fine_tune": kept("retained")})
    assert found.reason.startswith("Fine-tune. General ability was kept: ")


def test_crashed_answers_count_as_wrong():
    crashing = np.where(right((0, 80), (90, 119)) > 0, 1.0, np.nan)
    crashing[:60] = np.nan
    tune = one("fine_tune", *[crashing] * 3)
    assert (
        verdict([CONSTANT, FEW_SHOT, tune], [CONSTANT, FEW_SHOT, FINE_TUNE]).outcome != "fine_tune"
    )


# Rules 2 and 3


def test_the_same_quality_is_not_worth_a_training():
    test = [
        one("constant", right((0, 120), n=600)),
        one("few_shot", right((0, 522), n=600)),
        one("fine_tune", *[right((6, 522), n=600)] * 3),
    ]
    found = verdict(test)
    assert (found.outcome, found.rule) == ("few_shot", "not_worth_it")
    assert found.reason == (
        "Do not fine-tune: few_shot is better. few_shot answers 87.0% of 600 test examples right "
        "(84.0–89.6); fine_tune scores 1.0 point less than few_shot (−1.8 to −0.2), and 5 points "
        "would be worth a training."
    )


def test_a_classifier_that_beats_the_tune_settles_it_whoever_dev_had_named():
    few_shot, tune = right((0, 110), n=130), right((10, 119), n=130)
    classifier = right((0, 127), n=130)
    dev = [
        CONSTANT,
        one("few_shot", right((0, 112))),
        FINE_TUNE,
        one("classifier", right((0, 113))),
    ]
    test = [
        one("constant", right((0, 13), n=130)),
        one("few_shot", few_shot),
        one("fine_tune", *[tune] * 3),
        one("classifier", classifier),
    ]
    found = verdict(test, dev)
    primary, *_ = found.comparisons
    assert (primary.a, primary.b) == ("fine_tune", "few_shot")
    assert primary.high > 0.05, "against few_shot alone it would be open"
    assert (found.outcome, found.recommended, found.rule) == (
        "classifier", "classifier", "not_worth_it",
    )  # fmt: skip
    assert found.reason.startswith("Do not fine-tune: classifier is better. ")
    assert "Dev had named few_shot" in found.reason


def test_the_same_quality_is_worth_a_training_that_saves_money():
    test = [
        one("constant", right((0, 120), n=600)),
        one("few_shot", right((0, 522), n=600)),
        one("fine_tune", right((6, 522), n=600)),
    ]
    saving = Saving(value=900.0, low=400.0, high=1400.0, unit="USD in 12 months")
    found = verdict(test, savings={"few_shot": saving}, demands={"maximum_loss": 0.02})
    assert (found.outcome, found.rule) == ("fine_tune", "cheaper")
    assert "It saves 900 USD in 12 months (400 to 1,400)" in found.reason


def test_one_that_is_much_worse_need_not_be_undersold():
    """A classifier costs next to nothing; where it is far behind, it is no alternative."""
    test = [
        one("constant", right((0, 24), n=600)),
        one("few_shot", right((0, 480), n=600)),
        one("fine_tune", *[right((0, 481), n=600)] * 3),
        one("classifier", right((0, 400), n=600)),
    ]
    saving = Saving(value=900.0, low=400.0, high=1400.0, unit="USD in 12 months")
    assert verdict(test, savings={"few_shot": saving}).rule == "cheaper"
    close = [*test[:3], one("classifier", right((0, 475), n=600))]
    assert verdict(close, savings={"few_shot": saving}).rule == "not_worth_it"
    assert verdict(test, savings={"classifier": saving}).rule == "not_worth_it"


def test_a_saving_that_may_be_a_loss_changes_nothing():
    test = [
        one("constant", right((0, 120), n=600)),
        one("few_shot", right((0, 522), n=600)),
        one("fine_tune", right((6, 522), n=600)),
    ]
    saving = Saving(value=200.0, low=-100.0, high=500.0, unit="USD in 12 months")
    assert verdict(test, savings={"few_shot": saving}).rule == "not_worth_it"


def test_cheaper_is_cheaper_than_and_not_inferior_to_every_untrained_contender():
    """The case of statistics.md: a free classifier 10 points better, and a saving over few_shot."""
    saving = Saving(value=900.0, low=400.0, high=1400.0, unit="USD in 12 months")
    test = [
        one("constant", right((0, 120), n=600)),
        one("few_shot", right((0, 480), n=600)),
        one("classifier", right((0, 540), n=600)),
        one("fine_tune", *[right((6, 486), n=600)] * 3),
    ]
    dev = [
        one("constant", right((0, 10), n=50)),
        one("few_shot", right((0, 41), n=50)),
        one("classifier", right((0, 41), n=50)),
        one("fine_tune", *[right((0, 40), n=50)] * 3),
    ]
    for savings in ({}, {"few_shot": saving}, {"few_shot": saving, "classifier": saving}):
        found = verdict(test, dev, savings=savings)
        assert (found.finding, found.outcome) == ("do_not", "classifier")
        assert found.comparisons[0].b == "few_shot"


def test_a_seed_that_loses_more_than_is_tolerated_is_not_cheaper():
    saving = Saving(value=900.0, low=400.0, high=1400.0, unit="USD in 12 months")
    test = [
        one("constant", right((0, 120), n=600)),
        one("few_shot", right((0, 522), n=600)),
        one("fine_tune", right((0, 522), n=600), right((0, 522), n=600), right((0, 500), n=600)),
    ]
    settings = {"savings": {"few_shot": saving}, "demands": {"maximum_loss": 0.03}}
    assert verdict(test, **settings).rule == "not_worth_it"
    assert verdict(
        [*test[:2], one("fine_tune", *[right((0, 522), n=600)] * 3)], **settings
    ).rule == ("cheaper")


# Rule 4


def test_an_open_question_names_the_incumbent_and_the_examples_needed():
    tune = one("fine_tune", *[right((0, 80), (90, 105))] * 3)
    found = verdict([CONSTANT, FEW_SHOT, tune], draws=100)
    assert (found.outcome, found.recommended, found.rule) == (
        "undecided", "few_shot", "cannot_tell",
    )  # fmt: skip
    assert [one.rows for one in found.assurance] == [100, 300, 1000]
    likely = next(one for one in found.assurance if one.settled >= 0.6)
    assert found.examples_needed == likely.rows
    assert found.reason.startswith("Cannot tell yet: label about ")
    assert found.reason.endswith("Use few_shot meanwhile.")


def test_what_does_not_beat_constant_is_not_advised_meanwhile():
    few_shot = one("few_shot", right((4, 30)))  # 26 rows; constant has 24
    tune = one("fine_tune", *[right((0, 24), (90, 98))] * 3)  # beats constant, few_shot perhaps
    found = verdict([CONSTANT, few_shot, tune], dev=[CONSTANT, FEW_SHOT, FINE_TUNE])
    assert (found.outcome, found.recommended) == ("undecided", None)
    assert found.reason.endswith(
        "Nothing is worth using yet: few_shot is not shown to beat constant, the best answer that "
        "ignores the input."
    )


def test_on_six_rows_what_scores_no_higher_than_constant_is_not_advised_meanwhile():
    few = [one("constant", right((0, 2), n=6)), one("few_shot", right((2, 4), n=6)),
           one("fine_tune", *[right((0, 6), n=6)] * 3)]  # fmt: skip
    found = verdict(few, dev=[CONSTANT, FEW_SHOT, FINE_TUNE])
    assert (found.outcome, found.recommended) == ("undecided", None)
    assert "Nothing is worth using yet: few_shot is not shown to beat constant" in found.reason


def test_on_six_rows_what_scores_higher_than_constant_is_named_but_not_called_better():
    few = [one("constant", right((0, 2), n=6)), one("few_shot", right((0, 4), n=6)),
           one("fine_tune", *[right((0, 6), n=6)] * 3)]  # fmt: skip
    found = verdict(few, dev=[CONSTANT, FEW_SHOT, FINE_TUNE])
    assert "meanwhile" not in found.reason
    assert found.reason.endswith(
        "So far few_shot scored highest without training; that it beats constant, the best answer "
        "that ignores the input, is not shown on so few."
    )


def test_unused_rows_are_named_before_any_is_to_be_labelled():
    tune = one("fine_tune", *[right((0, 80), (90, 105))] * 3)
    some = verdict([CONSTANT, FEW_SHOT, tune], unused_test=20, draws=100)
    assert (
        "use the labelled rows that this run left out of test (about 20), and label" in some.reason
    )
    enough = verdict([CONSTANT, FEW_SHOT, tune], unused_test=5000, draws=100)
    assert "of the labelled rows that this run left out of test" in enough.reason
    assert some.examples_needed == enough.examples_needed


def test_a_difference_at_the_border_is_no_advice_to_label_thousands():
    constant, few_shot = (
        one(name, right((0, last), n=1000)) for name, last in (("constant", 200), ("few_shot", 700))
    )
    tune = one("fine_tune", *[right((0, 741), n=1000)] * 3)  # 4.1 points ahead
    found = verdict([constant, few_shot, tune], demands={"minimum_gain": 0.043}, draws=100)
    assert (found.finding, found.examples_needed) == ("better_by_less", None)


def test_six_test_rows_decide_nothing_and_that_is_said():
    few = [one("constant", right((0, 1), n=6)), one("few_shot", right((0, 2), n=6)),
           one("fine_tune", *[right((0, 6), n=6)] * 3)]  # fmt: skip
    found = verdict(few)
    assert (found.outcome, found.recommended) == ("undecided", "few_shot")
    assert "6 rows (at least 20 are needed)" in found.reason
    assert found.comparisons[0].method == "not computed: 6 rows (at least 20 are needed)"
    assert (found.comparisons[0].low, found.comparisons[0].high) == (-1.0, 1.0)
    json.dumps(asdict(found), allow_nan=False)


def test_nine_groups_decide_nothing_and_that_is_said():
    groups = [f"customer {row % 9}" for row in range(120)]
    found = verdict([CONSTANT, FEW_SHOT, FINE_TUNE], groups=groups)
    assert found.outcome == "undecided"
    assert "9 groups (at least 10 are needed)" in found.reason


def test_without_a_trained_contender_nothing_is_said_about_training():
    found = verdict([CONSTANT, FEW_SHOT])
    assert (found.outcome, found.recommended) == ("undecided", "few_shot")
    assert "no trained contender ran" in found.reason


# Rule 5


def test_shuffled_answers_are_no_reason_to_fine_tune():
    """The tune learns the format and leaves zero_shot far behind, yet knows no answer."""
    found = []
    for seed in range(40):
        rng = np.random.default_rng(seed)

        def contenders(n, rng=rng):
            def chance():
                return (rng.random(n) < 0.15).astype(float)

            return [
                one("constant", chance()),
                one("zero_shot", np.zeros(n)),
                one("few_shot", chance()),
                one("fine_tune", chance(), chance(), chance()),
            ]

        dev, test = contenders(50), contenders(200)
        found.append(verdict(test, dev))
    assert sum(each.outcome in TRAINED for each in found) <= 2  # 5% of 40
    assert sum(each.rule == "nothing_learned" for each in found) >= 36
    first = next(each for each in found if each.rule == "nothing_learned")
    assert (first.outcome, first.recommended) == ("undecided", None)
    assert "The examples do not teach anything that held-out examples confirm." in first.reason


def test_a_tune_far_ahead_of_a_useless_incumbent_must_still_beat_constant():
    test = [
        one("constant", right((0, 30), n=200)), one("zero_shot", np.zeros(200)),
        one("fine_tune", *[right((20, 52), n=200)] * 3),
    ]  # fmt: skip
    dev = [one("constant", np.zeros(50)), one("zero_shot", right((0, 3), n=50)),
           one("fine_tune", *[right((0, 8), n=50)] * 3)]  # fmt: skip
    found = verdict(test, dev)
    assert found.comparisons[0].b == "zero_shot"
    assert found.comparisons[0].low > 0.05
    assert found.rule == "nothing_learned"


def test_without_constant_no_training_is_recommended():
    found = verdict([FEW_SHOT, FINE_TUNE])
    assert found.outcome == "undecided"
    assert "constant" in found.reason


# Comparisons, looks and metrics that are no shares


def test_the_primary_comparison_comes_first_and_is_not_corrected():
    found = verdict([CONSTANT, FEW_SHOT, one("prompt", right((0, 60))), FINE_TUNE])
    first, *others = found.comparisons
    assert (first.a, first.b, first.p) == ("fine_tune", "few_shot", first.p_adjusted)
    assert {(other.a, other.b) for other in others} == {
        ("constant", "few_shot"), ("prompt", "few_shot"), ("fine_tune", "constant"),
        ("fine_tune", "prompt"), ("prompt", "constant"),
    }  # fmt: skip
    assert all(other.p_adjusted >= other.p for other in others)
    assert any(other.p_adjusted > other.p for other in others)


def test_a_later_look_is_stricter():
    contenders = [CONSTANT, FEW_SHOT, FINE_TUNE]
    first, third = verdict(contenders), verdict(contenders, earlier=(60, 90))
    assert third.comparisons[0].low < first.comparisons[0].low
    assert "99.43%" in third.comparisons[0].method


def graded(seed, shift=0.0, n=150):
    rng = np.random.default_rng(99)
    shared = rng.uniform(0.1, 0.5, n)
    return shared + shift + np.random.default_rng(seed).uniform(0.0, 0.1, n)


def test_graded_metrics_speak_of_scores():
    found = verdict(
        [one("constant", graded(1) * 0.2), one("rag", graded(2)),
         one("fine_tune_rag", *[graded(3, 0.25)] * 3)],
        metric="token_f1", binary=False,
    )  # fmt: skip
    assert found.outcome == "fine_tune_rag"
    assert found.reason.startswith(
        "Fine-tune (fine_tune_rag). It scores 60.7% on 150 test examples"
    )
    assert "25.0 points more than rag (+23.2 to +26.8)" in found.reason


def test_the_same_scores_give_the_same_verdict():
    contenders = [one("constant", graded(1) * 0.2), one("rag", graded(2)),
                  one("fine_tune", *[graded(3, 0.02)] * 3)]  # fmt: skip
    settings = {"metric": "token_f1", "binary": False}
    assert verdict(contenders, **settings) == verdict(contenders, **settings)


def test_quality_has_an_interval_and_can_leave_crashes_out():
    crashing = one("few_shot", [1.0] * 60 + [0.0] * 30 + [None] * 30)
    intended = quality(crashing, binary=True)
    answered = quality(crashing, binary=True, answered_only=True)
    assert intended.value == 0.5
    assert answered.value == pytest.approx(2 / 3)
    assert intended.low < 0.5 < intended.high


def test_quality_of_six_rows_has_no_interval():
    assert isinstance(quality(one("few_shot", right((0, 3), n=6)), binary=True), NotComputed)


def test_contenders_must_have_answered_the_same_rows():
    with pytest.raises(ValueError, match="same test examples"):
        verdict([CONSTANT, FEW_SHOT, one("fine_tune", right((0, 50), n=100))])


def test_a_contender_of_the_plan_must_have_test_scores():
    with pytest.raises(ValueError, match="fine_tune is in the plan"):
        verdict([CONSTANT, FEW_SHOT], [CONSTANT, FEW_SHOT, FINE_TUNE])
