import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate, pairwise
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from tunewise.chat.tokenize import Span, TokenisedExample, answer_tokens
from tunewise.data.read import read_examples
from tunewise.models import loading
from tunewise.training.packing import (
    LENGTH_STEP,
    MIN_PREFIX,
    Batch,
    epoch_steps,
    micro_batches,
    order,
    pack,
    shared_prefixes,
)
from tunewise.training.rows import Row, single_rows

UNHURRIED = settings(max_examples=60, deadline=None)
LENGTHS = st.lists(st.integers(2, 90), min_size=1, max_size=60)
LONG, OTHER = tuple(range(100, 140)), tuple(range(200, 230))


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.default_rng(seed)


def sequence(*token_ids: int, answer_start: int) -> TokenisedExample:
    return TokenisedExample(token_ids=token_ids, answers=(Span(answer_start, len(token_ids)),))


def begun(*beginning: int, n: int) -> TokenisedExample:
    """10 tokens of its own behind a beginning, the last 4 its answer."""
    own = tuple(1000 + 10 * n + k for k in range(10))
    return sequence(*beginning, *own, answer_start=len(beginning) + 6)


def rows_of(sequences: Sequence[TokenisedExample]) -> list[Row]:
    return single_rows([str(n) for n in range(len(sequences))], sequences)


def rows_of_length(lengths: Sequence[int]) -> list[Row]:
    return rows_of([sequence(*([n % 7] * n), answer_start=n - 1) for n in lengths])


@st.composite
def sequences(draw: st.DrawFn) -> TokenisedExample:
    """Of few different tokens, in runs, so that many begin alike; with one answer or two."""
    runs = draw(st.lists(st.tuples(st.integers(0, 1), st.integers(1, 30)), min_size=1, max_size=4))
    prompt = [token for token, times in runs for _ in range(times)]
    prompt += draw(st.lists(st.integers(2, 9), max_size=20))
    answer = draw(st.lists(st.integers(2, 9), min_size=1, max_size=6))
    spans = [Span(len(prompt), len(prompt) + len(answer))]
    if len(prompt) > 3 and draw(st.booleans()):
        start = draw(st.integers(1, len(prompt) - 2))
        spans.insert(0, Span(start, start + 1))
    return TokenisedExample(token_ids=(*prompt, *answer), answers=tuple(spans))


ROWS = st.lists(sequences(), min_size=1, max_size=12).map(rows_of)
PAIRS = st.lists(
    st.tuples(sequences(), sequences()).map(lambda two: Row(id="", sequences=two)),
    min_size=1,
    max_size=10,
)


# Steps of an epoch.


@UNHURRIED
@given(lengths=LENGTHS, seed=st.integers(0, 9))
def test_every_row_comes_once_an_epoch(lengths: list[int], seed: int) -> None:
    steps = order(lengths, batch_tokens=256, rng=rng(seed))
    assert sorted(row for step in steps for row in step) == list(range(len(lengths)))


@UNHURRIED
@given(lengths=LENGTHS, budget=st.integers(16, 400))
def test_a_step_keeps_to_its_budget_unless_one_row_alone_exceeds_it(
    lengths: list[int], budget: int
) -> None:
    for step in order(lengths, batch_tokens=budget, rng=rng()):
        assert sum(lengths[row] for row in step) <= budget or len(step) == 1


@UNHURRIED
@given(lengths=LENGTHS)
def test_a_step_ends_only_where_the_next_row_does_not_fit(lengths: list[int]) -> None:
    steps = order(lengths, batch_tokens=256, rng=rng())
    for step, following in pairwise(steps):
        assert sum(lengths[row] for row in (*step, following[0])) > 256


def test_the_order_is_decided_by_the_random_numbers_alone() -> None:
    lengths = [30] * 40
    first, second = (order(lengths, batch_tokens=256, rng=rng(seed)) for seed in (1, 2))
    assert first == order(lengths, batch_tokens=256, rng=rng(1))
    assert [sorted(step) for step in first] != [sorted(step) for step in second]


def test_without_replay_an_epoch_is_the_rows_alone() -> None:
    rows, general = rows_of_length([20, 30, 40]), rows_of_length([25])
    for replay, share in (((), 0.5), (general, 0.0)):
        steps = epoch_steps(rows, replay, batch_tokens=64, replay_share=share, rng=rng())
        assert Counter(row.id for step in steps for row in step) == Counter("012")


