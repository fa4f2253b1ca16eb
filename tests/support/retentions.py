"""What a measurement of general ability found, for tests that need no model."""

from tunewise.decision.retention import Kept, Retention
from tunewise.runs.retention import AbilityKept, Drift, Estimate, KindKept, RetentionResult


def kept(state: Retention, change: float = 0.0, reach: float = 0.02) -> Kept:
    return Kept(
        state=state,
        change=change,
        low=change - reach,
        high=change + reach,
        margin=0.03,
        base=0.6,
        floor=0.2,
    )


def estimate(value: float, reach: float = 0.02) -> Estimate:
    return Estimate(value=value, low=value - reach, high=value + reach, method="cluster t")


def retention(
    state: Retention = "retained", change: float = 0.0, reach: float = 0.02
) -> RetentionResult:
    """640 items in two abilities, of which the second is near what guessing gets."""
    lost = max(0, round(-640 * change))
    return RetentionResult(
        state=state,
        warns=change < -0.06,
        little_to_forget=False,
        margin=0.03,
        suite="screening",
        items=640,
        left_out=3,
        before=0.6,
        after=0.6 + change,
        floor=0.2,
        change=estimate(change, reach),
        lost=lost + 5,
        won=5,
        lost_share=estimate((lost + 5) / 384),
        likelihood=estimate(change / 2),
        same_answers=estimate(0.7),
        drift=Drift(divergence=0.12, low=0.1, high=0.14, texts=60),
        abilities=(
            AbilityKept(
                ability="knowledge", items=400, before=0.7, after=0.7 + change, floor=0.25,
                lost=lost + 5, won=5, change=estimate(change, reach), little_to_forget=False,
            ),
            AbilityKept(
                ability="instructions", items=240, before=0.05, after=0.05, floor=0.0,
                lost=0, won=0, change=estimate(0.0), little_to_forget=True,
            ),
        ),
        kinds=(
            KindKept(
                ability="knowledge", kind="geography", items=220, right=200, lost=lost + 5, won=1
            ),
            KindKept(ability="instructions", kind="bullets", items=4, right=1, lost=0, won=0),
        ),
    )  # fmt: skip
