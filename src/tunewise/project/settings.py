"""The settings of a project as frozen records: their names, units and defaults.

They know nothing of files, of checking, or of what a contender, a model or a metric does.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeAlias, get_args

from tunewise.types import Kind

CONTENDERS = (
    "constant",
    "zero_shot",
    "prompt",
    "few_shot",
    "classifier",
    "rag",
    "fine_tune",
    "fine_tune_cpt",
    "fine_tune_dpo",
    "fine_tune_rag",
)
"""Built-in contenders, simplest first."""
USUAL_CONTENDERS = tuple(
    name for name in CONTENDERS if name not in ("fine_tune_cpt", "fine_tune_dpo")
)
"""Those that take part where `use` names none."""
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
)
ENGINES = ("auto", "openvino", "transformers", "openai", "scripted")
METHODS = ("sft", "dpo", "kto", "cpt", "distill")
PREFERENCE_LOSSES = ("sigmoid", "ipo", "orpo")
ADAPTERS = ("lora", "rslora", "dora", "qlora", "full")
INITIALISATIONS = ("default", "gaussian", "olora", "pissa", "pissa_niter_16", "orthogonal")
SCHEDULES = ("linear", "cosine", "constant")
TRACKERS = ("tensorboard", "mlflow", "wandb")
KINDS: tuple[Kind, ...] = get_args(Kind)
DEFAULT_METRICS: Mapping[Kind, str] = {
    "classification": "accuracy",
    "multilabel": "set_f1",
    "extraction": "json_fields",
    "generation": "rouge_l",
    "qa": "token_f1",
}
STARTER_MODEL = "smollm2-135m-instruct"
OPENAI_URL = "https://api.openai.com/v1"
THINKING_TOKENS = 1024
AUTO: Literal["auto"] = "auto"

Auto = Literal["auto"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Task:
    """What is asked of the model. `infer_task` fills what is None."""

    instruction: str = ""
    """What a person would tell the model; empty when the rows say it themselves."""
    kind: Kind | None = None
    labels: tuple[str, ...] | None = None
    """The labels of a classification, or those that the answers of a multilabel task consist of."""
    metric: str | None = None
    """One of `METRICS`, or `module:function`."""


Sources: TypeAlias = tuple[Path | str, ...]
"""Files and folders of data, absolute; a text is a data set on the hub, `hf://datasets/a/b`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Data:
    """Where the rows lie: either `examples`, or `train` and `test` (and perhaps `dev`)."""

    examples: Sources | None = None
    """What Tunewise splits; a folder may bring a split of its own."""
    train: Sources | None = None
    dev: Sources | None = None
    test: Sources | None = None
    documents: tuple[Path, ...] | None = None
    """Files and folders to retrieve from."""
    preferences: Sources | None = None
    """Pairs of a better and a worse answer, for training with dpo or kto."""
    replay: Sources | None = None
    """General examples, trained on beside the others against forgetting."""
    group: str | None = None
    """Name of the column that says which rows belong together."""
    input: str | None = None
    """Name of the column with the input; None: recognised, as with all the columns below."""
    output: str | None = None
    """Name of the column with the answer."""
    messages: str | None = None
    """Name of the column with a list of turns."""
    chosen: str | None = None
    """Name of the column with the better of two answers."""
    rejected: str | None = None
    """Name of the column with the worse of two answers."""
    text: str | None = None
    """Name of the column with plain text."""
    weight: str | None = None
    """Name of the column with the weight of a row, 0 or 1."""
    test_size: float | None = None
    """Share of the examples sealed for the test, 0.05 to 0.8; None: 0.30."""
    limit_train: int | None = None
    """Rows of train used at most."""
    limit_test: int | None = None
    """Rows of test used at most."""
    seed: int = 0
    """Salt of the hash that decides membership."""

    @property
    def names_columns(self) -> bool:
        """Whether the person said which columns hold what."""
        return bool((self.input and self.output) or self.messages or self.text or self.chosen)


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
    thinking: bool | Auto = AUTO
    """Whether a model that can think is asked to. auto: if the answers in the data hold thoughts
    (`infer_task`), else not; an endpoint decides by itself."""
    thinking_tokens: int = THINKING_TOKENS
    """Tokens that an answer may spend on thoughts, where the model thinks."""


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
    thinking: bool | Auto = AUTO
    """Whether the model is asked to think; auto: the endpoint decides."""
    thinking_tokens: int = THINKING_TOKENS
    """Tokens that an answer may spend on thoughts, where the model thinks."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Contenders:
    """Who takes part."""

    use: tuple[str, ...] = USUAL_CONTENDERS
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
    """How a fine-tune is trained. What is `auto` is documented in docs/training.md."""

    method: str = "sft"
    """One of `METHODS`, for `tunewise train`; the contenders of `decide` have their own."""
    start: Path | None = None
    """What an earlier `tunewise train` wrote, to go on from: the answers first, then the pairs."""
    loss: str = "sigmoid"
    """Of the method dpo: one of `PREFERENCE_LOSSES`."""
    beta: float = 0.1
    """Of dpo and kto: how strongly the model is held to where it started."""
    label_smoothing: float = 0.0
    """Of dpo with the loss sigmoid: share of pairs taken to be the wrong way round."""
    adapter: str = "lora"
    """One of `ADAPTERS`."""
    initialisation: str = "default"
    """One of `INITIALISATIONS`, PEFT's names for how an adapter starts."""
    rank: int = 16
    """r, the inner dimension of the adapter."""
    alpha: float | Auto = AUTO
    """The adapter's update is scaled by alpha / rank (rslora: alpha / sqrt(rank))."""
    dropout: float = 0.0
    """Of the adapter's input."""
    learning_rate: float | Auto = AUTO
    epochs: int | Auto = AUTO
    batch_tokens: int | Auto = AUTO
    """Tokens in one optimiser step."""
    schedule: str = "linear"
    """One of `SCHEDULES`: how the learning rate falls after its warm-up."""
    weight_decay: float = 0.0
    replay_share: float = 0.1
    """Tokens of `data.replay` in a step, as a share of the others."""
    save_memory: bool = False
    """Gradient checkpointing: less memory, about a third more work."""
    track: tuple[str, ...] = ()
    """Where `tunewise train` writes its events, too: some of `TRACKERS`."""
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
class Report:
    """What reports show."""

    show_personal: bool = False
    """Show secrets and personal data in rows and answers; otherwise they are masked."""


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
    report: Report = Report()
