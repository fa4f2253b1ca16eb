from dataclasses import replace

import numpy as np
import pytest

from tunewise.decision.economics import (
    Served,
    Tariff,
    TrainingSpend,
    request_cost,
    tornado,
    weigh,
)
from tunewise.statistics import paired

ROWS = paired.rows_of(100, binary=False)
HOSTED = Tariff(prompt=2.0, cached=0.5, completion=10.0)
TRAINING = TrainingSpend(seconds=7200, hour=30.0, labels=200, label=0.5, every_months=None)


def tokens(mean, n=100):
    """(n,) lengths between half and one and a half of the mean."""
    return np.linspace(0.5 * mean, 1.5 * mean, n)


def served(name, prompt, completion, **settings):
    given = {
        "name": name,
        "untrained": not name.startswith("fine_tune") and name != "constant",
        "candidate": True,
        "needs_labels": name in ("few_shot", "fine_tune"),
        "prompt": tokens(prompt),
        "completion": tokens(completion),
        "cached": 0.0,
        "load": (),
        "tariff": HOSTED,
    }
    return Served(**{**given, **settings})


FINE_TUNE = served("fine_tune", 50, 12)
FEW_SHOT = served("few_shot", 500, 12)
PROMPT = served("prompt", 150, 12)


def weighed(*others, training=TRAINING, **settings):
    given = {"rows": ROWS, "currency": "EUR", "monthly_requests": 100_000} | settings
    return weigh([FINE_TUNE, *others], training, challenger="fine_tune", **given)


def cost(one, rows=ROWS, longest=18.0):
    return request_cost(one, rows, longest=longest, confidence=0.95)


# What a request costs


def test_tokens_cost_their_price_per_million():
    found = cost(FEW_SHOT)
    assert found.value == pytest.approx(1000 * (500 * 2 + 12 * 10) / 1e6)
    assert 0 < found.low < found.value < found.high


def test_cached_tokens_cost_less_and_never_more_than_a_prompt_has():
    found = cost(served("few_shot", 500, 0, cached=400.0))
    prompt = tokens(500)
    cached = np.minimum(prompt, 400.0)
    assert found.value == pytest.approx(1000 * ((prompt - cached) * 2 + cached * 0.5).mean() / 1e6)


def test_without_a_price_of_their_own_cached_tokens_cost_as_much_as_others():
    tariff = replace(HOSTED, cached=None)
    found = cost(served("few_shot", 500, 0, cached=400.0, tariff=tariff))
    assert found.value == pytest.approx(1000 * 500 * 2 / 1e6)


def test_hours_cost_what_a_request_takes_of_them():
    rounds = (0.9, 1.0, 1.1, 1.0)
    found = cost(served("prompt", 100, 10, tariff=Tariff(hour=3.6), load=rounds))
    assert found.value == pytest.approx(1000 * 1.0 * 3.6 / 3600)
    assert found.low < found.value < found.high


def test_a_machine_that_is_busy_a_quarter_of_its_hours_costs_four_times_as_much():
    tariff = Tariff(hour=3.6, utilisation=0.25)
    found = cost(served("prompt", 100, 10, tariff=tariff, load=(1.0, 1.0, 1.0, 1.2)))
    assert found.value == pytest.approx(4 * 1000 * 1.05 * 3.6 / 3600)


@pytest.mark.parametrize(
    "tariff",
    [Tariff(), Tariff(prompt=1.0), Tariff(completion=1.0), Tariff(hour=2.0),
     Tariff(prompt=1.0, completion=1.0, hour=2.0)],
)  # fmt: skip
def test_what_lacks_a_price_or_a_measurement_costs_nobody_knows_what(tariff):
    assert cost(served("prompt", 100, 10, tariff=tariff)) is None


def test_what_takes_no_tokens_costs_nothing():
    found = cost(served("classifier", 0, 0))
    assert found.value == 0
    assert found.low == 0


def test_too_few_rows_give_a_cost_without_an_interval():
    rows = paired.rows_of(6, binary=False)
    one = replace(PROMPT, prompt=tokens(100, 6), completion=tokens(10, 6))
    found = cost(one, rows)
    assert found.value == pytest.approx(1000 * (100 * 2 + 10 * 10) / 1e6)
    assert (found.low, found.high) == (None, None)


# What a training saves


