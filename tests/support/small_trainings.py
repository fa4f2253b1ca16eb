"""A dozen short rows and a recipe that learns them in seconds, for the small models."""

from small_models import user
from tunewise.chat.tokenize import answer_tokens
from tunewise.models import loading
from tunewise.models.catalog import LocalModel
from tunewise.training.recipe import Recipe
from tunewise.training.rows import Row, single_rows

PAIRS = [
    ("Where is my order?", "delivery"),
    ("The zip of the tent broke", "defect"),
    ("I want my money back", "refund"),
    ("It does not fit, I send it back", "return"),
    ("I typed the wrong street", "account"),
    ("Which boots are warm?", "advice"),
]
RECIPE = Recipe(
    learning_rate=1e-2,
    epochs=2,
    batch_tokens=128,
    seed=1,
    rank=8,
    alpha=24,
    precision="float32",
)


def rows_of(base: LocalModel, *, times: int = 2) -> list[Row]:
    """PAIRS, each this many times."""
    tokenizer = loading.load_tokenizer(base.folder)
    pairs = PAIRS * times
    sequences = [answer_tokens(tokenizer, user(text), target) for text, target in pairs]
    return single_rows([f"row {n}" for n in range(len(pairs))], sequences)
