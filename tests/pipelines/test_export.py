"""`tunewise export`: what a person names becomes a folder, or a sentence that says what to do."""

import json
import resource
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

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
from exports import example, model_of
from tunewise.errors import UserError
from tunewise.exporting import gguf
from tunewise.exporting.source import Source
from tunewise.models import catalog
from tunewise.models.catalog import LocalModel, open_model
from tunewise.models.engines.protocol import Request
from tunewise.pipelines import export
from tunewise.pipelines.export import DiffersError, Exported, run_export
from tunewise.pipelines.export_source import SourceOpener
from tunewise.pipelines.publish import publish
from tunewise.progress import Silent
from tunewise.report.exported import parity_lines
from tunewise.runs.folder import TRAINED
from tunewise.runs.model_file import BaseUsed, EndpointUsed
from tunewise.runs.registry import Registry
from tunewise.storage import file_sha256
from tunewise.types import JsonValue, Message

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
    toml = f'{TOML}[model]\nbase = "{small_llama.name}"\n'
    project = write_project(tmp_path_factory.mktemp("export") / "project", labelled(90), toml)
    (project / "docs").mkdir()
    text = "Of parcels it is written here at some length. " * 10
    (project / "docs" / "parcels.md").write_text(f"# Parcels\n\n{text}")
    engine = scripted(right_when(tuned_well))
    return decide(project, out=project / "run", opener=opened(engine, small_llama))


Export = Callable[..., Exported]


@pytest.fixture
def exported(tmp_path: Path) -> Export:
    """`run_export` to a folder of the test's."""

    def make(named: object, to: str, **more: object) -> Exported:
        given = {"out": tmp_path / "out", "progress": Silent(), **more}
        return run_export(str(named), to, **given)  # type: ignore[arg-type]

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


def zero_shot(folder: Path, **fields: Any) -> Path:
    """The folder of a model that trains nothing."""
    model_of(folder, "zero_shot", {"instruction": "Which label?"}, **fields)
    return folder


def test_a_base_behind_an_endpoint_has_no_weights(exported: Export, tmp_path: Path) -> None:
    used = EndpointUsed(name="big", model="big", base_url="http://127.0.0.1:1/v1")
    folder = zero_shot(tmp_path / "model", base=None, endpoint=used)
    with pytest.raises(UserError, match=r"no weights to export. Use --to prompt"):
        exported(folder, "ollama")
    assert exported(folder, "prompt").parity.base == "big"


@pytest.mark.parametrize(
    ("contender", "to", "named"),
    [
        ("fine_tune", "gguf", "triage@1"),
        ("zero_shot", "ollama", "triage@production"),
        ("few_shot", "prompt", "triage@production"),
        ("rag", "prompt", "triage"),
    ],
)
def test_a_model_with_a_name_is_compared_by_the_fixed_set_and_keeps_what_was_made_of_it(
    contender: str, to: str, named: str, run: Path, exported: Export
) -> None:
    registry = Registry()
    publish(run, name="triage", contender=contender, registry=registry, progress=Silent())
    registry.point("triage@production", "1")
    done = exported(named, to, margin=1.0)  # what is scripted in the run was learnt by no weights
    parity = read_json(done.folder / "parity.json")
    assert parity["of"] == "the fixed set of Tunewise"
    assert parity["prompts"] + parity["too_long"] == 50
    assert all(one["prompts_differ"] == [] for one in parity["engines"])
    assert (done.folder / "README.md").read_text().count("# triage@1\n") == 1
    (event,) = (one for one in registry.history("triage") if one.kind == "exported")
    assert event.number == 1
    assert event.facts["place"] == str(done.folder)
    files = list(done.folder.glob("*.gguf"))
    assert [one.name for one in files] == (["triage-1-q8_0.gguf"] if to != "prompt" else [])
    assert event.facts.get("sha256") == (file_sha256(files[0]) if files else None)


def test_an_exported_prompt_is_exported_again(run: Path, exported: Export, tmp_path: Path) -> None:
    first = exported(f"{run}:few_shot", "prompt", out=tmp_path / "first")
    again = exported(first.folder, "prompt", out=tmp_path / "again")
    assert names(again.folder) == names(first.folder)
    for name in ("model.json", "examples.jsonl"):
        assert (again.folder / name).read_bytes() == (first.folder / name).read_bytes()


