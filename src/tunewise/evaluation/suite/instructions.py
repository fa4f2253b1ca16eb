"""Instructions that a program can check, made from a seed: 34 kinds, each with many instances.

They test whether a model still does what it is told; what it says is no matter here.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from random import Random
from typing import NamedTuple

from tunewise.evaluation.suite import verifiers as v

_TOPICS = (
    "the sea", "a rainy day", "your favourite season", "a cat", "an old house", "the moon",
    "a long journey", "breakfast", "a garden", "a river", "winter", "music", "a market", "a bridge",
    "school", "a forest", "friendship", "a bakery", "a lost key", "the night sky",
)  # fmt: skip
_GROUPS = (
    "animals", "colours", "fruits", "vegetables", "countries", "cities", "tools", "drinks",
    "sports", "flowers", "musical instruments", "trees", "clothes", "months", "birds",
)  # fmt: skip
_WORDS = (
    "water", "summer", "window", "bread", "stone", "yellow", "morning", "island", "silver",
    "mountain", "paper", "apple", "winter", "candle", "market",
)  # fmt: skip
_NAMES = ("Anna", "Ben", "Carla", "David", "Ella", "Felix", "Grace", "Hugo", "Ida", "Jonas")
_SENTENCES = (
    "The train to the coast leaves at noon.", "Nobody had seen the blue bicycle again.",
    "My aunt keeps seven hens behind the house.", "Please leave your wet boots at the door.",
    "The library is closed on public holidays.", "Two old friends met at the harbour.",
    "He painted the fence on a quiet Sunday.", "The soup needs a little more salt.",
    "Every window in the street was dark.", "She found the letter under the carpet.",
)  # fmt: skip
_YES_NO = (
    "Is ice cold", "Can birds fly", "Is the sun hot", "Do fish live in water", "Is a stone alive",
    "Can a house walk", "Is milk black", "Do trees have roots", "Is gold a metal",
    "Do cows lay eggs",
)  # fmt: skip
_HOW_MANY = (
    "How many days are in a week", "How many legs does a dog have",
    "How many months are in a year", "How many hours are in a day",
    "How many wheels does a bicycle have", "How many fingers are on one hand",
    "How many sides does a triangle have", "How many minutes are in an hour",
)  # fmt: skip
_TEXTS = (
    ("The tent arrived torn, and nobody answers my mails.", "negative"),
    ("Wonderful boots, they fit perfectly and came a day early.", "positive"),
    ("The lamp broke after one evening. I am very disappointed.", "negative"),
    ("I love this backpack, it is light and strong.", "positive"),
    ("The soup was cold and the waiter was rude.", "negative"),
    ("What a lovely evening, thank you for everything!", "positive"),
)


class Asked(NamedTuple):
    """One instruction, and what an answer to it has to keep to."""

    text: str
    checks: Sequence[v.Check]


@dataclass(frozen=True, kw_only=True)
class Instruction:
    """One instruction of the suite."""

    id: str
    kind: str
    text: str
    """What the model is asked."""
    checks: Sequence[v.Check]
    max_tokens: int
    """Generated at most."""

    ability = "instructions"
    floor = 0.0
    """What an answer by chance gets."""

    def right(self, answer: str) -> bool:
        """Whether an answer does what was asked; to say the instruction again does not."""
        return answer.strip() != self.text and v.follows(answer, self.checks)


def instructions(per_kind: int, *, seed: int = 0) -> list[Instruction]:
    """So many of every kind; fewer never change those that stay.

    Args:
        per_kind: instances of each kind.
        seed: decides topics, words and numbers.
    """
    made: list[Instruction] = []
    for name, (make, max_tokens) in KINDS.items():
        rng = Random(f"{seed} {name}")
        seen: set[str] = set()
        for n in range(per_kind):
            asked = _new(make, rng, seen)
            made.append(
                Instruction(
                    id=f"{name}-{n}",
                    kind=name,
                    text=asked.text,
                    checks=asked.checks,
                    max_tokens=max_tokens,
                )
            )
    return made


def _new(make: Callable[[Random], Asked], rng: Random, seen: set[str]) -> Asked:
    """One whose text was not there yet, as long as some are found."""
    asked = make(rng)
    for _ in range(50):
        if asked.text not in seen:
            break
        asked = make(rng)
    seen.add(asked.text)
    return asked


def _exactly_words(rng: Random) -> Asked:
    n = rng.randint(3, 6)
    text = f"Describe {rng.choice(_TOPICS)} in exactly {n} words. Write nothing else."
    return Asked(text, [v.exactly_words(n)])


def _at_most_words(rng: Random) -> Asked:
    n = rng.choice((8, 10, 12, 15))
    return Asked(
        f"Write about {rng.choice(_TOPICS)} in at most {n} words.",
        [v.at_most_words(n), v.at_least_words(3)],
    )


def _at_least_words(rng: Random) -> Asked:
    n = rng.choice((15, 20, 25))
    text = f"Write at least {n} words about {rng.choice(_TOPICS)}."
    return Asked(text, [v.at_least_words(n)])


def _sentences(rng: Random) -> Asked:
    n = rng.randint(1, 2)
    counted = "one sentence" if n == 1 else "two sentences"
    text = f"Write exactly {counted} about {rng.choice(_TOPICS)}."
    return Asked(text, [v.sentences(n), v.at_least_words(3)])


def _lines(rng: Random) -> Asked:
    n = rng.randint(2, 4)
    text = f"Write exactly {n} short lines about {rng.choice(_TOPICS)}, each on a line of its own."
    return Asked(text, [v.lines(n)])


def _bullets(rng: Random) -> Asked:
    n, group = rng.randint(2, 5), rng.choice(_GROUPS)
    text = f'List {n} {group}. Begin each line with "- " and write nothing else.'
    return Asked(text, [v.bullets(n)])


def _numbered(rng: Random) -> Asked:
    n, group = rng.randint(2, 5), rng.choice(_GROUPS)
    text = f'List {n} {group}, numbered "1.", "2." and so on, one on each line. Write nothing else.'
    return Asked(text, [v.numbered(n)])


def _comma_separated(rng: Random) -> Asked:
    n, group = rng.randint(3, 5), rng.choice(_GROUPS)
    text = f"Name {n} {group} on one line, separated by commas. Write nothing else."
    return Asked(text, [v.comma_separated(n)])


def _json_object(rng: Random) -> Asked:
    name, age = rng.choice(_NAMES), rng.randint(20, 70)
    text = (
        f'{name} is {age} years old. Write this as a JSON object with the keys "name" and "age", '
        "and nothing else."
    )
    return Asked(text, [v.json_with_keys(["name", "age"]), v.json_value("name", [name])])


def _json_array(rng: Random) -> Asked:
    n, group = rng.randint(2, 4), rng.choice(_GROUPS)
    return Asked(
        f"Give {n} {group} as a JSON array of strings, and nothing else.", [v.json_array(n)]
    )


def _json_label(rng: Random) -> Asked:
    message, label = rng.choice(_TEXTS)
    kinds = rng.choice((("positive", "negative"), ("negative", "positive")))
    key = rng.choice(("sentiment", "mood", "tone"))
    text = (
        f'Answer with a JSON object whose only key is "{key}" and whose value is "{kinds[0]}" or '
        f'"{kinds[1]}".\n\n{message}'
    )
    return Asked(text, [v.json_with_keys([key]), v.json_value(key, [label])])


def _upper_case(rng: Random) -> Asked:
    text = f"Write one sentence about {rng.choice(_TOPICS)} in capital letters only."
    return Asked(text, [v.upper_case(), v.at_least_words(3)])


def _lower_case(rng: Random) -> Asked:
    text = (
        f"Write one sentence about {rng.choice(_TOPICS)} in lower case only. Use no capital "
        "letters, not even at the beginning."
    )
    return Asked(text, [v.lower_case(), v.at_least_words(3)])


def _starts_with(rng: Random) -> Asked:
    beginning = rng.choice(
        ("Long ago", "Of course", "In my opinion", "To begin with", "Believe me")
    )
    text = f'Write one sentence about {rng.choice(_TOPICS)}. Begin it with the words "{beginning}".'
    return Asked(text, [v.starts_with(beginning), v.at_least_words(4)])


def _ends_with(rng: Random) -> Asked:
    ending = rng.choice(("that is all", "good luck", "thank you", "the end", "see you soon"))
    text = f'Write one sentence about {rng.choice(_TOPICS)}, then end with the words "{ending}".'
    return Asked(text, [v.ends_with(ending), v.at_least_words(5)])


def _includes(rng: Random) -> Asked:
    word = rng.choice(_WORDS)
    return Asked(f'Write one sentence that contains the word "{word}".',
                 [v.includes(word), v.at_least_words(4)])  # fmt: skip


def _includes_two(rng: Random) -> Asked:
    one, other = rng.sample(_WORDS, 2)
    text = f'Write one sentence that contains both the word "{one}" and the word "{other}".'
    return Asked(text, [v.includes(one, other), v.at_least_words(5)])


def _excludes(rng: Random) -> Asked:
    topic, word = rng.choice(
        (("the sea", "water"), ("a cat", "animal"), ("breakfast", "food"), ("winter", "cold"),
         ("the moon", "night"), ("a bakery", "bread"), ("a river", "water"), ("school", "teacher"),
         ("music", "song"), ("a garden", "flowers"), ("a forest", "trees"), ("summer", "hot"),
         ("an old house", "door"), ("the night sky", "stars"), ("a market", "buy"),
         ("a bridge", "river"))
    )  # fmt: skip
    text = f'Write two sentences about {topic}. Do not use the word "{word}".'
    return Asked(text, [v.excludes(word), v.at_least_words(6)])


def _without_commas(rng: Random) -> Asked:
    text = f"Write two sentences about {rng.choice(_TOPICS)} without using any commas."
    return Asked(text, [v.without(","), v.at_least_words(8), v.sentences(2)])


def _without_letter(rng: Random) -> Asked:
    letter = rng.choice("zqxjkv")
    text = (
        f"Write one sentence about {rng.choice(_TOPICS)} in which the letter {letter} does not "
        "occur."
    )
    return Asked(text, [v.without(letter), v.at_least_words(5)])


def _word_times(rng: Random) -> Asked:
    word, n = rng.choice(_WORDS), rng.randint(2, 3)
    text = f'Write a short text in which the word "{word}" occurs exactly {n} times.'
    return Asked(text, [v.word_times(word, n), v.at_least_words(5)])


def _yes_no(rng: Random) -> Asked:
    asked = rng.choice(_YES_NO)
    form = rng.choice(('Answer with "yes" or "no" only.', "Answer yes or no, in one word."))
    return Asked(f"{asked}? {form}", [v.one_of("yes", "no")])


def _copied(rng: Random) -> Asked:
    sentence = rng.choice(_SENTENCES)
    form = rng.choice(("Repeat this sentence word for word", "Copy the following sentence exactly"))
    return Asked(f"{form}, and write nothing else:\n{sentence}", [v.exactly(sentence)])


def _in_quotes(rng: Random) -> Asked:
    text = (
        f"Write one sentence about {rng.choice(_TOPICS)}. Put your whole answer in double "
        "quotation marks."
    )
    return Asked(text, [v.in_quotes(), v.at_least_words(3)])


def _titled(rng: Random) -> Asked:
    text = (
        f"Give a title for a story about {rng.choice(_TOPICS)}. Write it in double angular "
        "brackets, like <<title>>."
    )
    return Asked(text, [v.title_in_brackets()])


def _whole_number(rng: Random) -> Asked:
    form = rng.choice(
        ("Answer with a number in digits and nothing else.", "Write only the digits.")
    )
    return Asked(f"{rng.choice(_HOW_MANY)}? {form}", [v.whole_number()])


def _fields(rng: Random) -> Asked:
    name, age, city = rng.choice(_NAMES), rng.randint(20, 70), rng.choice(("Rome", "Oslo", "Lima"))
    text = (
        f"{name}, who is {age}, lives in {city}. Write it as three lines of the form\n"
        "name: ...\nage: ...\ncity: ..."
    )
    return Asked(text, [v.fields(["name", "age", "city"]), v.includes(name, str(age), city)])


def _heading(rng: Random) -> Asked:
    text = (
        f'Write a Markdown heading that begins with "# " about {rng.choice(_TOPICS)}, and one '
        "sentence below it."
    )
    return Asked(text, [v.heading()])


def _question(rng: Random) -> Asked:
    text = f"Write one question about {rng.choice(_TOPICS)}, and end with a question mark."
    return Asked(text, [v.question(), v.at_least_words(3), v.sentences(1)])


def _spelled(rng: Random) -> Asked:
    word = rng.choice(_WORDS)
    text = f'Spell the word "{word}" with a hyphen between its letters, like c-a-t. Nothing else.'
    return Asked(text, [v.spelled_with("-", word)])


def _parts(rng: Random) -> Asked:
    one, other = rng.sample(_TOPICS, 2)
    text = (
        f"Write a sentence about {one}, then a line with *** alone, then a sentence about {other}."
    )
    return Asked(text, [v.parts("***", 2)])


def _bullets_lower(rng: Random) -> Asked:
    n, group = rng.randint(2, 4), rng.choice(_GROUPS)
    text = f'List {n} {group} in lower case only. Begin each line with "- ". Write nothing else.'
    return Asked(text, [v.bullets(n), v.lower_case()])


def _begun_short_with_word(rng: Random) -> Asked:
    word, n = rng.choice(_WORDS), rng.choice((12, 15, 18))
    text = (
        f'Write one sentence of at most {n} words. Begin it with "Today" and use the word "{word}".'
    )
    return Asked(text, [v.starts_with("Today"), v.includes(word), v.at_most_words(n)])


def _upper_question(rng: Random) -> Asked:
    text = (
        f"Write a question about {rng.choice(_TOPICS)} in capital letters only. Use at most 15 "
        "words and end with a question mark."
    )
    return Asked(text, [v.upper_case(), v.question(), v.at_most_words(15)])


KINDS: Mapping[str, tuple[Callable[[Random], Asked], int]] = {
    "exactly_words": (_exactly_words, 24),
    "at_most_words": (_at_most_words, 32),
    "at_least_words": (_at_least_words, 48),
    "sentences": (_sentences, 64),
    "lines": (_lines, 64),
    "bullets": (_bullets, 48),
    "numbered": (_numbered, 48),
    "comma_separated": (_comma_separated, 32),
    "json_object": (_json_object, 40),
    "json_array": (_json_array, 40),
    "json_label": (_json_label, 32),
    "upper_case": (_upper_case, 48),
    "lower_case": (_lower_case, 48),
    "starts_with": (_starts_with, 32),
    "ends_with": (_ends_with, 64),
    "includes": (_includes, 40),
    "includes_two": (_includes_two, 40),
    "excludes": (_excludes, 64),
    "without_commas": (_without_commas, 64),
    "without_letter": (_without_letter, 40),
    "word_times": (_word_times, 64),
    "yes_no": (_yes_no, 12),
    "copied": (_copied, 24),
    "in_quotes": (_in_quotes, 48),
    "titled": (_titled, 24),
    "whole_number": (_whole_number, 12),
    "fields": (_fields, 32),
    "heading": (_heading, 64),
    "question": (_question, 32),
    "spelled": (_spelled, 32),
    "parts": (_parts, 80),
    "bullets_lower": (_bullets_lower, 48),
    "begun_short_with_word": (_begun_short_with_word, 40),
    "upper_question": (_upper_question, 32),
}
"""Name -> how an instance is made, and how many tokens its answer may have; the last three ask for
several things at once."""
