import json
import re
import time
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

import small_models
from command_line import tunewise
from decide_projects import labelled, write_jsonl, write_project
from tunewise.errors import UserError
from tunewise.models.adapters import BASE_FILE
from tunewise.models.stored import adapter_hash
from tunewise.pipelines.train import run_train
from tunewise.progress import Silent
from tunewise.project.load import load_project
from tunewise.training.loop import Training
from tunewise.training.recipe import Recipe

TOML = """
[model]
base = "{model}"
engine = "transformers"
[training]
epochs = 2
rank = 2
batch_tokens = 512
"""

Make = Callable[..., Path]


class Heard(Silent):
    def __init__(self) -> None:
        self.notes: list[str] = []
        self.states: list[str] = []

    def note(self, text: str) -> None:
        self.notes.append(text)

    def status(self, text: str) -> None:
        self.states.append(text)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_models.build(tmp_path_factory.mktemp("hub") / "small-mistral", family="mistral")


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture
def project(model: Path, cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Examples, pairs, documents and general examples."""
    monkeypatch.setenv("TUNEWISE_CACHE", str(cache))
    folder = write_project(tmp_path / "project", labelled(60), TOML.format(model=model))
    write_jsonl(folder / "pairs.jsonl", pairs(40))
    write_jsonl(
        folder / "general.jsonl", [{"input": f"Say {n}", "output": str(n)} for n in range(9)]
    )
    (folder / "docs").mkdir()
    for n in range(4):
        (folder / "docs" / f"part{n}.md").write_text(f"# Part {n}\n\n" + f"Item {n} is red. " * 60)
    return folder


def pairs(count: int) -> list[dict[str, str]]:
    return [
        {"prompt": f"Is number {n} fine?", "chosen": "It is, thank you.", "rejected": "No!"}
        for n in range(count)
    ]


def train(project: Path, *settings: str, resume: bool = False, heard: Heard | None = None) -> Path:
    folder = run_train(
        load_project(project, settings),
        progress=heard or Silent(),
        out=project / "run",
        resume=resume,
    )
    assert folder is not None
    return folder


def result(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "training.json").read_text())


METHODS = {
    "sft": (["training.method=sft"], "accuracy"),
    "distill": (["training.method=distill"], "accuracy"),
    "dpo": (["training.method=dpo", "data.preferences=pairs.jsonl"], "pairs told apart"),
    "ipo": (
        ["training.method=dpo", "training.loss=ipo", "data.preferences=pairs.jsonl"],
        "pairs told apart",
    ),
    "orpo": (
        ["training.method=dpo", "training.loss=orpo", "data.preferences=pairs.jsonl"],
        "pairs told apart",
    ),
    "kto": (["training.method=kto", "data.preferences=pairs.jsonl"], "pairs told apart"),
    "cpt": (["training.method=cpt", "data.documents=docs"], "perplexity"),
    "with replay": (["data.replay=general.jsonl", "training.replay_share=0.5"], "accuracy"),
}


@pytest.mark.parametrize(("settings", "metric"), METHODS.values(), ids=METHODS.keys())
def test_every_method_trains_and_keeps_the_epoch_that_dev_likes_best(
    settings: list[str], metric: str, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project)
    heard, saved = Heard(), dict[str, str]()
    save = Training.save

    def noted(training: Training, folder: Path) -> None:
        save(training, folder)
        saved[folder.name] = adapter_hash(folder)

    monkeypatch.setattr(Training, "save", noted)
    folder = train(project, *settings, heard=heard)
    found = result(folder)
    dev = found["dev"]
    assert dev["metric"] == metric
    assert [point["epoch"] for point in dev["points"]] == [1, 2]
    values = [point["value"] for point in dev["points"]]
    best = max(values) if dev["higher_is_better"] else min(values)
    assert values[dev["best_epoch"] - 1] == best
    kept = folder / found["model"]
    assert adapter_hash(kept) == saved[f"epoch{dev['best_epoch']}"]
    assert (kept / BASE_FILE).exists()
    assert f"# {found['method']}" in (kept / "README.md").read_text()
    assert found["replayed"] == (9 if "data.replay=general.jsonl" in settings else 0)
    assert all("tokens a second" in state and "loss" in state for state in heard.states)
    events = [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]
    assert [e["value"] for e in events if e["event"] == "dev"] == values


BASELINES = {
    "sft": {"always the same answer", "the untrained model"},
    "dpo": {"chance"},
    "cpt": {"the untrained model"},
}


@pytest.mark.parametrize("method", BASELINES)
def test_dev_tells_what_has_to_be_beaten_and_by_how_much_it_was(
    method: str, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project)
    write_jsonl(project / "examples.jsonl", labelled(200))
    write_jsonl(project / "pairs.jsonl", pairs(200))
    dev = result(train(project, *METHODS[method][0]))["dev"]
    assert {one["name"] for one in dev["baselines"]} == BASELINES[method]
    kept = dev["points"][dev["best_epoch"] - 1]["value"]
    for one in dev["baselines"]:
        if method == "cpt":  # no mean of rows
            assert one["lead"] is None
        else:
            assert one["lead"]["low"] <= kept - one["value"] <= one["lead"]["high"]
            assert one["lead"]["low"] < one["lead"]["high"]


def test_the_folder_keeps_the_model_the_result_and_the_events_alone(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project)
    folder = train(project, *METHODS["dpo"][0])
    left = {place.name for place in folder.iterdir()} - {".lock"}
    assert left == {*("project.toml", "made-from.json", "events.jsonl", "training.json", "models")}
    assert [place.name for place in (folder / "models").iterdir()] == ["dpo"]
    events = result(folder)["recipe"]
    assert {"beta", "loss", "label_smoothing"} <= events.keys()
    assert None not in events.values()
    assert (
        not {"beta", "loss", "label_smoothing"}
        & Recipe(learning_rate=1.0, epochs=1, batch_tokens=1, seed=0).as_dict().keys()
    )


@pytest.mark.parametrize("adapter", ["lora", "full"])
def test_the_card_shows_how_the_model_is_loaded(adapter: str, project: Path) -> None:
    folder = train(project, f"training.adapter={adapter}", "training.epochs=1")
    model = folder / "models" / "sft"
    (code,) = re.findall(r"```python\n(.*?)```", (model / "README.md").read_text(), re.DOTALL)
    made: dict[str, Any] = {}
    exec(code, made)
    tokens = made["tokenizer"]("Is it red?", return_tensors="pt")
    loaded = made["model"](**tokens).logits
    plain = AutoModelForCausalLM.from_pretrained(load_project(project).model.base)
    assert not torch.allclose(loaded, plain(**tokens).logits)


def test_pairs_are_learnt_on_top_of_what_was_trained_before(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project)
    first = train(project, "training.learning_rate=0.01")
    start = f"training.start={first / 'models' / 'sft'}"
    dpo = METHODS["dpo"][0]
    second = run_train(
        load_project(project, [*dpo, start, "training.learning_rate=1e-8"]),
        progress=Silent(),
        out=project / "second",
    )
    assert second is not None
    before, after = (
        load_file(folder / "models" / name / "adapter_model.safetensors")
        for folder, name in ((first, "sft"), (second, "dpo"))
    )
    assert before.keys() == after.keys()
    assert all(torch.allclose(before[name], after[name], atol=1e-5) for name in before)
    with pytest.raises(UserError, match="keeps its rank 2"):
        run_train(
            load_project(project, [*dpo, start, "training.rank=4", "training.alpha=4"]),
            progress=Silent(),
            out=project / "third",
        )


def test_seconds_are_those_of_all_sittings_and_events_tell_each(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run_epoch, stopped = Training.run_epoch, list[int]()

    def run_one(training: Training, *given: Any) -> Any:
        if training.epochs and not stopped:
            stopped.append(1)
            raise SystemExit(143)
        return run_epoch(training, *given)

    monkeypatch.setattr(Training, "run_epoch", run_one)
    with pytest.raises(SystemExit):
        train(project)
    begun = time.time()
    folder = train(project, resume=True)
    second = time.time() - begun
    events = [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]
    names = [event["event"] for event in events]
    assert names.count("start") == names.count("resumed") == names.count("finished") == 1
    started = [n for n, name in enumerate(names) if name in ("start", "resumed")]
    first = events[started[1] - 1]["time"] - events[0]["time"]
    assert first < result(folder)["seconds"] <= first + second


def test_likelihood_on_dev_gets_better_with_the_training(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project)
    more = ("training.learning_rate=0.01", "training.epochs=4", "training.rank=8")
    cpt = train(project, "training.method=cpt", "data.documents=docs", *more)
    perplexities = [point["value"] for point in result(cpt)["dev"]["points"]]
    assert perplexities[-1] < 0.7 * perplexities[0]


def test_test_and_dev_rows_are_not_trained_on(project: Path) -> None:
    folder = train(project, "training.epochs=1")
    assert result(folder)["rows"] < 40  # of 60
    assert not (project / "runs").exists()


def test_a_finished_training_is_shown_again_and_nothing_is_trained(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = train(project, "training.epochs=1")
    before = (folder / "training.json").read_bytes()
    monkeypatch.setattr(
        "tunewise.training.loop.Training.run_epoch",
        lambda *given: pytest.fail("an epoch was trained again"),
    )
    heard = Heard()
    assert train(project, "training.epochs=1", resume=True, heard=heard) == folder
    assert (folder / "training.json").read_bytes() == before
    assert any("finished" in note for note in heard.notes)


def test_a_training_goes_on_after_what_dev_said_of_its_first_epochs(project: Path) -> None:
    class Stopped(Heard):
        def note(self, text: str) -> None:
            super().note(text)
            if text.startswith("epoch 1:"):
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(project, heard=Stopped())
    kept = json.loads((project / "run" / "dev.json").read_text())["points"]
    heard = Heard()
    points = result(train(project, resume=True, heard=heard))["dev"]["points"]
    assert [point["epoch"] for point in points] == [1, 2]
    assert (points[0]["loss"], points[0]["value"]) == (
        kept[0]["loss"],
        kept[0]["validation"]["value"],
    )
    assert [note.split(":")[0] for note in heard.notes if note.startswith("epoch")] == ["epoch 2"]


def test_a_folder_that_is_taken_or_of_other_settings_is_refused(project: Path) -> None:
    train(project, "training.epochs=1")
    with pytest.raises(UserError, match=r"a training lies here already\. Add --resume"):
        train(project, "training.epochs=1")
    with pytest.raises(UserError, match="the training here has other settings"):
        train(project, "training.epochs=3", resume=True)


def test_a_folder_with_other_files_is_refused_and_left_alone(project: Path) -> None:
    mine = project / "run" / "epoch1"
    mine.mkdir(parents=True)
    with pytest.raises(UserError, match="other files lie here"):
        train(project, "training.epochs=1")
    assert mine.is_dir()


def test_a_stop_before_the_settings_were_written_leaves_a_folder_to_go_on_with(
    project: Path,
) -> None:
    folder = project / "run"
    folder.mkdir()
    (folder / ".lock").touch()
    (folder / ".project.toml.new").write_text("[data]\n")
    train(project, "training.epochs=1", resume=True)
    assert (folder / "training.json").exists()


MISSING = {
    "pairs": ("training.method=dpo", "preference|pairs|chosen"),
    "too few pairs": ("training.method=kto", "2 preference pairs, too few"),
    "one document": ("training.method=cpt", "there is one document"),
}


@pytest.mark.parametrize(("method", "said"), MISSING.values(), ids=MISSING.keys())
def test_data_that_do_not_go_with_the_method_are_one_clear_error(
    method: str, said: str, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project)
    more: list[str] = []
    if "too few" in said:
        write_jsonl(project / "few.jsonl", pairs(2))
        more = ["data.preferences=few.jsonl"]
    if "document" in said:
        more = ["data.documents=docs/part1.md"]
    with pytest.raises(UserError, match=said):
        train(project, method, *more)


def test_pairs_about_held_out_inputs_are_left_out(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project)
    about = [
        {"prompt": row["text"], "chosen": row["label"], "rejected": "x"} for row in labelled(60)
    ]
    write_jsonl(project / "about.jsonl", [*about, *pairs(20)])
    heard = Heard()
    settings = ("training.method=dpo", "data.preferences=about.jsonl", "training.epochs=1")
    train(project, *settings, heard=heard)
    assert any("preference pairs were left out" in note for note in heard.notes)


def test_the_command_shows_the_loss_dev_and_where_the_model_lies(project: Path) -> None:
    done = tunewise("train", project, "--out", project / "run", "--set", "training.epochs=1")
    assert done.code == 0, done.err
    assert "accuracy on dev" in done.out
    assert str(project / "run" / "models" / "sft") in done.out
    assert "tokens a second." in done.out
    again = tunewise("train", project, "--out", project / "run", "--resume", "--json",
                     "--set", "training.epochs=1")  # fmt: skip
    assert json.loads(again.out) == result(project / "run")


def test_a_method_that_is_unknown_is_refused_with_the_known_ones(project: Path) -> None:
    done = tunewise("train", project, "--method", "dpoo")
    assert done.code == 1
    assert '--method (training.method): "dpoo" is unknown. Did you mean "dpo"?' in done.err
    again = tunewise("train", project, "--method", "dpo", "--set", "training.method=dpoo")
    assert "--set training.method: " in again.err


def test_the_seed_salts_the_split_and_the_training(project: Path) -> None:
    recipes = {}
    for seed in (0, 7):
        out = project / f"seed{seed}"
        words = ("--out", out, "--seed", str(seed), "--set", "training.epochs=1")
        assert tunewise("train", project, *words).code == 0
        recipes[seed] = result(out)["recipe"]["seed"]
        kept = tomllib.loads((out / "project.toml").read_text())
        assert kept["data"]["seed"] == seed
    assert recipes[0] != recipes[7]
    read = [json.loads((project / f"seed{s}" / "made-from.json").read_text()) for s in recipes]
    assert read[0]["items"] != read[1]["items"]
