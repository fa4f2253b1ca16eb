"""The same demo with what a good engineer would use today: TRL for the tune, generate for answers.

Started by peers.py as a process of its own, on a finished run of `tunewise decide`. It takes from
that run the rows, the prompts to search, the grid, the epochs and the number of seeds; it brings
its own engine (`AutoModelForCausalLM.generate`) and its own training (TRL's `SFTTrainer`).
"""

import argparse
import json
import time
from collections.abc import Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from datasets import Dataset
from peft import LoraConfig
from transformers import TrainerCallback
from trl import SFTConfig, SFTTrainer

from generate_engine import BATCH_ROWS, DEFAULT, FORMATS, GenerateEngine, Stack, best
from tunewise.chat.prompts import Prompt
from tunewise.contenders.answering import FittedPrompt, PromptStrategy, answer_limit
from tunewise.contenders.build import Resources, contender_set
from tunewise.contenders.protocol import Fitted, NotApplicable
from tunewise.contenders.race import Race
from tunewise.data.prepare import Prepared, prepare
from tunewise.evaluation.latency import measure_latencies
from tunewise.metrics.by_name import Metric, metric_named, quality
from tunewise.models.catalog import open_model
from tunewise.models.engines.protocol import Request, Sampling
from tunewise.pipelines.reading import documents_to_read
from tunewise.progress import Silent
from tunewise.project.load import load_project
from tunewise.types import Example, Fit

PROBE_STEPS = 5
PROBE_TOKENS = 24
NOBODY_IS_OUT = 1.0
"""How far behind the best is too far: the whole range of a metric."""