@UNHURRIED
@given(
    lengths=st.lists(st.integers(2, 90), min_size=5, max_size=60),
    general=st.lists(st.integers(2, 90), min_size=1, max_size=20),
    share=st.floats(0.05, 1.5),
)
def test_replayed_tokens_are_the_asked_share_to_half_a_row_after_every_step(
    lengths: list[int], general: list[int], share: float
) -> None:
    steps = epoch_steps(
        rows_of_length(lengths),
        rows_of_length(general),
        batch_tokens=256,
        replay_share=share,
        rng=rng(),
    )
    own = accumulate(sum(row.tokens for row in step if not row.replayed) for step in steps)
    replayed = accumulate(sum(row.tokens for row in step if row.replayed) for step in steps)
    for tokens, more in zip(own, replayed, strict=True):
        assert abs(more - share * tokens) <= max(general) / 2 + 1e-6


@UNHURRIED
@given(
    general=st.lists(st.integers(2, 90), min_size=1, max_size=20),
    share=st.floats(0.1, 2),
    seed=st.integers(0, 5),
)
def test_every_general_row_is_replayed_before_any_comes_again(
    general: list[int], share: float, seed: int
) -> None:
    rows, replay = rows_of_length([60] * 30), rows_of_length(general)
    steps = epoch_steps(rows, replay, batch_tokens=256, replay_share=share, rng=rng(seed))
    turns = [row.id for step in steps for row in step if row.replayed]
    times = Counter({row.id: 0 for row in replay} | Counter(turns))
    assert max(times.values()) - min(times.values()) <= 1
    assert sorted(turns[: len(replay)]) == sorted({*turns[: len(replay)]})


def test_replay_neither_loses_a_row_nor_changes_one_but_for_its_mark() -> None:
    rows, replay = rows_of_length([50, 20, 70, 30]), rows_of_length([25, 35])
    steps = epoch_steps(rows, replay, batch_tokens=90, replay_share=0.5, rng=rng())
    taken = [row for step in steps for row in step]
    assert sorted(row.tokens for row in taken if not row.replayed) == [20, 30, 50, 70]
    assert {replace(row, replayed=False) for row in taken if row.replayed} <= {*replay}
    assert all(step[0].replayed is False for step in steps)


# Rows that begin alike.


def test_rows_that_begin_alike_are_a_family() -> None:
    rows = [
        *(begun(*LONG, n=n) for n in range(3)),
        *(begun(*OTHER, n=n) for n in range(3, 5)),
        begun(*LONG[:20], n=5),
        begun(n=6),
    ]
    assert shared_prefixes(rows) == [40, 40, 40, 30, 30, 0, 0]


@pytest.mark.parametrize("own", [0, 2000])
def test_a_family_is_not_cut_short_for_a_row_that_shares_little(own: int) -> None:
    """Wherever that row stands in the order of token ids, before the family or behind it."""
    little = sequence(*LONG[:20], *range(own, own + 10), answer_start=26)
    assert shared_prefixes([begun(*LONG, n=0), little]) == [20, 20]
    many = [*(begun(*LONG, n=n) for n in range(9)), little]
    assert shared_prefixes(many) == [40] * 9 + [0]


def test_families_are_one_where_all_begin_with_nearly_as_much() -> None:
    """As pairs of answers behind one instruction: each pair shares a little more."""
    pairs = [begun(*LONG, pair, pair, n=n) for n, pair in enumerate((1, 1, 2, 2, 3, 3))]
    assert shared_prefixes(pairs) == [40] * 6


def test_a_prefix_ends_before_the_first_token_with_loss() -> None:
    rows = [sequence(*LONG, n, answer_start=30) for n in range(3)]
    assert shared_prefixes(rows) == [29] * 3
    twice = [sequence(*LONG, answer_start=39), sequence(*LONG, answer_start=39)]
    assert shared_prefixes(twice) == [38, 38]


def test_an_earlier_answer_ends_the_prefix_too() -> None:
    talk = TokenisedExample(token_ids=(*LONG, *OTHER), answers=(Span(20, 25), Span(60, 70)))
    assert shared_prefixes([talk, talk]) == [19, 19]


def test_a_short_beginning_is_not_shared() -> None:
    rows = [begun(*LONG[: MIN_PREFIX - 1], n=n) for n in range(4)]
    assert shared_prefixes(rows) == [0] * 4


@UNHURRIED
@given(rows=ROWS)
def test_a_family_begins_alike_before_its_loss(rows: list[Row]) -> None:
    every = [row.sequences[0] for row in rows]
    prefixes = shared_prefixes(every)
    families = Counter(one.token_ids[:n] for one, n in zip(every, prefixes, strict=True))
    for one, n in zip(every, prefixes, strict=True):
        assert n == 0 or MIN_PREFIX <= n < one.answers[0].start
        assert n == 0 or families[one.token_ids[:n]] > 1


