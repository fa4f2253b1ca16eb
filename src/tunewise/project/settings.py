"""The settings of a project: the one place that says which there are.

A field of a section is a key of tunewise.toml. Its annotation says what it may be, its default
what it is where the file is silent, its docstring what a person reads of it in their editor and
in docs/reference/tunewise-toml.md. `load` checks a project with them, `schema` turns them into
JSON Schema.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal, TypeAlias, get_args
from urllib.parse import urlsplit

from pydantic import AfterValidator, ConfigDict, Field, WithJsonSchema

from tunewise.project.constraints import (
    AUTO,
    Auto,
    AutoIsDefault,
    Distinct,
    Flag,
    Text,
    Written,
    suggest,
    within,
    wrong,
)
from tunewise.project.contenders import BUILT_IN, CONSTANT
from tunewise.project.places import Documents, ModelName, ModelNames, Place, Sources
from tunewise.types import Kind

CONTENDERS = tuple(BUILT_IN)
"""Built-in contenders, simplest first."""
USUAL_CONTENDERS = tuple(name for name, one in BUILT_IN.items() if one.usual)
"""Those that take part where `use` names none."""
SEARCHING_CONTENDERS = tuple(
    name for name, one in BUILT_IN.items() if one.ranks or name == CONSTANT
)
"""Those of the kind `search`, which has no others: all take part where `use` names none."""
RANKING_METRICS = ("ndcg_at_10", "recall_at_1", "recall_at_5", "recall_at_10")
"""Those of the kind `search`."""
METRICS = (
    "accuracy",
    "macro_f1",
    "exact_match",
    "json_fields",
    "token_f1",
    "rouge_l",
    "chrf",
    "set_f1",
    "exact_set",
    *RANKING_METRICS,
)
KINDS: tuple[Kind, ...] = get_args(Kind)
DEFAULT_METRICS: Mapping[Kind, str] = {
    "classification": "accuracy",
    "multilabel": "set_f1",
    "extraction": "json_fields",
    "generation": "rouge_l",
    "qa": "token_f1",
    "search": "ndcg_at_10",
}
OTHER_CONTENDERS = tuple(name for name, one in BUILT_IN.items() if not one.ranks)
"""Those of all other kinds."""
Measure = Literal["dependability", "learning_curve", "retention"]
"""What `decide` can measure beside quality, tokens and latency."""
Curved = Literal["classifier", "few_shot", "fine_tune"]
"""Whose learning curve can be drawn."""
USUAL_MEASURES: tuple[Measure, ...] = get_args(Measure)
STARTER_MODEL = "smollm2-135m-instruct"
OPENAI_URL = "https://api.openai.com/v1"
THINKING_TOKENS = 1024
_MOST = 10**9
"""Rows and milliseconds at most."""


def _metric(name: str) -> str:
    if name == "judge":
        raise wrong(
            "is judge, which chooses nothing: a judge is held to what you say of a run's answers, "
            "and that comes after the run. Choose rouge_l, token_f1 or chrf, write [judge], and "
            "compare the answers with `tunewise rate RUN`."
        )
    if name not in METRICS and not re.search(_OWN_METRIC, name):
        hint = suggest(name, METRICS)
        raise wrong(f'"{name}" is unknown. {hint} Or write "module:function".')
    return name


def _address(url: str) -> str:
    try:
        parts = urlsplit(url)
        sound = parts.scheme in ("http", "https") and bool(parts.hostname)
    except ValueError:
        raise wrong("is no address. Write http(s)://host/v1.") from None
    if not sound:
        raise wrong("is no address. Write it as http(s)://host:port/v1.")
    if "@" in parts.netloc:
        raise wrong("holds a password. Put keys into the environment (api_key_env).")
    return url


def _criteria(named: Mapping[str, str]) -> Mapping[str, str]:
    if not named:
        raise wrong('names none. Write what a good answer is judged by: tone = "friendly".')
    return named


_OWN_METRIC = r"^[A-Za-z_][\w.]*:\w+$"
Metric: TypeAlias = Annotated[
    Text,
    AfterValidator(_metric),
    WithJsonSchema(
        {
            "anyOf": [
                {"enum": list(METRICS), "type": "string"},
                {"pattern": _OWN_METRIC, "type": "string"},
            ]
        }
    ),
]
Address: TypeAlias = Annotated[
    Text,
    AfterValidator(_address),
    Field(json_schema_extra={"pattern": r"^https?://[^/?#@]+([/?#]|$)"}),
]
EnvironmentVariable: TypeAlias = Annotated[
    str,
    Written(
        r"^[A-Za-z_][A-Za-z0-9_]*$(?!\n)",
        "must be the name of an environment variable, never the key itself. "
        'Write "OPENAI_API_KEY".',
    ),
]
ENDPOINT_NAME = rf"^(?!({'|'.join(CONTENDERS)})$)[A-Za-z0-9][A-Za-z0-9_.-]*$(?!\n)"
Criteria: TypeAlias = Annotated[
    Mapping[str, Text], AfterValidator(_criteria), Field(json_schema_extra={"minProperties": 1})
]
Price: TypeAlias = Annotated[float, within(0, 10**6)] | None


class _Section:
    """What all sections have in common: no key is unknown. Docstrings tell of keys (`schema`)."""

    __slots__ = ()
    __pydantic_config__ = ConfigDict(extra="forbid", allow_inf_nan=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class Task(_Section):
    """What is asked of the model. What is left out is inferred from the answers in the data."""

    instruction: Text = ""
    """What you would tell the model; nothing, when the rows say it themselves."""
    kind: Kind | None = None
    """What sort of answer is asked for."""
    labels: Annotated[tuple[Text, ...], Field(min_length=2), Distinct()] | None = None
    """The labels of a classification, or those that the answers of a multilabel task consist
    of."""
    metric: Metric | None = None
    """How answers are judged; a function of your own is written `module:function`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Data(_Section):
    """Where the rows lie: either `examples`, or `train` and `test` (and perhaps `dev`). A name is
    a file, a folder, a pattern such as `rows/*.jsonl` or a data set on the hub."""

    examples: Sources | None = None
    """What Tunewise splits; a folder may bring a split of its own."""
    train: Sources | None = None
    """Your own split: what is trained on."""
    dev: Sources | None = None
    """Your own split: what choices are made by; taken from train where absent."""
    test: Sources | None = None
    """Your own split: what the verdict is measured on."""
    gate: Sources | None = None
    """Rows that `tunewise eval` judges releases by, none of which is in the files above."""
    documents: Documents | None = None
    """Files and folders to retrieve from."""
    preferences: Sources | None = None
    """Pairs of a better and a worse answer, for training with dpo or kto."""
    replay: Sources | None = None
    """General examples, trained on beside the others against forgetting."""
    general: Documents | None = None
    """Files of your own general questions, which retention asks beside its own: JSON lines with
    `question`, `choices` and `answer`."""
    group: Text | None = None
    """Name of the column that says which rows belong together."""
    time: Text | None = None
    """Name of the column that says when a row is from: dates as 2024-03-31, or numbers. The newest
    rows are tested on then, the oldest learned from, as it will be when the model is used."""
    segments: Annotated[tuple[Text, ...], Distinct()] = ()
    """Names of columns by whose values quality is shown apart, beside label, length and group."""
    input: Text | None = None
    """Name of the column with the input; recognised where absent, as are all columns below."""
    output: Text | None = None
    """Name of the column with the answer."""
    messages: Text | None = None
    """Name of the column with a list of turns."""
    chosen: Text | None = None
    """Name of the column with the better of two answers."""
    rejected: Text | None = None
    """Name of the column with the worse of two answers."""
    text: Text | None = None
    """Name of the column with plain text."""
    weight: Text | None = None
    """Name of the column with the weight of a row, 0 or 1."""
    test_size: Annotated[float, within(0.05, 0.8)] | None = None
    """Share of the examples sealed for the test; 0.3 where absent."""
    limit_train: Annotated[int, within(1, _MOST)] | None = None
    """Rows of train used at most."""
    limit_test: Annotated[int, within(1, _MOST)] | None = None
    """Rows of test used at most."""
    seed: Annotated[int, within(0, 2**31 - 1)] = 0
    """Salt of the hash that decides which rows are sealed for the test."""

    @property
    def names_columns(self) -> bool:
        """Whether the person said which columns hold what."""
        return bool((self.input and self.output) or self.messages or self.text or self.chosen)


