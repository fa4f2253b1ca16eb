"""Layers computed as one autograd operation each, in fewer passes over memory than their owners'.

Linear layers with low-rank adapters (`fuse_adapters`):

    y = x W^T + b + s (x A^T) B^T        (LoRA: Hu et al. 2021, arXiv:2106.09685, eq. 3)

Layers that read the same tensor (queries, keys and values; gate and up) are computed together.
Nothing of an adapter's part is kept but the r numbers a token that its gradient needs. PEFT stays
the owner of the weights; layers of other kinds (DoRA, quantised, with dropout) run as PEFT has
them.

Root-mean-square norms (`fuse_norms`), in the number format of the products that follow:

    y = w x / sqrt(mean(x^2) + e)        (Zhang and Sennrich 2019, arXiv:1910.07467, eq. 4)

Written out in PyTorch, a norm takes seven passes over memory forward and ten backward, and a copy
for every layer that reads it.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, cast

import torch
from peft.tuners.lora import Linear as PeftLinear


class _LowRankLinears(torch.autograd.Function):
    """The module's first formula.

    Matrix products run in `dtype`; gradients of A and B come back in the formats of A and B.
    """

    @staticmethod
    def forward(
        ctx: Any,
        x: torch.Tensor,
        dtype: torch.dtype,
        scalings: Sequence[float],
        *weights: torch.Tensor | None,
    ) -> tuple[torch.Tensor, ...]:
        """Outputs of each layer, (..., out).

        Args:
            ctx: autograd's.
            x: (..., in).
            dtype: of the products.
            scalings: s of each layer.
            weights: W (out, in), b (out,) or None, A (r, in) and B (out, r) of each layer.
        """
        rows = x.reshape(-1, x.shape[-1]).to(dtype)
        layers = cast("Any", [weights[n : n + 4] for n in range(0, len(weights), 4)])
        inner = rows @ torch.cat([a for _, _, a, _ in layers]).to(dtype).T  # (tokens, all r)
        of_layer = cast("Any", inner).split([len(a) for _, _, a, _ in layers], dim=1)
        outs: list[torch.Tensor] = []
        for (weight, bias, _, b), some, scaling in zip(layers, of_layer, scalings, strict=True):
            out = rows @ weight.to(dtype).T
            if bias is not None:
                out += bias
            out.addmm_(some, b.to(dtype).T, alpha=scaling)
            outs.append(out.view(*x.shape[:-1], -1))
        kept = [tensor for weight, _, a, b in layers for tensor in (weight, a, b)]
        ctx.save_for_backward(rows, inner, *kept)
        ctx.scalings, ctx.dtype, ctx.shape, ctx.x_dtype = scalings, dtype, x.shape, x.dtype
        return tuple(outs)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[Any, ...]:
        """Gradients of x, and of each A and B; the rest is frozen."""
        rows, inner, *kept = ctx.saved_tensors
        dtype: torch.dtype = ctx.dtype
        weights, downs, ups = kept[::3], kept[1::3], kept[2::3]
        flat = [g.reshape(-1, g.shape[-1]).to(dtype) for g in gradients]
        ranks = [len(a) for a in downs]
        outer = torch.cat(
            [(g @ b.to(dtype)) * s for g, b, s in zip(flat, ups, ctx.scalings, strict=True)], dim=1
        )  # (tokens, all r)
        of_downs = (outer.T @ rows).split(ranks)
        of_ups = [
            (g.T @ some) * s
            for g, some, s in zip(flat, inner.split(ranks, dim=1), ctx.scalings, strict=True)
        ]
        of_x = None
        if ctx.needs_input_grad[0]:
            of_x = outer @ torch.cat(downs).to(dtype)
            for g, weight in zip(flat, weights, strict=True):
                of_x.addmm_(g, weight.to(dtype))
            of_x = of_x.view(ctx.shape).to(ctx.x_dtype)
        of_weights = [
            gradient
            for a, of_a, b, of_b in zip(downs, of_downs, ups, of_ups, strict=True)
            for gradient in (None, None, of_a.to(a.dtype), of_b.to(b.dtype))
        ]
        return of_x, None, None, *of_weights


def fuse_adapters(model: torch.nn.Module) -> int:
    """Makes every plain LoRA layer of a PEFT model compute as one operation with its neighbours.

    Replaces their `forward`, in place. Which layers read the same tensor is seen in a pass of two
    tokens, not assumed.

    Args:
        model: a causal language model with PEFT's LoRA layers; one without them stays as it is.

    Returns:
        How many layers were fused.
    """
    plain = [m for m in model.modules() if isinstance(m, PeftLinear) and _is_plain(m)]
    together = _readers(model, plain) if plain else []
    for layers in together:
        group = _LinearsOfOneInput(layers)
        for layer in layers:
            object.__setattr__(layer, "forward", _FusedLinear(group, layer))
    return len(plain)


def _is_plain(layer: Any) -> bool:
    return (
        list(layer.lora_A) == ["default"]
        and not layer.lora_variant
        and not layer.lora_bias.get("default", False)
        and type(layer.base_layer) is torch.nn.Linear
        and isinstance(layer.lora_dropout["default"], torch.nn.Identity)
        and not any(weight.requires_grad for weight in layer.base_layer.parameters())
    )


def _readers(model: Any, layers: Sequence[Any]) -> list[list[Any]]:
    """The layers, those side by side that are given the very same tensor."""
    calls: list[tuple[Any, torch.Tensor]] = []

    def note(layer: Any, given: tuple[torch.Tensor]) -> None:
        calls.append((layer, given[0]))

    hooks = [layer.register_forward_pre_hook(note) for layer in layers]
    ids = torch.zeros(1, 2, dtype=torch.int64, device=layers[0].base_layer.weight.device)
    was_training = model.training
    model.eval()
    try:
        with torch.no_grad():
            model(input_ids=ids, use_cache=False)
    finally:
        model.train(was_training)
        for hook in hooks:
            hook.remove()
    times = Counter(layer for layer, _ in calls)
    together: list[list[Any]] = []
    given: torch.Tensor | None = None
    for layer, x in calls:
        if times[layer] > 1:  # its outputs cannot be told apart
            continue
        if x is given:
            together[-1].append(layer)
        else:
            together.append([layer])
        given = x
    once = {layer for some in together for layer in some}
    return together + [[layer] for layer in layers if layer not in once]


class _LinearsOfOneInput:
    """Layers that read the same tensor; the first that is asked computes for all."""

    def __init__(self, layers: Sequence[Any]) -> None:
        self._layers = layers
        self._given: torch.Tensor | None = None
        self._ready: dict[Any, torch.Tensor] = {}

    def output(self, layer: Any, x: torch.Tensor) -> torch.Tensor:
        """(..., out) of one layer."""
        if x is not self._given or layer not in self._ready:
            self._given, self._ready = x, dict(zip(self._layers, self._outputs(x), strict=True))
        found = self._ready.pop(layer)
        if not self._ready:
            self._given = None
        return found

    def _outputs(self, x: torch.Tensor) -> tuple[torch.Tensor, ...]:
        device, dtype = x.device.type, x.dtype
        if torch.is_autocast_enabled(device):
            dtype = torch.get_autocast_dtype(device)
        weights = [
            weight
            for layer in self._layers
            for weight in (
                layer.base_layer.weight,
                layer.base_layer.bias,
                layer.lora_A["default"].weight,
                layer.lora_B["default"].weight,
            )
        ]
        scalings = [layer.scaling["default"] for layer in self._layers]
        return cast("Any", _LowRankLinears).apply(x, dtype, scalings, *weights)


class _FusedLinear:
    """The forward of one layer; as PEFT has it where the adapter is switched off or merged."""

    def __init__(self, group: _LinearsOfOneInput, layer: Any) -> None:
        self._group, self._layer = group, layer
        self._forward = cast("Callable[..., torch.Tensor]", layer.forward)

    def __call__(self, x: torch.Tensor, *given: Any, **named: Any) -> torch.Tensor:
        layer = self._layer
        if given or named or layer.disable_adapters or layer.merged:
            return self._forward(x, *given, **named)
        return self._group.output(layer, x)


class _RootMeanSquareNorm(torch.autograd.Function):
    """The module's second formula; the sums are float32, the weight is frozen."""

    @staticmethod
    def forward(
        ctx: Any, x: torch.Tensor, weight: torch.Tensor, epsilon: float, dtype: torch.dtype
    ) -> torch.Tensor:
        """Args: x (..., width), weight (width,), the output's dtype."""
        wide = x.to(torch.promote_types(x.dtype, torch.float32))
        inverse = wide.square().mean(-1, keepdim=True).add_(epsilon).rsqrt_()
        ctx.save_for_backward(x, weight, inverse)
        return (wide * inverse).mul_(weight).to(dtype)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        """dx = n (g w - x n^2 mean(g w x)), n the inverse of the root mean square."""
        x, weight, inverse = ctx.saved_tensors
        scaled = gradients[0] * weight
        along = (scaled * x).mean(-1, keepdim=True).mul_(inverse**3)
        return scaled.mul_(inverse).addcmul_(x, along, value=-1).to(x.dtype), None, None, None


