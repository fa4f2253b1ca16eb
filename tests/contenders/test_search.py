from collections.abc import Sequence

import pytest

from scripted_rows import race, row, rows, says
from tunewise.contenders.race import Race
from tunewise.contenders.search import Candidate, Choice, Search, most_answers, schedule
from tunewise.types import Answer, Example


class Field:
    """Candidates by name, with the share of dev that each answers right."""

    def __init__(self, skill: dict[str, float], *, tokens: int = 0) -> None:
        self.skill = skill
        self.asked: list[tuple[str, str]] = []
        self.advanced = 0
        self.batches = 0
        self._tokens = tokens

    def ask(
        self, names: Sequence[str], examples: Sequence[Sequence[Example]]
    ) -> list[list[Answer]]:
        self.batches += 1
        self.asked += [
            (name, e.id) for name, some in zip(names, examples, strict=True) for e in some
        ]
        return [
            [says(e, self._answer(name, e), tokens=self._tokens) for e in some]
            for name, some in zip(names, examples, strict=True)
        ]

    def _answer(self, name: str, example: Example) -> str:
        number = int(example.id.removeprefix("row"))
        return example.target if (number * 7) % 100 < 100 * self.skill[name] else "wrong"

    def advance(self, units: int) -> None:
        self.advanced += units

    def choose(self, dev: Race, *, budget: int = 10**9) -> Choice[str]:
        search = Search(
            name="prompt", race=dev, ask=self.ask, budget_tokens=budget, advance=self.advance
        )
        candidates = [Candidate(value=name, settings={"name": name}) for name in self.skill]
        return search.chosen(search.halve(candidates))

    def seen(self) -> dict[str, int]:
        return {name: sum(asked == name for asked, _ in self.asked) for name in self.skill}


SKILLS = {"a": 0.1, "b": 0.9, "c": 0.3, "d": 0.7, "e": 0.2, "f": 0.0, "g": 0.5, "h": 0.4}


def test_the_better_half_goes_on_to_twice_as_many_rows_and_the_best_to_all_of_dev() -> None:
    field = Field(SKILLS)
    choice = field.choose(race(rows(100), margin=1.0))
    assert choice.candidate.value == "b"
    assert sorted(field.seen().values()) == [25, 25, 25, 25, 50, 50, 100, 100]
    assert field.seen()["b"] == field.seen()["d"] == 100
    assert not choice.exhausted
    assert choice.stopped is None


def test_what_goes_on_after_each_round() -> None:
    assert schedule(1, 55) == [(55, 1)]
    assert schedule(2, 55) == [(55, 1)]
    assert schedule(9, 55) == [(8, 5), (14, 3), (28, 2), (55, 1)]
    assert schedule(9, 5) == [(5, 5), (5, 3), (5, 2), (5, 1)]


@pytest.mark.parametrize("dev", [3, 12, 13, 30, 54, 100])
@pytest.mark.parametrize("candidates", [1, 2, 3, 5, 8, 10, 21])
def test_no_more_answers_are_asked_for_than_was_said(candidates: int, dev: int) -> None:
    field = Field({f"c{n}": 0.5 + (n * 5 % candidates) / 2 / candidates for n in range(candidates)})
    field.choose(race(rows(dev), margin=1.0))
    assert len(field.asked) == most_answers(candidates, dev) == field.advanced


def test_no_candidate_answers_an_example_twice() -> None:
    field = Field(SKILLS)
    field.choose(race(rows(60)))
    assert len(set(field.asked)) == len(field.asked)


def test_all_candidates_of_a_block_are_asked_in_one_batch() -> None:
    field = Field({"a": 0.5, "b": 0.6})
    field.choose(race(rows(16), margin=1.0))
    assert field.batches == 2


def test_a_tie_goes_to_the_earlier_candidate() -> None:
    field = Field({"a": 0.4, "b": 0.8, "c": 0.8, "d": 0.8})
    assert field.choose(race(rows(40))).candidate.value == "b"


def test_answers_of_the_winner_stand_in_dev_order() -> None:
    field, dev = Field({"good": 0.5}), rows(50)
    choice = field.choose(race(dev))
    assert [name for _, name in field.asked] != [e.id for e in dev], "dev is asked in hash order"
    expected = [e.target if (n * 7) % 100 < 50 else "wrong" for n, e in enumerate(dev)]
    assert list(choice.dev_answers) == expected


# What ends a search early


def test_a_candidate_that_is_surely_too_far_behind_is_asked_no_more() -> None:
    field = Field({"good": 1.0, "bad": 0.0})
    choice = field.choose(race(rows(100)))
    assert field.seen() == {"good": 100, "bad": 16}
    assert choice.trials[1] == {"name": "bad", "dev": 0.0, "dev_examples": 16, "out_after": 16}
    assert "out_after" not in choice.trials[0]


