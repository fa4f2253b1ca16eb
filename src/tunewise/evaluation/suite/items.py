"""Which questions and instructions a measurement of retention asks: the screening, or all."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain, zip_longest
from typing import NamedTuple, TypeAlias

from tunewise.evaluation.suite.instructions import Instruction, instructions
from tunewise.evaluation.suite.questions import (
    ANSWER_TOKENS,
    Question,
    bundled,
    own_questions,
)
from tunewise.project.settings import Project

SCREENED = 200
"""Answers that the screening generates."""
PER_KIND, PER_KIND_SCREENED = 14, 4
"""Instructions of each kind, in the whole suite and in the screening."""
CHARACTERS = 4.0
"""Of a token, about, in English."""
TEMPLATE_TOKENS = 30
"""That a chat template writes around a question, about."""
OWN_SCREENED = 200
"""Of a person's own questions, how many the screening asks at most."""

Asked: TypeAlias = Question | Instruction
"""What an answer is generated to."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Suite:
    """What is asked."""

    by_likelihood: tuple[Question, ...]
    """Which of its choices does the model rather say?"""
    by_generation: tuple[Asked, ...]
    """What does it answer?"""
    is_whole: bool = False
    """Whether it is all there is; else the screening."""

    def halves(self) -> "tuple[Suite, Suite]":
        """Every kind in two halves; a question that is asked in both ways stays on one side."""
        places: dict[tuple[str, str], dict[str, int]] = {}

        def side(one: Asked) -> int:
            of_kind = places.setdefault((one.ability, one.kind), {})
            return of_kind.setdefault(one.id, len(of_kind)) % 2

        first, second = (
            Suite(
                by_likelihood=tuple(one for one in self.by_likelihood if side(one) == which),
                by_generation=tuple(one for one in self.by_generation if side(one) == which),
                is_whole=self.is_whole,
            )
            for which in (0, 1)
        )
        return first, second

    @property
    def size(self) -> int:
        """Items: a question that is asked in both ways is two."""
        return len(self.by_likelihood) + len(self.by_generation)


def whole(own: Sequence[Question] = (), *, seed: int = 0) -> Suite:
    """Every question in both ways, and every instruction: about 1,360 items.

    Args:
        own: a person's own questions.
        seed: of what is made by a program.
    """
    questions = [*bundled(seed=seed), *own]
    return Suite(
        by_likelihood=tuple(questions),
        by_generation=(*instructions(PER_KIND, seed=seed), *questions),
        is_whole=True,
    )


def screening(own: Sequence[Question] = (), *, seed: int = 0) -> Suite:
    """Every question by likelihood, and 200 answers: instructions of every kind, some questions.

    Args:
        own: a person's own questions.
        seed: of what is made by a program.
    """
    questions = bundled(seed=seed)
    told = instructions(PER_KIND_SCREENED, seed=seed)
    return Suite(
        by_likelihood=(*questions, *_spread(own)[:OWN_SCREENED]),
        by_generation=(*told, *_spread(questions)[: SCREENED - len(told)]),
    )


def request_text(asked: Asked) -> str:
    """What the model is asked for an answer in words."""
    return asked.with_choices if isinstance(asked, Question) else asked.text


def answer_tokens(asked: Asked) -> int:
    """Tokens that an answer may have."""
    return ANSWER_TOKENS if isinstance(asked, Question) else asked.max_tokens


class SuiteTokens(NamedTuple):
    """What one model reads and writes for a suite, about."""

    read: float
    written: float
    """Where every answer is as long as it may be."""


def tokens_of(suite: Suite) -> SuiteTokens:
    """Tokens of a suite for one model, in its own words rather than any tokenizer's."""
    characters = sum(len(q.text) + sum(map(len, q.choices)) for q in suite.by_likelihood)
    characters += sum(len(request_text(one)) for one in suite.by_generation)
    read = characters / CHARACTERS + TEMPLATE_TOKENS * suite.size
    return SuiteTokens(read, float(sum(answer_tokens(one) for one in suite.by_generation)))


def suite_of(project: Project) -> Suite:
    """What a project asks of general ability.

    Raises:
        UserError: the person's own questions have a fault, with the place of each.
    """
    own = own_questions(project.data.general or ())
    return whole(own) if project.decision.general_suite == "whole" else screening(own)


def _spread(questions: Sequence[Question]) -> list[Question]:
    """The same questions, kind after kind in turn: any beginning holds all kinds alike."""
    kinds: dict[str, list[Question]] = {}
    for question in questions:
        kinds.setdefault(question.kind, []).append(question)
    return [one for one in chain.from_iterable(zip_longest(*kinds.values())) if one is not None]
