"""Turns `tunewise.toml`, or a bare data file, and `key=value` overrides into a checked `Project`.

Every fault is reported, all together, with its line. It knows nothing of what a contender, a
model or a metric does: only their names, and which values make sense.
"""

import json
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import cast
from urllib.parse import urlsplit

from tunewise.errors import UserError
from tunewise.project.infer_task import Inference, infer_task
from tunewise.project.settings import (
    ADAPTERS,
    AUTO,
    CONTENDERS,
    DEFAULT_METRICS,
    ENGINES,
    INITIALISATIONS,
    KINDS,
    METHODS,
    METRICS,
    OPENAI_URL,
    PREFERENCE_LOSSES,
    SCHEDULES,
    STARTER_MODEL,
    THINKING_TOKENS,
    TRACKERS,
    USUAL_CONTENDERS,
    Auto,
    Contenders,
    Data,
    Decision,
    Endpoint,
    Model,
    Prices,
    Project,
    Report,
    Task,
    Training,
)
from tunewise.project.toml_reader import (
    FILE_NAME,
    Faults,
    Table,
    apply_override,
    read_project_file,
    suggest,
)
from tunewise.text.comparison import label_form
from tunewise.text.labels import visible
from tunewise.types import Kind

DEMO = "support_triage"
"""Folder of the embedded example."""

__all__ = [
    "ADAPTERS",
    "AUTO",
    "CONTENDERS",
    "DEFAULT_METRICS",
    "ENGINES",
    "FILE_NAME",
    "INITIALISATIONS",
    "KINDS",
    "METHODS",
    "METRICS",
    "OPENAI_URL",
    "PREFERENCE_LOSSES",
    "SCHEDULES",
    "STARTER_MODEL",
    "TRACKERS",
    "USUAL_CONTENDERS",
    "Auto",
    "Contenders",
    "Data",
    "Decision",
    "Endpoint",
    "Inference",
    "Model",
    "Prices",
    "Project",
    "Report",
    "Task",
    "Training",
    "infer_task",
    "load_project",
    "resolved_toml",
]
_SECTIONS = ("task", "data", "model", "contenders", "training", "decision", "prices", "report")
_COLUMN_KEYS = ("input", "output", "messages", "chosen", "rejected", "text", "weight")
# A text such as `2024` stays a text under these keys.
_TEXT_KEYS = {
    ("task", "instruction"),
    *(("data", key) for key in ("examples", "train", "dev", "test", "documents")),
    *(("data", key) for key in ("preferences", "replay")),
    *(("data", key) for key in ("group", *_COLUMN_KEYS)),
    ("model", "base"),
    ("training", "start"),
}


def load_project(
    path: Path, overrides: Sequence[str] = (), *, options: Mapping[str, str] | None = None
) -> Project:
    """Reads and checks a project.

    Args:
        path: a folder with `tunewise.toml`, that file, or a data file (all else is inferred).
        overrides: `key=value` with a TOML value, such as `training.epochs=2`; what is no TOML
            value is taken as text. Paths among them start from the current folder.
        options: name of an option, such as `--seed` -> what it stands for, written likewise. An
            override of the same key wins.

    Raises:
        UserError: with every fault, one a line, `file:line: key: what is wrong. What to do.`
    """
    source, text, values = read_project_file(path)
    faults = Faults(source, text)
    for option, override in (options or {}).items():
        apply_override(override, values, faults, _TEXT_KEYS)
        faults.options[_key(override)] = option
    for override in overrides:
        apply_override(override, values, faults, _TEXT_KEYS)
        faults.options.pop(_key(override), None)
    top = Table(values, (), source.parent.absolute(), faults)
    root = top.place("root") or Path(os.path.abspath(source.parent))
    sections = {name: _section(top, name, root) for name in _SECTIONS}
    top.close()
    project = Project(
        root=root,
        task=_read_task(sections["task"]),
        data=_read_data(sections["data"]),
        model=_read_model(sections["model"]),
        contenders=_read_contenders(sections["contenders"]),
        training=_read_training(sections["training"]),
        decision=_read_decision(sections["decision"]),
        prices=_read_prices(sections["prices"]),
        report=Report(show_personal=sections["report"].flag("show_personal")),
    )
    for table in sections.values():
        table.close()
    faults.raise_any()
    return project


