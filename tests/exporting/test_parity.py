"""A copy that is none is found, whatever it is that was lost."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import gguf as library
import pytest

import small_models
from exports import adapter_source, held_out, taught_adapter, taught_rows
from small_trainings import PAIRS
from tunewise.chat.template import render_prompt
from tunewise.errors import UserError
from tunewise.exporting.gguf import write_gguf_folder
from tunewise.exporting.llamacpp import LlamaCppReader
from tunewise.exporting.parity import LIKELIHOOD, Comparison
from tunewise.exporting.readers import OpenVinoReader, Reader, Rendered, TransformersReader
from tunewise.exporting.source import HeldOut, Source
from tunewise.models.catalog import LocalModel
from tunewise.models.gguf import GgufPrecision
from tunewise.progress import Silent
from tunewise.runs.exported import EngineParity
from tunewise.types import Example


@pytest.fixture(scope="module")
def trained(small_llama: LocalModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return taught_adapter(small_llama, tmp_path_factory.mktemp("trained") / "adapter")


@pytest.fixture(scope="module")
def source(small_llama: LocalModel, trained: Path) -> Source:
    return adapter_source(small_llama, trained, prompts=taught_rows(), tokens=12)


@pytest.fixture(scope="module")
def comparison(source: Source) -> Comparison:
    return Comparison(source, Silent())


Written = Callable[[Source, GgufPrecision], tuple[Path, Path]]


@pytest.fixture
def written(tmp_path: Path) -> Written:
    """Writes the GGUF file of a source; the file, and the model that it was made from."""

    def write(source: Source, precision: GgufPrecision) -> tuple[Path, Path]:
        (tmp_path / "out").mkdir()
        work = tmp_path / "work"
        out = tmp_path / "out"
        return write_gguf_folder(source, out, work, precision=precision, base_too=True), work

    return write


def through_openvino(
    comparison: Comparison, file: Path, work: Path, base: LocalModel
) -> EngineParity:
    return comparison.through(OpenVinoReader(replace(base, folder=work, gguf=file)))


def through_llamacpp(
    comparison: Comparison, file: Path, work: Path, base: LocalModel
) -> EngineParity:
    reader = LlamaCppReader(file, work, context_tokens=base.context_tokens)
    return comparison.through(reader)


def test_the_fixed_set_has_what_exports_break_on() -> None:
    rows = held_out(50).rows
    texts = ["".join(turn.content for turn in row.messages) for row in rows]
    roles = [[turn.role for turn in row.messages] for row in rows]
    assert len(rows) == len(set(texts)) == 50
    assert sum(not text.isascii() for text in texts) >= 15
    assert sum(first != "system" for first, *_ in roles) >= 30
    assert sum(first == "system" for first, *_ in roles) >= 5
    assert any(len(turns) > 2 for turns in roles)


def same_tokens_for_the_fixed_set(reader: Reader, source: Source) -> None:
    for row in held_out(50).rows:
        text = render_prompt(source.tokenizer, row.messages)
        ids = tuple(source.tokenizer.encode(text, add_special_tokens=False))
        assert reader.tokens(Rendered(text=text, ids=ids, turns=row.messages)) == ids, row.id
        assert reader.tokens(Rendered(text=text, ids=ids, turns=None)) == ids, row.id


@pytest.mark.parametrize("precision", ["q8_0", "f16"])
def test_a_gguf_file_is_its_source_through_openvino_and_llamacpp(
    precision: GgufPrecision,
    source: Source,
    comparison: Comparison,
    small_llama: LocalModel,
    written: Written,
) -> None:
    file, work = written(source, precision)
    readers: list[Reader] = [
        OpenVinoReader(replace(small_llama, folder=work, gguf=file)),
        LlamaCppReader(file, work, context_tokens=small_llama.context_tokens),
    ]
    for reader in readers:
        found = comparison.through(reader)
        assert found.faults == ()
        assert found.ends == {"<|im_end|>": True}
        assert found.rendered == found.answered == comparison.prompts == len(PAIRS)
        assert found.source == found.artefact == 1.0
        assert found.answers_differ == ()
        same_tokens_for_the_fixed_set(reader, source)


def test_an_adapter_whose_scale_is_lost_is_no_copy(
    comparison: Comparison, small_llama: LocalModel, trained: Path, tmp_path: Path
) -> None:
    lost = shutil.copytree(trained, tmp_path / "lost")
    settings = json.loads((lost / "adapter_config.json").read_text())
    (lost / "adapter_config.json").write_text(json.dumps({**settings, "lora_alpha": settings["r"]}))
    found = comparison.through(TransformersReader(small_llama, lost))
    (fault,) = found.faults
    assert fault.startswith("transformers: log-probabilities differ by up to")
    assert found.artefact == 1.0  # by its answers alone nobody would have noticed
    again = comparison.through(TransformersReader(small_llama, trained))
    assert again.faults == ()
    assert again.answers_differ == ()
    assert again.log_probability == pytest.approx(0, abs=1e-4)


def test_a_file_with_another_template_is_no_copy(
    source: Source, comparison: Comparison, small_llama: LocalModel, written: Written
) -> None:
    file, work = written(source, "q8_0")
    _overwrite(file, "tokenizer.chat_template", b"<|im_start|>", b"<|im_STARt|>")
    for through in (through_openvino, through_llamacpp):
        found = through(comparison, file, work, small_llama)
        assert len(found.prompts_differ) == comparison.prompts
        assert (
            f"{comparison.prompts} of {comparison.prompts} prompts have other tokens"
            in found.faults[0]
        )


def test_a_file_that_goes_on_behind_an_end_is_no_copy(
    small_llama: LocalModel, tmp_path: Path, written: Written
) -> None:
    folder = shutil.copytree(small_llama.folder, tmp_path / "base")
    (folder / "generation_config.json").write_text(json.dumps({"eos_token_id": [2, 300]}))
    base = replace(small_llama, folder=folder)
    source = adapter_source(base, small_models.adapter(base, tmp_path / "adapter"))
    file, work = written(source, "q8_0")
    found = through_llamacpp(Comparison(source, Silent()), file, work, base)
    deaf = str(source.tokenizer.decode([300]))
    assert found.ends == {"<|im_end|>": True, deaf: False}
    assert f"xllamacpp: an answer does not end at {deaf}" in found.faults


def test_rows_without_targets_are_scored_by_how_likely_the_source_finds_them(
    small_llama: LocalModel, trained: Path
) -> None:
    prompts = replace(taught_rows(), metric=None)
    source = adapter_source(small_llama, trained, prompts=prompts, tokens=12)
    comparison = Comparison(source, Silent())
    assert comparison.metric == LIKELIHOOD
    same = comparison.through(TransformersReader(small_llama, trained))
    assert (same.source, same.artefact, same.answers_differ) == (1.0, 1.0, ())
    other = comparison.through(TransformersReader(small_llama))  # the base alone
    assert other.source == 1.0
    assert other.artefact is not None
    assert other.artefact < 0.5
    assert all(0 <= one.artefact < 1 for one in other.answers_differ)


def test_the_margin_decides_how_much_may_be_lost(
    small_llama: LocalModel, trained: Path, written: Written
) -> None:
    source = adapter_source(small_llama, trained, prompts=taught_rows(), margin=1.0)
    file, work = written(replace(source, adapter=None), "q8_0")
    found = through_openvino(Comparison(source, Silent()), file, work, small_llama)
    assert (found.source, found.artefact, found.faults) == (1.0, 0.0, ())
    strict = Comparison(replace(source, margin=0.03), Silent())
    (fault,) = through_openvino(strict, file, work, small_llama).faults
    assert fault == (
        "openvino: exact_match is 0.0%, the source's 100.0%: more is lost than the margin of 3.0%"
    )


def test_personal_data_in_answers_is_masked(
    small_llama: LocalModel, trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = adapter_source(small_llama, trained, prompts=held_out(2))
    comparison = Comparison(source, Silent())
    for hidden in (True, False):
        comparison._source = replace(source, show_personal=not hidden)
        comparison._said[0] = replace(comparison._said[0], text="write to ann.lee@gmail.com")
        found = comparison.through(TransformersReader(small_llama, trained))
        assert ("ann.lee@gmail.com" in found.answers_differ[0].said[0]) is not hidden


def test_prompts_that_all_are_too_long_are_an_error(small_llama: LocalModel, trained: Path) -> None:
    rows = (Example(id="long", messages=small_models.user("long " * 300), target=""),)
    prompts = HeldOut(rows=rows, of="test rows of run", metric=None)
    with pytest.raises(UserError, match="no held-out prompt fits the model's context"):
        Comparison(adapter_source(small_llama, trained, prompts=prompts), Silent())


def test_a_file_that_is_none_is_an_error(small_llama: LocalModel, tmp_path: Path) -> None:
    (tmp_path / "m.gguf").write_bytes(b"GGUF" + bytes(100))
    with pytest.raises(UserError, match=r"m\.gguf: llama\.cpp cannot open it"):
        LlamaCppReader(tmp_path / "m.gguf", small_llama.folder, context_tokens=64)


def _overwrite(file: Path, key: str, old: bytes, new: bytes) -> None:
    """Changes a text in a GGUF file's header to another of the same length."""
    assert len(old) == len(new)
    assert old in bytes(library.GGUFReader(file).fields[key].parts[-1])
    raw = file.read_bytes()
    start = raw.index(key.encode())
    end = start + raw[start:].index(b"add_generation_prompt") + 100
    file.write_bytes(raw[:start] + raw[start:end].replace(old, new) + raw[end:])
