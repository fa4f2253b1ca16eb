import json
from pathlib import Path

from survey_rows import example
from tunewise.data.pairs import Pairs, read_pairs
from tunewise.project.settings import Data
from tunewise.types import Example

SEALED = "the tent I bought last week leaks at the seam and I would like to have it replaced"
NEAR = SEALED.replace("seam", "very seam")
OTHERS = [
    f"a question about {thing}, which nobody has asked before" for thing in ("pegs", "bags", "mats")
]


def pairs(folder: Path, prompts: list[str], held_out: list[Example]) -> Pairs:
    rows = [{"prompt": text, "chosen": "yes", "rejected": "no"} for text in prompts]
    file = folder / "pairs.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return read_pairs((file,), Data(preferences=(file,)), held_out=held_out)


def prompts(found: Pairs) -> list[str]:
    return [pair.messages[-1].content for pair in found.pairs]


def test_pairs_whose_input_repeats_a_held_out_one_or_nearly_are_left_out(tmp_path: Path) -> None:
    given = [OTHERS[0], SEALED, SEALED.upper(), NEAR, OTHERS[1]]
    found = pairs(tmp_path, given, [example(OTHERS[2]), example(SEALED)])
    assert prompts(found) == OTHERS[:2]
    assert found.notes[-1].startswith("3 of 5 preference pairs were left out: their inputs, or")


def test_pairs_that_are_near_one_another_alone_stay(tmp_path: Path) -> None:
    near = [SEALED, NEAR, SEALED]
    found = pairs(tmp_path, near, [example(text) for text in OTHERS])
    assert prompts(found) == near
    assert not any("left out" in note for note in found.notes)


def test_without_held_out_rows_all_pairs_stay(tmp_path: Path) -> None:
    assert len(pairs(tmp_path, [SEALED, *OTHERS], []).pairs) == 4
