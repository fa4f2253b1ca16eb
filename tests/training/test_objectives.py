from dataclasses import replace
from pathlib import Path

import numpy as np
import peft
import pytest
import torch

from small_models import adapter, build, user
from tunewise.data.chat import answer_tokens
from tunewise.models import hub
from tunewise.models.catalog import LocalModel
from tunewise.training.batches import Batch, collate, shared_prefixes
from tunewise.training.objectives import can_share_prefixes, sft

ROWS = [
    ("Where is my order? It is late.", "delivery"),
    ("The zip broke on the second night", "defect, high"),
    ("hi", "other"),
]


def batch_of(model: LocalModel) -> Batch:
    tokenizer = hub.load_tokenizer(model.folder)
    return collate([answer_tokens(tokenizer, user(text), target) for text, target in ROWS], pad=0)


def labels(batch: Batch) -> torch.Tensor:
    """The same targets as transformers wants them: -100 where there is no loss."""
    of_next = torch.full_like(batch.token_ids, -100)
    of_next[:, 1:][batch.loss[:, :-1]] = batch.token_ids[:, 1:][batch.loss[:, :-1]]
    return of_next


@pytest.mark.parametrize("model", ["small_llama", "small_qwen"])
def test_loss_and_gradient_are_those_of_transformers_with_prompt_and_padding_masked(
    model: str, request: pytest.FixtureRequest
) -> None:
    local: LocalModel = request.getfixturevalue(model)
    batch = batch_of(local)
    losses, gradients = [], []
    for ours in (True, False):
        loaded = hub.load_model(local.folder)
        loss = (
            sft(loaded, batch)
            if ours
            else loaded(
                input_ids=batch.token_ids,
                attention_mask=batch.attention,
                labels=labels(batch),
            ).loss
        )
        loss.backward()
        losses.append(float(loss.detach()))
        gradients.append(torch.cat([p.grad.flatten() for p in loaded.parameters()]))
    assert losses[0] == pytest.approx(losses[1], abs=1e-6)
    assert float((gradients[0] - gradients[1]).abs().max()) < 1e-6
    assert float(gradients[0].abs().max()) > 1e-3


def test_an_adapter_gets_the_same_gradient_as_through_transformers(
    small_llama: LocalModel, tmp_path: Path
) -> None:
    folder = adapter(small_llama, tmp_path / "adapter")
    batch = batch_of(small_llama)
    gradients = []
    for ours in (True, False):
        model = peft.PeftModel.from_pretrained(
            hub.load_model(small_llama.folder), str(folder), is_trainable=True
        )
        loss = (
            sft(model, batch)
            if ours
            else model(
                input_ids=batch.token_ids, attention_mask=batch.attention, labels=labels(batch)
            ).loss
        )
        loss.backward()
        trained = [p for p in model.parameters() if p.requires_grad]
        assert len(trained) == 28
        gradients.append(torch.cat([p.grad.flatten() for p in trained]))
    assert float((gradients[0] - gradients[1]).abs().max()) < 1e-6


LONG = "You sort the mail of a shop. Answer with one word: delivery, defect or other. "


@pytest.mark.parametrize("model", ["small_llama", "small_qwen"])
def test_a_beginning_that_is_computed_once_gives_the_same_loss_and_gradient(
    model: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    local: LocalModel = request.getfixturevalue(model)
    tokenizer = hub.load_tokenizer(local.folder)
    rows = [answer_tokens(tokenizer, user(LONG + text), target) for text, target in ROWS]
    shared = set(shared_prefixes(rows))
    assert len(shared) == 1
    (prefix,) = shared
    assert prefix > 30
    folder = adapter(local, tmp_path / "adapter")
    losses, gradients = [], []
    for batch in (collate(rows, pad=0, prefix=prefix), collate(rows, pad=0)):
        trained = peft.PeftModel.from_pretrained(
            hub.load_model(local.folder), str(folder), is_trainable=True
        )
        assert can_share_prefixes(trained)
        loss = sft(trained, batch)
        loss.backward()
        losses.append(float(loss.detach()))
        weights = [p for p in trained.parameters() if p.requires_grad]
        gradients.append(torch.cat([p.grad.flatten() for p in weights]))
    assert losses[0] == pytest.approx(losses[1], abs=1e-5)
    assert float((gradients[0] - gradients[1]).abs().max()) < 1e-5
    assert float(gradients[1].abs().max()) > 1e-3


def test_what_follows_the_prefix_is_seen_where_it_stands(small_llama: LocalModel) -> None:
    tokenizer = hub.load_tokenizer(small_llama.folder)
    rows = [answer_tokens(tokenizer, user(LONG + text), target) for text, target in ROWS]
    batch = collate(rows, pad=0, prefix=shared_prefixes(rows)[0])
    loaded = hub.load_model(small_llama.folder)
    with torch.inference_mode():
        whole = float(sft(loaded, batch))
        other = replace(batch, prefix=batch.prefix.flip(0))
        assert abs(float(sft(loaded, other)) - whole) > 1e-4


@pytest.mark.parametrize(
    ("family", "more"), [("granite", {"logits_scaling": 4.0}), ("mistral", {"sliding_window": 8})]
)
def test_models_that_do_more_with_a_beginning_share_none(
    tmp_path: Path, family: str, more: dict[str, object]
) -> None:
    assert not can_share_prefixes(hub.load_model(build(tmp_path / "model", family=family, **more)))


def test_the_prompt_and_the_padding_carry_no_loss(small_llama: LocalModel) -> None:
    loaded = hub.load_model(small_llama.folder)
    batch = batch_of(small_llama)
    with torch.inference_mode():
        before = float(sft(loaded, batch))
        other = batch.token_ids.clone()
        other[batch.attention == 0] = 17
        padded = replace(batch, token_ids=other)
        assert float(sft(loaded, padded)) == pytest.approx(before, abs=1e-6)
        answers = batch.token_ids.clone()
        first = int(batch.loss[0].nonzero()[0]) + 1
        answers[0, first] = 17
        changed = replace(batch, token_ids=answers)
        assert float(sft(loaded, changed)) != pytest.approx(before, abs=1e-3)


def test_the_end_of_the_turn_carries_loss(small_llama: LocalModel) -> None:
    batch = batch_of(small_llama)
    learned = batch.token_ids.roll(-1, dims=1)[batch.loss]
    assert int((learned == 2).sum()) == len(ROWS)


def test_a_model_that_scales_its_logits_is_trained_on_the_scaled_ones(tmp_path: Path) -> None:
    folder = build(tmp_path / "model", family="granite", logits_scaling=4.0)
    loaded = hub.load_model(folder)
    ids = torch.from_numpy(np.random.default_rng(0).integers(3, 390, size=(2, 16)))
    loss = torch.zeros_like(ids, dtype=torch.bool)
    loss[:, 4:-1] = True
    nothing = torch.zeros(0, dtype=torch.int64)
    batch = Batch(
        prefix=nothing, token_ids=ids, attention=torch.ones_like(ids), loss=loss, tokens=32
    )
    with torch.inference_mode():
        wanted = loaded(input_ids=ids, labels=labels(batch)).loss
        assert float(sft(loaded, batch)) == pytest.approx(float(wanted), abs=1e-6)
