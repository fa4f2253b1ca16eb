"""Turns a run into the plain sentences that the terminal and the page share."""

from tunewise.report.costs import how_reckoned
from tunewise.report.forgetting import retention_measured
from tunewise.runs.schema import ContenderResult, Run
from tunewise.types import Finding, JsonValue
from tunewise.wording import by_seed, count, joined, significant

_MAX_HEADLINE = 110
"""Characters."""


def headline(run: Run) -> str:
    """The verdict in a few words: the first sentence of the reason, where that is short."""
    return f"First opinion: {_headline(run)}" if run.first_opinion else _headline(run)


def _headline(run: Run) -> str:
    first, rest = _first_sentence(run.reason)
    if rest and len(first) <= _MAX_HEADLINE:
        return first
    name = run.recommended or run.outcome
    by_finding: dict[Finding, str] = {
        "fine_tune": "Fine-tune" + (", because it is cheaper." if run.rule == "cheaper" else "."),
        "better_by_less": f"{run.plan.challenger} is better, but by less than you asked.",
        "practically_the_same": f"Do not fine-tune: {name} is practically the same.",
        "do_not": f"Do not fine-tune: use {name}.",
        "stay": f"Stay with {name}: more labels would not pay.",
        "cannot_tell": "Cannot tell yet.",
        "nothing_learned": "Undecided: nothing beats an answer that ignores the input.",
    }
    return by_finding[run.finding]


def lead(run: Run) -> str:
    """The reason, without the sentence that is the headline already."""
    first, rest = _first_sentence(run.reason)
    return rest if rest and len(first) <= _MAX_HEADLINE else run.reason


def _first_sentence(text: str) -> tuple[str, str]:
    first, _, rest = text.partition(". ")
    return (f"{first}." if rest else first), rest.strip()


def seeds(contender: ContenderResult) -> str | None:
    """`seeds 95.9%, 93.9%, 89.8%, mean 93.2%`; None where there is one."""
    return by_seed(contender.by_seed) if len(contender.by_seed) > 1 else None


def chose(contender: ContenderResult, *, longest: int = 28) -> str:
    """What a contender chose on dev, in one line; texts longer than `longest` are clipped."""
    return ", ".join(
        f"{name} {brief(value, longest=longest)}"
        for name, value in contender.fit.settings.items()
        if value is not None
    )


def brief(value: JsonValue, *, longest: int) -> str:
    """A setting as a short text."""
    if isinstance(value, bool):
        text = "yes" if value else "no"
    elif isinstance(value, float):
        text = significant(value)
    elif isinstance(value, str | int) or value is None:
        text = "none" if value is None else str(value)
    elif isinstance(value, dict):
        text = ", ".join(f"{k} {brief(v, longest=longest)}" for k, v in value.items())
    else:
        text = ", ".join(brief(item, longest=longest) for item in value)
    text = " ".join(text.split())
    return text if len(text) <= longest else text[: longest - 1].rstrip() + "…"


def next_commands(run: Run) -> list[str]:
    """What to type next, most useful first."""
    return [f"tunewise report {run.folder} --open"]


def _judged_on(run: Run) -> str:
    if run.first_opinion:
        return f"{count(run.n_test)} examples of dev (the test examples stay sealed)"
    return f"{count(run.n_test)} sealed test examples"


def what_was_measured(run: Run) -> list[tuple[str, str]]:
    """(what, how it was measured or that it was not), for everything a verdict could rest on."""
    uses = "once" if run.test_set_uses == 1 else f"{run.test_set_uses} times so far"
    timed = max((c.latency.n or 0 for c in run.measured if c.latency), default=0)
    trained = [c for c in run.measured if c.trained]
    missing = "not measured in this run"
    return [
        (
            "Quality",
            f"{run.metric} on {_judged_on(run)}, used {uses}; shown "
            "in percent of the best possible. A crashed answer counts as wrong.",
        ),
        (
            "Seeds",
            "; ".join(f"{c.name}: {c.seeds}" for c in trained) if trained else "nothing trained",
        ),
        *(
            [("Differences", f"of the means over seeds: {run.gain.method}")]
            if run.gain is not None and run.gain.method
            else []
        ),
        ("Tokens", "counted for each request with the model's own tokenizer"),
        (
            "Latency",
            f"{timed} test requests, one at a time, on a warm model" if timed else missing,
        ),
        (
            "Cost",
            how_reckoned(run.economics) if run.economics else "no prices given ([prices])",
        ),
        (
            "Retention of general ability",
            retention_measured(run) or missing,
        ),
        ("Dependability", _dependability(run) or missing),
        ("Learning curve", _learning_curve(run) or missing),
        *(("Note", note) for note in run.notes),
    ]


def _learning_curve(run: Run) -> str:
    """Whose curves were drawn, and why others were not; empty where none was asked for."""
    if not run.learning_curve:
        return ""
    where = {"folds": "folds of train and dev", "dev": "dev"}
    drawn = [f"{one.contender} on {where[one.scored]}" for one in run.learning_curve.curves]
    missing = [f"{name} not, {why}" for name, why in run.learning_curve.missing.items()]
    return "; ".join(([joined(drawn)] if drawn else []) + missing)


def _dependability(run: Run) -> str:
    """On which inputs it was measured; empty where it was not."""
    if not run.dependability:
        return ""
    names = joined([one.contender for one in run.dependability])
    inputs = run.dependability[0].plain.inputs
    return f"{names} on {count(inputs)} test inputs chosen at random, once test was open"