def test_a_version_that_is_not_there_is_told_with_those_that_are(
    run: Path, exported: Export
) -> None:
    publish(run, name="triage", contender="constant", registry=Registry(), progress=Silent())
    with pytest.raises(UserError, match=r"triage@7: there is no such version\. There are triage@1"):
        exported("triage@7", "prompt")


def test_a_version_whose_files_are_damaged_is_not_exported(
    run: Path, exported: Export, tmp_path: Path
) -> None:
    version = publish(run, name="triage", contender="rag", registry=Registry(), progress=Silent())
    (version.folder / "passages.jsonl").write_text("{}\n")
    with pytest.raises(UserError, match=r"passages\.jsonl: is not as it was written"):
        exported("triage@1", "prompt")
    assert names(tmp_path) == []


def test_a_base_that_is_not_there_is_told_and_a_prompt_needs_none(
    adapter: Path, exported: Export, tmp_path: Path
) -> None:
    gone = str(tmp_path / "gone")
    with pytest.raises(UserError, match=r"there is no model '.*gone'\. Give"):
        exported(adapter, "gguf", base=gone)
    folder = zero_shot(tmp_path / "model", base=BaseUsed(name=gone))
    with pytest.raises(UserError, match=r"there is no model '.*gone'\. Give"):
        exported(folder, "ollama")
    assert names(tmp_path) == ["model", "my adapter"]
    assert exported(folder, "prompt").parity.base == gone


def test_a_base_that_is_another_now_is_refused(
    small_llama: LocalModel, exported: Export, tmp_path: Path
) -> None:
    before = BaseUsed(name=small_llama.name, sha256="0" * 64)
    folder = zero_shot(tmp_path / "model", base=before)
    with pytest.raises(UserError, match=r"was chosen on .* with other weights"):
        exported(folder, "ollama")
    assert names(tmp_path) == ["model"]


def test_a_model_with_a_name_that_thinks_is_refused(exported: Export, tmp_path: Path) -> None:
    folder = zero_shot(tmp_path / "model", thinking=True)
    with pytest.raises(UserError, match=r"thinks before it answers.*Export its run"):
        exported(folder, "prompt")


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


def test_an_earlier_export_is_replaced(run: Path, exported: Export, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()  # an empty folder is as good as none
    first = exported(f"{run}:zero_shot", "prompt")
    (first.folder / "old.txt").write_text("of the export before")
    again = exported(f"{run}:zero_shot", "prompt")
    kept = ["README.md", "ask.py", "model.json", "parity.json", "prompt.json"]
    assert names(again.folder) == kept


@contextmanager
def room_for(size: int) -> Iterator[None]:
    """No file grows beyond so many bytes: writing goes wrong in the middle, as on a full disk."""
    before, most = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, most))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (before, most))


@pytest.mark.parametrize("to", ["adapter", "merged", "gguf", "ollama", "prompt"])
def test_a_full_disk_is_told_and_leaves_what_was_there(
    to: str, adapter: Path, small_llama: LocalModel, exported: Export, tmp_path: Path
) -> None:
    open_model(small_llama.name, progress=Silent())  # the cache has its copy
    rows = [example(n, f"Where is order {n}? " * 20, "delivery") for n in range(100)]
    settings: dict[str, JsonValue] = {"k": 2, "selection": "nearest", "by": "BM25"}
    prompt = model_of(tmp_path / "model", "few_shot", settings, examples=rows).folder
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "parity.json").write_text("of an export before")
    with room_for(20_000), pytest.raises(UserError, match=r"cannot be written: .*Free some space"):
        exported(prompt if to == "prompt" else adapter, to)
    assert names(tmp_path) == ["model", "my adapter", "out"]
    assert names(tmp_path / "out") == ["parity.json"]
    assert (tmp_path / "out" / "parity.json").read_text() == "of an export before"


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


def test_the_prompt_of_a_run_is_asked_as_it_was(
    run: Path, small_llama: LocalModel, tmp_path: Path
) -> None:
    source = SourceOpener(
        base=None,
        margin=0.2,
        weights=False,
        registry=Registry(),
        work=tmp_path,
        progress=Silent(),
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
