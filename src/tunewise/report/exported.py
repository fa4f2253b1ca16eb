"""What an export came to, as lines for a terminal: what was compared, and what differs."""

from collections.abc import Iterator

from tunewise.runs.exported import EngineParity, Parity
from tunewise.runs.records import visible
from tunewise.wording import percent, plural

SHOWN = 10
"""Differing answers that are shown of one engine."""
_WIDTH = 100
"""Signs of an answer that are shown."""


def parity_lines(parity: Parity) -> list[str]:
    """A line for what was compared, and a few for each engine."""
    long = f", {plural(parity.too_long, 'prompt')} too long and left out" * bool(parity.too_long)
    lines = [
        f"{visible(parity.model)} as {parity.to}: {plural(parity.prompts, 'prompt')} "
        f"({parity.of}) through source and export{long}"
    ]
    for one in parity.engines:
        lines += _engine(one, parity)
    return lines


def _engine(one: EngineParity, parity: Parity) -> Iterator[str]:
    if one.left_out:
        yield f"  {one.engine}: not compared. {one.left_out[:1].upper()}{one.left_out[1:]}"
        return
    asked = one.rendered + one.tokenised
    same = asked - len(one.prompts_differ)
    ends = f", stops at {', '.join(one.ends)}" if one.ends and all(one.ends.values()) else ""
    yield f"  {one.engine}: {same} of {asked} prompts have the same tokens{ends}"
    if one.log_probability is not None:
        yield f"    log-probabilities differ by at most {one.log_probability:.2g} a token"
    if one.source is not None and one.artefact is not None:
        yield (
            f"    {parity.metric}: {percent(one.source)} before, {percent(one.artefact)} after; "
            f"{plural(len(one.answers_differ), 'answer differs', 'answers differ')}"
        )
    for answer in one.answers_differ[:SHOWN]:
        before, after = (_shown(text) for text in answer.said)
        yield f"    {visible(answer.id)}: {percent(answer.source)} -> {percent(answer.artefact)}"
        yield f"      was {before}"
        yield f"      is  {after}"
    if len(one.answers_differ) > SHOWN:
        yield f"    ... and {len(one.answers_differ) - SHOWN} more, in parity.json"
    for fault in one.faults:
        yield f"    FAILED  {fault}"


def _shown(text: str) -> str:
    line = visible(text).replace("\n", "↵")
    return f"{line[:_WIDTH]}…" if len(line) > _WIDTH else line