def _key(override: str) -> tuple[str, ...]:
    return tuple(part.strip() for part in override.partition("=")[0].split("."))


def _section(top: Table, name: str, root: Path) -> Table:
    value = top.values.get(name, {})
    top.asked.append(name)
    if not isinstance(value, dict):
        top.fault(name, f"must be a table. Write [{name}] on a line of its own.")
        value = {}
    return Table(cast(dict[str, object], value), (name,), root, top.faults)


def _read_task(table: Table) -> Task:
    kind = table.choice("kind", KINDS, "")
    labels = table.texts("labels")
    if labels is not None and len(labels) < 2:
        table.fault("labels", "a classification needs at least two labels. Add them or remove it.")
    alike: dict[str, list[str]] = {}
    for label in labels or ():
        alike.setdefault(label_form(label), []).append(f'"{visible(label)}"')
    for spellings in alike.values():
        if len(set(spellings)) > 1:
            table.fault(
                "labels",
                f"{', '.join(spellings)} are one label to whoever reads an answer. Keep one of "
                "them, or name them so that more than case, spacing or a full stop differs.",
            )
    metric = table.text("metric")
    if metric == "judge":
        table.fault("metric", "judge is not built yet. Choose rouge_l, token_f1 or chrf.")
    elif metric and metric not in METRICS and not re.fullmatch(r"[A-Za-z_][\w.]*:\w+", metric):
        hint = suggest(metric, METRICS)
        table.fault("metric", f'"{metric}" is unknown. {hint} Or write "module:function".')
    return Task(
        instruction=table.text("instruction") or "",
        kind=cast(Kind, kind) if kind else None,
        labels=labels,
        metric=metric,
    )


def _read_data(table: Table) -> Data:
    data = Data(
        examples=table.sources("examples"),
        train=table.sources("train"),
        dev=table.sources("dev"),
        test=table.sources("test"),
        documents=table.places("documents"),
        preferences=table.sources("preferences"),
        replay=table.sources("replay"),
        group=table.text("group"),
        **{key: table.text(key) for key in _COLUMN_KEYS},
        test_size=table.number("test_size", 0.05, 0.8),
        limit_train=table.integer("limit_train", 1, 10**9),
        limit_test=table.integer("limit_test", 1, 10**9),
        seed=table.integer("seed", 0, 2**31 - 1) or 0,
    )
    given = table.values.keys()
    own = [key for key in ("train", "dev", "test") if key in given]
    if "examples" in given and own:
        table.fault(own[0], "cannot stand beside examples. Keep one of the two.")
    elif own and not {"train", "test"} <= set(own):
        missing = "test" if "train" in own else "train"
        table.fault(missing, "is missing. Give train and test, or examples alone to have it split.")
    elif not own and "examples" not in given:
        table.fault("examples", 'is missing. Name your data file: examples = "examples.jsonl".')
    if own and "test_size" in given:
        table.fault("test_size", "has no effect on a split of your own. Remove it.")
    _check_columns(table)
    return data


def _check_columns(table: Table) -> None:
    given = table.values.keys()
    if ("chosen" in given) != ("rejected" in given):
        missing = "rejected" if "chosen" in given else "chosen"
        table.fault(missing, "is missing. Name the columns of chosen and rejected together.")
    elif "chosen" not in given and ("input" in given) != ("output" in given):
        missing = "output" if "input" in given else "input"
        table.fault(missing, "is missing. Name the columns of input and output together.")
    ways = [key for key in ("output", "messages", "chosen", "text") if key in given]
    if len(ways) > 1:
        what = f"cannot stand beside {ways[0]}: a row is read in one way. Keep one of the two."
        table.fault(ways[1], what)


def _read_model(table: Table) -> Model:
    base = table.text("base") or STARTER_MODEL
    if base.startswith((".", "/", "~")) or base.endswith(".gguf"):
        base = str(table.existing("base", base) or base)
    elif "/" in base and os.path.exists(table.root / base):
        base = os.path.abspath(table.root / base)
    return Model(
        base=base,
        engine=table.choice("engine", ENGINES, AUTO),
        base_url=_read_url(table),
        api_key_env=_read_key_name(table),
        concurrency=table.integer("concurrency", 1, 256) or 4,
        thinking=table.flag_or_auto("thinking"),
        thinking_tokens=table.integer("thinking_tokens", 16, 10**6) or THINKING_TOKENS,
    )


