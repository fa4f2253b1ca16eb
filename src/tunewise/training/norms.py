"""Root-mean-square norms as one operation, in the number format of the products that follow.

    y = w x / sqrt(mean(x^2) + e)        (Zhang and Sennrich 2019, arXiv:1910.07467, eq. 4)

Written out in PyTorch it takes seven passes over memory there and ten back, and a copy for every
layer that reads it. Knows nothing of models.
"""

from collections.abc import Callable
from typing import Any, cast

import torch


class _RootMeanSquareNorm(torch.autograd.Function):
    """See the module; the sums are float32, the weight is frozen."""

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

    Whether it does is tried on random numbers: some add one to the weight, some subtract the mean.

    Returns:
        How many norms.
    """
    fused = 0
    for module in model.modules():
        if _is_norm(module):
            object.__setattr__(module, "forward", _Fused(module))
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


class _Fused:
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
