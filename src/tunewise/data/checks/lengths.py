"""How long rows are against the model's context, and whether its chat template takes them.

Counted with the project's own tokenizer where it is at hand, else in characters. A large data set
is sampled; of the rows outside the sample the longest ones are counted as well, so that rows beyond
the context are not missed.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from tunewise.chat.template import render
from tunewise.chat.tokenize import ChatTokenizer, answer_tokens
from tunewise.chat.tools import read_answer
from tunewise.data.checks.findings import Found
from tunewise.data.checks.survey import Survey
from tunewise.data.splitting.near_duplicates import Indices
from tunewise.data.splitting.units import comparable_text
from tunewise.errors import UserError
from tunewise.types import Example, Message
from tunewise.wording import plural

SAMPLE = 50_000
"""Rows of a large data set that are tokenised."""
_MAX_LENGTH = 5_000
"""Rows outside the sample that are tokenised because they are long."""
_CHARS_PER_TOKEN = 2
"""Fewer characters a token than any language but code and signs has."""
_EXACT = 1_000
"""Rows that are tokenised as training does it, with every check of the template; of the others
only the length is counted, unless they do not fit."""
_AT_ONCE = 1_000


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelTokenizer:
    """The tokenizer of the project's base model."""

    model: str
    """What the project calls it."""
    tokenizer: ChatTokenizer
    context: int
    """Tokens of its window, prompt and answer together."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RowLengths:
    """How long rows are, prompt and answer together."""

    unit: str
    """`tokens` or `characters`."""
    sample: NDArray[np.int64]
    """(sampled,) lengths of a fair sample of the rows, or of all."""
    context: int | None = None
    """Tokens of the model's window; None where tokens could not be counted."""
    model: str | None = None
    too_long: int = 0
    """Rows counted that do not fit into the context."""
    cut_off: int = 0
    """Those of them whose prompt alone fills it."""
    refused: Indices
    """Rows that the chat template refuses, and rows that are cut off."""


def sampled(rows: int, seed: int, most: int = SAMPLE) -> Indices:
    """`most` of the row numbers, chosen by the seed, ascending; all where there are no more."""
    if rows <= most:
        return np.arange(rows)
    return np.sort(np.random.default_rng(seed).choice(rows, most, replace=False))


