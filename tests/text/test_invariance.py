"""Nothing that is decided changes with how the signs of a text are written."""

import unicodedata

from hypothesis import given, settings
from hypothesis import strategies as st

from tunewise.data.checks.duplicates import check_contradictions, check_duplicates
from tunewise.data.checks.findings import Found
from tunewise.data.checks.label_spelling import meant_targets
from tunewise.data.checks.labels import label_counts
from tunewise.data.checks.leaks import find_leaks
from tunewise.data.checks.scan import Scope
from tunewise.data.checks.survey import Survey, Surveyor
from tunewise.data.fingerprints import item_hash
from tunewise.data.splitting.split import split_examples
from tunewise.data.splitting.units import own_unit
from tunewise.metrics.by_name import metric_named
from tunewise.project.settings import Task
from tunewise.retrieval.chunk import Passage
from tunewise.retrieval.index import Index
from tunewise.types import Example, Message

TYPOGRAPHY = {"'": "’", '"': "“", "-": "–", "...": "…", " ": "\u00a0", "fi": "ﬁ", "A": "Ａ"}
WORDS = [
    "Größe",
    "café",
    "don't",
    "re-fill",
    "wait...",
    "final",
    "ÅNGSTRÖM",
    "naïve",
    "A4",
    "Šárka",
]
LABELS = ("Rückgabe", "Qualité", "don't know", "C#", "C")
TASK = Task(kind="classification")


@st.composite
def rewritten(draw: st.DrawFn, text: str) -> str:
    """The text as another program might have written it."""
    for plain, typographic in TYPOGRAPHY.items():
        if draw(st.booleans()):
            text = text.replace(plain, typographic)
    text = unicodedata.normalize(draw(st.sampled_from(["NFC", "NFD"])), text)
    sign = draw(st.sampled_from(["\u200b", "\u200d", "\ufeff", "\u00ad", "\u2060", ""]))
    place = draw(st.integers(0, len(text)))
    return text[:place] + sign + text[place:]


texts = st.lists(st.sampled_from(WORDS), min_size=2, max_size=8).map(" ".join)


@st.composite
def pairs(draw: st.DrawFn) -> tuple[str, str]:
    text = draw(texts)
    return text, draw(rewritten(text))


def example(name: str, text: str, target: str = "x") -> Example:
    return Example(id=name, messages=(Message(role="user", content=text),), target=target)


def surveyed(**parts: list[Example]) -> Survey:
    with Surveyor(Scope()) as surveyor:
        for part, rows in parts.items():
            for line, row in enumerate(rows, 1):
                surveyor.add(part, part, line, row)
        return surveyor.finish()


@given(pairs(), st.data())
def test_scores(pair: tuple[str, str], data: st.DataObject) -> None:
    text, other = pair
    for name in ("exact_match", "token_f1", "rouge_l", "chrf"):
        assert metric_named(name).score(other, text).value == 1
    label = data.draw(st.sampled_from(LABELS))
    answer = data.draw(rewritten(f"The answer is {label}."))
    metric = metric_named("accuracy", LABELS)
    assert metric.score(answer, data.draw(rewritten(label))).value == 1
    assert metric.score(answer, "Qualité" if label != "Qualité" else "C").value == 0


@settings(max_examples=30, deadline=None)
@given(st.lists(st.sampled_from(LABELS), min_size=4, max_size=12), st.data())
def test_labels(labels: list[str], data: st.DataObject) -> None:
    written = [data.draw(rewritten(label)) for label in labels]
    survey = surveyed(examples=[example(f"q{n}", f"q{n}", one) for n, one in enumerate(written)])
    counted = sorted(count.total for count in label_counts(survey))
    assert counted == sorted(labels.count(label) for label in set(labels))


@settings(max_examples=30, deadline=None)
@given(pairs(), st.data())
def test_duplicates_and_contradictions(pair: tuple[str, str], data: st.DataObject) -> None:
    label = data.draw(st.sampled_from(LABELS))
    again = data.draw(rewritten(label))
    rows = [example("1", pair[0], label), example("2", pair[1], again), example("3", "else", "C")]
    survey, found = surveyed(examples=rows), Found()
    for meant in (meant_targets(survey, TASK), survey.columns.target):
        assert check_duplicates(survey, meant, found).tolist() == [0, 0, 2]
        assert check_contradictions(survey, meant, found).groups == ()


@settings(max_examples=30, deadline=None)
@given(pairs())
def test_leaks(pair: tuple[str, str]) -> None:
    text, other = pair
    survey = surveyed(test=[example("1", other)], train=[example("2", "else"), example("3", text)])
    kinds = [leak.kind for leak in find_leaks(survey)]
    assert kinds == ["exact" if other == text else "normalised"]


@given(pairs())
def test_the_count_of_looks_and_the_units_of_a_split(pair: tuple[str, str]) -> None:
    one, other = example("1", pair[0]), example("2", pair[1])
    assert item_hash(one) == item_hash(other)
    assert own_unit(one) == own_unit(other)


@settings(max_examples=10, deadline=None)
@given(st.data())
def test_the_split(data: st.DataObject) -> None:
    plain = [example(str(n), f"{WORDS[n % 10]} number {n}") for n in range(40)]
    other = [example(row.id, data.draw(rewritten(row.input.text))) for row in plain]
    one, two = (split_examples(rows, seed=0).splits for rows in (plain, other))
    for side in ("train", "dev", "test"):
        assert [row.id for row in getattr(one, side)] == [row.id for row in getattr(two, side)]


@settings(max_examples=30, deadline=None)
@given(st.sampled_from(WORDS), st.data())
def test_search(word: str, data: st.DataObject) -> None:
    documents = [data.draw(rewritten(f"{one} costs {n} crowns")) for n, one in enumerate(WORDS)]
    index = Index(
        [
            Passage(id=f"{n}#1", document=str(n), heading="", text=text)
            for n, text in enumerate(documents)
        ]
    )
    (hit,) = index.search(data.draw(rewritten(word)), 1)
    assert hit.passage.document == str(WORDS.index(word))