def test_the_saving_is_that_of_the_same_rows():
    (found,) = weighed(FEW_SHOT).savings
    assert found.contender == "few_shot"
    assert found.per_1000_requests.value == pytest.approx(1000 * 450 * 2 / 1e6)
    assert found.per_month.value == pytest.approx(100 * found.per_1000_requests.value)
    assert found.per_1000_requests.low > 0


def test_nothing_is_saved_against_trained_contenders_and_the_constant_one():
    found = weighed(FEW_SHOT, served("fine_tune_rag", 300, 12), served("constant", 0, 0))
    assert [one.contender for one in found.savings] == ["few_shot"]


def test_a_contender_whose_price_nobody_gave_is_left_out():
    unpriced = served("big-model", 150, 12, tariff=Tariff())
    assert [one.contender for one in weighed(FEW_SHOT, unpriced).savings] == ["few_shot"]


def test_a_training_pays_after_its_cost_over_the_saving():
    (found,) = weighed(FEW_SHOT).savings
    saved = found.per_1000_requests
    assert found.training == 60.0  # two hours at 30; few_shot needs the labels as well
    assert found.break_even_requests.value == pytest.approx(60 / 0.9 * 1000)
    assert found.break_even_requests.low == pytest.approx(60 / saved.high * 1000)
    assert found.break_even_requests.high == pytest.approx(60 / saved.low * 1000)
    assert found.break_even_months.value == pytest.approx(60 / 0.9 / 100)


def test_labels_count_against_those_who_need_none():
    (found,) = weighed(PROMPT).savings
    assert found.training == 60.0 + 200 * 0.5


def test_the_saving_of_a_year_is_net_of_all_trainings():
    (found,) = weighed(PROMPT, training=replace(TRAINING, every_months=5)).savings
    saved = 1200 * found.per_1000_requests.value
    assert found.in_horizon.value == pytest.approx(saved - 160 - 2 * 60)
    assert found.in_horizon.low < found.in_horizon.value < found.in_horizon.high


def test_a_cheaper_rival_is_never_caught_up_with():
    (found,) = weighed(served("classifier", 0, 0)).savings
    assert found.per_1000_requests.high < 0
    assert found.break_even_requests.recovered == "never"


def test_break_even_is_open_where_the_saving_may_be_none():
    rng = np.random.default_rng(4)
    answers = 12 * np.exp(rng.standard_normal(100) - 0.5)
    wordy = replace(PROMPT, prompt=FINE_TUNE.prompt, completion=answers)
    (found,) = weighed(wordy).savings
    assert found.per_1000_requests.low < 0 < found.per_1000_requests.high
    assert found.break_even_requests.recovered == "open"


def test_without_a_price_of_training_nothing_is_said_of_break_even_and_the_year():
    found = weighed(FEW_SHOT, training=replace(TRAINING, hour=None))
    assert found.training is None
    assert found.savings[0].break_even_requests is None
    assert found.savings[0].in_horizon is None
    assert found.rule_savings == {}
    assert found.savings[0].per_1000_requests.value > 0


def test_without_a_volume_there_is_a_break_even_and_no_year():
    (found,) = weighed(FEW_SHOT, monthly_requests=None).savings
    assert found.break_even_requests.value > 0
    assert (found.per_month, found.in_horizon, found.break_even_months) == (None, None, None)


def test_hours_of_all_rounds_are_paired():
    hour = Tariff(hour=3.6, utilisation=0.5)
    slow = (2.0, 4.0, 3.0, 3.0, 2.5, 3.5)
    tuned = replace(FINE_TUNE, tariff=hour, load=tuple(s - 1 + 0.001 * s for s in slow))
    found = weigh(
        [tuned, served("few_shot", 500, 12, tariff=hour, load=slow)], TRAINING,
        challenger="fine_tune", rows=ROWS, currency="EUR", monthly_requests=1000,
    ).savings[0]  # fmt: skip
    saved = found.per_1000_requests
    assert saved.value == pytest.approx(1000 * 0.997 / 3600 * 3.6 / 0.5)
    assert saved.high - saved.low < 0.01 * saved.value
    assert found.hours_per_1000 == pytest.approx(saved.value)


