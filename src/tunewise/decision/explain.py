"""What each finding says: a case and the ruling on it in, a Verdict with its sentences out."""

from collections.abc import Sequence

from tunewise.decision.assurance import rows_that_settle
from tunewise.decision.case import Case
from tunewise.decision.findings import Ruling
from tunewise.project.contenders import CONSTANT
from tunewise.statistics.intervals import MINIMUM_GROUPS, MINIMUM_ROWS, NotComputed
from tunewise.types import Assurance, Verdict
from tunewise.wording import (
    amount,
    cash,
    cash_span,
    count,
    in_points,
    joined,
    mean_tokens,
    milliseconds,
    plural,
    setting,
    whole_percent,
)

LESS = 0.9
"""Below this share of the tokens, or of the time, something takes less of them."""


def verdict(
    case: Case,
    ruling: Ruling,
    chances: Sequence[Assurance] = (),
    *,
    unused_test: int = 0,
    left_out: int = 0,
) -> Verdict:
    """The verdict in words.

    Args:
        case: what was decided on.
        ruling: what the rules found.
        chances: what further rows would do, where the question is open.
        unused_test: test examples that are labelled already and were left out of this run.
        left_out: test examples left out because train, dev or documents hold them as well.
    """
    plan = case.bench.plan
    outcome, recommended = _advice(case, ruling)
    if case.bench.rows.shortage is not None:
        sentences = _too_small(case, ruling, unused_test)
    elif plan.challenger is None or ruling.untrained is None:
        sentences = _nothing_to_compare(case, ruling)
    elif isinstance(case.difference(plan.challenger, ruling.untrained), NotComputed):
        sentences = _too_small(case, ruling, unused_test)
    else:
        sentences = _compared(case, ruling, chances, plan.challenger, ruling.untrained, unused_test)
    headline, *others = sentences
    if left_out:
        others.insert(0, _left_out(left_out))
    return Verdict(
        outcome=outcome,
        recommended=recommended,
        reason=" ".join(sentence for sentence in (headline, *others) if sentence),
        rule=ruling.rule,
        comparisons=case.comparisons,
        constraints=case.constraints,
        examples_needed=rows_that_settle(chances),
        finding=ruling.finding,
        untrained=ruling.untrained,
        regret=ruling.regret,
        assurance=tuple(chances),
    )


def _advice(case: Case, ruling: Ruling) -> tuple[str, str | None]:
    """Outcome, and what to use now."""
    challenger, untrained = case.bench.plan.challenger, ruling.untrained
    if ruling.finding == "fine_tune" and challenger is not None:
        return challenger, challenger
    if ruling.rule == "not_worth_it" and untrained is not None:
        return untrained, untrained
    nothing = ruling.finding == "nothing_learned"
    return "undecided", None if nothing else _meanwhile(case, untrained)


def _compared(
    case: Case,
    ruling: Ruling,
    chances: Sequence[Assurance],
    challenger: str,
    untrained: str,
    unused_test: int,
) -> list[str]:
    """The sentences where challenger and untrained could be compared, the headline first."""
    match ruling.finding:
        case "fine_tune":
            return _fine_tune(case, ruling, challenger, untrained)
        case "better_by_less":
            return _better_by_less(case, ruling, challenger, untrained)
        case "cannot_tell":
            return _cannot_tell(case, ruling, chances, challenger, untrained, unused_test)
        case "nothing_learned":
            return _nothing_learned(case, challenger)
        case "do_not" | "practically_the_same" | "stay":
            return _without_training(case, ruling, challenger, untrained)


def _fine_tune(case: Case, ruling: Ruling, challenger: str, untrained: str) -> list[str]:
    name = "" if challenger == "fine_tune" else f" ({challenger})"
    saving = case.savings.get(untrained) if ruling.rule == "cheaper" else None
    why = ", because it is cheaper" if saving else ""
    seeds = len(case.bench.seeds[challenger])
    found = case.advantage(challenger, untrained)
    ahead = "" if saving else ", and each is ahead"
    return [
        f"Fine-tune{name}{why}{_beware(case, challenger)}.",
        _kept(case, challenger),
        f"It {case.quality(challenger)}"
        + (f"; on average its {seeds} seeds score {found}{ahead}." if seeds > 1 else f", {found}."),
        f"It saves {cash(saving.value)} {saving.unit} ({cash_span(saving.low, saving.high)}), its "
        "training paid."
        if saving
        else "",
        _takes_less(case, challenger, untrained),
        _surprise(case, untrained, challenger),
    ]


