"""Turns `tunewise.toml`, or a bare data file, and `key=value` overrides into a checked `Project`.

Every fault is reported, all together, with its line. It knows nothing of what a contender, a
model or a metric does: only their names, and which values make sense.
"""

import difflib
import json
import os
import re
import tomllib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass, replace
from pathlib import Path
from typing import Literal, cast, get_args
from urllib.parse import urlsplit

from tunewise.errors import UserError
from tunewise.types import Example, Kind

FILE_NAME = "tunewise.toml"
CONTENDERS = (
    "constant",
    "zero_shot",
    "prompt",
    "few_shot",
    "classifier",
    "rag",
    "fine_tune",
    "fine_tune_rag",
)
"""Built-in contenders, simplest first."""
METRICS = (
    "accuracy",
    "macro_f1",
    "exact_match",
    "json_fields",
    "token_f1",
    "rouge_l",
    "chrf",
)
ENGINES = ("auto", "openvino", "transformers", "openai", "scripted")
ADAPTERS = ("lora", "rslora", "dora")
KINDS: tuple[Kind, ...] = get_args(Kind)
DEFAULT_METRICS: Mapping[Kind, str] = {
    "classification": "accuracy",
    "extraction": "json_fields",
    "generation": "rouge_l",
    "qa": "token_f1",
}
STARTER_MODEL = "smollm2-135m-instruct"
OPENAI_URL = "https://api.openai.com/v1"
AUTO: Literal["auto"] = "auto"
_NOT_BUILT_METHODS = ("dpo", "kto", "cpt", "distill")
_NOT_BUILT_ADAPTERS = ("qlora", "full")
_MISSING = object()

