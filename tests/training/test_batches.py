import json
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from tunewise.data.chat import Span, TokenisedExample, answer_tokens
from tunewise.data.read import read_examples
from tunewise.models import hub
from tunewise.training.batches import (
    LENGTH_STEP,
    MICRO_TOKENS,
    batches,
    collate,
    order,
    shared_prefixes,
)

LENGTHS = st.lists(st.integers(2, 90), min_size=1, max_size=60)


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def padded(length: int) -> int:
    return (length + LENGTH_STEP - 1) // LENGTH_STEP * LENGTH_STEP


@given(lengths=LENGTHS, seed=st.integers(0, 9))
def test_every_row_comes_once_an_epoch(lengths: list[int], seed: int) -> None:
    steps = order(lengths, batch_tokens=256, rng=rng(seed))
    assert sorted(row for step in steps for row in step) == list(range(len(lengths)))


@given(lengths=LENGTHS, budget=st.integers(16, 400))
def test_a_step_keeps_to_its_budget_padding_included_unless_one_row_alone_exceeds_it(
    lengths: list[int], budget: int
) -> None:
    for step in order(lengths, batch_tokens=budget, rng=rng()):
        longest = max(padded(lengths[row]) for row in step)
        assert len(step) * longest <= budget or len(step) == 1


@given(lengths=LENGTHS)
def test_the_number_of_steps_does_not_depend_on_the_shuffle(lengths: list[int]) -> None:
    counts = {len(order(lengths, batch_tokens=256, rng=rng(seed))) for seed in range(5)}
    assert len(counts) == 1


def test_rows_of_similar_length_share_a_step_so_that_little_is_padding() -> None:
    lengths = [int(n) for n in rng().integers(20, 120, size=300)]
    steps = order(lengths, batch_tokens=1024, rng=rng(1))
    spent = sum(len(step) * max(padded(lengths[row]) for row in step) for step in steps)
    assert sum(lengths) / spent > 0.85
    unsorted = [range(start, min(start + 12, 300)) for start in range(0, 300, 12)]
    naive = sum(len(step) * max(padded(lengths[row]) for row in step) for step in unsorted)
    assert spent < 0.75 * naive


def test_the_shapes_of_an_epoch_are_few_and_the_same_in_the_next() -> None:
    lengths = [int(n) for n in rng().integers(20, 120, size=300)]

    def shapes(seed: int) -> set[tuple[int, int]]:
        return {
            (len(step), max(padded(lengths[row]) for row in step))
            for step in order(lengths, batch_tokens=1024, rng=rng(seed))
        }

    assert len(shapes(1)) <= 12
    assert shapes(1) == shapes(2)


def test_rows_change_partners_and_steps_change_places_from_epoch_to_epoch() -> None:
    lengths = [30] * 40
    first, second = (order(lengths, batch_tokens=256, rng=rng(seed)) for seed in (1, 2))
    assert [sorted(step) for step in first] != [sorted(step) for step in second]
    assert first == order(lengths, batch_tokens=256, rng=rng(1))


def row(*token_ids: int, answer_start: int) -> TokenisedExample:
    answer = Span(answer_start, len(token_ids))
    return TokenisedExample(token_ids=token_ids, answers=(answer,))


def test_a_batch_marks_its_tokens_and_where_the_next_token_is_part_of_the_answer() -> None:
    batch = collate([row(5, 6, 7, 8, answer_start=2), row(9, 4, answer_start=1)], pad=3)
    assert batch.token_ids.shape == (2, 16)
    assert batch.token_ids[:, :5].tolist() == [[5, 6, 7, 8, 3], [9, 4, 3, 3, 3]]
    assert batch.attention[:, :5].tolist() == [[1, 1, 1, 1, 0], [1, 1, 0, 0, 0]]
    assert batch.loss.nonzero().tolist() == [[0, 1], [0, 2], [1, 0]]
    assert batch.tokens == 6


def test_answers_of_weight_1_carry_loss_and_those_of_weight_0_do_not(
    small_folder: Path, tmp_path: Path
) -> None:
    turns = [
        {"role": "user", "content": "Where is it?"},
        {"role": "assistant", "content": "the tent"},
        {"role": "user", "content": "And?"},
        {"role": "assistant", "content": "my money", "weight": 0},
        {"role": "user", "content": "So?"},
        {"role": "assistant", "content": "the boots", "weight": 1},
        {"role": "user", "content": "Well?"},
        {"role": "assistant", "content": "wrong street", "weight": 0},
    ]
    file = tmp_path / "rows.jsonl"
    file.write_text(json.dumps({"messages": turns}))
    (example,) = read_examples(file).examples
    tokenizer = hub.load_tokenizer(small_folder)
    batch = collate([answer_tokens(tokenizer, example.messages, example.target)], pad=0)
    learnt = batch.token_ids.roll(-1, dims=1)[batch.loss].tolist()
    assert tokenizer.decode(learnt) == "the tent<|im_end|>the boots<|im_end|>"
    assert "my money" in str(tokenizer.decode(batch.token_ids[0].tolist()))
    assert "wrong street" not in str(tokenizer.decode(batch.token_ids[0].tolist()))


