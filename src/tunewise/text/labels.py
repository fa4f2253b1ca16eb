"""Turns the ways in which people write a label into the label: one spelling for each form."""

import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence

import regex

from tunewise.text.comparison import comparable, label_form

# What a person cannot see in a message: invisible signs, and spaces that are no blank.
_UNSEEN = regex.compile(r"[\p{Default_Ignorable_Code_Point}\p{C}[\p{Z}--[ ]]]", regex.VERSION1)


def spelled_alike(
    labels: Iterable[str] | Mapping[str, int],
    declared: Sequence[str] = (),
    form: Callable[[str], str] = label_form,
) -> dict[str, str]:
    """Each label as written -> the spelling of its form: the declared one, else the commonest.

    Spellings that look the same on screen count together; of them the composed one without
    invisible signs is taken where it occurs, else the commonest. Ties go to the first.

    Args:
        labels: as written, each as often as it occurs; or how often each occurs.
        declared: spellings that are given.
        form: what makes two labels one.
    """
    counts = Counter(labels)
    seen: Counter[str] = Counter()
    for label, rows in counts.items():
        seen[comparable(label)] += rows

    def rank(label: str) -> tuple[int, bool, int]:
        clean = unicodedata.is_normalized("NFC", label) and not _UNSEEN.search(label)
        return seen[comparable(label)], clean, counts[label]

    chosen: dict[str, str] = {}
    for label in counts:
        known = chosen.setdefault(form(label), label)
        if rank(label) > rank(known):
            chosen[form(label)] = label
    chosen |= {form(label): label for label in declared}
    return {label: chosen[form(label)] for label in counts}


def visible(label: str) -> str:
    """The label with the signs named that a person cannot see: `Yes<U+200B>`."""
    if not unicodedata.is_normalized("NFC", label):
        label = "".join(
            f"<U+{ord(sign):04X}>" if unicodedata.combining(sign) else sign for sign in label
        )
    return _UNSEEN.sub(lambda found: f"<U+{ord(found.group()):04X}>", label)
