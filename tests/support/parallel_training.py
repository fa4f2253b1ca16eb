"""A training of 20 steps, up to some epoch, in one process or as many as torchrun starts."""

import json
import os
import sys
from dataclasses import replace
from pathlib import Path

from killed_trainings import RECIPE, rows_for
from tunewise.models.catalog import LocalModel
from tunewise.training.loop import Training

STEPS = 20


def main() -> None:
    given = json.loads(sys.argv[1])
    base = LocalModel(
        name="small", family="llama", context_tokens=256, sha256="x", gguf=None, no_gguf="",
        folder=Path(given["model"]),
    )  # fmt: skip
    recipe = replace(RECIPE, dropout=0.0, learning_rate=1e-3, adapter=given["adapter"])
    training = Training(base, rows_for(base)[:40], recipe, Path(given["folder"]), device="cpu")
    while len(training.epochs) < given["epochs"]:
        training.run_epoch()
    training.save(Path(given["folder"]) / "saved")
    if os.environ.get("RANK", "0") == "0":
        sys.stdout.write(json.dumps({"steps": training.steps}) + "\n")


if __name__ == "__main__":
    main()
