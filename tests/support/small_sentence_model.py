"""A sentence embedding model of a few thousand random weights, in sentence-transformers' layout."""

import string
from pathlib import Path

import torch
from sentence_transformers import SentenceTransformer
from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

WORDS = ["stove", "tent", "boots", "mat", "gas", "rain", "light", "wash", "price", "warranty"]
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]


def build(folder: Path, *, width: int = 32) -> Path:
    """Writes the model into `folder`."""
    torch.manual_seed(0)
    bert = folder / "bert"
    tokenizer = _tokenizer()
    config = BertConfig(
        vocab_size=len(tokenizer),
        hidden_size=width,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=2 * width,
        max_position_embeddings=128,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    BertModel(config).save_pretrained(bert)
    tokenizer.save_pretrained(bert)
    transformer = Transformer(str(bert), max_seq_length=64)
    place = folder / "model"
    SentenceTransformer(modules=[transformer, Pooling(width)]).save_pretrained(
        str(place), create_model_card=False
    )
    return place


def _tokenizer() -> PreTrainedTokenizerFast:
    """The same each time: a trainer's ties fall as they will."""
    signs = string.ascii_lowercase + string.digits
    pieces = [*SPECIAL, *WORDS, *signs, *(f"##{sign}" for sign in signs)]
    vocabulary = {piece: place for place, piece in enumerate(dict.fromkeys(pieces))}
    made = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]"))
    made.normalizer = normalizers.BertNormalizer(lowercase=True)
    made.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    ids = {name: made.token_to_id(name) for name in SPECIAL}
    made.post_processor = processors.BertProcessing(
        ("[SEP]", ids["[SEP]"]), ("[CLS]", ids["[CLS]"])
    )
    return PreTrainedTokenizerFast(
        tokenizer_object=made,
        pad_token="[PAD]",
        unk_token="[UNK]",
        cls_token="[CLS]",
        sep_token="[SEP]",
        mask_token="[MASK]",
    )