Auto = Literal["auto"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Task:
    """What is asked of the model. `infer_task` fills what is None."""

    instruction: str = ""
    """What a person would tell the model; empty when the rows say it themselves."""
    kind: Kind | None = None
    labels: tuple[str, ...] | None = None
    """The closed set of answers of a classification."""
    metric: str | None = None
    """One of `METRICS`, or `module:function`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Data:
    """Where the rows lie: either `examples`, or `train` and `test` (and perhaps `dev`)."""

    examples: Path | None = None
    """One file that Tunewise splits."""
    train: Path | None = None
    dev: Path | None = None
    test: Path | None = None
    documents: Path | None = None
    """A file or folder to retrieve from."""
    group: str | None = None
    """Name of the column that says which rows belong together."""
    input: str | None = None
    """Name of the column with the input; None: recognised."""
    output: str | None = None
    """Name of the column with the answer; None: recognised."""
    test_size: float | None = None
    """Share of the examples sealed for the test, 0.05 to 0.8; None: 0.30."""
    limit_train: int | None = None
    """Rows of train used at most."""
    limit_test: int | None = None
    """Rows of test used at most."""
    seed: int = 0
    """Salt of the hash that decides membership."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Model:
    """The base model and what runs it."""

    base: str = STARTER_MODEL
    """A catalog name, a hub id, or the absolute path of a folder or GGUF file."""
    engine: str = AUTO
    """One of `ENGINES`."""
    base_url: str = OPENAI_URL
    """Address of the endpoint; used by the engine `openai` only, as are the two below."""
    api_key_env: str = "OPENAI_API_KEY"
    """Name of the environment variable that holds the key."""
    concurrency: int = 4
    """Requests in flight at most."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Endpoint:
    """A `[contenders.NAME]` table: a model behind an OpenAI-compatible API."""

    name: str
    model: str
    type: Literal["openai"] = "openai"
    base_url: str = OPENAI_URL
    candidate: bool = False
    """Whether it may be recommended; False: a ceiling, shown only."""
    api_key_env: str = "OPENAI_API_KEY"
    """Name of the environment variable that holds the key."""
    concurrency: int = 4
    """Requests in flight at most."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Contenders:
    """Who takes part."""

    use: tuple[str, ...] = CONTENDERS
    """Built-in contenders, simplest first."""
    variants: tuple[str, ...] = ()
    """A person's own instructions, tried by the contender `prompt` beside its own."""
    budget_tokens: int | Auto = AUTO
    """Tokens that each contender may spend on fitting: prefilled, generated and trained."""
    limit: int | None = None
    """Examples used at most, all splits together."""
    endpoints: tuple[Endpoint, ...] = ()
    """The `[contenders.NAME]` tables that take part."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Training:
    """How a fine-tune is trained. What is `auto` is chosen on dev or from the data."""

    method: str = "sft"
    adapter: str = "lora"
    """One of `ADAPTERS`."""
    rank: int = 16
    """r, the inner dimension of the adapter."""
    alpha: float | Auto = AUTO
    """The adapter's update is scaled by alpha / rank (rslora: alpha / sqrt(rank))."""
    learning_rate: float | Auto = AUTO
    epochs: int | Auto = AUTO
    batch_tokens: int | Auto = AUTO
    """Tokens in one optimiser step, padding included."""
    seeds: int = 3
    """Trainings that differ only in their seed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Decision:
    """What a difference must be worth, and what the winner must keep to."""

    minimum_gain: float = 0.05
    """Smaller differences in quality are not worth a training."""
    minimum_quality: float | None = None
    """Quality that whatever is recommended must reach."""
    retention_margin: float = 0.03
    """General ability that may be lost."""
    maximum_latency_ms: float | None = None
    """Median latency of one request, milliseconds."""
    monthly_requests: int | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Prices:
    """What tokens and machines cost; None: not given."""

    currency: str = "USD"
    prompt_tokens: float | None = None
    """Per million prompt tokens."""
    cached_tokens: float | None = None
    """Per million prompt tokens taken from a cache."""
    completion_tokens: float | None = None
    """Per million tokens generated."""
    training_hour: float | None = None
    """Per hour of training."""
    hosting_hour: float | None = None
    """Per hour of serving."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Project:
    """A checked project. Every path is absolute."""

    root: Path
    """Folder that relative paths start from; runs are kept under it."""
    task: Task
    data: Data
    model: Model
    contenders: Contenders
    training: Training
    decision: Decision
    prices: Prices


@dataclass(frozen=True, kw_only=True, slots=True)
class Inference:
    """A project whose task is complete, and how it became so."""

    project: Project
    reason: str
    """One line for a person; empty when nothing had to be inferred."""


_Key = tuple[str, ...]


class _Faults:
    """Collects faults of one configuration, each with the line its key stands on."""

    def __init__(self, source: Path, text: str) -> None:
        self.source = source
        self.lines = _key_lines(text)
        self.overridden: set[_Key] = set()
        self._found: list[tuple[int, str]] = []

    def add(self, key: _Key, what: str) -> None:
        """Notes that `key` is wrong: `what` says what is wrong and what to do."""
        name = ".".join(key)
        inside = any(key[:n] in self.overridden for n in range(1, len(key) + 1))
        around = any(other[: len(key)] == key for other in self.overridden)
        if inside or (around and key not in self.lines):
            self._found.append((0, f"--set {name}: {what}"))
            return
        known = (key[:n] for n in range(len(key), 0, -1) if key[:n] in self.lines)
        line = self.lines.get(next(known, ()), 1)
        self._found.append((line, f"{self.source}:{line}: {name}: {what}"))

    def raise_any(self) -> None:
        """Raises all faults as one UserError, in the order of the file."""
        if self._found:
            raise UserError.together([what for _, what in sorted(self._found)])


class _Table:
    """Reads typed values out of one table; what is wrong goes to `faults`, a default comes back."""

    def __init__(self, values: Mapping[str, object], path: _Key, root: Path, faults: _Faults):
        self.values = values
        self.path = path
        self.root = root
        self.faults = faults
        self.asked: list[str] = []

    def fault(self, key: str, what: str) -> None:
        self.faults.add((*self.path, key), what)

    def _get(self, key: str) -> object:
        self.asked.append(key)
        return self.values.get(key, _MISSING)

    def text(self, key: str) -> str | None:
        value = self._get(key)
        if value is _MISSING:
            return None
        if not isinstance(value, str) or not value.strip():
            self.fault(key, f"must be a text, not {_shown(value)}. Write it in quotes.")
            return None
        return value

    def choice(self, key: str, allowed: Sequence[str], default: str) -> str:
        value = self.text(key)
        if value is None or value in allowed:
            return value or default
        self.fault(key, f'"{value}" is unknown. {_suggest(value, allowed)}')
        return default

    def number(self, key: str, low: float, high: float) -> float | None:
        value = self._get(key)
        if value is _MISSING:
            return None
        if isinstance(value, bool) or not isinstance(value, int | float):
            self.fault(key, f"must be a number, not {_shown(value)}. Write one without quotes.")
        elif not low <= value <= high:
            self.fault(key, f"is out of range. Choose from {low:g} to {high:g}.")
        else:
            return float(value)
        return None

    def integer(self, key: str, low: int, high: int) -> int | None:
        value = self._get(key)
        if value is _MISSING:
            return None
        if isinstance(value, bool) or not isinstance(value, int):
            self.fault(key, f"must be a whole number, not {_shown(value)}. Write it as 3.")
        elif not low <= value <= high:
            self.fault(key, f"is out of range. Choose from {low} to {high}.")
        else:
            return value
        return None

    def is_auto(self, key: str) -> bool:
        """Whether the key says "auto", or nothing."""
        automatic = self.values.get(key, AUTO) == AUTO
        if automatic:
            self.asked.append(key)
        return automatic

    def flag(self, key: str) -> bool:
        value = self._get(key)
        if value is _MISSING or isinstance(value, bool):
            return value is True
        self.fault(key, f"must be true or false, not {_shown(value)}. Write it without quotes.")
        return False

    def texts(self, key: str) -> tuple[str, ...] | None:
        value = self._get(key)
        if value is _MISSING:
            return None
        items = cast(list[object], value) if isinstance(value, list) else [None]
        words = tuple(item for item in items if isinstance(item, str) and item.strip())
        if len(words) < len(items):
            self.fault(key, 'must be a list of texts, none empty. Write it as ["a", "b"].')
            return None
        if repeated := [word for word, n in Counter(words).items() if n > 1]:
            self.fault(key, f'names "{repeated[0]}" more than once. Remove the repetition.')
        return words

    def place(self, key: str) -> Path | None:
        """A file or folder that must exist; comes back absolute."""
        value = self.text(key)
        return None if value is None else self.existing(key, value)

    def existing(self, key: str, value: str) -> Path | None:
        # What is typed at a prompt is relative to where the person stands.
        starts = [self.root]
        if (*self.path, key) in self.faults.overridden:
            starts.insert(0, Path.cwd())
        tried = [os.path.abspath(start / os.path.expanduser(value)) for start in starts]
        found = next((Path(name) for name in tried if os.path.exists(name)), None)
        if found is None:
            self.fault(key, f"{tried[0]} does not exist. Check the name and the folder.")
        return found

    def close(self) -> None:
        """Reports the keys that nobody asked for."""
        for key in self.values.keys() - set(self.asked):
            self.fault(key, f"unknown key. {_suggest(key, self.asked)}")


def load_project(path: Path, overrides: Sequence[str] = ()) -> Project:
    """Reads and checks a project.

    Args:
        path: a folder with `tunewise.toml`, that file, or a data file (all else is inferred).
        overrides: `key=value` with a TOML value, such as `training.epochs=2`; what is no TOML
            value is taken as text. Paths among them start from the current folder.

    Raises:
        UserError: with every fault, one a line, `file:line: key: what is wrong. What to do.`
    """
    source, text, values = _load_file(path)
    faults = _Faults(source, text)
    for override in overrides:
        _apply(override, values, faults)
    top = _Table(values, (), source.parent.absolute(), faults)
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
    )
    for table in sections.values():
        table.close()
    faults.raise_any()
    return project


