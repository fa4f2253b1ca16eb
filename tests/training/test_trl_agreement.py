"""Our objectives against TRL 1.16's trainers: the same adapter, the same tokens, one step.

Where TRL defines something else than we do:

- dpo, label smoothing: `DPOTrainer` takes no notice of `label_smoothing` with the loss "sigmoid".
  Its loss "aot" has the smoothing of Mitchell's note, after sorting the batch; with one pair in a
  batch there is nothing to sort.
- kto: TRL estimates z0 from the batch at hand, whose answers it gives to one another's prompts; we
  from all rows of the step, each with the answer of a row that may be in another. Given the same
  mismatched sequences in one batch the two are the same.
- orpo: TRL's likelihood is that of prompt and answer, as in its authors' code; ours that of the
  answer, as in the paper (eq. 6). They are the same for a prompt of one token, which nothing
  predicts.
- dpo, kto: TRL takes the mean over a batch, and then over the batches of a step; we over the rows
  of the step. They are the same for batches of equal size.
"""

import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import replace
from typing import Any, NamedTuple
from unittest.mock import patch

import peft
import pytest
import torch
import trl
from datasets import Dataset
from trl.trainer import base_trainer
from trl.trainer.dpo_trainer import DataCollatorForPreference
from trl.trainer.kto_trainer import DataCollatorForUnpairedPreference
from trl.trainer.sft_trainer import DataCollatorForLanguageModeling

from small_models import adapter, user
from tunewise.chat.tokenize import Span, TokenisedExample, answer_tokens
from tunewise.models import loading
from tunewise.models.catalog import LocalModel
from tunewise.training.attention import try_packing
from tunewise.training.objectives import (
    Distill,
    Dpo,
    Kto,
    Objective,
    Sft,
    Totals,
    totals_of,
)
from tunewise.training.packing import Batch, pack
from tunewise.training.reference import row_log_probabilities
from tunewise.training.rows import Row

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # that its API may change: the version is pinned
    from trl.experimental.gkd import GKDTrainer
    from trl.experimental.orpo import ORPOConfig, ORPOTrainer
    from trl.experimental.utils import DPODataCollatorWithPadding

CLOSE = 1e-5
"""How far apart two losses or gradients may be."""
LONG = "You sort the mail of a shop. Answer with one word: delivery, defect or other. "
PAIRS = [
    ("Where is my order? It should have been here on Monday.", "delivery", "defect, high"),
    ("The zip of the tent broke on the second night", "defect, high", "other"),
    ("hi", "other, normal", "delivery"),
    ("Can I change the address of an order that has not left yet?", "delivery, low", "account"),
]


class Step(NamedTuple):
    """What one step comes to."""

    loss: float
    gradients: dict[str, torch.Tensor]


class Pair(NamedTuple):
    chosen: TokenisedExample
    rejected: TokenisedExample


@pytest.fixture(scope="module")
def adapted(small_llama: LocalModel, tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Any]:
    """Loads the same adapted model anew at every call."""
    folder = adapter(small_llama, tmp_path_factory.mktemp("adapter"))
    return lambda: peft.PeftModel.from_pretrained(
        loading.load_model(small_llama.folder), str(folder), is_trainable=True
    )


@pytest.fixture(scope="module")
def pairs(small_llama: LocalModel) -> list[Pair]:
    tokenizer = loading.load_tokenizer(small_llama.folder)
    return [
        Pair(*(answer_tokens(tokenizer, user(LONG + text), answer) for answer in answers))
        for text, *answers in PAIRS
    ]


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """Of every trainer: on the CPU, in float32, telling nobody."""
    with patch.object(base_trainer, "send_telemetry"):
        yield {
            "output_dir": str(tmp_path_factory.mktemp("trl")),
            "use_cpu": True,
            "bf16": False,
            "gradient_checkpointing": False,
            "report_to": "none",
            "disable_tqdm": True,
        }


