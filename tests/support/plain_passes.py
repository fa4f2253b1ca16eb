"""Answers token by token, as the plainest code gives them."""

import torch

from small_models import user
from tunewise.chat.tokenize import prompt_tokens
from tunewise.models import loading
from tunewise.models.catalog import LocalModel


def by_hand(model: LocalModel, text: str, tokens: int) -> list[int]:
    """Token ids of a greedy answer, one whole forward pass a token: no cache, padding or batch."""
    loaded, tokenizer = loading.load_model(model.folder), loading.load_tokenizer(model.folder)
    ids = list(prompt_tokens(tokenizer, user(text)))
    start = len(ids)
    for _ in range(tokens):
        with torch.inference_mode():
            ids.append(int(loaded(torch.tensor([ids])).logits[0, -1].argmax()))
    return ids[start:]
