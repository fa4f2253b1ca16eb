from pathlib import Path

import numpy as np
import pytest

from survey_rows import example, of, surveyed
from tunewise.chat.tokenize import ChatTokenizer, answer_tokens
from tunewise.data.checks.findings import Found
from tunewise.data.checks.lengths import ModelTokenizer, RowLengths, check_tokens, sampled
from tunewise.data.checks.survey import Survey
from tunewise.models import loading
from tunewise.types import Example, Message

STRICT = (
    "{% for m in messages %}{% if m['role'] == 'system' %}"
    "{{ raise_exception('System role not supported') }}{% endif %}"
    "{{'<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>\n'}}"
    "{% endfor %}{% if add_generation_prompt %}{{'<|im_start|>assistant\n'}}{% endif %}"
)


@pytest.fixture(scope="module")
def tokenizer(small_folder: Path) -> ChatTokenizer:
    return loading.load_tokenizer(small_folder)


def checked(
    survey: Survey, tokenizer: ChatTokenizer | None, context: int = 100
) -> tuple[RowLengths, Found]:
    found = Found()
    model = None
    if tokenizer is not None:
        model = ModelTokenizer(model="small", tokenizer=tokenizer, context=context)
    return check_tokens(survey, model, 0, found), found


def tokens_of(tokenizer: ChatTokenizer, row: Example) -> int:
    return len(answer_tokens(tokenizer, row.messages, row.target).token_ids)


def test_every_row_of_a_small_data_set_is_counted(tokenizer: ChatTokenizer) -> None:
    rows = [example("Where is my order? " * n, "It came.") for n in range(1, 6)]
    lengths, found = checked(surveyed({"examples": rows}), tokenizer, context=200)
    assert lengths.unit == "tokens"
    assert lengths.sample.tolist() == [tokens_of(tokenizer, row) for row in rows]
    assert found.report().counts == {}


def test_rows_longer_than_the_context_are_counted_and_named(tokenizer: ChatTokenizer) -> None:
    rows = [example(f"row {n}", "Yes.") for n in range(5)]
    rows.append(example("Short.", "A long answer. " * 30))
    rows.append(example("A long question. " * 60, "Yes."))
    lengths, found = checked(surveyed({"examples": rows}), tokenizer)
    assert (lengths.too_long, lengths.cut_off) == (2, 1)
    (long,) = of("too_long", found)
    assert long.where == "examples.jsonl:6"
    assert f"Has {tokens_of(tokenizer, rows[5]):,} tokens; the context of small holds 100" in (
        long.message
    )
    (cut,) = of("target_cut_off", found)
    assert cut in found.report().errors
    assert cut.where == "examples.jsonl:7"
    assert lengths.refused.tolist() == [6]


def test_a_template_that_refuses_is_named_with_its_model(tokenizer: ChatTokenizer) -> None:
    kept = tokenizer.chat_template  # type: ignore[attr-defined]
    tokenizer.chat_template = STRICT  # type: ignore[attr-defined]
    try:
        rows = [example(f"row {n}", system="Be kind.") for n in range(3)]
        rows += [example(f"other {n}") for n in range(3)]
        lengths, found = checked(surveyed({"examples": rows}), tokenizer)
    finally:
        tokenizer.chat_template = kept  # type: ignore[attr-defined]
    errors = of("template", found)
    assert [error.where for error in errors] == [f"examples.jsonl:{n}" for n in (1, 2, 3)]
    assert "small: " in errors[0].message
    assert "System role not supported" in errors[0].message
    assert len(lengths.sample) == 3
    (note,) = of("template_shape", found)
    assert "3 rows are written as system user assistant" in note.message


def test_without_a_tokenizer_characters_are_counted() -> None:
    rows = [example("12345", "678"), example("1", "2")]
    lengths, _ = checked(surveyed({"examples": rows}), None)
    assert (lengths.unit, lengths.sample.tolist(), lengths.context) == ("characters", [8, 2], None)


def test_of_many_rows_a_sample_is_counted_and_every_long_one(
    tokenizer: ChatTokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [example(f"row {n}", "Yes.") for n in range(200)]
    rows[150] = example("A long question. " * 60, "Yes.")
    turns = (*rows[0].messages, Message(role="assistant", content="a"), *rows[1].messages)
    rows[77] = Example(id="77", messages=turns, target="Yes.")
    monkeypatch.setattr(
        "tunewise.data.checks.lengths.sampled", lambda rows, seed: np.arange(0, rows, 10) + 1
    )
    lengths, found = checked(surveyed({"examples": rows}), tokenizer)
    assert len(lengths.sample) == 20
    assert of("target_cut_off", found)[0].where == "examples.jsonl:151"


def test_the_sample_is_drawn_by_the_seed_and_whole_where_it_suffices() -> None:
    assert sampled(5, 0).tolist() == [0, 1, 2, 3, 4]
    one, again, other = (sampled(1000, seed, most=50) for seed in (1, 1, 2))
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)
    assert len(set(one.tolist())) == 50
    assert (np.diff(one) > 0).all()
