"""Finds text that a model reads as a command: special tokens and marks of chat templates.

It knows the marks of well-known templates, and those of the project's own tokenizer when told.
"""

import re
from collections.abc import Collection

_WELL_KNOWN = re.compile(
    r"<\|[A-Za-z0-9_]+\|>"  # ChatML, Llama 3, Phi
    r"|<｜[^<>｜\s]+｜>"  # DeepSeek
    r"|</?s>|<(?:start|end)_of_turn>|<[be]os>"  # Llama 2, Gemma
    r"|<</?SYS>>|\[/?(?:INST|SYSTEM_PROMPT|AVAILABLE_TOOLS|TOOL_CALLS|TOOL_RESULTS)\]"
)
_LOOKS_LIKE_ONE = re.compile(r"<[^<>\s]{1,60}>|\[[^\[\]\s]{1,60}\]")


class SpecialTokens:
    """Finds special tokens in text.

    Args:
        own: the special tokens of the project's tokenizer; empty where it is not known.
    """

    def __init__(self, own: Collection[str] = ()) -> None:
        written = [token for token in own if len(token) > 2 and not token.isspace()]
        self._tagged = frozenset(token for token in written if _LOOKS_LIKE_ONE.fullmatch(token))
        others = sorted(set(written) - self._tagged, key=len, reverse=True)
        self._others = re.compile("|".join(map(re.escape, others))) if others else None

    def first_in(self, text: str) -> str | None:
        """The first special token in a text, or None."""
        found: str | None = None
        if "<" in text or "[" in text:
            known = _WELL_KNOWN.search(text)
            tagged = (
                m.group() for m in _LOOKS_LIKE_ONE.finditer(text) if m.group() in self._tagged
            )
            found = known.group() if known else next(tagged, None)
        if found is None and self._others is not None:
            other = self._others.search(text)
            found = other.group() if other else None
        return found
