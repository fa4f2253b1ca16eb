"""Times the training loop against TRL's SFTTrainer on the same rows, and prints Markdown tables.

    .venv-bench/bin/python benchmarks/training.py --data ../shared/data

Every arm is a process of its own and takes the same rows in the same steps of 8, from the same
adapter, with the loss on the answer alone and a constant learning rate; arms alternate, and medians
over `--turns` are printed. What the arms are: benchmarks/README.md. The data sets are not part of
this repository: `--data` names a folder with snips_json and eshop_triage.
"""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
ARMS = ("tunewise", "trl_default", "trl_best")
ROWS_A_STEP = 8
RATE = 5e-4
RANK, ALPHA = 16, 32.0
WARM_UP = 2
"""Steps that are not timed."""
STEPS = {"snips_json": 50, "eshop_triage": 12, "shared_instruction": 6}
"""Of the first turn."""
LATER_STEPS = {"snips_json": 15, "eshop_triage": 12, "shared_instruction": 6}
"""Of the others: the losses were compared by then."""
INSTRUCTION_WORDS = 270
"""Words of the shared instruction: about 400 tokens."""


def main() -> None:
    """Runs the arms in turn, or one of them where `--arm` asks for it."""
    given = arguments()
    if given.arm:
        print(json.dumps(run_arm(given)))
        return
    with tempfile.TemporaryDirectory() as folder:
        prepare(Path(folder), given.data)
        results: dict[str, dict[str, list[dict[str, Any]]]] = {}
        for turn in range(given.turns):
            for work in given.work:
                for arm in given.arms:
                    steps = (LATER_STEPS if turn else STEPS)[work]
                    found = one_process(arm, work, Path(folder), given.data, steps)
                    results.setdefault(work, {}).setdefault(arm, []).append(found)
                    said = f"turn {turn + 1}, {work}, {arm}: {found['tokens_per_second']:.0f}"
                    print(f"{said} tokens/s", file=sys.stderr, flush=True)
    print(markdown(results))


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--work", nargs="+", default=list(STEPS), choices=list(STEPS))
    parser.add_argument("--arms", nargs="+", default=list(ARMS), choices=ARMS)
    parser.add_argument("--arm", choices=ARMS, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--steps", type=int, help=argparse.SUPPRESS)
    return parser.parse_args()


def prepare(folder: Path, data: Path) -> None:
    """Writes the adapter that every arm starts from."""
    import peft
    import torch

    from tunewise.models import loading

    torch.manual_seed(0)
    model = peft.get_peft_model(loading.load_model(base().folder), lora())
    model.save_pretrained(str(folder / "start"), save_embedding_layers=False)


def base() -> Any:
    """The starter model."""
    from tunewise.models.catalog import open_model
    from tunewise.progress import Silent
    from tunewise.project.settings import STARTER_MODEL

    return open_model(STARTER_MODEL, progress=Silent())


def lora() -> Any:
    """The adapter of every arm."""
    from peft import LoraConfig

    return LoraConfig(task_type="CAUSAL_LM", r=RANK, lora_alpha=ALPHA, target_modules="all-linear")


def one_process(arm: str, work: str, folder: Path, data: Path, steps: int) -> dict[str, Any]:
    """What one arm says of itself."""
    command = [sys.executable, __file__, "--arm", arm, "--work", work]
    command += ["--folder", str(folder), "--data", str(data), "--steps", str(steps)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def run_arm(given: argparse.Namespace) -> dict[str, Any]:
    """Trains, and says how fast."""
    (work,) = given.work
    examples = rows_of(work, given.data)[: ROWS_A_STEP * given.steps]
    start = given.folder / "start"
    if given.arm == "tunewise":
        found = ours(examples, start, given.folder)
    else:
        found = theirs(examples, start, given.folder, best=given.arm == "trl_best")
    # Not ru_maxrss, which is never below what the process had that started this one.
    peak = Path("/proc/self/status").read_text("ascii").split("VmHWM:")[1].split()[0]
    return {**found, "peak_mib": int(peak) / 1024}


def rows_of(work: str, data: Path) -> Sequence[Any]:
    """The examples of one workload."""
    from dataclasses import replace

    from tunewise.data.read import read_examples
    from tunewise.types import Message

    name = "snips_json" if work == "shared_instruction" else work
    examples = read_examples(data / name / "train.jsonl").examples
    if work != "shared_instruction":
        return examples
    words = (ROOT / "examples" / "support_triage" / "README.md").read_text("utf-8").split()
    told = Message(role="system", content=" ".join(words[:INSTRUCTION_WORDS]))
    return [replace(example, messages=(told, *example.messages)) for example in examples]


def ours(
    examples: Sequence[Any], start: Path, folder: Path, *, threads: Any = None
) -> dict[str, Any]:
    """The loop of this repository, its own order of rows replaced by the given one."""
    from tunewise.models import loading
    from tunewise.training import loop
    from tunewise.training.recipe import Recipe
    from tunewise.training.rows import example_rows

    model = base()
    rows = example_rows(loading.load_tokenizer(model.folder), examples)
    losses: list[float] = []
    shares: list[float] = []
    ends: list[float] = []

    class InOrder(loop.Training):
        def _steps(self, epoch: int) -> list[list[Any]]:
            return [rows[i : i + ROWS_A_STEP] for i in range(0, len(rows), ROWS_A_STEP)]

    def watch(event: Any) -> None:
        if event["event"] == "start":
            ends.append(time.perf_counter())
        elif event["event"] == "step":
            ends.append(time.perf_counter())
            losses.append(event["loss"])
            shares.append(event["share_of_peak"])

    recipe = Recipe(
        learning_rate=RATE,
        epochs=1,
        batch_tokens=4096,
        seed=1,
        rank=RANK,
        alpha=ALPHA,
        schedule="constant",
        warmup_share=0.0,
    )
    with tempfile.TemporaryDirectory(dir=folder) as out:
        training = InOrder(
            model, rows, recipe, Path(out), start=start, watchers=[watch], threads=threads
        )
        training.run_epoch()
        precision = training.precision
    found = summary(ends, losses, [row.tokens for row in rows])
    return {**found, "precision": precision, "share": statistics.median(shares[WARM_UP:])}


def theirs(examples: Sequence[Any], start: Path, folder: Path, *, best: bool) -> dict[str, Any]:
    """TRL's SFTTrainer."""
    from datasets import Dataset
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, TrainerCallback
    from trl import SFTConfig, SFTTrainer

    from tunewise.models import loading
    from tunewise.training.rows import example_rows

    ends: list[float] = []
    losses: list[float] = []

    class Clock(TrainerCallback):
        def on_train_begin(self, *_: Any, **__: Any) -> None:
            ends.append(time.perf_counter())

        def on_step_end(self, *_: Any, **__: Any) -> None:
            ends.append(time.perf_counter())

        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
            if logs and "loss" in logs:
                losses.append(float(logs["loss"]))

    model = base()
    tokenizer = loading.load_tokenizer(model.folder)
    rows = example_rows(tokenizer, examples)
    settings: dict[str, Any] = {}
    if best:
        settings = {"gradient_checkpointing": False, "bf16": True, "dataloader_pin_memory": False}
    with tempfile.TemporaryDirectory(dir=folder) as out:
        config = SFTConfig(
            output_dir=out,
            use_cpu=True,
            save_strategy="no",
            disable_tqdm=True,
            learning_rate=RATE,
            lr_scheduler_type="constant",
            num_train_epochs=1,
            train_sampling_strategy="sequential",
            logging_steps=1,
            report_to="none",
            completion_only_loss=True,
            **settings,
        )
        loaded = AutoModelForCausalLM.from_pretrained(str(model.folder), dtype="float32")
        trainer = SFTTrainer(
            model=PeftModel.from_pretrained(loaded, str(start), is_trainable=True),
            args=config,
            train_dataset=Dataset.from_list([_tokens(row) for row in rows]),
            processing_class=tokenizer,
            callbacks=[Clock()],
        )
        trainer.train()
    return summary(ends, losses, [row.tokens for row in rows])


def _tokens(row: Any) -> dict[str, Any]:
    """The same tokens with the same loss mask: left to itself TRL would add the newline behind."""
    (sequence,) = row.sequences
    ((start, stop),) = sequence.answers
    mask = [int(start <= place < stop) for place in range(len(sequence.token_ids))]
    return {"input_ids": list(sequence.token_ids), "completion_mask": mask}


def summary(
    ends: Sequence[float], losses: Sequence[float], lengths: Sequence[int]
) -> dict[str, Any]:
    """Tokens of rows (padding excluded, prefixes in every row) a second after the warm-up."""
    seconds = ends[-1] - ends[WARM_UP]
    return {
        "tokens_per_second": sum(lengths[WARM_UP * ROWS_A_STEP :]) / seconds,
        "seconds_a_step": seconds / (len(ends) - 1 - WARM_UP),
        "losses": list(losses),
    }


def markdown(results: dict[str, dict[str, list[dict[str, Any]]]]) -> str:
    """A table a workload: medians over the turns, and ratios to TRL's defaults."""
    lines = [f"{os.cpu_count()} processors ({platform.machine()}), medians over the turns."]
    for work, arms in results.items():
        lines += [
            "",
            f"### {work}",
            "",
            "| arm | tokens/s | times TRL | s a step | peak MiB | of matrix peak |",
        ]
        lines += ["|---|---:|---:|---:|---:|---:|"]
        usual = _median(arms.get("trl_default", []), "tokens_per_second")
        for arm, turns in arms.items():
            speed = _median(turns, "tokens_per_second")
            times = f"{speed / usual:.2f}" if usual else ""
            share = f"{_median(turns, 'share'):.0%}" if "share" in turns[0] else ""
            lines.append(
                f"| {arm} | {speed:.0f} | {times} | {_median(turns, 'seconds_a_step'):.2f} "
                f"| {_median(turns, 'peak_mib'):.0f} | {share} |"
            )
        if {"tunewise", "trl_default"} <= set(arms):
            ours, usual_losses = arms["tunewise"][0]["losses"], arms["trl_default"][0]["losses"]
            pairs = list(zip(ours, usual_losses, strict=False))
            apart = max(abs(a - b) / b for a, b in pairs)
            mean = abs(sum(ours) / sum(usual_losses) - 1)
            lines += [
                "",
                f"Losses of {len(pairs)} steps: {mean:.2%} apart in the mean, "
                f"{apart:.2%} at the most.",
            ]
    return "\n".join(lines)


def _median(turns: Sequence[dict[str, Any]], key: str) -> float:
    return statistics.median(turn[key] for turn in turns) if turns else 0.0


if __name__ == "__main__":
    main()
