"""Turns `tunewise.toml`, or a bare data file, and `key=value` overrides into a checked `Project`.

What one value may be, the settings say; what does not go together is said here. Every fault is
reported, all together, with its line.
"""

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple, TypeVar, cast

import tomli_w
from pydantic import TypeAdapter, ValidationError

from tunewise.project.constraints import suggest
from tunewise.project.faults import Faults, Key, in_words
from tunewise.project.places import Places
from tunewise.project.schema import section_records, section_schema
from tunewise.project.settings import (
    CONTENDERS,
    ENDPOINT_NAME,
    OTHER_CONTENDERS,
    RANKING_METRICS,
    SEARCHING_CONTENDERS,
    Contenders,
    Data,
    DecisionSettings,
    Endpoint,
    JudgeSettings,
    Model,
    Prices,
    Project,
    ReportSettings,
    Task,
    TrainingSettings,
)
from tunewise.project.toml_reader import apply_override, read_project_file
from tunewise.text.comparison import label_form
from tunewise.text.labels import visible

_Record = TypeVar("_Record")


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
    texts = _text_keys() if options or overrides else set[Key]()
    for option, override in (options or {}).items():
        apply_override(override, values, faults, texts)
        faults.options[_key(override)] = option
    for override in overrides:
        apply_override(override, values, faults, texts)
        faults.options.pop(_key(override), None)
    records = section_records()
    for name in values.keys() - records.keys() - {"root"}:
        faults.add((name,), f"unknown key. {suggest(name, ('root', *records))}")
    root = _read_root(values, source.parent.absolute(), faults)
    tables = {name: _Table.of(values, name, root, faults) for name in records}
    task, data = _read_task(tables["task"]), _read_data(tables["data"])
    searches = task.kind == "search"
    prices = tables["prices"].read(Prices)
    contenders = _read_contenders(tables["contenders"], searches=searches)
    if task.metric is not None and ":" not in task.metric:
        _check_metric(task, faults)
    if searches and contenders.endpoints:
        what = 'answers in words, and [task] kind = "search" ranks documents. Remove the table.'
        faults.add(("contenders", contenders.endpoints[0].name), what)
    if searches and data.documents is None:
        faults.add(
            ("task", "kind"),
            'search needs documents to find. Name them: [data] documents = "docs/".',
        )
    for endpoint in contenders.endpoints:
        if endpoint.currency is not None and endpoint.currency != prices.currency:
            faults.add(
                ("contenders", endpoint.name, "currency"),
                f"is {endpoint.currency}, but [prices] are in {prices.currency}. Write all prices "
                "in one currency, and name it under [prices].",
            )
    model = _read_model(tables["model"])
    project = Project(
        root=root,
        task=task,
        data=data,
        model=model,
        contenders=contenders,
        training=_read_training(tables["training"]),
        decision=tables["decision"].read(DecisionSettings),
        prices=prices,
        report=tables["report"].read(ReportSettings),
        judge=_read_judge(tables["judge"], model, contenders),
    )
    faults.raise_any()
    return project


def _key(override: str) -> Key:
    return tuple(part.strip() for part in override.partition("=")[0].split("."))


@cache
def _text_keys() -> set[Key]:
    """Keys under which `2024` is a text as well."""

    def takes_any_text(schema: Mapping[str, Any]) -> bool:
        kinds = [
            kind for kind in schema.get("anyOf", [schema]) if not {"const", "enum"} & set(kind)
        ]
        types = {kind["type"] for kind in kinds}
        return "string" in types and types <= {"string", "array"}

    return {
        (name, key)
        for name, record in section_records().items()
        for key, schema in section_schema(record)["properties"].items()
        if takes_any_text(schema)
    }