@dataclass(frozen=True, kw_only=True, slots=True)
class Model(_Section):
    """The base model and what runs it."""

    base: ModelNames = STARTER_MODEL
    """A catalog name, a hub id, a folder or a GGUF file. A list of up to four: each is asked and
    tuned, on the same rows, and `decide` names the smallest that is good enough."""
    engine: Literal["auto", "openvino", "transformers", "openai", "scripted"] = AUTO
    """What runs it; auto: transformers on a GPU, else openvino where it knows the family of the
    model."""
    base_url: Address = OPENAI_URL
    """Address of the endpoint; used by the engine `openai` only, as are the two below."""
    api_key_env: EnvironmentVariable = "OPENAI_API_KEY"
    """Name of the environment variable that holds the key."""
    concurrency: Annotated[int, within(1, 256)] = 4
    """Requests in flight at most."""
    thinking: Flag | Auto = AUTO
    """Whether a model that can think is asked to. auto: if the answers in the data hold
    thoughts, else not; an endpoint decides by itself."""
    thinking_tokens: Annotated[int, within(16, 10**6)] = THINKING_TOKENS
    """Tokens that an answer may spend on thoughts, where the model thinks."""

    @property
    def bases(self) -> tuple[str, ...]:
        """All base models, the one that is named first first."""
        return (self.base,) if isinstance(self.base, str) else self.base


