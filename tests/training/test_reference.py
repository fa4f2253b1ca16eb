import json
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from small_models import user
from tunewise.chat.tokenize import TokenisedExample, answer_tokens
from tunewise.models import loading
from tunewise.models.catalog import LocalModel
from tunewise.training.attention import try_packing
from tunewise.training.reference import (
    REFERENCE_FILE,
    row_log_probabilities,
    with_references,
)
from tunewise.training.rows import Row

LONG = "You sort the mail of a shop. Answer with one word: delivery, defect or other. "
IDENTITY = {"rows": "abc", "recipe": {"beta": 0.1, "betas": (0.9, 0.999)}}
VALUES = [(-31.859685897827148, -34.1), (-1 / 3, -2e-17), (-82.7, -0.0), (-44.7, -34.5)]
"""Of two sequences each."""


@pytest.fixture(scope="module")
def rows(small_llama: LocalModel) -> list[Row]:
    """Short and long ones in turn: batches have them in another order."""
    tokenizer = loading.load_tokenizer(small_llama.folder)
    return [
        Row(id=text, sequences=tuple(answer_tokens(tokenizer, user(text), a) for a in answers))
        for text, *answers in (
            ("hi", "other", "delivery"),
            (LONG + "Where is my order? It is late.", "delivery", "defect, high"),
            ("Where?", "delivery, normal, or so", "other"),
            (LONG + "The zip broke on the second night", "defect, high", "other"),
        )
    ]


@pytest.fixture
def model(small_llama: LocalModel) -> Any:
    loaded = loading.load_model(small_llama.folder)
    assert try_packing(loaded)
    return loaded


@pytest.fixture(scope="module")
def plain(small_llama: LocalModel, rows: list[Row]) -> list[list[float]]:
    """What a plain forward of one sequence at a time says of each answer."""
    model = loading.load_model(small_llama.folder)

    def nats(sequence: TokenisedExample) -> float:
        with torch.no_grad():
            each = model(input_ids=torch.tensor([sequence.token_ids])).logits[0].log_softmax(-1)
        (answer,) = sequence.answers
        return float(sum(each[t - 1, sequence.token_ids[t]] for t in range(*answer)))

    return [[nats(sequence) for sequence in row.sequences] for row in rows]


def asked(model: Any, rows: Sequence[Row], **named: Any) -> list[tuple[float, ...]]:
    settings = {"micro_tokens": 100_000, "share": True, "autocast": nullcontext} | named
    return row_log_probabilities(model, rows, **settings)


def assert_close(found: list[tuple[float, ...]], wanted: list[list[float]]) -> None:
    for values, of_plain in zip(found, wanted, strict=True):
        assert values == pytest.approx(of_plain, abs=1e-4)  # nats of up to nine tokens


@pytest.mark.parametrize(
    "settings", [{}, {"micro_tokens": 1}, {"micro_tokens": 150}, {"share": False}]
)
def test_each_row_gets_the_log_probabilities_that_a_plain_forward_gives(
    model: Any, rows: list[Row], plain: list[list[float]], settings: dict[str, Any]
) -> None:
    assert_close(asked(model, rows, **settings), plain)


def test_they_are_taken_without_dropout_and_leave_no_gradient(
    model: Any, rows: list[Row], plain: list[list[float]]
) -> None:
    for layer in model.model.layers:
        layer.self_attn.attention_dropout = 0.5
    model.train()
    assert_close(asked(model, rows), plain)
    assert all(weight.grad is None for weight in model.parameters())


class Model:
    """Answers with `VALUES`, and counts how often it is asked."""

    def __init__(self) -> None:
        self.times = 0

    def __call__(self, rows: Sequence[Row]) -> list[tuple[float, ...]]:
        assert len(rows) == len(VALUES)
        self.times += 1
        return VALUES


def test_rows_bring_what_the_model_said_and_are_else_as_they_were(
    rows: list[Row], tmp_path: Path
) -> None:
    found = with_references(rows, tmp_path, identity=IDENTITY, ask=Model())
    assert [row.reference for row in found] == VALUES
    assert [replace(row, reference=()) for row in found] == rows


def test_a_resumed_training_has_the_same_numbers_and_does_not_ask_again(
    rows: list[Row], tmp_path: Path
) -> None:
    model = Model()
    first = with_references(rows, tmp_path, identity=IDENTITY, ask=model)
    again = with_references(rows, tmp_path, identity=IDENTITY, ask=model)
    assert again == first  # to the last bit
    assert model.times == 1


def test_the_numbers_of_another_training_are_not_used(rows: list[Row], tmp_path: Path) -> None:
    model = Model()
    with_references(rows, tmp_path, identity=IDENTITY, ask=model)
    other = {**IDENTITY, "rows": "xyz"}
    for _ in range(2):
        with_references(rows, tmp_path, identity=other, ask=model)
    assert model.times == 2


@pytest.mark.parametrize(
    "content", [b"", b"{}", b"[]", b"null", b'{"identity": {"rows": "abc"}', b"\x00\xff"]
)
def test_a_file_that_is_not_one_of_ours_is_made_anew(
    rows: list[Row], tmp_path: Path, content: bytes
) -> None:
    (tmp_path / REFERENCE_FILE).write_bytes(content)
    found = with_references(rows, tmp_path, identity=IDENTITY, ask=Model())
    assert [row.reference for row in found] == VALUES
    assert json.loads((tmp_path / REFERENCE_FILE).read_text())["references"][1] == list(VALUES[1])


def test_a_file_that_was_cut_off_anywhere_is_made_anew(rows: list[Row], tmp_path: Path) -> None:
    model, file = Model(), tmp_path / REFERENCE_FILE
    with_references(rows, tmp_path, identity=IDENTITY, ask=model)
    whole = file.read_bytes()
    lengths = range(0, len(whole.rstrip()), 9)
    for length in lengths:
        file.write_bytes(whole[:length])
        with_references(rows, tmp_path, identity=IDENTITY, ask=model)
    assert model.times == 1 + len(lengths)
    assert file.read_bytes() == whole