@pytest.mark.parametrize(("length", "wide"), [(15, 16), (16, 16), (17, 32)])
def test_a_batch_is_a_whole_number_of_steps_wide(length: int, wide: int) -> None:
    batch = collate([row(*range(length), answer_start=1)], pad=0)
    assert batch.token_ids.shape == (1, wide)


def test_an_epoch_learns_from_every_answer_token_once() -> None:
    rows = [row(*range(n), answer_start=n // 2) for n in range(4, 60)]
    steps = list(batches(rows, batch_tokens=1024, pad=0, rng=rng()))
    made = [batch for step in steps for batch in step]
    assert len(made) > len(steps)
    assert all(batch.token_ids.numel() <= MICRO_TOKENS for batch in made)
    assert all(sum(b.token_ids.numel() for b in step) <= 1024 for step in steps)
    assert sum(int(batch.loss.sum()) for batch in made) == sum(one.loss_tokens for one in rows)
    assert sum(batch.tokens for batch in made) == sum(len(one.token_ids) for one in rows)
    assert all(torch.equal(batch.attention.sum(), torch.tensor(batch.tokens)) for batch in made)


LONG, OTHER = tuple(range(100, 140)), tuple(range(200, 230))


def begun(*beginning: int, n: int) -> TokenisedExample:
    """A row with 10 tokens of its own, the last 4 its answer."""
    own = tuple(1000 + 10 * n + k for k in range(10))
    return row(*beginning, *own, answer_start=len(beginning) + 6)


def test_rows_that_begin_alike_are_a_family() -> None:
    rows = [
        *(begun(*LONG, n=n) for n in range(3)),
        *(begun(*OTHER, n=n) for n in range(3, 5)),
        begun(*LONG[:20], n=5),
        begun(n=6),
    ]
    assert shared_prefixes(rows) == [40, 40, 40, 30, 30, 0, 0]


def test_a_family_is_not_cut_short_for_a_row_that_shares_little() -> None:
    few = [begun(*LONG, n=0), begun(*LONG[:20], n=1)]
    assert shared_prefixes(few) == [20, 20]
    many = [*(begun(*LONG, n=n) for n in range(9)), begun(*LONG[:20], n=9)]
    assert shared_prefixes(many) == [40] * 9 + [0]


def test_a_prefix_ends_before_the_first_token_with_loss() -> None:
    rows = [row(*LONG, n, answer_start=30) for n in range(3)]
    assert shared_prefixes(rows) == [29] * 3
    twice = [row(*LONG, answer_start=39), row(*LONG, answer_start=39)]
    assert shared_prefixes(twice) == [38, 38]


def test_a_short_beginning_is_not_shared() -> None:
    assert shared_prefixes([begun(*LONG[:15], n=n) for n in range(4)]) == [0] * 4


def test_a_batch_holds_its_prefix_once_and_loses_nothing() -> None:
    rows = [
        *(begun(*LONG, n=n) for n in range(40)),
        *(begun(*OTHER, n=n) for n in range(40, 60)),
        *(begun(n=n) for n in range(60, 70)),
    ]
    prefixes = shared_prefixes(rows)
    made = [
        batch
        for step in batches(rows, batch_tokens=1024, pad=0, rng=rng(), prefixes=prefixes)
        for batch in step
    ]
    seen = [
        (*batch.prefix.tolist(), *ids[mask.bool()].tolist())
        for batch in made
        for ids, mask in zip(batch.token_ids, batch.attention, strict=True)
    ]
    assert sorted(seen) == sorted(one.token_ids for one in rows)
    assert sum(int(batch.loss.sum()) for batch in made) == sum(one.loss_tokens for one in rows)
    assert sum(batch.tokens for batch in made) == sum(len(one.token_ids) for one in rows)
    computed = sum(batch.prefix.numel() + int(batch.attention.sum()) for batch in made)
    assert computed < 0.5 * sum(len(one.token_ids) for one in rows)
