from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunewise.chat.tokenize import Span, TokenisedExample
from tunewise.errors import UserError
from tunewise.training.rows import (
    Row,
    check_rows,
    desirable_rows,
    fault_of,
    hash_rows,
    single_rows,
    text_rows,
)

CONTEXT = 20


def example(prompt: Sequence[int], answer: Sequence[int]) -> TokenisedExample:
    ids = (*prompt, *answer)
    return TokenisedExample(token_ids=ids, answers=(Span(len(prompt), len(ids)),))


def answers(sequence: TokenisedExample) -> list[tuple[int, ...]]:
    """The tokens that carry loss, answer by answer."""
    return [sequence.token_ids[start:stop] for start, stop in sequence.answers]


# What a row is.


def test_a_row_of_one_sequence_keeps_its_name_and_tokens() -> None:
    one, two = example([1, 2, 3], [4]), example([5], [6, 7])
    rows = single_rows(["a", "b"], [one, two])
    assert rows == [Row(id="a", sequences=(one,)), Row(id="b", sequences=(two,))]


def test_a_row_counts_the_tokens_of_all_its_sequences_and_the_answers_of_its_first() -> None:
    row = Row(id="a", sequences=(example([1, 2, 3], [4, 5]), example([1, 2, 3], [6, 7, 8])))
    assert row.tokens == 11
    assert row.loss_tokens == 2


def test_earlier_answers_that_carry_loss_are_counted() -> None:
    several = TokenisedExample(token_ids=tuple(range(9)), answers=(Span(2, 4), Span(6, 9)))
    assert Row(id="a", sequences=(several,)).loss_tokens == 5


def test_as_many_names_as_sequences_are_wanted() -> None:
    with pytest.raises(ValueError, match="shorter"):
        single_rows(["a", "b"], [example([1], [2])])


# kto: single answers that are wanted or not.

CHOSEN = [example([10, 11], [1, 2]), example([20, 21, 22], [3]), example([30], [4, 5, 6])]
REJECTED = [example([10, 11], [7]), example([20, 21, 22], [8, 9]), example([30], [0])]


def test_a_pair_of_answers_is_two_rows_of_which_the_chosen_is_wanted() -> None:
    rows = desirable_rows(["a", "b", "c"], CHOSEN, REJECTED, context_tokens=CONTEXT)
    assert [(row.id, row.desirable, row.sequences[0]) for row in rows] == [
        ("a (chosen)", True, CHOSEN[0]),
        ("a (rejected)", False, REJECTED[0]),
        ("b (chosen)", True, CHOSEN[1]),
        ("b (rejected)", False, REJECTED[1]),
        ("c (chosen)", True, CHOSEN[2]),
        ("c (rejected)", False, REJECTED[2]),
    ]


def test_a_mismatched_sequence_has_the_rows_own_prompt_and_the_next_rows_answer() -> None:
    rows = desirable_rows(["a", "b", "c"], CHOSEN, REJECTED, context_tokens=CONTEXT)
    mismatched = [row.sequences[1] for row in rows]
    assert [one.token_ids for one in mismatched] == [
        (10, 11, 3),
        (10, 11, 8, 9),
        (20, 21, 22, 4, 5, 6),
        (20, 21, 22, 0),
        (30, 1, 2),
        (30, 7),
    ]
    assert [answers(one) for one in mismatched] == [
        [(3,)],
        [(8, 9)],
        [(4, 5, 6)],
        [(0,)],
        [(1, 2)],
        [(7,)],
    ]


def test_what_was_said_earlier_in_a_conversation_is_prompt_of_a_mismatched_sequence() -> None:
    talk = TokenisedExample(token_ids=(1, 2, 3, 4, 5, 6), answers=(Span(1, 3), Span(4, 6)))
    own, _, _, _ = desirable_rows(
        ["a", "b"], [talk, CHOSEN[0]], [talk, REJECTED[0]], context_tokens=CONTEXT
    )
    assert own.sequences[1].token_ids == (1, 2, 3, 4, 1, 2)
    assert answers(own.sequences[1]) == [(1, 2)]


def test_a_mismatched_sequence_that_would_not_fit_the_context_is_cut() -> None:
    """The row itself fits: it must not be refused for an answer that is not its own."""
    short, long = example([1, 2], [3]), example([4], [5, 6, 7, 8])
    rows = desirable_rows(["a", "b"], [short, long], [short, long], context_tokens=5)
    assert rows[0].sequences[1].token_ids == (1, 2, 5, 6, 7)
    assert answers(rows[0].sequences[1]) == [(5, 6, 7)]
    check_rows(rows, context_tokens=5)


def test_one_pair_alone_is_refused_because_nothing_is_mismatched() -> None:
    with pytest.raises(UserError, match=r"at least two pairs.*choose dpo"):
        desirable_rows(["a"], CHOSEN[:1], REJECTED[:1], context_tokens=CONTEXT)


# cpt: texts in blocks.


def test_a_block_begins_with_the_last_token_of_the_block_before() -> None:
    rows = text_rows(["a"], [range(10)], block_tokens=4)
    assert [row.sequences[0].token_ids for row in rows] == [
        (0, 1, 2, 3),
        (3, 4, 5, 6),
        (6, 7, 8, 9),
    ]
    assert [row.id for row in rows] == ["a from token 0", "a from token 3", "a from token 6"]


def test_what_is_left_of_a_text_is_a_short_row() -> None:
    rows = text_rows(["a", "b"], [range(5), range(50, 52)], block_tokens=4)
    assert [row.sequences[0].token_ids for row in rows] == [(0, 1, 2, 3), (3, 4), (50, 51)]


