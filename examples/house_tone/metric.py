"""How well a reply speaks in the voice of the house without changing what it says.

    quality = style x meaning

style: the probability that a classifier gives for "in voice", as a share of what it gives the
target, at most 1. It is fitted, once per process, on style_rows.jsonl beside this file, whose texts
no contender sees: TF-IDF over runs of 2 to 5 signs and a logistic regression, both without
randomness.

meaning: 1 where the answer holds the facts of the target and no others; else a tenth of the F1 of
the facts, so that no voice makes up for a lost number or an invented promise. Facts are numbers,
names, days and what is promised (see `Facts`); guide.md says the same in words.
"""

import functools
import json
import re
import unicodedata
from dataclasses import dataclass
from pathlib import Path

from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import Pipeline, make_pipeline

STYLE_ROWS = Path(__file__).parent / "style_rows.jsonl"
CHANGED = 0.1
"""What the F1 of the facts is multiplied with where a fact is lost or invented."""

_COUNTED = "two three four five six seven eight nine ten eleven twelve"
NUMBER_WORDS = {word: str(value) for value, word in enumerate(_COUNTED.split(), start=2)}
"""`one` is left out: it is rarely a number ("a new one")."""

_NAMES = (
    "kestrel marlow ridge gale lumen drift pike tarn cloud ember otter wren finch brook harrow "
    "pine eastwell petra moira dennis"
)
NAMES = frozenset(_NAMES.split())
"""The shop, its town, its people and products: names wherever they stand."""

_DAYS = (
    "monday tuesday wednesday thursday friday saturday sunday january february april june july "
    "august september october november december today tomorrow yesterday"
)
DAYS = frozenset(_DAYS.split())

PROMISES = {
    "refund": r"refund\w*|reimburs\w*|money back|repa(?:y|id|yment)",
    "swap": r"swap\w*|replac\w+|exchang\w+",
    "mend": r"mend(?:s|ed|ing)?|repair\w*|fix(?:ed|es|ing)?",
    "free": r"free|no charge|without charge|costs? you nothing|no cost|for nothing",
    "voucher": r"vouchers?|discount\w*",
    "call": r"call(?:s|ed|ing)?|telephon\w+|phone[ds]?",
    "cancel": r"cancel\w*|call(?:ed)? off",
}
"""What the shop can promise (or refuse) -> the words for it, those of drafts and of the house."""

_REFUSAL = re.compile(
    r"\b(?:not|cannot|never|unable|impossible|neither|nor|nothing|without|no|"
    r"denied|declined|rejected|refus\w+)\b|n't\b",
    re.IGNORECASE,
)
_CLAUSE = re.compile(r"[.!?;:]\s|,\s|\n|\s(?:but|and|although|however|so|while|because)\s")
_NUMBER = re.compile(r"[A-Za-z]{0,4}-?\d[\d.,:/-]*[A-Za-z]*\d*")


@dataclass(frozen=True, kw_only=True, slots=True)
class Facts:
    """What a text states that must neither be lost nor invented."""

    numbers: frozenset[str]
    """Figures, amounts, codes and clock times as they are written; two to twelve as figures."""
    names: frozenset[str]
    """Words with a capital inside a sentence, days, and `NAMES` wherever they stand; none that is
    all capitals."""
    promises: frozenset[str]
    """Keys of `PROMISES`, with `no ` before what is refused in its clause."""
    words: frozenset[str]
    """All words in small letters: a name may stand first in a sentence of the other text."""


def in_house_tone(answer: str, target: str) -> float:
    """The metric of this project: style times meaning, 0 to 1."""
    return style(answer, target) * meaning(answer, target)


def style(answer: str, target: str) -> float:
    """How much the answer is in voice, where the target is 1; a metric by itself, too."""
    return min(1.0, in_voice(answer) / in_voice(target))


def meaning(answer: str, target: str) -> float:
    """1 where all facts are kept and none is invented, else a tenth of their F1; a metric, too."""
    wanted, given = facts(target), facts(answer)
    gone, new = differences(wanted, given), differences(given, wanted)
    if not gone and not new:
        return 1.0
    kept = len(_listed(wanted)) - len(gone)
    found = len(_listed(given))
    total = len(_listed(wanted)) + found
    return CHANGED * (2 * kept / total if total else 0.0)


def differences(one: Facts, other: Facts) -> frozenset[str]:
    """The facts of the one text that the other lacks."""
    names = {name for name in one.names if name not in other.words}
    return frozenset((one.numbers - other.numbers) | names | (one.promises - other.promises))


def facts(text: str) -> Facts:
    """Reads the facts of a text."""
    text = _plain(text)
    return Facts(
        numbers=_numbers(text),
        names=_names(text),
        promises=_promises(text),
        words=frozenset(_words(text)),
    )


@functools.cache
def in_voice(text: str) -> float:
    """The probability that the text is in voice, 0 to 1; 0 for a text without a letter."""
    text = _plain(text)
    if not any(sign.isalpha() for sign in text):
        return 0.0
    return float(_classifier().predict_proba([text])[0, 1])


@functools.cache
def _classifier() -> Pipeline:
    rows = [json.loads(line) for line in STYLE_ROWS.read_text(encoding="utf-8").splitlines()]
    model = make_pipeline(
        TfidfVectorizer(analyzer="char", ngram_range=(2, 5), lowercase=False, sublinear_tf=True),
        LogisticRegression(C=10.0, class_weight="balanced", max_iter=1000),
    )
    return model.fit([_plain(row["text"]) for row in rows], [row["in_voice"] for row in rows])


def _plain(text: str) -> str:
    """The text composed, with typewriter quotes and hyphens, and one blank for white space."""
    text = unicodedata.normalize("NFC", text)
    signs = {ord(sign): "'" for sign in "‘’ʼ"} | {ord(sign): "-" for sign in "‐‑–—"}
    return " ".join(text.translate(signs).split())


def _words(text: str) -> list[str]:
    words = (word.removesuffix("'s") for word in re.findall(r"[^\W\d_]+(?:'[^\W\d_]+)?", text))
    return [word.casefold() for word in words]


def _numbers(text: str) -> frozenset[str]:
    figures = {found.rstrip(".,:/-") for found in _NUMBER.findall(text)}
    words = {NUMBER_WORDS[word] for word in _words(text) if word in NUMBER_WORDS}
    return frozenset(figures | words)


def _names(text: str) -> frozenset[str]:
    found = {word for word in _words(text) if word in NAMES or word in DAYS}
    for sentence in re.split(r"(?<=[.!?:])\s+", text):
        for match in re.finditer(r"(?<![\w'-])[^\W\d_][^\W\d_]+(?![\w-]*\d)", sentence):
            word = match.group()
            if match.start() > 1 and word[0].isupper() and not word.isupper():
                found.add(word.casefold())
    return frozenset(found)


def _promises(text: str) -> frozenset[str]:
    found: set[str] = set()
    for clause in _CLAUSE.split(text + " "):
        refused = _REFUSAL.search(re.sub(PROMISES["free"], "", clause, flags=re.IGNORECASE))
        for kind, words in PROMISES.items():
            if re.search(rf"\b(?:{words})\b", clause, re.IGNORECASE):
                found.add(f"no {kind}" if refused and kind != "free" else kind)
    return frozenset(found)


def _listed(found: Facts) -> list[str]:
    return [*found.numbers, *found.names, *found.promises]
