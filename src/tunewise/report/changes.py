"""What would change a verdict: the rule of the method in reverse.

For each condition that decided, the number at which it would decide otherwise.
"""

from collections.abc import Callable

from tunewise.project.contenders import CONSTANT, built_in
from tunewise.report.costs import volume_that_pays
from tunewise.report.forgetting import less_forgetting
from tunewise.report.learning_curve import tuned_curve
from tunewise.report.more_rows import label_more
from tunewise.runs.schema import ContenderResult, Run
from tunewise.types import Comparison, Finding
from tunewise.wording import (
    amount,
    count,
    difference,
    in_points,
    joined,
    mean_tokens,
    percent,
    points_span,
    rough,
    setting,
    significant,
    threshold,
)

_Compared = Callable[[Run, Comparison, ContenderResult, ContenderResult], list[str]]
"""Of a run, the gain, the challenger, and what it was measured against."""


def what_would_change(run: Run) -> list[str]:
    """The numbers at which this verdict would be another one, nearest condition first."""
    if run.finding == "nothing_learned":
        return _nothing_learned(run)
    gain, challenger, rival = run.gain, run.challenger, run.rival
    if gain is None or challenger is None or rival is None:
        return [*_without_challenger(run), *_unmet(run), _other_requests(run)]
    by_finding: dict[Finding, _Compared] = {
        "fine_tune": _cheaper if run.rule == "cheaper" else _worth_more,
        "better_by_less": _better_by_less,
        "practically_the_same": _practically_the_same,
        "do_not": _do_not,
        "stay": _stay,
        "cannot_tell": _cannot_tell,
    }
    lines = by_finding[run.finding](run, gain, challenger, rival)
    return [*lines, *_unmet(run), _other_requests(run)]


def _worth_more(
    run: Run, gain: Comparison, challenger: ContenderResult, rival: ContenderResult
) -> list[str]:
    demands = run.decision
    lines = [
        f"A larger gain demanded: {challenger.name} is ahead of {rival.name} by "
        f"{amount(gain.delta)} points ({points_span(gain.low, gain.high)}). With `minimum_gain` "
        f"above {threshold(gain.delta)} (now {setting(demands.minimum_gain)}) it would be better "
        f"by less than asked, above {threshold(gain.high)} the verdict would be {rival.name}."
    ]
    closest = _closest_rival(run, challenger, rival)
    if closest is not None and closest.low < gain.low:
        lines.append(
            f"A closer rival: the lower end has to be above 0 against every contender without "
            f"training; nearest is {closest.b}, {difference(closest)}."
        )
    floor = demands.minimum_quality
    now = "none set" if floor is None else setting(floor)
    lines.append(
        f"A higher floor: `minimum_quality` above {threshold(challenger.quality.value)} "
        f"(now {now}) would exclude {challenger.name}."
    )
    if challenger.latency:
        limit = demands.maximum_latency_ms
        now = "none set" if limit is None else setting(limit)
        lines.append(
            f"A faster answer demanded: `maximum_latency_ms` below "
            f"{significant(challenger.latency.p50)} (now {now}) would exclude {challenger.name}."
        )
    if not run.retention:
        lines.append(
            "Forgetting: general ability was not measured in this run. A loss beyond what you "
            f"accept would exclude {challenger.name}."
        )
    lines += less_forgetting(run)
    return lines


def _cheaper(
    run: Run, gain: Comparison, challenger: ContenderResult, rival: ContenderResult
) -> list[str]:
    demands = run.decision
    loss = demands.maximum_loss
    allowed = demands.minimum_gain / 2 if loss is None else loss
    volume = volume_that_pays(run)
    fewer = f" Below about {rough(volume)} requests a month it is not shown." if volume else ""
    return [
        f"Quality: {challenger.name} was shown to lose less than the {in_points(allowed)} of "
        f"`maximum_loss` against {rival.name}; the interval is "
        f"{points_span(gain.low, gain.high)}. A stricter limit would undo that.",
        "Prices and volume: the saving depends on them. Change [prices] or `monthly_requests` "
        f"and run again; answers are kept.{fewer}",
    ]


