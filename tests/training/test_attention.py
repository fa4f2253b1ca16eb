"""Packed batches against the same rows one by one through plain transformers."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import peft
import pytest
import torch
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn.functional import cross_entropy

from small_models import build
from tunewise.chat.tokenize import Span, TokenisedExample
from tunewise.models import loading
from tunewise.training import attention
from tunewise.training.attention import (
    NAME,
    attend,
    is_packed,
    packed_attention,
    plain_model,
    try_packing,
)
from tunewise.training.fused_layers import fuse_adapters, fuse_norms
from tunewise.training.objectives import answer_logits
from tunewise.training.packing import Batch, micro_batches, pack
from tunewise.training.rows import Row, single_rows

WINDOW = 8
"""Tokens of the sliding windows here: shorter than nearly every row and shared beginning."""
PACKED: dict[str, dict[str, Any]] = {
    "llama": {},  # four heads share two pairs of keys and values
    "qwen2": {},  # biases
    "gemma3_text": {
        "num_hidden_layers": 3,
        "layer_types": ["sliding_attention", "full_attention", "sliding_attention"],
        "sliding_window": WINDOW,
        "head_dim": 32,
        "query_pre_attn_scalar": 24,
    },
    "mistral": {"sliding_window": WINDOW},
    "granite": {"logits_scaling": 4.0, "attention_multiplier": 0.3},
}
CLOSE = 1e-5
"""Relative to the largest value."""


def folder_of(tmp_path_factory: pytest.TempPathFactory, family: str, **config: Any) -> Path:
    return build(tmp_path_factory.mktemp("hub") / family, family=family, **config)


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {family: folder_of(tmp_path_factory, family, **PACKED[family]) for family in PACKED}


@pytest.fixture(scope="module")
def llama(folders: dict[str, Path]) -> Any:
    """Packed already. Read only."""
    model = loading.load_model(folders["llama"])
    assert try_packing(model)
    return model


@pytest.fixture
def fused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every size counts as large."""
    monkeypatch.setattr(attention, "_LARGE", 0)


def tokens(n: int, *, seed: int) -> tuple[int, ...]:
    return tuple(int(t) for t in np.random.default_rng(seed).integers(3, 390, size=n))


def row(*token_ids: int, answer: int) -> TokenisedExample:
    """The last `answer` tokens carry loss."""
    n = len(token_ids)
    return TokenisedExample(token_ids=token_ids, answers=(Span(n - answer, n),))


LONG, OTHER = tokens(60, seed=1), tokens(24, seed=2)
TALK = (*LONG, *tokens(30, seed=3))
SEQUENCES = [
    row(*LONG, *tokens(3, seed=4), answer=2),  # its beginning is far longer than its rest
    row(*OTHER, *tokens(50, seed=5), answer=9),
    row(*LONG, *tokens(80, seed=6), answer=30),
    row(*tokens(150, seed=7), answer=12),  # begins like no other
    row(*OTHER, *tokens(17, seed=8), answer=5),
    row(3, 4, answer=1),
    TokenisedExample(token_ids=TALK, answers=(Span(66, 70), Span(85, 90))),
    row(*tokens(33, seed=9), answer=32),
]


def packed(sequences: Sequence[TokenisedExample], *, share: bool = True) -> Batch:
    return pack(single_rows([str(n) for n in range(len(sequences))], sequences), share=share)


def one_by_one(model: Any, sequences: Sequence[TokenisedExample]) -> torch.Tensor:
    """(losses, vocabulary) logits of the same tokens, each row alone through plain transformers."""
    logits = []
    for one in sequences:
        every = model(input_ids=torch.tensor([one.token_ids]), use_cache=False).logits[0]
        logits += [every[start - 1 : stop - 1] for start, stop in one.answers]
    return torch.cat(logits)


