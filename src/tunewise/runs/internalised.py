"""How near a model that learned a prompt comes to that prompt, as verdict.json holds it."""

from dataclasses import dataclass

from tunewise.project.contenders import INTERNALISED
from tunewise.runs.dependability import Counted


@dataclass(frozen=True, kw_only=True, slots=True)
class Internalised:
    """The student and its teacher on the test rows."""

    name: str = INTERNALISED
    """The student: with its base, where there are several."""
    teacher: str
    """The contender whose way of asking was learned."""
    margin: float
    """Qualities that differ by less are worth the same: `minimum_gain`."""
    same: Counted
    """On how many test rows the same is scored of both answers."""
    delta: float
    """Quality of the student's shipped seed minus that of the teacher."""
    low: float | None = None
    high: float | None = None
    """The 90% interval of delta, which two one-sided tests at 5% stand for; None: too few rows."""
    equivalent: bool = False
    """Whether the interval lies within the margin on both sides."""
    method: str | None = None
    """The procedure, or why there is no interval."""
    answers: int = 0
    """Test rows."""
    tokens_saved: float = 0.0
    """Mean tokens of a request to the teacher minus those of one to the student."""
    teacher_tokens: float = 0.0
    """Mean tokens of a request to the teacher."""
