"""How dependable a contender's answers are, as verdict.json holds it: records only."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Counted:
    """How many of some answers; with the 95% interval of the share."""

    count: int
    low: float | None = None
    high: float | None = None
    """Of the share, 0 to 1; None where there are too few inputs for an interval."""
    method: str | None = None
    """The procedure, or why there is no interval."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Steadiness:
    """What becomes of the answers when the same inputs are asked in another way."""

    inputs: int
    answers: int
    """Of all inputs: several each, where they are sampled."""
    kept: Counted
    """Answers of which the same is scored as of the answer to the input as it stands."""
    broken: Counted
    """Answers that lack the form that is asked for; those that crashed are among them."""
    quality: float
    """The metric, averaged over the answers, 0 to 1; a crash counts as wrong."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Dependability:
    """One contender's answers to the same inputs, asked in several ways."""

    contender: str
    form: str
    """What an answer that is not broken does: `names one of the labels`."""
    plain: Steadiness
    """The inputs as they stand; all answers are kept by definition."""
    slips: Steadiness | None = None
    """Typed with slips; None where no input has words to slip in."""
    case: Steadiness | None = None
    """In other case and spacing; None where no input has letters."""
    sampled: Steadiness | None = None
    """Drawn at a temperature; None where the contender asks no model."""
    temperature: float = 0.7
    draws: int = 3
    """Answers drawn to each input."""
