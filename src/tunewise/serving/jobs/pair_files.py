"""Sets pairs of a dpo job aside for its proof, where the job brings no validation file."""

import hashlib
from pathlib import Path

from tunewise.data.read import ReadRows, read_preferences
from tunewise.data.splitting.units import normalised_input
from tunewise.errors import UserError
from tunewise.storage import write_text
from tunewise.types import Preference

HELD_SHARE = 0.2
MIN_HELD = 30
"""Held-out pairs at least, as far as two thirds are left to learn from."""


def set_aside(file: Path, seed: int, *, learnt: Path, held: Path) -> None:
    """Writes the pairs to learn from and those to judge by as two files, the lines as they are.

    Which side a pair is on follows from its input: pairs of one input stay together, and the same
    file is divided alike every time.

    Args:
        file: JSONL whose rows can be read.
        seed: salt.
        learnt: what to learn from.
        held: what to judge by.

    Raises:
        UserError: there are too few pairs.
    """
    found = read_preferences([file])
    size = max(round(HELD_SHARE * len(found.rows)), min(MIN_HELD, len(found.rows) // 3))
    ranked = sorted(found.rows, key=lambda pair: _rank(normalised_input(pair), seed))
    border = {normalised_input(pair) for pair in ranked[:size]}
    if size < 1 or len(border) == len({normalised_input(pair) for pair in found.rows}):
        raise UserError(
            f"{file}: {len(found.rows)} pairs are too few to learn from some and judge by others. "
            "Add pairs with other inputs."
        )
    pieces = _pieces(file, found)
    for path, is_held in ((held, True), (learnt, False)):
        side = [
            piece
            for pair, piece in zip(found.rows, pieces, strict=True)
            if (normalised_input(pair) in border) == is_held
        ]
        write_text(path, "".join(side))


def _pieces(file: Path, found: ReadRows[Preference]) -> list[str]:
    """The lines of each pair: from its first one to the next pair's."""
    text = file.read_text("utf-8-sig").removesuffix("\n")
    lines = [f"{line}\n" for line in text.split("\n")]
    starts = [int(found.places[pair.id].rpartition(":")[2]) - 1 for pair in found.rows]
    ends = [*starts[1:], len(lines)]
    return ["".join(lines[a:b]) for a, b in zip(starts, ends, strict=True)]


def _rank(text: str, seed: int) -> bytes:
    salted = f"held out {seed} {text}"  # not the salt by which dev is chosen among the others
    return hashlib.sha256(salted.encode("utf-8", errors="surrogatepass")).digest()