def check_tokens(
    survey: Survey,
    model: ModelTokenizer | None,
    seed: int,
    found: Found,
    *,
    plain: bool = False,
    advance: Callable[[int], object] = int,
) -> RowLengths:
    """Counts tokens, and finds rows that do not fit into the context or that the template refuses.

    Args:
        survey: of all rows.
        model: None where no tokenizer is at hand.
        seed: of the sample.
        found: gets the findings.
        plain: whether rows are texts without an answer: they have a length, and need not fit.
        advance: informed of rows that are counted.
    """
    chars = survey.columns.input_chars.astype(np.int64) + survey.columns.target_chars
    rows = sampled(len(survey), seed)
    if model is None:
        return RowLengths(unit="characters", sample=chars[rows], refused=rows[:0])
    if plain:
        sample = _plain_lengths(survey, rows, model.tokenizer, advance)
        return RowLengths(
            unit="tokens", sample=sample, context=model.context, model=model.model, refused=rows[:0]
        )
    suspects = np.flatnonzero(chars > _CHARS_PER_TOKEN * model.context)
    suspects = suspects[np.argsort(-chars[suspects], kind="stable")][:_MAX_LENGTH]
    firsts = np.array([first for _, first in survey.shapes.values()], dtype=np.int64)
    counted = np.union1d(rows, np.union1d(suspects, firsts))
    exact = np.union1d(firsts, counted[:: max(len(counted) // _EXACT, 1)])
    prompts, totals, refusals = _counted(survey, counted, exact, model, advance)
    _report_refusals(survey, model, refusals, found)
    cut_off = counted[prompts >= model.context]
    too_long = counted[(totals > model.context) & (prompts < model.context)]
    length = dict(zip(counted.tolist(), totals.tolist(), strict=True))
    found.each(
        "error",
        "target_cut_off",
        [int(row) for row in cut_off],
        lambda row: (
            survey.where(row),
            f"The prompt alone fills the context of {model.model} ({model.context:,} tokens; the "
            f"row has {length[row]:,}): the answer is cut off, so nothing is learnt. Shorten it.",
        ),
    )
    found.each(
        "warning",
        "too_long",
        [int(row) for row in too_long],
        lambda row: (
            survey.where(row),
            f"Has {length[row]:,} tokens; the context of {model.model} holds {model.context:,}. "
            "Shorten it, or choose a model with a longer context.",
        ),
    )
    fair = totals[np.isin(counted, rows) & (totals > 0)]
    return RowLengths(
        unit="tokens",
        sample=fair,
        context=model.context,
        model=model.model,
        too_long=len(too_long) + len(cut_off),
        cut_off=len(cut_off),
        refused=np.union1d(cut_off, np.array(list(refusals), dtype=np.int64)),
    )


def _counted(
    survey: Survey,
    rows: Indices,
    exact: Indices,
    model: ModelTokenizer,
    advance: Callable[[int], object],
) -> tuple[NDArray[np.int64], NDArray[np.int64], dict[int, str]]:
    """(rows,) tokens of prompts, (rows,) of whole rows, and row -> why it is refused."""
    prompts = np.zeros(len(rows), dtype=np.int64)
    totals = np.zeros(len(rows), dtype=np.int64)
    refusals: dict[int, str] = {}
    is_exact = np.isin(rows, exact)
    for start in range(0, len(rows), _AT_ONCE):
        batch = rows[start : start + _AT_ONCE]
        for place, example in enumerate(survey.kept.get(batch), start):
            if not example.target.strip():
                continue
            try:
                if not is_exact[place]:
                    totals[place] = _length(model.tokenizer, example)
                if is_exact[place] or totals[place] > model.context:
                    prompts[place], totals[place] = _tokens(model.tokenizer, example)
            except UserError as refusal:
                refusals[int(rows[place])] = str(refusal)
        advance(len(batch))
    return prompts, totals, refusals


def _plain_lengths(
    survey: Survey, rows: Indices, tokenizer: ChatTokenizer, advance: Callable[[int], object]
) -> NDArray[np.int64]:
    """(rows,) tokens of texts without an answer."""
    lengths: list[int] = []
    for start in range(0, len(rows), _AT_ONCE):
        examples = survey.kept.get(rows[start : start + _AT_ONCE])
        texts = [comparable_text(example) for example in examples]
        lengths += [len(tokenizer.encode(text, add_special_tokens=False)) for text in texts]
        advance(len(examples))
    return np.array(lengths, dtype=np.int64)


def _length(tokenizer: ChatTokenizer, example: Example) -> int:
    """Tokens of the whole row; what a template writes after the answer is counted, too."""
    answer = read_answer(example.target, example.tools)
    last = Message(role="assistant", content=answer.content, tool_calls=answer.calls)
    text = render(tokenizer, [*example.messages, last], example.tools)
    return len(tokenizer.encode(text, add_special_tokens=False))


def _tokens(tokenizer: ChatTokenizer, example: Example) -> tuple[int, int]:
    """Tokens before the first one that carries loss, and of the whole row."""
    tokenised = answer_tokens(tokenizer, example.messages, example.target, example.tools)
    return tokenised.answers[0].start, len(tokenised.token_ids)


def _report_refusals(
    survey: Survey, model: ModelTokenizer, refusals: dict[int, str], found: Found
) -> None:
    rows: Sequence[int] = list(refusals)
    found.each(
        "error",
        "template",
        rows,
        lambda row: (survey.where(row), f"{model.model}: {refusals[row]}"),
    )
    roles = {shape: count for shape, (count, first) in survey.shapes.items() if first in refusals}
    for shape, count in roles.items():
        if count > 1:
            found.add(
                "note",
                "template_shape",
                "data",
                f"{plural(count, 'row is', 'rows are')} written as {shape}, like the row that the "
                f"chat template of {model.model} refuses.",
            )
