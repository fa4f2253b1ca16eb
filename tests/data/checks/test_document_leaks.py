import numpy as np
import pytest

from survey_rows import example, of, surveyed
from tunewise.data.checks.document_leaks import MIN_WORDS, WITHIN, answered_in
from tunewise.data.checks.findings import Found
from tunewise.data.checks.leaks import check_leaks, find_leaks, rows_to_leave_out
from tunewise.data.documents.read import Block, Document
from tunewise.types import Example, Message

ASKED = "Can the tent be pitched on snow?"
FAQ = f"{ASKED}\nYes, with the wide pegs.\nIs it heavy? It is not."


def document(text: str, name: str = "tent.md", headings: tuple[str, ...] = ()) -> Document:
    blocks = tuple(Block(kind="prose", headings=headings, text=part) for part in text.split("\n\n"))
    return Document(name=name, title="Tent", blocks=blocks)


def held(question: str, answer: str, text: str = FAQ) -> bool:
    return answered_in([example(question, answer)], [document(text)]) != {}


def test_a_question_with_its_answer_behind_it_is_held_by_the_document() -> None:
    rows = [example("Where is it made?", "In Wales"), example(ASKED, "Yes, with the wide pegs.")]
    documents = [document("Nothing of it.", "a.md"), document(FAQ, "faq.md")]
    assert answered_in(rows, documents) == {1: "faq.md"}


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("CAN THE TENT BE PITCHED ON SNOW", "yes, with  the WIDE pegs"),
        ("Can the tent\nbe pitched on snow ?", "“Yes, with the wide pegs”"),
    ],
)
def test_case_white_space_and_signs_do_not_count(question: str, answer: str) -> None:
    assert held(question, answer)


def test_an_answer_alone_is_what_retrieval_is_for() -> None:
    assert not held("May I pitch it on snow?", "Yes, with the wide pegs.")


def test_a_question_without_its_answer_is_no_leak() -> None:
    assert not held(ASKED, "No, the floor is too thin.")
    assert not held(ASKED, "yes", f"Yes, read on. {ASKED} Ask the shop.")


def test_an_answer_far_behind_the_question_is_another_one() -> None:
    between = "so it is. " * (WITHIN // 3)
    assert held(ASKED, "wide pegs", f"{ASKED} {between} wide pegs")
    assert not held(ASKED, "wide pegs", f"{ASKED} {between} {between} wide pegs")


def test_the_answer_may_follow_in_the_next_paragraph_or_below_a_heading() -> None:
    assert held(ASKED, "with the wide pegs", f"{ASKED}\n\nYes, with the wide pegs.")
    below = document("Yes, with the wide pegs.", headings=("Questions", ASKED))
    assert answered_in([example(ASKED, "wide pegs")], [below]) == {0: "tent.md"}


def test_an_answer_does_not_reach_into_the_next_document() -> None:
    two = [document(ASKED, "a.md"), document("wide pegs", "b.md")]
    assert answered_in([example(ASKED, "wide pegs")], two) == {}


@pytest.mark.parametrize("question", ["Is it heavy?", "heavy", "?"])
def test_three_words_may_stand_anywhere_by_chance(question: str) -> None:
    assert not held(question, "it is not")


def test_an_answer_without_a_word_is_not_looked_for() -> None:
    assert not held(ASKED, "—")


def test_the_last_turn_of_the_user_is_the_question() -> None:
    turns = [
        Message(role="system", content="Be brief."),
        Message(role="user", content="Hello there, I have a tent"),
        Message(role="assistant", content="Good."),
        Message(role="user", content=ASKED),
    ]
    row = Example(id="one", messages=tuple(turns), target="Yes, with the wide pegs.")
    assert answered_in([row], [document(FAQ)]) == {0: "tent.md"}


def test_a_long_question_has_to_stand_whole() -> None:
    long = " ".join(f"word{n}" for n in range(60))
    assert held(long, "wide pegs", f"{long} wide pegs")
    assert not held(f"other {long}", "wide pegs", f"{long} wide pegs")


def test_it_finds_what_comparing_every_place_finds() -> None:
    rng = np.random.default_rng(0)

    def said(words: int) -> list[str]:
        return [f"w{n}" for n in rng.integers(0, 4, words)]

    asked = [(said(int(rng.integers(3, 9))), said(int(rng.integers(1, 7)))) for _ in range(200)]
    texts = [said(300) for _ in range(3)]

    def stands(question: list[str], answer: list[str], text: list[str]) -> bool:
        ends = [
            at + len(question)
            for at in range(len(text))
            if text[at : at + len(question)] == question
        ]
        return len(question) >= MIN_WORDS and any(
            text[begin : begin + len(answer)] == answer
            for end in ends
            for begin in range(end, end + WITHIN + 1)
        )

    rows = [example(" ".join(question), " ".join(answer)) for question, answer in asked]
    documents = [document(" ".join(text), f"{n}.md") for n, text in enumerate(texts)]
    expected = {
        row: f"{next(n for n, text in enumerate(texts) if stands(*pair, text))}.md"
        for row, pair in enumerate(asked)
        if any(stands(*pair, text) for text in texts)
    }
    assert 20 < len(expected) < 180
    assert answered_in(rows, documents) == expected


def test_rows_of_test_that_a_document_holds_are_left_out_with_what_to_do() -> None:
    rows = [example(f"Where does message {n} go to?", f"to {n}") for n in range(9)]
    test = [*rows[:4], example(ASKED, "Yes, with the wide pegs.")]
    survey = surveyed({"train": rows[4:], "test": test})
    leaks = find_leaks(survey, documents=[document(FAQ, "faq.md")])
    assert rows_to_leave_out(survey, leaks) == {4: "documents"}
    found = Found()
    check_leaks(survey, leaks, found)
    (finding,) = of("document_leak", found)
    assert finding in found.report().warnings
    assert finding.where == "test.jsonl:5"
    assert "stands word for word in faq.md, with its answer behind it" in finding.message


def test_a_row_that_train_holds_as_well_counts_for_train() -> None:
    row = example(ASKED, "Yes, with the wide pegs.")
    survey = surveyed(
        {"train": [example(f"row {n} of train") for n in range(9)] + [row], "test": [row]}
    )
    leaks = find_leaks(survey, documents=[document(FAQ)])
    assert rows_to_leave_out(survey, leaks) == {0: "train"}
