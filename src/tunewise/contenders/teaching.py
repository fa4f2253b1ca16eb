"""What a way of asking says, as rows that a model can learn to say without being asked that way.

The teacher answers rows of train with its prompt; the student learns to give the teacher's words
the teacher's probabilities, behind the bare input (context distillation, `training.objectives`).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from tunewise.chat.tokenize import ChatTokenizer
from tunewise.contenders.answering import AT_ONCE, FittedPrompt, ask_together
from tunewise.contenders.protocol import Fitted, NotApplicable
from tunewise.errors import UserError, first_line
from tunewise.progress import Progress
from tunewise.project.contenders import on_base
from tunewise.training.rows import Row, distillation_rows
from tunewise.types import Answer, Example

TEACHERS = ("prompt", "few_shot")
"""Contenders whose way of asking can be learned."""
BUDGET_SHARE = 0.25
"""Part of the tokens that a contender may spend on fitting which the teacher's answers may take."""
MIN_ROWS = 5
"""Rows to learn from at least."""


@dataclass(frozen=True, kw_only=True)
class Lesson:
    """What a teacher said to rows of train."""

    rows: Sequence[Row]
    """The student's sequence, then the teacher's: the same answer behind two prompts."""
    answers: Sequence[Answer]
    """All that the teacher gave, also those that make no row."""


def best_teacher(
    fitted: Mapping[str, Fitted], dev: Mapping[str, float], *, label: str = ""
) -> FittedPrompt | None:
    """The teacher that does best on dev, the simpler one on ties.

    Args:
        fitted: contenders that are still in.
        dev: their quality there.
        label: short name of the student's base, where that is not the first: the teacher's, too.
    """
    names = [on_base(way, label) for way in TEACHERS]
    found = [one for name in names if isinstance(one := fitted.get(name), FittedPrompt)]
    return max(found, key=lambda one: dev[one.fit.contender], default=None)


def lesson_of(
    teacher: FittedPrompt,
    tokenizer: ChatTokenizer,
    train: Sequence[Example],
    *,
    context_tokens: int,
    budget_tokens: int,
    seed: int,
    progress: Progress,
) -> Lesson:
    """Has the teacher answer train and makes rows of it.

    Args:
        teacher: asked at temperature 0; an example that it would show of a row itself is left out.
        tokenizer: of the student.
        train: the rows; as many of them, by chance, as the budget allows.
        context_tokens: of the student.
        budget_tokens: of the whole fit.
        seed: of the choice of rows.
        progress: shows how many are answered.

    Raises:
        NotApplicable: hardly an answer can be learned.
    """
    strategy = teacher.strategy
    way = replace(strategy, prompts=strategy.of_train or strategy.prompts, read=str.strip)
    places: list[int] = np.random.default_rng(seed).permutation(len(train)).tolist()
    order = [train[place] for place in places]
    rows: list[Row] = []
    answers: list[Answer] = []
    fault, spent = "", 0
    with progress.task(f"{teacher.fit.contender}: answers to learn from", total=len(train)) as tell:
        for start in range(0, len(order), AT_ONCE):
            if spent >= BUDGET_SHARE * budget_tokens:
                break
            some = order[start : start + AT_ONCE]
            inputs = [example.input for example in some]
            (given,) = ask_together(teacher.engine, teacher.fit.contender, [(way, inputs)])
            prompts = way.prompts(inputs)
            for example, answer, prompt in zip(some, given, prompts, strict=True):
                spent += answer.usage.total
                if answer.text is None:
                    fault = answer.error or ""
                    continue
                said = replace(example, target=answer.text)
                try:
                    rows += distillation_rows(
                        tokenizer, [said], [prompt.messages], context_tokens=context_tokens
                    )
                except UserError as refusal:
                    fault = first_line(refusal)
            answers += given
            tell(len(some))
    if len(rows) < MIN_ROWS:
        raise NotApplicable(f"the answers of {teacher.fit.contender} cannot be learned ({fault})")
    return Lesson(rows=rows, answers=answers)
