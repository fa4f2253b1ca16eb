"""Estimates how much memory a training needs before any weight is loaded, and what needs less.

A model without storage (torch's `meta` device) says how many weights there are; its config, the
recipe and the longest batches say what a step keeps.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
import transformers
from transformers.pytorch_utils import Conv1D

from tunewise.chat.tokenize import Span, TokenisedExample
from tunewise.errors import UserError
from tunewise.models.catalog import LocalModel
from tunewise.models.stored import stored_tensors
from tunewise.training.hardware import Precision
from tunewise.training.packing import Batch, epoch_steps, micro_batches, pack
from tunewise.training.recipe import Recipe
from tunewise.training.rows import Row

LIBRARIES = {"cpu": 352 << 20, "cuda": 512 << 20}
"""Bytes of what is imported and of work spaces, whatever the model; measured on a CPU."""
HEAP = {"cpu": 1.6, "cuda": 1.25}
"""Bytes of heap for each byte of activations. Tensors of ever other lengths leave gaps, and
`keep_freed_memory` keeps glibc from closing them: 1.25 to 1.4 measured with the starter model in
two and three steps, 1.55 with four of its layers in nine. Nothing was measured on CUDA."""
LOGITS_HEAP = {"cpu": 2.0, "cuda": 1.25}
"""The same for logits, which are few and large: with `save_memory`, where they are most of what
comes and goes, 1.5 to 1.7 measured for both together."""
NF4_BITS = 4.127
"""Of a weight in 4-bit NormalFloat: 4, 8 / 64 for its block's scale, 32 / (64 * 256) for that
scale's own (Dettmers et al. 2023, arXiv:2305.14314, section 3)."""
WRITTEN_OUT = 1 << 22
"""Attention weights of a group up to which `attend` keeps them on a CPU."""
LOGITS_AT_ONCE = 2
"""Copies of the logits where there are most, in the format of the products: themselves and their
gradient."""
DISTILL_LOGITS_AT_ONCE = 5
"""With distill, in float32: log-softmax of student and teacher, what the divergence is summed from,
and in the backward pass the gradient that comes in and the one that goes out."""
SAMPLED_STEPS = 48
"""Steps of the first epoch whose batches are looked at."""
PACKED_LAYERS = {"sliding_attention", "full_attention"}
"""Kinds of layers that packed batches are tried with."""
_GIB = 1 << 30


@dataclass(frozen=True, kw_only=True, slots=True)
class Need:
    """What a training holds at its peak, by what it is for."""

    weights: int
    """Bytes of the model's and the adapter's weights, in the formats that steps use."""
    gradients: int
    """Bytes of one float32 for each trained weight."""
    optimizer: int
    """Bytes of AdamW's two moments, in float32."""
    activations: int
    """Bytes of what the backward pass needs of the largest batch, gaps in the heap included."""
    logits: int
    """Bytes of that batch's logits and their gradients, gaps in the heap included."""
    loading: int
    """Bytes of the weights as they are read, before anything else is there; replaced by what the
    other fields count."""
    libraries: int
    """Bytes of imported libraries and of work spaces, whatever the model."""

    @property
    def total(self) -> int:
        """Bytes at the peak: of a step, or of loading where that takes more."""
        step = self.weights + self.gradients + self.optimizer + self.activations + self.logits
        return max(step, self.loading) + self.libraries


@dataclass(frozen=True, kw_only=True, slots=True)
class _Shape:
    """Sizes of a model."""

    parameters: int
    """All weights, tied ones once."""
    linears: tuple[tuple[int, int], ...]
    """(in, out) of each linear layer but the head, as PEFT's `all-linear` means them."""
    head: int
    """Weights of the output layer, which may be the embedding table."""
    layers: int
    hidden: int
    """Width of the stream of hidden states."""
    inner: int
    """Width inside the feed-forward part: of all experts that see a token."""
    heads: int
    key_heads: int
    head_width: int
    vocabulary: int
    packs: bool
    """Whether it takes packed batches, as far as its config tells."""
    stored_wide: bool
    """Whether its files hold float32, whose pages then are the weights: nothing is copied."""

    @property
    def linear_weights(self) -> int:
        """Weights of all `linears`."""
        return sum(inputs * outputs for inputs, outputs in self.linears)

    def shortened(self, share: float) -> "_Shape":
        """A base of the same widths with a share of the layers."""
        layers = max(1, round(self.layers * share))
        linears = self.linears[: max(1, round(len(self.linears) * layers / self.layers))]
        dropped = self.linear_weights - sum(i * o for i, o in linears)
        return replace(self, layers=layers, linears=linears, parameters=self.parameters - dropped)