def gradients(
    model: Any, logits: Callable[[], torch.Tensor], targets: torch.Tensor
) -> list[torch.Tensor]:
    """Of the mean negative log-likelihood, by weight."""
    model.zero_grad(set_to_none=True)
    cross_entropy(logits().float(), targets).backward()
    return [w.grad.clone() for w in model.parameters() if w.grad is not None]


def assert_close(found: torch.Tensor, wanted: torch.Tensor, *, near: float = CLOSE) -> None:
    assert found.shape == wanted.shape
    found, wanted = found.detach(), wanted.detach()
    assert float((found - wanted).abs().max()) <= near * float(wanted.abs().max())
    assert float(wanted.abs().max()) > 1e-3


# Models that can be packed.


@pytest.mark.parametrize("share", [True, False], ids=["shared", "apart"])
@pytest.mark.parametrize("family", PACKED)
def test_packed_logits_are_those_of_each_row_alone(
    family: str, share: bool, folders: dict[str, Path]
) -> None:
    model = loading.load_model(folders[family])
    with torch.no_grad():
        alone = one_by_one(model, SEQUENCES)
        assert try_packing(model)
        assert_close(answer_logits(model, packed(SEQUENCES, share=share)), alone)


@pytest.mark.parametrize("share", [True, False], ids=["shared", "apart"])
@pytest.mark.parametrize("family", PACKED)
def test_packed_gradients_are_those_of_each_row_alone(
    family: str, share: bool, folders: dict[str, Path]
) -> None:
    model = loading.load_model(folders[family])
    batch = packed(SEQUENCES, share=share)
    wanted = gradients(model, lambda: one_by_one(model, SEQUENCES), batch.targets)
    assert try_packing(model)
    found = gradients(model, lambda: answer_logits(model, batch), batch.targets)
    assert len(found) == len(wanted) == len(list(model.parameters()))
    for one, other in zip(found, wanted, strict=True):
        assert_close(one, other, near=3 * CLOSE)


def test_these_rows_share_beginnings_of_several_families() -> None:
    batch = packed(SEQUENCES)
    assert len(batch.token_ids) == batch.tokens - 2 * len(LONG) - len(OTHER)
    assert [group.mask is None for group in batch.groups].count(False) >= 2


@pytest.mark.parametrize("number", range(len(SEQUENCES)))
def test_a_row_alone_in_its_batch_is_computed_like_any(number: int, llama: Any) -> None:
    with torch.no_grad():
        every = answer_logits(llama, packed(SEQUENCES))
        alone = answer_logits(llama, packed([SEQUENCES[number]]))
    assert_close(alone, every[packed(SEQUENCES).owners == number])


@settings(max_examples=25, deadline=None)
@given(
    families=st.lists(
        st.tuples(st.integers(1, 70), st.lists(st.integers(1, 60), min_size=1, max_size=4)),
        min_size=1,
        max_size=4,
    )
)
def test_whatever_the_lengths_the_logits_are_the_same(
    families: list[tuple[int, list[int]]], llama: Any
) -> None:
    sequences = [
        row(*tokens(before, seed=n), *tokens(rest, seed=100 * n + k), answer=rest)
        for n, (before, rests) in enumerate(families)
        for k, rest in enumerate(rests)
    ]
    with torch.no_grad():
        apart = [answer_logits(llama, packed([one])) for one in sequences]
        assert_close(answer_logits(llama, packed(sequences)), torch.cat(apart))


@pytest.mark.parametrize("changed", [0, 2, 3, 5])
@pytest.mark.parametrize("share", [True, False], ids=["shared", "apart"])
def test_rows_do_not_see_each_other(changed: int, share: bool, llama: Any) -> None:
    """Other tokens in one row's own part leave the logits of all others as they were."""
    own = len(LONG) if changed in (0, 2) else 0
    ids = SEQUENCES[changed].token_ids
    other = (*ids[:own], *(3 + (token + 5) % 380 for token in ids[own:]))
    assert len(other) == len(ids)
    sequences = list(SEQUENCES)
    sequences[changed] = TokenisedExample(token_ids=other, answers=SEQUENCES[changed].answers)
    before, after = packed(SEQUENCES, share=share), packed(sequences, share=share)
    assert torch.equal(before.positions, after.positions)
    with torch.no_grad():
        found = [answer_logits(llama, batch) for batch in (before, after)]
    others = before.owners != changed
    assert_close(found[1][others], found[0][others], near=1e-6)
    assert float((found[1] - found[0])[~others].abs().max()) > 0.1


