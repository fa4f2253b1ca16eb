"""The four labels of a ticket: an answer in JSON -> labels, and back."""

import json
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass

from eshop.errors import DeskError

CATEGORIES = (
    "account",
    "advice",
    "defect",
    "delivery",
    "order_change",
    "other",
    "refund",
    "return",
)
URGENCIES = ("high", "normal", "low")
SENTIMENTS = ("negative", "neutral", "positive")


@dataclass(frozen=True, kw_only=True, slots=True)
class Labels:
    """What a ticket is about, how soon, in what tone, and of which product."""

    category: str
    urgency: str
    sentiment: str
    product: str | None

    def as_json(self) -> str:
        """As the project's rows write them."""
        return json.dumps(asdict(self), ensure_ascii=False)


def labels_of(answer: str, products: Collection[str]) -> Labels:
    """The labels of an answer.

    Raises:
        DeskError: it is no JSON object, or a label is none that there is.
    """
    try:
        told = json.loads(answer)
    except (ValueError, RecursionError) as error:
        raise DeskError("The answer is no JSON object.") from error
    return checked(told if isinstance(told, dict) else {}, products)


def checked(told: Mapping[str, object], products: Collection[str]) -> Labels:
    """Labels that exist.

    Raises:
        DeskError: one does not; all of them are named.
    """
    allowed = {"category": CATEGORIES, "urgency": URGENCIES, "sentiment": SENTIMENTS}
    wrong = [name for name, values in allowed.items() if told.get(name) not in values]
    product = told.get("product")
    if product is not None and (not isinstance(product, str) or product not in products):
        wrong.append("product")
    if wrong:
        raise DeskError(f"There is no such {', no such '.join(wrong)}. Choose from the lists.")
    return Labels(
        category=str(told["category"]),
        urgency=str(told["urgency"]),
        sentiment=str(told["sentiment"]),
        product=None if product is None else str(product),
    )