def estimate(
    base: LocalModel,
    recipe: Recipe,
    rows: Sequence[Row],
    *,
    device: str,
    precision: Precision,
    micro_tokens: int,
) -> Need:
    """What a training would need. Reads the model's config and its files' headers, no weight.

    What autograd keeps for one token in one layer, in numbers (h hidden, f inner, q all heads, k
    all key heads, r rank):

        inputs of both norms                         2 h   (full: 4 h, normalised ones, too)
        inputs of the linear layers                  2 h + q + f   (dora, dropout in bfloat16:
                                                     5 h + q + f, a copy for each of them)
        gate, its SiLU, and what it is multiplied by 3 f
        query, keys, values, padded                  q + 2 k
        attention weights, padded, where `attend` writes them out
                                                     heads * keys
        input of each B                              r for each linear layer
        dora: two results of each linear layer       2 (q + 2 k + 2 h + 2 f), and for each layer,
                                                     whatever the tokens, in x in numbers
        dropout: of each linear layer's input        the mask and the result

    Those of norms are float32; the others have the format of the products. One layer more stands
    for the gradients of the layer at hand. With `save_memory` a layer keeps its input alone, h
    float32 numbers a token, and one layer at a time has the others. bfloat16 has a
    copy of the head, and with `full` casts every matrix at every step. Logits are there for the
    tokens with loss alone.

    qlora is by the formula alone, as is CUDA: neither was measured.

    Args:
        base: the model.
        recipe: the settings.
        rows: what would be trained on.
        device: torch device.
        precision: of the matrix products.
        micro_tokens: tokens that go through the model at once.
    """
    shape = _shape(base)
    batches = _batches(rows, recipe, micro_tokens, share=shape.packs)
    return _need(shape, recipe, batches, device=device, precision=precision)


