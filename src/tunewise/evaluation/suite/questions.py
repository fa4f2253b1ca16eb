"""Questions with choices, of which one is right: those of Tunewise, arithmetic, and a person's own.

A question is asked in two ways. By likelihood: which of its choices the model would rather say. By
generation: the choices stand in the prompt, and the model writes its answer.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from random import Random
from typing import cast

from tunewise.errors import UserError
from tunewise.evaluation import suite
from tunewise.evaluation.suite import verifiers as v

OWN = "your own"
"""Ability of a person's own questions."""
ARITHMETIC = 48
"""Questions of arithmetic made from the seed."""
ANSWER_TOKENS = 16
"""Generated for an answer to a question at most."""
_LABELS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"


@dataclass(frozen=True, kw_only=True, slots=True)
class Question:
    """One question of the suite."""

    id: str
    ability: str
    """`knowledge`, `reasoning`, `language`, `reading`, `arithmetic` or `your own`."""
    kind: str
    """What it is about: questions of a kind are one cluster."""
    text: str
    choices: tuple[str, ...]
    """At least two, all different."""
    answer: int
    """Which of the choices is right, from 0."""

    @property
    def floor(self) -> float:
        """What an answer by chance gets."""
        return 1.0 / len(self.choices)

    @property
    def with_choices(self) -> str:
        """The question as it is asked for an answer in words."""
        listed = "\n".join(f"- {choice}" for choice in self.choices)
        return f"{self.text}\nAnswer with one of these and nothing else:\n{listed}"

    def right(self, answer: str) -> bool:
        """Whether an answer names the right choice and no other.

        A choice that is part of a longer one which is named is not named by that.
        """
        said = v.words(answer)
        named = [n for n, choice in enumerate(self.choices) if _stands_in(v.words(choice), said)]
        longest = [
            n
            for n in named
            if not any(
                len(self.choices[other]) > len(self.choices[n])
                and _stands_in(v.words(self.choices[n]), v.words(self.choices[other]))
                for other in named
            )
        ]
        return longest == [self.answer]


def bundled(*, seed: int = 0) -> list[Question]:
    """The questions that come with Tunewise: those written by hand, then arithmetic."""
    text = resources.files(suite).joinpath("questions.jsonl").read_text("utf-8")
    rows = [cast("dict[str, object]", json.loads(line)) for line in text.splitlines()]
    return [*(_question(row) for row in rows), *arithmetic(ARITHMETIC, seed=seed)]


def arithmetic(count: int, *, seed: int = 0) -> list[Question]:
    """Sums, differences, products and quotients in turn, of numbers that a child can work out."""
    rng = Random(f"arithmetic {seed}")
    made: dict[str, Question] = {}
    while len(made) < count:
        kind = ("sums", "differences", "products", "quotients")[len(made) % 4]
        a, b = rng.randint(2, 20), rng.randint(2, 20)
        match kind:
            case "sums":
                text, right = f"How much is {a} plus {b}?", a + b
            case "differences":
                text, right = f"How much is {a + b} minus {b}?", a
            case "products":
                a, b = rng.randint(2, 10), rng.randint(2, 10)
                text, right = f"How much is {a} times {b}?", a * b
            case _:
                a, b = rng.randint(2, 10), rng.randint(2, 10)
                text, right = f"How much is {a * b} divided by {b}?", a
        wrong = [right + shift for shift in (-10, -3, -2, -1, 1, 2, 3, 10) if right + shift > 0]
        numbers = [right, *rng.sample(wrong, 3)]
        rng.shuffle(numbers)
        made.setdefault(
            text,
            Question(
                id=f"{kind}-{len(made)}",
                ability="arithmetic",
                kind=kind,
                text=text,
                choices=tuple(map(str, numbers)),
                answer=numbers.index(right),
            ),
        )
    return list(made.values())


def own_questions(files: Sequence[Path]) -> list[Question]:
    """A person's own questions: JSON lines with `question`, `choices` and `answer`.

    `answer` is the number of the right choice from 0, its letter, or the choice itself. A column
    `kind` says what belongs together; without it the file's name does.

    Raises:
        UserError: with every fault, one a line.
    """
    found: list[Question] = []
    faults: list[str] = []
    for file in files:
        try:
            lines = file.read_text("utf-8-sig").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            faults.append(f"data.general: {file} cannot be read: {error}. Give a file in UTF-8.")
            continue
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                found.append(_own(line, file.stem, number))
            except (ValueError, RecursionError) as fault:
                faults.append(f"{file}:{number}: {fault}")
    if not faults and files and not found:
        faults.append(f"data.general: {files[0]} holds no question. Add some, or leave it out.")
    if faults:
        shown = faults[:20]
        more = [f"{len(faults) - 20} more lines like these."] if len(faults) > 20 else []
        raise UserError.together([*shown, *more])
    return found


def _own(line: str, name: str, number: int) -> Question:
    """One line of a person's file.

    Raises:
        ValueError: what is wrong with it, and what to do.
    """
    try:
        value = cast("object", json.loads(line))
    except ValueError as error:
        raise ValueError(f"is no JSON ({error}). Write one object on each line.") from None
    row = cast("dict[str, object]", value) if isinstance(value, dict) else {}
    text, given = row.get("question"), row.get("choices")
    choices = cast("list[object]", given) if isinstance(given, list) else []
    words = [choice.strip() for choice in choices if isinstance(choice, str) and choice.strip()]
    if not isinstance(text, str) or not text.strip() or len(words) < 2:
        raise ValueError("needs a question and at least two choices, all of them texts.")
    if len(words) < len(choices) or len(set(words)) < len(words):
        raise ValueError("has a choice that is empty or stands twice. Remove it.")
    answer = _place(row.get("answer"), words)
    if answer is None:
        raise ValueError(
            f"has no answer among its {len(words)} choices. Write answer as its number from 0, "
            "its letter, or its text."
        )
    kind = row.get("kind")
    return Question(
        id=f"{name}-{number}",
        ability=OWN,
        kind=kind if isinstance(kind, str) and kind else name,
        text=text.strip(),
        choices=tuple(words),
        answer=answer,
    )


def _place(answer: object, choices: Sequence[str]) -> int | None:
    if isinstance(answer, int) and not isinstance(answer, bool):
        return answer if 0 <= answer < len(choices) else None
    if not isinstance(answer, str):
        return None
    if answer.strip() in choices:
        return choices.index(answer.strip())
    letter = _LABELS.find(answer.strip().upper()) if len(answer.strip()) == 1 else -1
    return letter if 0 <= letter < len(choices) else None


def _question(row: dict[str, object]) -> Question:
    return Question(
        id=str(row["id"]),
        ability=str(row["ability"]),
        kind=str(row["kind"]),
        text=str(row["question"]),
        choices=tuple(cast("list[str]", row["choices"])),
        answer=cast("int", row["answer"]),
    )


def _stands_in(part: Sequence[str], whole: Sequence[str]) -> bool:
    size = len(part)
    return bool(part) and any(
        list(whole[n : n + size]) == list(part) for n in range(len(whole) - size + 1)
    )
