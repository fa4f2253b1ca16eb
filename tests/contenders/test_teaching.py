"""Rows that a student learns from: the teacher's own words, behind its prompt and behind none."""

from collections.abc import Callable

import pytest

from scripted_rows import Counted, race, row, rows
from tunewise.chat.tokenize import ChatTokenizer
from tunewise.contenders.answering import FittedPrompt
from tunewise.contenders.few_shot import FewShot
from tunewise.contenders.protocol import NotApplicable
from tunewise.contenders.teaching import Lesson, best_teacher, lesson_of
from tunewise.contenders.zero_shot import ZeroShot
from tunewise.models.catalog import LocalModel
from tunewise.models.engines.protocol import Request
from tunewise.models.engines.scripted import ScriptedEngine
from tunewise.models.loading import load_tokenizer
from tunewise.types import Example, Failure

TRAIN = rows(24)


@pytest.fixture(scope="module")
def tokenizer(small_llama: LocalModel) -> ChatTokenizer:
    return load_tokenizer(small_llama.folder)


def few_shot(
    script: Callable[[Request], str | Failure], train: list[Example] = TRAIN
) -> FittedPrompt:
    return FewShot(
        engine=ScriptedEngine(script),
        instruction="Which letter?",
        embedder=None,
        budget_tokens=10**9,
        progress=Counted(),
        counts=(2,),
    ).fit(train, race(rows(12, "dev")))


def lesson(
    teacher: FittedPrompt, tokenizer: ChatTokenizer, *, budget: int = 10**9, context: int = 2000
) -> Lesson:
    return lesson_of(
        teacher,
        tokenizer,
        TRAIN,
        context_tokens=context,
        budget_tokens=budget,
        seed=0,
        progress=Counted(),
    )


def test_the_student_learns_the_teachers_own_words_right_or_wrong(
    tokenizer: ChatTokenizer,
) -> None:
    found = lesson(few_shot(lambda request: "hello"), tokenizer)
    assert len(found.rows) == len(TRAIN)
    for one in found.rows:
        student, teacher = one.sequences
        assert len(teacher.token_ids) > len(student.token_ids)
        said = [side.token_ids[side.answers[-1].start :] for side in (student, teacher)]
        assert said[0] == said[1]
        assert "hello" in str(tokenizer.decode(list(said[0])))


def test_no_row_is_shown_its_own_answer(tokenizer: ChatTokenizer) -> None:
    shown: list[tuple[str, list[str]]] = []

    def watch(request: Request) -> str:
        asked = [turn.content for turn in request.messages if turn.role == "user"]
        shown.append((asked[-1], asked[:-1]))
        return "a"

    teacher = few_shot(watch)
    shown.clear()
    lesson(teacher, tokenizer)
    assert len(shown) == len(TRAIN)
    assert {len(others) for _, others in shown} == {2}
    assert all(asked not in others for asked, others in shown)


def test_the_budget_limits_how_much_the_teacher_is_asked(tokenizer: ChatTokenizer) -> None:
    many = [row(f"r{n}", f"row number {n} means a", "a") for n in range(200)]
    teacher = few_shot(lambda request: "a", many)
    found = lesson_of(
        teacher, tokenizer, many, context_tokens=2000, budget_tokens=100, seed=0,
        progress=Counted(),
    )  # fmt: skip
    assert len(found.answers) == 64  # the first batch used it up


def test_a_teacher_whose_answers_cannot_be_learned_is_refused_with_the_reason(
    tokenizer: ChatTokenizer,
) -> None:
    with pytest.raises(NotApplicable, match=r"few_shot cannot be learned \(gone\)"):
        lesson(few_shot(lambda request: Failure(message="gone")), tokenizer)
    with pytest.raises(NotApplicable, match=r"cannot be learned"):
        lesson(few_shot(lambda request: "a"), tokenizer, context=10)


def test_the_best_of_those_that_can_teach_teaches_and_the_simpler_one_on_ties() -> None:
    def prompt(name: str) -> FittedPrompt:
        return ZeroShot(
            engine=ScriptedEngine(lambda request: "a"),
            instruction="Which letter?",
            budget_tokens=10**9,
            progress=Counted(),
            name=name,
        ).fit(TRAIN, race(rows(12, "dev")))

    fitted = {name: prompt(name) for name in ("zero_shot", "prompt", "few_shot")}
    best = best_teacher(fitted, {"zero_shot": 0.9, "prompt": 0.5, "few_shot": 0.6})
    assert best is not None
    assert best.fit.contender == "few_shot"
    tie = best_teacher(fitted, {"prompt": 0.6, "few_shot": 0.6})
    assert tie is not None
    assert tie.fit.contender == "prompt"
    assert best_teacher({"zero_shot": fitted["zero_shot"]}, {"zero_shot": 0.9}) is None