def _read_url(table: Table) -> str:
    url = table.text("base_url") or OPENAI_URL
    try:
        parts = urlsplit(url)
        sound = parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        return table.fault("base_url", "is no address. Write http(s)://host/v1.") or url
    if not sound:
        table.fault("base_url", "is no address. Write it as http(s)://host:port/v1.")
    elif "@" in parts.netloc:
        table.fault("base_url", "holds a password. Put keys into the environment (api_key_env).")
    return url


def _read_key_name(table: Table) -> str:
    name = table.text("api_key_env") or "OPENAI_API_KEY"
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
        # The value is not repeated: it may be the key itself.
        table.fault(
            "api_key_env",
            "must be the name of an environment variable, never the key itself. "
            'Write "OPENAI_API_KEY".',
        )
    return name


def _read_contenders(table: Table) -> Contenders:
    endpoints = [
        _read_endpoint(table, name, cast(dict[str, object], value))
        for name, value in table.values.items()
        if isinstance(value, dict)
    ]
    table.asked.extend(endpoint.name for endpoint in endpoints)
    names = [endpoint.name for endpoint in endpoints]
    use = table.texts("use")
    if use is None:
        use = USUAL_CONTENDERS
    elif ("contenders", "use") in table.faults.overridden:
        endpoints = [endpoint for endpoint in endpoints if endpoint.name in use]
    for name in use:
        if name not in CONTENDERS and name not in names:
            hint = suggest(name, (*CONTENDERS, *names))
            table.fault("use", f'"{name}" is unknown. {hint}')
    if not use and not endpoints:
        table.fault("use", f"is empty. Name some of: {', '.join(CONTENDERS)}.")
    automatic = table.is_auto("budget_tokens")
    budget = None if automatic else table.integer("budget_tokens", 1, 10**12)
    return Contenders(
        use=tuple(name for name in CONTENDERS if name in use),
        variants=table.texts("variants") or (),
        budget_tokens=budget or AUTO,
        limit=table.integer("limit", 1, 10**9),
        endpoints=tuple(endpoints),
    )


def _read_endpoint(parent: Table, name: str, values: Mapping[str, object]) -> Endpoint:
    table = Table(values, (*parent.path, name), parent.root, parent.faults)
    if name in CONTENDERS or not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]*", name):
        parent.fault(name, "cannot be an endpoint's name. Choose letters and digits of your own.")
    if table.choice("type", ("openai",), "") == "" and "type" not in values:
        table.fault("type", 'is missing. Write type = "openai".')
    model = table.text("model")
    if model is None and "model" not in values:
        table.fault("model", "is missing. Write the model's name at the endpoint.")
    endpoint = Endpoint(
        name=name,
        model=model or "",
        base_url=_read_url(table),
        candidate=table.flag("candidate"),
        api_key_env=_read_key_name(table),
        concurrency=table.integer("concurrency", 1, 256) or 4,
        thinking=table.flag_or_auto("thinking"),
        thinking_tokens=table.integer("thinking_tokens", 16, 10**6) or THINKING_TOKENS,
    )
    table.close()
    return endpoint


def _read_training(table: Table) -> Training:
    def auto_integer(key: str, high: int) -> int | Auto:
        return AUTO if table.is_auto(key) else table.integer(key, 1, high) or AUTO

    def auto_number(key: str, low: float, high: float) -> float | Auto:
        return AUTO if table.is_auto(key) else table.number(key, low, high) or AUTO

    standard = Training()
    training = Training(
        method=table.choice("method", METHODS, standard.method),
        start=table.place("start"),
        loss=table.choice("loss", PREFERENCE_LOSSES, standard.loss),
        beta=table.number("beta", 0.001, 100) or standard.beta,
        label_smoothing=table.number("label_smoothing", 0, 0.499) or 0.0,
        adapter=table.choice("adapter", ADAPTERS, standard.adapter),
        initialisation=table.choice("initialisation", INITIALISATIONS, standard.initialisation),
        rank=16 if table.is_auto("rank") else table.integer("rank", 1, 1024) or 16,
        alpha=auto_number("alpha", 0.01, 10_000),
        dropout=table.number("dropout", 0, 0.9) or 0.0,
        learning_rate=auto_number("learning_rate", 1e-8, 1.0),
        epochs=auto_integer("epochs", 1000),
        batch_tokens=auto_integer("batch_tokens", 10**8),
        schedule=table.choice("schedule", SCHEDULES, standard.schedule),
        weight_decay=table.number("weight_decay", 0, 10) or 0.0,
        replay_share=_or(table.number("replay_share", 0, 10), standard.replay_share),
        save_memory=table.flag("save_memory"),
        track=table.texts("track") or (),
        seeds=3 if table.is_auto("seeds") else table.integer("seeds", 1, 20) or 3,
    )
    _check_training(table, training)
    return training