@pytest.fixture(scope="module")
def trainers(
    small_llama: LocalModel, adapted: Callable[[], Any], settings: dict[str, Any]
) -> Callable[..., Any]:
    """Makes a trainer of the adapted model, with the base as the reference.

    The row is not used: trainers are given tokens.
    """

    def make(kind: type, config: type, row: dict[str, Any], **named: Any) -> Any:
        reference = (
            {} if kind is ORPOTrainer else {"ref_model": loading.load_model(small_llama.folder)}
        )
        return kind(
            model=adapted(),
            args=config(**settings, **named),
            train_dataset=Dataset.from_list([row]),
            processing_class=loading.load_tokenizer(small_llama.folder),
            **reference,
        )

    return make


@pytest.fixture(scope="module")
def dpo_trainer(trainers: Callable[..., Any]) -> Callable[..., Any]:
    row = {"prompt": "hi", "chosen": " a", "rejected": " b"}
    return lambda **named: trainers(trl.DPOTrainer, trl.DPOConfig, row, **named)


def theirs(trainer: Any, inputs: dict[str, Any]) -> Step:
    trainer.model.zero_grad()
    loss = trainer.compute_loss(trainer.model, inputs)
    loss.backward()
    return Step(float(loss.detach()), gradients(trainer.model))


def ours(model: Any, objective: Objective, rows: Sequence[Row]) -> Step:
    """The step as one packed batch, beginnings shared."""
    assert try_packing(model)
    batch = pack(rows)
    loss = objective.loss(model, batch, totals(model, objective, batch))
    loss.backward()
    return Step(float(loss.detach()), gradients(model))


def totals(model: Any, objective: Objective, batch: Batch) -> Totals:
    found = totals_of([batch])[False]
    if not isinstance(objective, Kto):
        return found
    z0 = objective.divergence(model, batch) / found.rows
    assert z0 > 0.05
    return replace(found, divergence=z0)


def with_references(base: LocalModel, rows: Sequence[Row]) -> list[Row]:
    """By the base model, as the trainers have it."""
    model = loading.load_model(base.folder)
    assert try_packing(model)
    found = row_log_probabilities(
        model, rows, micro_tokens=100_000, share=True, autocast=nullcontext
    )
    return [replace(row, reference=values) for row, values in zip(rows, found, strict=True)]


def gradients(model: Any) -> dict[str, torch.Tensor]:
    return {name: w.grad.clone() for name, w in model.named_parameters() if w.requires_grad}


def assert_same(one: Step, other: Step) -> None:
    assert one.loss == pytest.approx(other.loss, abs=CLOSE)
    assert one.gradients.keys() == other.gradients.keys()
    for name, gradient in other.gradients.items():
        torch.testing.assert_close(one.gradients[name], gradient, atol=CLOSE, rtol=0)
    assert max(float(g.abs().max()) for g in other.gradients.values()) > 1e-3


def prompt_of(sequence: TokenisedExample) -> list[int]:
    return list(sequence.token_ids[: sequence.answers[0].start])


def answer_of(sequence: TokenisedExample) -> list[int]:
    return list(sequence.token_ids[sequence.answers[0].start :])


def labels(sequence: TokenisedExample) -> list[int]:
    """As transformers wants them: -100 where there is no loss."""
    return [-100] * len(prompt_of(sequence)) + answer_of(sequence)


def as_preferences(pairs: Sequence[Pair]) -> dict[str, Any]:
    """The batch of `DPOTrainer`."""
    rows = [
        {
            "prompt_ids": prompt_of(pair.chosen),
            "chosen_ids": answer_of(pair.chosen),
            "rejected_ids": answer_of(pair.rejected),
        }
        for pair in pairs
    ]
    return DataCollatorForPreference(pad_token_id=0)(rows)


def as_rows(pairs: Sequence[Pair]) -> list[Row]:
    return [Row(id=str(n), sequences=tuple(pair)) for n, pair in enumerate(pairs)]


