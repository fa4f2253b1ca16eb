"""The contenders that Tunewise brings, in one table: what is known of each before any is built."""

from collections.abc import Mapping
from dataclasses import dataclass

CONSTANT = "constant"
"""The name of the contender that ignores the input."""
EMBEDDING_TUNED = "fine_tune_embedding"
"""The name of the contender that tunes the model of a search by meaning."""
INTERNALISED = "internalised"
"""The name of the contender that learns what another says with its prompt."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BuiltIn:
    """A contender that is named in `[contenders] use`."""

    in_words: str
    """As someone says it who has not read the documentation."""
    fit: float
    """How long its fit takes beside that of the others, as the examples took it on two cores."""
    test: float = 3.0
    """The same for its answers to test."""
    trained: bool = False
    """Whether it trains the language model."""
    asks: bool = False
    """Whether it asks the language model as it is."""
    learns: bool = True
    """Whether it takes more from the examples than how long or how frequent answers are."""
    uses_train: bool = False
    """Whether it needs the labelled rows of train, not a few of them for a wording."""
    looks_up: bool = False
    """Whether it searches among examples or passages."""
    needs_documents: bool = False
    needs_preferences: bool = False
    ranks: bool = False
    """Whether it puts documents into an order, without a language model: for the kind `search`."""
    usual: bool = True
    """Whether it takes part where `use` names none."""

    @property
    def runs_on_base(self) -> bool:
        """Whether there is one of it on each base model."""
        return (self.asks or self.trained) and not self.ranks


BUILT_IN: Mapping[str, BuiltIn] = {
    CONSTANT: BuiltIn(in_words="one fixed answer to everything", fit=1.0, test=1.0, learns=False),
    "zero_shot": BuiltIn(
        in_words="the model with your instruction", fit=2.0, asks=True, learns=False
    ),
    "prompt": BuiltIn(in_words="the model with a reworded instruction", fit=6.0, asks=True),
    "few_shot": BuiltIn(
        in_words="the model with examples in its prompt",
        fit=18.0,
        test=18.0,
        asks=True,
        uses_train=True,
        looks_up=True,
    ),
    "classifier": BuiltIn(in_words="a small classifier", fit=1.5, test=1.0, uses_train=True),
    "rag": BuiltIn(
        in_words="the model with passages of your documents in its prompt",
        fit=12.0,
        test=6.0,
        asks=True,
        looks_up=True,
        needs_documents=True,
    ),
    "bm25": BuiltIn(
        in_words="a search by words",
        fit=1.0,
        test=1.0,
        needs_documents=True,
        ranks=True,
        usual=False,
    ),
    "dense": BuiltIn(
        in_words="a search by meaning",
        fit=3.0,
        test=1.0,
        needs_documents=True,
        ranks=True,
        usual=False,
    ),
    "hybrid": BuiltIn(
        in_words="a search by words and by meaning",
        fit=3.5,
        test=1.0,
        needs_documents=True,
        ranks=True,
        usual=False,
    ),
    "reranked": BuiltIn(
        in_words="a search whose best hits are read once more, each with the question",
        fit=10.0,
        test=10.0,
        needs_documents=True,
        ranks=True,
        usual=False,
    ),
    INTERNALISED: BuiltIn(
        in_words="the model that has learned what its best prompt says",
        fit=40.0,
        trained=True,
        uses_train=True,
        usual=False,
    ),
    "fine_tune": BuiltIn(in_words="the fine-tuned model", fit=20.0, trained=True, uses_train=True),
    "fine_tune_cpt": BuiltIn(
        in_words="the model fine-tuned on your documents and examples",
        fit=40.0,
        trained=True,
        uses_train=True,
        needs_documents=True,
        usual=False,
    ),
    "fine_tune_dpo": BuiltIn(
        in_words="the model fine-tuned on examples and preferences",
        fit=40.0,
        trained=True,
        uses_train=True,
        needs_preferences=True,
        usual=False,
    ),
    "fine_tune_rag": BuiltIn(
        in_words="the fine-tuned model with passages of your documents",
        fit=40.0,
        trained=True,
        uses_train=True,
        looks_up=True,
        needs_documents=True,
    ),
    EMBEDDING_TUNED: BuiltIn(
        in_words="a search by meaning that was tuned on your questions",
        fit=30.0,
        test=1.0,
        trained=True,
        uses_train=True,
        needs_documents=True,
        ranks=True,
        usual=False,
    ),
}
"""Name -> what is known of it, the simplest first: of equals the first one is chosen."""


def on_base(way: str, label: str) -> str:
    """`fine_tune@gemma3-270m`: a contender on another base than the first.

    Args:
        way: its name in `[contenders] use`.
        label: the base's short name; empty for the first base, whose contenders have none.
    """
    return f"{way}@{label}" if label else way


def way_of(name: str) -> str:
    """`fine_tune@gemma3-270m` -> `fine_tune`."""
    return name.partition("@")[0]


def label_of(name: str) -> str:
    """`fine_tune@gemma3-270m` -> `gemma3-270m`; empty for one of the first base, or of none."""
    return name.partition("@")[2]


def built_in(name: str) -> BuiltIn | None:
    """What is known of a contender, whichever base it runs on; None of an endpoint."""
    return BUILT_IN.get(way_of(name))


def simplicity(name: str) -> int:
    """The rank of a contender, 0 for the simplest; one of another name (an endpoint) comes last."""
    return list(BUILT_IN).index(way_of(name)) if built_in(name) else len(BUILT_IN)


def effort(name: str) -> float:
    """What a contender's fit takes beside that of others; one of another name comes last of all."""
    known = built_in(name)
    return known.fit if known else max(one.fit for one in BUILT_IN.values())
