"""What agents said -> a log that `tunewise data from-logs` makes examples of."""

import json
from collections.abc import Iterable, Iterator

from eshop.settings import FunctionName
from eshop.tables import Answer


def log_lines(answers: Iterable[Answer], function: FunctionName) -> Iterator[str]:
    """Two lines for each answer of a function: what was asked and answered, and what was said.

    The instruction is left out: it is the project's, which adds it to every row. Where an agent
    wrote without asking a model, the answer has no choices, and only the correction is learned.
    """
    for answer in answers:
        if answer.function != function or answer.verdict is None:
            continue
        name = f"desk-{answer.id}"
        message = {"role": "assistant", "content": answer.text}
        choices = [] if answer.text is None else [{"index": 0, "message": message}]
        asked = [{"role": "user", "content": answer.asked}]
        yield _line(
            time=answer.created,
            request_id=name,
            key="desk",
            model=answer.model or "none",
            request={"model": answer.model or "none", "messages": asked},
            response={"id": name, "object": "chat.completion", "choices": choices},
        )
        feedback = {"rating": "good" if answer.verdict == "good" else "bad"}
        if answer.correction is not None:
            feedback["correction"] = answer.correction
        yield _line(time=answer.said, key="desk", of=name, feedback=feedback)


def _line(**values: object) -> str:
    return json.dumps(values, ensure_ascii=False) + "\n"
