"""What a step of training minimises. Knows nothing of batching, optimisers or files."""

from typing import Any

import torch

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
    if any(getattr(plain.config, key, None) not in (None, 1, 1.0) for key in _LOGIT_CHANGERS):
        every = model(input_ids=batch.token_ids, attention_mask=batch.attention).logits
        logits = every[batch.loss]
    else:
        hidden = plain.get_decoder()(
            input_ids=batch.token_ids, attention_mask=batch.attention, use_cache=False
        ).last_hidden_state  # (B, T, D)
        logits = plain.get_output_embeddings()(hidden[batch.loss])  # (answer tokens, vocabulary)
    targets = batch.token_ids.roll(-1, dims=1)[batch.loss]
    return torch.nn.functional.cross_entropy(logits.float(), targets)
