"""What a step of training minimises. Knows nothing of batching, optimisers or files."""

from typing import Any

import torch
import transformers
import transformers.cache_utils

from tunewise.training.batches import Batch

_LOGIT_CHANGERS = ("final_logit_softcapping", "logits_scaling", "logit_scale")


def sft(model: Any, batch: Batch) -> torch.Tensor:
    """Mean negative log-likelihood of the answers' tokens, prompt and padding excluded.

    L = -1/|A| sum over t in A of log p(x_t | x_<t), A all answer tokens of the batch (instruction
    tuning as in Ouyang et al. 2022, arXiv:2203.02155). Logits are computed only where there is
    loss: with a vocabulary of 49,152 and short answers that is most of the head's work.

    Args:
        model: a transformers or PEFT causal language model.
        batch: token ids (B, T); the loss is a mean over its True positions.

    Returns:
        A scalar in float32.
    """
    plain = model.get_base_model() if hasattr(model, "get_base_model") else model
    if changes_logits(plain.config):
        every = model(input_ids=batch.token_ids, attention_mask=batch.attention).logits
        logits = every[batch.loss]
    else:
        hidden = _hidden_states(plain.get_decoder(), batch)
        logits = plain.get_output_embeddings()(hidden[batch.loss])  # (answer tokens, vocabulary)
    targets = batch.token_ids.roll(-1, dims=1)[batch.loss]
    return torch.nn.functional.cross_entropy(logits.float(), targets)


def changes_logits(config: Any) -> bool:
    """Whether a model does more to its hidden states than multiply them, to get logits."""
    return any(getattr(config, key, None) not in (None, 1, 1.0) for key in _LOGIT_CHANGERS)


def can_share_prefixes(model: Any) -> bool:
    """Whether a model can go on from a prefix that was computed once, with the same result.

    True where every layer attends to all tokens before, so that keys and values are all that the
    rest of a row needs of its beginning.
    """
    plain = model.get_base_model() if hasattr(model, "get_base_model") else model
    layers = transformers.DynamicCache(config=plain.config).layers
    return not changes_logits(plain.config) and all(
        type(layer) is transformers.cache_utils.DynamicLayer for layer in layers
    )


def _hidden_states(decoder: Any, batch: Batch) -> torch.Tensor:
    """(rows, tokens, width) of what follows the prefix, which goes through the model once.

    Its keys and values stand in for it in every row, so the gradient that reaches them is the sum
    over the rows: the same as if each row had brought its own.
    """
    shared = len(batch.prefix)
    if not shared:
        states = decoder(input_ids=batch.token_ids, attention_mask=batch.attention, use_cache=False)
        return states.last_hidden_state
    cache = decoder(input_ids=batch.prefix[None], use_cache=True).past_key_values
    rows = len(batch.token_ids)
    cache.batch_repeat_interleave(rows)
    seen = torch.cat([batch.attention.new_ones(rows, shared), batch.attention], dim=1)
    states = decoder(
        input_ids=batch.token_ids, attention_mask=seen, past_key_values=cache, use_cache=True
    )
    return states.last_hidden_state
