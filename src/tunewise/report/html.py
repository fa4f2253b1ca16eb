"""Turns a run into one self-contained HTML page.

No script, no request to anywhere: the page's own content security policy forbids both. Everything
from the run goes through Jinja's autoescape or ElementTree: model output is text, never markup.
Prepares what the template shows; the template only lays it out.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from markupsafe import Markup

from tunewise import wording
from tunewise.report import plots
from tunewise.report.bases import base_rows
from tunewise.report.changes import what_would_change
from tunewise.report.cost_figures import tornado, total_cost
from tunewise.report.costs import cost_interval, cost_of, how_reckoned, saving_rows
from tunewise.report.dependability import (
    dependable_forms,
    dependable_plot,
    dependable_rows,
)
from tunewise.report.disagreements import Reply, disagreements
from tunewise.report.figures import forest, key_figures, latency, role_of, scatter
from tunewise.report.flips import forgotten
from tunewise.report.internalised import internalised_sentence
from tunewise.report.judged import judged_lines
from tunewise.report.learning_curve import curves_missing, curves_shown, learner
from tunewise.report.more_rows import prospects
from tunewise.report.pages import Clip, clip, page_template, with_code
from tunewise.report.questions import when_to_fine_tune
from tunewise.report.segments import (
    label_noise_sentence,
    segment_rows,
    segments_plot,
    segments_sentence,
)
from tunewise.report.sentences import (
    brief,
    chose,
    headline,
    lead,
    seeds,
    what_was_measured,
)
from tunewise.report.summary import left_out, summary
from tunewise.runs.schema import ContenderResult, Json, Run
from tunewise.types import JsonValue

_MAX_SETTING, _MAX_TRIAL_VALUE, _MAX_TRIALS = 2_000, 160, 60


@dataclass(frozen=True, kw_only=True, slots=True)
class _ContenderRow:
    """One measured contender in the table."""

    name: str
    role: plots.Role
    tags: tuple[str, ...]
    quality: str
    interval: str
    seeds: str
    bar: Markup
    difference: str
    difference_interval: str
    prompt: str
    completion: str
    latency: str
    latency_detail: str
    fit: str
    errors: str
    cost: str
    cost_interval: str


@dataclass(frozen=True, kw_only=True, slots=True)
class _Chosen:
    """What one contender chose on dev and spent on it."""

    name: str
    role: plots.Role
    settings: tuple[tuple[str, str], ...]
    facts: tuple[tuple[str, str], ...]
    said: str
    """The settings in one line."""
    spent: str
    """Tokens, all kinds together, and time."""
    trial_columns: tuple[str, ...]
    trials: tuple[tuple[str, ...], ...]
    trials_left_out: int


@dataclass(frozen=True, kw_only=True, slots=True)
class _Reply:
    """One answer, side by side with the others."""

    contenders: tuple[str, ...]
    answer: Clip
    crashed: bool
    value: str
    share: float
    reason: str


@dataclass(frozen=True, kw_only=True, slots=True)
class _Shown:
    """One example on which the contenders disagree."""

    place: str
    """Where the row stands: `file:line`, else its id."""
    input: Clip
    target: Clip
    replies: tuple[_Reply, ...]


def render_html(run: Run) -> str:
    """The page as text, less than 1 MB."""
    return page_template("report.html").render(_shown_of(run), with_examples=True)


def render_body(run: Run) -> Markup:
    """What stands on the page, without its frame and without the rows on which contenders
    disagree: answers and scores of the run are not looked at."""
    text = page_template("report_body.html").render(_shown_of(run), with_examples=False)
    return Markup(text)  # noqa: S704  a template of ours, with every value escaped


def _shown_of(run: Run) -> dict[str, object]:
    """Name in the templates -> what is shown."""
    found = disagreements(run)
    shown = tuple(
        _Shown(
            place=item.example.place or f"id {item.example.id}",
            input=clip(item.example.input),
            target=clip(item.example.target),
            replies=tuple(map(_reply, item.replies)),
        )
        for item in found.chosen
    )
    return {
        "run": run,
        "with_code": with_code,
        "headline": headline(run),
        "lead": lead(run),
        "left_out": left_out(run),
        "said": summary(run),
        "prospects": prospects(run),
        "learner": learner(run),
        "curves": curves_shown(run),
        "curves_missing": curves_missing(run),
        "figures": key_figures(run),
        "forest": forest(run),
        "scatter": scatter(run),
        "latency": latency(run),
        "forgotten": forgotten(run),
        "rows": [_row(run, contender) for contender in _ranked(run)],
        "savings": saving_rows(run),
        "reckoned": how_reckoned(run.economics) if run.economics else "",
        "total_cost": total_cost(run),
        "tornado": tornado(run),
        "with_cost": any(c.cost is not None for c in run.measured),
        "bases": base_rows(run),
        "internalised": internalised_sentence(run),
        "judged": judged_lines(run),
        "segments": segment_rows(run),
        "segments_said": segments_sentence(run),
        "segments_plot": segments_plot(run),
        "label_noise": label_noise_sentence(run),
        "dependable": dependable_rows(run),
        "dependable_form": dependable_forms(run),
        "dependable_plot": dependable_plot(run),
        "found": found,
        "shown": shown,
        "chosen": [_chosen(run, contender) for contender in _ranked(run)],
        "findings": when_to_fine_tune(run),
        "changes": what_would_change(run),
        "measured": what_was_measured(run),
        "minimum_gain": wording.amount(run.decision.minimum_gain),
        "confidence": wording.stated_confidence(run.gain) if run.gain else "",
    }


def write_html(run: Run) -> Path:
    """Writes report.html into the run folder and returns its path."""
    path = run.folder / "report.html"
    path.write_text(render_html(run), encoding="utf-8")
    return path


def _ranked(run: Run) -> list[ContenderResult]:
    return sorted(run.measured, key=lambda c: -c.quality.value)


def _row(run: Run, contender: ContenderResult) -> _ContenderRow:
    quality, tokens, latency = contender.quality, contender.tokens, contender.latency
    role = role_of(run, contender.name)
    tags = [role] if role != "other" else []
    if contender.name == run.recommended:
        tags.insert(0, "recommended" if run.outcome != "undecided" else "use meanwhile")
    against = run.difference(contender.name, run.plan.incumbent or "")
    low, high = quality.lower, quality.upper
    bar = plots.IntervalRow(
        label=contender.name,
        value=100 * quality.value,
        low=100 * low,
        high=100 * high,
        text=wording.percent(quality.value),
        role=role,
    )
    return _ContenderRow(
        name=contender.name,
        role=role,
        tags=tuple(tags),
        quality=wording.percent(quality.value),
        interval=wording.percent_span(low, high) if quality.computed else "no interval",
        seeds=seeds(contender) or "",
        bar=Markup(plots.interval_bar(bar)),  # noqa: S704  built by ElementTree
        difference=wording.points(against.delta) if against else "",
        difference_interval=wording.points_span(against.low, against.high) if against else "",
        prompt=wording.mean_tokens(tokens.prompt) if tokens else "",
        completion=wording.mean_tokens(tokens.completion) if tokens else "",
        latency=wording.milliseconds(latency.p50) if latency else "",
        latency_detail=(
            wording.milliseconds_span(latency.p50_low, latency.p50_high)
            if latency and latency.p50_low is not None and latency.p50_high is not None
            else ""
        ),
        fit="" if contender.fit.seconds is None else wording.duration(contender.fit.seconds),
        errors=str(contender.errors) if contender.errors else "",
        cost=cost_of(contender),
        cost_interval=cost_interval(contender),
    )


def _chosen(run: Run, contender: ContenderResult) -> _Chosen:
    fit = contender.fit
    facts: list[tuple[str, str]] = []
    if contender.dev is not None:
        facts.append(("on dev", wording.percent(contender.dev)))
    facts += [
        (
            name.replace("_", " "),
            wording.percent(value) if 0 <= value <= 1 else wording.significant(value),
        )
        for name, value in contender.secondary.items()
    ]
    if contender.without_errors is not None and contender.errors:
        facts.append(
            (
                "without crashed answers",
                f"{wording.percent(contender.without_errors)} ({contender.errors} crashed)",
            )
        )
    if contender.retrieval:
        recall = contender.retrieval
        facts.append((f"recall at {recall.k}", wording.percent(recall.recall_at_k)))
    if contender.trained:
        facts.append(("seeds", seeds(contender) or str(contender.seeds)))
    facts += [(f"tokens {name}", wording.count(value)) for name, value in fit.tokens.items()]
    if fit.seconds is not None:
        facts.append(("time", wording.duration(fit.seconds)))
    columns = _columns(fit.trials)
    return _Chosen(
        name=contender.name,
        role=role_of(run, contender.name),
        settings=tuple(
            (name, _setting(value)) for name, value in fit.settings.items() if value is not None
        ),
        facts=tuple(facts),
        said=chose(contender, longest=48),
        spent=_spent(contender),
        trial_columns=columns,
        trials=tuple(
            tuple(brief(trial.get(c, ""), longest=_MAX_TRIAL_VALUE) for c in columns)
            for trial in fit.trials[:_MAX_TRIALS]
        ),
        trials_left_out=max(0, len(fit.trials) - _MAX_TRIALS),
    )


def _spent(contender: ContenderResult) -> str:
    parts: list[str] = []
    tokens = sum(contender.fit.tokens.values())
    if tokens:
        parts.append(f"{wording.count(tokens)} tokens")
    if contender.fit.seconds is not None:
        parts.append(wording.duration(contender.fit.seconds))
    return ", ".join(parts)


def _setting(value: JsonValue) -> str:
    """A setting in full; a prompt keeps its line breaks."""
    if isinstance(value, str):
        return value if len(value) <= _MAX_SETTING else value[:_MAX_SETTING] + "…"
    return brief(value, longest=_MAX_SETTING)


def _columns(trials: Sequence[Json]) -> tuple[str, ...]:
    """Every key that any trial has, in order of first appearance."""
    return tuple(dict.fromkeys(name for trial in trials for name in trial))


def _reply(reply: Reply) -> _Reply:
    value = reply.value
    return _Reply(
        contenders=reply.contenders,
        answer=clip(reply.text),
        crashed=reply.crashed,
        value="crashed" if reply.crashed else "–" if value is None else wording.percent(value),
        share=value or 0.0,
        reason=reply.reason or "",
    )
