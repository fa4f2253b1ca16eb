from survey_rows import example, of, surveyed
from tunewise.data.checks.duplicates import check_contradictions, check_duplicates
from tunewise.data.checks.findings import Found
from tunewise.data.checks.label_sets import check_label_sets
from tunewise.data.checks.label_spelling import meant_targets
from tunewise.data.checks.labels import LabelCount, foreign_rows
from tunewise.project.settings import Task

OPEN = Task(kind="multilabel")
ROWS = [
    example(f"row {n}", ("wing, tail", "tail", "Tail; nose", "nose, wing")[n % 4])
    for n in range(40)
]


def test_labels_are_counted_one_by_one() -> None:
    counts = check_label_sets(surveyed({"examples": ROWS}), OPEN, Found())
    assert counts == [
        LabelCount(label="tail", rows={"examples": 30}),
        LabelCount(label="nose", rows={"examples": 20}),
        LabelCount(label="wing", rows={"examples": 20}),
    ]


def test_a_typo_in_one_label_of_a_set_is_found_by_its_line() -> None:
    found = Found()
    check_label_sets(surveyed({"examples": [*ROWS, example("odd", "winng, nose")]}), OPEN, found)
    (typo,) = of("label_typo", found)
    assert typo.where == "examples.jsonl:41"
    assert '"winng" is a label of 1 row, "wing" of 20' in typo.message


def test_an_undeclared_label_of_a_set_is_an_error_and_its_order_is_none() -> None:
    declared = Task(kind="multilabel", labels=("wing", "tail", "nose"))
    survey = surveyed(
        {"examples": [*ROWS, example("odd", "nose, rocket"), example("o", "tail, wing")]}
    )
    found = Found()
    check_label_sets(survey, declared, found)
    (unknown,) = of("unknown_label", found)
    assert unknown.where == "examples.jsonl:41"
    assert '"rocket" is not among [task] labels' in unknown.message
    assert foreign_rows(survey, declared).tolist() == [40]


SPELLED = [
    *(example(f"first {n}", "Wing, tail") for n in range(6)),
    *(example(f"second {n}", "tail; wing") for n in range(3)),
    example("third", "TAIL."),
    example("fourth", '["tail", "Wing "]'),
]


def test_spellings_in_sets_are_named_once_with_their_rows_and_the_first_place() -> None:
    found = Found()
    counts = check_label_sets(surveyed({"examples": SPELLED}), OPEN, found)
    assert [(count.label, count.total) for count in counts] == [("tail", 11), ("Wing", 10)]
    (finding,) = of("label_spelling", found)
    assert finding.where == "examples.jsonl:7"
    assert '"Wing" is also written "wing" (3 rows, first examples.jsonl:7)' in finding.message
    assert '"tail" is also written "TAIL." (1 row, first examples.jsonl:10)' in finding.message
    assert "--fix" in finding.message
    assert not of("label_typo", found)


def test_declared_labels_accept_other_spellings_in_sets_and_decide_the_right_one() -> None:
    declared = Task(kind="multilabel", labels=("WING", "tail"))
    survey, found = surveyed({"examples": SPELLED}), Found()
    check_label_sets(survey, declared, found)
    assert foreign_rows(survey, declared).tolist() == []
    assert not of("unknown_label", found)
    (finding,) = of("label_spelling", found)
    assert '"WING" is also written "Wing" (7 rows, first examples.jsonl:1)' in finding.message


def test_an_unknown_label_of_a_set_that_fix_can_mend_says_so() -> None:
    declared = Task(kind="multilabel", labels=("wing", "tail", "nose"))
    rows = [*ROWS, example("odd", "winng, tail, rocket")]
    found = Found()
    check_label_sets(surveyed({"examples": rows}), declared, found)
    typo, other = of("unknown_label", found)
    assert 'Did you mean "wing"? `tunewise check --fix OUT` writes that.' in typo.message
    assert '"rocket"' in other.message
    assert "--fix" not in other.message


def test_a_label_that_only_sets_of_test_have_is_named_with_its_first_row() -> None:
    test = [example("a", "wing"), example("b", "tail, Rocket"), example("c", "rocket, rocket")]
    found = Found()
    counts = check_label_sets(surveyed({"train": ROWS, "test": test}), OPEN, found)
    assert counts[-1] == LabelCount(label="Rocket", rows={"test": 2, "train": 0})
    (alone,) = of("label_only_in_test", found)
    assert alone.where == "test.jsonl:2"


def test_the_same_set_in_every_row_is_nothing_to_learn() -> None:
    rows = [example(f"row {n}", ("wing, tail", "Tail; wing")[n % 2]) for n in range(20)]
    found = Found()
    check_label_sets(surveyed({"examples": rows}), OPEN, found)
    assert len(of("one_answer", found)) == 1


def test_a_typo_in_a_set_contradicts_nobody_and_repeats_the_right_one() -> None:
    rows = [*ROWS, example("row 0", "winng, tail")]
    survey, found = surveyed({"examples": rows}), Found()
    meant = meant_targets(survey, OPEN)
    check_contradictions(survey, meant, found)
    check_duplicates(survey, meant, found)
    assert not of("contradiction", found)
    assert [finding.where for finding in of("duplicate", found)] == ["examples.jsonl:41"]


def test_another_order_is_no_contradiction_but_a_repetition() -> None:
    rows = [example("same", "wing, tail"), example("same", "tail; wing"), example("other", "nose")]
    survey = surveyed({"examples": rows})
    meant, found = meant_targets(survey, OPEN), Found()
    check_contradictions(survey, meant, found)
    check_duplicates(survey, meant, found)
    assert not of("contradiction", found)
    (repeated,) = of("duplicate", found)
    assert repeated.where == "examples.jsonl:2"


def test_other_sets_for_one_input_are_a_contradiction() -> None:
    survey = surveyed({"examples": [example("same", "wing, tail"), example("same", "tail")]})
    found = Found()
    check_contradictions(survey, meant_targets(survey, OPEN), found)
    assert len(of("contradiction", found)) == 1
