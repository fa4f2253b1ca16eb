"""Turns examples, preference pairs and documents into rows of tokens, the units of a training.

A row is one sequence of tokens with the spans that carry loss, or several that belong together.
Each method has its own rows: `example_rows` (sft), `pair_rows` (dpo), `unpaired_rows` (kto),
`document_rows` (cpt), `distillation_rows` (distill).
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np

from tunewise.chat.tokenize import ChatTokenizer, Span, TokenisedExample, answer_tokens
from tunewise.errors import UserError
from tunewise.types import Example, Message, Preference, Text


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """A unit of training: what is in it is never spread over two batches.

    sft, cpt: one sequence. dpo: the chosen, then the rejected answer. kto: the row's own answer,
    then an answer to another input. distill: the student's sequence, then the teacher's, with the
    same answer tokens.
    """

    id: str
    """Of the example, for events and errors."""
    sequences: tuple[TokenisedExample, ...]
    desirable: bool = True
    """kto: whether the answer is a good one."""
    reference: tuple[float, ...] = ()
    """Log-probability (nats) of each sequence's answers under the model before training; empty
    where the method needs none."""
    replayed: bool = False
    """A general example, learnt with `sft` whatever the method: against forgetting."""

    @property
    def tokens(self) -> int:
        """Of all its sequences."""
        return sum(len(sequence.token_ids) for sequence in self.sequences)

    @property
    def loss_tokens(self) -> int:
        """Tokens that carry loss in its first sequence."""
        return self.sequences[0].loss_tokens


def single_rows(ids: Sequence[str], sequences: Sequence[TokenisedExample]) -> list[Row]:
    """Rows of one sequence each."""
    return [Row(id=i, sequences=(s,)) for i, s in zip(ids, sequences, strict=True)]


def desirable_rows(
    ids: Sequence[str],
    chosen: Sequence[TokenisedExample],
    rejected: Sequence[TokenisedExample],
    *,
    context_tokens: int,
) -> list[Row]:
    """Two rows of `kto` a pair: its chosen answer desirable, its rejected one not.

    Each brings a mismatched sequence, its own prompt with the answer of the row after it, from
    which the divergence is estimated (Ethayarajh et al. 2024, arXiv:2402.01306, section 4.1). It
    is cut where it would not fit the context.

    Raises:
        UserError: there is one pair alone, so that nothing is mismatched.
    """
    answers = [
        (f"{name} ({said})", sequence, said == "chosen")
        for name, good, bad in zip(ids, chosen, rejected, strict=True)
        for said, sequence in (("chosen", good), ("rejected", bad))
    ]
    if len(answers) < 3:
        raise UserError("kto needs at least two pairs of answers. Add rows, or choose dpo.")
    return [
        # Two further on is the answer of the same kind to the next input.
        Row(
            id=name,
            sequences=(own, _mismatched(own, answers[(n + 2) % len(answers)][1], context_tokens)),
            desirable=desirable,
        )
        for n, (name, own, desirable) in enumerate(answers)
    ]


def _mismatched(
    own: TokenisedExample, other: TokenisedExample, context_tokens: int
) -> TokenisedExample:
    prompt = own.token_ids[: own.answers[-1].start]
    answer = other.token_ids[other.answers[-1].start :]
    ids = (prompt + answer)[:context_tokens]
    return TokenisedExample(token_ids=ids, answers=(Span(len(prompt), len(ids)),))


def text_rows(
    ids: Sequence[str], texts: Sequence[Sequence[int]], *, block_tokens: int
) -> list[Row]:
    """Rows of `cpt`: every text cut into blocks of at most `block_tokens`, loss on every token.

    A block after the first begins with the last token of the block before, so that every token
    but a text's first is predicted exactly once. What is left of a text is a short row, which
    shares a batch with others without seeing them.
    """
    rows: list[Row] = []
    for name, tokens in zip(ids, texts, strict=True):
        for start in range(0, max(1, len(tokens) - 1), block_tokens - 1):
            block = tuple(tokens[start : start + block_tokens])
            if len(block) > 1:
                whole = TokenisedExample(token_ids=block, answers=(Span(1, len(block)),))
                rows.append(Row(id=f"{name} from token {start}", sequences=(whole,)))
    return rows


def check_rows(rows: Sequence[Row], *, context_tokens: int) -> None:
    """Refuses rows that nothing can be learnt from, by name.

    Raises:
        UserError: no rows, a row without a token that carries loss, or longer than the context.
    """
    if not rows:
        raise UserError("There is no row to train on. Add examples.")
    faults = [
        f"{row.id}: {fault}"
        for row in rows
        if (fault := fault_of(row.sequences, context_tokens=context_tokens)) is not None
    ]
    if faults:
        raise UserError.together(faults)


def fault_of(sequences: Sequence[TokenisedExample], *, context_tokens: int) -> str | None:
    """Why a row of these sequences cannot be trained on, and what to do; None: it can."""
    if sequences[0].loss_tokens == 0:
        return "its answer has no token to learn from. Give it an answer, or remove it."
    longest = max(len(sequence.token_ids) for sequence in sequences)
    if longest > context_tokens:
        return (
            f"its {longest} tokens do not fit the model's context of {context_tokens}. Shorten "
            "it, or choose a base model with a longer context."
        )
    return None


def hash_rows(rows: Sequence[Row]) -> str:
    """sha256 (hex) over token ids, loss masks and what else a row brings."""
    digest = hashlib.sha256()
    for row in rows:
        for sequence in row.sequences:
            spans = chain.from_iterable(sequence.answers)
            numbers = [len(sequence.token_ids), *sequence.token_ids, *spans]
            digest.update(np.array(numbers, dtype=np.int64).tobytes())
            digest.update(b"|")
        digest.update(f"{row.desirable} {row.replayed};".encode())
    return digest.hexdigest()


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
    """Rows of `kto` from those of `pair_rows`: a desirable and an undesirable answer a pair."""
    chosen, rejected = ([row.sequences[n] for row in rows] for n in (0, 1))
    names = [row.id for row in rows]
    return desirable_rows(names, chosen, rejected, context_tokens=context_tokens)


def document_rows(
    tokenizer: ChatTokenizer, texts: Sequence[Text], *, context_tokens: int
) -> list[Row]:
    """Rows of `cpt`: the documents in pieces, each ended as the model ends a text."""
    end = tokenizer.eos_token
    ends = tokenizer.encode(end, add_special_tokens=False) if isinstance(end, str) else []
    tokens = [[*tokenizer.encode(text.text, add_special_tokens=False), *ends] for text in texts]
    names = [f"document {text.id}" for text in texts]
    return text_rows(names, tokens, block_tokens=min(BLOCK_TOKENS, context_tokens))
