"""A run folder that grows as `decide` lets it."""

import json
import time
from pathlib import Path


class Growing:
    """A run folder that is written to as `decide` does."""

    def __init__(
        self, folder: Path, contenders: tuple[str, ...] = ("few_shot", "fine_tune")
    ) -> None:
        self.folder = folder
        folder.mkdir(parents=True)
        (folder / "splits.json").write_text("{}")
        (folder / "project.toml").write_text(f"[contenders]\nuse = {json.dumps(contenders)}\n")
        rows = [{"id": str(n), "input": "a", "target": "b"} for n in range(4)]
        (folder / "test.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        self.event("start", resumed=False)

    def event(self, kind: str, **facts: object) -> None:
        stamp = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
        self.add("events.jsonl", {"time": stamp, "event": kind, **facts})

    def add(self, file: str, *records: object) -> None:
        path = self.folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a") as handle:
            handle.writelines(json.dumps(record) + "\n" for record in records)

    def step(self, number: int, **facts: object) -> None:
        step = {"event": "step", "step": number, "loss": 3.0, "tokens_per_second": 300.0}
        self.add("training/fine_tune-seed0/events.jsonl", {**step, **facts})