def test_a_row_sees_its_shared_beginning(llama: Any) -> None:
    flipped = [row(*LONG[::-1], *one.token_ids[60:], answer=2) for one in SEQUENCES[:1] * 2]
    with torch.no_grad():
        before = answer_logits(llama, packed(SEQUENCES[:1] * 2))
        assert float((answer_logits(llama, packed(flipped)) - before).abs().max()) > 0.1


def test_a_window_hides_what_lies_further_back_even_in_the_shared_beginning(
    folders: dict[str, Path],
) -> None:
    """Two layers see 2 (window - 1) tokens back, and no more."""
    model = loading.load_model(folders["mistral"])
    assert try_packing(model)
    rests = [tokens(10, seed=seed) for seed in (10, 11)]

    def logits(beginning: tuple[int, ...]) -> torch.Tensor:
        batch = packed([row(*beginning, *rest, answer=9) for rest in rests])
        assert len(batch.token_ids) == len(beginning) + 20
        with torch.no_grad():
            return answer_logits(model, batch)

    # The first answer's token is predicted at the 61st.
    hidden, seen = LONG[: 60 - 2 * (WINDOW - 1)], LONG[60 - 2 * (WINDOW - 1) :]
    assert torch.equal(logits((*hidden[::-1], *seen)), logits(LONG))
    assert not torch.equal(logits((*hidden, seen[1], *seen[1:])), logits(LONG))


@pytest.mark.parametrize("length", [WINDOW, WINDOW + 1, WINDOW + 2, 2 * WINDOW])
def test_a_window_begins_to_hide_where_a_row_becomes_longer(
    length: int, folders: dict[str, Path]
) -> None:
    model = loading.load_model(folders["mistral"])
    rows = [row(*tokens(length, seed=seed), answer=2) for seed in (12, 13)]
    with torch.no_grad():
        alone = one_by_one(model, rows)
        assert try_packing(model)
        assert_close(answer_logits(model, packed(rows)), alone)


# Large sizes.