class _Table(NamedTuple):
    """One table of the file, and where its faults go."""

    values: Mapping[str, object]
    path: Key
    root: Path
    faults: Faults

    @classmethod
    def of(cls, values: Mapping[str, object], name: str, root: Path, faults: Faults) -> "_Table":
        """A section, empty where it is none."""
        value = values.get(name, {})
        if not isinstance(value, dict):
            faults.add((name,), f"must be a table. Write [{name}] on a line of its own.")
            value = {}
        return cls(cast(dict[str, object], value), (name,), root, faults)

    def fault(self, key: str, what: str) -> None:
        """Notes that `key` of this table is wrong: `what` says what is wrong and what to do."""
        self.faults.add((*self.path, key), what)

    def read(self, record: type[_Record], **needed: object) -> _Record:
        """The table as its record. Keys that are wrong are noted, and have their default in it.

        Args:
            record: what the table holds.
            needed: values of keys that have no default, where the table has none.
        """
        typed = {key for key in self.values if (*self.path, key) in self.faults.overridden}
        places, adapter = Places(root=self.root, typed=typed), _adapter(record)
        try:
            return adapter.validate_python({**needed, **self.values}, context=places)
        except ValidationError as error:
            wrong = in_words(error, section_schema(record))
        for key, what in wrong:
            self.fault(key, what)
        sound = {key: self.values[key] for key in self.values.keys() - dict(wrong).keys()}
        return adapter.validate_python({**needed, **sound}, context=places)


@cache
def _adapter(record: type[_Record]) -> TypeAdapter[_Record]:
    return TypeAdapter(record)


def _read_root(values: Mapping[str, object], folder: Path, faults: Faults) -> Path:
    """Where paths start from: `root` at the top of the file, as a run folder keeps it."""
    given = values.get("root", str(folder))
    if not isinstance(given, str) or not given.strip():
        faults.add(("root",), "must be a text. Write it in quotes.")
        return folder
    places = Places(root=folder, typed={"root"} if ("root",) in faults.overridden else ())
    tried = places.tried("root", given)
    found = next((Path(name) for name in tried if os.path.exists(name)), None)
    if found is None:
        faults.add(("root",), f"{tried[0]} does not exist. Check the name and the folder.")
    return found or folder


def _read_task(table: _Table) -> Task:
    task = table.read(Task)
    alike: dict[str, list[str]] = {}
    for label in task.labels or ():
        alike.setdefault(label_form(label), []).append(f'"{visible(label)}"')
    for spellings in alike.values():
        if len(spellings) > 1:
            table.fault(
                "labels",
                f"{', '.join(spellings)} are one label to whoever reads an answer. Keep one of "
                "them, or name them so that more than case, spacing or a full stop differs.",
            )
    return task


def _check_metric(task: Task, faults: Faults) -> None:
    """Rankings have metrics of their own."""
    ranks = task.metric in RANKING_METRICS
    if task.kind == "search" and not ranks:
        what = f"{task.metric} judges no rankings. Use one of: {', '.join(RANKING_METRICS)}."
        faults.add(("task", "metric"), what)
    if task.kind != "search" and ranks:
        what = f'{task.metric} judges rankings. Write kind = "search", or choose another metric.'
        faults.add(("task", "metric"), what)


def _read_data(table: _Table) -> Data:
    given = table.values.keys()
    own = [key for key in ("train", "dev", "test") if key in given]
    if "examples" in given and own:
        table.fault(own[0], "cannot stand beside examples. Keep one of the two.")
    elif own and not {"train", "test"} <= set(own):
        missing = "test" if "train" in own else "train"
        table.fault(missing, "is missing. Give train and test, or examples alone to have it split.")
    elif not own and "examples" not in given:
        table.fault("examples", 'is missing. Name your data file: examples = "examples.jsonl".')
    for key in ("test_size", "time"):
        if own and key in given:
            table.fault(key, "has no effect on a split of your own. Remove it.")
    _check_columns(table)
    return table.read(Data)


def _check_columns(table: _Table) -> None:
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


def _read_model(table: _Table) -> Model:
    model = table.read(Model)
    if len(model.bases) > 1 and model.engine in ("openai", "scripted"):
        table.fault(
            "base",
            f"names several models, but the engine {model.engine} runs one. Name one, and the "
            "others as [contenders.NAME] tables.",
        )
    return model


