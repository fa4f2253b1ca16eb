"""Turns values and remarks into lines of TOML."""

import json
import re
import textwrap
from collections.abc import Sequence

_WIDTH = 96
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f\x7f]")


def remark(*sentences: str) -> list[str]:
    """Comment lines that hold the sentences, blank ones left out."""
    text = " ".join(sentence for sentence in sentences if sentence)
    return [f"# {line}" for line in textwrap.wrap(one_line(text), _WIDTH, break_long_words=False)]


def entry(key: str, value: str | Sequence[str]) -> str:
    """`key = value`; a long list takes a line for each item."""
    if isinstance(value, str):
        return f"{key} = {quoted(value)}"
    items = [quoted(item) for item in value]
    line = f"{key} = [{', '.join(items)}]"
    if len(line) <= _WIDTH:
        return line
    return "\n".join([f"{key} = [", *(f"  {item}," for item in items), "]"])


def quoted(text: str) -> str:
    """The text as TOML; one of several lines stays readable."""
    if "\n" in text and not _CONTROL.search(text):
        plain = text.replace("\\", "\\\\").replace('"""', '\\"\\"\\"')
        return f'"""\n{plain}\\\n"""'
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def one_line(text: str) -> str:
    """The text without line breaks and control characters."""
    return " ".join(_CONTROL.sub(" ", text).split())