def _beware(case: Case, challenger: str) -> str:
    """What the first line has to say of general ability; empty where it was kept."""
    kept = case.retention.get(challenger)
    if kept is None or kept.state == "retained":
        return ""
    if kept.warns:
        return f", but beware: {kept.loss}"
    return "; that it kept its general ability is not shown"


def _kept(case: Case, challenger: str) -> str:
    kept = case.retention.get(challenger)
    return "" if kept is None else kept.sentence


def _better_by_less(case: Case, ruling: Ruling, challenger: str, untrained: str) -> list[str]:
    asked = case.demands.minimum_gain
    gain = case.difference(challenger, untrained).value
    less = _takes_less(case, challenger, untrained)
    return [
        f"{challenger} is better, but by less than you asked.",
        f"{challenger} {case.quality(challenger)}, {case.advantage(challenger, untrained)}; you "
        f"asked for {in_points(asked)}.",
        f"{less[:-1]}: only the one-off training speaks against it." if less else "",
        _kept(case, challenger),
        f"Your minimum_gain decides (now {setting(asked)}): at {amount(gain)} points or less the "
        "verdict would be to fine-tune.",
        f"{untrained} {case.quality(untrained)}.",
        _until_then(case, untrained)
        if ruling.rule == "cannot_tell"
        else f"As asked, use {untrained}.",
    ]


def _without_training(case: Case, ruling: Ruling, challenger: str, untrained: str) -> list[str]:
    found = case.difference(challenger, untrained)
    asked = in_points(case.demands.minimum_gain)
    if ruling.finding == "stay":
        headline = f"Stay with {untrained}: more labels would not pay."
    elif ruling.finding == "practically_the_same":
        headline = f"Do not fine-tune: {challenger} and {untrained} are practically the same."
    elif case.bench.beats(untrained, challenger):
        headline = f"Do not fine-tune: {untrained} is better."
    elif found.value <= 0.0:
        headline = f"Do not fine-tune: {untrained} is as good."
    else:
        headline = f"Do not fine-tune: it gains less than {asked}."
    regret = (
        f"Staying is expected to cost {_small(ruling.regret)} against knowing the truth, less "
        f"than the {in_points(case.demands.tolerated_regret)} that labels would have to bring."
        if ruling.finding == "stay" and ruling.regret is not None
        else ""
    )
    broken = [
        f"Note that {untrained} does not meet {one.name}: {one.detail}."
        for one in case.broken(untrained)
    ]
    worse = case.bench.beats(untrained, challenger)
    less = "" if worse else _takes_less(case, challenger, untrained)
    return [
        headline,
        f"{untrained} {case.quality(untrained)}; {challenger} scores "
        f"{case.advantage(challenger, untrained)}, and {asked} would be worth a training.",
        regret,
        f"{less[:-1]}; with [prices] the verdict would count that."
        if less and not case.savings
        else "",
        _surprise(case, untrained, challenger),
        *broken,
    ]


def _cannot_tell(
    case: Case,
    ruling: Ruling,
    chances: Sequence[Assurance],
    challenger: str,
    untrained: str,
    unused_test: int,
) -> list[str]:
    asked = in_points(case.demands.minimum_gain)
    needed = rows_that_settle(chances)
    obstacles = [one.text for one in ruling.shortfalls if one.kind not in ("unclear", "too_little")]
    others = [name for name in case.bench.untrained if not case.bench.beats(challenger, name)]
    unclear = [name for name in others if name != untrained]
    if needed is not None:
        headline = f"Cannot tell yet: {_label(needed, unused_test)}."
    elif ruling.misses("unclear", "too_little"):
        most = max((one.rows for one in chances), default=0)
        up_to = f"up to {count(most)} more test examples" if most else "more test examples"
        headline = f"Cannot tell, and {up_to} are unlikely to change that."
    else:
        headline = f"Undecided: {challenger} is better, but {joined(obstacles)}."
        obstacles = []
    settled = next((one.settled for one in chances if one.rows == needed), None)
    return [
        headline,
        f"So many settle the question with a chance of {whole_percent(settled)}."
        if settled is not None
        else "",
        f"{challenger} {case.quality(challenger)}, {case.advantage(challenger, untrained)}; "
        f"{asked} would be worth a training.",
        f"It is not shown to beat {joined(unclear)}." if unclear else "",
        f"Besides, {joined(obstacles)}." if obstacles else "",
        _until_then(case, untrained),
    ]


def _nothing_learned(case: Case, challenger: str) -> list[str]:
    bench = case.bench
    best = max(bench.candidates, key=lambda name: bench.samples[name].value, default=challenger)
    return [
        "Undecided: nothing beats constant, the best answer that ignores the input.",
        "The examples do not teach anything that held-out examples confirm.",
        f"The best of the others, {best}, {case.quality(best)}, {case.advantage(best, CONSTANT)}.",
        "Check whether the answers belong to their inputs before you label more.",
    ]


