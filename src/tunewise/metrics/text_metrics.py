"""Turns answers in words into judgements: how much of the target they share.

Texts are compared in the form in which nobody can tell them apart on screen; in scripts without
spaces each sign is a word. Only what says the same as the target scores 1.
"""

import re
import string
from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cache, lru_cache
from typing import Any, Protocol, cast

import sacrebleu

from tunewise.metrics.metric import Judgement
from tunewise.text.comparison import caseless, comparable
from tunewise.text.words import is_unspaced, words

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)
_THOUSANDS = re.compile(r"(?<=[0-9]),(?=[0-9]{3}(?![0-9]))")
# Signs that punctuation is no reason to drop: within numbers, a minus, <5 against >5, C++ and C#,
# and an article that nothing follows (vitamin A).
_TELLING = re.compile(
    r"(?<!\w)-?\.?\d+(?:[.,:/-]\d+)+|(?<!\w)-\.?\d+|(?<![\w.])\.\d+"
    r"|\w[+#]+(?!\w)|[<>=≤≥≠±]+(?=\s*[-.]?\d)|\b(?:a|an|the)\b(?=\W*$)"
)


def token_f1(answer: str, target: str) -> Judgement:
    """F1 over the words shared (Rajpurkar et al. 2016, "SQuAD", section 6.1).

    On ASCII texts as SQuAD's script has it, with two exceptions, so that only a right answer scores
    1: a text that has no word but articles is compared as it stands, and where SQuAD would give 1,
    numbers (3.5 and 35, -5 and 5) and names (C and C++) have to be the same.
    """
    said, right = caseless(answer), caseless(target)
    tokens = _squad_tokens if said.isascii() and right.isascii() else _any_tokens
    given, wanted = tokens(said), tokens(right)
    if not given or not wanted:
        return Judgement(value=float(_bare(said) == _bare(right)))
    shared = (Counter(given) & Counter(wanted)).total()
    if shared == len(given) == len(wanted):
        if given != wanted and is_unspaced(right):  # 上海 is another word than 海上
            value = (len(wanted) - 1) / len(wanted)
            return Judgement(value=value, reason="the same signs in another order")
        return _unless_telling(said, right, len(wanted))
    return Judgement(value=2 * shared / (len(given) + len(wanted)))


def _squad_tokens(text: str) -> list[str]:
    """Normalisation of the official SQuAD script (Rajpurkar et al. 2016).

    Lower case, ASCII punctuation and the articles a, an, the dropped, white space collapsed.
    """
    return _ARTICLES.sub(" ", text.translate(_PUNCTUATION)).split()


def _any_tokens(text: str) -> list[str]:
    """The same of a text in any script."""
    return [word for word in words(text) if word not in ("a", "an", "the")]


def _bare(text: str) -> Sequence[str]:
    """What a text is that has no tokens: its words if it has any, else its signs."""
    return words(text) or [text]


def _unless_telling(answer: str, target: str, size: int) -> Judgement:
    """Right, unless signs differ that change what the same words mean: each takes one word away."""
    said, right = _telling(answer), _telling(target)
    if said == right:
        return Judgement(value=1.0)
    apart = max((said - right).total(), (right - said).total())
    shown = ", ".join(sorted((said - right) + (right - said)))
    return Judgement(value=max(size - apart, 0) / size, reason=f"the same words, but not {shown}")


def _telling(text: str) -> Counter[str]:
    return Counter(_TELLING.findall(_THOUSANDS.sub("", text)))


class _Rouge(Protocol):
    """The part of rouge-score that is used; the package has no types."""

    def score(self, target: str, prediction: str) -> Mapping[str, Any]: ...


class _Tokenizer(Protocol):
    """What rouge-score calls a tokenizer."""

    def tokenize(self, text: str) -> Sequence[str]: ...


class _RougeL:
    """rouge-score's ROUGE-L and its tokens on ASCII, and words in every other script."""

    def __init__(self) -> None:
        # Here rather than above: its stemmer brings a toolkit of languages that takes longer to
        # import than most commands run.
        from rouge_score import (  # noqa: PLC0415 # pyright: ignore[reportMissingTypeStubs]
            rouge_scorer,
            tokenizers,
        )

        self._of_ascii = cast(_Tokenizer, tokenizers.DefaultTokenizer(use_stemmer=True))
        self._rouge = cast(_Rouge, rouge_scorer.RougeScorer(["rougeL"], tokenizer=self))

    def tokenize(self, text: str) -> Sequence[str]:
        """Lower case, letters and digits, Porter stems of ASCII words longer than three letters."""
        return _rouge_tokens(text)

    def tokens(self, text: str) -> Sequence[str]:
        """The same, computed."""
        parts = (
            [word] if not word.isascii() else self._of_ascii.tokenize(word) for word in words(text)
        )
        return [token for part in parts for token in part]

    def f_measure(self, answer: str, target: str) -> float:
        """Of the longest common subsequence of tokens."""
        return float(self._rouge.score(target, answer)["rougeL"].fmeasure)


_rouge = cache(_RougeL)


@lru_cache(maxsize=4_096)
def _rouge_tokens(text: str) -> Sequence[str]:
    return _rouge().tokens(text)


_CHRF = sacrebleu.CHRF()


def rouge_l(answer: str, target: str) -> Judgement:
    """F-measure of the longest common subsequence (Lin 2004), with Porter stems of English.

    On ASCII texts it is Google's rouge-score, but for numbers and signs as in `token_f1`.
    """
    said, right = caseless(answer), caseless(target)
    given, wanted = _rouge_tokens(said), _rouge_tokens(right)
    if not given or not wanted:
        return Judgement(value=float(said == right))
    if given == wanted:
        return _unless_telling(said, right, len(wanted))
    return Judgement(value=_rouge().f_measure(said, right))


def chrf(answer: str, target: str) -> Judgement:
    """Character n-gram F-score chrF2 (Popović 2015) as sacrebleu computes it, over 100.

    It reads no white space and only runs of six signs: texts that differ in the rest alone count as
    having one wrong sign.
    """
    said, right = comparable(answer), comparable(target)
    if said == right:
        return Judgement(value=1.0)
    value = _CHRF.sentence_score(said, [right]).score / 100
    return Judgement(value=min(value, 1 - 1 / (len(right) + 1)))
