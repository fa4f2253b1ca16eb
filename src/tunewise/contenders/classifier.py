"""Turns labelled examples into a classifier over frozen sentence embeddings.

You may not need a language model: where answers come from a closed set, logistic regression on
embeddings answers in milliseconds.
"""

import json
import time
import warnings
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, cast

import numpy as np
from numpy.typing import NDArray
from sklearn.linear_model import (  # pyright: ignore[reportMissingTypeStubs]
    LogisticRegression,
)

from tunewise.contenders.protocol import NotApplicable
from tunewise.contenders.race import Race
from tunewise.errors import UserError
from tunewise.metrics.by_name import Metric, quality
from tunewise.metrics.json_answers import parse_object
from tunewise.retrieval.embed import Embedder, load_embedder, unread_script
from tunewise.retrieval.word_embedder import WordEmbedder
from tunewise.text.answer_text import target_proper
from tunewise.text.comparison import comparable, label_form
from tunewise.text.label_sets import form_of, set_elements, write_set
from tunewise.text.labels import spelled_alike
from tunewise.types import Answer, Example, Fit, Input, JsonValue

STRENGTHS = (1.0, 3.0, 10.0, 30.0, 100.0, 300.0)
"""Values of C (inverse regularisation) tried on dev; ties go to the smaller."""
ROWS_PER_VALUE = 3
"""A set is closed when train has at least this many rows for each of its values, on average."""
REPEATED = 0.95
"""... and at least this share of the rows holds a value that another row holds too."""
WHOLE = ""
"""Name of the only column where the answer is a label, not an object."""
YES, NO = "yes", "no"
"""Whether a set holds a label."""
ABSENT = "absent"
"""What is predicted for a field that the object lacks; never a JSON text."""

Columns = Mapping[str, Sequence[str]]
"""column -> the value of each training row, as a label or as JSON text."""
Vectors = NDArray[np.float32]


class _Model(Protocol):
    @property
    def classes_(self) -> Sequence[str]: ...

    def predict(self, x: Vectors) -> Sequence[str]: ...

    def predict_proba(self, x: Vectors) -> NDArray[np.float64]: ...


@dataclass(frozen=True, kw_only=True)
class FittedClassifier:
    """One model a column, over one embedding a text."""

    embedder: Embedder
    models: Mapping[str, _Model]
    fit: Fit
    clock: Callable[[], float]
    form: str | None = None
    """How sets of labels are written; None: answers are no sets."""
    seeds: tuple[int, ...] = (0,)

    def answer(self, inputs: Sequence[Input], *, seed: int) -> list[Answer]:
        """Embeds and classifies; `seconds` is the wall time of the batch, tokens are none."""
        began = self.clock()
        texts = _predict(
            self.models, self.embedder.encode([item.text for item in inputs]), self.form
        )
        seconds = self.clock() - began
        return [
            Answer(
                example_id=item.id,
                contender=self.fit.contender,
                seed=seed,
                text=text,
                seconds=seconds,
            )
            for item, text in zip(inputs, texts, strict=True)
        ]


@dataclass(frozen=True, kw_only=True)
class Classifier:
    """Frozen sentence embeddings and logistic regression, one a field for JSON answers.

    Applies when every column of the targets is a closed set: scalar values, at least
    `ROWS_PER_VALUE` training rows a value on average, and `REPEATED` of the rows holding a value
    seen more than once. A label task whose labels are given is closed by declaration. A JSON
    object is one column a field; a field that a row lacks is a value of its own. Inputs in a script
    that the sentence model cannot read are placed by their words instead. The models are
    fitted on train alone, with the C that dev likes best (one C for all fields).
    """

    metric: Metric
    labels: Sequence[str] | None = None
    """The labels of the task, when the project declares them."""
    sets: bool = False
    """Whether answers are sets of labels: one yes-or-no model a label."""
    closed: bool = False
    """Whether answers are known to be from closed sets: a part of the rows may not show it."""
    strengths: Sequence[float] = STRENGTHS
    """Values of C that are tried; at least one."""
    load: Callable[[], Embedder] = field(default=load_embedder)
    clock: Callable[[], float] = field(default=time.perf_counter)
    name: str = "classifier"

    def fit(self, train: Sequence[Example], race: Race) -> FittedClassifier:
        """Chooses C on dev.

        Raises:
            NotApplicable: the answers are not from a closed set, or the extra `dense` is missing.
        """
        began, dev = self.clock(), race.dev
        targets = [target_proper(example.target) for example in train]
        columns = (
            set_columns(targets, self.labels, known=self.closed)
            if self.sets
            else closed_columns(targets, self.labels, known=self.closed)
        )
        form = form_of(targets) if self.sets else None
        try:
            embedder = self.load()
        except UserError as missing:
            raise NotApplicable(str(missing)) from missing
        texts = [example.input.text for example in train]
        if unread_script(embedder, texts):
            embedder = WordEmbedder(texts)
        train_vectors = embedder.encode(texts)
        dev_vectors = embedder.encode([example.input.text for example in dev])
        wanted = [example.target for example in dev]

        best: tuple[float, Mapping[str, _Model], list[str]] | None = None
        strength, trials = self.strengths[0], list[Mapping[str, JsonValue]]()
        for candidate in self.strengths if dev else self.strengths[:1]:
            models = _fit_models(columns, train_vectors, candidate)
            texts = _predict(models, dev_vectors, form)
            value = quality(self.metric, texts, wanted) if dev else 0.0
            trials.append({"C": candidate, "dev": round(value, 4), "dev_examples": len(dev)})
            if best is None or value > best[0]:
                best, strength = (value, models, texts), candidate
        assert best is not None  # noqa: S101 - the grid is not empty
        _, models, texts = best
        return FittedClassifier(
            embedder=embedder,
            models=models,
            clock=self.clock,
            form=form,
            fit=Fit(
                contender=self.name,
                settings={
                    "C": strength,
                    "embedder": embedder.name,
                    "values": {"labels": len(columns)}
                    if self.sets
                    else {key or "label": len(set(rows)) for key, rows in columns.items()},
                },
                seconds=self.clock() - began,
                tokens={"prefilled": 0, "generated": 0, "trained": 0},
                dev_answers={0: tuple(texts)},
                trials=tuple(trials),
            ),
        )