@pytest.mark.parametrize(("kind", "beta"), [("sigmoid", 0.2), ("ipo", 0.8)])
def test_dpo_and_ipo_are_those_of_the_dpo_trainer(
    kind: Any,
    beta: float,
    small_llama: LocalModel,
    adapted: Callable[[], Any],
    dpo_trainer: Callable[..., Any],
    pairs: list[Pair],
) -> None:
    found = theirs(dpo_trainer(loss_type=[kind], beta=beta), as_preferences(pairs))
    rows = with_references(small_llama, as_rows(pairs))
    assert_same(ours(adapted(), Dpo(kind=kind, beta=beta), rows), found)


def test_label_smoothing_is_that_of_the_dpo_trainers_aot_pair_by_pair(
    small_llama: LocalModel,
    adapted: Callable[[], Any],
    dpo_trainer: Callable[..., Any],
    pairs: list[Pair],
) -> None:
    trainer = dpo_trainer(loss_type=["aot"], beta=0.2, label_smoothing=0.2)
    each = [theirs(trainer, as_preferences([pair])) for pair in pairs]
    found = Step(
        sum(step.loss for step in each) / len(each),
        {
            name: torch.stack([step.gradients[name] for step in each]).mean(0)
            for name in each[0].gradients
        },
    )
    rows = with_references(small_llama, as_rows(pairs))
    assert_same(ours(adapted(), Dpo(beta=0.2, label_smoothing=0.2), rows), found)


def test_kto_is_that_of_the_kto_trainer_on_the_same_mismatched_answers(
    small_llama: LocalModel,
    adapted: Callable[[], Any],
    trainers: Callable[..., Any],
    pairs: list[Pair],
) -> None:
    judged = [(sequence, sequence is pair.chosen) for pair in pairs for sequence in pair]
    judged = judged[:-1]  # not as many wanted as unwanted
    mismatched = [judged[n - 2][0] for n in range(len(judged))]
    inputs = DataCollatorForUnpairedPreference(pad_token_id=0)(
        [
            {
                "prompt_ids": prompt_of(own),
                "completion_ids": answer_of(own),
                "KL_completion_ids": answer_of(other),
                "label": wanted,
            }
            for (own, wanted), other in zip(judged, mismatched, strict=True)
        ]
    )
    weights = {"desirable_weight": 1.5, "undesirable_weight": 0.5}
    row = {"prompt": "hi", "completion": " a", "label": True}
    trainer = trainers(trl.KTOTrainer, trl.KTOConfig, row, beta=0.2, **weights)
    found = theirs(trainer, inputs)
    rows = [
        Row(id=str(n), sequences=(own, joined(own, other)), desirable=wanted)
        for n, ((own, wanted), other) in enumerate(zip(judged, mismatched, strict=True))
    ]
    objective = Kto(beta=0.2, desirable_weight=1.5, undesirable_weight=0.5)
    assert_same(ours(adapted(), objective, with_references(small_llama, rows)), found)


def joined(own: TokenisedExample, other: TokenisedExample) -> TokenisedExample:
    """One's prompt with the other's answer."""
    ids = (*prompt_of(own), *answer_of(other))
    start = own.answers[0].start
    return TokenisedExample(token_ids=ids, answers=(Span(start, len(ids)),))


@pytest.fixture(scope="module")
def orpo_trainer(trainers: Callable[..., Any]) -> Any:
    row = {"prompt": "hi", "chosen": " a", "rejected": " b"}
    return trainers(ORPOTrainer, ORPOConfig, row, beta=0.3, remove_unused_columns=False)


def as_concatenated(pairs: Sequence[Pair]) -> dict[str, Any]:
    """The batch of `ORPOTrainer`."""
    rows = []
    for pair in pairs:
        row: dict[str, Any] = {}
        for name, sequence in zip(("chosen", "rejected"), pair, strict=True):
            ids = list(sequence.token_ids)
            row[f"{name}_input_ids"] = ids
            row[f"{name}_attention_mask"] = [1] * len(ids)
            row[f"{name}_labels"] = labels(sequence)
        rows.append(row)
    return DPODataCollatorWithPadding(pad_token_id=0)(rows)


