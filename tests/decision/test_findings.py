"""Each finding at its border: exact arithmetic on gains whose intervals are known."""

import numpy as np
import pytest
from scipy.stats import norm

from tunewise.decision.findings import expected_regret, standard_error
from tunewise.decision.plan import Measured, Plan
from tunewise.decision.rule import Demands, decide
from tunewise.statistics.intervals import Interval

CONSTANT = Measured(name="constant", trained=False, scores={0: np.zeros(400)})


def scores(n, right):
    return np.repeat([1.0, 0.0], [right, n - right])


def found(gain, error, *, n=400, minimum_gain=0.05, **settings):
    """The verdict where the challenger's per-row gains have this mean and this standard error."""
    spread = error * np.sqrt(n)
    wave = np.where(np.arange(n) % 2 == 0, 1.0, -1.0)
    few_shot = np.full(n, 0.5)
    tune = few_shot + gain + spread * wave
    plan = Plan(
        incumbent="few_shot", challenger="fine_tune", ships={"fine_tune": 0},
        seeds={"few_shot": 1, "fine_tune": 1}, seeds_wanted=1, dev_quality={},
    )  # fmt: skip
    measured = [
        Measured(name="constant", trained=False, scores={0: np.zeros(n)}),
        Measured(name="few_shot", trained=False, scores={0: few_shot}),
        Measured(name="fine_tune", trained=True, scores={0: tune}),
    ]
    demands = Demands(minimum_gain=minimum_gain)
    return decide(plan, measured, metric="token_f1", binary=False, demands=demands,
                  **{"draws": 0, **settings})  # fmt: skip


@pytest.mark.parametrize(
    ("gain", "error", "finding", "outcome"),
    [
        (0.10, 0.020, "fine_tune", "fine_tune"),
        (0.04, 0.0125, "better_by_less", "undecided"),
        (0.03, 0.005, "better_by_less", "few_shot"),
        (0.00, 0.020, "practically_the_same", "few_shot"),
        (-0.10, 0.020, "do_not", "few_shot"),
        (-0.02, 0.020, "do_not", "few_shot"),
        (0.02, 0.025, "stay", "few_shot"),
        (0.045, 0.035, "cannot_tell", "undecided"),
        (0.055, 0.040, "cannot_tell", "undecided"),
    ],
)
def test_gain_and_error_say_what_is_found(gain, error, finding, outcome):
    verdict = found(gain, error)
    assert (verdict.finding, verdict.outcome) == (finding, outcome)
    assert verdict.recommended == ("fine_tune" if finding == "fine_tune" else "few_shot")


def test_nothing_is_practically_the_same_that_may_gain_what_was_asked_for():
    assert found(0.00, 0.029).finding == "practically_the_same"
    assert found(0.00, 0.032).finding != "practically_the_same"


def test_the_snips_run_that_was_told_to_label_9600_is_better_by_less_than_asked():
    """0.58 against 0.54 on 700 rows, 2 to 7 points."""
    verdict = found(0.041, 0.0125, n=700)
    assert (verdict.finding, verdict.examples_needed) == ("better_by_less", None)
    assert verdict.regret == pytest.approx(0.0017, abs=0.0006)


@pytest.mark.parametrize("gain", [-0.04, 0.0, 0.03, 0.05, 0.09])
def test_expected_regret_is_that_of_acting_on_the_estimate(gain):
    reach = norm.ppf(0.96) * 0.03
    interval = Interval(value=gain, low=gain - reach, high=gain + reach, p=None, method="")
    truth = np.random.default_rng(0).normal(gain, 0.03, 400_000)
    lost = np.maximum(truth - 0.05, 0) if gain < 0.05 else np.maximum(0.05 - truth, 0)
    assert standard_error(interval, 0.92) == pytest.approx(0.03)
    assert expected_regret(interval, 0.05, 0.92) == pytest.approx(lost.mean(), rel=0.03)


def test_test_rows_left_out_are_counted_in_the_first_lines():
    verdict = found(0.10, 0.02, left_out=38)
    headline, then, *_ = verdict.reason.split(". ")
    assert headline == "Fine-tune"
    assert then == "38 test examples that stand in train, dev or the documents as well took no part"