def _better_by_less(
    run: Run, gain: Comparison, challenger: ContenderResult, rival: ContenderResult
) -> list[str]:
    now = setting(run.decision.minimum_gain)
    lines = [
        f"A smaller gain that counts: {challenger.name} is ahead of {rival.name}, "
        f"{difference(gain)}. With `minimum_gain` at or below {threshold(gain.delta)} (now {now}) "
        "the verdict would be to fine-tune."
    ]
    if run.outcome == "undecided":
        lines.append(
            f"A larger one: with `minimum_gain` above {threshold(gain.high)} the verdict would be "
            f"{rival.name}."
        )
    return [*lines, _better_training(run, challenger)]


def _practically_the_same(
    run: Run, gain: Comparison, challenger: ContenderResult, rival: ContenderResult
) -> list[str]:
    now = setting(run.decision.minimum_gain)
    lines: list[str] = []
    if gain.high > 0:
        lines.append(
            f"A smaller gain that counts: the difference is {difference(gain)}. Only with "
            f"`minimum_gain` below {threshold(gain.high)} (now {now}) might a training matter."
        )
    return [*lines, _better_training(run, challenger), *_cost(run, challenger, rival)]


def _do_not(
    run: Run, gain: Comparison, challenger: ContenderResult, rival: ContenderResult
) -> list[str]:
    now = setting(run.decision.minimum_gain)
    if rival.name != run.plan.incumbent and gain.high <= 0:
        first = (
            f"A training that is not behind {rival.name}: {difference(gain)}. Dev had picked "
            f"{run.plan.incumbent} to compare with, but on the test examples {rival.name} was "
            f"shown better than {challenger.name}, allowing for all comparisons made."
        )
    elif gain.high <= 0:
        first = (
            f"No choice of `minimum_gain` would: {challenger.name} is behind {rival.name} over "
            f"the whole interval, {difference(gain)}."
        )
    else:
        first = (
            f"A smaller gain that counts: {challenger.name} is at most {amount(gain.high)} "
            f"points ahead of {rival.name}, {difference(gain)}. With `minimum_gain` at or below "
            f"{threshold(gain.high)} (now {now}) the verdict would be another one."
        )
    cost = _cost(run, challenger, rival) if gain.high > 0 else []
    return [first, _better_training(run, challenger), *cost]


def _stay(
    run: Run, gain: Comparison, challenger: ContenderResult, rival: ContenderResult
) -> list[str]:
    wanted = run.decision.minimum_gain
    smaller = (
        f" With `minimum_gain` at or below {threshold(gain.delta)} (now {setting(wanted)}) the "
        "estimate would be enough to go on asking."
        if gain.delta > 0
        else ""
    )
    return [
        f"A clearer difference: {challenger.name} against {rival.name} is {difference(gain)}. It "
        f"is not shown to be less than {in_points(wanted)}, but a gain of so much is not likely "
        f"enough to pay for labels.{smaller}",
        _better_training(run, challenger),
        *_cost(run, challenger, rival),
    ]


def _cannot_tell(
    run: Run, gain: Comparison, challenger: ContenderResult, rival: ContenderResult
) -> list[str]:
    wanted = run.decision.minimum_gain
    more = label_more(run)
    lines = [more] if more else []
    if not gain.computed:
        return [*lines, f"Enough rows to compute with: the difference was {gain.method}."]
    if gain.low <= 0:
        lines.append(
            f"A clearer difference: {challenger.name} against {rival.name} is "
            f"{difference(gain)}. To be recommended, the lower end must be above 0 and the "
            f"difference at least {amount(wanted)} points; to be ruled out, the upper end must be "
            f"below {amount(wanted)}."
        )
    elif gain.delta < wanted:
        lines.append(
            f"A smaller gain that counts: {challenger.name} is ahead of {rival.name}, "
            f"{difference(gain)}, but by less than you asked, {in_points(wanted)}."
        )
    lines += [
        f"A clearer lead over {found.b}, which needs no training: {difference(found)}. The lower "
        "end has to be above 0 against each of them."
        for found in _rivals(run, challenger, rival)
        if found.low <= 0
    ]
    if run.plan.futile:
        lines.append(
            f"More seeds: {challenger.name} was trained once, because the rows set aside for "
            "choosing already showed no gain. One training can't be recommended."
        )
    behind = [
        f"{seed} ({percent(value)})"
        for seed, value in sorted(challenger.by_seed.items())
        if value <= rival.quality.value
    ]
    if behind and len(challenger.by_seed) > 1:
        lines.append(
            f"Every seed ahead: seed {joined(behind)} of {challenger.name} is not, {rival.name} "
            f"has {percent(rival.quality.value)}."
        )
    return lines


