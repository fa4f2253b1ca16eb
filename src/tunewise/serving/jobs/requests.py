"""What a client may ask of fine-tuning: one model of each request, in which no key is unknown.

The fields are those of OpenAI's API. What this server cannot do is refused by name.
"""

from typing import Annotated, Any, Literal, Self

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    model_validator,
)

from tunewise.project.contenders import BUILT_IN
from tunewise.project.settings import METRICS

SUFFIX_LENGTH = 64
_AUTO = "auto"
Auto = Literal["auto"]


class _Request(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


def _contender(name: str) -> str:
    if name not in BUILT_IN:
        raise ValueError(f"{name} is no contender. There are: {', '.join(BUILT_IN)}")
    return name


def _metric(name: str) -> str:
    # A function of the person's own (`module:function`) is code, which no request brings.
    if name not in METRICS:
        raise ValueError(f"{name} is no metric. There are: {', '.join(METRICS)}")
    return name


def _visible(text: str) -> str:
    if not text.isprintable():
        raise ValueError("holds characters that cannot be printed")
    return text


class Hyperparameters(_Request):
    """Of supervised training. A number, or `auto`: what `tunewise train` would take."""

    batch_size: Annotated[int, Field(ge=1, le=4096)] | Auto = _AUTO
    learning_rate_multiplier: Annotated[float, Field(gt=0, le=1000)] | Auto = _AUTO
    n_epochs: Annotated[int, Field(ge=1, le=100)] | Auto = _AUTO


class DpoHyperparameters(Hyperparameters):
    """Of preference training."""

    beta: Annotated[float, Field(ge=0.001, le=100)] | Auto = _AUTO


class SupervisedMethod(_Request):
    """Learns answers."""

    hyperparameters: Hyperparameters | None = None


class DpoMethod(_Request):
    """Learns which of two answers is the better one."""

    hyperparameters: DpoHyperparameters | None = None


class DecideMethod(_Request):
    """Ours: runs the whole verdict of `tunewise decide`, whose winner becomes the job's model."""

    instruction: Annotated[str, StringConstraints(max_length=20_000)] | None = None
    """What one would tell the model, where the rows do not say it themselves."""
    metric: Annotated[str, AfterValidator(_metric)] | None = None
    contenders: (
        Annotated[list[Annotated[str, AfterValidator(_contender)]], Field(min_length=1)] | None
    ) = None
    minimum_gain: Annotated[float, Field(ge=0, lt=1)] | None = None


class MethodRequest(_Request):
    """How to train."""

    type: Literal["supervised", "dpo", "decide"]
    supervised: SupervisedMethod | None = None
    dpo: DpoMethod | None = None
    decide: DecideMethod | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        others = [
            name
            for name in ("supervised", "dpo", "decide")
            if name != self.type and getattr(self, name) is not None
        ]
        if others:
            raise ValueError(f"is of type {self.type}, and has {others[0]} as well. Leave one out")
        return self


class JobRequest(_Request):
    """`POST /v1/fine_tuning/jobs`."""

    model: Annotated[str, StringConstraints(min_length=1, max_length=512)]
    training_file: Annotated[str, StringConstraints(min_length=1, max_length=128)]
    validation_file: Annotated[str, StringConstraints(min_length=1, max_length=128)] | None = None
    suffix: (
        Annotated[
            str,
            StringConstraints(min_length=1, max_length=SUFFIX_LENGTH),
            AfterValidator(_visible),
        ]
        | None
    ) = None
    seed: Annotated[int, Field(ge=0, le=2**31 - 1)] | None = None
    metadata: (
        Annotated[
            dict[
                Annotated[str, StringConstraints(max_length=64)],
                Annotated[str, StringConstraints(max_length=512)],
            ],
            Field(max_length=16),
        ]
        | None
    ) = None
    method: MethodRequest | None = None
    hyperparameters: Hyperparameters | None = None
    """Deprecated by OpenAI in favour of `method`, and still sent by older programs."""
    integrations: Annotated[list[Any], Field(max_length=0)] | None = None
    """Weights & Biases; this server reports to nobody."""

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if self.method is not None and self.hyperparameters is not None:
            raise ValueError("hyperparameters and method are both there. Leave hyperparameters out")
        return self

    def chosen_method(self) -> dict[str, Any]:
        """The method as a job keeps it: its type, and under that name what was chosen."""
        if self.method is None:
            given = self.hyperparameters or Hyperparameters()
            return {"type": "supervised", "supervised": {"hyperparameters": given.model_dump()}}
        kind = self.method.type
        if kind == "decide":
            decide = self.method.decide or DecideMethod()
            return {"type": kind, kind: decide.model_dump(exclude_none=True)}
        asked = self.method.supervised if kind == "supervised" else self.method.dpo
        usual = Hyperparameters() if kind == "supervised" else DpoHyperparameters()
        given = (asked.hyperparameters if asked else None) or usual
        return {"type": kind, kind: {"hyperparameters": given.model_dump()}}