@dataclass(frozen=True, kw_only=True, slots=True)
class Endpoint(_Section):
    """A model behind an OpenAI-compatible API, which takes part under a name of your own."""

    name: str
    """The NAME of `[contenders.NAME]`."""
    model: Text
    """The model's name at the endpoint."""
    type: Literal["openai"] = "openai"
    """The protocol that it speaks."""
    base_url: Address = OPENAI_URL
    """Address of the endpoint."""
    candidate: Flag = False
    """Whether it may be recommended: then it is searched for wordings and for examples (which are
    sent to it) like the base model; false: a ceiling, shown only."""
    optimises: Flag = False
    """Whether it proposes wordings to the contender `prompt` (GEPA) instead of taking part itself:
    it is shown rows of train with their answers."""
    api_key_env: EnvironmentVariable = "OPENAI_API_KEY"
    """Name of the environment variable that holds the key."""
    concurrency: Annotated[int, within(1, 256)] = 4
    """Requests in flight at most."""
    thinking: Flag | Auto = AUTO
    """Whether the model is asked to think; auto: the endpoint decides."""
    thinking_tokens: Annotated[int, within(16, 10**6)] = THINKING_TOKENS
    """Tokens that an answer may spend on thoughts, where the model thinks."""
    currency: Text | None = None
    """What the prices below are in: the same as those of `[prices]`."""
    prompt_tokens: Price = None
    """Its price per million prompt tokens; those of `[prices]` are not its."""
    cached_tokens: Price = None
    """Its price per million prompt tokens taken from a cache; that of the others if absent."""
    completion_tokens: Price = None
    """Its price per million tokens generated, thoughts included."""
    hosting_hour: Price = None
    """Its price per hour, where it is a machine of your own."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Contenders(_Section):
    """Who takes part."""

    use: Annotated[tuple[Text, ...], Distinct()] = USUAL_CONTENDERS
    """Names of built-in contenders; `[contenders.NAME]` tables take part unasked."""
    embedding_model: ModelName | None = None
    """What the search contenders (all but bm25) read with: a hub id or a folder in the layout of
    sentence-transformers; all-MiniLM-L6-v2 where absent."""
    reranker: ModelName | None = None
    """The cross-encoder of the contender `reranked`: a hub id or a folder. Without one it is
    skipped."""
    variants: Annotated[tuple[Text, ...], Distinct()] = ()
    """Your own instructions, tried by the contender `prompt` beside its own."""
    budget_tokens: Annotated[int, within(1, 10**12)] | Auto = AUTO
    """Tokens that each contender may spend on fitting: prefilled, generated and trained."""
    limit: Annotated[int, within(1, _MOST)] | None = None
    """Examples used at most, all splits together."""
    finish: Flag = False
    """Whether contenders that dev shows to be too far behind are asked on test all the same."""
    endpoints: tuple[Endpoint, ...] = ()
    """The `[contenders.NAME]` tables that take part."""
    optimiser: Endpoint | None = None
    """The one that proposes wordings instead."""

    @property
    def asked(self) -> tuple[Endpoint, ...]:
        """All endpoints that a run asks: the optimiser where there is a prompt to reword."""
        rewords = self.optimiser is not None and "prompt" in self.use
        return (*self.endpoints, *((self.optimiser,) if rewords and self.optimiser else ()))


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingSettings(_Section):
    """How a fine-tune is trained. What is `auto` is documented in docs/training.md."""

    method: Literal["sft", "dpo", "kto", "cpt", "distill"] = "sft"
    """What `tunewise train` learns from: answers (sft), pairs (dpo, kto), documents (cpt), or what
    a prompt adds (distill). The contenders of `decide` have their own."""
    start: Place | None = None
    """What an earlier `tunewise train` wrote, to go on from: the answers first, then the pairs."""
    loss: Literal["sigmoid", "ipo", "orpo"] = "sigmoid"
    """Of the method dpo."""
    beta: Annotated[float, within(0.001, 100)] = 0.1
    """Of dpo and kto: how strongly the model is held to where it started."""
    label_smoothing: Annotated[float, within(0, 0.499)] = 0.0
    """Of dpo with the loss sigmoid: share of pairs taken to be the wrong way round."""
    adapter: Literal["lora", "rslora", "dora", "qlora", "full"] = "lora"
    """What is trained beside the frozen base; full: the base itself."""
    initialisation: Literal[
        "default", "gaussian", "olora", "pissa", "pissa_niter_16", "orthogonal"
    ] = "default"
    """How an adapter starts, by PEFT's names."""
    rank: Annotated[int, within(1, 1024), AutoIsDefault()] = 16
    """r, the inner dimension of the adapter."""
    alpha: Annotated[float, within(0.01, 10_000)] | Auto = AUTO
    """The adapter's update is scaled by alpha / rank (rslora: alpha / sqrt(rank))."""
    dropout: Annotated[float, within(0, 0.9)] = 0.0
    """Share of the adapter's input that is left out at random."""
    learning_rate: Annotated[float, within(1e-8, 1.0)] | Auto = AUTO
    """The highest rate, reached after the warm-up."""
    epochs: Annotated[int, within(1, 1000)] | Auto = AUTO
    """Passes over the training data."""
    batch_tokens: Annotated[int, within(1, 10**8)] | Auto = AUTO
    """Tokens in one optimiser step."""
    schedule: Literal["linear", "cosine", "constant"] = "linear"
    """How the learning rate falls after its warm-up."""
    weight_decay: Annotated[float, within(0, 10)] = 0.0
    """Of AdamW."""
    replay_share: Annotated[float, within(0, 10)] = 0.1
    """Tokens of `data.replay` in a step, as a share of the others."""
    save_memory: Flag = False
    """Gradient checkpointing: less memory, about a third more work."""
    track: Annotated[tuple[Literal["tensorboard", "mlflow", "wandb"], ...], Distinct()] = ()
    """Where `tunewise train` writes its events, too."""
    seeds: Annotated[int, within(1, 20), AutoIsDefault()] = 3
    """Trainings that differ only in their seed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DecisionSettings(_Section):
    """What a difference must be worth, and what the winner must keep to."""

    minimum_gain: Annotated[float, within(0.001, 1)] = 0.05
    """Smaller differences in quality, 0 to 1, are not worth a training."""
    maximum_loss: Annotated[float, within(0.001, 1)] | None = None
    """Quality, 0 to 1, that may be lost where a training saves money; half of `minimum_gain` if
    absent."""
    minimum_quality: Annotated[float, within(0, 1)] | None = None
    """Quality that whatever is recommended must reach, 0 to 1."""
    retention_margin: Annotated[float, within(0, 1)] = 0.03
    """General ability that may be lost, as a share."""
    general_suite: Literal["screening", "whole"] = "screening"
    """How much of the general suite retention asks: screening, every question by likelihood and 200
    answers; whole, every question in both ways and more instructions (`decide --full`)."""
    maximum_latency_ms: Annotated[float, within(0.001, _MOST)] | None = None
    """Median latency of one request, milliseconds."""
    monthly_requests: Annotated[int, within(1, 10**12)] | None = None
    """Requests a month, which savings are worked out for."""
    measure: Annotated[tuple[Measure, ...], Distinct()] = USUAL_MEASURES
    """What is measured beside quality, tokens and latency. dependability: how often the answers
    of the two final contenders stay when inputs are typed with slips, in other case and spacing, or
    answers are sampled. learning_curve: what more rows to learn from would bring those of `curves`.
    retention: what general ability the best training cost. A first opinion measures none of it."""
    curves: Annotated[tuple[Curved, ...], Distinct()] = ("classifier",)
    """Whose learning curve is drawn, as far as they take part. classifier takes seconds; few_shot
    answers dev three times more; fine_tune is trained once more, on half of train, and is said to
    be flat or rising, if that can be said."""
    dependability_inputs: Annotated[int, within(10, _MOST)] = 60
    """Test inputs that dependability asks again, each five times; fewer where test has fewer."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Prices(_Section):
    """What tokens, machines and labels cost (docs/prices.md). Without it, cost takes no part in the
    verdict; an endpoint has prices of its own."""

    currency: Text = "USD"
    """What all prices are in."""
    prompt_tokens: Price = None
    """Per million prompt tokens of the base model, tuned or not."""
    cached_tokens: Price = None
    """Per million prompt tokens taken from a cache; that of the others if absent."""
    completion_tokens: Price = None
    """Per million tokens generated, thoughts included."""
    training_hour: Price = None
    """Per hour of training."""
    hosting_hour: Price = None
    """Per hour of the machine that serves; beside prices of tokens, both are paid."""
    utilisation: Annotated[float, within(0.001, 1)] | None = None
    """Share of the paid hours in which that machine serves; where absent, all of them, and no
    verdict rests on hours against tokens."""
    labelling_per_example: Price = None
    """For one more labelled row; absent where the labels are there already."""
    retraining_months: Annotated[float, within(0.1, 1200)] | None = None
    """Months after which it is trained again; never where absent."""
    value_per_point: Price = None
    """What one point of quality, a hundredth of the scale, is worth in 1,000 requests."""


