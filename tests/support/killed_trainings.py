"""Trainings in processes of their own, killed with SIGKILL at a chosen step and place in it.

Run as a script: torch is imported once, and every training is a fork of that process, made before
torch started any thread. Prints a line of JSON for each.
"""

import hashlib
import json
import os
import shutil
import signal
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from small_models import user
from tunewise import storage
from tunewise.chat.tokenize import answer_tokens
from tunewise.models import loading
from tunewise.models.catalog import LocalModel
from tunewise.training.checkpoint import MANIFEST
from tunewise.training.loop import Training
from tunewise.training.packing import micro_batches
from tunewise.training.recipe import Recipe
from tunewise.training.rows import Row, single_rows
from tunewise.training.state import CHECKPOINTS
from tunewise.training.utilisation import multiply_peak
from tunewise.types import Message

STEPS = 24
PLACES = ("in the gradient", "between weights and cursor", "in the checkpoint", "after the step")
SYSTEM = Message(role="system", content="Name what the message of the customer is about.")
TOPICS = ("delivery", "defect", "refund", "return", "account", "advice")
RECIPE = Recipe(
    learning_rate=1e-2,
    epochs=2,
    batch_tokens=240,
    seed=3,
    rank=4,
    alpha=8,
    dropout=0.1,
    precision="float32",
    micro_tokens=100,
)


def rows_for(base: LocalModel) -> list[Row]:
    """48 rows that begin alike."""
    tokenizer = loading.load_tokenizer(base.folder)
    sequences = [
        answer_tokens(tokenizer, (SYSTEM, *user(f"Order {n} came.")), TOPICS[n % len(TOPICS)])
        for n in range(10, 58)
    ]
    return single_rows([f"row {n}" for n in range(len(sequences))], sequences)


def kill_at(step: int, place: str) -> None:
    """Arranges for this process to be killed."""

    def die() -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def wrap(name: str, when: Callable[[Training], bool], *, first: bool) -> None:
        usual = getattr(Training, name)

        def wrapped(self: Training, *given: Any) -> Any:
            if first and when(self):
                die()
            result = usual(self, *given)
            if not first and when(self):
                die()
            return result

        setattr(Training, name, wrapped)

    if place == "in the gradient":
        wrap("_backward", lambda t: t.steps == step - 1, first=False)
    elif place == "between weights and cursor":
        usual = Training._load

        def loaded(self: Training) -> None:
            usual(self)
            update = self._optimizer.step

            def updated() -> None:
                update()
                if self.steps == step - 1:
                    die()

            self._optimizer.step = updated

        Training._load = loaded  # type: ignore[method-assign]
    elif place == "in the checkpoint":
        sync = storage.sync

        def synced(path: Path) -> None:
            if f"step-{step:08d}" in str(path) and path.name == MANIFEST:
                die()
            sync(path)

        storage.sync = synced
    else:
        wrap("_step", lambda t: t.steps == step, first=False)


def train(base: LocalModel, rows: list[Row], folder: Path, seconds: float) -> None:
    training = Training(base, rows, RECIPE, folder, checkpoint_seconds=seconds)
    while len(training.epochs) < RECIPE.epochs:
        training.run_epoch()
    assert training.steps == STEPS


def in_a_process(work: Callable[[], None], kill: tuple[int, str] | None = None) -> int:
    """Forks; returns the exit code, negative for a signal."""
    child = os.fork()
    if child == 0:
        try:
            if kill:
                kill_at(*kill)
            work()
            os._exit(0)
        except BaseException as error:  # noqa: BLE001 (a fork must not go on as the parent)
            sys.stderr.write(f"{error!r}\n")
            sys.stderr.flush()
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def fingerprint(folder: Path) -> dict[str, str]:
    """sha256 of each file of the newest checkpoint."""
    newest = max((folder / CHECKPOINTS).glob("step-*"))
    files = {f.name: hashlib.sha256(f.read_bytes()).hexdigest() for f in newest.iterdir()}
    return {"place": newest.name, **files}


def main() -> None:
    given = json.loads(sys.argv[1])
    base = LocalModel(
        name="small", family="llama", context_tokens=256, sha256="x", gguf=None, no_gguf="",
        folder=Path(given["model"]),
    )  # fmt: skip
    rows, out = rows_for(base), Path(given["out"])
    multiply_peak("cpu", "float32")  # measured here once, not in every fork; one thread, no others
    for name, step, place in given["runs"]:
        folder = out / name
        # After every step, or at the end of an epoch only: more is lost, the end is the same.
        seconds = 0.0 if place == "in the checkpoint" or step % 2 else 1e9

        whole = partial(train, base, rows, folder, seconds)
        codes = [in_a_process(whole, kill=(step, place))] if step else []
        codes.append(in_a_process(whole))
        line = json.dumps({"name": name, "codes": codes, "files": fingerprint(folder)})
        sys.stdout.write(line + "\n")
        sys.stdout.flush()
        shutil.rmtree(folder)


def shapes(base: LocalModel) -> tuple[int, int]:
    """Batches a step at least, and tokens that their sequences share at least."""
    training_rows = rows_for(base)
    batches = micro_batches(training_rows[:4], micro_tokens=RECIPE.micro_tokens or 0)
    shared = [int((batch.positions == 0).sum()) for batch in batches]
    return len(batches), max(len(b.rows) - n for b, n in zip(batches, shared, strict=True))


if __name__ == "__main__":
    main()
