"""Every verifier lets through what keeps to its instruction, and refuses what nearly does."""

import inspect

import pytest

from tunewise.evaluation.suite import verifiers as v

CASES: dict[str, tuple[v.Check, list[str], list[str]]] = {
    "exactly_words": (
        v.exactly_words(3),
        ["Old stone house.", "It's a well-known"],
        ["Two words", "Now four words here"],
    ),
    "at_most_words": (v.at_most_words(3), ["One", "Up to three"], ["This is one more"]),
    "at_least_words": (v.at_least_words(3), ["Three words here", "a b c d"], ["Only two"]),
    "sentences": (
        v.sentences(2),
        ["It rains. I stay in!", 'He left. "Why?"'],
        ["It rains.", "One. Two. Three.", "It rains. I stay in", "It costs 3.50 euros. Yes"],
    ),
    "lines": (v.lines(2), ["one\ntwo", "one\n\ntwo"], ["one two", "one\ntwo\nthree"]),
    "bullets": (
        v.bullets(2),
        ["- oak\n- pine", "- oak\n\n- pine"],
        ["oak\npine", "- oak", "Trees:\n- oak\n- pine", "* oak\n* pine"],
    ),
    "numbered": (
        v.numbered(2),
        ["1. saw\n2. axe"],
        ["1. saw", "1) saw\n2) axe", "1. saw\n1. axe", "Tools:\n1. saw\n2. axe"],
    ),
    "comma_separated": (
        v.comma_separated(3),
        ["rose, tulip, daisy", "a,b,c"],
        ["rose, tulip", "rose, tulip, ", "rose,\ntulip,\ndaisy", "rose tulip daisy"],
    ),
    "json_with_keys": (
        v.json_with_keys(["name", "age"]),
        ['{"name": "Ben", "age": 54}', '```json\n{"age": 54, "name": "Ben"}\n```'],
        ['{"name": "Ben"}', '{"name": "Ben", "age": 1, "x": 2}', 'Here: {"name": "B", "age": 1}',
         "{'name': 'Ben', 'age': 54}", '["name", "age"]'],
    ),
    "json_value": (
        v.json_value("mood", ["positive"]),
        ['{"mood": "positive"}'],
        ['{"mood": "negative"}', '{"tone": "positive"}', '{"mood": true}', "positive"],
    ),
    "json_array": (
        v.json_array(2),
        ['["pea", "leek"]', '```\n["pea", "leek"]\n```'],
        ['["pea"]', "[1, 2]", '{"a": "pea", "b": "leek"}', '["pea", ""]', "pea, leek"],
    ),
    "upper_case": (v.upper_case(), ["SNOW FELL ALL NIGHT."], ["SNOW fell.", "1234"]),
    "lower_case": (v.lower_case(), ["the sea is calm."], ["The sea is calm.", "1234"]),
    "starts_with": (v.starts_with("Of course"), ["Of course, cats sleep."], ["Cats, of course."]),
    "ends_with": (
        v.ends_with("good luck"),
        ["School is near, good luck", "School begins. Good luck!"],
        ["Good luck at school."],
    ),
    "includes": (
        v.includes("morning", "island"),
        ["One Morning we saw the island."],
        ["One morning.", "Many mornings on the island."],
    ),
    "excludes": (v.excludes("song"), ["Music is fun; songs are too."], ["A song, please."]),
    "without": (v.without(",q"), ["The moon is up."], ["A queen.", "Yes, it is.", "Quiet."]),
    "word_times": (
        v.word_times("water", 2),
        ["Water meets water."],
        ["Water.", "Water, water, water.", "Waterfall and water."],
    ),
    "one_of": (v.one_of("yes", "no"), ["No", "yes."], ["No, it is not.", "maybe"]),
    "exactly": (
        v.exactly("He left at noon."),
        ["He left at noon.", '"He left at noon."'],
        ["He left at noon", "He left at noon. Yes."],
    ),
    "in_quotes": (v.in_quotes(), ['"A dark forest."', "“A dark forest.”"], ['A "dark" forest.']),
    "title_in_brackets": (
        v.title_in_brackets(),
        ["<<A day at school>>", "Title: <<School>>"],
        ["<A day>", "<<>>", "A day at school"],
    ),
    "whole_number": (v.whole_number(), ["5", "12."], ["five", "5 fingers", "5.5"]),
    "fields": (
        v.fields(["name", "age"]),
        ["name: Ben\nage: 65"],
        ["age: 65\nname: Ben", "name: Ben", "Name: Ben\nAge: 65", "name:\nage: 65"],
    ),
    "heading": (
        v.heading(),
        ["# The bridge\nIt is old.", "## Bridge\n\nIt is old."],
        ["# The bridge", "The bridge\n# It is old.", "#Bridge\nold"],
    ),
    "question": (v.question(), ["Is it raining?"], ["It is raining.", "Is it? Yes."]),
    "spelled_with": (
        v.spelled_with("-", "window"),
        ["w-i-n-d-o-w", "W-I-N-D-O-W."],
        ["window", "w-i-n-d-o", "Here: w-i-n-d-o-w"],
    ),
    "parts": (
        v.parts("***", 2),
        ["An old house.\n***\nA cat."],
        ["An old house. *** A cat.", "An old house.\n***\n", "One.\n***\nTwo.\n***\nThree."],
    ),
}  # fmt: skip


def test_every_verifier_is_tried() -> None:
    helpers = {"follows", "words"}
    public = {
        name
        for name, one in inspect.getmembers(v, inspect.isfunction)
        if one.__module__ == v.__name__ and not name.startswith("_")
    }
    assert public - helpers == CASES.keys()


@pytest.mark.parametrize("name", CASES)
def test_a_verifier_tells_what_follows_from_what_does_not(name: str) -> None:
    check, following, not_following = CASES[name]
    assert [answer for answer in following if not check(answer)] == []
    assert [answer for answer in not_following if check(answer)] == []


@pytest.mark.parametrize("silence", ["", "  ", "...", "- - -", "???"])
def test_an_answer_without_a_word_follows_nothing(silence: str) -> None:
    assert not v.follows(silence, [])


def test_several_checks_have_to_hold_together() -> None:
    checks = [v.bullets(2), v.lower_case()]
    assert v.follows("- rome\n- oslo", checks)
    assert not v.follows("- Rome\n- oslo", checks)
    assert not v.follows("rome\noslo", checks)