@dataclass(frozen=True, kw_only=True, slots=True)
class JudgeSettings(_Section):
    """A model that compares open answers of the two final contenders once a run is finished, held
    to what you rate (`tunewise rate RUN`, then `tunewise rate RUN --judge`). It takes no part in
    the run itself."""

    model: ModelName | None = None
    """A catalog name, a hub id, a folder or a GGUF file, or a model's name at an endpoint; never
    the base itself."""
    engine: Literal["auto", "openvino", "transformers", "openai"] = AUTO
    """What runs it, as in `[model]`; openai: an endpoint."""
    base_url: Address = OPENAI_URL
    """Address of the endpoint; used by the engine `openai` only, as are the two below."""
    api_key_env: EnvironmentVariable = "OPENAI_API_KEY"
    """Name of the environment variable that holds the key."""
    concurrency: Annotated[int, within(1, 256)] = 4
    """Requests in flight at most."""
    thinking: Flag | Auto = AUTO
    """Whether the model is asked to think before it says which is better; auto: not here, and an
    endpoint decides by itself."""
    thinking_tokens: Annotated[int, within(16, 10**6)] = THINKING_TOKENS
    """Tokens that it may spend on thoughts, where it thinks."""
    criteria: Criteria = field(default_factory=dict[str, str])
    """What an answer is judged by: a name for each criterion, and what it means, such as
    `tone = "friendly, without flattery"`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ReportSettings(_Section):
    """What reports show."""

    show_personal: Flag = False
    """Show secrets and personal data in rows and answers instead of masking them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Project:
    """A checked project. Every path is absolute."""

    root: Path
    """Folder that relative paths start from; runs are kept under it."""
    task: Task
    data: Data
    model: Model
    contenders: Contenders
    training: TrainingSettings
    decision: DecisionSettings
    prices: Prices
    report: ReportSettings = ReportSettings()
    judge: JudgeSettings = JudgeSettings()