_SECTIONS = ("task", "data", "model", "contenders", "training", "decision", "prices")


def _load_file(path: Path) -> tuple[Path, str, dict[str, object]]:
    if not os.path.exists(path):
        raise UserError(f"{path}: does not exist. Name a project folder or a data file.")
    source = path / FILE_NAME if os.path.isdir(path) else path
    if not os.path.isfile(source):
        raise UserError(
            f"{path}: holds no {FILE_NAME}. Write one there, or name a data file "
            "such as examples.jsonl instead."
        )
    if source.suffix != ".toml":
        return source, "", {"data": {"examples": source.name}}
    text = ""
    try:
        text = source.read_bytes().decode("utf-8-sig")
        return source, text, tomllib.loads(text)
    except OSError as error:
        raise UserError(f"{source}: cannot be read ({error.strerror}). Check its rights.") from None
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise UserError(f"{source}:{line}: is not UTF-8. Save the file as UTF-8.") from None
    except tomllib.TOMLDecodeError as error:
        where = re.search(r"\(at line (\d+), column \d+\)$", str(error))
        line = int(where.group(1)) if where else text.count("\n") + 1
        what = re.sub(r" \(at .*\)$", "", str(error))
        raise UserError(f"{source}:{line}: is not TOML: {what}. Mend that line.") from None
    except (ValueError, RecursionError):
        raise UserError(
            f"{source}: holds a number too long or lists too deep to read. Shorten it."
        ) from None