def test_hours_against_tokens_take_no_part_in_the_verdict_unless_utilisation_is_told():
    load = (1.0, 1.1, 0.9, 1.0)
    for utilisation, told in ((None, False), (0.5, True)):
        tuned = replace(FINE_TUNE, tariff=Tariff(hour=0.36, utilisation=utilisation), load=load)
        found = weigh(
            [tuned, FEW_SHOT], TRAINING, challenger="fine_tune", rows=ROWS, currency="EUR",
            monthly_requests=10**6,
        )  # fmt: skip
        assert found.savings[0].comparable is told
        assert set(found.rule_savings) == ({"few_shot"} if told else set())


def test_rule_2_hears_of_the_year_in_words():
    found = weighed(FEW_SHOT, PROMPT)
    assert set(found.rule_savings) == {"few_shot", "prompt"}
    assert found.rule_savings["few_shot"].unit == "EUR in 12 months"
    assert found.rule_savings["few_shot"].low == found.savings[0].in_horizon.low


def test_a_better_answer_is_worth_its_points():
    right = {"fine_tune": np.ones(100), "few_shot": np.repeat([1.0, 0.0], [90, 10])}
    quality = {name: paired.sample(scores, ROWS) for name, scores in right.items()}
    (found,) = weighed(FEW_SHOT, value_per_point=0.2, quality=quality).savings
    # Ten points at 0.2 each, and the tokens.
    assert found.benefit_per_1000.value == pytest.approx(10 * 0.2 + 0.9)
    assert found.benefit_per_1000.low < found.benefit_per_1000.value
    assert found.benefit_in_horizon.value == pytest.approx(1200 * 2.9 - 60)


def test_the_worth_of_an_aggregate_is_that_of_its_value():
    def halved(index):
        return float(right[index].mean() / 2)

    right = np.repeat([1.0, 0.0], [80, 20])
    quality = {
        "fine_tune": paired.sample(np.ones(100), ROWS),
        "few_shot": paired.sample(right, ROWS, halved),
    }
    (found,) = weighed(FEW_SHOT, value_per_point=0.2, quality=quality).savings
    assert found.benefit_per_1000.value == pytest.approx(60 * 0.2 + 0.9)


# What it hangs on


def test_the_tornado_halves_and_doubles_each_premise():
    found = weighed(PROMPT)
    swings = {one.premise: one for one in tornado(found, "prompt")}
    saved = 1200 * found.savings[0].per_1000_requests.value
    base = found.savings[0].in_horizon.value
    assert set(swings) == {"requests a month", "retraining", "labelling", "sampled requests"}
    volume = swings["requests a month"]
    assert (volume.less, volume.more) == (50_000, 200_000)
    assert volume.saves_less == pytest.approx(saved / 2 - 160)
    assert volume.saves_more == pytest.approx(saved * 2 - 160)
    assert swings["retraining"].saves_less == pytest.approx(base - 3 * 60)
    assert swings["retraining"].saves_more == pytest.approx(base)
    assert swings["labelling"].saves_less == pytest.approx(base + 50)
    assert swings["labelling"].saves_more == pytest.approx(base - 100)


def test_the_widest_swing_stands_first():
    swings = tornado(weighed(PROMPT), "prompt")
    widths = [abs(one.saves_more - one.saves_less) for one in swings]
    assert widths == sorted(widths, reverse=True)


def test_utilisation_counts_where_machines_are_paid_by_the_hour():
    hour = Tariff(hour=3.6, utilisation=0.8)
    load = (1.0, 1.0, 1.1, 0.9)
    tuned = replace(FINE_TUNE, tariff=hour, load=tuple(s / 2 for s in load))
    found = weigh(
        [tuned, served("few_shot", 500, 12, tariff=hour, load=load)], TRAINING,
        challenger="fine_tune", rows=ROWS, currency="EUR", monthly_requests=10**6,
    )  # fmt: skip
    (swing,) = [one for one in tornado(found, "few_shot") if one.premise == "utilisation"]
    assert (swing.less, swing.more) == (0.4, 1.0)
    year = found.savings[0].in_horizon.value + 60
    assert swing.saves_less == pytest.approx(2 * year - 60)
    assert swing.saves_more == pytest.approx(0.8 * year - 60)


def test_without_the_year_there_is_no_tornado():
    assert tornado(weighed(PROMPT, monthly_requests=None), "prompt") == ()
    assert tornado(weighed(PROMPT), "few_shot") == ()
