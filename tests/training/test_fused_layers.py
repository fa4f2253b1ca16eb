"""Fused LoRA layers against PEFT's own, fused norms against those of transformers."""

import copy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import peft
import pytest
import torch
from torch.nn.functional import cross_entropy

from small_models import build
from tunewise.models import loading
from tunewise.training.fused_layers import (
    _LowRankLinears,
    _RootMeanSquareNorm,
    fuse_adapters,
    fuse_norms,
)

LAYERS = 14
"""Linear layers of two blocks: queries, keys, values, output, gate, up and down."""
IDS = torch.arange(5, 45).view(2, 20) * 7 % 390 + 3
CLOSE = 1e-5
"""Relative to the largest value."""
KINDS: dict[str, dict[str, Any]] = {
    "lora": {},
    "rslora": {"use_rslora": True},
    "high rank": {"r": 48, "lora_alpha": 16},
    "some layers": {"target_modules": ["q_proj", "down_proj"]},
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A Llama without biases, a Qwen2 with biases in its queries, keys and values."""
    hub_folder = tmp_path_factory.mktemp("hub")
    return {name: build(hub_folder / name, family=name) for name in ("llama", "qwen2")}


def adapted(folder: Path, **lora: Any) -> Any:
    """A model with an adapter whose B is not zero, as training leaves it."""
    torch.manual_seed(0)
    settings = {"r": 4, "lora_alpha": 12, "target_modules": "all-linear", **lora}
    model: Any = peft.get_peft_model(
        loading.load_model(folder), peft.LoraConfig(task_type="CAUSAL_LM", **settings)
    )
    with torch.no_grad():
        for name, weight in model.named_parameters():
            if "lora_B" in name:
                weight.normal_(std=0.05)
    return model


def two(folder: Path, **lora: Any) -> tuple[Any, Any]:
    """The same model as PEFT has it, and fused."""
    plain = adapted(folder, **lora)
    fused = copy.deepcopy(plain)
    assert fuse_adapters(fused) > 0
    return plain, fused


def logits(model: Any) -> torch.Tensor:
    return model(input_ids=IDS, use_cache=False).logits


def gradients(model: Any) -> dict[str, torch.Tensor]:
    model.zero_grad(set_to_none=True)
    of_next = logits(model)[:, :-1].float()
    cross_entropy(of_next.flatten(0, 1), IDS[:, 1:].flatten()).backward()
    return {n: w.grad.clone() for n, w in model.named_parameters() if w.grad is not None}


def assert_close(found: torch.Tensor, wanted: torch.Tensor, *, near: float = CLOSE) -> None:
    assert found.shape == wanted.shape
    assert found.dtype == wanted.dtype
    found, wanted = found.detach(), wanted.detach()
    assert float((found - wanted).abs().max()) <= near * float(wanted.abs().max())
    assert float(wanted.abs().max()) > 0


def narrow() -> torch.autocast:
    return torch.autocast("cpu", torch.bfloat16)


# The same numbers.


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("family", ["llama", "qwen2"])
def test_logits_are_those_of_peft(family: str, kind: str, folders: dict[str, Path]) -> None:
    plain, fused = two(folders[family], **KINDS[kind])
    assert_close(logits(fused), logits(plain))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("family", ["llama", "qwen2"])
def test_every_gradient_is_that_of_peft(family: str, kind: str, folders: dict[str, Path]) -> None:
    """That of the embedding too, below all layers: what they pass on is complete."""
    plain, fused = two(folders[family], **KINDS[kind])
    for model in (plain, fused):
        model.get_input_embeddings().weight.requires_grad_(True)
    found, wanted = gradients(fused), gradients(plain)
    assert found.keys() == wanted.keys()
    adapters = [name for name in wanted if "lora_" in name]
    assert len(adapters) == len(wanted) - 1 == (8 if kind == "some layers" else 2 * LAYERS)
    for name, gradient in wanted.items():
        assert_close(found[name], gradient)


@pytest.mark.parametrize("family", ["llama", "qwen2"])
def test_without_gradients_the_logits_are_those_of_peft(
    family: str, folders: dict[str, Path]
) -> None:
    plain, fused = two(folders[family])
    with torch.no_grad():
        assert_close(logits(fused), logits(plain))


@pytest.mark.parametrize("family", ["llama", "qwen2"])
def test_in_bfloat16_logits_and_gradients_are_close(family: str, folders: dict[str, Path]) -> None:
    plain, fused = two(folders[family])
    exact = gradients(plain)
    with narrow():
        assert_close(logits(fused), logits(plain), near=0.05)
        by_peft, found = gradients(plain), gradients(fused)
    for name, gradient in exact.items():
        assert found[name].dtype == torch.float32
        error = float((found[name] - gradient).norm() / gradient.norm())
        assert error < max(0.1, 2 * float((by_peft[name] - gradient).norm() / gradient.norm()))


def test_frozen_weights_may_be_kept_in_bfloat16(folders: dict[str, Path]) -> None:
    plain, fused = two(folders["llama"])
    for name, weight in fused.named_parameters():
        if name.endswith("base_layer.weight"):
            weight.data = weight.data.bfloat16()
    with narrow():
        wanted, found = gradients(plain), gradients(fused)
        assert_close(logits(fused), logits(plain), near=0.02)
    assert found.keys() == wanted.keys()
    for name, gradient in wanted.items():
        assert float((found[name] - gradient).norm() / gradient.norm()) < 0.05


@pytest.mark.parametrize("bias", [True, False])
def test_the_gradients_of_one_layer_are_those_of_its_formula(bias: bool) -> None:
    generator = torch.Generator().manual_seed(0)

    def random(*shape: int, trained: bool = True) -> torch.Tensor:
        drawn = torch.randn(*shape, dtype=torch.float64, generator=generator)
        return drawn.requires_grad_(trained)

    x, a, b = random(2, 3, 5), random(2, 5), random(4, 2)
    weight, offset = random(4, 5, trained=False), random(4, trained=False)

    def layer(x: torch.Tensor, a: torch.Tensor, b: torch.Tensor) -> Any:
        given = offset if bias else None
        return _LowRankLinears.apply(x, torch.float64, [0.7], weight, given, a, b)[0]

    wanted = x @ weight.T + (offset if bias else 0) + 0.7 * (x @ a.T) @ b.T
    assert_close(layer(x, a, b), wanted, near=1e-12)
    assert torch.autograd.gradcheck(layer, (x, a, b))


def groups(model: Any) -> list[set[str]]:
    """Names of the layers that are computed together."""
    names = {layer: name for name, layer in model.named_modules()}
    fused = [layer.forward for layer in names if isinstance(layer, peft.tuners.lora.LoraLayer)]
    found = {id(one._group): {names[layer] for layer in one._group._layers} for one in fused}
    return [{name.rsplit(".", 1)[-1] for name in some} for some in found.values()]


def test_layers_that_read_the_same_are_computed_together(folders: dict[str, Path]) -> None:
    _, fused = two(folders["llama"])
    assert groups(fused) == 2 * [
        {"q_proj", "k_proj", "v_proj"},
        {"o_proj"},
        {"gate_proj", "up_proj"},
        {"down_proj"},
    ]
    _, some = two(folders["llama"], target_modules=["q_proj", "v_proj", "up_proj"])
    assert groups(some) == 2 * [{"q_proj", "v_proj"}, {"up_proj"}]


def test_layers_of_a_group_that_are_given_different_tensors_answer_each_to_its_own(
    folders: dict[str, Path],
) -> None:
    plain, fused = (
        model.get_base_model().model.layers[0].self_attn for model in two(folders["llama"])
    )
    one, other = torch.randn(2, 1, 3, 64)
    for name, x in [("q_proj", one), ("k_proj", other), ("v_proj", one), ("q_proj", other)]:
        assert_close(getattr(fused, name)(x), getattr(plain, name)(x))


def test_the_gradients_of_layers_together_are_those_of_their_formula() -> None:
    generator = torch.Generator().manual_seed(0)

    def random(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, dtype=torch.float64, generator=generator)

    frozen = [(random(4, 5), random(4)), (random(3, 5), None)]
    trained = [random(2, 5), random(4, 2), random(3, 5), random(3, 3)]  # ranks 2 and 3
    x = random(2, 6, 5)
    for tensor in (x, *trained):
        tensor.requires_grad_()

    def layers(x: torch.Tensor, *trained: torch.Tensor) -> Any:
        weights = [*frozen[0], *trained[:2], *frozen[1], *trained[2:]]
        return _LowRankLinears.apply(x, torch.float64, [0.7, 1.3], *weights)

    first, second = layers(x, *trained)
    a, b, c, d = trained
    assert_close(first, x @ frozen[0][0].T + frozen[0][1] + 0.7 * (x @ a.T) @ b.T, near=1e-12)
    assert_close(second, x @ frozen[1][0].T + 1.3 * (x @ c.T) @ d.T, near=1e-12)
    assert torch.autograd.gradcheck(layers, (x, *trained))


def test_an_input_that_needs_no_gradient_gets_none() -> None:
    x, weight = torch.ones(3, 5), torch.ones(4, 5)
    a, b = torch.ones(2, 5, requires_grad=True), torch.ones(4, 2, requires_grad=True)
    (y,) = _LowRankLinears.apply(x, torch.float32, [1.0], weight, None, a, b)
    y.sum().backward()
    assert x.grad is None
    assert a.grad is not None
    assert b.grad is not None


def test_a_frozen_layer_passes_the_gradient_on_and_keeps_none(folders: dict[str, Path]) -> None:
    plain, fused = two(folders["llama"])
    found: list[dict[str, torch.Tensor]] = []
    for model in (plain, fused):
        for name, weight in model.named_parameters():
            weight.requires_grad_("embed_tokens" in name)
        found.append(gradients(model))
    (name,) = found[0]
    assert found[1].keys() == {name}
    assert_close(found[1][name], found[0][name])


def saved(model: Any) -> int:
    """Bytes that the way there keeps for the way back, beside the weights."""
    weights = {weight.untyped_storage().data_ptr() for weight in model.parameters()}
    sizes: dict[int, int] = {}

    def keep(tensor: torch.Tensor) -> torch.Tensor:
        if tensor.untyped_storage().data_ptr() not in weights:
            sizes[tensor.untyped_storage().data_ptr()] = tensor.untyped_storage().nbytes()
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        logits(model).sum()
    return sum(sizes.values())


def test_fused_layers_keep_no_more_for_the_way_back_than_those_of_peft(
    folders: dict[str, Path],
) -> None:
    plain, fused = two(folders["llama"])
    assert 0 < saved(fused) <= saved(plain)
    with narrow():
        assert saved(fused) < saved(plain)


# What stays as PEFT has it.


def forwards(model: Any) -> list[Callable[..., Any]]:
    return [m.forward for m in model.modules() if isinstance(m, peft.tuners.lora.LoraLayer)]


@pytest.mark.parametrize(
    "lora",
    [{"use_dora": True}, {"lora_dropout": 0.1}, {"lora_bias": True}],
    ids=["dora", "dropout", "a bias of the adapter's own"],
)
def test_layers_of_another_kind_are_left_alone(lora: Any, folders: dict[str, Path]) -> None:
    model = adapted(folders["llama"], **lora)
    before = forwards(model)
    assert fuse_adapters(model) == 0
    assert forwards(model) == before


def test_a_layer_whose_own_weight_is_trained_is_left_alone(folders: dict[str, Path]) -> None:
    model = adapted(folders["llama"])
    for name, weight in model.named_parameters():
        if "up_proj.base_layer" in name:
            weight.requires_grad_(True)
    assert fuse_adapters(model) == LAYERS - 2
    assert sum("up_proj.base_layer" in name for name in gradients(model)) == 2


def test_a_layer_whose_bias_is_trained_is_left_alone(folders: dict[str, Path]) -> None:
    model = adapted(folders["qwen2"], bias="all")
    assert fuse_adapters(model) == LAYERS - 6  # queries, keys and values have one
    assert sum(name.endswith("base_layer.bias") for name in gradients(model)) == 6


def test_a_layer_with_another_adapter_beside_is_left_alone(folders: dict[str, Path]) -> None:
    model = adapted(folders["llama"])
    model.add_adapter("other", peft.LoraConfig(r=2, target_modules=["q_proj"]))
    assert fuse_adapters(model) == LAYERS - 2


def test_a_model_without_an_adapter_has_nothing_to_fuse(folders: dict[str, Path]) -> None:
    assert fuse_adapters(loading.load_model(folders["llama"])) == 0


# PEFT stays the owner.


@pytest.mark.parametrize("grad", [True, False])
def test_switched_off_the_adapter_leaves_the_base(grad: bool, folders: dict[str, Path]) -> None:
    base = loading.load_model(folders["qwen2"])
    _, fused = two(folders["qwen2"])
    with torch.set_grad_enabled(grad):
        before = logits(fused).detach()
        with fused.disable_adapter():
            assert torch.equal(logits(fused), logits(base))
        assert torch.equal(logits(fused), before)
        assert not torch.equal(before, logits(base))


def test_merged_into_the_base_it_counts_once(folders: dict[str, Path]) -> None:
    plain, fused = two(folders["llama"])
    wanted = logits(plain).detach()
    fused.merge_adapter()
    assert_close(logits(fused), wanted)
    fused.unmerge_adapter()
    assert_close(logits(fused), wanted)


def test_weights_their_names_and_modes_do_not_change(folders: dict[str, Path]) -> None:
    plain, fused = two(folders["qwen2"])
    before, after = plain.state_dict(), fused.state_dict()
    assert list(before) == list(after)
    assert all(torch.equal(before[name], after[name]) for name in before)
    trained = [
        [(name, weight.requires_grad) for name, weight in model.named_parameters()]
        for model in (plain, fused)
    ]
    assert trained[0] == trained[1]
    assert [type(m) for m in plain.modules()] == [type(m) for m in fused.modules()]


def test_a_fused_adapter_is_saved_and_loaded_like_any(
    folders: dict[str, Path], tmp_path: Path
) -> None:
    plain, fused = two(folders["llama"])
    for model, name in ((plain, "plain"), (fused, "fused")):
        model.save_pretrained(str(tmp_path / name), save_embedding_layers=False)
    weights = [tmp_path / name / "adapter_model.safetensors" for name in ("plain", "fused")]
    assert weights[0].read_bytes() == weights[1].read_bytes()
    loaded = peft.PeftModel.from_pretrained(
        loading.load_model(folders["llama"]), str(tmp_path / "fused")
    )
    assert_close(logits(loaded), logits(fused))


def test_a_copy_computes_with_its_own_weights(folders: dict[str, Path]) -> None:
    _, fused = two(folders["llama"])
    before = logits(fused).detach()
    other = copy.deepcopy(fused)
    with torch.no_grad():
        for name, weight in other.named_parameters():
            if "lora_B" in name:
                weight.zero_()
    assert torch.equal(logits(fused).detach(), before)
    with other.disable_adapter():
        wanted = logits(other).detach()
    assert_close(logits(other), wanted)


def test_a_training_of_fused_layers_ends_where_that_of_peft_does(
    folders: dict[str, Path],
) -> None:
    ends: list[torch.Tensor] = []
    for model in two(folders["llama"]):
        trained = [weight for weight in model.parameters() if weight.requires_grad]
        optimizer = torch.optim.SGD(trained, lr=0.1)
        for _ in range(5):
            gradients(model)
            optimizer.step()
        ends.append(logits(model).detach())
    assert_close(ends[1], ends[0], near=1e-4)


def two_norms(folder: Path, family: str) -> tuple[Any, Any, int]:
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
    plain, fused, count = two_norms(tmp_path, family)
    assert count == norms
    logits = [model(input_ids=IDS, use_cache=False).logits for model in (fused, plain)]
    assert_near(*logits, near=1e-5)
    assert_near(of_embeddings(fused), of_embeddings(plain), 1e-5)


@pytest.mark.parametrize("family", ["llama", "qwen3"])
def test_in_bfloat16_they_are_as_near_to_the_exact_ones(family: str, tmp_path: Path) -> None:
    plain, fused, _ = two_norms(tmp_path, family)
    exact = of_embeddings(plain)
    with torch.autocast("cpu", torch.bfloat16):
        usual, found = of_embeddings(plain), of_embeddings(fused)
    error = float((usual - exact).norm())
    assert float((found - exact).norm()) < max(1.5 * error, 0.02 * float(exact.norm()))


def test_what_follows_gets_the_format_of_its_products(tmp_path: Path) -> None:
    _, fused, _ = two_norms(tmp_path, "llama")
    x = torch.randn(1, 2, fused.config.hidden_size)
    with torch.autocast("cpu", torch.bfloat16):
        assert fused.model.norm(x).dtype == torch.bfloat16
    assert fused.model.norm(x).dtype == torch.float32


@pytest.mark.parametrize("family", ["gemma2", "gpt2"])  # one plus the weight; minus the mean
def test_norms_of_another_formula_are_left_alone(family: str, tmp_path: Path) -> None:
    _, _, count = two_norms(tmp_path, family)
    assert count == 0


def test_norms_that_are_trained_are_left_alone(tmp_path: Path) -> None:
    assert fuse_norms(loading.load_model(build(tmp_path / "m"))) == 0


def test_a_copy_computes_with_its_own_weight(tmp_path: Path) -> None:
    _, fused, _ = two_norms(tmp_path, "llama")
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
