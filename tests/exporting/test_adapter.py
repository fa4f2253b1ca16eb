from pathlib import Path

import peft
import pytest

import small_models
from exports import adapter_source
from tunewise.errors import UserError
from tunewise.exporting.adapter import write_adapter
from tunewise.models import loading
from tunewise.models.adapters import sign_adapter
from tunewise.models.catalog import LocalModel
from tunewise.models.stored import adapter_hash


def test_peft_opens_the_folder_and_the_card_lies_beside(
    small_llama: LocalModel, tmp_path: Path
) -> None:
    trained = small_models.adapter(small_llama, tmp_path / "adapter", use_rslora=True)
    (trained / "README.md").write_text("# A card")
    (trained / "optimizer.pt").write_bytes(b"of the training")
    out = tmp_path / "out"
    out.mkdir()
    write_adapter(adapter_source(small_llama, trained), out)
    loaded = peft.PeftModel.from_pretrained(loading.load_model(small_llama.folder), str(out))
    assert loaded.peft_config["default"].use_rslora is True
    assert adapter_hash(out) == adapter_hash(trained)
    assert (out / "README.md").read_text() == "# A card"
    assert not (out / "optimizer.pt").exists()


def test_a_whole_model_is_no_adapter(small_llama: LocalModel, tmp_path: Path) -> None:
    loading.save(loading.load_model(small_llama.folder), tmp_path / "full")
    sign_adapter(tmp_path / "full", small_llama)
    with pytest.raises(UserError, match=r"every weight was trained.*Use --to merged"):
        write_adapter(adapter_source(small_llama, tmp_path / "full"), tmp_path / "out")


def test_what_trains_nothing_says_what_to_use(small_llama: LocalModel, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"trains nothing.*Use --to prompt, or --to ollama"):
        write_adapter(adapter_source(small_llama, None), tmp_path / "out")