def _read_contenders(table: _Table, *, searches: bool) -> Contenders:
    own_keys = {entry.name for entry in fields(Contenders)} - {"endpoints", "optimiser"}
    named = {
        name: cast(dict[str, object], value)
        for name, value in table.values.items()
        if isinstance(value, dict) and name not in own_keys
    }
    tables = [_read_endpoint(table, name, values) for name, values in named.items()]
    endpoints = [one for one in tables if not one.optimises]
    optimisers = [one for one in tables if one.optimises]
    for one in optimisers[1:]:
        what = f"{optimisers[0].name} proposes wordings already. Keep one of the two."
        table.fault(f"{one.name}.optimises", what)
    own = {key: value for key, value in table.values.items() if key not in named}
    needed = {"use": SEARCHING_CONTENDERS} if searches else {}
    contenders = table._replace(values=own).read(Contenders, **needed)
    use = contenders.use
    if ("contenders", "use") in table.faults.overridden:
        endpoints = [endpoint for endpoint in endpoints if endpoint.name in use]
    table_of = SEARCHING_CONTENDERS if searches else OTHER_CONTENDERS
    for name in use:
        if name in CONTENDERS and name not in table_of:
            kind = "ranks no documents" if searches else 'is for [task] kind = "search" alone'
            table.fault("use", f'"{name}" {kind}. Take some of: {", ".join(table_of)}.')
        if name not in (*CONTENDERS, *named):
            table.fault("use", f'"{name}" is unknown. {suggest(name, (*CONTENDERS, *named))}')
        if name in (one.name for one in optimisers):
            what = "proposes wordings and takes no part. Give the model a second table to judge it."
            table.fault("use", f'"{name}" {what}')
    if not use and not endpoints:
        table.fault("use", f"is empty. Name some of: {', '.join(CONTENDERS)}.")
    return replace(
        contenders,
        use=tuple(name for name in CONTENDERS if name in use),
        endpoints=tuple(endpoints),
        optimiser=optimisers[0] if optimisers else None,
    )


def _read_endpoint(parent: _Table, name: str, values: Mapping[str, object]) -> Endpoint:
    table = parent._replace(path=(*parent.path, name))
    if not re.search(ENDPOINT_NAME, name):
        parent.fault(name, "cannot be an endpoint's name. Choose letters and digits of your own.")
    for key, advice in _NEEDED.items():
        if key not in values:
            table.fault(key, f"is missing. {advice}")
    if "name" in values:
        table.fault("name", f"unknown key. The name is {name}, from the head of the table.")
    if values.get("optimises") is True and values.get("candidate") is True:
        table.fault(
            "candidate", "goes not with optimises, which takes no part. Remove one of them."
        )
    own = {key: value for key, value in values.items() if key != "name"}
    return table._replace(values=own).read(Endpoint, name=name, model="?")


_NEEDED = {
    "type": 'Write type = "openai".',
    "model": "Write the model's name at the endpoint.",
}
"""Keys of an endpoint that have to be there -> what to do."""


def _read_training(table: _Table) -> TrainingSettings:
    """The section, with what does not go together."""
    training = table.read(TrainingSettings)
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
    return training


def _read_judge(table: _Table, model: Model, contenders: Contenders) -> JudgeSettings:
    """The section; empty where there is no judge."""
    judge = table.read(JudgeSettings)
    if not table.values:
        return judge
    if "model" not in table.values:
        table.fault("model", "is missing. Name the model that judges; never the base itself.")
    if "criteria" not in table.values:
        table.fault(
            "criteria",
            "is missing. Write [judge.criteria] and a line for each thing that makes an answer "
            'good: tone = "friendly, without flattery".',
        )
    far = judge.engine == "openai"
    elsewhere = far != (model.engine == "openai") or (far and judge.base_url != model.base_url)
    if judge.model in model.bases and not elsewhere:
        table.fault("model", "is the base model, which never judges itself. Name another one.")
    for one in contenders.endpoints:
        if far and one.candidate and (one.model, one.base_url) == (judge.model, judge.base_url):
            table.fault("model", f"is the contender {one.name}: none judges itself. Name another.")
    return judge


def resolved_toml(project: Project) -> str:
    """The project as TOML, paths absolute; `load_project` reads an equal project from it."""
    given = _written(project)
    if project.judge.model is None:
        del given["judge"]
    contenders = given["contenders"]
    optimiser = contenders.pop("optimiser", None)
    for endpoint in (*contenders.pop("endpoints", ()), *([optimiser] if optimiser else ())):
        contenders[endpoint.pop("name")] = endpoint
    return tomli_w.dumps(given)


def _written(value: Any) -> Any:
    """Settings as TOML has them, without what is not set."""
    if is_dataclass(value):
        given = {entry.name: getattr(value, entry.name) for entry in fields(value)}
        return {key: _written(one) for key, one in given.items() if one is not None and one != ""}
    if isinstance(value, Mapping):
        return dict(cast(Mapping[str, object], value))
    if isinstance(value, tuple):
        return [_written(one) for one in cast(tuple[object, ...], value)]
    return str(value) if isinstance(value, Path) else value