def test_orpo_is_that_of_the_orpo_trainer_after_a_prompt_of_one_token(
    adapted: Callable[[], Any], orpo_trainer: Any, pairs: list[Pair]
) -> None:
    short = [Pair(*(behind_one_token(sequence) for sequence in pair)) for pair in pairs]
    found = theirs(orpo_trainer, as_concatenated(short))
    assert_same(ours(adapted(), Dpo(kind="orpo", beta=0.3), as_rows(short)), found)


def behind_one_token(sequence: TokenisedExample) -> TokenisedExample:
    ids = (1, *answer_of(sequence))
    return TokenisedExample(token_ids=ids, answers=(Span(1, len(ids)),))


def test_orpo_is_that_of_the_orpo_trainer_but_for_the_likelihood_of_the_prompt(
    adapted: Callable[[], Any], orpo_trainer: Any, pairs: list[Pair]
) -> None:
    model = orpo_trainer.model
    model.zero_grad()
    forward = orpo_trainer.concatenated_forward(model, as_concatenated(pairs))
    chosen, rejected = forward[:2]  # (pairs,) means over tokens
    lengths = torch.tensor([float(pair.chosen.loss_tokens) for pair in pairs])
    ratios = orpo_trainer.odds_ratio_loss(chosen, rejected)[0]
    loss = -(chosen * lengths).sum() / lengths.sum() - ratios.mean()
    loss.backward()
    found = Step(float(loss.detach()), gradients(model))
    assert_same(ours(adapted(), Dpo(kind="orpo", beta=0.3), as_rows(pairs)), found)


def test_sft_is_that_of_the_sft_trainer(
    small_llama: LocalModel,
    adapted: Callable[[], Any],
    settings: dict[str, Any],
    pairs: list[Pair],
) -> None:
    trainer = trl.SFTTrainer(
        model=adapted(),
        args=trl.SFTConfig(**settings),
        train_dataset=Dataset.from_list([{"input_ids": [1, 2, 3]}]),
        processing_class=loading.load_tokenizer(small_llama.folder),
    )
    inputs = DataCollatorForLanguageModeling(pad_token_id=0)(
        [
            {"input_ids": list(sequence.token_ids), "labels": labels(sequence)}
            for sequence, _ in pairs
        ]
    )
    rows = [Row(id=str(n), sequences=(pair.chosen,)) for n, pair in enumerate(pairs)]
    assert_same(ours(adapted(), Sft(), rows), theirs(trainer, inputs))


def test_distill_is_the_forward_divergence_of_the_gkd_trainer(
    adapted: Callable[[], Any], pairs: list[Pair]
) -> None:
    long = [pair.chosen for pair in pairs]
    short = [behind_one_token(sequence) for sequence in long]
    model = adapted()
    said = torch.cat([answer_logits(model, sequence) for sequence in short])
    with torch.no_grad(), model.disable_adapter():
        teacher_probabilities = torch.cat([answer_logits(model, sequence) for sequence in long])
    loss = GKDTrainer.generalized_jsd_loss(
        said[None], teacher_probabilities[None], beta=0, num_items_in_batch=len(said)
    )
    loss.backward()
    found = Step(float(loss.detach()), gradients(model))
    rows = [Row(id="", sequences=both) for both in zip(short, long, strict=True)]
    assert_same(ours(adapted(), Distill(), rows), found)


def answer_logits(model: Any, sequence: TokenisedExample) -> torch.Tensor:
    """(answer tokens, vocabulary), of one plain sequence."""
    (answer,) = sequence.answers
    logits = model(input_ids=torch.tensor([sequence.token_ids])).logits[0]
    return logits[answer.start - 1 : answer.stop - 1]
