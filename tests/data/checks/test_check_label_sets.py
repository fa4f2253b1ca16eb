from survey_rows import example, of, surveyed

from tunewise.data.checks.findings import Found
from tunewise.data.checks.label_sets import check_label_sets
from tunewise.data.checks.labels import LabelCount, foreign_rows, meant_targets
from tunewise.data.checks.repeats import check_contradictions, check_duplicates
from tunewise.project import Task

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
