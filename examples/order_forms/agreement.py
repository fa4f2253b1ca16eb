"""Prints how often two sets of answers agree, such as those to orders typed with and without slips.

Both files are JSON lines with `id` and `answer`. Two answers agree when both are valid under
schema.json and hold the same values, in whatever order.

    python agreement.py plain.jsonl slipped.jsonl
"""

import json
import sys
from collections.abc import Mapping
from pathlib import Path

from metric import is_valid

from tunewise.metrics.json_metrics import json_fields


def read_answers(path: Path) -> dict[str, str]:
    """Id -> answer, of a file of JSON lines."""
    rows = [json.loads(line) for line in path.read_text("utf-8").splitlines() if line.strip()]
    return {row["id"]: row["answer"] for row in rows}


def agree(one: str, other: str) -> bool:
    """Whether both are forms, and the same form."""
    return is_valid(one) and is_valid(other) and json_fields(one, other).value == 1


def compare(ones: Mapping[str, str], others: Mapping[str, str]) -> str:
    """What is to be printed about the answers whose ids both sets hold.

    Raises:
        SystemExit: they have no id in common.
    """
    ids = sorted(ones.keys() & others.keys())
    if not ids:
        raise SystemExit("The two files have no id in common.")
    apart = [name for name in ids if not agree(ones[name], others[name])]
    same, total = len(ids) - len(apart), len(ids)
    invalid = [sum(not is_valid(answers[name]) for name in ids) for answers in (ones, others)]
    lines = [
        f"{same} of {total} agree ({100 * same / total:.1f}%).",
        f"No valid form: {invalid[0]} in the first set, {invalid[1]} in the second.",
    ]
    if apart:
        lines.append(f"Apart: {', '.join(apart)}")
    return "\n".join(lines)


if __name__ == "__main__":
    first, second = (read_answers(Path(name)) for name in sys.argv[1:3])
    sys.stdout.write(compare(first, second) + "\n")
