"""Turns texts that nobody can tell apart on screen into one form, for comparing them.

Scoring, labels, duplicates, leaks, fingerprints and search compare these forms; what is shown to a
person or to a model stays as it was written. Unicode Standard Annex #15 (NFC); of the compatibility
characters only those are folded that are another drawing of the same sign (full and half width,
ligatures, Arabic presentation forms, radicals), so that x² stays apart from x2.
"""

import re
import unicodedata
from functools import lru_cache

import regex

_QUOTES = {"'": "‘’‚‛ʼʹ´′‹›＇", '"': "“”„‟«»″〝〞＂"}
_DASHES = "‐‑‒–—―−﹘﹣"
_OTHERS = {"…": "...", "⁄": "/", "·": "·"}
_REDRAWN = (
    (0x2E80, 0x2FE0),
    (0xFB00, 0xFB07),
    (0xFB13, 0xFB18),
    (0xFB50, 0xFE00),
    (0xFE30, 0xFFF0),
)
"""Blocks of radicals, ligatures, presentation forms and widths (first, last + 1)."""

# Signs without a shape of their own: zero-width spaces and joiners, soft hyphens, marks of
# direction, variation selectors, the byte-order mark. Spaces that only look empty (Hangul fillers)
# belong to them by the Unicode standard.
_INVISIBLE = regex.compile(r"\p{Default_Ignorable_Code_Point}+")


_WHOLE_NUMBER = re.compile(r"(-?)(0|[1-9][0-9]*)(?:\.0+)?")


def _folding() -> dict[int, str]:
    table = {ord(sign): plain for plain, signs in _QUOTES.items() for sign in signs}
    table |= {ord(sign): "-" for sign in _DASHES}
    table |= {ord(sign): plain for sign, plain in _OTHERS.items()}
    for first, end in _REDRAWN:
        for point in range(first, end):
            plain = unicodedata.normalize("NFKC", chr(point))
            if point not in table and plain != chr(point):
                table[point] = plain
    return table


_FOLDING = _folding()


def comparable(text: str) -> str:
    """The form under which two texts are equal when nobody can tell them apart on screen.

    Composed letters (NFC), typographic quotes, dashes and ellipses as on a typewriter, one drawing
    of each sign (`ﬁ` is `fi`, `Ａ` is `A`), no invisible signs, and every run of white space one
    blank, none at the ends. Case and punctuation count. It is idempotent, and the same for the NFC
    and the NFD of a text.
    """
    if not text.isascii():
        text = _INVISIBLE.sub("", unicodedata.normalize("NFC", text))
        text = unicodedata.normalize("NFC", text.translate(_FOLDING))
    return " ".join(text.split())


def caseless(text: str) -> str:
    """`comparable`, and without regard to case.

    Unicode's full case folding (section 3.13): `Straße` is `STRASSE`.
    """
    folded = comparable(text).casefold()
    return folded if folded.isascii() else unicodedata.normalize("NFC", folded)


@lru_cache(maxsize=20_000)
def label_form(label: str) -> str:
    """The form under which two labels are one: without regard to case, spacing or a full stop.

    Only what cannot change the meaning goes: `C#` stays apart from `C`, and `no!` from `no`. A
    whole number is its value, since tables write 1 as 1.0 where a cell of the column is empty;
    other decimals are as they are written, so that version 1.10 stays apart from 1.1.
    """
    form = caseless(label)
    form = form.rstrip(".。 ") or form
    if (number := _WHOLE_NUMBER.fullmatch(form)) is None:
        return form
    sign, digits = number.groups()
    return digits if digits == "0" else sign + digits
