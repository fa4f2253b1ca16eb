from collections.abc import Sequence

import pytest

from scripted_rows import row, rows, says
from tunewise.contenders.search import Candidate, Choice, choose, rounds
from tunewise.metrics.by_name import metric_named
from tunewise.types import Answer, Example


class Field:
    """Candidates by name, with the share of dev that each answers right."""

    def __init__(self, skill: dict[str, float], *, tokens: int = 0) -> None:
        self.skill = skill
        self.asked: list[tuple[str, str]] = []
        self.advanced = 0
        self._tokens = tokens

    def ask(self, name: str, examples: Sequence[Example]) -> list[Answer]:
        self.asked += [(name, example.id) for example in examples]
        return [says(e, self._answer(name, e), tokens=self._tokens) for e in examples]

    def _answer(self, name: str, example: Example) -> str:
        number = int(example.id.removeprefix("row"))
        return example.target if (number * 7) % 100 < 100 * self.skill[name] else "wrong"

    def advance(self, units: int) -> None:
        self.advanced += units

    def choose(self, dev: Sequence[Example], *, budget: int = 10**9) -> Choice[str]:
        return choose(
            [Candidate(value=name, settings={"name": name}) for name in self.skill],
            self.ask,
            dev,
            metric=metric_named("accuracy"),
            budget_tokens=budget,
            advance=self.advance,
        )

    def seen(self) -> dict[str, int]:
        return {name: sum(asked == name for asked, _ in self.asked) for name in self.skill}


SKILLS = {"a": 0.1, "b": 0.9, "c": 0.3, "d": 0.7, "e": 0.2, "f": 0.0, "g": 0.5, "h": 0.4}


def test_the_better_half_goes_on_to_half_of_dev_and_the_best_of_those_to_all_of_it() -> None:
    field = Field(SKILLS)
    choice = field.choose(rows(100))
    assert choice.candidate.value == "b"
    assert sorted(field.seen().values()) == [25, 25, 25, 25, 50, 50, 100, 100]
    assert field.seen()["b"] == field.seen()["d"] == 100
    assert not choice.exhausted


@pytest.mark.parametrize("dev", [3, 12, 13, 30, 54, 100])
@pytest.mark.parametrize("candidates", [1, 2, 3, 5, 8, 10, 21])
def test_rounds_are_the_answers_that_are_really_asked_for(candidates: int, dev: int) -> None:
    field = Field({f"c{n}": (n * 5 % candidates) / candidates for n in range(candidates)})
    field.choose(rows(dev))
    assert len(field.asked) == rounds(candidates, dev) == field.advanced


def test_no_candidate_answers_an_example_twice() -> None:
    field = Field(SKILLS)
    field.choose(rows(60))
    assert len(set(field.asked)) == len(field.asked)


def test_a_tie_goes_to_the_earlier_candidate() -> None:
    assert Field({"a": 0.4, "b": 0.8, "c": 0.8, "d": 0.8}).choose(rows(40)).candidate.value == "b"


def test_a_tie_goes_to_the_earlier_candidate_though_it_was_behind_a_round_before() -> None:
    answered = dict.fromkeys(["first", "second", "third", "fourth"], 0)
    # Behind after 25 examples, level after 50.
    wrong = {"first": {0}, "second": {49}, "third": set(range(100)), "fourth": set(range(100))}

    def ask(name: str, examples: Sequence[Example]) -> list[Answer]:
        start = answered[name]
        answered[name] += len(examples)
        return [
            says(example, "wrong" if place in wrong[name] else example.target)
            for place, example in enumerate(examples, start)
        ]

    choice = choose(
        [Candidate(value=name, settings={}) for name in answered],
        ask,
        rows(100),
        metric=metric_named("accuracy"),
        budget_tokens=10**9,
    )
    assert answered == {"first": 100, "second": 50, "third": 25, "fourth": 25}
    assert choice.candidate.value == "first"


def test_answers_of_the_winner_stand_in_dev_order() -> None:
    field, dev = Field({"good": 0.5}), rows(50)
    choice = field.choose(dev)
    assert [name for _, name in field.asked] != [e.id for e in dev], "dev is asked in hash order"
    expected = [e.target if (n * 7) % 100 < 50 else "wrong" for n, e in enumerate(dev)]
    assert list(choice.dev_answers) == expected


def test_a_used_up_budget_ends_the_search_with_the_best_so_far() -> None:
    field = Field(SKILLS, tokens=10)
    choice = field.choose(rows(100), budget=2000)  # the first round: 8 candidates x 25 x 10
    assert choice.exhausted
    assert choice.candidate.value == "b"
    assert field.seen() == {name: 100 if name == "b" else 25 for name in SKILLS}
    assert len(choice.dev_answers) == 100
    assert choice.tokens == {"prefilled": 10 * (7 * 25 + 100), "generated": 0, "trained": 0}


def test_a_budget_that_the_last_round_uses_up_ended_nothing_early() -> None:
    field = Field({"a": 0.2, "b": 0.4}, tokens=10)
    needed = 10 * rounds(2, 40)
    assert not field.choose(rows(40), budget=needed).exhausted
    assert field.choose(rows(40), budget=10).exhausted


def test_every_candidate_is_listed_with_its_quality_and_what_it_saw() -> None:
    choice = Field({"a": 0.0, "b": 1.0}).choose(rows(40))
    assert choice.trials == (
        {"name": "a", "dev": 0.0, "dev_examples": 12},
        {"name": "b", "dev": 1.0, "dev_examples": 40},
    )


def test_a_crash_counts_as_wrong() -> None:
    dev = rows(20)

    def ask(name: str, examples: Sequence[Example]) -> list[Answer]:
        if name == "crashes":
            return [Answer(example_id=e.id, contender="c", seed=0, error="no") for e in examples]
        return [says(e, "wrong" if n else e.target) for n, e in enumerate(examples)]

    choice = choose(
        [Candidate(value=name, settings={}) for name in ("crashes", "hardly")],
        ask,
        dev,
        metric=metric_named("accuracy"),
        budget_tokens=10**9,
    )
    assert choice.candidate.value == "hardly"
    assert choice.trials[0]["dev"] == 0.0


def test_the_best_by_an_aggregate_wins_though_fewer_of_its_answers_are_right() -> None:
    # 32 of 40 rows are `a`: whoever always says so is right in 80%, and macro F1 is 0.44.
    dev = [row(f"row{n}", f"text {n}", "b" if n % 5 == 0 else "a") for n in range(40)]

    def ask(name: str, examples: Sequence[Example]) -> list[Answer]:
        half_of_a = ["a" if int(e.id.removeprefix("row")) % 2 else "?" for e in examples]
        return [
            says(e, "a" if name == "always a" else "b" if e.target == "b" else text)
            for e, text in zip(examples, half_of_a, strict=True)
        ]

    def chosen(metric: str) -> Choice[str]:
        return choose(
            [Candidate(value=name, settings={}) for name in ("always a", "reads")],
            ask,
            dev,
            metric=metric_named(metric),
            budget_tokens=10**9,
        )

    assert chosen("accuracy").candidate.value == "always a"
    choice = chosen("macro_f1")
    assert choice.candidate.value == "reads"
    assert choice.trials[1]["dev"] == round((2 / 3 + 1) / 2, 4)
