from pathlib import Path

import gguf as library
import pytest

import small_models
from exports import adapter_source
from tunewise.errors import UserError
from tunewise.exporting import gguf
from tunewise.exporting.gguf import precision_named, write_gguf_folder
from tunewise.models.catalog import LocalModel


@pytest.mark.parametrize("precision", ["q8_0", "f16"])
def test_the_file_holds_matrices_template_and_end(
    precision: str, small_llama: LocalModel, tmp_path: Path
) -> None:
    trained = small_models.adapter(small_llama, tmp_path / "adapter")
    (tmp_path / "out").mkdir()
    file = write_gguf_folder(
        adapter_source(small_llama, trained),
        tmp_path / "out",
        tmp_path / "work",
        precision=precision_named(precision),
    )
    assert file == tmp_path / "out" / f"fine_tune-{precision}.gguf"
    reader = library.GGUFReader(file)
    assert reader.fields["tokenizer.chat_template"].contents() == small_models.TEMPLATE
    assert reader.fields["tokenizer.ggml.eos_token_id"].contents() == 2
    kinds = {tensor.tensor_type.name for tensor in reader.tensors if len(tensor.shape) == 2}
    assert kinds == {precision.upper()}


def test_a_precision_that_no_library_here_writes_is_refused_by_name() -> None:
    with pytest.raises(UserError, match=r"q4_k_m is written by no library.*q8_0 or f16") as caught:
        precision_named("q4_k_m")
    assert caught.value.exit_code == 2
    with pytest.raises(UserError, match="q3 is none"):
        precision_named("q3")


def test_a_model_that_the_converter_does_not_know_goes_as_safetensors(
    small_llama: LocalModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained = small_models.adapter(small_llama, tmp_path / "adapter")
    why = "the GGUF converter failed: NotImplementedError: BPE pre-tokenizer"
    monkeypatch.setattr(gguf, "convert_to_gguf", lambda *_, **__: why)
    with pytest.raises(UserError, match=r"BPE pre-tokenizer\. Use --to merged"):
        write_gguf_folder(
            adapter_source(small_llama, trained), tmp_path, tmp_path / "work", precision="q8_0"
        )


def test_a_file_without_a_template_is_not_let_out(
    small_llama: LocalModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def without_template(folder: Path, out: Path, *, precision: str) -> None:
        (folder / "chat_template.jinja").unlink()
        small_models.write_small_gguf(folder, out, precision=precision)

    trained = small_models.adapter(small_llama, tmp_path / "adapter")
    monkeypatch.setattr(gguf, "convert_to_gguf", without_template)
    with pytest.raises(UserError, match="left out a chat template"):
        write_gguf_folder(
            adapter_source(small_llama, trained), tmp_path, tmp_path / "work", precision="q8_0"
        )
