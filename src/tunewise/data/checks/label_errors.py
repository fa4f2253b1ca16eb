"""Finds labels that are likely wrong: what a classifier, trained on the other rows, contradicts.

Confident learning (Northcutt, Jiang and Chuang, 2021) over cross-validated probabilities of a
linear classifier on TF-IDF weights. A row is suspect when another class is at least as likely as it
usually is for rows of that class, and its own is not. Shown are those of which the classifier is
sure, and as sure as where it confirms nine of ten labels. Where the classifier itself is no good,
as on multiple choice, nothing is said.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tunewise.data.checks.findings import Found
from tunewise.data.checks.survey import Survey
from tunewise.data.splitting.near_duplicates import Indices
from tunewise.data.splitting.units import comparable_text
from tunewise.text.tfidf import TfIdf
from tunewise.text.words import search_terms
from tunewise.wording import whole_percent

FOLDS = 5
MIN_ROWS = 50
"""Rows below which a classifier says nothing of single labels."""
SURE = 0.5
"""Probability of another class from which its row is shown."""
_UNLIKELY = 0.1
"""Probability of the given class from which it is not."""
SKILL = 0.5
"""Share of the way from always saying the most frequent class to being always right, that the
classifier has to go before it may doubt a label."""
CONFIRMED = 0.9
"""Share of the labels that it has to confirm among the rows of which it is as sure."""
_FEATURES = 1 << 16
_STEPS = 30
"""Of the classifier. Fewer find fewer label errors, more call more right labels wrong."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Doubts:
    """What a classifier says of labels."""

    label_errors: tuple["LabelError", ...] = ()
    """The surest first."""
    why_none: str = ""
    """Why nothing can be said, where that is so."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LabelError:
    """A row whose label is likely wrong."""

    row: int
    """Place in what was given."""
    likely: int
    """The class that the classifier expects."""
    probability: float
    """Of that class, 0 to 1."""


def check_label_errors(
    survey: Survey, rows: Indices, seed: int, found: Found, advance: Callable[[int], object]
) -> Doubts:
    """Likely label mistakes among some rows, as findings; see `likely_mistakes`."""
    texts = [comparable_text(example) for example in survey.kept.get(rows)]
    doubts = likely_label_errors(texts, survey.label[rows], seed, advance)
    placed = tuple(replace(one, row=int(rows[one.row])) for one in doubts.label_errors)
    found.each(
        "warning",
        "label_mistake",
        placed,
        lambda label_error: (
            survey.where(label_error.row),
            f'"{survey.labels[int(survey.label[label_error.row])][:60]}" is likely wrong: a '
            f'classifier trained on the other rows says "{survey.labels[label_error.likely][:60]}" '
            f"({whole_percent(label_error.probability)}). Read the row again.",
        ),
    )
    return replace(doubts, label_errors=placed)


def likely_label_errors(
    texts: Sequence[str],
    classes: NDArray[np.int32],
    seed: int,
    advance: Callable[[int], object] = int,
) -> Doubts:
    """Rows whose class the other rows contradict.

    Args:
        texts: the inputs.
        classes: (texts,) the class of each.
        seed: of folds and classifier.
        advance: informed of each fold that is done.
    """
    sizes = np.bincount(classes)
    rows = np.flatnonzero(sizes[classes] >= FOLDS)
    kept, given = np.unique(classes[rows], return_inverse=True)
    if len(rows) < MIN_ROWS or len(kept) < 2:
        return Doubts(why_none=f"fewer than {MIN_ROWS} rows, or labels too rare")
    probabilities = _cross_validated([texts[int(row)] for row in rows], given, seed, advance)
    likely = probabilities.argmax(axis=1)
    right = np.count_nonzero(likely == given) / len(rows)
    usual = int(sizes[kept].max()) / len(rows)
    if right - usual < SKILL * (1.0 - usual):
        return Doubts(
            why_none=f"a classifier on words gets only {whole_percent(right)} of the labels right"
        )
    suspect = confident_contradictions(given, probabilities)
    own = probabilities[np.arange(len(given)), given]
    best = probabilities.max(axis=1)
    enough = max(SURE, _trusted_from(best, likely == given))
    sure = np.flatnonzero(suspect & (likely != given) & (best >= enough) & (own <= _UNLIKELY))
    order = sure[np.argsort((own - best)[sure], kind="stable")]
    return Doubts(
        label_errors=tuple(
            LabelError(row=int(rows[n]), likely=int(kept[likely[n]]), probability=float(best[n]))
            for n in order
        )
    )


def _trusted_from(best: NDArray[np.float64], right: NDArray[np.bool_]) -> float:
    """The lowest probability from which the classifier confirms nine of ten labels.

    Of few rows a classifier is often surer than it may be; below that, its contradictions are more
    often its own mistakes. Infinite where there is none.
    """
    order = np.argsort(-best, kind="stable")
    confirmed = np.cumsum(right[order]) / np.arange(1, len(order) + 1)
    trusted = np.flatnonzero(confirmed >= CONFIRMED)
    return float(best[order[trusted[-1]]]) if len(trusted) else float("inf")


def confident_contradictions(
    given: NDArray[np.int64], probabilities: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """(rows,) whether a row lies off the diagonal of the confident joint.

    A class is confident of a row where its probability reaches the mean that it has over the rows
    given to it; of several confident classes the most probable counts.

    Args:
        given: (rows,) classes.
        probabilities: (rows, classes) from cross-validation.
    """
    own = probabilities[np.arange(len(given)), given]
    size = probabilities.shape[1]
    thresholds = np.bincount(given, weights=own, minlength=size) / np.bincount(
        given, minlength=size
    )
    confident = np.where(probabilities >= thresholds, probabilities, -1.0)
    chosen = confident.argmax(axis=1)
    return (confident.max(axis=1) >= 0.0) & (chosen != given)


def _terms(text: str) -> list[str]:
    """Single letters and signs say next to nothing of a class."""
    return [term for term in search_terms(text) if len(term) > 1]


def _cross_validated(
    texts: Sequence[str], classes: NDArray[np.int64], seed: int, advance: Callable[[int], object]
) -> NDArray[np.float64]:
    """(texts, classes) probabilities for each row from a classifier that has not seen it."""
    features = TfIdf(texts, _terms, sublinear=True, most=_FEATURES).learnt
    size = int(classes.max()) + 1
    fold = _stratified(classes, seed)
    probabilities = np.zeros((len(texts), size))
    for number in range(FOLDS):
        train, held_out = np.flatnonzero(fold != number), np.flatnonzero(fold == number)
        weights, bias = _classifier(features[train], classes[train], size)
        probabilities[held_out] = _softmax(features[held_out] @ weights + bias)
        advance(1)
    return probabilities


def _stratified(classes: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
    """(rows,) the fold of each: every class is dealt out in turn, in an order of the seed's."""
    order = np.random.default_rng(seed).permutation(len(classes))
    order = order[np.argsort(classes[order], kind="stable")]
    fold = np.empty(len(classes), dtype=np.int64)
    fold[order] = np.arange(len(classes)) % FOLDS
    return fold