class SaveAt(TrainerCallback):
    """Saves after the epochs wanted and ends the training after the last one wanted."""

    def __init__(self, epochs: Sequence[int]) -> None:
        self._epochs = epochs
        self.saved: dict[int, Path] = {}

    def on_epoch_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """See `TrainerCallback`."""
        epoch = round(state.epoch)
        control.should_save = epoch in self._epochs
        control.should_training_stop |= epoch >= max(self._epochs)

    def on_save(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        """See `TrainerCallback`."""
        folder = Path(args.output_dir) / f"checkpoint-{state.global_step}"
        self.saved[round(state.epoch)] = folder


@dataclass(frozen=True, kw_only=True)
class Tune:
    """The fine-tune with TRL, on the grid that a run of Tunewise used."""

    base: Path
    engine: GenerateEngine
    metric: Metric
    stack: Stack
    settings: Mapping[str, Any]
    """`fit.settings` of the run's fine_tune: rank, alpha, epochs, of_epochs, seeds."""
    trials: Sequence[Mapping[str, Any]]
    """`fit.trials` of the run's fine_tune: which learning rates, and when dev was answered."""
    folder: Path

    def fit(
        self, train: Sequence[Example], dev: Sequence[Example]
    ) -> tuple[FittedPrompt, dict[str, Any]]:
        """Every learning rate up to the first dev point, the best to its end, then further seeds.

        The learning rate and where seed 1 stops are chosen on dev here too; seeds 2 and on train
        as many epochs as Tunewise's did, so that the work is the same.
        """
        rates = list(dict.fromkeys(float(trial["learning_rate"]) for trial in self.trials))
        points = sorted({int(trial["epochs"]) for trial in self.trials})
        full, further = int(self.settings["of_epochs"]), int(self.settings["epochs"])
        strategy = PromptStrategy(prompts=_bare, max_tokens=answer_limit(self.engine, train))
        spent = 0.0

        def training(rate: float, seed: int, save: Sequence[int], resume: Path | None = None):
            nonlocal spent
            began = time.perf_counter()
            out = self.folder / f"rate{rate:g}-seed{seed}"
            saved = self._train(train, out, rate, full, seed, save, resume)
            spent += time.perf_counter() - began
            print(f"rate {rate:g}, seed {seed}, to epoch {save[-1]}: {spent:.0f} s", flush=True)
            return saved

        def on_dev(adapter: Path) -> float:
            asked = replace(strategy, adapters={1: adapter})
            answers = asked.ask(self.engine, "fine_tune", [e.input for e in dev], seed=1)
            return quality(self.metric, [a.text for a in answers], [e.target for e in dev])

        first = {rate: training(rate, 1, points[:1])[points[0]] for rate in rates}
        scores = {rate: on_dev(adapter) for rate, adapter in first.items()}
        rate = max(rates, key=lambda one: scores[one])
        saved = {points[0]: first[rate]}
        if points[1:]:
            saved |= training(rate, 1, points[1:], first[rate])
        on_points = {points[0]: scores[rate]} | {n: on_dev(saved[n]) for n in points[1:]}
        adapters = {1: saved[max(points, key=lambda n: on_points[n])]}
        for seed in range(2, int(self.settings["seeds"]) + 1):
            adapters[seed] = training(rate, seed, [further])[further]
            on_dev(adapters[seed])
        fit = Fit(
            contender="fine_tune", settings={}, seconds=0.0, tokens={}, dev_answers={}, artifact={}
        )
        epochs = len(rates) * points[0] + points[-1] - points[0] + (len(adapters) - 1) * further
        chosen = {"learning_rate": rate, "dev": on_points, "epochs_trained": epochs}
        asked = FittedPrompt(
            engine=self.engine, strategy=replace(strategy, adapters=adapters), fit=fit
        )
        return asked, {**chosen, "training_seconds": spent}

    def _train(
        self,
        train: Sequence[Example],
        out: Path,
        rate: float,
        epochs: int,
        seed: int,
        save: Sequence[int],
        resume: Path | None,
    ) -> dict[int, Path]:
        """One training; epoch -> checkpoint folder."""
        keeper = SaveAt(save)
        trainer = sft_trainer(
            self.base,
            train,
            self.stack,
            lora=LoraConfig(
                task_type="CAUSAL_LM",
                r=int(self.settings["rank"]),
                lora_alpha=self.settings["alpha"],
                target_modules="all-linear",
            ),
            callbacks=[keeper],
            output_dir=str(out),
            learning_rate=rate,
            num_train_epochs=epochs,
            seed=seed,
        )
        trainer.train(resume_from_checkpoint=str(resume) if resume else None)
        return keeper.saved


def sft_trainer(
    base: Path,
    train: Sequence[Example],
    stack: Stack,
    *,
    lora: LoraConfig,
    callbacks: Sequence[TrainerCallback] = (),
    **fixed: Any,
) -> SFTTrainer:
    """TRL's trainer on these rows. `fixed` is what the comparison itself sets."""
    config = SFTConfig(
        **fixed,
        **stack.sft,
        use_cpu=True,  # TRL's bf16=True refuses a machine without a GPU otherwise
        save_strategy="no",  # but where the callback says so
        disable_tqdm=True,
    )
    return SFTTrainer(
        model=str(base),
        args=config,
        train_dataset=Dataset.from_list([_row(e, stack.completion_only) for e in train]),
        peft_config=lora,
        callbacks=list(callbacks),
    )


def _row(example: Example, completion_only: bool) -> dict[str, Any]:
    prompt = [{"role": m.role, "content": m.content} for m in example.messages]
    answer = [{"role": "assistant", "content": example.target}]
    if completion_only:
        return {"prompt": prompt, "completion": answer}
    return {"messages": prompt + answer}


def _bare(inputs: Sequence[Any]) -> list[Prompt]:
    return [Prompt(messages=item.messages) for item in inputs]


def do_the_demo(run: Path, stack: Stack, out: Path) -> dict[str, Any]:
    """Fits every contender, answers test and measures latency, as the run did.

    Returns:
        `stages` (seconds each), `quality` (contender -> seed -> test quality), `latency_ms`
        (median a contender), `asked` (requests and tokens) and `tune` (what was chosen).
    """
    stages: dict[str, float] = {}

    @contextmanager
    def stage(name: str):
        began = time.perf_counter()
        yield
        stages[name] = time.perf_counter() - began
        print(f"{name}: {stages[name]:.0f} s", flush=True)

    verdict = json.loads((run / "verdict.json").read_text("utf-8"))
    prepared = prepare(load_project(run / "project.toml"))
    _check_same_rows(run, prepared)
    project, splits = prepared.project, prepared.splits
    metric = metric_named(str(project.task.metric), project.task.labels, folder=project.root)
    base = open_model(project.model.bases[0], progress=Silent()).folder
    engine = GenerateEngine(base, stack)
    resources = Resources(
        engine=engine,
        model=None,  # the fine-tunes are ours
        metric=metric,
        folder=out,
        progress=Silent(),
    )
    found = documents_to_read(project)
    documents = found.all_usable() if found else ()
    untrained = contender_set(project, resources, ceilings={}, documents=documents).untrained
    units = splits.units_of(splits.dev)
    unraced = Race(splits.dev, metric=metric, units=units, margin=NOBODY_IS_OUT)
    fitted: dict[str, Fitted] = {}
    with stage("searches"):
        for name, contender in untrained.items():
            try:
                fitted[name] = contender.fit(splits.train, unraced)
            except NotApplicable as reason:
                print(f"{name}: skipped, {reason.reason}")
    tune: dict[str, Any] = {}
    entry = next((c for c in verdict["contenders"] if c["name"] == "fine_tune"), {})
    with stage("fine-tune"):
        if "fit" in entry:
            settings, trials = entry["fit"]["settings"], entry["fit"]["trials"]
            fitted["fine_tune"], tune = Tune(
                base=base,
                engine=engine,
                metric=metric,
                stack=stack,
                settings=settings,
                trials=trials,
                folder=out / "training",
            ).fit(splits.train, splits.dev)
    inputs = [example.input for example in splits.test]
    targets = [example.target for example in splits.test]
    qualities: dict[str, dict[int, float]] = {}
    with stage("test"):
        for name, one in fitted.items():
            qualities[name] = {
                seed: quality(metric, [a.text for a in one.answer(inputs, seed=seed)], targets)
                for seed in one.seeds
            }
    with stage("latency"), engine.prefix_caching():
        asked = {name: (one, one.seeds[-1]) for name, one in fitted.items()}
        measured = measure_latencies(asked, inputs, rng=np.random.default_rng(0))
    return {
        "stages": stages,
        "quality": qualities,
        "latency_ms": {name: one.p50 for name, one in measured.items()},
        "asked": engine.asked,
        "tune": tune,
    }


def _check_same_rows(run: Path, prepared: Prepared) -> None:
    known = json.loads((run / "splits.json").read_text("utf-8"))
    if known["fingerprint"] != prepared.splits.fingerprint:
        raise SystemExit(f"{run} was made from other rows; benchmark both from one copy.")


def probe(run: Path, out: Path) -> dict[str, str]:
    """The faster number format for training and for answering, by a few steps of the real thing.

    Not counted in any arm's time: whoever tunes a stack does this once.
    """
    prepared = prepare(load_project(run / "project.toml"))
    train = prepared.splits.train
    base = open_model(prepared.project.model.bases[0], progress=Silent()).folder
    lora = LoraConfig(task_type="CAUSAL_LM", r=16, lora_alpha=32, target_modules="all-linear")
    training: dict[str, float] = {}
    answering: dict[str, float] = {}
    for name in (*FORMATS, *FORMATS):  # the second time warm: the better of two counts
        stack = best(name, name)
        fixed = {"output_dir": str(out / "probe"), "max_steps": PROBE_STEPS, "seed": 1}
        trainer = sft_trainer(base, train, stack, lora=lora, **fixed)
        seconds = trainer.train().metrics["train_runtime"]
        training[name] = min(seconds, training.get(name, seconds))
        engine = GenerateEngine(base, stack)
        sampling = Sampling(max_tokens=PROBE_TOKENS)
        began = time.perf_counter()
        engine.generate(
            [Request(messages=e.messages, sampling=sampling) for e in train[:BATCH_ROWS]]
        )
        seconds = time.perf_counter() - began
        answering[name] = min(seconds, answering.get(name, seconds))
    print(f"training {training}, answering {answering} (seconds)")
    return {
        "training": min(training, key=lambda name: training[name]),
        "answering": min(answering, key=lambda name: answering[name]),
        "detail": f"{PROBE_STEPS} steps: {_seconds(training)}; {BATCH_ROWS} answers: "
        f"{_seconds(answering)}",
    }


def _seconds(times: Mapping[str, float]) -> str:
    return ", ".join(f"{name} {seconds:.1f} s" for name, seconds in times.items())


def main() -> None:
    """Does one arm, or the probe, and writes its findings as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["probe", "trl_default", "trl_best"])
    parser.add_argument("--run", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--training", choices=FORMATS, default="float32")
    parser.add_argument("--answering", choices=FORMATS, default="float32")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    if given.what == "probe":
        found: dict[str, Any] = probe(given.run, given.out)
    else:
        tuned = given.what == "trl_best"
        stack = best(given.training, given.answering) if tuned else DEFAULT
        found = do_the_demo(given.run, stack, given.out)
    (given.out / "found.json").write_text(json.dumps(found, indent=1), "utf-8")


if __name__ == "__main__":
    main()
