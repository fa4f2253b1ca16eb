"""Every objective against its paper's formula, computed here one plain sequence at a time."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import peft
import pytest
import torch

from small_models import adapter, build
from tunewise.chat.tokenize import ChatTokenizer, Span, TokenisedExample, answer_tokens
from tunewise.models import loading
from tunewise.models.catalog import LocalModel
from tunewise.training.attention import is_packed, plain_model, try_packing
from tunewise.training.objectives import (
    Distill,
    Dpo,
    Kto,
    Objective,
    Sft,
    _LogProbabilities,
    totals_of,
)
from tunewise.training.packing import micro_batches
from tunewise.training.rows import Row, desirable_rows, single_rows, text_rows
from tunewise.types import Message

CLOSE = 1e-5
"""How far a loss or a gradient may be from the formula's."""
LONG = "You sort the mail of a shop. Answer with one word: delivery, defect or other. "
PAIRS = [
    ("Where is my order? It should have been here on Monday.", "delivery", "defect, high"),
    ("The zip of the tent broke on the second night", "defect, high", "other"),
    ("hi", "other, normal", "delivery"),
    ("Can I change the address of an order that has not left yet?", "delivery, low", "account"),
]
TEXTS = ["The boots fit now and the colour is right. Thank you for the quick answer.", "refund"]
BLOCK = 12
"""Tokens of a block of `cpt`."""


@pytest.mark.parametrize(("dtype", "near"), [(torch.float32, 1e-6), (torch.bfloat16, 1e-2)])
def test_probabilities_some_rows_at_a_time_are_those_of_all_at_once(
    dtype: torch.dtype, near: float
) -> None:
    generator = torch.Generator().manual_seed(0)
    logits = (10 * torch.randn(70, 40, generator=generator)).to(dtype).requires_grad_()
    targets = torch.randint(40, (70,), generator=generator)
    weights = torch.randn(70, generator=generator)
    found = _LogProbabilities.apply(logits, targets)
    desirable = torch.log_softmax(logits.float(), dim=-1).gather(1, targets[:, None])[:, 0]
    assert torch.allclose(found, desirable, rtol=1e-6, atol=1e-5)
    (of_found,) = torch.autograd.grad((found * weights).sum(), logits)
    (of_wanted,) = torch.autograd.grad((desirable * weights).sum(), logits)
    assert of_found.dtype == dtype
    assert float((of_found - of_wanted).abs().max()) <= near * float(of_wanted.abs().max())


class Step(NamedTuple):
    """What one step comes to."""

    loss: float
    gradients: dict[str, torch.Tensor]


@dataclass(frozen=True, kw_only=True)
class Way:
    """How a step goes through the model."""

    packs: bool = True
    share: bool = True
    micro_tokens: int = 100_000


WAYS = {
    "whole": Way(),
    "row by row": Way(micro_tokens=1),
    "in a few batches": Way(micro_tokens=150),
    "nothing shared": Way(share=False),
    "padded, by a model that cannot be packed": Way(packs=False, share=False, micro_tokens=150),
}


# What the papers say. `model` is a plain one: no packing, no padding, one sequence at a time.


def said(model: Any, sequence: TokenisedExample) -> torch.Tensor:
    """(answer tokens,) log p of each."""
    nats = model(input_ids=torch.tensor([sequence.token_ids])).logits[0].log_softmax(-1)
    places = [place for start, stop in sequence.answers for place in range(start, stop)]
    return torch.stack([nats[place - 1, sequence.token_ids[place]] for place in places])


def sft_paper(model: Any, rows: Sequence[Row]) -> torch.Tensor:
    return -torch.cat([said(model, row.sequences[0]) for row in rows]).mean()


def cpt_paper(model: Any, rows: Sequence[Row]) -> torch.Tensor:
    del rows  # from the texts themselves
    tokenizer = loading.load_tokenizer(Path(model.config._name_or_path))
    total, tokens = torch.zeros(()), 0
    for text in TEXTS:
        ids = tokenizer.encode(text, add_special_tokens=False)
        tokens += len(ids) - 1
        for start in range(0, len(ids) - 1, BLOCK - 1):
            block = torch.tensor([ids[start : start + BLOCK]])
            mean = model(input_ids=block, labels=block).loss  # transformers' own
            total = total + mean * (block.shape[1] - 1)
    return total / tokens