@pytest.mark.usefixtures("fused")
@pytest.mark.parametrize("family", PACKED)
def test_large_sizes_go_through_the_fused_kernel_with_the_same_logits_and_gradients(
    family: str, folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = loading.load_model(folders[family])
    batch = packed(SEQUENCES)
    with torch.no_grad():
        logits = one_by_one(model, SEQUENCES)
    wanted = gradients(model, lambda: one_by_one(model, SEQUENCES), batch.targets)
    assert try_packing(model)
    monkeypatch.setattr(torch, "softmax", None)  # what writes weights out could not
    assert_close(answer_logits(model, batch).detach(), logits)
    found = gradients(model, lambda: answer_logits(model, batch), batch.targets)
    for one, other in zip(found, wanted, strict=True):
        assert_close(one, other, near=3 * CLOSE)


def test_small_sizes_are_written_out(llama: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", None)
    assert answer_logits(llama, packed(SEQUENCES)).isfinite().all()


@pytest.mark.parametrize("large", [True, False], ids=["fused", "written out"])
def test_attention_is_the_formula_of_its_paper(
    large: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attention, "_LARGE", 0 if large else 1 << 40)
    generator = torch.Generator().manual_seed(0)
    query, key, value = (torch.randn(2, heads, 5, 8, generator=generator) for heads in (6, 3, 3))
    found = attend(query, key, value, None, scaling=0.25, dropout=0.0)
    for head in range(6):
        scores = 0.25 * query[:, head] @ key[:, head // 2].mT
        scores[:, ~torch.ones(5, 5, dtype=torch.bool).tril()] = -torch.inf
        wanted = scores.exp() / scores.exp().sum(-1, keepdim=True) @ value[:, head // 2]
        assert_close(found[:, head], wanted)


@pytest.mark.parametrize("large", [True, False], ids=["fused", "written out"])
def test_dropped_weights_are_made_up_for_by_the_others(
    large: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attention, "_LARGE", 0 if large else 1 << 40)
    torch.manual_seed(0)
    query = torch.randn(1, 1, 4, 8).expand(400, 2, 4, 8)
    value = torch.ones(400, 2, 4, 8)
    found = attend(query, query, value, None, scaling=0.1, dropout=0.5)
    assert float(found.std()) > 0.1
    assert float(found.mean()) == pytest.approx(1, abs=0.05)


# Ways to train.


@pytest.mark.parametrize("family", ["llama", "gemma3_text"])
def test_activations_computed_a_second_time_give_the_same_gradients(
    family: str, folders: dict[str, Path]
) -> None:
    batch = packed(SEQUENCES)
    found: list[list[torch.Tensor]] = []
    layers: list[int] = []
    for saves_memory in (False, True):
        model = loading.load_model(folders[family])
        assert try_packing(model)
        if saves_memory:
            model.gradient_checkpointing_enable()
        model.train()
        calls: list[object] = []
        layer = model.get_decoder().layers[0].input_layernorm
        layer.register_forward_hook(lambda *_, calls=calls: calls.append(_))
        found.append(gradients(model, lambda m=model: answer_logits(m, batch), batch.targets))
        layers.append(len(calls))
    assert layers == [1, 2]
    for one, other in zip(*found, strict=True):
        assert_close(one, other, near=1e-6)


@pytest.mark.parametrize("saves_memory", [False, True], ids=["kept", "computed again"])
def test_an_adapter_gets_the_gradients_that_plain_transformers_gives(
    saves_memory: bool, folders: dict[str, Path]
) -> None:
    found: list[list[torch.Tensor]] = []
    batch = packed(SEQUENCES)
    for packs in (True, False):
        torch.manual_seed(0)
        config = peft.LoraConfig(task_type="CAUSAL_LM", r=4, target_modules="all-linear")
        model: Any = peft.get_peft_model(loading.load_model(folders["llama"]), config)
        for name, weight in model.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(weight, std=0.05)
        if packs:
            assert fuse_adapters(model) == 14
            assert try_packing(model)
            if saves_memory:
                plain_model(model).gradient_checkpointing_enable()
            model.train()
        way = answer_logits if packs else one_by_one
        of = batch if packs else SEQUENCES
        found.append(gradients(model, lambda w=way, m=model, o=of: w(m, o), batch.targets))
    assert len(found[0]) == 2 * 7 * 2
    for one, other in zip(*found, strict=True):
        assert_close(one, other, near=3 * CLOSE)


@pytest.mark.parametrize("family", PACKED)
def test_in_bfloat16_the_logits_are_close(family: str, folders: dict[str, Path]) -> None:
    model = loading.load_model(folders[family])
    with torch.no_grad():
        wanted = one_by_one(model, SEQUENCES)
        assert try_packing(model)
        with torch.autocast("cpu", torch.bfloat16):
            found = answer_logits(model, packed(SEQUENCES)).float()
    assert_close(found, wanted, near=0.1)
    assert float((found - wanted).norm() / wanted.norm()) < 0.03


def in_narrow_weights(folder: Path, kind: str) -> Any:
    """A model whose weights, or those that an adapter leaves frozen, are in bfloat16."""
    if kind == "whole":
        return loading.load_model(folder, dtype=torch.bfloat16)
    config = peft.LoraConfig(target_modules="all-linear", use_dora=kind == "dora")
    model: Any = peft.get_peft_model(loading.load_model(folder), config)
    for name, weight in model.named_parameters():
        if name.endswith("base_layer.weight"):
            weight.data = weight.data.bfloat16()
    return model


@pytest.mark.parametrize("kind", ["whole", "lora", "dora"])
@pytest.mark.parametrize("family", PACKED)
def test_a_model_with_narrow_weights_can_be_packed(
    family: str, kind: str, folders: dict[str, Path]
) -> None:
    model = in_narrow_weights(folders[family], kind)
    assert try_packing(model)
    with torch.no_grad(), torch.autocast("cpu", torch.bfloat16):
        assert answer_logits(model, packed(SEQUENCES)).isfinite().all()


@pytest.mark.parametrize("kind", ["whole", "lora"])
@pytest.mark.parametrize("family", ["recurrent_gemma", "lfm2"])
def test_a_model_that_keeps_more_than_keys_and_values_is_noticed_in_narrow_weights_too(
    family: str, kind: str, folders_apart: dict[str, Path]
) -> None:
    assert not try_packing(in_narrow_weights(folders_apart[family], kind))


# Models that cannot be packed.

APART: dict[str, dict[str, Any]] = {
    "gemma2": {"head_dim": 16, "query_pre_attn_scalar": 16},  # caps attention weights, and logits
    "mamba": {},
    "recurrent_gemma": {"attention_window_size": 64},
    "lfm2": {"layer_types": ["full_attention", "conv"]},  # a token sees the two before it
    "gpt_oss": {"num_local_experts": 4, "head_dim": 16},  # attention may go nowhere
    "llama4_text": {"attention_chunk_size": 64},  # longer than what is tried
    "phimoe": {"sliding_window": 64, "num_local_experts": 4},  # tells attention of no window
    "bloom": {"n_head": 4, "n_layer": 2},  # positions are distances in the batch
}


@pytest.fixture(scope="module")
def folders_apart(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return {family: folder_of(tmp_path_factory, family, **APART[family]) for family in APART}


@pytest.fixture(params=APART)
def apart(request: pytest.FixtureRequest, folders_apart: dict[str, Path]) -> Any:
    """A model with its usual attention, whatever that is."""
    return loading.load_model(folders_apart[request.param])


def test_a_model_that_computes_otherwise_is_left_as_it_was(apart: Any) -> None:
    before = apart.config._attn_implementation
    apart.train()
    with torch.no_grad():
        usual = apart.eval()(input_ids=torch.tensor([LONG]), use_cache=False).logits
    apart.train()
    assert not try_packing(apart)
    assert apart.config._attn_implementation == before != NAME
    assert not is_packed(apart)
    assert apart.training
    with torch.no_grad():
        assert torch.equal(
            apart.eval()(input_ids=torch.tensor([LONG]), use_cache=False).logits, usual
        )


def test_a_model_that_cannot_be_packed_gives_the_logits_of_each_row_alone(apart: Any) -> None:
    with torch.no_grad():
        wanted = one_by_one(apart, SEQUENCES)
        found = answer_logits(apart, packed(SEQUENCES, share=False))
    assert_close(found, wanted)


def test_a_model_that_cannot_be_packed_gets_the_gradients_of_each_row_alone(apart: Any) -> None:
    short = [one for one in SEQUENCES if len(one.token_ids) < 70]
    batch = packed(short, share=False)
    found = gradients(apart, lambda: answer_logits(apart, batch), batch.targets)
    wanted = gradients(apart, lambda: one_by_one(apart, short), batch.targets)
    for one, other in zip(found, wanted, strict=True):
        assert float((one - other).abs().max()) <= 1e-4 * max(1, float(other.abs().max()))


@pytest.mark.parametrize("family", ["gemma2", "recurrent_gemma", "lfm2", "bloom"])
def test_layers_and_norms_of_a_model_that_cannot_be_packed_are_fused_all_the_same(
    family: str, folders_apart: dict[str, Path]
) -> None:
    config = peft.LoraConfig(task_type="CAUSAL_LM", r=4, target_modules="all-linear")
    model: Any = peft.get_peft_model(loading.load_model(folders_apart[family]), config)
    for name, weight in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(weight, std=0.05)
    batch = packed(SEQUENCES, share=False)
    wanted = gradients(model, lambda: answer_logits(model, batch), batch.targets)
    assert fuse_adapters(model) > 0
    fuse_norms(model)
    found = gradients(model, lambda: answer_logits(model, batch), batch.targets)
    for one, other in zip(found, wanted, strict=True):
        assert float((one - other).abs().max()) <= 1e-4 * max(1, float(other.abs().max()))


def test_capped_weights_are_noticed_even_where_they_hardly_matter(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    """Weights near their random start are so small that a cap of 50 leaves them alone."""
    capped = folder_of(tmp_path_factory, "gemma2", **APART["gemma2"], initializer_range=0.02)
    assert not try_packing(loading.load_model(capped))


def test_without_the_cap_the_same_model_can_be_packed(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    folder = folder_of(tmp_path_factory, "gemma2", **APART["gemma2"], attn_logit_softcapping=None)
    model: Any = transformers.AutoModelForCausalLM.from_pretrained(str(folder))
    with torch.no_grad():
        wanted = one_by_one(model, SEQUENCES)
        assert try_packing(model)
        assert_close(answer_logits(model, packed(SEQUENCES)), wanted)


def test_packed_attention_refuses_to_leave_a_cap_out() -> None:
    states = torch.zeros(1, 4, 150, 16)
    with pytest.raises(ValueError, match="caps no weights"):
        packed_attention(
            torch.nn.Identity(),
            states,
            states,
            states,
            None,
            packing=packed(SEQUENCES[3:4]),
            softcap=50.0,
        )


# What trying leaves behind.


@pytest.mark.parametrize("training", [True, False])
def test_a_trial_leaves_a_model_in_its_mode_and_without_gradients(
    training: bool, folders: dict[str, Path]
) -> None:
    model = loading.load_model(folders["llama"]).train(training)
    assert not is_packed(model)
    assert try_packing(model)
    assert is_packed(model)
    assert model.training is training
    assert all(weight.grad is None for weight in model.parameters())


def test_a_trial_uses_no_random_numbers(folders: dict[str, Path]) -> None:
    model = loading.load_model(folders["llama"]).train()
    torch.manual_seed(0)
    before = torch.get_rng_state()
    try_packing(model)
    assert torch.equal(torch.get_rng_state(), before)


def test_a_packed_model_is_tried_again_with_the_same_result(folders: dict[str, Path]) -> None:
    model = loading.load_model(folders["llama"])
    assert [try_packing(model), try_packing(model)] == [True, True]


def test_a_step_in_several_batches_has_the_logits_of_one(llama: Any) -> None:
    rows = single_rows([str(n) for n in range(len(SEQUENCES))], SEQUENCES)

    def by_row(batches: Sequence[Batch]) -> dict[str, torch.Tensor]:
        found: dict[str, torch.Tensor] = {}
        for batch in batches:
            logits = answer_logits(llama, batch)
            for n, one in enumerate(batch.rows):
                found[one.id] = logits[batch.owners == n]
        return found

    with torch.no_grad():
        whole, parts = by_row([pack(rows)]), by_row(micro_batches(rows, micro_tokens=200))
    assert len(micro_batches(rows, micro_tokens=200)) > 2
    for name, logits in whole.items():
        assert_close(parts[name], logits)


def test_sequences_of_one_row_share_their_prompt(llama: Any) -> None:
    """As the chosen and the rejected answer do."""
    answers = (row(*LONG, 5, 6, answer=2), row(*LONG, 9, 8, 7, answer=3))
    batch = pack([Row(id="a", sequences=answers)])
    assert len(batch.token_ids) == 59 + 3 + 4
    with torch.no_grad():
        wanted = torch.cat([answer_logits(llama, packed([one])) for one in answers])
        assert_close(answer_logits(llama, batch), wanted)
