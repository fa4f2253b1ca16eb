import re
from pathlib import Path
from typing import Any

import pytest

from model_folders import opened
from small_models import build
from tunewise.errors import UserError
from tunewise.models import gguf
from tunewise.models.gguf import write_gguf
from tunewise.models.prepared import list_models

UNLIKE: dict[str, tuple[dict[str, Any], str]] = {
    "another family": ({"family": "gpt_neox"}, "the family gpt_neox"),
    "Llama 3's positions": (
        {
            "rope_parameters": {
                "rope_type": "llama3",
                "rope_theta": 10000.0,
                "factor": 8.0,
                "low_freq_factor": 1.0,
                "high_freq_factor": 4.0,
                "original_max_position_embeddings": 64,
            }
        },
        "scaled positions (rope_type llama3)",
    ),
    "biases": ({"attention_bias": True}, "biases in the attention of this family"),
    "a sliding window": (
        {"family": "qwen2", "use_sliding_window": True, "sliding_window": 32},
        "attention over a sliding window",
    ),
    "another activation": ({"hidden_act": "gelu"}, "the activation gelu"),
}


class TestWithoutGguf:
    @pytest.mark.parametrize(("config", "reason"), UNLIKE.values(), ids=UNLIKE.keys())
    def test_what_openvino_would_answer_wrongly_is_not_converted(
        self, config: dict[str, Any], reason: str, tmp_path: Path
    ) -> None:
        folder = build(tmp_path / "model", **config)
        said = write_gguf(folder, tmp_path / "model.gguf")
        assert said == f"OpenVINO's GGUF reader does not know {reason}"
        assert not (tmp_path / "model.gguf").exists()

    def test_a_tokenizer_that_the_converter_does_not_know_is_the_reason(
        self, source: Path, cache: Path
    ) -> None:
        model = opened(source, cache)
        assert model.gguf is None
        assert model.no_gguf
        assert model.no_gguf.startswith("the GGUF converter failed: NotImplementedError: BPE")
        assert str(cache) not in model.no_gguf

    def test_a_tokenizer_that_openvino_does_not_know_is_the_reason(self, tmp_path: Path) -> None:
        folder = build(tmp_path / "model", spm=True)
        assert write_gguf(folder, tmp_path / "model.gguf") == (
            "OpenVINO's GGUF reader knows byte-level tokenizers only, and this one is llama"
        )
        assert not (tmp_path / "model.gguf").exists()


class TestConverterThatCannotRun:
    """Nothing is remembered of it: the next start tries again."""

    @pytest.mark.parametrize(
        ("program", "said"),
        [
            ("import os; os.kill(os.getpid(), 9)", "could not finish: ended by SIGKILL. Free mem"),
            ("raise OSError(28, 'No space left')", "could not finish: OSError: [Errno 28] No"),
            ("raise MemoryError", "could not finish: MemoryError. Free memory and disk space"),
        ],
        ids=["killed", "disk full", "memory"],
    )
    def test_by_the_machine(
        self, program: str, said: str, source: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (source.parent / "failing_converter.py").write_text(program)
        monkeypatch.syspath_prepend(source.parent)
        monkeypatch.setenv("PYTHONPATH", str(source.parent))
        monkeypatch.setattr(gguf, "_CONVERTER", "failing_converter")
        with pytest.raises(UserError, match=re.escape(said)):
            opened(source, cache)
        assert list_models(cache) == []

    def test_half_an_installation(
        self, source: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(gguf, "_CONVERTER", "no_such_converter")
        with pytest.raises(UserError, match="no_such_converter is missing"):
            opened(source, cache)
        assert list_models(cache) == []