def _apply(override: str, values: dict[str, object], faults: _Faults) -> None:
    name, equals, raw = override.partition("=")
    key = tuple(part.strip() for part in name.split("."))
    if not equals or not all(key):
        raise UserError(
            f'--set {override}: must be key=value, such as "training.epochs=2".', exit_code=2
        )
    faults.overridden.add(key)
    value: object = raw
    try:
        parsed = tomllib.loads(f"value = {raw}")
        raw.encode()
    except UnicodeEncodeError:
        return faults.add(key, "holds bytes that are no UTF-8. Type it again.")
    except (ValueError, RecursionError):
        parsed = {}
    # A text such as `2024` stays a text where a text is wanted.
    typed = parsed.keys() == {"value"}
    if typed and (key not in _TEXT_KEYS or isinstance(parsed["value"], str)):
        value = parsed["value"]
    table = values
    for part in key[:-1]:
        inner = table.setdefault(part, {})
        if not isinstance(inner, dict):
            return faults.add(key, f'"{part}" is no table. Check the key.')
        table = cast(dict[str, object], inner)
    table[key[-1]] = value
    return None


_TEXT_KEYS = {
    ("task", "instruction"),
    *(("data", key) for key in ("examples", "train", "dev", "test", "documents")),
    *(("data", key) for key in ("group", "input", "output")),
    ("model", "base"),
}


def _section(top: _Table, name: str, root: Path) -> _Table:
    value = top.values.get(name, {})
    top.asked.append(name)
    if not isinstance(value, dict):
        top.fault(name, f"must be a table. Write [{name}] on a line of its own.")
        value = {}
    return _Table(cast(dict[str, object], value), (name,), root, top.faults)


def _read_task(table: _Table) -> Task:
    kind = table.choice("kind", KINDS, "")
    labels = table.texts("labels")
    if labels is not None and len(labels) < 2:
        table.fault("labels", "a classification needs at least two labels. Add them or remove it.")
    metric = table.text("metric")
    if metric == "judge":
        table.fault("metric", "judge is not built yet. Choose rouge_l, token_f1 or chrf.")
    elif metric and metric not in METRICS and not re.fullmatch(r"[A-Za-z_][\w.]*:\w+", metric):
        hint = _suggest(metric, METRICS)
        table.fault("metric", f'"{metric}" is unknown. {hint} Or write "module:function".')
    return Task(
        instruction=table.text("instruction") or "",
        kind=cast(Kind, kind) if kind else None,
        labels=labels,
        metric=metric,
    )


def _read_data(table: _Table) -> Data:
    data = Data(
        examples=table.place("examples"),
        train=table.place("train"),
        dev=table.place("dev"),
        test=table.place("test"),
        documents=table.place("documents"),
        group=table.text("group"),
        input=table.text("input"),
        output=table.text("output"),
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
    if ("input" in given) != ("output" in given):
        missing = "output" if "input" in given else "input"
        table.fault(missing, "is missing. Name the columns of input and output together.")
    return data


def _read_model(table: _Table) -> Model:
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
    )


def _read_url(table: _Table) -> str:
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


def _read_key_name(table: _Table) -> str:
    name = table.text("api_key_env") or "OPENAI_API_KEY"
    if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
        # The value is not repeated: it may be the key itself.
        table.fault(
            "api_key_env",
            "must be the name of an environment variable, never the key itself. "
            'Write "OPENAI_API_KEY".',
        )
    return name


def _read_contenders(table: _Table) -> Contenders:
    endpoints = [
        _read_endpoint(table, name, cast(dict[str, object], value))
        for name, value in table.values.items()
        if isinstance(value, dict)
    ]
    table.asked.extend(endpoint.name for endpoint in endpoints)
    names = [endpoint.name for endpoint in endpoints]
    use = table.texts("use")
    if use is None:
        use = CONTENDERS
    elif ("contenders", "use") in table.faults.overridden:
        endpoints = [endpoint for endpoint in endpoints if endpoint.name in use]
    for name in use:
        if name not in CONTENDERS and name not in names:
            hint = _suggest(name, (*CONTENDERS, *names))
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


def _read_endpoint(parent: _Table, name: str, values: Mapping[str, object]) -> Endpoint:
    table = _Table(values, (*parent.path, name), parent.root, parent.faults)
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
    )
    table.close()
    return endpoint


def _read_training(table: _Table) -> Training:
    def auto_integer(key: str, high: int) -> int | Auto:
        return AUTO if table.is_auto(key) else table.integer(key, 1, high) or AUTO

    def auto_number(key: str, low: float, high: float) -> float | Auto:
        return AUTO if table.is_auto(key) else table.number(key, low, high) or AUTO

    return Training(
        method=_built(table, "method", ("sft",), _NOT_BUILT_METHODS),
        adapter=_built(table, "adapter", ADAPTERS, _NOT_BUILT_ADAPTERS),
        rank=16 if table.is_auto("rank") else table.integer("rank", 1, 1024) or 16,
        alpha=auto_number("alpha", 0.01, 10_000),
        learning_rate=auto_number("learning_rate", 1e-8, 1.0),
        epochs=auto_integer("epochs", 1000),
        batch_tokens=auto_integer("batch_tokens", 10**8),
        seeds=3 if table.is_auto("seeds") else table.integer("seeds", 1, 20) or 3,
    )


