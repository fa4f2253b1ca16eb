"""Shows models with a name: lists of versions, one version, and what tells two of them apart."""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass

from tunewise.runs.model_file import ModelFile
from tunewise.runs.records import visible
from tunewise.runs.registry import Content, Version
from tunewise.runs.registry_file import Event
from tunewise.runs.schema import ContenderResult, Quality
from tunewise.types import JsonValue
from tunewise.wording import (
    count,
    mean_tokens,
    milliseconds,
    milliseconds_span,
    money,
    percent,
    percent_span,
    plural,
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Difference:
    """One thing in which two models differ."""

    what: str
    a: str
    b: str
    """In words; empty where a model has none."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelDiff:
    """All in which two models differ."""

    a: str
    b: str
    differences: tuple[Difference, ...]
    note: str
    """What to know before two qualities are compared; empty where nothing is."""


def version_objects(content: Content) -> list[dict[str, object]]:
    """The versions as `models list --json` shows them."""
    return [
        {
            "name": version.id,
            "path": str(version.folder),
            "kind": "version",
            "aliases": [one.id for one in content.aliases if one.version == version.id],
            "lineage": asdict(version.lineage),
        }
        for version in content.versions
    ]


def version_lines(content: Content, models: Mapping[str, ModelFile | None]) -> list[str]:
    """A line for each version: what it is, how good it was, who points to it.

    Args:
        content: of the registry.
        models: id of each version -> what it is; None: it cannot be read.
    """
    lines: list[str] = []
    for version in content.versions:
        model = models.get(version.id)
        aliases = [one.id for one in content.aliases if one.version == version.id]
        parts = [
            version.id,
            "damaged: `tunewise models show` says how" if model is None else kind_in_words(model),
            _judged(model) if model else "",
            f"<- {', '.join(aliases)}" if aliases else "",
        ]
        lines.append("  ".join(part for part in parts if part))
    return lines


def model_lines(
    version: Version, model: ModelFile, content: Content, history: Sequence[Event]
) -> Iterator[str]:
    """All that is known of a version, a line each."""
    yield version.id
    facts = {
        "made": f"{when(version.created)} of {model.origin.project}, run {version.lineage.run}",
        "folder": str(version.folder),
        **facts_of(model),
        "verdict": visible(model.verdict.reason) if model.verdict else "",
        "aliases": ", ".join(one.id for one in content.aliases if one.version == version.id),
    }
    width = max(len(name) for name in facts)
    for name, text in facts.items():
        if text:
            yield f"  {name:<{width}}  {text}"
    about = [event for event in history if event.alias or event.number == version.number]
    if about:
        yield "  history"
        for event in about:
            yield f"    {when(event.time)}  {happened(event)}"


def diff_models(a: str, one: ModelFile, b: str, other: ModelFile) -> ModelDiff:
    """What differs between two models.

    Args:
        a: what the first is called.
        one: the first.
        b: what the second is called.
        other: the second.
    """
    left, right = _compared(one), _compared(other)
    found = [
        Difference(what=what, a=left.get(what, ""), b=right.get(what, ""))
        for what in {**left, **right}
        if left.get(what, "") != right.get(what, "")
    ]
    return ModelDiff(a=a, b=b, differences=tuple(found), note=_comparable(one, other))


def diff_lines(diff: ModelDiff) -> Iterator[str]:
    """The same for a terminal."""
    if not diff.differences:
        yield f"{diff.a} and {diff.b} are the same."
        return
    yield f"{diff.a} -> {diff.b}"
    for item in diff.differences:
        if "\n" in item.a + item.b:
            yield f"  {item.what}"
            yield from (f"    - {line}" for line in item.a.splitlines())
            yield from (f"    + {line}" for line in item.b.splitlines())
        else:
            yield f"  {item.what}: {item.a or 'none'} -> {item.b or 'none'}"
    if diff.note:
        yield diff.note


def kind_in_words(model: ModelFile) -> str:
    """`few_shot on smollm2-135m-instruct`."""
    if model.endpoint is not None:
        return f"{model.kind} at {model.endpoint.base_url} ({model.endpoint.model})"
    return f"{model.kind} on {model.base.name}" if model.base else model.kind


def _judged(model: ModelFile) -> str:
    if model.measured is None or model.verdict is None:
        return "not judged"
    return f"{model.verdict.metric} {_quality(model.measured.quality)}"


def facts_of(model: ModelFile) -> dict[str, str]:
    """What is shown of a model, and compared: name -> words, empty where there is nothing."""
    said, measured = model.verdict, model.measured
    return {
        "contender": visible(kind_in_words(model)),
        "base weights": (model.base.sha256 or "")[:12] if model.base else "",
        "licence": (model.base.licence or "") if model.base else "",
        "data": (model.origin.data or "")[:12],
        "quality": f"{_judged(model)} on {_rows(model)}" if said and measured else "",
        **_requests(measured),
        "general ability": model.retention.kept.sentence if model.retention else "",
    }


def _compared(model: ModelFile) -> dict[str, str]:
    settings = {f"settings.{key}": _text(value) for key, value in model.settings.items()}
    teacher = {f"teacher.{key}": _text(value) for key, value in model.teacher.items()}
    files = {
        "examples": model.files.get("examples.jsonl", "")[:12],
        "passages": model.files.get("passages.jsonl", "")[:12],
        "adapter": model.files.get("adapter/adapter_model.safetensors", "")[:12],
    }
    return {
        **facts_of(model),
        "instruction": visible(model.instruction),
        **settings,
        **teacher,
        "answer tokens": "" if model.max_tokens is None else count(model.max_tokens),
        "sentence model": model.embedder or "",
        **files,
    }


def _requests(measured: ContenderResult | None) -> dict[str, str]:
    if measured is None:
        return {}
    tokens, latency, cost = measured.tokens, measured.latency, measured.cost
    return {
        "tokens": f"{mean_tokens(tokens.prompt)} + {mean_tokens(tokens.completion)}"
        if tokens
        else "",
        "latency": _latency(latency.p50, latency.p50_low, latency.p50_high) if latency else "",
        "cost of 1,000": money(cost.per_1000_requests, cost.currency) if cost else "",
    }


def _latency(median: float, low: float | None, high: float | None) -> str:
    if low is None or high is None:
        return milliseconds(median)
    return f"{milliseconds(median)} ({milliseconds_span(low, high)})"


def _quality(quality: Quality) -> str:
    if quality.low is None or quality.high is None:
        return percent(quality.value)
    return f"{percent(quality.value)} ({percent_span(quality.low, quality.high)})"


def _rows(model: ModelFile) -> str:
    said = model.verdict
    if said is None:
        return ""
    return plural(said.n_test, "dev row" if said.first_opinion else "test row")


def _comparable(one: ModelFile, other: ModelFile) -> str:
    """Why the two qualities are no comparison; empty where they are of the same rows."""
    if one.verdict is None or other.verdict is None:
        return "One of them was never judged, so that nothing tells which is better."
    if one.verdict.metric != other.verdict.metric:
        return "They were judged by different metrics: their qualities do not compare."
    if one.origin.data != other.origin.data:
        return (
            "They were judged on different rows: their qualities do not compare. Judge both on "
            "the same ones with `tunewise eval`."
        )
    if one.origin.token == other.origin.token:
        return (
            "Their intervals are each one's own; how sure the difference is says the report of "
            f"run {one.origin.run}."
        )
    return ""


def happened(event: Event) -> str:
    """A line of the history of a model."""
    id_ = f"{event.name}@{event.alias or event.number}"
    target = f"{event.name}@{event.number}"
    return {
        "set": f"{id_} -> {target}",
        "rollback": f"{id_} rolled back to {target}",
        "unset": f"{id_} removed",
        "removed": f"{target} removed",
        "exported": f"exported to {event.facts.get('to')}: {event.facts.get('place')}",
    }[event.kind]


def _text(value: JsonValue) -> str:
    return visible(value if isinstance(value, str) else str(value))


def when(seconds: float) -> str:
    """A moment, local time."""
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))