def ahead(model: Any, row: Row, *, per_token: bool = False) -> torch.Tensor:
    """h of a pair: by how much more than before the chosen answer is likelier."""
    gains = []
    for sequence, before in zip(row.sequences, row.reference, strict=True):
        gain = said(model, sequence).sum() - before
        gains.append(gain / sequence.loss_tokens if per_token else gain)
    return gains[0] - gains[1]


def dpo_paper(beta: float, smoothing: float) -> Callable[[Any, Sequence[Row]], torch.Tensor]:
    def loss(model: Any, rows: Sequence[Row]) -> torch.Tensor:
        h = torch.stack([ahead(model, row) for row in rows])
        right, wrong = torch.sigmoid(beta * h), torch.sigmoid(-beta * h)
        return (-(1 - smoothing) * right.log() - smoothing * wrong.log()).mean()

    return loss


def ipo_paper(model: Any, rows: Sequence[Row]) -> torch.Tensor:
    h = torch.stack([ahead(model, row, per_token=True) for row in rows])
    return ((h - 1 / (2 * 0.8)) ** 2).mean()


def orpo_paper(model: Any, rows: Sequence[Row]) -> torch.Tensor:
    likelihoods, ratios = [], []
    for row in rows:
        chosen, rejected = (said(model, sequence) for sequence in row.sequences)
        likely, unlikely = chosen.mean().exp(), rejected.mean().exp()
        ratio = (likely / (1 - likely)) / (unlikely / (1 - unlikely))
        ratios.append(torch.sigmoid(ratio.log()).log())
        likelihoods.append(chosen)
    return -torch.cat(likelihoods).mean() - 0.3 * torch.stack(ratios).mean()


def divergence(model: Any, rows: Sequence[Row]) -> float:
    """z0 of `kto`, before it is kept from being negative."""
    with torch.no_grad():
        each = [said(model, row.sequences[1]).sum() - row.reference[1] for row in rows]
    return float(torch.stack(each).mean())


def kto_paper(model: Any, rows: Sequence[Row]) -> torch.Tensor:
    z0 = max(0.0, divergence(model, rows))
    losses = []
    for row in rows:
        gain = said(model, row.sequences[0]).sum() - row.reference[0]
        value = torch.sigmoid(0.2 * (gain - z0 if row.desirable else z0 - gain))
        losses.append((1.5 if row.desirable else 0.5) * (1 - value))
    return torch.stack(losses).mean()


def distill_paper(model: Any, rows: Sequence[Row]) -> torch.Tensor:
    divergences = []
    for row in rows:
        with torch.no_grad(), model.disable_adapter():
            teacher_probabilities = predicted(model, row.sequences[1])
        said_ = predicted(model, row.sequences[0])
        divergences.append((teacher_probabilities.exp() * (teacher_probabilities - said_)).sum(-1))
    return torch.cat(divergences).mean()


def predicted(model: Any, sequence: TokenisedExample) -> torch.Tensor:
    """(answer tokens, vocabulary) log p of whatever might have stood there."""
    (answer,) = sequence.answers
    nats = model(input_ids=torch.tensor([sequence.token_ids])).logits[0].log_softmax(-1)
    return nats[answer.start - 1 : answer.stop - 1]


# Rows of each method.


def asked(text: str, *, prompt: str = LONG) -> list[Message]:
    return [Message(role="user", content=prompt + text)]


def answers(tokenizer: ChatTokenizer) -> list[Row]:
    """The last has an earlier turn that is learnt, too, and one that is not."""
    sequences = [answer_tokens(tokenizer, asked(text), right) for text, right, _ in PAIRS]
    turns = [
        *asked("Where is my order?"),
        Message(role="assistant", content="delivery", weight=1),
        Message(role="user", content="and the tent?"),
        Message(role="assistant", content="defect", weight=0),
        Message(role="user", content="Thank you"),
    ]
    sequences.append(answer_tokens(tokenizer, turns, "other, low"))
    assert [len(sequence.answers) for sequence in sequences] == [1, 1, 1, 1, 2]
    return single_rows([str(n) for n in range(5)], sequences)


