"""Operations as the formula has them against those that torch counts while it computes."""

from pathlib import Path
from typing import Any

import peft
import pytest
import torch
from torch.nn.functional import cross_entropy
from torch.utils.flop_counter import FlopCounterMode

from small_models import build
from tunewise.chat.tokenize import Span, TokenisedExample
from tunewise.models import loading
from tunewise.training.attention import try_packing
from tunewise.training.objectives import Sft, totals_of
from tunewise.training.packing import Batch, micro_batches, pack
from tunewise.training.rows import single_rows
from tunewise.training.utilisation import Utilisation, multiply_peak

BLOCKS, HEADS, WIDTH = 8, 4, 16
LORA: dict[str, Any] = {"r": 4, "target_modules": "all-linear"}


def folder_of(tmp_path_factory: pytest.TempPathFactory, **config: Any) -> Path:
    return build(tmp_path_factory.mktemp("hub") / "llama", num_hidden_layers=BLOCKS, **config)


@pytest.fixture(scope="module")
def tied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its head is its table of embeddings."""
    return folder_of(tmp_path_factory)


@pytest.fixture(scope="module")
def untied(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return folder_of(tmp_path_factory, tie_word_embeddings=False)


def model_of(folder: Path, *, adapter: bool, packs: bool = False) -> Any:
    model: Any = loading.load_model(folder)
    if adapter:
        model = peft.get_peft_model(model, peft.LoraConfig(task_type="CAUSAL_LM", **LORA))
    if packs:
        assert try_packing(model)
    else:  # written out, so that torch counts it
        (model.get_base_model() if adapter else model).set_attn_implementation("eager")
    return model


def batch_of(*lengths: int, shared: int = 0, share: bool = True) -> Batch:
    """Rows of so many tokens, all loss behind `shared` that they begin with."""
    rows = [
        TokenisedExample(
            token_ids=(*range(3, 3 + shared), *((7 * n + 3 * k + 5) % 390 for k in range(length))),
            answers=(Span(shared + 1, shared + length),),
        )
        for n, length in enumerate(lengths)
    ]
    return pack(single_rows([str(n) for n in range(len(rows))], rows), share=share)


def counted(model: Any, batch: Batch) -> float:
    """What torch counts: every row alone through transformers, forward and backward."""
    with FlopCounterMode(display=False) as counter:
        for row in batch.rows:
            ids = torch.tensor([row.sequences[0].token_ids])
            (span,) = row.sequences[0].answers
            at = torch.arange(span.start - 1, span.stop - 1)
            logits = model(input_ids=ids, use_cache=False, logits_to_keep=at).logits[0]
            cross_entropy(logits, ids[0, span.start : span.stop]).backward()
    return counter.get_total_flops()


def unseen(batch: Batch) -> float:
    """Operations on pairs of tokens that do not see each other, which plain attention computes."""
    pairs = sum(n * (n - 1) / 2 for n in (row.tokens for row in batch.rows))
    return 12.0 * BLOCKS * HEADS * WIDTH * pairs


def operations(model: Any, *batches: Batch) -> float:
    return Utilisation(model, device="cpu", precision="float32").operations(batches)


@pytest.mark.parametrize("lengths", [(60,), (200,), (90, 12, 40)])
@pytest.mark.parametrize("adapter", [True, False], ids=["adapter", "every weight"])
@pytest.mark.parametrize("head", ["tied", "untied"])
def test_operations_are_those_that_torch_counts(
    head: str, adapter: bool, lengths: tuple[int, ...], request: pytest.FixtureRequest
) -> None:
    """Below an adapter in the first block no gradient is needed, which the formula leaves out."""
    model = model_of(request.getfixturevalue(head), adapter=adapter)
    batch = batch_of(*lengths, share=False)
    found = operations(model, batch) + unseen(batch)
    assert found == pytest.approx(counted(model, batch), rel=0.025 if adapter else 0.005)


@pytest.mark.parametrize("adapter", [True, False], ids=["adapter", "every weight"])
def test_a_packed_step_computes_what_is_necessary_and_padding_inside_attention(
    adapter: bool, tied: Path
) -> None:
    model = model_of(tied, adapter=adapter, packs=True)
    batch = batch_of(60, 48, 64, 50, shared=64)
    with FlopCounterMode(display=False) as counter:
        Sft().loss(model, batch, totals_of([batch])[False]).backward()
    computed = sum(g.queries.numel() * g.keys.shape[1] for g in batch.groups)
    padding = 12.0 * BLOCKS * HEADS * WIDTH * (computed - int((batch.positions + 1).sum()))
    found = operations(model, batch)
    assert found + padding == pytest.approx(
        counter.get_total_flops(), rel=0.025 if adapter else 0.005
    )


def test_a_beginning_that_rows_share_is_counted_once(tied: Path) -> None:
    model = model_of(tied, adapter=True)
    shared = [operations(model, batch_of(*[10] * n, shared=40)) for n in (1, 2, 3)]
    apart = [operations(model, batch_of(*[10] * n, shared=40, share=False)) for n in (1, 2, 3)]
    frozen = BLOCKS * 64 * (64 + 32 + 32 + 64 + 3 * 128)  # queries, keys, values, output; gate, ...
    trained = sum(weight.numel() for weight in model.parameters() if weight.requires_grad)
    pairs = 40 * 41 / 2
    beginning = 40 * (4 * frozen + 6 * trained) + 12 * BLOCKS * HEADS * WIDTH * pairs
    for n, (once, often) in enumerate(zip(shared, apart, strict=True)):
        assert often == pytest.approx(shared[0] * (n + 1))
        assert often - once == pytest.approx(n * beginning)


def test_an_answers_token_costs_the_head_once(tied: Path) -> None:
    """A prompt's tokens never go through it: of 512 words by 64 numbers here."""
    for adapter, each in ((True, 4), (False, 6)):
        model = model_of(tied, adapter=adapter)
        whole = batch_of(50)
        (row,) = whole.rows
        (sequence,) = row.sequences
        last = TokenisedExample(token_ids=sequence.token_ids, answers=(Span(49, 50),))
        short = pack(single_rows(["0"], [last]))
        saved = operations(model, whole) - operations(model, short)
        assert saved == pytest.approx(48 * each * 512 * 64)


def test_the_operations_of_a_step_do_not_depend_on_its_batches(tied: Path) -> None:
    model = model_of(tied, adapter=True)
    rows = batch_of(60, 30, 45, 20).rows
    parts = micro_batches(rows, micro_tokens=70, share=False)
    assert len(parts) > 1
    assert operations(model, *parts) == pytest.approx(operations(model, pack(rows, share=False)))


def test_the_share_of_the_peak_is_what_was_necessary_of_what_could_be_multiplied(
    tied: Path,
) -> None:
    model = model_of(tied, adapter=True)
    speed, batches = Utilisation(model, device="cpu", precision="float32"), [batch_of(60)]
    peak = multiply_peak("cpu", "float32")
    assert 1e8 < peak < 1e14
    assert multiply_peak("cpu", "float32") == peak  # measured once
    assert speed.share_of_peak(batches, 2.0) == pytest.approx(speed.operations(batches) / 2 / peak)
