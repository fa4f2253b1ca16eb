"""Fused norms against those of transformers."""

import copy
from pathlib import Path
from typing import Any

import pytest
import torch

from small_models import build
from tunewise.models import loading
from tunewise.training.norms import _RootMeanSquareNorm, fuse_norms

IDS = torch.arange(5, 45).view(2, 20) * 7 % 390 + 3


def two(folder: Path, family: str) -> tuple[Any, Any, int]:
    """The same frozen model as transformers has it and fused, with weights unlike one."""
    torch.manual_seed(0)
    plain: Any = loading.load_model(build(folder / family, family=family))
    for name, weight in plain.named_parameters():
        weight.requires_grad_("embed_tokens" in name)
        if "norm" in name:
            weight.data.uniform_(0.5, 1.5)
    fused = copy.deepcopy(plain)
    return plain, fused, fuse_norms(fused)


def of_embeddings(model: Any) -> torch.Tensor:
    """The gradient of the embeddings, below all norms."""
    model.zero_grad(set_to_none=True)
    model(input_ids=IDS, use_cache=False).logits.float().square().mean().backward()
    return model.get_input_embeddings().weight.grad


def assert_near(found: torch.Tensor, wanted: torch.Tensor, near: float) -> None:
    assert found.dtype == wanted.dtype
    assert float((found - wanted).norm()) <= near * float(wanted.norm())
    assert float(wanted.norm()) > 0


def test_values_and_gradients_are_those_of_the_formula() -> None:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(3, 4, 6, dtype=torch.float64, generator=generator).requires_grad_()
    weight = torch.rand(6, dtype=torch.float64, generator=generator)

    def norm(x: torch.Tensor) -> torch.Tensor:
        return _RootMeanSquareNorm.apply(x, weight, 1e-5, torch.float64)

    wanted = weight * x / (x.square().mean(-1, keepdim=True) + 1e-5).sqrt()
    assert_near(norm(x), wanted, 1e-12)
    assert torch.autograd.gradcheck(norm, (x,))


# Two blocks of two norms and the last one; qwen3 has norms of queries and keys in each block, too.
@pytest.mark.parametrize(("family", "norms"), [("llama", 5), ("qwen2", 5), ("qwen3", 9)])
def test_models_compute_the_same(family: str, norms: int, tmp_path: Path) -> None:
    plain, fused, count = two(tmp_path, family)
    assert count == norms
    logits = [model(input_ids=IDS, use_cache=False).logits for model in (fused, plain)]
    assert_near(*logits, near=1e-5)
    assert_near(of_embeddings(fused), of_embeddings(plain), 1e-5)


@pytest.mark.parametrize("family", ["llama", "qwen3"])
def test_in_bfloat16_they_are_as_near_to_the_exact_ones(family: str, tmp_path: Path) -> None:
    plain, fused, _ = two(tmp_path, family)
    exact = of_embeddings(plain)
    with torch.autocast("cpu", torch.bfloat16):
        usual, found = of_embeddings(plain), of_embeddings(fused)
    error = float((usual - exact).norm())
    assert float((found - exact).norm()) < max(1.5 * error, 0.02 * float(exact.norm()))


def test_what_follows_gets_the_format_of_its_products(tmp_path: Path) -> None:
    _, fused, _ = two(tmp_path, "llama")
    x = torch.randn(1, 2, fused.config.hidden_size)
    with torch.autocast("cpu", torch.bfloat16):
        assert fused.model.norm(x).dtype == torch.bfloat16
    assert fused.model.norm(x).dtype == torch.float32


@pytest.mark.parametrize("family", ["gemma2", "gpt2"])  # one plus the weight; minus the mean
def test_norms_of_another_formula_are_left_alone(family: str, tmp_path: Path) -> None:
    _, _, count = two(tmp_path, family)
    assert count == 0


def test_norms_that_are_trained_are_left_alone(tmp_path: Path) -> None:
    assert fuse_norms(loading.load_model(build(tmp_path / "m"))) == 0


def test_a_copy_computes_with_its_own_weight(tmp_path: Path) -> None:
    _, fused, _ = two(tmp_path, "llama")
    other = copy.deepcopy(fused)
    other.model.norm.weight.data.zero_()
    x = torch.randn(1, 2, fused.config.hidden_size)
    assert float(other.model.norm(x).abs().max()) == 0
    assert float(fused.model.norm(x).abs().max()) > 0


def test_a_norm_that_is_given_a_gate_computes_as_it_was() -> None:
    class GatedNorm(torch.nn.RMSNorm):
        """As in state-space models."""

        def forward(self, x: torch.Tensor, gate: torch.Tensor | None = None) -> torch.Tensor:
            normed = super().forward(x)
            return normed if gate is None else normed * gate

    norm = GatedNorm(8, eps=1e-5)
    norm.weight.requires_grad_(False)
    assert fuse_norms(norm) == 1
    x = torch.randn(2, 8)
    assert_near(norm(x, torch.full((8,), 3.0)), 3 * norm(x), 1e-6)
