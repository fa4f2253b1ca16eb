import numpy as np

from survey_rows import example, of, surveyed
from tunewise.data.checks.duplicates import (
    check_contradictions,
    check_duplicates,
    check_near_duplicates,
    roots,
)
from tunewise.data.checks.findings import Found
from tunewise.types import Example

LONG = (
    "the tent I bought last week leaks at the seam and I would like to have it replaced by a "
    "new one"
)


def varied(n: int) -> list[Example]:
    return [example(f"question {k} about thing {k * k}", f"answer {k}") for k in range(n)]


def test_a_row_of_another_part_or_with_another_answer_is_no_duplicate() -> None:
    row = example("the same input", "a")
    other = example("the same input", "b")
    found = Found()
    survey = surveyed({"train": [row, other, row], "test": [row]})
    check_duplicates(survey, survey.columns.target, found)
    assert [finding.where for finding in of("duplicate", found)] == ["train.jsonl:3"]


def test_near_duplicates_form_clusters_the_largest_first() -> None:
    rows = [
        *varied(10),
        example(LONG),
        example(f"{LONG}, please"),
        example(f"{LONG}, thanks"),
        example("where is the parcel with number twelve that I ordered in the first week of May"),
        example("where is the parcel with number twelve that I ordered in the first week of March"),
    ]
    found = Found()
    clusters = check_near_duplicates(surveyed({"examples": rows}), found)
    assert [cluster.tolist() for cluster in clusters] == [[10, 11, 12], [13, 14]]
    assert [f.where for f in of("near_duplicate", found)] == [
        "examples.jsonl:12", "examples.jsonl:13", "examples.jsonl:15",
    ]  # fmt: skip
    assert "Nearly repeats examples.jsonl:11" in of("near_duplicate", found)[0].message


def test_what_differs_in_case_alone_is_a_duplicate_not_a_near_one() -> None:
    rows = [example(LONG), example(LONG.upper()), *varied(5)]
    found = Found()
    survey = surveyed({"examples": rows})
    assert check_near_duplicates(survey, found) == []
    check_duplicates(survey, survey.columns.target, found)
    assert len(of("duplicate", found)) == 1


def test_a_chain_of_leaders_ends_at_one_root() -> None:
    assert roots(np.array([0, 0, 1, 2, 4])).tolist() == [0, 0, 0, 0, 4]


def test_the_ceiling_counts_the_best_answer_to_each_input() -> None:
    rows = [
        *(example("which one?", answer) for answer in ("a", "a", "b")),
        *(example("and here?", answer) for answer in ("x", "y")),
        *varied(5),
    ]
    found = Found()
    survey = surveyed({"examples": rows})
    contradictions = check_contradictions(survey, survey.columns.target, found)
    assert contradictions.ceiling is not None
    assert (contradictions.ceiling.inputs, contradictions.ceiling.share) == (2, 0.8)
    assert [group.tolist() for group in contradictions.groups] == [[0, 1, 2], [3, 4]]
    first, _ = of("contradiction", found)
    assert first.message.startswith(
        "2 different answers to this input; another one at examples.jsonl:3."
    )


def test_without_contradictions_there_is_no_ceiling() -> None:
    survey = surveyed({"examples": varied(5)})
    assert check_contradictions(survey, survey.columns.target, Found()).ceiling is None


def test_answers_that_mean_the_same_contradict_nobody() -> None:
    survey = surveyed({"examples": [example("which?", "a"), example("which?", "A"), *varied(5)]})
    assert check_contradictions(survey, np.zeros(7, np.uint64), Found()).ceiling is None
