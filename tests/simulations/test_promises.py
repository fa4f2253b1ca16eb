"""The promises of docs/method.md, on simulated projects that run the shipped rule."""

from dataclasses import replace

import numpy as np
import pytest

from covering import exact_coverage, grouped_cells
from projects import World, draw, share_fine_tuned
from promises import GAIN, MAX_FALSE_ADVICE, NO_GAIN, check_promises
from tunewise.decision.plan import Measured, futile
from tunewise.decision.rule import decide
from tunewise.types import Verdict


def always(outcome):
    def rule(plan, measured, **settings) -> Verdict:
        return Verdict(
            outcome=outcome, recommended=None, reason="", rule="cannot_tell", comparisons=(),
            constraints=(), examples_needed=None,
        )  # fmt: skip

    return rule


def hopeless(tuned, plain):
    first = Measured(name="fine_tune", trained=True, scores={0: tuned})
    return futile(first, Measured(name="few_shot", trained=False, scores={0: plain}),
                  minimum_gain=0.05)  # fmt: skip


def test_a_rule_that_always_says_undecided_fails_the_promises():
    assert check_promises(always("undecided"), projects=20).broken == ["power 0.0%"]


def test_a_rule_that_always_says_fine_tune_fails_the_promises():
    assert len(check_promises(always("fine_tune"), projects=20).broken) == len(NO_GAIN)


def test_a_rule_that_ignores_the_looks_and_the_rivals_fails_the_promises():
    """The simulation is sharp enough to notice a rule that only looks at its own interval."""

    def careless(plan, measured, **settings) -> Verdict:
        kept = [
            one for one in measured if one.name in (plan.incumbent, plan.challenger, "constant")
        ]
        return decide(plan, kept, **{**settings, "earlier": ()})

    share = share_fine_tuned(NO_GAIN["four looks"], 300, seed=3, rule=careless)
    assert share > MAX_FALSE_ADVICE


@pytest.mark.parametrize("name", NO_GAIN)
def test_a_fine_tune_that_gains_nothing_is_rarely_recommended(name):
    assert share_fine_tuned(NO_GAIN[name], 300, seed=11) <= 0.06


def test_a_gain_of_ten_points_is_found():
    assert share_fine_tuned(GAIN, 300, seed=12) >= 0.77


def test_the_shipped_interval_covers_independent_rows_at_every_small_size():
    for n in (20, 30, 40, 60):
        for only_a in (0.01, 0.05, 0.1, 0.2, 0.35):
            for only_b in (0.0, 0.01, 0.05):
                assert exact_coverage(n, only_a, only_b) >= 0.93


def test_the_shipped_interval_is_not_wider_than_needed_at_200_rows():
    for only_a, only_b in ((0.1, 0.0), (0.1, 0.05), (0.15, 0.05), (0.05, 0.05), (0.2, 0.2)):
        assert 0.93 <= exact_coverage(200, only_a, only_b) <= 0.98


def test_later_looks_keep_their_higher_confidence():
    for only_a, only_b in ((0.15, 0.05), (0.2, 0.0), (0.05, 0.05)):
        assert exact_coverage(60, only_a, only_b, confidence=0.975) >= 0.955


def test_grouped_rows_are_covered():
    cells = grouped_cells(60, seed=1, correlations=(0.4,))
    average = sum(cell.coverage for cell in cells) / len(cells)
    assert average >= 0.95


def test_dev_rarely_stops_a_true_gain_of_ten_points():
    stopped = []
    for n in (40, 60):
        world = World(rates={"few_shot": 0.7, "fine_tune": 0.8, "fine_tune_rag": 0.7})
        scores, _ = draw(world, 1000 * n, dict.fromkeys(world.rates, 1), np.random.default_rng(n))
        tuned, plain = (scores[name][0].reshape(1000, n) for name in ("fine_tune", "few_shot"))
        stopped.append(np.mean([hopeless(a, b) for a, b in zip(tuned, plain, strict=True)]))
    assert max(stopped) <= 0.03


def test_dev_often_stops_a_training_that_loses_ten_points():
    world = World(rates={"few_shot": 0.7, "fine_tune": 0.6, "fine_tune_rag": 0.7})
    scores, _ = draw(world, 1000 * 50, dict.fromkeys(world.rates, 1), np.random.default_rng(2))
    tuned, plain = (scores[name][0].reshape(1000, 50) for name in ("fine_tune", "few_shot"))
    assert np.mean([hopeless(a, b) for a, b in zip(tuned, plain, strict=True)]) >= 0.5


@pytest.mark.slow
def test_every_promise_over_2000_projects_a_world():
    kept = check_promises(decide, projects=2000, seed=20)
    print(kept)  # noqa: T201 -- the numbers of docs/method.md
    assert kept.broken == []


@pytest.mark.slow
def test_grouped_projects_find_a_gain_less_often_but_never_advise_more():
    world = replace(GAIN, group_rows=8, correlation=0.2)
    share = share_fine_tuned(world, 500, seed=5)
    assert 0.3 <= share <= 0.9


@pytest.mark.slow
def test_coverage_in_every_grouped_cell():
    draws = 2000
    cells = grouped_cells(draws, seed=4, correlations=(0.0, 0.2, 0.5))
    worst = min(cells, key=lambda cell: cell.coverage)
    widest = max((cell for cell in cells if cell.is_capped), key=lambda cell: cell.coverage)
    print(worst, widest)  # noqa: T201 -- the numbers of docs/method.md
    low = [cell for cell in cells if cell.groups < 20 and cell.rows >= 200]
    print(max(low, key=lambda cell: cell.coverage * (cell.discordant >= 0.1)))  # noqa: T201
    noise = 2 * (0.93 * 0.07 / draws) ** 0.5
    assert worst.coverage >= 0.93 - noise
    assert widest.coverage <= 0.98 + noise
