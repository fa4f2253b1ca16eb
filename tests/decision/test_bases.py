"""Of several base models, the smallest that is shown to be good enough."""

import numpy as np
import pytest
from scipy.stats import norm

from tunewise.decision.bases import bases_sentence, smallest
from tunewise.decision.plan import Measured, choose_plan
from tunewise.decision.rule import Demands, decide

SIZES = {"small": 100, "middle": 200, "large": 300}
TRAINED = ("fine_tune",)


def one(name, right, *, n=1000, base="", first=0, **more):
    """A contender that is right on so many rows, the first of them `first`."""
    scores = np.zeros(n)
    scores[first : first + right] = 1.0
    trained = name.partition("@")[0] in TRAINED
    return Measured(name=name, trained=trained, scores={0: scores}, base=base, **more)


def judged(*contenders, sizes=SIZES, **settings):
    plan = choose_plan(contenders, minimum_gain=0.05, seeds_wanted=1)
    demands = Demands(minimum_gain=0.05, **settings)
    found = decide(plan, contenders, metric="accuracy", binary=True, demands=demands,
                   sizes=sizes, draws=0)  # fmt: skip
    return found.bases


CONSTANT = one("constant", 100)
LARGE = one("fine_tune@large", 900, base="large")


def test_the_best_of_a_base_is_chosen_on_dev_trained_or_not():
    plan = choose_plan(
        [CONSTANT, one("few_shot", 700, base="small"), one("fine_tune", 600, base="small"), LARGE],
        minimum_gain=0.05,
    )
    assert plan.best_of_base == {"small": "few_shot", "large": "fine_tune@large"}


def test_with_one_base_nothing_is_said_of_bases():
    plan = choose_plan([CONSTANT, one("few_shot", 700)], minimum_gain=0.05)
    assert plan.best_of_base == {}
    assert judged(CONSTANT, one("few_shot", 700), one("fine_tune", 900), sizes={}) == ()


def test_the_smallest_that_is_shown_to_be_as_good_is_named():
    few_shot = one("few_shot", 890, base="small")
    found = judged(CONSTANT, few_shot, one("zero_shot@middle", 500, base="middle"), LARGE)
    assert [base.base for base in found] == ["small", "middle", "large"]
    assert [base.good_enough for base in found] == [True, False, True]
    named = smallest(found)
    assert named is not None
    assert (named.base, named.contender, named.rival) == ("small", "few_shot", "fine_tune@large")
    assert named.delta == pytest.approx(-0.01, abs=0.001)
    assert -0.05 < named.low < -0.01
    said = bases_sentence(found, minimum_gain=0.05)
    assert said.startswith("The smallest base that is good enough is small, with few_shot: ")
    assert "points worse than fine_tune@large" in said


def test_what_is_worse_by_more_than_matters_is_not_named():
    found = judged(CONSTANT, one("few_shot", 820, base="small"), LARGE,
                   sizes={"small": 1, "large": 2})  # fmt: skip
    assert [base.good_enough for base in found] == [False, True]
    assert "few_shot may be" in found[0].why
    assert smallest(found).base == "large"


def test_on_few_rows_nothing_is_shown_though_nothing_is_worse():
    found = judged(
        one("constant", 4, n=40),
        one("few_shot", 30, n=40, base="small"),
        one("fine_tune@large", 30, n=40, base="large", first=5),
        sizes={"small": 1, "large": 2},
    )
    assert smallest(found) is None
    said = bases_sentence(found, minimum_gain=0.05)
    assert said.startswith("No base is shown to be good enough")
    assert "small (few_shot may be" in said


def test_too_few_rows_are_said_and_not_computed():
    found = judged(
        one("constant", 1, n=8),
        one("few_shot", 6, n=8, base="small"),
        one("fine_tune@large", 6, n=8, base="large"),
        sizes={"small": 1, "large": 2},
    )
    assert all("rows" in base.why or "example" in base.why for base in found)


def test_a_rival_that_runs_on_no_base_counts_as_well():
    classifier = one("classifier", 990)
    found = judged(CONSTANT, one("few_shot", 880, base="small"), LARGE, classifier,
                   sizes={"small": 1, "large": 2})  # fmt: skip
    assert smallest(found) is None
    assert {base.rival for base in found} == {"classifier"}


def test_a_ceiling_and_constant_are_no_rivals():
    ceiling = one("gpt", 1000, ceiling=True)
    found = judged(CONSTANT, one("few_shot", 895, base="small"), LARGE, ceiling,
                   sizes={"small": 1, "large": 2})  # fmt: skip
    assert smallest(found).base == "small"


def test_the_error_is_divided_among_the_bases_that_may_be_inferior():
    few = one("few_shot", 895, base="small")
    two = judged(CONSTANT, few, LARGE, sizes={"small": 1, "large": 2})[0]
    three = judged(CONSTANT, few, one("fine_tune@middle", 890, base="middle"), LARGE)[0]
    beside = judged(CONSTANT, few, LARGE, one("classifier", 300), sizes={"small": 1, "large": 2})
    assert two.confidence == pytest.approx(0.96)
    assert three.confidence == pytest.approx(0.98)
    assert beside[0].confidence == pytest.approx(0.98)


def test_a_base_that_breaks_a_demand_is_not_good_enough():
    found = judged(CONSTANT, one("few_shot", 890, base="small"), LARGE, minimum_quality=0.895,
                   sizes={"small": 1, "large": 2})  # fmt: skip
    assert [base.good_enough for base in found] == [False, True]
    assert found[0].why.startswith("few_shot breaks minimum_quality")


def test_a_base_of_which_nobody_was_asked_on_test_is_listed_with_the_reason():
    found = judged(CONSTANT, one("few_shot", 890, base="small"), LARGE)
    middle = next(base for base in found if base.base == "middle")
    assert (middle.contender, middle.good_enough) == (None, False)
    assert middle.why == "none of its contenders was judged on test"


def drawn(n, rng):
    """Three contenders on each of three bases, right as often as they are alike, in threes."""
    ease = 0.7 * np.repeat(rng.standard_normal(n // 3), 3) + 0.7 * rng.standard_normal(n)
    spread = {"constant": ("", 0.2)}
    for base, best in (("small", 0.70), ("middle", 0.70), ("large", 0.75)):
        for way, behind in (("few_shot", 0.02), ("prompt", 0.05), ("fine_tune", 0.0)):
            name = way if base == "small" else f"{way}@{base}"
            spread[name] = (base, best - behind)
    return [
        Measured(
            name=name,
            trained=name.startswith("fine_tune"),
            base=base,
            scores={
                0: (0.6 * ease + 0.8 * rng.standard_normal(n) < norm.ppf(quality)).astype(float)
            },
        )
        for name, (base, quality) in spread.items()
    ]


@pytest.mark.slow
@pytest.mark.parametrize("n", [120, 399])
def test_a_base_that_is_worse_by_what_matters_is_seldom_named(n):
    """At the border: two bases are worse than the best by exactly what matters."""
    rng = np.random.default_rng(7)
    named, runs = 0, 400
    units = [str(row // 3) for row in range(n)]
    for _ in range(runs):
        plan = choose_plan(drawn(60, rng), minimum_gain=0.05, seeds_wanted=1)
        found = decide(plan, drawn(n, rng), metric="accuracy", binary=True, groups=units, draws=0,
                       demands=Demands(minimum_gain=0.05), sizes=SIZES)  # fmt: skip
        named += any(base.good_enough for base in found.bases if base.base != "large")
    assert named / runs <= 0.05 + 2 * np.sqrt(0.05 * 0.95 / runs)
