"""The nouns of Tunewise: frozen records that every layer speaks, standard library only.

They hold data and know nothing of files, models, statistics or rendering.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

JsonValue: TypeAlias = (
    bool | int | float | str | Sequence["JsonValue"] | Mapping[str, "JsonValue"] | None
)

Kind = Literal["classification", "multilabel", "extraction", "generation", "qa", "search"]
"""What sort of answer the task asks for; decides the default metric and prompts. `search`:
documents in an order, given by no language model."""

Rule = Literal["worth_more", "cheaper", "not_worth_it", "cannot_tell", "nothing_learned"]
"""Which rule of the method decided."""

Finding = Literal[
    "fine_tune",
    "better_by_less",
    "practically_the_same",
    "do_not",
    "stay",
    "cannot_tell",
    "nothing_learned",
]
"""What was found, for a person to act on; docs/method.md says when each is said."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ToolCall:
    """A function that the assistant asks to have called."""

    name: str
    arguments: str
    """A JSON object as text."""
    id: str | None = None
    """What the turn with the result refers to."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Message:
    """One turn of a conversation."""

    role: str
    """`system`, `user`, `assistant` or `tool` (the result of a call)."""
    content: str
    """The text of the turn; may be empty beside tool calls."""
    weight: Literal[0, 1] | None = None
    """Of an assistant turn in a row's input: 1 if training learns it too, 0 or None if it is
    context only."""
    tool_calls: tuple[ToolCall, ...] = ()
    """What an assistant turn asks to have called."""
    tool_call_id: str | None = None
    """Of a `tool` turn: the id of the call that it answers."""


Tool: TypeAlias = Mapping[str, JsonValue]
"""A function that may be called, as OpenAI describes it: `type` and `function` (name, description,
parameters as a JSON schema)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Input:
    """What a contender sees when it answers: an example without its target, group and metadata."""

    id: str
    """The example's id."""
    messages: tuple[Message, ...]
    """The conversation up to the answer; the last turn is the user's, or a tool's."""
    tools: tuple[Tool, ...] = ()
    """What the answer may call."""

    @property
    def text(self) -> str:
        """The user's turns as one text: what retrieval and embeddings look at."""
        return "\n".join(turn.content for turn in self.messages if turn.role == "user")


@dataclass(frozen=True, kw_only=True, slots=True)
class Example:
    """One row of a person's data."""

    id: str
    """Unique within the data set; stable when rows are added."""
    messages: tuple[Message, ...]
    """The input: the conversation up to the answer."""
    target: str
    """The answer wanted. Calls of tools are JSON: `{"name": ..., "arguments": {...}}`, or a list
    of such objects where there are several."""
    group: str | None = None
    """The unit that splits and intervals go by (a customer, a document); None: the row itself."""
    metadata: Mapping[str, JsonValue] = field(default_factory=dict[str, JsonValue])
    """Every other column of the row. `document` names the file that holds the answer, if known."""
    tools: tuple[Tool, ...] = ()
    """What the answer may call."""

    @property
    def input(self) -> Input:
        """The part of the example that a contender may see when it answers."""
        return Input(id=self.id, messages=self.messages, tools=self.tools)


