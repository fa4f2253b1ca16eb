"""Every kind of instruction can be followed, and not by chance."""

import pytest

from tunewise.evaluation.suite.instructions import KINDS, instructions

ANSWERS = {
    "exactly_words": ("A loud and happy place.", "School is a place where children learn."),
    "at_most_words": ("Music moves people.", "Music is what people have made since they could sing "
                      "together around a fire at night."),
    "at_least_words": ("A river " + "flows and " * 10 + "ends.", "A river flows."),
    "sentences": ("The key fell into the grass.", "The key is gone. Nobody saw it."),
    "lines": ("Tall green trees\nand a quiet path", "Tall green trees and a quiet path"),
    "bullets": ("- oak\n- pine\n- elm\n- fir", "- oak\n- pine\n- elm"),
    "numbered": ("1. saw\n2. axe\n3. file\n4. drill\n5. rasp", "1. saw\n2. axe"),
    "comma_separated": ("rose, tulip, lily, daisy", "rose, tulip, lily, daisy, aster"),
    "json_object": ('{"name": "Ben", "age": 54}', "Ben is 54 years old."),
    "json_array": ('["pea", "leek", "kale", "beet"]', '["pea", "leek"]'),
    "json_label": ('{"mood": "positive"}', '{"mood": "negative"}'),
    "upper_case": ("WINTER IS COLD.", "Winter is COLD."),
    "lower_case": ("the sea is calm today.", "The sea is calm today."),
    "starts_with": ("Of course a cat sleeps all day.", "A cat sleeps all day, of course."),
    "ends_with": ("School begins again tomorrow, good luck", "Good luck at school tomorrow!"),
    "includes": ("She lit a candle at dusk.", "She lit a lamp at dusk."),
    "includes_two": ("One morning we saw the island.", "One morning we saw the sea."),
    "excludes": ("Music is joy. Bands play it at night.", "A song is joy. Bands play it at night."),
    "without_commas": ("I like spring best. Everything is green then.",
                       "I like spring, of course. Then everything is green."),
    "without_letter": ("The moon is round and bright.", "The moon is quite round and bright."),
    "word_times": ("The water met more water below.", "The water met the sea below."),
    "yes_no": ("No.", "A stone is not alive."),
    "copied": ("The train to the coast leaves at noon.", "The train leaves at noon."),
    "in_quotes": ('"The forest is dark and still."', "The forest is dark and still."),
    "titled": ("<<The last bell>>", "The last bell"),
    "whole_number": ("5", "There are five fingers."),
    "fields": ("name: Ben\nage: 65\ncity: Lima", "name: Ben\ncity: Lima\nage: 65"),
    "heading": ("# The bridge\nIt crosses the river.", "The bridge\nIt crosses the river."),
    "question": ("Why does it rain so often?", "It rains often."),
    "spelled": ("w-i-n-d-o-w", "w i n d o w"),
    "parts": ("The house is old.\n***\nThe cat is young.", "The house is old. The cat is young."),
    "bullets_lower": ("- rome\n- oslo", "- Rome\n- Oslo"),
    "begun_short_with_word": ("Today the morning is cold.", "This morning is cold today."),
    "upper_question": ("WHERE IS THE KEY?", "Where is the key?"),
}  # fmt: skip
"""Kind -> an answer that follows its first instance, and one that does not."""


def test_there_are_at_least_25_kinds_some_of_which_ask_for_several_things() -> None:
    assert len(KINDS) >= 25
    several = [one for one in instructions(1) if len(one.checks) >= 3]
    assert len(several) >= 2


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_tells_an_answer_that_follows_from_one_that_does_not(kind: str) -> None:
    (first,) = [one for one in instructions(1) if one.kind == kind]
    following, not_following = ANSWERS[kind]
    assert first.right(following), first.text
    assert not first.right(not_following), first.text


def test_neither_silence_nor_the_instruction_itself_follows_one() -> None:
    made = instructions(3)
    assert [one.id for one in made if one.right("")] == []
    assert [one.id for one in made if one.right(one.text)] == []


def test_the_same_seed_makes_the_same_and_more_of_a_kind_moves_none() -> None:
    few = {one.id: one.text for one in instructions(3, seed=5)}
    more = {one.id: one.text for one in instructions(9, seed=5)}
    assert few.items() <= more.items()
    assert few != {one.id: one.text for one in instructions(3, seed=6)}


def test_no_instruction_stands_twice() -> None:
    texts = [one.text for one in instructions(14)]
    assert len(set(texts)) == len(texts)
