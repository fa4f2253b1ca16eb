"""A linear layer with a low-rank adapter as one operation: fewer passes over memory than PEFT's.

    y = x W^T + b + s (x A^T) B^T        (LoRA: Hu et al. 2021, arXiv:2106.09685, eq. 3)

Nothing of the adapter's part is kept but the r numbers a token that its gradient needs. PEFT stays
the owner of the weights; layers of other kinds (DoRA, quantised, with dropout) run as PEFT has
them. Knows nothing of models or batches.
"""

from collections.abc import Callable
from typing import Any, cast

import torch
from peft.tuners.lora import Linear as PeftLinear


class _LowRankLinear(torch.autograd.Function):
    """See the module. Matrix products run in `dtype`, gradients of A and B come back in theirs."""

    @staticmethod
    def forward(
        ctx: Any,
        x: torch.Tensor,
        weight: torch.Tensor,
        bias: torch.Tensor | None,
        a: torch.Tensor,
        b: torch.Tensor,
        scaling: float,
        dtype: torch.dtype,
    ) -> torch.Tensor:
        """Args: x (..., in), weight (out, in), bias (out,), a (r, in), b (out, r)."""
        rows = x.reshape(-1, x.shape[-1]).to(dtype)
        small, large = a.to(dtype), b.to(dtype)
        inner = rows @ small.T  # (tokens, r)
        out = rows @ weight.to(dtype).T
        if bias is not None:
            out += bias
        out.addmm_(inner, large.T, alpha=scaling)
        ctx.save_for_backward(rows, inner, weight, a, b)
        ctx.scaling, ctx.dtype, ctx.shape, ctx.x_dtype = scaling, dtype, x.shape, x.dtype
        return out.view(*x.shape[:-1], -1)

    @staticmethod
    def backward(ctx: Any, *gradients: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        """Gradients of x, A and B; the weight is frozen."""
        rows, inner, weight, a, b = ctx.saved_tensors
        dtype: torch.dtype = ctx.dtype
        gradient = gradients[0].reshape(-1, weight.shape[0]).to(dtype)
        outer = (gradient @ b.to(dtype)) * ctx.scaling  # (tokens, r)
        of_a = (outer.T @ rows).to(a.dtype)
        of_b = (gradient.T @ (inner * ctx.scaling)).to(b.dtype)
        of_x = None
        if ctx.needs_input_grad[0]:
            of_x = gradient @ weight.to(dtype)
            of_x.addmm_(outer, a.to(dtype))
            of_x = of_x.view(ctx.shape).to(ctx.x_dtype)
        return of_x, None, None, of_a, of_b, None, None


def fuse_adapters(model: torch.nn.Module) -> int:
    """Makes every plain LoRA layer of a PEFT model compute as one operation.

    Returns:
        How many layers.
    """
    fused = 0
    for layer in model.modules():
        if isinstance(layer, PeftLinear) and _is_plain(layer):
            forward = cast("Callable[..., torch.Tensor]", layer.forward)
            object.__setattr__(layer, "forward", _Fused(layer, forward))
            fused += 1
    return fused


def _is_plain(layer: Any) -> bool:
    return (
        list(layer.lora_A) == ["default"]
        and not layer.lora_variant
        and not layer.lora_bias.get("default", False)
        and type(layer.base_layer) is torch.nn.Linear
        and isinstance(layer.lora_dropout["default"], torch.nn.Identity)
        and not any(weight.requires_grad for weight in layer.base_layer.parameters())
    )


class _Fused:
    """The forward of one layer; as PEFT has it where the adapter is switched off or merged."""

    def __init__(self, layer: Any, forward: Callable[..., torch.Tensor]) -> None:
        self._layer, self._forward = layer, forward

    def __call__(self, x: torch.Tensor, *given: Any, **named: Any) -> torch.Tensor:
        layer = self._layer
        if given or named or layer.disable_adapters or layer.merged:
            return self._forward(x, *given, **named)
        device = x.device.type
        dtype = x.dtype
        if torch.is_autocast_enabled(device):
            dtype = torch.get_autocast_dtype(device)
        return cast(
            "torch.Tensor",
            cast("Any", _LowRankLinear).apply(
                x,
                layer.base_layer.weight,
                layer.base_layer.bias,
                layer.lora_A["default"].weight,
                layer.lora_B["default"].weight,
                layer.scaling["default"],
                dtype,
            ),
        )
