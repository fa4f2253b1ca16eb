import json
import shutil
from dataclasses import replace
from pathlib import Path

import gguf
import pytest

import small_models
from exports import adapter_source
from tunewise.errors import UserError
from tunewise.exporting.bundle import Bundle
from tunewise.exporting.gguf import write_gguf_folder
from tunewise.exporting.ollama import modelfile, system_of, write_modelfile
from tunewise.exporting.source import Source
from tunewise.models import loading
from tunewise.models.catalog import LocalModel
from tunewise.runs.model_file import BaseUsed, ModelFile, Origin
from tunewise.types import JsonValue


def asked(base: LocalModel, adapter: Path | None = None, **settings: JsonValue) -> Source:
    model = ModelFile(
        contender="c",
        kind="fine_tune" if adapter else "prompt",
        base=BaseUsed(name=base.name),
        settings=settings,
        origin=Origin(project="p", run="r", token="t"),
    )
    return replace(adapter_source(base, adapter), bundle=Bundle(folder=base.folder, model=model))


def test_a_modelfile_leaves_the_template_to_the_file_and_stops_at_every_end() -> None:
    assert modelfile(
        "fine_tune-q8_0.gguf",
        ends=["<|im_end|>", "<|endoftext|>"],
        context_tokens=8192,
        system="Which label?",
    ) == (
        "FROM ./fine_tune-q8_0.gguf\n"
        "PARAMETER temperature 0\n"
        "PARAMETER repeat_penalty 1\n"
        "PARAMETER num_ctx 8192\n"
        'PARAMETER stop "<|im_end|>"\n'
        'PARAMETER stop "<|endoftext|>"\n'
        'SYSTEM "Which label?"\n'
    )


@pytest.fixture(scope="module")
def two_ends(small_llama: LocalModel, tmp_path_factory: pytest.TempPathFactory) -> LocalModel:
    """A base that ends its answers in two ways."""
    folder = shutil.copytree(small_llama.folder, tmp_path_factory.mktemp("ends") / "base")
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": [2, 300]}))
    return replace(small_llama, folder=folder)


@pytest.fixture
def ollama(two_ends: LocalModel, tmp_path: Path) -> Path:
    """A base with an instruction, as a folder for Ollama."""
    source = asked(two_ends, instruction="Which label?")
    folder = tmp_path / "out"
    folder.mkdir()
    work = tmp_path / "work"
    file = write_gguf_folder(source, folder, work, precision="q8_0", base_too=True)
    write_modelfile(source, folder, file)
    return folder


def lines_of(folder: Path, word: str) -> list[str]:
    """The lines of the Modelfile that begin with a word, without it."""
    lines = (folder / "Modelfile").read_text("utf-8").splitlines()
    return [line.removeprefix(f"{word} ") for line in lines if line.startswith(f"{word} ")]


def test_it_is_made_from_the_file_beside_it_alone(ollama: Path) -> None:
    (file,) = lines_of(ollama, "FROM")
    assert (ollama / file).is_file()
    assert lines_of(ollama, "ADAPTER") == []  # the adapter is merged: Ollama reads few families'


def test_the_template_is_inside_the_file_and_nowhere_else(ollama: Path) -> None:
    (file,) = lines_of(ollama, "FROM")
    fields = gguf.GGUFReader(ollama / file).fields
    assert fields["tokenizer.chat_template"].contents() == small_models.TEMPLATE
    assert "TEMPLATE" not in (ollama / "Modelfile").read_text("utf-8")


def test_it_stops_at_every_token_that_ends_an_answer(ollama: Path, two_ends: LocalModel) -> None:
    tokenizer = loading.load_tokenizer(two_ends.folder)
    stops = [one for one in lines_of(ollama, "PARAMETER") if one.startswith("stop ")]
    assert stops == [f'stop "{tokenizer.decode([end])}"' for end in (2, 300)]


def test_it_samples_as_answers_were_judged_in_the_context_of_the_model(
    ollama: Path, two_ends: LocalModel
) -> None:
    found = [one for one in lines_of(ollama, "PARAMETER") if not one.startswith("stop ")]
    assert found == ["temperature 0", "repeat_penalty 1", f"num_ctx {two_ends.context_tokens}"]


def test_the_instruction_is_the_only_system_turn(ollama: Path) -> None:
    assert lines_of(ollama, "SYSTEM") == ['"Which label?"']


def test_an_instruction_of_several_lines_stands_between_three_quotes() -> None:
    text = modelfile("m.gguf", ends=["</s>"], context_tokens=64, system='Say "yes"\nor no.')
    assert text.endswith('SYSTEM """Say "yes"\nor no."""\n')


def test_an_instruction_that_a_modelfile_cannot_hold_is_refused() -> None:
    with pytest.raises(UserError, match="--to prompt, or word it in another way"):
        modelfile("m.gguf", ends=["</s>"], context_tokens=64, system='End with """.')


def test_what_was_trained_needs_no_instruction(small_llama: LocalModel, tmp_path: Path) -> None:
    assert system_of(asked(small_llama, tmp_path, learning_rate=1e-3)) == ""


def test_the_instruction_of_a_contender_is_its_system_turn(small_llama: LocalModel) -> None:
    assert system_of(asked(small_llama, instruction="Which label?")) == "Which label?"
    assert system_of(asked(small_llama, variant="role", system="You are one.")) == "You are one."


@pytest.mark.parametrize(
    ("settings", "instead"),
    [
        ({"k": 4, "selection": "nearest"}, "Use --to prompt"),
        ({"chunk_words": 60, "k": 2, "search": "bm25"}, "Use --to prompt"),
        ({"variant": "in the user turn", "system": "", "before": "Which?"}, "Use --to prompt"),
        ({"variant": "step by step", "system": "Think.", "marked": True}, "Use --to prompt"),
    ],
)
def test_what_a_system_turn_does_not_make_up_says_what_to_use(
    settings: dict[str, JsonValue], instead: str, small_llama: LocalModel
) -> None:
    with pytest.raises(UserError, match=instead):
        system_of(asked(small_llama, **settings))


def test_a_trained_model_that_reads_passages_goes_without_ollama(
    small_llama: LocalModel, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match="Use --to gguf"):
        system_of(asked(small_llama, tmp_path, chunk_words=60, k=2, search="bm25"))
