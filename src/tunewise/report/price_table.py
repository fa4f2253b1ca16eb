"""What a list of prices would make of a run: costs of its tokens and seconds as plain texts.

Point estimates: intervals, savings and break-even come with prices in the project itself.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from statistics import fmean

from tunewise.project.price_list import MachinePrice, ModelPrice, PriceList, read_price_list
from tunewise.report.comparison_table import ranked
from tunewise.runs.read import read_run
from tunewise.runs.schema import ContenderResult, Run
from tunewise.wording import cash, count, mean_tokens, milliseconds


@dataclass(frozen=True, kw_only=True, slots=True)
class PriceTable:
    """A table as texts, and what is to be said below it."""

    titles: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    notes: tuple[str, ...]


def priced(
    run: Path, price_list: Path | None, *, today: Callable[[], date] = date.today
) -> PriceTable:
    """What requests took in a run folder, or would cost at the prices of a file.

    Raises:
        UserError: a run without a verdict, or a fault in the list.
    """
    prices = price_list and read_price_list(price_list, today=today())
    found = read_run(run)
    return at_list_prices(found, prices) if prices else what_it_took(found)


def what_it_took(run: Run) -> PriceTable:
    """Tokens, seconds and, where the project gave prices, money of each contender."""
    costed = any(one.cost for one in run.measured)
    titles = ("contender", "prompt tokens", "from a cache", "answer tokens", "seconds under load")
    rows = [
        (
            one.name,
            mean_tokens(one.tokens.prompt) if one.tokens else "",
            mean_tokens(one.tokens.cached) if one.tokens else "",
            mean_tokens(one.tokens.completion) if one.tokens else "",
            milliseconds(1000 * fmean(one.load_seconds)) if one.load_seconds else "not measured",
            *(
                (cash(one.cost.per_1000_requests, one.cost.currency) if one.cost else "no price",)
                if costed
                else ()
            ),
        )
        for one in ranked(run)
    ]
    notes = (
        "Means of a request. Prices go under [prices] of tunewise.toml; `--list FILE` shows what a "
        "list of them would make of this run (docs/prices.md).",
    )
    return PriceTable(
        titles=(*titles, *(("per 1,000 requests",) if costed else ())),
        rows=tuple(rows),
        notes=notes,
    )


def at_list_prices(run: Run, prices: PriceList) -> PriceTable:
    """What 1,000 requests of each contender would cost at each price of a list."""
    asked = [one for one in ranked(run) if one.tokens and one.tokens.total]
    rows = [
        (name, *(cash(_by_token(one, model)) for one in asked), _where(model, prices))
        for name, model in prices.models.items()
    ]
    unmeasured = False
    for name, machine in prices.machines.items():
        cells = [_by_hour(one, machine) for one in asked]
        unmeasured = unmeasured or None in cells
        rows.append(
            (
                name,
                *("–" if cell is None else cash(cell) for cell in cells),
                _where(machine, prices),
            )
        )
    return PriceTable(
        titles=(
            f"{prices.currency} per 1,000 requests",
            *(one.name for one in asked),
            "as of, source",
        ),
        rows=tuple(rows),
        notes=tuple(_notes(run, prices, unmeasured=unmeasured)),
    )


def _by_token(one: ContenderResult, price: ModelPrice) -> float:
    if one.tokens is None:
        return 0.0
    cached = price.prompt_tokens if price.cached_tokens is None else price.cached_tokens
    millionths = (
        (one.tokens.prompt - one.tokens.cached) * price.prompt_tokens
        + one.tokens.cached * cached
        + one.tokens.completion * price.completion_tokens
    )
    return millionths / 1000.0


def _by_hour(one: ContenderResult, price: MachinePrice) -> float | None:
    if not one.load_seconds:
        return None
    return 1000.0 * fmean(one.load_seconds) / 3600.0 * price.hosting_hour / price.utilisation


def _where(price: ModelPrice | MachinePrice, prices: PriceList) -> str:
    return f"{price.as_of or prices.as_of}, {price.source or prices.source}"


def _notes(run: Run, prices: PriceList, *, unmeasured: bool) -> Iterator[str]:
    yield from prices.warnings
    if prices.models:
        yield (
            f"These are the tokens of this run, as {run.model.base or 'its model'} counts and "
            "writes them. Another model splits texts into other tokens, answers at other length "
            "and may be right more or less often: only a [contenders.NAME] table measures that."
        )
    if prices.machines:
        yield (
            "Hours are those of the machine of this run, at the concurrency that was measured; "
            "another machine is faster or slower."
        )
    if unmeasured:
        yield (
            "– seconds under load were not measured: a run measures them where hosting_hour "
            "stands under [prices]."
        )
    if run.n_test:
        yield f"Means over {count(run.n_test)} test rows, without intervals."
