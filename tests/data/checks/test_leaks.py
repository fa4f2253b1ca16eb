import random

import pytest

from survey_rows import example, of, surveyed
from tunewise.data.checks.findings import Found
from tunewise.data.checks.leaks import Leak, check_leaks, find_leaks, rows_to_leave_out
from tunewise.types import Example

RNG = random.Random(0)
WORDS = [f"word{n}" for n in range(5000)]


def text(words: int = 40) -> str:
    return " ".join(RNG.choices(WORDS, k=words))


def rows(n: int, words: int = 40) -> list[Example]:
    return [example(text(words)) for _ in range(n)]


def leaks(test: list[Example], train: list[Example], dev: list[Example] | None = None):
    """The leaks but for stock phrases, and what is said of all."""
    found = Found()
    survey = surveyed({"train": train, "test": test, **({"dev": dev} if dev else {})})
    every = find_leaks(survey)
    check_leaks(survey, every, found)
    return [leak for leak in every if leak.kind != "phrase"], found


def left_out(
    test: list[Example], train: list[Example], dev: list[Example] | None = None
) -> dict[int, str]:
    """Test row -> what holds it."""
    survey = surveyed({"train": train, "test": test, **({"dev": dev} if dev else {})})
    return rows_to_leave_out(survey, find_leaks(survey))


def test_different_texts_give_nothing_away() -> None:
    assert leaks(rows(300), rows(900))[0] == []


def test_a_file_without_a_split_has_no_leaks() -> None:
    same = rows(30)
    assert find_leaks(surveyed({"examples": same + same})) == []


def test_the_same_input_is_found_exact_or_but_for_case_and_white_space() -> None:
    train = rows(50)
    shouted = train[7].messages[0].content.upper().replace(" ", "  ")
    test = [*rows(5), train[3], example(shouted)]
    found, report = leaks(test, train)
    assert [(leak.kind, leak.test) for leak in found] == [("exact", 5), ("normalised", 6)]
    first, second = of("leak", report)
    assert (first.where, second.where) == ("test.jsonl:6", "test.jsonl:7")
    assert "in train, at train.jsonl:4: memory" in first.message
    assert "at train.jsonl:8, but for case, spaces or the form of signs" in second.message


def test_a_row_of_dev_gives_test_away_as_well() -> None:
    shared = example(text())
    (leak,) = leaks([shared, *rows(5)], rows(9), [*rows(3), shared])[0]
    assert leak.kind == "exact"


def test_nearly_the_same_input_is_found_and_named_once() -> None:
    train = rows(50)
    near = train[9].messages[0].content.replace(" ", " indeed ", 1)
    found, report = leaks([*rows(5), example(near)], train)
    assert [leak.kind for leak in found] == ["near"]
    assert of("near_leak", report)[0].where == "test.jsonl:6"
    assert "at train.jsonl:10" in of("near_leak", report)[0].message


@pytest.mark.parametrize("shared", [25, 40])
def test_a_long_passage_in_common_is_a_leak(shared: int) -> None:
    train = rows(200, 120)
    passage = " ".join(train[20].messages[0].content.split()[30 : 30 + shared])
    found, report = leaks([*rows(20), example(f"{text(60)} {passage} {text(20)}")], train)
    assert [(leak.kind, leak.test) for leak in found] == [("overlap", 20)]
    (finding,) = of("overlap_leak", report)
    assert "with train, at train.jsonl:21" in finding.message


def test_a_few_words_in_common_are_a_note() -> None:
    train = rows(200, 120)
    passage = " ".join(train[20].messages[0].content.split()[30:45])
    found, report = leaks([*rows(20), example(f"{text(60)} {passage} {text(20)}")], train)
    assert found == []
    (note,) = of("overlap", report)
    assert note in report.report().notes
    assert note.where == "test.jsonl:21"


def test_thirteen_words_are_a_run_and_twelve_are_none() -> None:
    train = rows(200, 60)
    words = train[20].messages[0].content.split()
    for length, expected in ((13, 1), (12, 0)):
        passage = " ".join(words[30 : 30 + length])
        _, report = leaks([example(f"{text(60)} {passage} {text(20)}")], train)
        assert len(of("overlap", report)) == expected


def test_an_instruction_that_many_rows_share_is_no_leak() -> None:
    instruction = text(30)
    train = [example(f"{instruction} {text(20)}") for _ in range(400)]
    test = [example(f"{instruction} {text(20)}") for _ in range(100)]
    found, report = leaks(test, train)
    assert found == []
    assert of("overlap", report) == []


def test_a_leak_is_found_beside_a_shared_instruction() -> None:
    instruction = text(30)
    train = [example(f"{instruction} {text(60)}") for _ in range(400)]
    copied = " ".join(train[5].messages[0].content.split()[40:80])
    found, _ = leaks([example(f"{instruction} {copied} {text(30)}"), *rows(50)], train)
    assert [(leak.kind, leak.test) for leak in found] == [("overlap", 0)]


def test_a_group_on_both_sides_is_a_leak_of_its_own() -> None:
    train = [example(text(), group=f"customer {n}") for n in range(20)]
    test = [example(text(), group="customer 4"), example(text(), group="new"), *rows(3)]
    found, report = leaks(test, train)
    assert found == [Leak(test=0, other=9, kind="group")]
    assert 'The group "customer 4" is also in train' in of("group_leak", report)[0].message


def test_rows_that_train_or_dev_hold_are_left_out_of_test_and_others_stay() -> None:
    train, dev = rows(50), rows(9)
    said = [row.messages[0].content for row in train]
    passage = " ".join(text(120).split()[30:70])
    train.append(example(f"{text(40)} {passage} {text(40)}"))
    test = [
        *rows(5),
        train[3],
        example(said[7].upper()),
        example(said[9].replace(" ", " indeed ", 1)),
        dev[2],
        example(f"{text(60)} {passage} {text(20)}"),
        example(text(), group="both"),
    ]
    train.append(example(text(), group="both"))
    assert left_out(test, train, dev) == {5: "train", 6: "train", 7: "train", 8: "dev"}


def test_a_row_that_train_and_dev_hold_counts_for_train() -> None:
    shared = example(text())
    assert left_out([*rows(5), shared], [*rows(9), shared], [shared, *rows(3)]) == {5: "train"}


def test_each_near_row_is_found_though_test_holds_a_nearer_one() -> None:
    # The row of train is like both, the two of test are not like each other.
    words = text(40).split()
    first = example(" ".join([*words, "one", "two", "three"]))
    second = example(" ".join(["four", "five", "six", *words]))
    train = [*rows(20), example(" ".join(words))]
    found, _ = leaks([*rows(5), first, second], train)
    assert [(leak.kind, leak.test, leak.other) for leak in found] == [
        ("near", 5, 27),
        ("near", 6, 27),
    ]


def test_a_row_of_test_alone_is_never_left_out_for_another_of_test() -> None:
    same = example(text())
    assert left_out([*rows(5), same, same], rows(30)) == {}
