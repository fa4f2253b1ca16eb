"""A judge is unmasked: what it is worth is found, and one at chance is refused."""

import numpy as np
import pytest

from judged_pairs import Kind, Verdicts, draw_truths, questions, said_of
from tunewise.evaluation.calibration import Said, agreement_of, result_of, wanted_of
from tunewise.runs.dependability import Counted
from tunewise.runs.judged import JudgeResult
from tunewise.runs.pairs import Pairs


def found_of(
    kind: Kind, *, n: int = 400, rated: int = 150, seed: int = 3, tried: int = 1
) -> JudgeResult:
    rng = np.random.default_rng(seed)
    truths = draw_truths(n, rng)
    said = said_of(questions(n), truths, kind.draw(truths, rng), rated, tried=tried)
    return result_of(said, judge="x", name="scripted", criteria=["tone"])


ACCURACIES, BIASES = [0.6, 0.8, 0.95], [0.0, 0.3, 0.6]


@pytest.mark.parametrize("bias", BIASES)
@pytest.mark.parametrize("accuracy", ACCURACIES)
def test_a_judges_accuracy_and_position_bias_are_found(accuracy: float, bias: float) -> None:
    found = found_of(Kind(accuracy=accuracy, bias=bias), n=1000, rated=500)
    assert found.position_bias is not None
    assert found.agreement is not None
    assert found.flips.count / found.judged == pytest.approx(bias, abs=0.06)
    assert found.first == found.flips.count
    assert found.position_bias.value == pytest.approx(bias, abs=0.06)
    right = found.agreement.right.count / found.agreement.decided
    assert right == pytest.approx(shown_accuracy(accuracy), abs=0.1)
    assert found.refused is None


def shown_accuracy(accuracy: float) -> float:
    """Where both prefer an answer: one of the two wrong things is the other answer."""
    return accuracy / (accuracy + (1 - accuracy) / 2)


@pytest.mark.slow
@pytest.mark.parametrize("bias", BIASES)
@pytest.mark.parametrize("accuracy", ACCURACIES)
def test_the_intervals_of_accuracy_and_bias_hold_them(accuracy: float, bias: float) -> None:
    kind, times = Kind(accuracy=accuracy, bias=bias), 200
    held = {"flips": 0, "lean": 0, "right": 0}
    for seed in range(times):
        found = found_of(kind, n=200, rated=100, seed=seed)
        lean, agreement = found.position_bias, found.agreement
        assert lean is not None
        assert agreement is not None
        held["flips"] += holds(found.flips, bias)
        held["lean"] += lean.low <= bias <= lean.high
        held["right"] += holds(agreement.right, shown_accuracy(accuracy))
    assert min(held.values()) >= 0.93 * times


def holds(share: Counted, truth: float) -> bool:
    assert share.low is not None
    assert share.high is not None
    return share.low <= truth <= share.high


def test_noise_that_knows_no_place_is_no_position_bias() -> None:
    rng = np.random.default_rng(5)
    truths = draw_truths(300, rng)
    flipped = rng.random(300) < 0.4
    said = said_of(questions(300), truths, Verdicts(said=truths, biased=flipped), 100)
    # Half of the flips are to the second place.
    judgements = {
        name: type(one)(
            example_id=name,
            judge=one.judge,
            a=one.a,
            b=one.b,
            a_first="second" if one.flipped and n % 2 else one.a_first,
            b_first="second" if one.flipped and n % 2 else one.b_first,
            said=one.said,
        )
        for n, (name, one) in enumerate(said.judgements.items())
    }
    found = result_of(
        Said(pairs=said.pairs, ratings=said.ratings, judgements=judgements),
        judge="x",
        name="scripted",
        criteria=["tone"],
    )
    assert found.flips.count == int(flipped.sum())
    assert found.position_bias is not None
    assert found.position_bias.low < 0.0 < found.position_bias.high


def test_a_believed_judge_gives_the_corrected_difference_and_says_what_it_is_worth() -> None:
    found = found_of(Kind(accuracy=0.9))
    assert found.refused is None
    assert found.corrected is not None
    assert found.person is not None
    assert found.corrected.low is not None
    assert found.corrected.high is not None
    assert found.corrected.low <= 0.2 <= found.corrected.high
    assert found.power is not None
    assert 0.3 < found.power < 1.0
    assert found.worth is not None
    assert found.worth > 1.3 * found.rated


