"""Turns a run folder into one typed `Run`.

The folder is the only input, so a report can be made again at any time. Missing optional keys are
None or empty; broken records are faults, reported together.
"""

import json
import tomllib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TypeVar, cast, get_args

from tunewise.errors import UserError
from tunewise.runs.folder import state_of
from tunewise.runs.json_object import JsonObject, visible, visible_value
from tunewise.runs.privacy import without_personal
from tunewise.runs.schema import (
    Contender,
    Decision,
    FitRecord,
    HeldOut,
    Json,
    Latency,
    Plan,
    Quality,
    Rule,
    Run,
    SplitSizes,
    Tokens,
)
from tunewise.types import Answer, Comparison, Constraint, JsonValue, Score, Usage

_Record = TypeVar("_Record")


def read_run(folder: Path) -> Run:
    """Reads verdict.json and, where kept, project.toml, test.jsonl, answers and scores.

    Raises:
        UserError: no verdict there yet, or records that cannot be read; all faults together.
    """
    path = folder / "verdict.json"
    if not path.is_file():
        if (folder / ".lock").exists() and state_of(folder) == "running":
            raise UserError(
                f"{folder}: this run is still going on in another process, and has no verdict "
                "yet. Wait for it to end."
            )
        raise UserError(
            f"{folder} holds no verdict.json, so it is no finished run. Name a folder such as "
            "runs/<id>, or finish the run with `tunewise decide PROJECT --resume`."
        )
    faults: list[str] = []
    verdict = _parse_verdict(path)
    decision = _read_decision(folder / "project.toml", verdict.get("decision"))
    places = _read_places(folder / "places.json")
    tests = tuple(
        replace(row, place=places.get(row.id))
        for row in _read_lines(folder / "test.jsonl", _held_out, faults)
    )
    answers = _read_lines(folder / "answers.jsonl", _answer, faults)
    scores = _read_lines(folder / "scores.jsonl", _score, faults)
    run = _run(
        folder,
        JsonObject(verdict, "verdict.json", faults),
        decision=decision,
        tests=tests,
        answers=answers,
        scores=scores,
    )
    if faults:
        shown = faults[:20]
        if len(faults) > len(shown):
            shown.append(f"... and {len(faults) - len(shown)} more.")
        shown.append(
            f"{folder} was changed or cut short. `tunewise decide PROJECT --resume` writes it anew."
        )
        raise UserError.together(shown)
    return run if _shows_personal(folder / "project.toml") else without_personal(run)


def _read_places(file: Path) -> dict[str, str]:
    """Example id -> `file:line`; a run without them, or with damaged ones, has none."""
    try:
        places = cast(object, json.loads(file.read_text(encoding="utf-8")))
    except (ValueError, OSError):
        return {}
    if not isinstance(places, dict):
        return {}
    pairs = cast(dict[str, object], places).items()
    return {visible(name): visible(place) for name, place in pairs if isinstance(place, str)}


def _shows_personal(project: Path) -> bool:
    """`report.show_personal` of the run's project.toml."""
    try:
        document = cast(dict[str, object], tomllib.loads(project.read_text(encoding="utf-8")))
    except (ValueError, OSError):
        return False
    table = document.get("report")
    return isinstance(table, dict) and cast(dict[str, object], table).get("show_personal") is True


def _parse_verdict(path: Path) -> Json:
    try:
        document = cast(object, json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, OSError) as fault:
        raise UserError(
            f"{path} cannot be read ({fault}). `tunewise decide PROJECT --resume` writes it anew."
        ) from fault
    if not isinstance(document, dict):
        raise UserError(f"{path} must hold one JSON object; this file was not written by Tunewise.")
    verdict = cast(dict[str, JsonValue], document)
    if verdict.get("schema", 1) != 1:
        raise UserError(
            f"{path} has schema {verdict['schema']!r}; this version reads schema 1. "
            "Use the version of Tunewise that made the run."
        )
    return verdict


def _read_decision(project: Path, written: JsonValue) -> Decision:
    """The demands from the verdict, else from the resolved project.toml, else the defaults."""
    values: Mapping[str, object] = written if isinstance(written, Mapping) else {}
    if not values and project.is_file():
        try:
            table = cast(object, tomllib.loads(project.read_text(encoding="utf-8")).get("decision"))
        except (ValueError, OSError) as fault:
            raise UserError(
                f"{project} cannot be read ({fault}). It is a copy made by the run: restore it."
            ) from fault
        values = cast(Mapping[str, object], table) if isinstance(table, dict) else {}

    def number(key: str) -> float | None:
        value = values.get(key)
        return float(value) if isinstance(value, int | float) else None

    gain = number("minimum_gain")
    return Decision(
        minimum_gain=Decision().minimum_gain if gain is None else gain,
        minimum_quality=number("minimum_quality"),
        maximum_latency_ms=number("maximum_latency_ms"),
        retention_margin=number("retention_margin"),
    )