def ahead(dev: int, *, to_the_end: bool = False) -> Race:
    """A race with a perfect contender in it."""
    field = race(rows(dev))
    field.add("classifier", [example.target for example in field.dev])
    field.to_the_end = to_the_end
    return field


def test_where_all_candidates_are_out_the_contender_is_stopped() -> None:
    field = Field({"a": 0.2, "b": 0.1})
    choice = field.choose(ahead(100))
    assert choice.stopped is not None
    assert choice.stopped.rows == max(field.seen().values()) < 60
    assert choice.stopped.behind == "classifier"
    assert choice.dev_answers == ()
    assert choice.candidate.value == "a"


def test_it_answers_all_of_dev_where_one_asks_for_it() -> None:
    field = Field({"a": 0.2, "b": 0.1})
    choice = field.choose(ahead(100, to_the_end=True))
    assert choice.stopped is None
    assert len(choice.dev_answers) == 100
    assert sorted(field.seen().values())[-1] == 100 > sorted(field.seen().values())[0]


def test_where_no_candidate_has_a_right_answer_among_the_first_only_the_first_goes_on() -> None:
    field = Field(dict.fromkeys("abcdef", 0.0))
    choice = field.choose(race(rows(40)))
    assert choice.candidate.value == "a"
    assert field.seen() == {"a": 40, **dict.fromkeys("bcdef", 8)}


def test_a_used_up_budget_ends_the_search_with_the_best_so_far() -> None:
    field = Field(SKILLS, tokens=10)
    choice = field.choose(race(rows(100), margin=1.0), budget=2000)  # 8 candidates x 25 x 10
    assert choice.exhausted
    assert choice.candidate.value == "b"
    assert field.seen() == {name: 100 if name == "b" else 25 for name in SKILLS}
    assert len(choice.dev_answers) == 100
    assert choice.tokens == {"prefilled": 10 * (7 * 25 + 100), "generated": 0, "trained": 0}


def test_a_budget_that_the_last_round_uses_up_ended_nothing_early() -> None:
    field = Field({"a": 0.2, "b": 0.4}, tokens=10)
    assert not field.choose(race(rows(40), margin=1.0), budget=800).exhausted


def test_every_candidate_is_listed_with_its_quality_and_what_it_saw() -> None:
    choice = Field({"a": 0.5, "b": 1.0}).choose(race(rows(40), margin=1.0))
    assert choice.trials == (
        {"name": "a", "dev": 0.55, "dev_examples": 40},
        {"name": "b", "dev": 1.0, "dev_examples": 40},
    )


def test_a_crash_counts_as_wrong() -> None:
    def ask(names: Sequence[str], examples: Sequence[Sequence[Example]]) -> list[list[Answer]]:
        return [
            [Answer(example_id=e.id, contender="c", seed=0, error="no") for e in some]
            if name == "crashes"
            else [says(e, "wrong" if e.id == "row1" else e.target) for e in some]
            for name, some in zip(names, examples, strict=True)
        ]

    search = Search(name="c", race=race(rows(20)), ask=ask, budget_tokens=10**9)
    left = search.halve([Candidate(value=name, settings={}) for name in ("crashes", "hardly")])
    assert left[0].candidate.value == "hardly"
    assert search.chosen(left).trials[0]["dev"] == 0.0


def test_the_best_by_an_aggregate_wins_though_fewer_of_its_answers_are_right() -> None:
    # 32 of 40 rows are `a`: whoever always says so is right in 80%, and macro F1 is 0.44.
    dev = [row(f"row{n}", f"text {n}", "b" if n % 5 == 0 else "a") for n in range(40)]

    def answer(name: str, e: Example) -> str:
        half_of_a = "a" if int(e.id.removeprefix("row")) % 2 else "?"
        return "a" if name == "always a" else "b" if e.target == "b" else half_of_a

    def ask(names: Sequence[str], examples: Sequence[Sequence[Example]]) -> list[list[Answer]]:
        return [
            [says(e, answer(name, e)) for e in some]
            for name, some in zip(names, examples, strict=True)
        ]

    def chosen(metric: str) -> Choice[str]:
        search = Search(name="c", race=race(dev, metric, margin=1.0), ask=ask, budget_tokens=10**9)
        names = ("always a", "reads")
        return search.chosen(search.halve([Candidate(value=n, settings={}) for n in names]))

    assert chosen("accuracy").candidate.value == "always a"
    choice = chosen("macro_f1")
    assert choice.candidate.value == "reads"
    assert choice.trials[1]["dev"] == round((2 / 3 + 1) / 2, 4)