def _classifier(
    rows: Any, classes: NDArray[np.int64], size: int
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Multinomial logistic regression over the classes' shares, stopped early.

    By accelerated gradients (Nesterov 1983); a fixed number of steps keeps the weights small as a
    penalty would, and the same rows give the same weights. It is a few products of matrices, so
    that no library has to be loaded that takes longer than they do.

    Args:
        rows: a sparse matrix (rows, features).
        classes: (rows,) numbers below `size`.
        size: of the classes.

    Returns:
        (features, size) weights and (size,) bias of the log probabilities.
    """
    count, width = rows.shape
    turned = rows.T.tocsr()
    wanted = np.zeros((count, size))
    wanted[np.arange(count), classes] = 1.0
    bias = np.log(np.maximum(wanted.mean(axis=0), 1e-9))
    step = 2.0 / _curvature(rows, turned)
    weights = ahead = np.zeros((width, size))
    for number in range(_STEPS):
        slope = turned @ (_softmax(rows @ ahead + bias) - wanted)
        before, weights = weights, ahead - step * slope
        ahead = weights + number / (number + 3) * (weights - before)
    return weights, bias


def _curvature(rows: Any, turned: Any) -> float:
    """The largest eigenvalue of the features' products, by power iteration, and a bit more."""
    vector = np.full(rows.shape[1], 1.0)
    size = 1.0
    for _ in range(8):
        vector = turned @ (rows @ (vector / np.linalg.norm(vector)))
        size = float(np.linalg.norm(vector))
    return 1.1 * size


def _softmax(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    raised = np.exp(scores - scores.max(axis=1, keepdims=True))
    return raised / raised.sum(axis=1, keepdims=True)