@pytest.mark.parametrize("length", [0, 1])
def test_a_text_without_a_second_token_is_no_row(length: int) -> None:
    assert text_rows(["a"], [range(length)], block_tokens=4) == []


@given(
    lengths=st.lists(st.integers(0, 60), min_size=1, max_size=5),
    block_tokens=st.integers(2, 25),
)
def test_every_token_of_a_text_but_its_first_is_predicted_exactly_once(
    lengths: list[int], block_tokens: int
) -> None:
    texts = [range(1000 * n, 1000 * n + length) for n, length in enumerate(lengths)]
    rows = text_rows([str(n) for n in range(len(texts))], texts, block_tokens=block_tokens)
    predicted = [token for row in rows for ids in answers(row.sequences[0]) for token in ids]
    assert predicted == [token for text in texts for token in text[1:]]


@given(length=st.integers(2, 60), block_tokens=st.integers(2, 25))
def test_a_block_is_no_longer_than_asked_and_predicts_all_but_its_first_token(
    length: int, block_tokens: int
) -> None:
    for row in text_rows(["a"], [range(length)], block_tokens=block_tokens):
        assert 2 <= row.tokens <= block_tokens
        assert row.loss_tokens == row.tokens - 1


# What is refused.

SILENT = TokenisedExample(token_ids=(1, 2, 3), answers=())
LONG = example(range(CONTEXT - 1), [1, 2])


def test_rows_that_fit_and_carry_loss_pass() -> None:
    check_rows(single_rows(["a", "b"], CHOSEN[:2]), context_tokens=CONTEXT)
    check_rows(single_rows(["a"], [example(range(CONTEXT - 1), [1])]), context_tokens=CONTEXT)


def test_a_row_that_would_train_on_no_token_is_named() -> None:
    rows = single_rows(["data.jsonl:3", "data.jsonl:4"], [CHOSEN[0], SILENT])
    with pytest.raises(UserError) as caught:
        check_rows(rows, context_tokens=CONTEXT)
    assert str(caught.value) == (
        "data.jsonl:4: its answer has no token to learn from. Give it an answer, or remove it."
    )


def test_a_row_longer_than_the_context_is_named_with_its_length() -> None:
    with pytest.raises(UserError) as caught:
        check_rows(single_rows(["a"], [LONG]), context_tokens=CONTEXT)
    assert str(caught.value) == (
        "a: its 21 tokens do not fit the model's context of 20. Shorten it, or choose a base "
        "model with a longer context."
    )


def test_any_sequence_of_a_row_may_be_the_one_that_is_too_long() -> None:
    assert fault_of([CHOSEN[0], LONG], context_tokens=CONTEXT) is not None
    assert fault_of([CHOSEN[0], REJECTED[0]], context_tokens=CONTEXT) is None


def test_all_faults_are_told_together_one_a_line() -> None:
    rows = single_rows(["a", "b", "c", "d"], [SILENT, CHOSEN[0], LONG, SILENT])
    with pytest.raises(UserError) as caught:
        check_rows(rows, context_tokens=CONTEXT)
    told = str(caught.value).splitlines()
    assert [line.partition(":")[0] for line in told] == ["a", "c", "d"]


def test_no_rows_at_all_are_refused() -> None:
    with pytest.raises(UserError, match="no row to train on"):
        check_rows([], context_tokens=CONTEXT)


# What makes two sets of rows equal.

ROW = Row(id="a", sequences=(example([1, 2, 3], [4, 5]), example([1, 2, 3], [6])))
CHANGED = {
    "a token": replace(ROW, sequences=(example([1, 2, 9], [4, 5]), ROW.sequences[1])),
    "a token of another sequence": replace(
        ROW, sequences=(ROW.sequences[0], example([1, 2, 3], [7]))
    ),
    "where an answer begins": replace(
        ROW, sequences=(example([1, 2], [3, 4, 5]), ROW.sequences[1])
    ),
    "one sequence less": replace(ROW, sequences=ROW.sequences[:1]),
    "the order of its sequences": replace(ROW, sequences=ROW.sequences[::-1]),
    "whether it is wanted": replace(ROW, desirable=False),
    "whether it is replayed": replace(ROW, replayed=True),
}


@pytest.mark.parametrize("what", CHANGED)
def test_the_hash_changes_with(what: str) -> None:
    assert hash_rows([ROW]) != hash_rows([CHANGED[what]])


def test_the_hash_is_that_of_the_rows_in_their_order() -> None:
    other = Row(id="b", sequences=(example([1], [2]),))
    assert hash_rows([ROW, other]) == hash_rows([replace(ROW), replace(other)])
    assert hash_rows([ROW, other]) != hash_rows([other, ROW])
    assert len(hash_rows([ROW])) == 64


def test_names_and_reference_values_do_not_change_the_hash() -> None:
    """A resumed training finds the references that it wrote itself."""
    assert hash_rows([ROW]) == hash_rows([replace(ROW, id="b", reference=(-1.5, -2.0))])


def test_a_border_between_two_rows_is_part_of_the_hash() -> None:
    one = single_rows(["a"], [example([1, 2], [3])])
    two = single_rows(["a", "b"], [example([1], [2]), example([3], [4])])
    moved = single_rows(["a", "b"], [example([1], [2, 3]), example([4], [5])])
    assert len({hash_rows(rows) for rows in (one, two, moved)}) == 3
