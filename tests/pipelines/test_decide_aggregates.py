"""Where quality is no mean, every choice on dev is made by it: macro F1, where labels are rare.

Whoever always answers the frequent label is right in four of five rows, and useless.
"""

from collections.abc import Mapping
from pathlib import Path

import pytest
from sklearn.metrics import f1_score

from decide_projects import (
    Json,
    by_name,
    decide,
    number_of,
    opened,
    read_json,
    scripted,
    write_jsonl,
)
from tunewise.models.catalog import LocalModel
from tunewise.models.engines.protocol import Request

TOML = """
[task]
instruction = "Which label?"
metric = "macro_f1"
[data]
train = "train.jsonl"
dev = "dev.jsonl"
test = "test.jsonl"
[training]
rank = 2
epochs = 1
learning_rate = 1e-3
batch_tokens = 4096
seeds = 3
[contenders]
use = ["constant", "zero_shot", "few_shot", "fine_tune"]
"""
SIDES = {"train": range(60), "dev": range(100, 150), "test": range(200, 250)}


def label(number: int) -> str:
    """Of 25 messages, 20 are about refunds, 3 about deliveries and 2 about something else."""
    place = number % 25
    return "refund" if place < 20 else "delivery" if place < 23 else "other"


def answer(who: str, number: int) -> str:
    """What each of them says: right where nothing else is said here."""
    right = label(number)
    few = number % 25 < 5  # a quarter of the refunds
    match who:
        case "constant" | "zero_shot":
            return "refund"
        case "few_shot":
            return {"refund": "delivery" if few else "refund", "other": "refund"}.get(right, right)
        case "seed1":
            return "nonsense" if right == "refund" and number % 2 else right
        case "seed2":
            return "refund"
        case _:
            return "nonsense" if right == "refund" and few else right


def asked(request: Request) -> str:
    """Who is asking."""
    if request.adapter is not None:
        return next(seed for seed in ("seed1", "seed2", "seed3") if seed in str(request.adapter))
    return "few_shot" if request.messages[-2].role == "assistant" else "zero_shot"


def says(request: Request) -> str:
    return answer(asked(request), number_of(request))


def write(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "tunewise.toml").write_text(TOML)
    for side, numbers in SIDES.items():
        rows = [{"text": f"message {n}", "label": label(n)} for n in numbers]
        write_jsonl(folder / f"{side}.jsonl", rows)
    return folder


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory, small_llama: LocalModel) -> Mapping[str, Path]:
    """The same project judged by each metric."""
    folder = tmp_path_factory.mktemp("aggregates")
    return {
        metric: decide(
            write(folder / metric),
            f"task.metric={metric}",
            out=folder / metric / "run",
            opener=opened(scripted(says), small_llama),
        )
        for metric in ("macro_f1", "accuracy")
    }


def plan(run: Path) -> Json:
    return read_json(run / "plan.json")


def test_the_incumbent_is_the_best_by_the_metric(runs: Mapping[str, Path]) -> None:
    assert plan(runs["accuracy"])["incumbent"] == "constant"
    assert plan(runs["macro_f1"])["incumbent"] == "few_shot"


def test_a_first_seed_that_gains_by_the_metric_is_not_futile(runs: Mapping[str, Path]) -> None:
    assert plan(runs["accuracy"])["futile"] is True
    assert plan(runs["macro_f1"])["futile"] is False
    assert plan(runs["macro_f1"])["seeds"]["fine_tune"] == 3


def test_the_seed_that_ships_is_the_best_by_the_metric(runs: Mapping[str, Path]) -> None:
    """By accuracy it would be seed 2, which always says the same."""
    assert plan(runs["macro_f1"])["ships"]["fine_tune"] == 3
    assert read_json(runs["macro_f1"] / "verdict.json")["plan"]["shipped_seed"] == 3


def macro_f1(who: str, side: str) -> float:
    wanted = [label(n) for n in SIDES[side]]
    given = [answer(who, n) for n in SIDES[side]]
    return float(f1_score(wanted, given, average="macro", labels=sorted(set(wanted))))


def test_dev_and_test_are_reported_in_the_same_unit(runs: Mapping[str, Path]) -> None:
    found = by_name(read_json(runs["macro_f1"] / "verdict.json"))
    tune = [macro_f1(f"seed{seed}", "dev") for seed in (1, 2, 3)]
    dev = {name: macro_f1(name, "dev") for name in ("constant", "zero_shot", "few_shot")}
    dev["fine_tune"] = sum(tune) / 3
    assert plan(runs["macro_f1"])["dev_quality"] == pytest.approx(dev)
    assert {name: one["dev"] for name, one in found.items()} == pytest.approx(dev)
    test = {name: macro_f1(name, "test") for name in ("constant", "zero_shot", "few_shot")}
    test["fine_tune"] = macro_f1("seed3", "test")
    assert {name: one["quality"]["value"] for name, one in found.items()} == pytest.approx(test)


def test_what_was_tried_on_dev_is_shown_in_that_unit_too(runs: Mapping[str, Path]) -> None:
    found = by_name(read_json(runs["macro_f1"] / "verdict.json"))
    whole = [t["dev"] for t in found["few_shot"]["fit"]["trials"] if t["dev_examples"] == 50]
    assert set(whole) == {round(macro_f1("few_shot", "dev"), 4)}
    (trial,) = found["fine_tune"]["fit"]["trials"]
    assert trial["dev"] == round(macro_f1("seed1", "dev"), 4)


def test_an_interrupted_run_chooses_what_it_would_have_chosen(
    tmp_path: Path, small_llama: LocalModel, runs: Mapping[str, Path]
) -> None:
    def until_the_second_seed(request: Request) -> str:
        if asked(request) == "seed2":
            raise KeyboardInterrupt
        return says(request)

    project = write(tmp_path / "project")
    opener = opened(scripted(until_the_second_seed), small_llama)
    with pytest.raises(KeyboardInterrupt):
        decide(project, out=project / "run", opener=opener)
    assert not (project / "run" / "plan.json").exists()
    decide(project, out=project / "run", resume=True, opener=opened(scripted(says), small_llama))
    assert plan(project / "run") == plan(runs["macro_f1"])
