"""Turns a grammar as xgrammar writes it into one as llama.cpp reads it.

Both are EBNF with the same literals and classes; names and a few escapes differ.
"""

import re

_TOKEN = re.compile(
    r'(?P<text>"(?:\\.|[^"\\])*"|\[(?:\\.|[^\]\\])*\])|(?P<name>[A-Za-z_][\w.-]*)|(?P<ahead>\(=)|.',
    re.DOTALL,
)
_SHARED = 'xuUtrn\\"[]'
"""Letters behind a backslash that both know."""
_CONTROLS = {"0": "\0", "a": "\a", "b": "\b", "f": "\f", "v": "\v", "e": "\x1b"}
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)


def gbnf_of(ebnf: str) -> str:
    """The same grammar for llama.cpp.

    Its names hold no `_`. What has to follow a rule (`(=...)`) is left out: xgrammar writes it for
    its own speed, after what the rules around say anyway.

    Args:
        ebnf: that xgrammar printed, a rule a line.
    """
    return "\n".join(_rule(line) for line in ebnf.splitlines() if line.strip())


def _rule(line: str) -> str:
    parts: list[str] = []
    for token in _TOKEN.finditer(line):
        if token["ahead"]:
            break
        if token["name"]:
            parts.append(token["name"].replace("_", "-").replace(".", "-"))
        else:
            parts.append(_ESCAPE.sub(_escape, token[0]) if token["text"] else token[0])
    return "".join(parts).rstrip()


def _escape(found: re.Match[str]) -> str:
    """xgrammar knows more escapes of one letter than llama.cpp."""
    letter = found[1]
    if letter in _SHARED:
        return found[0]
    return f"\\x{ord(_CONTROLS.get(letter, letter)):02x}"
