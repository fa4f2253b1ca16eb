"""Turns the training targets into the best answer that ignores the input.

Whatever is recommended must beat it. It reads no input, asks no model and costs nothing.
"""

import json
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from tunewise.contenders.protocol import NotApplicable
from tunewise.contenders.race import Race
from tunewise.metrics.by_name import Metric, quality
from tunewise.metrics.json_answers import parse_object
from tunewise.text.answer_text import target_proper
from tunewise.text.label_sets import form_of, set_elements, write_set
from tunewise.text.labels import spelled_alike
from tunewise.types import Answer, Example, Fit, Input, JsonValue

REFERENCES = 200
"""Training targets that a candidate answer is judged against, at most."""
SHORTLIST = 10
"""Candidates that are judged against all references; the others against this many."""


@dataclass(frozen=True, kw_only=True)
class FittedConstant:
    """Always says the same."""

    text: str
    fit: Fit
    seeds: tuple[int, ...] = (0,)

    def answer(self, inputs: Sequence[Input], *, seed: int) -> list[Answer]:
        """The same text for every input, with no tokens and no time spent."""
        name = self.fit.contender
        return [
            Answer(example_id=item.id, contender=name, seed=seed, text=self.text) for item in inputs
        ]


@dataclass(frozen=True, kw_only=True)
class Constant:
    """The best single answer to everything, judged by the metric on the training targets.

    The candidates are the most frequent target; for JSON objects also the object of the most
    frequent value of every field; and unless the metric is binary (where the most frequent target
    is hard to beat) the training targets most like the others under the metric, the medoid among
    them. At most `REFERENCES` targets, evenly spaced, take part: all are judged against
    `SHORTLIST` of them, and the best `SHORTLIST` against all. Ties go to the most frequent answer,
    then to the one that occurs first in train.
    """

    metric: Metric
    labels: Sequence[str] | None = None
    """The labels of the task, when its answers are labels: other spellings count as these."""
    clock: Callable[[], float] = field(default=time.perf_counter)
    name: str = "constant"

    def fit(self, train: Sequence[Example], race: Race) -> FittedConstant:
        """Chooses on train; dev is only scored."""
        if not train:
            raise NotApplicable("there are no training examples")
        began = self.clock()
        targets = [target_proper(example.target) for example in train]
        if self.labels and not _of_sets(self.metric):
            right = spelled_alike(targets, self.labels)
            targets = [right[target] for target in targets]
        objects = [parse_object(target) for target in targets]
        rows = [row for row in objects if row is not None]
        frequent = Counter(targets).most_common(1)[0][0]
        candidates = [frequent]
        if len(rows) == len(targets):
            candidates.append(json.dumps(typical_object(rows), ensure_ascii=False))
        if _of_sets(self.metric):
            candidates += frequent_sets(targets, tuple(self.labels or ()))
        if not self.metric.binary:
            candidates += self._medoids(frequent, _spaced(targets, REFERENCES))
        found = self._qualities(dict.fromkeys(candidates), _spaced(targets, REFERENCES))
        text = max(found, key=lambda candidate: found[candidate])
        return FittedConstant(
            text=text,
            fit=Fit(
                contender=self.name,
                settings={"answer": text, "train_score": found[text]},
                seconds=self.clock() - began,
                tokens={"prefilled": 0, "generated": 0, "trained": 0},
                dev_answers={0: (text,) * len(race.dev)},
            ),
        )

    def _qualities(self, candidates: Iterable[str], references: Sequence[str]) -> dict[str, float]:
        """Candidate -> the metric over all references, were it the answer to each."""
        count = len(references)
        return {one: quality(self.metric, [one] * count, references) for one in candidates}

    def _medoids(self, frequent: str, references: Sequence[str]) -> list[str]:
        """The targets most like the others, judged roughly."""
        candidates = list(dict.fromkeys([frequent, *references]))
        rough = self._qualities(candidates, _spaced(references, SHORTLIST))
        return sorted(candidates, key=lambda candidate: -rough[candidate])[:SHORTLIST]


def _of_sets(metric: Metric) -> bool:
    return metric.name in ("set_f1", "exact_set")


def frequent_sets(targets: Sequence[str], labels: tuple[str, ...]) -> list[str]:
    """The most frequent label, the two most frequent, and so on, as train writes its sets."""
    form = form_of(targets)
    written = [one for target in targets for one in set_elements(target, labels)]
    right = spelled_alike(written, labels)
    common = [label for label, _ in Counter(right[one] for one in written).most_common(SHORTLIST)]
    return [write_set(common[:count], form) for count in range(1, len(common) + 1)]


def _spaced(targets: Sequence[str], count: int) -> list[str]:
    """At most `count` of the targets, evenly spaced, in order."""
    if len(targets) <= count:
        return list(targets)
    return [targets[index * len(targets) // count] for index in range(count)]


def typical_object(rows: Sequence[Mapping[str, JsonValue]]) -> dict[str, JsonValue]:
    """The object of the most frequent value of every field.

    A field that most rows lack is left out. Where most rows hold an object, its fields are taken
    one by one. Fields come in the order in which train first names them.
    """
    typical: dict[str, JsonValue] = {}
    for key in dict.fromkeys(key for row in rows for key in row):
        values = [row[key] for row in rows if key in row]
        if 2 * len(values) <= len(rows):
            continue
        nested = [value for value in values if isinstance(value, Mapping)]
        if 2 * len(nested) > len(values):
            typical[key] = typical_object(nested)
        else:
            written = Counter(json.dumps(value, ensure_ascii=False) for value in values)
            typical[key] = json.loads(written.most_common(1)[0][0])
    return typical