USELESS = {
    "at chance": Kind(accuracy=1 / 3),
    "names the first place always": Kind(accuracy=0.9, bias=1.0),
}


@pytest.mark.parametrize("kind", USELESS.values(), ids=USELESS)
def test_a_judge_that_is_not_shown_to_know_better_than_chance_is_refused(kind: Kind) -> None:
    found = found_of(kind)
    assert found.refused is not None
    assert "not shown to know better than chance" in found.refused
    assert (found.corrected, found.power, found.worth) == (None, None, None)
    assert found.person is not None
    assert found.person.low is not None


def test_a_judge_that_always_prefers_one_contender_is_refused_though_it_is_often_right() -> None:
    """It says what the person says on half of the pairs, as a coin that shows a would."""
    rng = np.random.default_rng(3)
    truths = draw_truths(400, rng)
    verdicts = Verdicts(said=np.ones(400), biased=np.zeros(400, dtype=bool))
    found = result_of(
        said_of(questions(400), truths, verdicts, 150), judge="x", name="s", criteria=["tone"]
    )
    assert found.agreement is not None
    assert found.agreement.same.count == int((truths[:150] == 1).sum())
    assert found.agreement.beyond == pytest.approx(0.0, abs=1e-9)
    assert found.refused is not None


def agreement_low(kind: Kind, rng: np.random.Generator, tried: int = 1) -> float:
    truths = draw_truths(100, rng)
    agreement = agreement_of(
        said_of(questions(100), truths, kind.draw(truths, rng), 100, tried=tried)
    )
    assert agreement is not None
    assert agreement.beyond_low is not None
    return agreement.beyond_low


@pytest.mark.slow
def test_judges_at_chance_are_believed_in_at_most_one_of_twenty_five() -> None:
    rng = np.random.default_rng(0)
    believed = sum(agreement_low(Kind(accuracy=1 / 3), rng) > 0.0 for _ in range(500))
    assert believed <= 20  # 2.5% nominal


@pytest.mark.slow
def test_judges_that_are_right_on_two_thirds_are_believed_after_100_ratings() -> None:
    rng = np.random.default_rng(1)
    believed = sum(agreement_low(Kind(accuracy=2 / 3), rng) > 0.0 for _ in range(100))
    assert believed >= 95


def test_trying_many_judges_makes_it_harder_to_be_believed() -> None:
    one, ten = (found_of(Kind(accuracy=0.6), tried=tried).agreement for tried in (1, 10))
    assert one is not None
    assert ten is not None
    assert one.beyond_low is not None
    assert ten.beyond_low is not None
    assert ten.beyond_low < one.beyond_low


def test_a_judge_is_refused_until_enough_pairs_are_rated() -> None:
    found = found_of(Kind(accuracy=1.0), rated=62)
    assert found.refused is not None
    assert found.refused.startswith("62 of the 100 pairs that are wanted are rated")


def test_where_fewer_than_100_pairs_differ_all_of_them_are_wanted() -> None:
    assert wanted_of(questions(40)) == 40
    found = found_of(Kind(accuracy=0.9), n=40, rated=40)
    assert found.refused is None
    assert found.power == 0.0
    assert found.corrected == found.person


def test_settled_rows_count_without_anybody() -> None:
    rng = np.random.default_rng(2)
    truths = draw_truths(200, rng)
    pairs = questions(200, settled=200)
    verdicts = Kind(accuracy=0.9).draw(truths, rng)
    found = result_of(said_of(pairs, truths, verdicts, 100), judge="x", name="s", criteria=["t"])
    assert (found.rows, found.settled, found.judged) == (400, 200, 200)
    assert found.corrected is not None
    assert abs(found.corrected.value) < 0.2


def test_units_widen_the_interval() -> None:
    rng = np.random.default_rng(4)
    truths = np.repeat(draw_truths(100, rng), 4)
    verdicts = Kind(accuracy=0.9).draw(truths, rng)

    def width(pairs: Pairs) -> float:
        found = result_of(
            said_of(pairs, truths, verdicts, 200), judge="x", name="s", criteria=["t"]
        ).corrected
        assert found is not None
        assert found.high is not None
        assert found.low is not None
        return found.high - found.low

    alone, grouped = questions(400), questions(400, units=[f"u{n // 4}" for n in range(400)])
    assert width(grouped) > 1.3 * width(alone)