def pairs(tokenizer: ChatTokenizer) -> list[Row]:
    return [
        Row(id=text, sequences=tuple(answer_tokens(tokenizer, asked(text), a) for a in both))
        for text, *both in PAIRS
    ]


def judged(tokenizer: ChatTokenizer) -> list[Row]:
    both = pairs(tokenizer)
    rows = desirable_rows(
        [row.id for row in both],
        [row.sequences[0] for row in both],
        [row.sequences[1] for row in both],
        context_tokens=256,
    )
    assert [row.desirable for row in rows[:4]] == [True, False, True, False]
    return rows[:-1]  # not as many wanted as unwanted


def texts(tokenizer: ChatTokenizer) -> list[Row]:
    ids = [tokenizer.encode(text, add_special_tokens=False) for text in TEXTS]
    rows = text_rows(["a", "b"], ids, block_tokens=BLOCK)
    assert len(rows) > 2
    return rows


def prompts(tokenizer: ChatTokenizer) -> list[Row]:
    return [
        Row(
            id=text,
            sequences=(
                answer_tokens(tokenizer, asked(text, prompt=""), right),
                answer_tokens(tokenizer, asked(text), right),
            ),
        )
        for text, right, _ in PAIRS
    ]


class Case(NamedTuple):
    objective: Objective
    rows: Callable[[ChatTokenizer], list[Row]]
    paper: Callable[[Any, Sequence[Row]], torch.Tensor]


CASES = {
    "sft": Case(Sft(), answers, sft_paper),
    "cpt": Case(Sft(), texts, cpt_paper),
    "dpo": Case(Dpo(beta=0.2), pairs, dpo_paper(0.2, 0.0)),
    "dpo, smooth": Case(Dpo(beta=0.2, label_smoothing=0.2), pairs, dpo_paper(0.2, 0.2)),
    "ipo": Case(Dpo(kind="ipo", beta=0.8), pairs, ipo_paper),
    "orpo": Case(Dpo(kind="orpo", beta=0.3), pairs, orpo_paper),
    "kto": Case(Kto(beta=0.2, desirable_weight=1.5, undesirable_weight=0.5), judged, kto_paper),
    "distill": Case(Distill(), prompts, distill_paper),
}