# Batches of a step.


@UNHURRIED
@given(rows=ROWS, budget=st.integers(1, 300), share=st.booleans())
def test_every_row_is_in_one_batch_of_its_step(rows: list[Row], budget: int, share: bool) -> None:
    made = micro_batches(rows, micro_tokens=budget, share=share)
    assert sorted(row.id for batch in made for row in batch.rows) == sorted(row.id for row in rows)


@UNHURRIED
@given(rows=st.one_of(ROWS, PAIRS), budget=st.integers(20, 300), share=st.booleans())
def test_a_batch_keeps_to_its_budget_unless_one_row_alone_exceeds_it(
    rows: list[Row], budget: int, share: bool
) -> None:
    for batch in micro_batches(rows, micro_tokens=budget, share=share):
        assert len(batch.token_ids) <= budget or len(batch.rows) == 1


@UNHURRIED
@given(rows=PAIRS, budget=st.integers(1, 300))
def test_the_sequences_of_a_row_stay_together_and_in_order(rows: list[Row], budget: int) -> None:
    for batch in micro_batches(rows, micro_tokens=budget):
        assert batch.sequences == 2 * len(batch.rows)
        learnt = [batch.targets[batch.owners == n].tolist() for n in range(batch.sequences)]
        assert learnt == [answered(one) for row in batch.rows for one in row.sequences]


def test_a_long_prompt_that_only_some_sequences_have_counts_as_often_as_it_stands() -> None:
    """As in distillation: the student's sequence begins like no teacher's."""
    rows = [
        Row(id=str(n), sequences=(begun(*OTHER, n=n), begun(*LONG, *range(300 + n, 400 + n), n=n)))
        for n in range(6)
    ]
    made = micro_batches(rows, micro_tokens=400)
    assert all(len(batch.token_ids) <= 400 for batch in made)
    assert len(made) < 6


def test_families_stay_together_as_far_as_the_budget_goes() -> None:
    few = [begun(*LONG, n=n) for n in range(5)]
    more = [begun(*OTHER, n=n) for n in range(5, 10)]
    mixed = rows_of([one for two in zip(few, more, strict=True) for one in two])
    made = micro_batches(mixed, micro_tokens=95)
    prefixes = [{row.sequences[0].token_ids[:30] for row in batch.rows} for batch in made]
    assert [len(found) for found in prefixes] == [1, 1]
    assert sorted(len(batch.token_ids) for batch in made) == [30 + 50, 40 + 50]


def test_without_sharing_a_budget_holds_fewer_rows() -> None:
    rows = rows_of([begun(*LONG, n=n) for n in range(20)])
    assert len(micro_batches(rows, micro_tokens=250)) == 1
    assert len(micro_batches(rows, micro_tokens=250, share=False)) == 4


def test_replayed_rows_stand_apart() -> None:
    rows = rows_of([begun(*LONG, n=n) for n in range(4)])
    step = [replace(row, replayed=n % 2 == 1) for n, row in enumerate(rows)]
    made = micro_batches(step, micro_tokens=1000)
    assert [{row.replayed for row in batch.rows} for batch in made] == [{False}, {True}]


# One batch.


def answered(one: TokenisedExample) -> list[int]:
    return [token for start, stop in one.answers for token in one.token_ids[start:stop]]


def context(batch: Batch, token: int) -> list[int]:
    """What a token of a batch sees through its group, in the order of positions."""
    width = [group.queries.shape[1] for group in batch.groups]
    sizes = [group.queries.numel() for group in batch.groups]
    place = int(batch.places[token])
    ends = list(accumulate(sizes))
    number = next(n for n, end in enumerate(ends) if place < end)
    group = batch.groups[number]
    row, column = divmod(place - ends[number] + sizes[number], width[number])
    assert int(group.queries[row, column]) == token
    seen = group.keys[row][: column + 1] if group.mask is None else group.keys[row]
    if group.mask is not None:
        seen = seen[group.mask[row, 0, column]]
    positions = batch.positions[seen]
    assert positions.tolist() == list(range(len(positions)))
    return batch.token_ids[seen].tolist()


@UNHURRIED
@given(rows=st.one_of(ROWS, PAIRS), share=st.booleans())
def test_loss_is_on_exactly_the_answers_tokens_of_each_sequence(
    rows: list[Row], share: bool
) -> None:
    batch = pack(rows, share=share)
    every = [one for row in rows for one in row.sequences]
    assert batch.sequences == len(every)
    for owner, one in enumerate(every):
        assert batch.targets[batch.owners == owner].tolist() == answered(one)
    assert len(batch.loss_at) == sum(one.loss_tokens for one in every)


