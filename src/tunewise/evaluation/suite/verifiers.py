"""Whether an answer keeps to an instruction: a text in, yes or no out.

Every check wants an answer with at least one letter or digit, so that silence and rows of dots
follow no instruction.
"""

import json
import re
from collections.abc import Callable, Sequence
from typing import TypeAlias, cast

Check: TypeAlias = Callable[[str], bool]
"""The answer, without white space around it -> whether it follows."""

_WORD = re.compile(r"[^\W_]+(?:['’-][^\W_]+)*")
_SENTENCE = re.compile(r"[.!?]+[\"'”’)]*(?=\s|$)")
_END = re.compile(r"[.!?]+[\"'”’)]*$")
_FENCE = re.compile(r"^```(?:json)?\s*\n(.*?)\n?```$", re.DOTALL)


def follows(answer: str, checks: Sequence[Check]) -> bool:
    """Whether an answer says something and passes every check."""
    text = answer.strip()
    return bool(_WORD.search(text)) and all(check(text) for check in checks)


def words(text: str) -> list[str]:
    """The words of a text in lower case; `don't` and `well-known` are one each."""
    return [word.lower() for word in _WORD.findall(text)]


def exactly_words(count: int) -> Check:
    """So many words, no more and no fewer."""
    return lambda text: len(words(text)) == count


def at_most_words(count: int) -> Check:
    """So many words or fewer."""
    return lambda text: len(words(text)) <= count


def at_least_words(count: int) -> Check:
    """So many words or more."""
    return lambda text: len(words(text)) >= count


def sentences(count: int) -> Check:
    """So many sentences, each ended by a full stop, question mark or exclamation mark."""
    return lambda text: len(_SENTENCE.findall(text)) == count and bool(_END.search(text))


def lines(count: int) -> Check:
    """So many lines that are not empty."""
    return lambda text: len(_lines(text)) == count


def bullets(count: int) -> Check:
    """So many lines, each beginning with `- `, and nothing else."""
    return lambda text: _all_lines(text, count, [r"- \S"] * count)


def numbered(count: int) -> Check:
    """The lines `1. ...`, `2. ...` up to that number, and nothing else."""
    return lambda text: _all_lines(text, count, [rf"{n + 1}\. \S" for n in range(count)])


def comma_separated(count: int) -> Check:
    """So many entries with commas between them, all on one line."""
    return lambda text: (
        "\n" not in text
        and len(text.split(",")) == count
        and all(_WORD.search(part) for part in text.split(","))
    )


def json_with_keys(keys: Sequence[str]) -> Check:
    """A JSON object with exactly these keys; a code fence around it is let through."""
    return lambda text: set(_object(text)) == set(keys)


def json_value(key: str, allowed: Sequence[object]) -> Check:
    """A JSON object in which the key has one of these values."""

    def holds(text: str) -> bool:
        found = _object(text).get(key)
        return any(type(found) is type(one) and found == one for one in allowed)

    return holds


def json_array(count: int) -> Check:
    """A JSON array of so many texts."""

    def holds(text: str) -> bool:
        found = _json(text)
        items = cast("list[object]", found) if isinstance(found, list) else []
        return len(items) == count and all(isinstance(item, str) and item for item in items)

    return holds


def upper_case() -> Check:
    """No letter in lower case."""
    return lambda text: text == text.upper() and text != text.lower()


def lower_case() -> Check:
    """No letter in upper case."""
    return lambda text: text == text.lower() and text != text.upper()


def starts_with(beginning: str) -> Check:
    """The first words are these, whatever their case."""
    return lambda text: text.lower().startswith(beginning.lower())


def ends_with(ending: str) -> Check:
    """The last words are these, whatever their case; a full stop after them is let through."""
    return lambda text: text.lower().rstrip(".!\"' ").endswith(ending.lower().rstrip(".!"))


def includes(*wanted: str) -> Check:
    """Every one of these words stands in it, whatever its case."""
    return lambda text: {word.lower() for word in wanted} <= set(words(text))


def excludes(*unwanted: str) -> Check:
    """None of these words stands in it, whatever its case."""
    return lambda text: not {word.lower() for word in unwanted} & set(words(text))


def without(characters: str) -> Check:
    """None of these characters stands in it, whatever its case."""
    return lambda text: not set(characters.lower()) & set(text.lower())


def word_times(word: str, count: int) -> Check:
    """The word stands in it so many times."""
    return lambda text: words(text).count(word.lower()) == count


def one_of(*answers: str) -> Check:
    """It is one of these and nothing more; case and a full stop do not matter."""
    return lambda text: text.lower().rstrip(".! ") in {one.lower() for one in answers}


def exactly(wanted: str) -> Check:
    """It is this text, word for word."""
    return lambda text: text.strip("\"'“” ") == wanted


def in_quotes() -> Check:
    """The whole answer stands in double quotes."""
    return lambda text: len(text) > 2 and text[0] in '"“' and text[-1] in '"”'


def title_in_brackets() -> Check:
    """It holds a title in double angular brackets: `<<A day at sea>>`."""
    return lambda text: re.search(r"<<[^<>\n]*\w[^<>\n]*>>", text) is not None


def whole_number() -> Check:
    """Digits, and nothing else but a full stop."""
    return lambda text: re.fullmatch(r"\d+\.?", text) is not None


def fields(names: Sequence[str]) -> Check:
    """A line `name: value` for each of these names in this order, and nothing else."""
    return lambda text: _all_lines(text, len(names), [rf"{re.escape(n)}: ?\S" for n in names])


def heading() -> Check:
    """The first line is a Markdown heading, and text follows."""
    return lambda text: re.match(r"#{1,6} \S", text) is not None and len(_lines(text)) > 1


def question() -> Check:
    """It ends with a question mark."""
    return lambda text: text.endswith("?")


def spelled_with(separator: str, word: str) -> Check:
    """The letters of a word with this between them, in any case, and nothing else."""
    return lambda text: text.lower().rstrip(".") == separator.join(word.lower())


def parts(separator: str, count: int) -> Check:
    """So many texts with this separator on lines of its own between them."""

    def holds(text: str) -> bool:
        split = re.split(rf"^\s*{re.escape(separator)}\s*$", text, flags=re.MULTILINE)
        return len(split) == count and all(_WORD.search(part) for part in split)

    return holds


def _lines(text: str) -> list[str]:
    return [line.strip() for line in text.splitlines() if line.strip()]


def _all_lines(text: str, count: int, patterns: Sequence[str]) -> bool:
    found = _lines(text)
    return len(found) == count and all(
        re.match(pattern, line) for pattern, line in zip(patterns, found, strict=True)
    )


def _json(text: str) -> object:
    fenced = _FENCE.match(text)
    try:
        return cast("object", json.loads(fenced[1] if fenced else text))
    except (ValueError, RecursionError):
        return None


def _object(text: str) -> dict[str, object]:
    found = _json(text)
    return cast("dict[str, object]", found) if isinstance(found, dict) else {}