def closed_columns(
    targets: Sequence[str], labels: Sequence[str] | None = None, *, known: bool = False
) -> Columns:
    """The training targets as columns of values from closed sets.

    Args:
        targets: labels, or JSON objects with scalar values.
        labels: the labels of the task when they are declared.
        known: whether the sets are known to be closed, however few targets there are.

    Returns:
        One column named "" for labels, each in one spelling; for objects a column of JSON texts
        for each field, in the order in which train first names the fields.

    Raises:
        NotApplicable: some column is not from a closed set; the reason names it.
    """
    if not targets:
        raise NotApplicable("there are no training examples")
    objects = [parse_object(target) for target in targets]
    rows = [row for row in objects if row is not None]
    if len(rows) < len(targets):
        # Labels are one whatever their case; other answers only where they look the same.
        right = spelled_alike(targets, labels or (), label_form if labels else comparable)
        alike = [right[target] for target in targets]
        if not labels and not known and not _is_closed(alike):
            raise NotApplicable("answers are not from a closed set")
        return {WHOLE: alike}
    columns: dict[str, list[str]] = {}
    for name in dict.fromkeys(key for row in rows for key in row):
        values = [row.get(name, ABSENT) for row in rows]
        if any(
            isinstance(value, Sequence | Mapping) and not isinstance(value, str) for value in values
        ):
            raise NotApplicable(f"the field {name!r} holds lists or objects, not single values")
        written = [
            json.dumps(row[name], ensure_ascii=False) if name in row else ABSENT for row in rows
        ]
        right = spelled_alike(written, form=comparable)
        columns[name] = [right[value] for value in written]
        if not known and not _is_closed(columns[name]):
            raise NotApplicable(f"values of the field {name!r} are not from a closed set")
    if not columns:
        raise NotApplicable("the answers are empty objects")
    return columns


def set_columns(
    targets: Sequence[str], labels: Sequence[str] | None = None, *, known: bool = False
) -> Columns:
    """The training targets as one column a label: `YES` where the set holds it.

    Args: see `closed_columns`.

    Raises:
        NotApplicable: there are no targets, or their labels hardly repeat.
    """
    declared = tuple(labels or ())
    sets = [set_elements(target, declared) for target in targets]
    right = spelled_alike([one for elements in sets for one in elements], declared)
    held = [{right[one] for one in elements} for elements in sets]
    counts = Counter(label for one in held for label in one)
    if not counts or not (known or labels or _is_closed(list(counts.elements()))):
        raise NotApplicable("answers are not sets from a few labels")
    return {label: [YES if label in one else NO for one in held] for label in sorted(counts)}


def _is_closed(values: Sequence[str]) -> bool:
    counts = Counter(values)
    repeated = sum(count for count in counts.values() if count > 1)
    return len(counts) * ROWS_PER_VALUE <= len(values) and repeated >= REPEATED * len(values)


@dataclass(frozen=True, slots=True)
class _Always:
    """The model of a column that holds one value only."""

    value: str

    @property
    def classes_(self) -> Sequence[str]:
        return [self.value]

    def predict(self, x: Vectors) -> Sequence[str]:
        return [self.value] * len(x)

    def predict_proba(self, x: Vectors) -> NDArray[np.float64]:
        return np.ones((len(x), 1))


def _fit_models(columns: Columns, vectors: Vectors, strength: float) -> dict[str, _Model]:
    models: dict[str, _Model] = {}
    for name, values in columns.items():
        if len(set(values)) == 1:
            models[name] = _Always(values[0])
            continue
        regression = LogisticRegression(C=strength, max_iter=1000)
        with warnings.catch_warnings():
            # A label a row or two is what a part of few rows holds: it is no regression.
            warnings.filterwarnings("ignore", "The number of unique classes is greater")
            regression.fit(vectors, list(values))  # pyright: ignore[reportUnknownMemberType]
        models[name] = cast(_Model, regression)
    return models


def _predict_sets(models: Mapping[str, _Model], vectors: Vectors, form: str) -> list[str]:
    """The labels whose models say yes; where none does, the likeliest one."""
    labels = list(models)
    likely = np.zeros((len(vectors), len(labels)))
    for place, model in enumerate(models.values()):
        classes = list(model.classes_)
        if YES in classes:
            likely[:, place] = model.predict_proba(vectors)[:, classes.index(YES)]
    chosen = [np.flatnonzero(row > 0.5) for row in likely]
    best = likely.argmax(axis=1)
    return [
        write_set([labels[int(n)] for n in (some if len(some) else [best[row]])], form)
        for row, some in enumerate(chosen)
    ]


def _predict(models: Mapping[str, _Model], vectors: Vectors, form: str | None = None) -> list[str]:
    if not len(vectors):
        return []
    if form is not None:
        return _predict_sets(models, vectors, form)
    predicted = {name: model.predict(vectors) for name, model in models.items()}
    if WHOLE in predicted and len(predicted) == 1:
        return [str(label) for label in predicted[WHOLE]]
    return [
        json.dumps(
            {
                name: json.loads(str(values[row]))
                for name, values in predicted.items()
                if values[row] != ABSENT
            },
            ensure_ascii=False,
        )
        for row in range(len(vectors))
    ]