@UNHURRIED
@given(rows=st.one_of(ROWS, PAIRS), share=st.booleans())
def test_what_predicts_an_answers_token_sees_all_before_it_in_its_sequence_and_no_more(
    rows: list[Row], share: bool
) -> None:
    batch = pack(rows, share=share)
    every = [one for row in rows for one in row.sequences]
    before = [one.token_ids[:n] for one in every for span in one.answers for n in range(*span)]
    seen = [tuple(context(batch, int(token))) for token in batch.loss_at]
    assert seen == before


@UNHURRIED
@given(rows=st.one_of(ROWS, PAIRS))
def test_no_token_stands_twice_where_one_would_do(rows: list[Row]) -> None:
    batch = pack(rows)
    every = [one for row in rows for one in row.sequences]
    lengths = shared_prefixes(every)
    prefixes = {one.token_ids[:n] for one, n in zip(every, lengths, strict=True)}
    rests = sum(len(one.token_ids) - n for one, n in zip(every, lengths, strict=True))
    assert len(batch.token_ids) == rests + sum(map(len, prefixes))


def test_a_shared_beginning_stands_once_and_the_rests_go_on_from_it() -> None:
    batch = pack(rows_of([begun(*LONG, n=1), begun(*LONG, n=2)]))
    assert batch.token_ids.tolist() == [*LONG, *range(1010, 1020), *range(1020, 1030)]
    assert batch.positions.tolist() == [*range(40), *range(40, 50), *range(40, 50)]
    assert batch.loss_at.tolist() == [45, 46, 47, 48, 55, 56, 57, 58]
    assert batch.targets.tolist() == [*range(1016, 1020), *range(1026, 1030)]
    assert batch.owners.tolist() == [0] * 4 + [1] * 4
    assert (batch.longest, batch.tokens) == (50, 100)


def test_rows_without_a_common_beginning_stand_end_to_end_without_padding() -> None:
    rows = rows_of(
        [sequence(5, 6, 7, 8, answer_start=2), sequence(9, 4, answer_start=1), begun(n=0)]
    )
    batch = pack(rows)
    assert batch.token_ids.tolist() == [5, 6, 7, 8, 9, 4, *range(1000, 1010)]
    assert batch.positions.tolist() == [*range(4), 0, 1, *range(10)]
    assert all(group.mask is None for group in batch.groups)


def test_without_sharing_every_row_has_its_own_beginning() -> None:
    batch = pack(rows_of([begun(*LONG, n=n) for n in range(3)]), share=False)
    assert len(batch.token_ids) == batch.tokens == 150
    assert all(group.mask is None for group in batch.groups)


@pytest.mark.parametrize(("length", "wide"), [(15, 16), (16, 16), (17, 32)])
def test_inside_attention_a_row_is_a_whole_number_of_steps_wide(length: int, wide: int) -> None:
    (group,) = pack(rows_of([sequence(*range(length), answer_start=1)])).groups
    assert LENGTH_STEP == 16
    assert group.queries.shape == group.keys.shape == (1, wide)


def test_rows_of_very_different_lengths_are_not_padded_to_one() -> None:
    batch = pack(rows_of_length([400, 390, 30, 25, 20, 17]), share=False)
    assert [tuple(group.queries.shape) for group in batch.groups] == [(2, 400), (4, 32)]


def test_the_batch_of_a_row_alone_is_the_row() -> None:
    batch = pack(rows_of([begun(*LONG, n=0)]))
    assert batch.token_ids.tolist() == [*LONG, *range(1000, 1010)]
    assert batch.positions.tolist() == list(range(50))


def test_a_batch_moves_as_a_whole() -> None:
    batch = pack(rows_of([begun(*LONG, n=n) for n in range(3)]))
    moved = batch.to("meta")
    tensors = [moved.token_ids, moved.positions, moved.places, moved.loss_at]
    tensors += [moved.targets, moved.owners]
    tensors += [part for group in moved.groups for part in (group.queries, group.keys)]
    tensors += [group.mask for group in moved.groups if group.mask is not None]
    assert {tensor.device for tensor in tensors} == {torch.device("meta")}
    assert moved.rows == batch.rows


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
    tokenizer = loading.load_tokenizer(small_folder)
    batch = pack(rows_of([answer_tokens(tokenizer, example.messages, example.target)]))
    assert tokenizer.decode(batch.targets.tolist()) == "the tent<|im_end|>the boots<|im_end|>"
    text = str(tokenizer.decode(batch.token_ids.tolist()))
    assert "my money" in text
    assert "wrong street" not in text
