import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from small_models import build
from tunewise.models import loading


@pytest.fixture
def folder(small_folder: Path, tmp_path: Path) -> Path:
    """A copy of the small model that a test may change."""
    return shutil.copytree(small_folder, tmp_path / "model")


def test_weights_come_in_float32_unless_another_format_is_wanted(folder: Path) -> None:
    assert loading.load_model(folder).dtype == torch.float32
    assert loading.load_model(folder, dtype=torch.bfloat16).dtype == torch.bfloat16


def test_the_window_is_found_whatever_a_family_calls_it(folder: Path, tmp_path: Path) -> None:
    assert loading.context_window(folder) == 256
    gpt2 = build(tmp_path / "gpt2", family="gpt2", max_position_embeddings=96)
    assert json.loads((gpt2 / "config.json").read_text())["n_positions"] == 96
    assert loading.context_window(gpt2) == 96


def test_a_model_that_names_no_window_gets_a_usual_one(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "bloom"}')
    assert loading.context_window(tmp_path) == loading.NO_WINDOW


def test_a_model_is_loaded_for_answering_not_for_training(folder: Path) -> None:
    assert loading.load_model(folder).training is False


def test_pickled_weights_are_not_read_even_where_they_lie_beside_others(folder: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return exec, ("raise SystemExit('ran foreign code')",)

    torch.save({"lm_head.weight": Evil()}, folder / "pytorch_model.bin")
    loading.load_model(folder)
    (folder / "model.safetensors").unlink()
    with pytest.raises(OSError, match="safetensors"):
        loading.load_model(folder)


@pytest.mark.parametrize(
    ("name", "key", "load"),
    [
        ("config.json", "model_type", loading.load_model),
        ("tokenizer_config.json", "tokenizer_class", loading.load_tokenizer),
    ],
)
def test_code_that_comes_with_a_model_is_neither_run_nor_asked_about(
    name: str,
    key: str,
    load: Callable[[Path], object],
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[str] = []
    monkeypatch.setattr("builtins.input", lambda prompt="": asked.append(prompt) or "y")
    (folder / "evil.py").write_text("raise SystemExit('ran foreign code')")
    settings = json.loads((folder / name).read_text())
    settings[key] = "Evil"
    settings["auto_map"] = {
        "AutoConfig": "evil.Config",
        "AutoModelForCausalLM": "evil.Model",
        "AutoTokenizer": ["evil.Tokenizer", None],
    }
    (folder / name).write_text(json.dumps(settings))
    with pytest.raises(ValueError, match="custom code"):
        load(folder)
    assert asked == []


def test_an_answer_ends_with_every_token_that_model_and_tokenizer_declare(folder: Path) -> None:
    tokenizer = loading.load_tokenizer(folder)
    assert loading.end_token_ids(folder, tokenizer) == {2}
    settings = json.loads((folder / "generation_config.json").read_text())
    (folder / "generation_config.json").write_text(json.dumps({**settings, "eos_token_id": [0, 7]}))
    assert loading.end_token_ids(folder, tokenizer) == {0, 2, 7}


def test_without_a_generation_config_the_model_config_says_what_ends_an_answer(
    folder: Path,
) -> None:
    (folder / "generation_config.json").unlink()
    settings = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**settings, "eos_token_id": 9}))
    assert loading.end_token_ids(folder, loading.load_tokenizer(folder)) == {2, 9}


def test_what_is_saved_loads_again(folder: Path, tmp_path: Path) -> None:
    model, tokenizer = loading.load_model(folder), loading.load_tokenizer(folder)
    loading.save(model, tmp_path / "saved")
    loading.save(tokenizer, tmp_path / "saved")
    again = loading.load_model(tmp_path / "saved").state_dict()
    assert all(torch.equal(again[name], value) for name, value in model.state_dict().items())
    text = "Where is my order? é"
    ids = tokenizer.encode(text, add_special_tokens=False)
    reread = loading.load_tokenizer(tmp_path / "saved")
    assert reread.encode(text, add_special_tokens=False) == ids
    assert reread.decode(ids) == text