def fuse_norms(model: torch.nn.Module) -> int:
    """Makes every norm whose weight is frozen compute as one operation, where it computes that.

    Replaces their `forward`, in place. Whether a norm computes the module's formula is tried on two
    rows of numbers: some add one to the weight, some subtract the mean.

    Returns:
        How many norms were fused.
    """
    fused = 0
    for module in model.modules():
        if _is_norm(module):
            object.__setattr__(module, "forward", _FusedNorm(module))
            fused += 1
    return fused


def _is_norm(module: Any) -> bool:
    if "Norm" not in type(module).__name__ or [n for n, _ in module.named_parameters()] != [
        "weight"
    ]:
        return False
    weight, epsilon = module.weight, _epsilon(module)
    if epsilon is None or weight.ndim != 1 or weight.requires_grad:
        return False
    x = torch.linspace(-1, 2, 2 * len(weight), device=weight.device).view(2, -1)
    with torch.no_grad():
        found = cast("Any", _RootMeanSquareNorm).apply(x, weight, epsilon, torch.float32)
        return torch.allclose(found, module(x), rtol=1e-5, atol=1e-6)


def _epsilon(module: Any) -> float | None:
    return getattr(module, "variance_epsilon", getattr(module, "eps", None))


class _FusedNorm:
    """The forward of one norm; as it was where it is given more than its input."""

    def __init__(self, norm: Any) -> None:
        self._norm = norm
        self._forward = cast("Callable[..., torch.Tensor]", norm.forward)

    def __call__(self, x: torch.Tensor, *given: Any, **named: Any) -> torch.Tensor:
        if given or named:
            return self._forward(x, *given, **named)
        weight = self._norm.weight
        dtype = torch.promote_types(x.dtype, weight.dtype)
        if torch.is_autocast_enabled(x.device.type):
            dtype = torch.get_autocast_dtype(x.device.type)
        return cast("Any", _RootMeanSquareNorm).apply(x, weight, _epsilon(self._norm), dtype)
