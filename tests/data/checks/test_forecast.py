import random

from survey_rows import example, surveyed
from tunewise.data.checks.forecast import outlook
from tunewise.data.checks.scan import Scope
from tunewise.data.splitting.split import split_examples
from tunewise.project.settings import Data
from tunewise.types import Example

RNG = random.Random(0)
WORDS = [f"word{n}" for n in range(2000)]


def rows(n: int, groups: int = 0) -> list[Example]:
    made = [" ".join(RNG.choices(WORDS, k=20)) for _ in range(n)]
    made[1::4] = [text + " more" for text in made[::4]][: len(made[1::4])]
    return [
        example(text, group=f"g{k % groups}" if groups else None) for k, text in enumerate(made)
    ]


def test_the_split_to_come_is_the_one_that_a_decision_makes() -> None:
    for seed, groups in ((0, 0), (5, 0), (1, 300)):
        made = rows(3000, groups)
        division = split_examples(made, seed=seed, minimum_gain=0.1).splits
        view = outlook(surveyed({"examples": made}, Scope(seed=seed)), Data(seed=seed), 0.1)
        assert view.sides["test"] == len(division.test)
        assert view.sides["reserved"] == len(division.reserved)
        assert abs(view.sides["train"] - len(division.train)) <= 10  # torn ones are left out
        assert not view.own_split
        assert f"{len(division.test):,} test rows" in view.sentence


def test_an_own_split_is_kept_and_dev_is_taken_from_train() -> None:
    survey = surveyed({"train": rows(400), "test": rows(90)})
    view = outlook(survey, Data(), 0.05)
    assert view.own_split
    assert view.sides["test"] == 90
    assert view.sides["train"] + view.sides["dev"] == 400
    assert 50 < view.sides["dev"] < 130
    assert "in 67 units" in view.sentence  # each fourth row nearly repeats the one before
    assert "up to about 690, would" in view.sentence
    assert view.to_label == 600  # a split of one's own: test rows alone


def test_a_dev_of_ones_own_is_counted_as_it_is() -> None:
    parts = {"train": rows(100), "dev": rows(40), "test": rows(90)}
    view = outlook(surveyed(parts), Data(), 0.05)
    assert view.sides == {"train": 100, "dev": 40, "test": 90}