def _check_training(table: Table, training: Training) -> None:
    """What does not go together."""
    for name in training.track:
        if name not in TRACKERS:
            table.fault("track", f'"{name}" is unknown. {suggest(name, TRACKERS)}')
    starts = training.initialisation != "default"
    if starts and training.adapter not in ("lora", "rslora"):
        what = f"goes with lora and rslora, not with {training.adapter}. Remove one of the two."
        table.fault("initialisation", what)
    if training.method == "distill" and training.adapter == "full":
        table.fault(
            "adapter",
            "full leaves no base to be the teacher of distill. Choose lora.",
        )
    if training.method == "distill" and training.initialisation.startswith(("pissa", "olora")):
        what = f"{training.initialisation} changes the base, which is the teacher of distill."
        table.fault("initialisation", f"{what} Use default.")
    if training.loss != "sigmoid" and training.label_smoothing:
        table.fault("label_smoothing", f"belongs to the loss sigmoid, not {training.loss}.")


def _or(value: float | None, otherwise: float) -> float:
    return otherwise if value is None else value


def _read_decision(table: Table) -> Decision:
    gain = table.number("minimum_gain", 0.001, 1)
    margin = table.number("retention_margin", 0, 1)
    standard = Decision()
    return Decision(
        minimum_gain=standard.minimum_gain if gain is None else gain,
        minimum_quality=table.number("minimum_quality", 0, 1),
        retention_margin=standard.retention_margin if margin is None else margin,
        maximum_latency_ms=table.number("maximum_latency_ms", 0.001, 10**9),
        monthly_requests=table.integer("monthly_requests", 1, 10**12),
    )


def _read_prices(table: Table) -> Prices:
    return Prices(
        currency=table.text("currency") or "USD",
        prompt_tokens=table.number("prompt_tokens", 0, 10**6),
        cached_tokens=table.number("cached_tokens", 0, 10**6),
        completion_tokens=table.number("completion_tokens", 0, 10**6),
        training_hour=table.number("training_hour", 0, 10**6),
        hosting_hour=table.number("hosting_hour", 0, 10**6),
    )


def resolved_toml(project: Project) -> str:
    """The project as TOML, paths absolute; `load_project` reads an equal project from it."""
    lines = [f"root = {_toml(str(project.root))}"]
    for section in _SECTIONS:
        table = getattr(project, section)
        lines += ["", f"[{section}]", *_toml_lines(table)]
    for endpoint in project.contenders.endpoints:
        lines += ["", f"[contenders.{_toml(endpoint.name)}]", *_toml_lines(endpoint)]
    return "\n".join(lines) + "\n"


def _toml_lines(table: object) -> list[str]:
    assert is_dataclass(table)  # noqa: S101 (narrows the type; callers pass settings)
    values = {entry.name: getattr(table, entry.name) for entry in fields(table)}
    skipped = ("endpoints", "name") if isinstance(table, Endpoint) else ("endpoints",)
    return [
        f"{key} = {_toml(value)}"
        for key, value in values.items()
        if key not in skipped and value is not None and value != ""
    ]


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, tuple):
        return "[" + ", ".join(_toml(item) for item in cast(tuple[object, ...], value)) + "]"
    return json.dumps(str(value), ensure_ascii=False).replace("\x7f", "\\u007f")


def demo_folder() -> Path:
    """The embedded example project: beside the sources, or inside the installed package.

    Raises:
        UserError: the package was installed without it.
    """
    package = Path(__file__).parent
    for examples in (package.parent.parent / "examples", package / "examples"):
        folder = examples / DEMO
        if (folder / FILE_NAME).is_file():
            return folder
    raise UserError("The embedded example is missing. Install tunewise again.")
