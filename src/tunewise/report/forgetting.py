"""What a run says of the general ability that a training cost, in sentences."""

from tunewise.runs.retention import Estimate, RetentionResult
from tunewise.runs.schema import Run
from tunewise.wording import count, in_points, plural, setting, threshold


def challengers_retention(run: Run) -> RetentionResult | None:
    """Of the trained contender that the verdict is about."""
    return run.retention.get(run.plan.challenger or "")


def what_was_kept(run: Run) -> str:
    """The judgement, and how many answers turned; empty where nothing was measured."""
    found = challengers_retention(run)
    if found is None:
        return ""
    turned = (
        f" Of {count(round(found.before * found.items))} general answers that the base gets right, "
        f"{run.plan.challenger} loses {count(found.lost)}; it gains {count(found.won)} others."
    )
    warning = "Beware. " if found.warns else ""
    return f"{warning}{found.kept.sentence}{turned}{repaired(found)}"


def repaired(found: RetentionResult) -> str:
    """What was done about it; empty where nothing had to be."""
    repair = found.repair
    if repair is None:
        return ""
    if repair.taken is None:
        if all(point.change is None for point in repair.frontier):
            return (
                " Any weaker form of the adapter, or training with less change, is behind what "
                "needs no training."
            )
        return " Neither a weaker form of the adapter nor training it again keeps it."
    how = (
        f"the adapter trained again {repair.way}"
        if repair.way
        else f"the adapter at {setting(repair.taken)} of its strength"
    )
    return (
        f" That is {how}, chosen on dev and on the other half of the suite: as it was trained "
        f"first, it {lost_or_won(repair.before)}."
    )


def lost_or_won(change: Estimate) -> str:
    """`lost 8.1 points of general ability`."""
    went = "lost" if change.value < 0 else "won"
    return f"{went} {in_points(abs(change.value))} of general ability"


def but_forgets(run: Run) -> str:
    """What the first sentence of a recommendation adds; empty where ability was kept."""
    found = challengers_retention(run)
    if found is None or found.state == "retained":
        return ""
    if found.warns:
        return f", but it forgets: {found.kept.loss}"
    return "; that it kept its general ability is not shown"


def less_forgetting(run: Run) -> list[str]:
    """Below which margin what was recommended would be excluded."""
    found = challengers_retention(run)
    if found is None or found.change.high is None or found.change.high >= 0.0:
        return []
    return [
        f"Less forgetting allowed: `retention_margin` below {threshold(-found.change.high)} (now "
        f"{setting(found.margin)}) would exclude {run.plan.challenger}."
    ]


def retention_measured(run: Run) -> str:
    """How it was measured; empty where it was not."""
    parts = [
        f"{name}: {found.state}, on the {found.suite} suite of {count(found.items)} items, with "
        f"the kinds as clusters and 90% intervals ({found.change.method})"
        + (f"; {plural(found.left_out, 'item')} could not be asked" if found.left_out else "")
        for name, found in run.retention.items()
    ]
    return "; ".join(parts)
