"""Writes a GGUF file with the Modelfile that `ollama create` reads.

There is no TEMPLATE in it: Ollama then runs the template inside the file. Sampling is greedy and
without a penalty on repetition, which Ollama has by default: answers are as they were judged.
"""

from collections.abc import Sequence
from pathlib import Path

from tunewise.contenders.prompt import variant_of
from tunewise.errors import UserError
from tunewise.exporting.source import Source
from tunewise.models.loading import end_token_ids

MODELFILE = "Modelfile"


def write_modelfile(source: Source, folder: Path, file: Path) -> None:
    """Writes the Modelfile of a GGUF file beside it.

    Raises:
        UserError: it cannot say how this contender is asked.
    """
    tokenizer = source.tokenizer
    ends = sorted(end_token_ids(source.local.folder, tokenizer))
    text = modelfile(
        file.name,
        ends=[str(tokenizer.decode([end])) for end in ends],
        context_tokens=source.local.context_tokens,
        system=system_of(source),
    )
    (folder / MODELFILE).write_text(text, "utf-8")


def modelfile(file: str, *, ends: Sequence[str], context_tokens: int, system: str) -> str:
    """The text of a Modelfile.

    Args:
        file: name of the GGUF file, which lies beside it.
        ends: texts of the tokens that end an answer.
        context_tokens: the context window, prompt and completion together.
        system: the system turn; empty: none.

    Raises:
        UserError: a text that a Modelfile cannot hold.
    """
    lines = [
        f"FROM ./{file}",
        "PARAMETER temperature 0",
        "PARAMETER repeat_penalty 1",
        f"PARAMETER num_ctx {context_tokens}",
        *(f"PARAMETER stop {_quoted(end)}" for end in ends),
    ]
    if system:
        lines.append(f"SYSTEM {_quoted(system)}")
    return "\n".join(lines) + "\n"


def system_of(source: Source) -> str:
    """The system turn before every input; empty where there is none.

    Raises:
        UserError: the contender is asked in a way that a system turn alone does not make up.
    """
    settings = source.settings
    if source.looks_up:
        raise UserError(
            f"{source.named}: {source.contender} puts examples or passages into the prompt, which "
            "Ollama cannot look up. "
            + (
                "Use --to gguf, and put the passages before the question yourself."
                if source.adapter is not None
                else "Use --to prompt."
            )
        )
    if source.adapter is not None:
        return ""
    if "variant" in settings:
        variant = variant_of(settings)
        if variant.before or variant.after or variant.marked:
            raise UserError(
                f"{source.named}: {source.contender} puts words around the input or looks for a "
                "mark in the answer, which a Modelfile cannot say. Use --to prompt."
            )
        return variant.system
    return str(settings.get("instruction", ""))


def _quoted(text: str) -> str:
    """A value of a Modelfile."""
    if '"""' in text or text.endswith('"'):
        raise UserError(
            f'The instruction {text[:40]!r} ends with a quotation mark or holds """, which a '
            "Modelfile cannot hold. Use --to prompt, or word it in another way."
        )
    return f'"""{text}"""' if "\n" in text or '"' in text else f'"{text}"'