@pytest.fixture(scope="module")
def adapter_folder(small_llama: LocalModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return adapter(small_llama, tmp_path_factory.mktemp("adapter"))


@pytest.fixture(scope="module")
def expected(small_llama: LocalModel, adapter_folder: Path) -> Callable[[str], tuple[Any, Step]]:
    """The rows of a case with their references, and what the paper's formula comes to."""
    found: dict[str, tuple[list[Row], Step]] = {}

    def of(name: str) -> tuple[list[Row], Step]:
        if name not in found:
            case, model = CASES[name], trained(small_llama, adapter_folder, packs=False)
            rows = case.rows(loading.load_tokenizer(small_llama.folder))
            if case.objective.needs_reference:
                rows = with_plain_references(model, rows)
            loss = case.paper(model, rows)
            loss.backward()
            found[name] = (rows, Step(float(loss.detach()), gradients(model)))
        return found[name]

    return of


def trained(base: LocalModel, folder: Path, *, packs: bool) -> Any:
    model = peft.PeftModel.from_pretrained(
        loading.load_model(base.folder), str(folder), is_trainable=True
    )
    if packs:
        assert try_packing(model)
    assert is_packed(plain_model(model)) == packs
    return model


def with_plain_references(model: Any, rows: Sequence[Row]) -> list[Row]:
    with torch.no_grad(), model.disable_adapter():
        return [
            replace(row, reference=tuple(float(said(model, s).sum()) for s in row.sequences))
            for row in rows
        ]


def gradients(model: Any) -> dict[str, torch.Tensor]:
    return {name: w.grad.clone() for name, w in model.named_parameters() if w.requires_grad}


def step(model: Any, objective: Objective, rows: Sequence[Row], way: Way) -> Step:
    """One step as the training makes it."""
    batches = micro_batches(rows, micro_tokens=way.micro_tokens, share=way.share)
    assert len(batches) == {1: len(rows), 100_000: 1}.get(way.micro_tokens, len(batches))
    totals = totals_of(batches)[False]
    if isinstance(objective, Kto):
        found = sum(objective.divergence(model, batch) for batch in batches)
        totals = replace(totals, divergence=max(0.0, found / totals.rows))
    loss = 0.0
    for batch in batches:
        part = objective.loss(model, batch, totals)
        part.backward()
        loss += float(part.detach())
    return Step(loss, gradients(model))


def assert_same(ours: Step, desirable: Step) -> None:
    assert ours.loss == pytest.approx(desirable.loss, abs=CLOSE)
    assert ours.gradients.keys() == desirable.gradients.keys()
    for name, gradient in desirable.gradients.items():
        torch.testing.assert_close(ours.gradients[name], gradient, atol=CLOSE, rtol=0)
    assert max(float(g.abs().max()) for g in desirable.gradients.values()) > 1e-2


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", CASES)
def test_loss_and_gradient_are_those_of_the_paper_however_the_step_is_cut(
    name: str,
    way: str,
    small_llama: LocalModel,
    adapter_folder: Path,
    expected: Callable[[str], tuple[list[Row], Step]],
) -> None:
    rows, desirable = expected(name)
    model = trained(small_llama, adapter_folder, packs=WAYS[way].packs)
    assert_same(step(model, CASES[name].objective, rows, WAYS[way]), desirable)


def test_the_divergence_of_kto_is_one_that_matters(
    small_llama: LocalModel,
    adapter_folder: Path,
    expected: Callable[[str], tuple[list[Row], Step]],
) -> None:
    rows, _ = expected("kto")
    assert divergence(trained(small_llama, adapter_folder, packs=False), rows) > 0.05


def test_every_weight_of_a_model_with_biases_gets_the_gradient_that_transformers_gives(
    small_qwen: LocalModel,
) -> None:
    rows = answers(loading.load_tokenizer(small_qwen.folder))
    plain, packed = loading.load_model(small_qwen.folder), loading.load_model(small_qwen.folder)
    assert try_packing(packed)
    desirable = sft_paper(plain, rows)
    desirable.backward()
    assert_same(step(packed, Sft(), rows, Way()), Step(float(desirable.detach()), gradients(plain)))


@pytest.mark.parametrize("packs", [True, False])
def test_a_model_that_scales_its_logits_is_trained_on_the_scaled_ones(
    tmp_path: Path, packs: bool
) -> None:
    loaded = loading.load_model(build(tmp_path / "model", family="granite", logits_scaling=4.0))
    rows = answers(loading.load_tokenizer(tmp_path / "model"))
    desirable = sft_paper(loaded, rows)
    desirable.backward()
    before = Step(float(desirable.detach()), gradients(loaded))
    loaded.zero_grad()
    assert not packs or try_packing(loaded)
    assert_same(step(loaded, Sft(), rows, Way(share=packs)), before)


def test_orpo_stays_finite_for_an_answer_that_is_certain(small_llama: LocalModel) -> None:
    loaded = loading.load_model(small_llama.folder)
    prompt = tuple(range(20, 40))
    with torch.no_grad():
        loaded.model.norm.weight.mul_(1000)  # all of the probability goes to one token
        likeliest = int(loaded(input_ids=torch.tensor([prompt])).logits[0, -1].argmax())
        certain, never = (
            TokenisedExample(token_ids=(*prompt, token), answers=(Span(20, 21),))
            for token in (likeliest, likeliest + 1)
        )
        assert float(said(loaded, certain)) == 0.0
    for sequences in ((certain, never), (never, certain), (certain, certain)):
        row = Row(id="a", sequences=sequences)
        found = step(loaded, Dpo(kind="orpo"), [row], Way(share=False))
        assert torch.tensor(found.loss).isfinite()
        assert all(bool(gradient.isfinite().all()) for gradient in found.gradients.values())


def test_replayed_rows_are_counted_apart(small_llama: LocalModel) -> None:
    rows = answers(loading.load_tokenizer(small_llama.folder))
    mixed = [*rows, replace(rows[0], replayed=True)]
    totals = totals_of(micro_batches(mixed, micro_tokens=100_000))
    assert (totals[False].rows, totals[True].rows) == (5, 1)
    assert totals[False].losses == sum(row.loss_tokens for row in rows)
    assert totals[True].losses == rows[0].loss_tokens