@dataclass(frozen=True, kw_only=True, slots=True)
class Preference:
    """Two answers to one input, of which one is liked better: for methods such as DPO."""

    id: str
    """Unique within the data set; stable when rows are added."""
    messages: tuple[Message, ...]
    """The input: the conversation up to the answer."""
    chosen: str
    """The better answer, written as `Example.target` is."""
    rejected: str
    """The worse one."""
    group: str | None = None
    """The unit that splits and intervals go by; None: the row itself."""
    metadata: Mapping[str, JsonValue] = field(default_factory=dict[str, JsonValue])
    """Every other column of the row."""
    tools: tuple[Tool, ...] = ()
    """What the answers may call."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Text:
    """A text without question and answer: for continued pre-training."""

    id: str
    """Unique within the data set; stable when texts are added."""
    text: str
    group: str | None = None
    """The unit that splits go by; None: the text itself."""
    metadata: Mapping[str, JsonValue] = field(default_factory=dict[str, JsonValue])
    """Every other column of the row."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Splits:
    """Disjoint parts of the examples. Contenders are fitted on train and dev; test is sealed."""

    train: tuple[Example, ...]
    dev: tuple[Example, ...]
    test: tuple[Example, ...]
    seed: int
    """Salt of the hash that decides membership."""
    fingerprint: str
    """sha256 (hex) over the content of the rows of train, dev and test, and their membership."""
    reserved: tuple[Example, ...] = ()
    """Rows left alone: nothing is fitted on them and nobody answers them."""
    leaked: Mapping[str, tuple[Example, ...]] = field(
        default_factory=dict[str, tuple[Example, ...]]
    )
    """What holds test rows as well (`train`, `dev`, `documents`) -> the rows: they are left out of
    test, and nobody answers them."""
    units: Mapping[str, str] = field(default_factory=dict[str, str])
    """Example id -> the independent unit it belongs to: rows of one unit are counted as one
    cluster by every interval. An example that is not named is a unit of its own."""

    def units_of(self, rows: Sequence[Example]) -> list[str | None]:
        """(rows,) the unit of each row, None for a row that is its own."""
        return [self.units.get(row.id) for row in rows]


@dataclass(frozen=True, kw_only=True, slots=True)
class Usage:
    """Tokens of one request, counted with the model's own tokenizer."""

    prompt_tokens: int = 0
    """Tokens of the rendered prompt, cached ones included."""
    cached_tokens: int = 0
    """Prompt tokens that the engine took from its prefix cache; the others it computed."""
    completion_tokens: int = 0
    """Tokens generated, the end token not counted."""
    thinking_tokens: int = 0
    """Those of them that were thoughts before the answer."""

    def __add__(self, other: "Usage") -> "Usage":
        return Usage(
            prompt_tokens=self.prompt_tokens + other.prompt_tokens,
            cached_tokens=self.cached_tokens + other.cached_tokens,
            completion_tokens=self.completion_tokens + other.completion_tokens,
            thinking_tokens=self.thinking_tokens + other.thinking_tokens,
        )

    @property
    def total(self) -> int:
        """Prompt and completion tokens together."""
        return self.prompt_tokens + self.completion_tokens


@dataclass(frozen=True, kw_only=True, slots=True)
class Generation:
    """What an engine made of one request."""

    text: str
    usage: Usage
    finish_reason: Literal["stop", "length"]
    seconds: float
    """Wall time from handing the request over to its last token; in a batch, that of the batch."""
    seconds_to_first_token: float | None = None
    """Wall time to the first token; None where the engine cannot tell."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Failure:
    """A request that could not be answered: its own kind of thing, never a text."""

    message: str
    """What went wrong and what to do, for a person."""
    seconds: float = 0.0
    """Wall time spent."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """One contender's answer to one example. Exactly one of `text` and `error` is set."""

    example_id: str
    contender: str
    seed: int
    """Which replica answered; 0 for contenders that train nothing."""
    text: str | None = None
    error: str | None = None
    usage: Usage = field(default_factory=Usage)
    seconds: float = 0.0
    """Wall time of the batch this answer came from; not a latency (that is measured apart)."""
    seconds_to_first_token: float | None = None
    """Wall time to the first token, where the engine can tell."""
    passages: tuple[str, ...] = ()
    """Ids of the retrieved passages shown to the model, best first: `file.md#3`."""

    def __post_init__(self) -> None:
        if (self.text is None) == (self.error is None):
            raise ValueError("exactly one of `text` and `error` must be given")


