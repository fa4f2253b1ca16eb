import pytest

from survey_rows import example, of, surveyed
from tunewise.data.checks.duplicates import check_contradictions, check_duplicates
from tunewise.data.checks.findings import Found
from tunewise.data.checks.label_spelling import meant_targets
from tunewise.data.checks.labels import (
    check_labels,
    foreign_rows,
    label_counts,
    likely_typos,
    meant_label,
    right_spellings,
)
from tunewise.data.checks.survey import Survey
from tunewise.project.settings import Task
from tunewise.types import Example

OPEN = Task(kind="classification")


def labelled(**counts: int) -> list[Example]:
    return [
        example(f"{label} question {n}", label.replace("_", " "))
        for label, rows in counts.items()
        for n in range(rows)
    ]


def one_part(**counts: int) -> Survey:
    return surveyed({"examples": labelled(**counts)})


@pytest.mark.parametrize(
    ("rare", "meant"),
    [
        ("postive", "positive"),
        ("Positive", None),  # another spelling of the label itself
        ("pos", None),
        ("negativ_", "negative"),
        ("unknown", None),
    ],
)
def test_a_rare_label_is_a_typo_of_the_one_frequent_label_it_is_like(
    rare: str, meant: str | None
) -> None:
    survey = one_part(positive=20, negative=20, **{rare: 1})
    written = rare.replace("_", " ").strip()
    assert likely_typos(survey, None) == ({written: meant} if meant else {})


def test_labels_that_differ_in_a_digit_are_no_typos() -> None:
    assert likely_typos(one_part(level_one_1=20, level_one_2=1), None) == {}


def test_a_label_like_two_others_is_not_certain() -> None:
    assert likely_typos(one_part(refund_card=20, refund_cart=20, refund_carx=1), None) == {}


def test_declared_labels_are_what_a_typo_is_held_against() -> None:
    survey = one_part(yes=1, yess=30)
    assert likely_typos(survey, ("yes", "no")) == {"yess": "yes"}


def test_a_label_that_only_test_has_is_named_with_its_first_row() -> None:
    survey = surveyed({"train": labelled(a=20, b=20), "test": labelled(a=5, c=3)})
    found = Found()
    check_labels(survey, OPEN, found)
    (finding,) = of("label_only_in_test", found)
    assert finding.where == "test.jsonl:6"
    assert '"c" is the answer of 3 test rows and of no other' in finding.message


def test_labels_are_counted_by_part_the_most_frequent_first() -> None:
    survey = surveyed({"train": labelled(a=2, b=9), "test": labelled(b=1)})
    assert [(c.label, dict(c.rows), c.total) for c in label_counts(survey)] == [
        ("b", {"test": 1, "train": 9}, 10),
        ("a", {"test": 0, "train": 2}, 2),
    ]


def test_long_or_all_different_answers_are_no_labels(monkeypatch: pytest.MonkeyPatch) -> None:
    assert surveyed({"examples": [example("q", "long " * 60), *labelled(a=3)]}).labels == ()
    monkeypatch.setattr("tunewise.data.checks.survey.MAX_ANSWERS", 10)
    assert surveyed({"examples": [example(f"q{n}", f"a{n}") for n in range(12)]}).labels == ()


@pytest.mark.parametrize(
    ("label", "meant"),
    [
        ("Return", "return"),
        ("retrun", "return"),  # two letters the wrong way round
        ("retur", "return"),
        ("refnud", "refund"),
        ("recall", None),
        ("level 2", None),  # differs from "level 1" on purpose
        ("library for C#", None),
        ("library for B", None),
        ("lvel 1", "level 1"),
    ],
)
def test_a_typo_is_certain_where_one_letter_is_missing_moved_or_in_another_case(
    label: str, meant: str | None
) -> None:
    assert meant_label(label, ["return", "refund", "level 1", "library for C"]) == meant


SPELLED = [
    *(example(f"first {n}", "Yes") for n in range(6)),
    *(example(f"second {n}", "No") for n in range(6)),
    *(example(f"third {n}", "yes") for n in range(4)),
    example("fourth", "NO."),
    example("fifth", "No\u200b"),
]


def test_spellings_of_a_label_are_one_label() -> None:
    survey = surveyed({"examples": SPELLED})
    assert [(count.label, count.total) for count in label_counts(survey)] == [
        ("Yes", 10),
        ("No", 8),
    ]
    assert likely_typos(survey, None) == {}


def test_spellings_are_named_once_with_their_rows_and_the_first_place() -> None:
    found = Found()
    check_labels(surveyed({"examples": SPELLED}), OPEN, found)
    (finding,) = of("label_spelling", found)
    assert finding.where == "examples.jsonl:13"
    assert '"Yes" is also written "yes" (4 rows, first examples.jsonl:13)' in finding.message
    assert (
        '"No" is also written "NO." (1 row, first examples.jsonl:17), '
        '"No<U+200B>" (1 row, first examples.jsonl:18)'
    ) in finding.message
    assert "--fix" in finding.message
    assert of("label_typo", found) == []


def test_declared_labels_accept_other_spellings_and_decide_the_right_one() -> None:
    survey, found = surveyed({"examples": SPELLED}), Found()
    task = Task(kind="classification", labels=("YES", "No"))
    check_labels(survey, task, found)
    assert foreign_rows(survey, task).tolist() == []
    assert of("unknown_label", found) == []
    (finding,) = of("label_spelling", found)
    assert '"YES" is also written "Yes" (6 rows' in finding.message
    assert right_spellings(survey, task)["yes"] == "YES"


def test_an_unknown_label_that_fix_can_mend_says_so() -> None:
    rows = [*SPELLED, example("sixth", "maybee"), example("seventh", "other")]
    found = Found()
    task = Task(kind="classification", labels=("Yes", "No", "Maybe"))
    check_labels(surveyed({"examples": rows}), task, found)
    typo, other = of("unknown_label", found)
    assert 'Did you mean "Maybe"? `tunewise check --fix OUT` writes that.' in typo.message
    assert "--fix" not in other.message


def test_one_label_in_two_spellings_is_one_answer() -> None:
    rows = [example(f"q{n}", ("Yes", "yes")[n % 2]) for n in range(20)]
    found = Found()
    check_labels(surveyed({"examples": rows}), OPEN, found)
    assert len(of("one_answer", found)) == 1


def test_spellings_of_a_label_contradict_nobody_and_repeat_one_another() -> None:
    rows = [*SPELLED, example("first 0", "yes"), example("first 1", "No")]
    survey, found = surveyed({"examples": rows}), Found()
    meant = meant_targets(survey, OPEN)
    check_duplicates(survey, meant, found)
    check_contradictions(survey, meant, found)
    assert [finding.where for finding in of("duplicate", found)] == ["examples.jsonl:19"]
    assert [finding.where for finding in of("contradiction", found)] == ["examples.jsonl:2"]
