import numpy as np
import pytest

from tunewise.decision.assurance import assurance, rows_that_settle
from tunewise.decision.comparisons import prepare
from tunewise.decision.plan import Measured, Plan
from tunewise.types import Assurance

PLAN = Plan(
    incumbent="few_shot", challenger="fine_tune", ships={}, seeds={}, seeds_wanted=1, dev_quality={}
)


def bench(tune, plain, *, groups=None, aggregate=None):
    def one(name, scores):
        of_rows = None if aggregate is None else {0: lambda rows: aggregate(scores, rows)}
        return Measured(
            name=name, trained=name == "fine_tune", scores={0: scores}, aggregate=of_rows
        )

    return prepare(
        PLAN,
        [one("few_shot", np.asarray(plain)), one("fine_tune", np.asarray(tune))],
        binary=aggregate is None,
        groups=groups,
        confidence=0.92,
    )


def ahead(looked_at):
    """A rule that fine-tunes where the tune is shown to be better."""
    return "fine_tune" if looked_at.beats("fine_tune", "few_shot") else "cannot_tell"


def chances(looked_at, *more, rule=ahead, draws=200, earlier=()):
    return assurance(looked_at, rule, more=more, earlier=earlier, draws=draws)


TUNE = [1.0] * 30 + [0.0] * 10
PLAIN = [0.0] * 6 + [1.0] * 20 + [0.0] * 14


def test_more_rows_settle_more_often_what_has_a_true_difference():
    found = chances(bench(TUNE, PLAIN), 20, 100, 1000)
    assert [one.rows for one in found] == [20, 100, 1000]
    assert found[0].settled <= found[1].settled <= found[2].settled
    assert found[2].settled > 0.95
    assert all(one.fine_tune == one.settled for one in found)


def test_the_truth_is_uncertain_so_no_number_of_rows_makes_sure():
    """Five against four discordant rows: which is better is about as likely as not."""
    tune = [1.0] * 5 + [0.0] * 4 + [1.0] * 31
    plain = [0.0] * 5 + [1.0] * 4 + [1.0] * 31
    (found,) = chances(bench(tune, plain), 10_000)
    assert 0.4 < found.settled < 0.8


def test_whole_units_are_added_and_stay_clusters():
    groups = [str(row // 4) for row in range(40)]
    seen = []

    def rule(looked_at):
        seen.append((looked_at.rows.n, looked_at.rows.group_count))
        return "cannot_tell"

    chances(bench(TUNE, PLAIN, groups=groups), 100, rule=rule, draws=3)
    assert seen == [(140, 35)] * 3


def test_an_aggregate_grows_by_its_pseudo_values():
    def mean(scores, rows):
        return float(scores[rows].mean())

    values = []

    def rule(looked_at):
        one = looked_at.samples["fine_tune"]
        values.append((one.value, one.scores.mean()))
        return "cannot_tell"

    chances(bench(TUNE, PLAIN, aggregate=mean), 60, rule=rule, draws=5)
    assert all(value == pytest.approx(expected) for value, expected in values)
    assert len({value for value, _ in values}) > 1


def test_the_next_look_is_judged_at_its_own_confidence():
    confidences = []

    def rule(looked_at):
        confidences.append(looked_at.confidence)
        return "cannot_tell"

    chances(bench(TUNE, PLAIN), 40, rule=rule, draws=1)
    chances(bench(TUNE, PLAIN), 40, rule=rule, draws=1, earlier=(20,))
    assert 0.92 < confidences[0] < confidences[1]


def test_the_same_scores_give_the_same_chances():
    assert chances(bench(TUNE, PLAIN), 100) == chances(bench(TUNE, PLAIN), 100)


def test_the_smallest_number_with_a_chance_of_60_percent_is_the_advice():
    def of(*settled):
        return [
            Assurance(rows=100 * (k + 1), settled=s, fine_tune=0.0) for k, s in enumerate(settled)
        ]

    assert rows_that_settle(of(0.3, 0.6, 0.9)) == 200
    assert rows_that_settle(of(0.3, 0.59)) is None
    assert rows_that_settle([]) is None
