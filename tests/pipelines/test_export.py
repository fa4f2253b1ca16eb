"""`tunewise export`: what a person names becomes a folder, or a sentence that says what to do."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import small_models
from command_line import tunewise
from decide_projects import (
    decide,
    labelled,
    opened,
    read_json,
    right_when,
    scripted,
    target_of,
    tuned_well,
    write_project,
)
from tunewise.errors import UserError
from tunewise.exporting import gguf
from tunewise.exporting.source import Source
from tunewise.models import catalog
from tunewise.models.catalog import LocalModel
from tunewise.models.engines.protocol import Request
from tunewise.pipelines import export
from tunewise.pipelines.export import DiffersError, Exported, run_export
from tunewise.pipelines.export_source import SourceOpener
from tunewise.progress import Silent
from tunewise.report.exported import parity_lines
from tunewise.runs.folder import TRAINED
from tunewise.types import Message

TOML = """documents = "docs/"
[training]
rank = 2
epochs = 1
learning_rate = 1e-3
seeds = 1
[contenders]
use = ["constant", "zero_shot", "prompt", "few_shot", "classifier", "rag", "fine_tune",
       "fine_tune_rag"]
finish = true
[decision]
measure = []
"""


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def small_converter(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUNEWISE_CACHE", str(cache))
    monkeypatch.setattr(catalog, "write_gguf", small_models.write_small_gguf)
    monkeypatch.setattr(gguf, "convert_to_gguf", small_models.write_small_gguf)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, small_llama: LocalModel) -> Path:
    """A finished run of a small project, which a scripted model answered."""
    project = write_project(tmp_path_factory.mktemp("export") / "project", labelled(90), TOML)
    (project / "docs").mkdir()
    text = "Of parcels it is written here at some length. " * 10
    (project / "docs" / "parcels.md").write_text(f"# Parcels\n\n{text}")
    engine = scripted(right_when(tuned_well))
    return decide(project, out=project / "run", opener=opened(engine, small_llama))


Export = Callable[..., Exported]


@pytest.fixture
def exported(small_llama: LocalModel, tmp_path: Path) -> Export:
    """`run_export` to a folder of the test's, with an engine whose base is the small model."""

    def make(named: object, to: str, **more: object) -> Exported:
        given = {"out": tmp_path / "out", "progress": Silent(), **more}
        opener = opened(scripted(right_when(tuned_well)), small_llama)
        return run_export(str(named), to, opener=opener, **given)  # type: ignore[arg-type]

    return make


@pytest.fixture
def adapter(small_llama: LocalModel, tmp_path: Path) -> Path:
    """Of the small model, which its base is found by: the folder it was prepared in."""
    folder = small_models.adapter(small_llama, tmp_path / "my adapter")
    (folder / "README.md").write_text("# A card")
    return folder


def names(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir())


@pytest.mark.parametrize(
    ("to", "holds"),
    [
        ("adapter", ["README.md", "adapter_config.json", "adapter_model.safetensors"]),
        ("merged", ["README.md", "config.json", "model.safetensors", "tokenizer.json"]),
        ("gguf", ["README.md", "fine_tune-q8_0.gguf"]),
        ("ollama", ["Modelfile", "README.md", "fine_tune-q8_0.gguf"]),
    ],
)
def test_a_trained_contender_becomes_a_folder_that_says_what_was_compared(
    to: str, holds: list[str], run: Path, exported: Export
) -> None:
    done = exported(f"{run}:fine_tune", to)
    assert set(holds) | {"parity.json"} <= set(names(done.folder))
    parity = read_json(done.folder / "parity.json")
    test = read_json(run / "splits.json")["test"]
    assert parity["of"] == "test rows of run"
    assert parity["prompts"] == len(test)
    assert parity["metric"] == "accuracy"
    assert [one["engine"] for one in parity["engines"]][-2:] == ["openvino", "xllamacpp"]
    asked = [one for one in parity["engines"] if not one["left_out"]]
    assert asked
    assert all(one["faults"] == [] and one["rendered"] == len(test) for one in asked)
    said = "\n".join(parity_lines(done.parity))
    assert f"{len(test)} of {len(test)} prompts have the same tokens" in said
    assert "message " not in (done.folder / "parity.json").read_text()  # no word of a row


def test_a_run_alone_is_what_it_recommends(run: Path, exported: Export) -> None:
    verdict = read_json(run / "verdict.json")
    assert verdict["recommended"] == "fine_tune"
    done = exported(run, "adapter")
    original = run / "models" / "fine_tune" / "adapter_model.safetensors"
    assert (done.folder / "adapter_model.safetensors").read_bytes() == original.read_bytes()


