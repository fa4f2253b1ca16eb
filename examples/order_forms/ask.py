"""Asks a served model to fill in the forms of a file of orders, kept to schema.json or not.

The orders are JSON lines with `id` and `input`; of those only the ones in slips.jsonl are asked, so
that both typings have the same ids. The answers are written as `agreement.py` reads them.

    python ask.py MODEL examples.jsonl plain.jsonl
    python ask.py MODEL slips.jsonl slipped.jsonl --schema
"""

import argparse
import json
from pathlib import Path

from openai import OpenAI  # in the extra `openai`

FOLDER = Path(__file__).parent


def ask(client: OpenAI, model: str, orders: Path, answers: Path, *, enforced: bool) -> None:
    """Writes one answer a line; `enforced`: the schema holds while it is written.

    Raises:
        openai.OpenAIError: the server is not there, or refuses.
    """
    wanted = {row["id"] for row in _rows(FOLDER / "slips.jsonl")}
    kept = json.loads((FOLDER / "schema.json").read_text("utf-8"))
    form = {"type": "json_schema", "json_schema": {"name": "order", "schema": kept, "strict": True}}
    with answers.open("w", encoding="utf-8") as file:
        for row in _rows(orders):
            if row["id"] not in wanted:
                continue
            reply = client.chat.completions.create(
                model=model,
                messages=[{"role": "user", "content": row["input"]}],
                **({"response_format": form} if enforced else {}),
            )
            answer = {"id": row["id"], "answer": reply.choices[0].message.content or ""}
            file.write(json.dumps(answer, ensure_ascii=False) + "\n")


def _rows(path: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]


if __name__ == "__main__":
    words = argparse.ArgumentParser(description=__doc__)
    words.add_argument("model", help="its name at the server, such as order_forms@1")
    words.add_argument("orders", type=Path)
    words.add_argument("answers", type=Path)
    words.add_argument("--schema", action="store_true", help="keep answers to schema.json")
    words.add_argument("--url", default="http://127.0.0.1:8642/v1")
    given = words.parse_args()
    server = OpenAI(base_url=given.url, api_key="any")
    ask(server, given.model, given.orders, given.answers, enforced=given.schema)