def check_memory(
    base: LocalModel,
    recipe: Recipe,
    rows: Sequence[Row],
    *,
    device: str,
    precision: Precision,
    micro_tokens: int,
    available_bytes: int | None,
) -> str:
    """One line that says what the training needs and what is there.

    Args:
        base: the model.
        recipe: the settings.
        rows: what would be trained on.
        device: torch device.
        precision: of the matrix products.
        micro_tokens: tokens that go through the model at once.
        available_bytes: as `available` measures; None: unknown, and nothing is refused.

    Raises:
        UserError: it does not fit; with each change that would make it fit, and its figure.
    """
    shape = _shape(base)

    def total(of: Recipe, some: Sequence[Row] = rows, size: _Shape = shape) -> int:
        batches = _batches(some, of, micro_tokens, share=size.packs)
        return _need(size, of, batches, device=device, precision=precision).total

    need = total(recipe)
    if available_bytes is None:
        return f"needs about {_gib(need)} GiB"
    if need <= available_bytes:
        return f"needs about {_gib(need)} GiB, {_gib(available_bytes)} GiB are free"
    settings = {words: total(changed) for words, changed in _cheaper(recipe)}
    if min(settings.values(), default=need) > available_bytes:
        settings = {words: total(changed) for words, changed in _cheapest(recipe)}
    longest = max(len(sequence.token_ids) for row in rows for sequence in row.sequences)
    lengths = [max(2, longest * eighths // 8) for eighths in range(7, 0, -1)]
    shorter = (
        (f"rows of at most {n} tokens", total(recipe, [_cut(row, n) for row in rows]))
        for n in lengths
    )
    sizes = [shape.shortened(share) for share in (0.75, 0.5, 0.35, 0.25, 0.15, 0.1)]
    smaller = (
        (f"a base of at most {_millions(size.parameters)} weights", total(recipe, rows, size))
        for size in sizes
    )
    fitting = [option for option in settings.items() if option[1] <= available_bytes]
    for options in (shorter, smaller):  # the mildest that fits
        fitting += [option for option in options if option[1] <= available_bytes][:1]
    figures = _apart(need, available_bytes)
    lack = f"training: needs about {figures[0]} GiB, you have {figures[1]}"
    if not fitting:
        raise UserError(
            f"{lack}: no setting, shorter rows or smaller base would make it fit. Use a machine "
            "with more memory."
        )
    raise UserError(f"{lack}: try {_either([f'{words} ({_gib(n)} GiB)' for words, n in fitting])}.")


def _cheaper(recipe: Recipe) -> list[tuple[str, Recipe]]:
    """Single settings that may need less, with what to write."""
    adapters = {"full": ("lora", "qlora"), "dora": ("lora", "qlora"), "qlora": ()}
    found: list[tuple[str, Recipe]] = []
    if not recipe.save_memory:
        found.append(("training.save_memory = true", replace(recipe, save_memory=True)))
    for name in adapters.get(recipe.adapter, ("qlora",)):
        # Starts that are taken out of the base's weights cannot be taken out of four bits.
        if name == "lora" or recipe.initialisation in ("default", "gaussian", "orthogonal"):
            found.append((f'training.adapter = "{name}"', replace(recipe, adapter=name)))
    return found


def _cheapest(recipe: Recipe) -> list[tuple[str, Recipe]]:
    """Two settings at once, where one does not do."""
    return [
        (f"{words} with training.save_memory = true", replace(changed, save_memory=True))
        for words, changed in _cheaper(recipe)
        if changed.adapter != recipe.adapter and not recipe.save_memory
    ]


def _shape(base: LocalModel) -> _Shape:
    """Sizes of a model, from its config and a copy without storage."""
    config = cast("Any", transformers.AutoConfig).from_pretrained(
        str(base.folder), trust_remote_code=False
    )
    with torch.device("meta"):
        model = cast("Any", transformers.AutoModelForCausalLM).from_config(
            config, trust_remote_code=False
        )
    head = model.get_output_embeddings()
    linears = tuple(
        (int(module.weight.shape[0]), int(module.weight.shape[1]))
        if isinstance(module, Conv1D)
        else (int(module.weight.shape[1]), int(module.weight.shape[0]))
        for module in model.modules()
        if isinstance(module, torch.nn.Linear | Conv1D) and module is not head
    )
    text = config.get_text_config()
    heads = int(text.num_attention_heads)
    # Names differ between families; the field's usual ratio stands where none is known.
    inner = int(getattr(text, "intermediate_size", None) or 4 * text.hidden_size)
    if getattr(text, "num_experts_per_tok", None):
        of_expert = getattr(text, "moe_intermediate_size", None) or inner
        inner = int(of_expert) * int(text.num_experts_per_tok)
    kinds = getattr(text, "layer_types", None) or ()
    capped = getattr(text, "attn_logit_softcapping", None) is not None
    return _Shape(
        parameters=sum(int(weight.numel()) for weight in model.parameters()),
        linears=linears,
        head=int(head.weight.numel()),
        layers=int(text.num_hidden_layers),
        hidden=int(text.hidden_size),
        inner=inner,
        heads=heads,
        key_heads=int(getattr(text, "num_key_value_heads", None) or heads),
        head_width=int(getattr(text, "head_dim", None) or text.hidden_size // heads),
        vocabulary=int(text.vocab_size),
        packs=PACKED_LAYERS.issuperset(kinds) and not capped,
        stored_wide=_stored_wide(base.folder),
    )


def _stored_wide(folder: Path) -> bool:
    """Whether the weights' files hold float32: their headers say so."""
    return {str(facts["dtype"]) for facts in stored_tensors(folder).values()} == {"F32"}


def _batches(rows: Sequence[Row], recipe: Recipe, micro_tokens: int, *, share: bool) -> list[Batch]:
    """Batches of the first steps, and those of the rows with most tokens and most loss."""
    rng = np.random.default_rng([recipe.seed, 1])  # as in the training
    steps = epoch_steps(rows, (), batch_tokens=recipe.batch_tokens, replay_share=0.0, rng=rng)
    longest = max(rows, key=lambda row: row.tokens)
    dearest = max(rows, key=lambda row: row.loss_tokens)
    made = [
        batch
        for step in [*steps[:SAMPLED_STEPS], [longest], [dearest]]
        for batch in micro_batches(step, micro_tokens=micro_tokens, share=share)
    ]
    if recipe.method in ("kto", "distill"):  # the other sequence goes alone, and keeps nothing
        own = [[replace(row, sequences=row.sequences[:1]) for row in one.rows] for one in made]
        made = [pack(some, share=share) for some in own]
    return made


def _need(
    shape: _Shape, recipe: Recipe, batches: Sequence[Batch], *, device: str, precision: Precision
) -> Need:
    """See `estimate`."""
    kind = "cuda" if device.startswith("cuda") else "cpu"
    linear, narrow = shape.linear_weights, precision == "bfloat16"
    trained = shape.parameters
    weights = loading = 4 * shape.parameters
    if recipe.adapter != "full":
        trained = sum(recipe.rank * (i + o) for i, o in shape.linears)
        if recipe.adapter == "dora":
            trained += sum(o for _, o in shape.linears)
        if recipe.adapter == "qlora":
            weights = loading = round(weights - 4 * linear + linear * NF4_BITS / 8)
        elif narrow:
            mapped = shape.stored_wide and kind == "cpu"  # pages that stay, for the embeddings'
            weights += 2 * linear - (0 if mapped else 4 * linear)
        if narrow:
            weights += 2 * shape.head  # beside the embeddings, of which it may be a part
        weights += 4 * trained
    kept = [_kept(shape, recipe, batch, kind=kind, narrow=narrow) for batch in batches]
    activations, logits = max(kept, key=sum)
    return Need(
        weights=weights,
        gradients=4 * trained,
        optimizer=8 * trained,
        activations=round(HEAP[kind] * activations),
        logits=round(LOGITS_HEAP[kind] * logits),
        loading=loading,
        libraries=LIBRARIES[kind],
    )


def _kept(
    shape: _Shape, recipe: Recipe, batch: Batch, *, kind: str, narrow: bool
) -> tuple[int, int]:
    """Bytes of one batch's activations and of its logits, without gaps."""
    tokens = len(batch.token_ids)
    padded = sum(group.queries.numel() for group in batch.groups)
    layer = _layer(shape, recipe, batch, kind=kind, narrow=narrow)
    stream = 4 * shape.hidden * tokens
    if recipe.save_memory:
        activations = shape.layers * stream + 2 * layer
    else:
        activations = (shape.layers + 1) * layer
    # The last norm's, the rotations of keys and queries, and what autocast casts at every step.
    activations += 2 * stream + 8 * shape.head_width * tokens
    if narrow and recipe.adapter == "full":
        activations += 2 * (shape.head + shape.linear_weights)
    # A model that takes no packed batch gives logits for every token, padding included.
    losses = len(batch.loss_at) if shape.packs else padded
    copies = (2 if narrow else 4) * LOGITS_AT_ONCE
    if recipe.method == "distill":
        copies = 4 * DISTILL_LOGITS_AT_ONCE
    return activations, copies * losses * shape.vocabulary


def _layer(shape: _Shape, recipe: Recipe, batch: Batch, *, kind: str, narrow: bool) -> int:
    """Bytes that one layer keeps of one batch: the table in `estimate`, line by line."""
    h, f = shape.hidden, shape.inner
    q, k = shape.heads * shape.head_width, shape.key_heads * shape.head_width
    size, tokens = (2 if narrow else 4), len(batch.token_ids)
    adapted = recipe.adapter != "full"
    drops = adapted and recipe.dropout > 0 and not recipe.objective.needs_reference
    norms = 4 * (2 if adapted else 4) * h
    copied = narrow and (recipe.adapter == "dora" or drops)
    inputs = size * ((5 if copied else 2) * h + q + f)
    if drops:
        inputs = (4 + size) * (5 * h + q + f)
    ranks = size * recipe.rank * len(shape.linears) // shape.layers if adapted else 0
    a_token = norms + inputs + size * 3 * f + ranks
    fixed = 0
    if recipe.adapter == "dora":
        a_token += 2 * size * (q + 2 * k + 2 * h + 2 * f)
        fixed = size * sum(i * i for i, _ in shape.linears) // shape.layers
    total = a_token * tokens + fixed
    for group in batch.groups:
        pairs = group.queries.numel() * group.keys.shape[1] * shape.heads
        total += size * (q * group.queries.numel() + 2 * k * group.keys.numel())
        # On CUDA the fused kernels take either a mask or keys that heads share.
        written = group.mask is not None and shape.heads != shape.key_heads
        if kind == "cpu":
            written = pairs <= WRITTEN_OUT
        total += size * pairs if written else size * q * group.queries.numel()
        total += group.queries.numel() * group.keys.shape[1] if group.mask is not None else 0
    return total


def _cut(row: Row, tokens: int) -> Row:
    """The row with the last so many tokens of each sequence: answers stand at the end."""
    cut: list[TokenisedExample] = []
    for sequence in row.sequences:
        gone = max(0, len(sequence.token_ids) - tokens)
        ids = sequence.token_ids[gone:]
        moved = [Span(max(1, start - gone), end - gone) for start, end in sequence.answers]
        answers = [span for span in moved if span[0] < span[1]] or [Span(len(ids) - 1, len(ids))]
        cut.append(TokenisedExample(token_ids=ids, answers=tuple(answers)))
    return replace(row, sequences=tuple(cut))


def _gib(count: int) -> str:
    """Two digits: 0.42, 1.9, 11."""
    gib = count / _GIB
    return f"{gib:.2f}" if gib < 0.995 else f"{gib:.1f}" if gib < 9.95 else f"{gib:.0f}"


def _apart(need: int, there: int) -> tuple[str, str]:
    """Both in GiB, with the digits that it takes to tell them apart."""
    if _gib(need) != _gib(there):
        return _gib(need), _gib(there)
    digits = next((n for n in range(1, 9) if f"{need / _GIB:.{n}f}" != f"{there / _GIB:.{n}f}"), 9)
    return f"{need / _GIB:.{digits}f}", f"{there / _GIB:.{digits}f}"


def _millions(count: int) -> str:
    return f"{count / 1e9:.1f} billion" if count >= 1e9 else f"{max(1, count // 10**6)} million"


def _either(options: Sequence[str]) -> str:
    return " or ".join([", ".join(options[:-1]), options[-1]] if options[1:] else options)