def _read_lines(
    path: Path, parse: Callable[[JsonObject], _Record], faults: list[str]
) -> tuple[_Record, ...]:
    """One record a line; none when the run keeps no such file."""
    if not path.is_file():
        return ()
    records: list[_Record] = []
    # Split at line feeds alone: JSON strings may hold U+2028, which str.splitlines cuts at.
    for number, line in enumerate(path.read_bytes().split(b"\n"), start=1):
        if not line.strip():
            continue
        where = f"{path.name}:{number}"
        try:
            value = cast(object, json.loads(line))
        except ValueError as fault:
            faults.append(f"{where}: not JSON ({fault}).")
            continue
        if isinstance(value, dict):
            record = cast(dict[str, JsonValue], value)
            records.append(parse(JsonObject(record, where, faults)))
        else:
            faults.append(f"{where}: not a JSON object.")
    return tuple(records)


def _held_out(record: JsonObject) -> HeldOut:
    return HeldOut(
        id=record.required_text("id"),
        input=record.required_text("input"),
        target=record.required_text("target"),
    )


def _answer(record: JsonObject) -> Answer:
    text, error = record.text("text"), record.text("error")
    if (text is None) == (error is None):
        record.faults.append(f"{record.where}: exactly one of `text` and `error` must be given.")
        text, error = "", None
    usage = record.object("usage")
    return Answer(
        example_id=record.required_text("example_id"),
        contender=record.required_text("contender"),
        seed=record.integer("seed", 0) or 0,
        text=text,
        error=error,
        usage=Usage(
            prompt_tokens=usage.integer("prompt_tokens", 0) or 0,
            cached_tokens=usage.integer("cached_tokens", 0) or 0,
            completion_tokens=usage.integer("completion_tokens", 0) or 0,
        ),
        seconds=record.number("seconds") or 0.0,
        passages=record.texts("passages"),
    )


def _score(record: JsonObject) -> Score:
    return Score(
        example_id=record.required_text("example_id"),
        contender=record.required_text("contender"),
        seed=record.integer("seed", 0) or 0,
        metric=record.required_text("metric"),
        value=record.number("value"),
        reason=record.text("reason"),
    )


def _contender(record: JsonObject) -> Contender:
    skipped = record.text("skipped")
    retrieval, cost = record.object("retrieval"), record.object("cost")
    return Contender(
        name=record.required_text("name"),
        skipped=skipped,
        quality=None if skipped is not None else _quality(record.object("quality")),
        dev=record.number("dev"),
        trained=record.flag("trained"),
        ceiling=record.flag("ceiling"),
        seeds=record.integer("seeds", 1) or 1,
        errors=record.integer("errors", 0) or 0,
        without_errors=record.number("without_errors"),
        secondary=record.numbers("secondary"),
        tokens=_tokens(record.object("tokens")),
        latency=_latency(record.object("latency_ms")),
        cost_per_1000=cost.number("per_1000_requests"),
        currency=cost.text("currency"),
        fit=_fit(record.object("fit")),
        recall_at_k=retrieval.number("recall_at_k"),
        recall_k=retrieval.integer("k"),
        by_seed={
            int(seed): value
            for seed, value in record.numbers("by_seed").items()
            if seed.isdecimal()
        },
    )


def _quality(record: JsonObject) -> Quality:
    low, high = record.number("low"), record.number("high")
    return Quality(
        value=record.required_number("value"),
        low=0.0 if low is None else low,
        high=1.0 if high is None else high,
        computed=low is not None and high is not None,
    )


def _tokens(record: JsonObject) -> Tokens | None:
    prompt = record.number("prompt")
    if prompt is None:
        return None
    return Tokens(
        prompt=prompt,
        cached=record.number("cached") or 0.0,
        completion=record.number("completion") or 0.0,
    )


def _latency(record: JsonObject) -> Latency | None:
    p50 = record.number("p50")
    if p50 is None:
        return None
    return Latency(
        p50=p50,
        p95=record.number("p95"),
        n=record.integer("n"),
        first_token_p50=record.number("first_token_p50"),
    )


