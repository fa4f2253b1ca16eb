"""Says whether rows are in another language than English, from their letters and commonest words.

It is certain or silent: names, codes and short texts tell nothing.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Iterable

from tunewise.project.settings import STARTER_MODEL

SAMPLE = 200
"""Rows that are looked at."""
MIN_WORDS = 200
"""Words of a sample below which nothing is said of a language in Latin letters."""
FOREIGN_LETTERS = 0.3
"""Share of letters of another script from which rows are not English."""
MIN_LETTERS = 200
_WORDS = re.compile(r"[^\W\d_]+")
_ENGLISH = (
    "the of and to a in is it you that was for on are with as at be this have from or by not but "
    "what all were we when your can there an which their if do will my i me please"
)
_OTHERS = {
    "German": "der die das und ist nicht ich ein eine zu mit den von für auf dem sie es wir auch",
    "French": "le la les des et est une un je vous pas que pour dans en du sur avec qui au ne",
    "Spanish": "el la los las de y es una un que no por para con en del se su lo como mi",
    "Portuguese": "o os as de e é uma um que não por para com em do da se na no meu",
    "Italian": "il lo gli di e è una un che non per con in del della si mi sono ho la",
    "Dutch": "de het een en is niet ik van dat op te voor met zijn er maar aan je wij om",
    "Polish": "i w na nie z do to się że jest jak o po co ale dla mnie mam czy od",
    "Swedish": "och att det som en är på jag inte för med till av den har ett om vi",
}


def foreign_language(texts: Iterable[str]) -> str | None:
    """What some texts are written in where it is surely not English: `German`, or a script's name.

    Args:
        texts: a sample of the rows' inputs.
    """
    text = "\n".join(texts)
    letters = [sign for sign in text if sign.isalpha()]
    scripts = Counter(_script(sign) for sign in letters)
    latin = scripts.pop("LATIN", 0)
    if len(letters) >= MIN_LETTERS and scripts and latin < (1 - FOREIGN_LETTERS) * len(letters):
        return f"{scripts.most_common(1)[0][0].capitalize()} script"
    words = [word.lower() for word in _WORDS.findall(text)]
    if len(words) < MIN_WORDS:
        return None
    known = frozenset(_ENGLISH.split())
    english = sum(word in known for word in words)
    shares = {
        name: sum(word in known for word in words)
        for name, known in ((name, frozenset(listed.split())) for name, listed in _OTHERS.items())
    }
    name = max(shares, key=lambda one: shares[one])
    sure = shares[name] >= 0.12 * len(words) and shares[name] > 2 * english
    return name if sure else None


def language_note(base: str, texts: Iterable[str]) -> tuple[str, ...]:
    """What a person should know who brings such rows to the starter model; nothing otherwise."""
    found = foreign_language(texts) if base == STARTER_MODEL else None
    if found is None:
        return ()
    return (
        f"The rows are not in English (they look like {found}): {STARTER_MODEL} and the embedding "
        "model read little else. Name a model that knows the language under [model] base.",
    )


def _script(sign: str) -> str:
    """`LATIN`, `CYRILLIC`, `HANGUL`: the first word of a letter's name."""
    return unicodedata.name(sign, "UNKNOWN").partition(" ")[0]
