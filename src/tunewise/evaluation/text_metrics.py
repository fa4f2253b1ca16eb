"""Turns answers in words into judgements: how much of the target they share.

It knows nothing of labels and JSON.
"""

import re
import string
from collections import Counter
from collections.abc import Mapping
from typing import Any, Protocol, cast

import sacrebleu
from rouge_score import rouge_scorer  # pyright: ignore[reportMissingTypeStubs]

from tunewise.errors import UserError
from tunewise.evaluation.metric import Judgement

_ARTICLES = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION = str.maketrans("", "", string.punctuation)


def _squad_tokens(text: str) -> list[str]:
    """Normalisation of the official SQuAD script (Rajpurkar et al. 2016).

    Lower case, ASCII punctuation and the articles a, an, the dropped, white space collapsed.
    """
    return _ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split()


def token_f1(answer: str, target: str) -> Judgement:
    """F1 over the words shared (Rajpurkar et al. 2016, "SQuAD", section 6.1).

    Where either side has no words left, 1 if both have none, else 0 (SQuAD 2.0's script).
    """
    given, wanted = _squad_tokens(answer), _squad_tokens(target)
    if not given or not wanted:
        return Judgement(value=float(given == wanted))
    shared = (Counter(given) & Counter(wanted)).total()
    return Judgement(value=2 * shared / (len(given) + len(wanted)))


class _Rouge(Protocol):
    """The part of rouge-score that is used; the package has no types."""

    def score(self, target: str, prediction: str) -> Mapping[str, Any]: ...


_ROUGE = cast(_Rouge, rouge_scorer.RougeScorer(["rougeL"], use_stemmer=True))
_ROUGE_READS = re.compile(r"[a-z0-9]", re.IGNORECASE)
_CHRF = sacrebleu.CHRF()


def rouge_l(answer: str, target: str) -> Judgement:
    """F-measure of the longest common subsequence (Lin 2004), with Porter stems.

    Google's rouge-score reads a-z and 0-9 only; for other scripts use chrf.
    """
    if not _ROUGE_READS.search(target):
        raise UserError(
            f"task.metric: rouge_l reads Latin letters and digits only, and {target[:60]!r} has "
            'none. Use metric = "chrf".'
        )
    return Judgement(value=float(_ROUGE.score(target, answer)["rougeL"].fmeasure))


def chrf(answer: str, target: str) -> Judgement:
    """Character n-gram F-score chrF2 (Popović 2015) as sacrebleu computes it, over 100."""
    return Judgement(value=_CHRF.sentence_score(answer, [target]).score / 100)