def _built(table: _Table, key: str, ready: Sequence[str], later: Sequence[str]) -> str:
    value = ready[0] if table.is_auto(key) else table.choice(key, (*ready, *later), ready[0])
    if value in later:
        table.fault(key, f'"{value}" comes with a later version. Use {" or ".join(ready)}.')
        return ready[0]
    return value


def _read_decision(table: _Table) -> Decision:
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


def _read_prices(table: _Table) -> Prices:
    return Prices(
        currency=table.text("currency") or "USD",
        prompt_tokens=table.number("prompt_tokens", 0, 10**6),
        cached_tokens=table.number("cached_tokens", 0, 10**6),
        completion_tokens=table.number("completion_tokens", 0, 10**6),
        training_hour=table.number("training_hour", 0, 10**6),
        hosting_hour=table.number("hosting_hour", 0, 10**6),
    )


def _key_lines(text: str) -> dict[_Key, int]:
    """The line on which each key or table header first stands; tomllib does not tell."""
    lines: dict[_Key, int] = {}
    table: _Key = ()
    inside: str | None = None
    for number, line in enumerate(text.split("\n"), 1):
        if inside is None:
            if header := re.match(r"\s*\[+([^\]]+)\]", line):
                table = _key_parts(header.group(1))
                lines.setdefault(table, number)
            elif entry := re.match(r"""\s*((?:[\w.-]|"[^"]*"|'[^']*'|\s)+?)\s*=""", line):
                lines.setdefault((*table, *_key_parts(entry.group(1))), number)
        for quotes in re.findall(r'"""|' + "'''", line):
            inside = quotes if inside is None else None if inside == quotes else inside
    return lines


def _key_parts(dotted: str) -> _Key:
    return tuple(part.strip().strip("\"'") for part in dotted.split("."))


def _suggest(word: str, known: Sequence[str]) -> str:
    near = difflib.get_close_matches(word.lower(), known, n=1, cutoff=0.6)
    return f'Did you mean "{near[0]}"?' if near else f"Choose from: {', '.join(known)}."


def _shown(value: object) -> str:
    if isinstance(value, str):
        return f'"{value[:40]}"'
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return "a number"
    if isinstance(value, list):
        return "a list"
    return "a table" if isinstance(value, dict) else str(value)


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
    assert is_dataclass(table)  # noqa: S101 (narrows the type; callers pass this module's records)
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


def infer_task(project: Project, examples: Sequence[Example]) -> Inference:
    """Fills the task's kind, labels and metric where the project leaves them open.

    Args:
        project: as loaded; what it says stays.
        examples: rows to look at. Their targets are read, so labels come from all rows given.
    """
    task = project.task
    targets = [example.target.strip() for example in examples]
    kind, why = task.kind, ""
    if kind is None:
        kind, why = _infer_kind(targets, task.labels, documents=project.data.documents is not None)
    labels = task.labels
    if kind == "classification" and labels is None:
        labels = tuple(sorted(set(targets)))
    metric = task.metric or DEFAULT_METRICS[kind]
    if task.metric is None:
        why += f"{'; ' if why else ''}metric {metric}, the usual one for {kind}"
    complete = replace(task, kind=kind, labels=labels, metric=metric)
    return Inference(project=replace(project, task=complete), reason=why)


def _infer_kind(
    targets: Sequence[str], labels: Sequence[str] | None, *, documents: bool
) -> tuple[Kind, str]:
    distinct = set(targets)
    objects = sum(_is_object(target) for target in targets)
    words = sorted(len(target.split()) for target in targets)
    median = words[len(words) // 2] if words else 0
    if labels is not None:
        return "classification", "kind classification, because labels are given"
    if targets and objects > len(targets) / 2:
        return "extraction", (
            f"kind extraction, because {objects} of {len(targets)} answers are JSON objects"
        )
    few = len(distinct) <= max(2, min(100, len(targets) / 3))
    if targets and few and all(len(t) <= 80 and "\n" not in t for t in distinct):
        return "classification", (
            f"kind classification, because {len(targets)} rows share {len(distinct)} short answers"
        )
    if documents and median <= 30:
        return "qa", (
            f"kind qa, because documents are given and answers are short (median {median} words)"
        )
    return "generation", f"kind generation, because answers are free text (median {median} words)"


def _is_object(text: str) -> bool:
    if not text.startswith("{"):
        return False
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False