def _too_small(case: Case, ruling: Ruling, unused_test: int) -> list[str]:
    rows = case.bench.rows
    missing = (
        _label(MINIMUM_ROWS - rows.n, unused_test, "at least")
        if rows.n < MINIMUM_ROWS
        else f"label examples of at least {MINIMUM_GROUPS - rows.group_count} more groups"
    )
    return [
        f"Cannot tell yet: the test split has {rows.shortage}.",
        f"That is too little to compute anything from; {missing}.",
        _until_then(case, ruling.untrained),
    ]


def _nothing_to_compare(case: Case, ruling: Ruling) -> list[str]:
    plan = case.bench.plan
    absent = "trained contender" if plan.challenger is None else "contender without training"
    return [
        f"Undecided: no {absent} ran, so nothing says whether training is worth it.",
        *(
            f"{name} {case.quality(name)}."
            for name in (ruling.untrained, plan.challenger)
            if name is not None
        ),
        _until_then(case, ruling.untrained) if plan.challenger is None else "",
    ]


def _left_out(rows: int) -> str:
    took = "that stands" if rows == 1 else "that stand"
    return (
        f"{plural(rows, 'test example')} {took} in train, dev or the documents as well took no "
        "part."
    )


def _takes_less(case: Case, challenger: str, untrained: str) -> str:
    """What the challenger saves in tokens and time; empty unless it takes no more of either."""
    one, other = (case.bench.contenders[name] for name in (challenger, untrained))
    if one.tokens is None or other.tokens is None:
        return ""
    slower = (
        one.latency_p50_ms is not None
        and other.latency_p50_ms is not None
        and one.latency_p50_ms > other.latency_p50_ms
    )
    if slower or one.tokens > LESS * other.tokens:
        return ""
    text = (
        f"{challenger} takes {mean_tokens(one.tokens)} tokens a request instead of "
        f"{mean_tokens(other.tokens)}"
    )
    if one.latency_p50_ms is not None and other.latency_p50_ms is not None:
        text += (
            f", and {milliseconds(one.latency_p50_ms)} instead of "
            f"{milliseconds(other.latency_p50_ms)}"
        )
    return f"{text}."


def _surprise(case: Case, untrained: str, challenger: str) -> str:
    """What a person is told where dev had named another one."""
    incumbent = case.bench.plan.incumbent
    if incumbent is None or incumbent == untrained:
        return ""
    return f"Dev had named {incumbent}; test shows {untrained} to be better than " + (
        f"{incumbent}." if case.shown_better(untrained, incumbent) else f"{challenger}."
    )


def _small(regret: float) -> str:
    """A regret in points."""
    return in_points(regret) if regret >= 5e-4 else "less than 0.1 points"


def _label(needed: int, unused_test: int, how_many: str = "about") -> str:
    """What to do for so many more test examples: use rows that are there before labelling any."""
    if not unused_test:
        return f"label {how_many} {needed:,} more test examples"
    if unused_test >= needed:
        return f"use {how_many} {needed:,} of the labelled rows that this run left out of test"
    return (
        f"use the labelled rows that this run left out of test (about {unused_test:,}), and label "
        f"{how_many} {needed - unused_test:,} more test examples"
    )


def _meanwhile(case: Case, untrained: str | None) -> str | None:
    """What to use while undecided: nothing that is not ahead of ignoring the input.

    Shown to be ahead where intervals can be computed; on fewer rows its score has to be higher.
    """
    samples = case.bench.samples
    if untrained == CONSTANT:
        return None
    if untrained is None or CONSTANT not in samples:
        return untrained
    ahead = case.beats_constant(untrained)
    if case.bench.rows.shortage is not None:
        ahead = samples[untrained].value > samples[CONSTANT].value
    return untrained if ahead else None


def _until_then(case: Case, untrained: str | None) -> str:
    if untrained is None:
        return ""
    if _meanwhile(case, untrained) is not None:
        if case.bench.rows.shortage is None or CONSTANT not in case.bench.samples:
            return f"Use {untrained} meanwhile."
        return (
            f"So far {untrained} scored highest without training; that it beats {CONSTANT}, the "
            "best answer that ignores the input, is not shown on so few."
        )
    known = f"{CONSTANT}, the best answer that ignores the input"
    if untrained == CONSTANT:
        return f"Nothing is worth using yet: on dev no contender without training beat {known}."
    return f"Nothing is worth using yet: {untrained} is not shown to beat {known}."
