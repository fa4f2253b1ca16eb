"""Attention over a packed batch: each token sees its own sequence, shared prefixes included.

It stands behind transformers' door for attention implementations, so that every model that goes
through that door can be trained on packed batches; whether a model does is tried, not assumed.
"""

import functools
from typing import Any, cast

import torch
import transformers

from tunewise.chat.tokenize import Span, TokenisedExample
from tunewise.training.packing import Batch, Group, pack
from tunewise.training.rows import single_rows

NAME = "tunewise_packed"
_LARGE = 1 << 22
"""Attention weights of all rows and heads from which the fused kernel is taken."""
_NEAR = {torch.float32: 1e-3, torch.bfloat16: 5e-2}
"""Relative difference of logits below which two ways to compute them are the same, by precision."""
_KNOWN = {"full_attention", "sliding_attention"}
"""Kinds of layers that see what a batch says and no more."""


def packed_attention(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    *,
    packing: Batch,
    scaling: float | None = None,
    dropout: float = 0.0,
    sliding_window: int | None = None,
    softcap: float | None = None,
    reported_windows: set[int | None] | None = None,
    **_: object,
) -> tuple[torch.Tensor, None]:
    """softmax(Q K^T s) V within each sequence of a batch (Vaswani et al. 2017, arXiv:1706.03762).

    Args:
        module: the attention layer; unused.
        query: (1, heads, tokens, width).
        key: (1, key heads, tokens, width); several heads may share one (grouped queries).
        value: as `key`.
        attention_mask: unused: `packing` says who sees whom.
        packing: the batch.
        scaling: s; None: 1 / sqrt(width).
        dropout: share of attention weights dropped.
        sliding_window: tokens that a token sees, itself included; None: all before it.
        softcap: has to be None.
        reported_windows: given `sliding_window`, so that a trial learns of every layer's.

    Returns:
        (1, tokens, heads, width), and no weights.

    Raises:
        ValueError: weights are to be capped, which may change too little to show in a trial.
    """
    if softcap is not None:
        raise ValueError("packed attention caps no weights")
    if reported_windows is not None:
        reported_windows.add(sliding_window)
    seen: list[torch.Tensor] = []
    for group in packing.groups:
        mask = _mask(packing, group, sliding_window)
        of_group = attend(
            _gathered(query, group.queries),
            _gathered(key, group.keys),
            _gathered(value, group.keys),
            mask,
            scaling=query.shape[-1] ** -0.5 if scaling is None else scaling,
            dropout=dropout,
        )  # (rows, heads, q, width)
        seen.append(of_group.transpose(1, 2).flatten(0, 1))
    return torch.cat(seen).index_select(0, packing.places)[None], None


def attend(
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    mask: torch.Tensor | None,
    *,
    scaling: float,
    dropout: float,
) -> torch.Tensor:
    """Attention of padded rows, in the way that is faster for their size.

    Small matrices of weights are written out: on two cores that takes a fifth of the fused
    kernel's time forward and backward at 80 tokens a row. Large ones go through the fused kernel,
    whose memory does not grow with the square of the length.

    Args:
        query: (rows, heads, q, width).
        key: (rows, key heads, k, width).
        value: as `key`.
        mask: (rows, 1, q, k) bool; None: causal.
        scaling: of the products.
        dropout: share of weights dropped.
    """
    heads, key_heads = query.shape[1], key.shape[1]
    if query.is_cuda or query.shape[0] * heads * query.shape[2] * key.shape[2] > _LARGE:
        return torch.nn.functional.scaled_dot_product_attention(
            query,
            key,
            value,
            attn_mask=mask,
            is_causal=mask is None,
            dropout_p=dropout,
            scale=scaling,
            enable_gqa=heads != key_heads,
        )
    if mask is None:
        q = query.shape[2]
        mask = torch.ones(1, 1, q, q, dtype=torch.bool, device=query.device).tril()
    # Heads that share a key are rows of one product.
    rows, _, q, width = query.shape
    each = heads // key_heads
    stacked = query.reshape(rows, key_heads, each * q, width)
    scores = stacked @ (key * scaling).mT
    hidden = torch.zeros_like(mask, dtype=scores.dtype).masked_fill_(~mask, -torch.inf)
    scores += hidden.repeat(1, 1, each, 1)
    weights = torch.nn.functional.dropout(torch.softmax(scores, dim=-1), dropout)
    return (weights @ value).view(rows, heads, q, width)


