"""Turns examples, pairs of answers and documents into rows of tokens.

Knows nothing of how they are trained on.
"""

from collections.abc import Sequence

from tunewise.chat.tokenize import ChatTokenizer, answer_tokens
from tunewise.errors import UserError
from tunewise.training.rows import Row, fault_of, judged_rows, single_rows, text_rows
from tunewise.types import Example, Message, Preference, Text

BLOCK_TOKENS = 512
"""Tokens of a piece of a document."""


def example_rows(
    tokenizer: ChatTokenizer,
    examples: Sequence[Example],
    prompts: Sequence[Sequence[Message]] | None = None,
) -> list[Row]:
    """A row an example, with loss on its answer.

    Args:
        tokenizer: of the base.
        examples: with their targets.
        prompts: what stands before each target; None: its own input.
    """
    before = prompts or [example.messages for example in examples]
    sequences = [
        answer_tokens(tokenizer, messages, example.target, example.tools)
        for messages, example in zip(before, examples, strict=True)
    ]
    return single_rows([f"example {example.id}" for example in examples], sequences)


def distillation_rows(
    tokenizer: ChatTokenizer,
    examples: Sequence[Example],
    prompts: Sequence[Sequence[Message]],
    *,
    context_tokens: int,
) -> list[Row]:
    """Rows of `distill`: the student sees the input, the teacher the long prompt.

    Raises:
        UserError: a row whose long prompt does not fit, or whose answer's tokens differ by prompt.
    """
    students = example_rows(tokenizer, examples)
    teachers = example_rows(tokenizer, examples, prompts)
    rows = [
        Row(id=student.id, sequences=(*student.sequences, *teacher.sequences))
        for student, teacher in zip(students, teachers, strict=True)
    ]
    faults: list[str] = []
    for row in rows:
        answers = [s.token_ids[s.answers[-1].start :] for s in row.sequences]
        if len(row.sequences[0].answers) > 1:
            faults.append(
                f"{row.id}: distill learns one answer a row. Give earlier turns weight 0."
            )
        elif answers[0] != answers[1]:
            faults.append(
                f"{row.id}: its answer has other tokens behind the long prompt. Remove it."
            )
        elif fault := fault_of(row.sequences, context_tokens=context_tokens):
            faults.append(f"{row.id}: {fault}")
    if faults:
        raise UserError.together(faults)
    return rows


def pair_rows(
    tokenizer: ChatTokenizer, pairs: Sequence[Preference], *, context_tokens: int
) -> list[Row]:
    """Rows of `dpo`: the chosen answer, then the rejected one.

    Raises:
        UserError: an answer that cannot be trained on.
    """
    rows = [
        Row(
            id=f"pair {pair.id}",
            sequences=tuple(
                answer_tokens(tokenizer, pair.messages, text, pair.tools)
                for text in (pair.chosen, pair.rejected)
            ),
        )
        for pair in pairs
    ]
    faults = [
        f"{row.id}: {fault}"
        for row in rows
        if (fault := fault_of(row.sequences, context_tokens=context_tokens)) is not None
    ]
    if faults:
        raise UserError.together(faults)
    return rows


def unpaired_rows(rows: Sequence[Row], *, context_tokens: int) -> list[Row]:
    """Rows of `kto` from those of `pair_rows`: two a pair, one answer wanted and one not."""
    chosen, rejected = ([row.sequences[n] for row in rows] for n in (0, 1))
    names = [row.id for row in rows]
    return judged_rows(names, chosen, rejected, context_tokens=context_tokens)


def document_rows(
    tokenizer: ChatTokenizer, texts: Sequence[Text], *, context_tokens: int
) -> list[Row]:
    """Rows of `cpt`: the documents in pieces, each ended as the model ends a text."""
    end = tokenizer.eos_token
    ends = tokenizer.encode(end, add_special_tokens=False) if isinstance(end, str) else []
    tokens = [[*tokenizer.encode(text.text, add_special_tokens=False), *ends] for text in texts]
    names = [f"document {text.id}" for text in texts]
    return text_rows(names, tokens, block_tokens=min(BLOCK_TOKENS, context_tokens))