def _fit(record: JsonObject) -> FitRecord:
    return FitRecord(
        seconds=record.number("seconds"),
        settings=record.mapping("settings"),
        tokens={name: round(value) for name, value in record.numbers("tokens").items()},
        trials=tuple(cast(Json, visible_value(t.values)) for t in record.objects("trials")),
    )


def _comparison(record: JsonObject, *, metric: str, n_test: int) -> Comparison:
    p = record.required_number("p")
    adjusted = record.number("p_adjusted")
    return Comparison(
        a=record.required_text("a"),
        b=record.required_text("b"),
        metric=record.text("metric") or metric,
        n=record.integer("n", n_test) or 0,
        groups=record.integer("groups", n_test) or 0,
        delta=record.required_number("delta"),
        low=record.required_number("low"),
        high=record.required_number("high"),
        p=p,
        p_adjusted=p if adjusted is None else adjusted,
        method=record.text("method") or "",
        computed="computed" not in record.values or record.flag("computed"),
    )


def _constraint(record: JsonObject) -> Constraint:
    return Constraint(
        name=record.required_text("name"),
        contender=record.required_text("contender"),
        met=record.flag("met"),
        detail=record.text("detail") or "",
    )


def _plan(record: JsonObject, comparisons: Sequence[Comparison]) -> Plan:
    """The plan as written; a verdict without one names its two sides in its first comparison."""
    first = comparisons[0] if comparisons and not record.values else None
    return Plan(
        incumbent=first.b if first else record.text("incumbent"),
        challenger=first.a if first else record.text("challenger"),
        shipped_seed=record.integer("shipped_seed"),
        futile=record.flag("futile"),
        written_before_test=record.flag("written_before_test"),
    )


def _splits(record: JsonObject) -> SplitSizes | None:
    if not record.values:
        return None
    return SplitSizes(
        train=record.integer("train", 0) or 0,
        dev=record.integer("dev", 0) or 0,
        test=record.integer("test", 0) or 0,
        groups=record.integer("groups"),
        fingerprint=record.text("fingerprint"),
        unused_test=record.integer("unused_test", 0) or 0,
        unused={name: round(rows) for name, rows in record.numbers("unused").items() if rows > 0},
    )


def _rule(record: JsonObject, outcome: str, contenders: Sequence[Contender]) -> Rule:
    rule = record.text("rule")
    if rule in get_args(Rule):
        return cast(Rule, rule)
    if rule is not None:
        record.faults.append(f"{record.where}: `rule` must be one of {', '.join(get_args(Rule))}.")
    if outcome == "undecided":
        return "cannot_tell"
    return (
        "worth_more" if any(c.name == outcome and c.trained for c in contenders) else "not_worth_it"
    )


def _run(
    folder: Path,
    verdict: JsonObject,
    *,
    decision: Decision,
    tests: tuple[HeldOut, ...],
    answers: tuple[Answer, ...],
    scores: tuple[Score, ...],
) -> Run:
    task, model = verdict.object("task"), verdict.object("model")
    outcome = verdict.required_text("outcome")
    metric = verdict.text("metric") or task.text("metric") or "quality"
    n_test = verdict.integer("n_test", len(tests)) or 0
    contenders = tuple(_contender(item) for item in verdict.objects("contenders"))
    if not contenders:
        verdict.faults.append("verdict.json: `contenders` must name at least one contender.")
    comparisons = tuple(
        _comparison(item, metric=metric, n_test=n_test) for item in verdict.objects("comparisons")
    )
    return Run(
        folder=folder,
        outcome=outcome,
        recommended=verdict.text("recommended"),
        reason=verdict.required_text("reason"),
        rule=_rule(verdict, outcome, contenders),
        question=verdict.text("question"),
        instruction=task.text("instruction"),
        kind=task.text("kind"),
        metric=metric,
        n_test=n_test,
        test_set_uses=verdict.integer("test_set_uses", 1) or 1,
        contenders=contenders,
        comparisons=comparisons,
        constraints=tuple(_constraint(item) for item in verdict.objects("constraints")),
        examples_needed=verdict.integer("examples_needed"),
        plan=_plan(verdict.object("plan"), comparisons),
        decision=decision,
        splits=_splits(verdict.object("splits")),
        base=model.text("base"),
        engine=model.text("engine"),
        engine_why=model.text("why"),
        notes=verdict.texts("notes"),
        reproduce=verdict.text("reproduce"),
        retention=verdict.mapping("retention"),
        economics=verdict.mapping("economics"),
        learning_curve=verdict.mapping("learning_curve"),
        tests=tests,
        answers=answers,
        scores=scores,
    )