@pytest.mark.parametrize("contender", ["zero_shot", "prompt", "few_shot", "rag"])
def test_a_contender_without_training_becomes_a_prompt(
    contender: str, run: Path, exported: Export
) -> None:
    done = exported(f"{run}:{contender}", "prompt")
    parity = read_json(done.folder / "parity.json")
    (script,) = parity["engines"]
    assert (script["engine"], script["prompts_differ"]) == ("script", [])
    assert script["rendered"] == len(read_json(run / "splits.json")["test"])
    assert {"ask.py", "prompt.json"} <= set(names(done.folder))


def test_a_base_with_an_instruction_goes_to_ollama(run: Path, exported: Export) -> None:
    done = exported(f"{run}:zero_shot", "ollama")
    lines = (done.folder / "Modelfile").read_text().splitlines()
    assert lines[0] == "FROM ./zero_shot-q8_0.gguf"
    assert 'SYSTEM "Which label?"' in lines
    assert 'PARAMETER stop "<|im_end|>"' in lines


@pytest.mark.parametrize(
    ("contender", "to", "instead"),
    [
        ("zero_shot", "gguf", "zero_shot trains nothing.*Use --to prompt, or --to ollama"),
        ("few_shot", "merged", r"few_shot trains nothing.*Use --to prompt\.$"),
        ("few_shot", "ollama", "which Ollama cannot look up. Use --to prompt"),
        ("classifier", "gguf", "classifier needs no language model.*`tunewise serve`"),
        ("constant", "prompt", "constant needs no language model.*`tunewise serve`"),
        ("fine_tune", "prompt", "a trained model, of which a prompt is no copy. Use --to gguf"),
        ("fine_tune_rag", "ollama", "Use --to gguf, and put the passages before the question"),
        ("nobody", "gguf", r"no contender nobody with answers.*run:few_shot"),
    ],
)
def test_what_cannot_be_has_a_sentence_that_names_what_can(
    contender: str, to: str, instead: str, run: Path, exported: Export, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=instead):
        exported(f"{run}:{contender}", to)
    assert names(tmp_path) == []


def test_a_trained_model_that_reads_passages_says_that_it_needs_them(
    run: Path, exported: Export
) -> None:
    class Noting(Silent):
        def __init__(self) -> None:
            self.notes: list[str] = []

        def note(self, text: str) -> None:
            self.notes.append(text)

    noting = Noting()
    done = exported(f"{run}:fine_tune_rag", "adapter", progress=noting)
    assert any("has to put them before the question" in note for note in noting.notes)
    assert done.parity.prompts == len(read_json(run / "splits.json")["test"])


def test_a_base_behind_an_endpoint_has_no_weights(run: Path, tmp_path: Path) -> None:
    opener = opened(scripted(right_when(tuned_well)), None)
    with pytest.raises(UserError, match=r"no weights to export. Use --to prompt"):
        run_export(
            f"{run}:zero_shot", "ollama", progress=Silent(), out=tmp_path / "o", opener=opener
        )


def test_a_folder_alone_is_compared_by_the_fixed_set(adapter: Path, exported: Export) -> None:
    done = exported(adapter, "adapter", margin=1.0)  # what chance made answers to chance
    parity = read_json(done.folder / "parity.json")
    assert parity["of"] == "the fixed set of Tunewise"
    assert parity["prompts"] + parity["too_long"] == 50
    assert parity["metric"].startswith("likelihood")
    assert (done.folder / "README.md").read_text() == "# A card"


def test_a_training_is_compared_by_its_projects_test_rows(
    small_folder: Path, tmp_path: Path, exported: Export
) -> None:
    project = write_project(
        tmp_path / "project",
        labelled(40),
        f'[model]\nbase = "{small_folder}"\n[training]\nrank = 2\nepochs = 1\n'
        "learning_rate = 1e-3\n",
    )
    folder = tmp_path / "training"
    done = tunewise("train", project, "--out", folder)
    assert done.code == 0, done.err
    assert (folder / TRAINED).is_file()
    out = tunewise("export", folder, "--to", "merged", "--out", tmp_path / "out", "--json")
    assert out.code == 0, out.err
    said = json.loads(out.out)
    assert said["passed"] is True
    assert said["of"] == "test rows of its project"
    assert said["metric"] == "accuracy"
    assert said["engines"][0]["log_probability"] < 1e-3
    assert Path(said["folder"]) == tmp_path / "out"


def test_an_adapter_of_another_base_is_refused(
    adapter: Path, small_qwen: LocalModel, exported: Export, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=r"trained for another base.*choose its own base"):
        exported(adapter, "gguf", base=str(small_qwen.folder))
    assert names(tmp_path) == ["my adapter"]


def test_an_adapter_that_names_no_base_asks_for_it(adapter: Path, exported: Export) -> None:
    (adapter / "tunewise-base.json").unlink()
    settings = json.loads((adapter / "adapter_config.json").read_text())
    settings["base_model_name_or_path"] = None
    (adapter / "adapter_config.json").write_text(json.dumps(settings))
    with pytest.raises(UserError, match=r"which base it was trained for. Name it with --base"):
        exported(adapter, "adapter")


