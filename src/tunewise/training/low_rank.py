"""Linear layers with low-rank adapters as one operation: fewer passes over memory than PEFT's.

    y = x W^T + b + s (x A^T) B^T        (LoRA: Hu et al. 2021, arXiv:2106.09685, eq. 3)

Layers that read the same tensor (queries, keys and values; gate and up) are computed together.
Nothing of an adapter's part is kept but the r numbers a token that its gradient needs. PEFT stays
the owner of the weights; layers of other kinds (DoRA, quantised, with dropout) run as PEFT has
them. Knows nothing of batches.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any, cast

import torch
from peft.tuners.lora import Linear as PeftLinear


class _LowRankLinears(torch.autograd.Function):
    """See the module. Matrix products run in `dtype`, gradients of A and B come back in theirs."""

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

    Which layers read the same tensor is seen in a pass of two tokens, not assumed.

    Returns:
        How many layers.
    """
    plain = [m for m in model.modules() if isinstance(m, PeftLinear) and _is_plain(m)]
    together = _readers(model, plain) if plain else []
    for layers in together:
        group = _Group(layers)
        for layer in layers:
            object.__setattr__(layer, "forward", _Fused(group, layer))
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


class _Group:
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


class _Fused:
    """The forward of one layer; as PEFT has it where the adapter is switched off or merged."""

    def __init__(self, group: _Group, layer: Any) -> None:
        self._group, self._layer = group, layer
        self._forward = cast("Callable[..., torch.Tensor]", layer.forward)

    def __call__(self, x: torch.Tensor, *given: Any, **named: Any) -> torch.Tensor:
        layer = self._layer
        if given or named or layer.disable_adapters or layer.merged:
            return self._forward(x, *given, **named)
        return self._group.output(layer, x)
