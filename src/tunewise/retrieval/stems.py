"""Turns texts into the stems by which they are searched, in the languages of a collection.

The stemmer is Snowball's for the script of a word; of the many languages in Latin script the one
whose commonest words the collection holds most, English where none stands out. A script that no
stemmer knows is searched by runs of three letters beside its words, as endings and articles stick
to them.
"""

from collections import Counter
from collections.abc import Iterable
from functools import lru_cache
from typing import Protocol, cast

import regex
import Stemmer
from bm25s.stopwords import STOPWORDS_EN  # pyright: ignore[reportMissingTypeStubs]

from tunewise.text.words import is_unspaced, search_terms

_COMMON = {
    "english": "the of and to a in is it that for on you with as are be this at or not",
    "catalan": "el la els les de i en que un una per amb no es és al del són com més",
    "czech": "a je se na v že s z do o to pro jsou jako ale po která nebo bude k",
    "danish": "og det at en den til er som på de med han af for ikke der var kan et eller",
    "dutch": "de het een en van ik te dat die in is niet op aan met voor zijn er maar om",
    "finnish": "ja on ei se että oli hän mutta ovat kun niin tai joka mitä voi jos olla ole sen",
    "french": "le la les de des et à un une est que pour dans en du vous ne pas sur au",
    "german": "der die das und ist nicht ein eine zu den mit von für auf dem sich im ich sie es",
    "hungarian": "a az és hogy nem is egy ez meg van volt de csak mint vagy ha el már ki kell",
    "indonesian": "yang dan di ini itu dengan untuk tidak dari dalam akan pada ke bisa anda atau",
    "italian": "il di che e la per un in non è una del della le si con da sono gli come",
    "norwegian": "og det er på en at til som han med av for ikke den har de kan et eller ikkje",
    "polish": "i w nie na się z do to że jest o jak po co ale czy przez są dla od",
    "portuguese": "de a o que e do da em um para com não uma os no se na por mais as",
    "romanian": "de și în a la nu cu este pe o un se care din mai să pentru au sunt că",
    "spanish": "de la que el en y a los se del las un por con no una su para es al",
    "swedish": "och att det som en på är av för med den till inte har de om ett man eller kan",
    "turkish": "ve bir bu için ile de da ne mi gibi daha çok en olarak var ama ya her değil",
}
"""The twenty commonest words of languages in Latin script that Snowball knows."""
_OF_SCRIPT = {
    "Cyrillic": "russian",
    "Greek": "greek",
    "Arabic": "arabic",
    "Devanagari": "hindi",
    "Armenian": "armenian",
    "Tamil": "tamil",
}
_PERSIAN = regex.compile("[پچژگکی]")
_LATIN = regex.compile(r"[\p{Script=Latin}\p{N}_]")
_ARABIC = regex.compile(r"\p{Script=Arabic}")
# The article, perhaps with a conjunction or preposition: Snowball stems a word with it otherwise.
_ARTICLE = regex.compile(r"^(?:[وفبك]?ال|لل)(?=\p{L}{3})")
_HANGUL = regex.compile(r"\p{Script=Hangul}")
_SCRIPTS = {name: regex.compile(rf"\p{{Script={name}}}") for name in _OF_SCRIPT}
_PERSIAN_SHARE = 0.15
"""Share of the words in Arabic script with letters that Arabic lacks, from which it is Persian."""
_AHEAD = 1.3
"""How much more of the words a language's commonest have to be than English's."""
_ENOUGH = 0.08
"""Share of the words that they have to be."""


class _Stems(Protocol):
    def stemWord(self, word: str) -> str: ...  # noqa: N802 - PyStemmer's name


class Stems:
    """The stems of texts: of a collection and of the questions to it alike.

    Args:
        texts: the collection, which decides the language of words in Latin script.
    """

    def __init__(self, texts: Iterable[str]) -> None:
        self._stems: dict[str, tuple[str, ...]] = {}
        counts = Counter(term for text in texts for term in search_terms(text))
        self.language = _language(counts)
        """Of the words in Latin script."""
        self._languages = {**_OF_SCRIPT, "Latin": self.language}
        arabic = {term: rows for term, rows in counts.items() if _ARABIC.match(term)}
        persian = sum(rows for term, rows in arabic.items() if _PERSIAN.search(term))
        if persian > _PERSIAN_SHARE * sum(arabic.values()):
            self._languages["Arabic"] = "persian"
        english = self.language == "english"
        self._stop = frozenset(STOPWORDS_EN if english else _COMMON[self.language].split())

    def of(self, text: str) -> list[str]:
        """The stems of a text in its order, without stop words."""
        # Single digits and letters stay: "Kestrel 2" is not "Kestrel 4".
        return [stem for term in search_terms(text) for stem in self._of_term(term)]

    def features(self, text: str) -> list[str]:
        """The same for TF-IDF, which refuses a vocabulary of nothing."""
        return self.of(text) or ["-"]

    def _of_term(self, term: str) -> tuple[str, ...]:
        known = self._stems.get(term)
        if known is None:
            known = self._stems[term] = self._stemmed(term)
        return known

    def _stemmed(self, term: str) -> tuple[str, ...]:
        if term in self._stop:
            return ()
        if is_unspaced(term) or _HANGUL.match(term):
            return (term,)  # `search_terms` has paired their signs
        script = "Latin" if _LATIN.match(term) else _script(term)
        if script == "Arabic":
            term = _ARTICLE.sub("", term)
        if script is not None:
            return (_stemmer(self._languages[script]).stemWord(term),)
        return (term, *(term[n : n + 3] for n in range(len(term) - 2) if len(term) > 3))


@lru_cache(maxsize=32)
def _stemmer(language: str) -> _Stems:
    return cast(_Stems, Stemmer.Stemmer(language))  # pyright: ignore[reportUnknownMemberType]


def _script(term: str) -> str | None:
    return next((name for name, pattern in _SCRIPTS.items() if pattern.match(term)), None)


def _language(counts: Counter[str]) -> str:
    """The language in Latin script whose commonest words are most of the words."""
    latin = sum(rows for term, rows in counts.items() if _LATIN.match(term) and not term.isdigit())
    shares = {
        language: sum(counts[word] for word in words.split()) / max(latin, 1)
        for language, words in _COMMON.items()
    }
    best = max(shares, key=lambda language: shares[language])
    if shares[best] < _ENOUGH or shares[best] < _AHEAD * shares["english"]:
        return "english"
    return best