def _gathered(states: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
    """(1, heads, tokens, width) at places (rows, n) -> (rows, heads, n, width)."""
    chosen = states[0].transpose(0, 1).index_select(0, places.flatten())  # whole tokens
    return chosen.view(*places.shape, *chosen.shape[1:]).transpose(1, 2)


def _mask(packing: Batch, group: Group, window: int | None) -> torch.Tensor | None:
    """The group's mask, cut to a sliding window where that hides anything."""
    if window is None or packing.longest <= window:
        return group.mask
    at, of = packing.positions[group.queries], packing.positions[group.keys]
    near = (at[:, :, None] - of[:, None, :] < window)[:, None]
    if group.mask is not None:
        return near & group.mask
    return near & torch.ones_like(near, dtype=torch.bool).tril()


def plain_model(model: Any) -> Any:
    """The transformers model inside a PEFT model, or the model itself."""
    return model.get_base_model() if hasattr(model, "get_base_model") else model


def is_packed(plain: Any) -> bool:
    """Whether a model was switched to packed attention."""
    return plain.config._attn_implementation == NAME


def try_packing(model: Any) -> bool:
    """Switches a model to packed attention, if it computes the same with it; else leaves it alone.

    Two sequences with a common prefix go through the model packed and one by one. A model that
    keeps more than keys and values of what was before, or changes attention in ways of its own,
    differs: most of all right behind the shared prefix, hence the answers begin there.
    """
    plain = plain_model(model)
    usual, config = plain.config._attn_implementation, plain.config.get_text_config()
    if usual == NAME:
        return True
    if not _KNOWN.issuperset(getattr(config, "layer_types", None) or ()):
        return False
    device = next(model.parameters()).device
    narrow = any(weight.dtype != torch.float32 for weight in model.parameters())
    precision = torch.bfloat16 if narrow else torch.float32  # as in training
    limit = min(32_000, int(config.vocab_size))
    tokens = [(7 * n + 3) % limit for n in range(40)]
    sequences = [
        TokenisedExample(token_ids=(*tokens[:24], *tail), answers=(Span(25, 34),))
        for tail in (tokens[24:34], tokens[30:40])
    ]
    batch = pack(single_rows(["one", "two"], sequences)).to(str(device))
    was_training, windows = model.training, set[int | None]()
    model.eval()
    try:
        with torch.no_grad(), torch.autocast(device.type, torch.bfloat16, enabled=narrow):
            ids = [torch.tensor([sequence.token_ids], device=device) for sequence in sequences]
            alone = [plain(input_ids=some, use_cache=False).logits[0, 24:33] for some in ids]
            _register()
            plain.set_attn_implementation(NAME)
            together = plain(
                input_ids=batch.token_ids[None],
                position_ids=batch.positions[None],
                use_cache=False,
                packing=batch,
                reported_windows=windows,
                logits_to_keep=batch.loss_at,
            ).logits[0]
        expected = torch.cat(alone)
        near = _NEAR[precision] * float(expected.abs().max())
        same = float((together - expected).abs().max()) <= near
        same = same and _windows(config) <= windows  # the trial is shorter than most windows
    except (TypeError, ValueError, RuntimeError, IndexError, KeyError, AttributeError):
        same = False  # another way through the model
    finally:
        model.train(was_training)
    if not same:
        plain.set_attn_implementation(usual)
    return same


def _windows(config: Any) -> set[int]:
    """Of the sliding windows that a model has, by its config."""
    kinds = getattr(config, "layer_types", None)
    window = getattr(config, "sliding_window", None)
    return set() if not window or (kinds and "sliding_attention" not in kinds) else {int(window)}


@functools.cache
def _register() -> None:
    cast("Any", transformers.AttentionInterface).register(NAME, packed_attention)
