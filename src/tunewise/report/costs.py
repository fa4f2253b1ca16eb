"""What a run says of money: sentences, and the table of savings.

Decides nothing; amounts are worked out by `decision.economics`.
"""

from dataclasses import dataclass

from tunewise.decision.economics import Amount, Economics, Payback
from tunewise.runs.schema import ContenderResult, Run
from tunewise.statistics.amounts import BreakEven
from tunewise.wording import (
    cash,
    cash_span,
    count,
    plural,
    rough,
    setting,
    stated_share,
    whole_percent,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class SavingRow:
    """What the best training saves against one contender, in words; empty where not known."""

    name: str
    per_1000: str
    span: str
    training: str
    break_even: str
    break_even_span: str
    in_horizon: str
    horizon_span: str
    benefit: str
    benefit_span: str
    note: str


def cost_sentence(run: Run) -> str:
    """What a training saves or costs against what needs none; empty where that is not known."""
    found = run.economics
    one = None if found is None or run.rival is None else found.against(run.rival.name)
    if found is None or one is None or run.finding == "nothing_learned":
        return ""
    saved, currency = one.per_1000_requests, found.currency
    if saved.low is None or saved.high is None:
        return ""
    span = cash_span(saved.low, saved.high)
    if saved.high < 0:
        text = f"A thousand requests cost {cash(-saved.value, currency)} more"
        text += f" ({cash_span(-saved.high, -saved.low)})"
    elif saved.low > 0:
        text = f"A thousand requests save {cash(saved.value, currency)} ({span})"
    else:
        text = f"Whether a thousand requests save anything is open ({span} {currency})"
    if not one.comparable:
        text += ", if its machine is always busy"
    return f"{text}{_training_paid(one, found)}."


def _training_paid(one: Payback, found: Economics) -> str:
    even = one.break_even_requests
    if one.training is None or even is None:
        return ""
    training = f"the training, {cash(one.training, found.currency)}"
    if even.recovered == "never":
        return f"; {training}, is never recovered"
    if even.value is None:
        return f"; {training}, is not recovered by the estimate"
    paid = f"; {training}, is recovered after {rough(even.value)} requests"
    if even.low is not None:
        paid += f" ({break_even_span(even)})"
    months = one.break_even_months
    if months is not None and months.value is not None:
        paid += f", {_months(months.value)} at {count(found.monthly_requests or 0)} a month"
    return paid


def _months(number: float) -> str:
    return f"{rough(number)} months" if number >= 0.1 else "in a few days"


def break_even_span(even: BreakEven) -> str:
    """`67,000 to 71,000`, `from 67,000 on, or never`, `never`."""
    if even.low is None:
        return "never"
    if even.high is None:
        return f"{rough(even.low)} at least, perhaps never"
    return f"{rough(even.low)} to {rough(even.high)}"


def volume_that_pays(run: Run) -> float | None:
    """Requests a month from which the saving within the horizon is shown, its training paid; None
    where no volume would do, or too little is known."""
    found = run.economics
    one = None if found is None or run.rival is None else found.against(run.rival.name)
    if found is None or one is None or one.in_horizon is None or not found.monthly_requests:
        return None
    low = one.per_1000_requests.low
    if not one.comparable or low is None or low <= 0:
        return None
    requests = found.monthly_requests * found.horizon_months
    paid = one.per_1000_requests.value / 1000.0 * requests - one.in_horizon.value
    return paid / (low / 1000.0) / found.horizon_months


def saving_rows(run: Run) -> list[SavingRow]:
    """A row for each contender without training whose price is known."""
    found = run.economics
    return [] if found is None else [_row(one, found) for one in found.savings]


def _row(one: Payback, found: Economics) -> SavingRow:
    even = one.break_even_requests
    notes = [] if one.candidate else ["shown for scale"]
    if not one.comparable:
        notes.append("hours against tokens, if always busy")
    return SavingRow(
        name=one.contender,
        per_1000=cash(one.per_1000_requests.value, found.currency),
        span=_span(one.per_1000_requests),
        training="" if one.training is None else cash(one.training, found.currency),
        break_even="" if even is None else "never" if even.value is None else rough(even.value),
        break_even_span="" if even is None or even.value is None else break_even_span(even),
        in_horizon=_cash(one.in_horizon, found.currency),
        horizon_span=_span(one.in_horizon),
        benefit=_cash(one.benefit_per_1000, found.currency),
        benefit_span=_span(one.benefit_per_1000),
        note=", ".join(notes),
    )


def _cash(amount: Amount | None, currency: str) -> str:
    return "" if amount is None else cash(amount.value, currency)


def _span(amount: Amount | None) -> str:
    if amount is None:
        return ""
    if amount.low is None or amount.high is None:
        return "no interval"
    return cash_span(amount.low, amount.high)


def cost_of(contender: ContenderResult) -> str:
    """The cost of 1,000 requests; empty where it has no price."""
    cost = contender.cost
    return "" if cost is None else cash(cost.per_1000_requests, cost.currency)


def cost_interval(contender: ContenderResult) -> str:
    """Its interval, and what a month costs; empty where there is neither."""
    cost = contender.cost
    if cost is None:
        return ""
    parts: list[str] = []
    low, high = cost.per_1000_low, cost.per_1000_high
    if low is not None and high is not None and high > 0:
        parts.append(cash_span(low, high))
    if cost.per_month is not None:
        parts.append(f"{cash(cost.per_month)} a month")
    return "; ".join(parts)


def how_reckoned(found: Economics) -> str:
    """From what, and on which premises, costs were worked out."""
    parts = [
        f"{whole_percent(found.confidence)} intervals over the test rows, paired; cached prompt "
        "tokens at their own price"
    ]
    if found.training is not None:
        parts.append(
            f"a training costs {cash(found.training.compute, found.currency)}: all that this run "
            "spent on it, seeds and choices included"
        )
        again = found.training.every_months
        if again:
            parts.append(
                f"trained again every {setting(again)} months, "
                f"{plural(found.training.times, 'time')} in {found.horizon_months} months"
            )
    if found.utilisation is not None:
        parts.append(f"machines serve {stated_share(found.utilisation)} of their paid hours")
    return "; ".join(parts)