@dataclass(frozen=True, kw_only=True, slots=True)
class Score:
    """The judgement of one answer under one metric."""

    example_id: str
    contender: str
    seed: int
    metric: str
    value: float | None
    """0 (wrong) to 1 (right); None when the answer is not scorable (it crashed)."""
    reason: str | None = None
    """Why the value is what it is, where that is not obvious."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Stopped:
    """A contender that was asked no more, since on dev it is surely too far behind the best."""

    rows: int
    """Dev examples that its last setting had answered."""
    of: int
    """All dev examples."""
    quality: float
    """Of its last setting on these rows."""
    behind: str
    """The contender that was best on them."""
    best: float
    """How good that one was on them."""
    margin: float
    """How far behind was too far."""
    bound: str
    """What made it sure, with a chance of error of 1%."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Fit:
    """What fitting one contender cost, and what it chose on dev."""

    contender: str
    settings: Mapping[str, JsonValue]
    """The choices made on dev, for a reader: prompt text, k, learning rate, epochs."""
    seconds: float
    """Wall time of the fit, all seeds."""
    tokens: Mapping[str, int]
    """Tokens spent: `prefilled` (of prompts, those from a prefix cache left out), `generated`,
    `trained`."""
    dev_answers: Mapping[int, tuple[str | None, ...]]
    """seed -> what it answers to each dev example, in dev order; None where it crashed. Empty for
    a contender that was stopped before."""
    artifact: Mapping[int, str] = field(default_factory=dict[int, str])
    """seed -> folder of the trained adapter; empty if none."""
    trials: tuple[Mapping[str, JsonValue], ...] = ()
    """Every setting tried, with its dev quality and the number of dev examples it saw."""
    stopped: Stopped | None = None
    """Why it was not asked to the end, if so."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Comparison:
    """A paired difference in quality between two contenders on the same test examples."""

    a: str
    b: str
    metric: str
    n: int
    """Test examples compared."""
    groups: int
    """Independent units among them."""
    delta: float
    """Quality of a minus quality of b."""
    low: float
    high: float
    """The confidence interval of delta."""
    p: float
    """Two-sided p-value of no difference."""
    p_adjusted: float
    """The same after Holm's correction; equal to `p` for the primary comparison."""
    method: str
    """The procedures used, by name; what is missing where no interval could be computed."""
    computed: bool = True
    """Whether there is an interval; otherwise low and high are −1 and 1, and p is 1."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Constraint:
    """A demand of the project's [decision] table, checked for one contender."""

    name: str
    """`minimum_quality`, `maximum_latency_ms` or `beats_constant`."""
    contender: str
    met: bool
    detail: str
    """The numbers behind it, for a person."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Assurance:
    """What the rule is expected to do with more test rows (O'Hagan, Stevens and Campbell 2005)."""

    rows: int
    """Test examples added."""
    settled: float
    """The chance that the finding is another one than `cannot_tell`, 0 to 1."""
    fine_tune: float
    """The chance that it is `fine_tune`, 0 to 1."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BaseJudged:
    """One of several base models: whether the best that runs on it is good enough."""

    base: str
    """Its short name, which its contenders bear after an @; those of the first base bear none."""
    parameters: int
    """Its weights."""
    contender: str | None
    """Its best contender on dev; None where none of its contenders was asked on test."""
    good_enough: bool
    """Whether it is shown to be less than `minimum_gain` worse than every other contender, and
    keeps to all demands."""
    why: str = ""
    """What is missing; empty where it is good enough."""
    rival: str | None = None
    """The other contender against which the least is shown."""
    delta: float | None = None
    """Quality of its contender minus that of the rival."""
    low: float | None = None
    """The lower bound of delta."""
    confidence: float = 0.0
    """One-sided, of that bound."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """The answer to the question whether to fine-tune."""

    outcome: str
    """A contender's name, or `undecided`."""
    recommended: str | None
    """What to use now: the outcome, or the incumbent while undecided; None if nothing works."""
    reason: str
    """One or two plain sentences with the numbers."""
    rule: Rule
    comparisons: tuple[Comparison, ...]
    """The primary comparison first."""
    constraints: tuple[Constraint, ...]
    examples_needed: int | None
    """The smallest number of further test examples in `assurance` that settles the question with
    a chance of at least 60%; None where none does, or nothing is open."""
    finding: Finding = "cannot_tell"
    """What was found."""
    untrained: str | None = None
    """The contender without training that training was measured against; None where none ran."""
    regret: float | None = None
    """The quality that acting now is expected to cost against knowing the truth, 0 to 1."""
    assurance: tuple[Assurance, ...] = ()
    """What further test examples would do, fewest first; empty where nothing is open."""
    bases: tuple[BaseJudged, ...] = ()
    """The smallest first; empty where there is one."""