def _rivals(run: Run, challenger: ContenderResult, rival: ContenderResult) -> list[Comparison]:
    """The challenger's lead over each other contender without training."""
    return [
        found
        for other in run.measured
        if not (other.trained or other.ceiling)
        and other.name not in (rival.name, CONSTANT)
        and (found := run.difference(challenger.name, other.name))
    ]


def _closest_rival(
    run: Run, challenger: ContenderResult, rival: ContenderResult
) -> Comparison | None:
    return min(_rivals(run, challenger, rival), key=lambda found: found.low, default=None)


def _better_training(run: Run, challenger: ContenderResult) -> str:
    learned = f"{count(run.splits.train)} rows" if run.splits else "the training rows"
    return (
        f"A better training: {challenger.name} learned from {learned}. More or cleaner rows may "
        f"lift it{tuned_curve(run)}"
    )


def _cost(run: Run, challenger: ContenderResult, rival: ContenderResult) -> list[str]:
    """That prices could speak for the training; nothing where it takes about as many tokens."""
    volume, now = volume_that_pays(run), run.economics and run.economics.monthly_requests
    if volume is not None and now is not None and volume > now:
        return [
            f"More requests: from about {rough(volume)} a month on (now {count(now)}), "
            f"{challenger.name} would be shown to be cheaper than {rival.name} with its training "
            "paid. An equal quality would then be worth a training."
        ]
    if run.economics or challenger.tokens is None or rival.tokens is None:
        return []
    spent, spends = challenger.tokens.total, rival.tokens.total
    if spent >= 0.8 * spends:
        return []
    return [
        f"Cost: {challenger.name} takes {mean_tokens(spent)} tokens a request, {rival.name} "
        f"{mean_tokens(spends)}. Prices took no part in this run; at a high volume they can make "
        "an equal quality worth a training."
    ]


def _nothing_learned(run: Run) -> list[str]:
    constant = run.contender(CONSTANT)
    best = max(
        (c for c in run.measured if c.name != CONSTANT and not c.ceiling),
        key=lambda c: c.quality.value,
        default=None,
    )
    lines: list[str] = []
    if constant and best:
        against = run.difference(best.name, CONSTANT)
        gap = f", {difference(against)}" if against else ""
        lines.append(
            f"A contender shown to beat `constant`: answering the same whatever is asked scores "
            f"{percent(constant.quality.value)}, the best of the others, {best.name}, "
            f"{percent(best.quality.value)}{gap}."
        )
    return [
        *lines,
        "Answers that belong to their inputs: look at some rows of the examples. A column that "
        "slipped by one row looks just like this.",
        "Answers that can be known: let two people answer 30 of the inputs apart. Where they do "
        "not agree, no model can learn it.",
    ]


def _without_challenger(run: Run) -> list[str]:
    if run.plan.challenger is not None and run.rival is None:
        return ["A contender without training: none was judged, so there is nothing to beat."]
    reasons = [
        f"{c.name}: {c.skipped}"
        for c in run.skipped
        if (known := built_in(c.name)) and known.trained
    ]
    because = f" ({'; '.join(reasons)})" if reasons else ""
    return [
        f"A trained contender: none was judged in this run{because}, so it cannot say whether "
        "fine-tuning would do better."
    ]


def _unmet(run: Run) -> list[str]:
    rival = run.rival.name if run.rival else None
    concerned = {run.plan.challenger, rival, run.recommended}
    return [
        f"`{item.name}` is not met by {item.contender}: {item.detail.rstrip('.')}."
        for item in run.constraints
        if not item.met and item.contender in concerned
    ]


def _other_requests(run: Run) -> str:
    return (
        f"Other requests: these numbers hold for requests like the {count(run.n_test)} test "
        "examples. When yours change, label new ones and run again."
    )