@pytest.mark.parametrize("named", ["nowhere", "runs/none:fine_tune"])
def test_what_is_not_there_is_told_with_what_can_be_named(named: str, exported: Export) -> None:
    with pytest.raises(UserError, match=r"no such model to export\. Name a run"):
        exported(named, "gguf")


def test_a_folder_with_other_things_is_left_alone(
    adapter: Path, exported: Export, tmp_path: Path
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "letter.txt").write_text("dear")
    with pytest.raises(UserError, match=r"out: other files lie here. Name a new folder with --out"):
        exported(adapter, "adapter")
    assert names(tmp_path / "out") == ["letter.txt"]
    (tmp_path / "file").write_text("")
    with pytest.raises(UserError, match=r"file: is a file. Name a folder"):
        exported(adapter, "adapter", out=tmp_path / "file")


def test_an_earlier_export_is_replaced(run: Path, exported: Export) -> None:
    first = exported(f"{run}:zero_shot", "prompt")
    (first.folder / "old.txt").write_text("of the export before")
    again = exported(f"{run}:zero_shot", "prompt")
    assert names(again.folder) == ["ask.py", "parity.json", "prompt.json"]


def full_disk(*_: object, **__: object) -> None:
    raise OSError(28, "No space left on device")


def test_a_full_disk_is_told_and_leaves_nothing(
    adapter: Path, exported: Export, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patched:
        patched.setattr(shutil, "copyfile", full_disk)
        with pytest.raises(UserError, match=r"No space left on device\. Free some space"):
            exported(adapter, "adapter")
    assert names(tmp_path) == ["my adapter"]


def test_what_is_no_copy_leaves_the_export_before_as_it_was(
    adapter: Path, exported: Export, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "parity.json").write_text("of an export before")
    write = export.write_adapter

    def without_scale(source: Source, folder: Path) -> None:
        write(source, folder)
        file = folder / "adapter_config.json"
        settings = json.loads(file.read_text())
        file.write_text(json.dumps({**settings, "lora_alpha": settings["r"]}))

    monkeypatch.setattr(export, "write_adapter", without_scale)
    with pytest.raises(DiffersError, match="it is not what it was, and was not kept") as caught:
        exported(adapter, "adapter", margin=1.0)
    assert caught.value.exit_code == 1
    assert "FAILED  transformers: log-probabilities" in "\n".join(parity_lines(caught.value.parity))
    assert (tmp_path / "out" / "parity.json").read_text() == "of an export before"
    assert names(tmp_path) == ["my adapter", "out"]
    done = tunewise("export", adapter, "--to", "adapter", "--out", tmp_path / "new", "--json")
    assert (done.code, json.loads(done.out)["passed"]) == (1, False)
    assert "log-probabilities differ" in done.err
    assert not (tmp_path / "new").exists()


def test_without_xllamacpp_its_half_is_said_to_be_left_out(
    adapter: Path, exported: Export, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(export, "has_llamacpp", lambda: False)
    done = exported(adapter, "gguf", margin=1.0)
    left_out = {one.engine: one.left_out for one in done.parity.engines}
    assert left_out["openvino"] == ""
    assert "pip install 'tunewise[llamacpp]'" in left_out["xllamacpp"]
    said = "\n".join(parity_lines(done.parity))
    assert "xllamacpp: not compared. Xllamacpp is not installed" in said


@pytest.mark.parametrize(
    ("options", "wrong"),
    [
        (["--to", "onnx"], "--to: onnx is none of adapter, merged, gguf, ollama, prompt"),
        (["--to", "gguf", "--precision", "q4_k_m"], "--precision: q4_k_m is written by no library"),
        (["--to", "gguf", "--margin", "3"], "--margin: is a share between 0 and 1"),
    ],
)
def test_wrong_usage_ends_with_2(options: list[str], wrong: str, adapter: Path) -> None:
    done = tunewise("export", adapter, *options)
    assert done.code == 2
    assert wrong in done.err


def test_the_prompt_of_a_run_is_asked_as_it_was(run: Path, small_llama: LocalModel) -> None:
    engine = scripted(right_when(tuned_well))
    source = SourceOpener(
        base=None, margin=0.2, progress=Silent(), opener=opened(engine, small_llama)
    ).open(f"{run}:few_shot")
    assert source.margin == 0.2
    assert source.base_name == small_llama.name
    assert source.strategy is not None
    prompts = source.strategy.prompts([row.input for row in source.held_out.rows])
    assert all(
        prompt.messages[0] == Message(role="system", content="Which label?") for prompt in prompts
    )
    right = [target_of(Request(messages=row.messages)) for row in source.held_out.rows]
    assert [row.target for row in source.held_out.rows] == right
