"""Prices that are sound numbers and yet unlikely, being in a wrong unit: warnings of a project."""

from collections.abc import Iterator

from tunewise.project.settings import Endpoint, Prices, Project
from tunewise.wording import setting

LOWEST = 0.01
"""Per million tokens, in any currency of a similar size: below it, a price is likely to be per
thousand, or per token."""
TOKENS = ("prompt_tokens", "cached_tokens", "completion_tokens")


def price_warnings(project: Project) -> tuple[str, ...]:
    """A sentence for each price of tokens that reads as if it were per thousand."""
    tables: list[tuple[str, Prices | Endpoint]] = [("prices", project.prices)]
    tables += [(f"contenders.{one.name}", one) for one in project.contenders.endpoints]
    return tuple(line for name, table in tables for line in _unlikely(name, table))


def _unlikely(name: str, table: Prices | Endpoint) -> Iterator[str]:
    for key in TOKENS:
        price: float | None = getattr(table, key)
        if price and price < LOWEST:
            yield (
                f"{name}.{key} = {setting(price)} is very little for a million tokens. If it is "
                f"the price of a thousand, write {setting(1000 * price)}."
            )
