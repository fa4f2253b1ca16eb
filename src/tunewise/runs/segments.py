"""Quality apart by parts of the test rows, and what their labels allow: records of verdict.json."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from pydantic import TypeAdapter

SEGMENT_ROWS = "segments.json"
"""Column -> value -> ids of the test rows that have it, where a project names columns."""
_ROWS: TypeAdapter[Mapping[str, Mapping[str, Sequence[str]]]] = TypeAdapter(
    Mapping[str, Mapping[str, Sequence[str]]]
)


def read_segment_rows(folder: Path) -> Mapping[str, Mapping[str, Sequence[str]]]:
    """segments.json of a run; empty where it wrote none, or a damaged one."""
    try:
        return _ROWS.validate_python(json.loads((folder / SEGMENT_ROWS).read_text("utf-8")))
    except (OSError, ValueError):
        return {}


@dataclass(frozen=True, kw_only=True, slots=True)
class Segment:
    """Test rows that have something in common, and how two contenders do on them."""

    by: str
    """`label`, `length`, `group`, or the name of a column."""
    value: str
    """What the rows have in common."""
    n: int
    units: int
    """Independent units among them."""
    a: float
    """Quality of the trained contender on these rows, 0 to 1, averaged over its seeds."""
    b: float
    """Of the contender without training that it is held against."""
    low: float | None = None
    high: float | None = None
    """The 95% interval of a − b; None where there are too few rows."""
    p: float | None = None
    p_adjusted: float | None = None
    """After Holm's correction over all segments that have one."""
    method: str | None = None
    """The procedure, or why there is no interval."""

    @property
    def delta(self) -> float:
        """a − b."""
        return self.a - self.b

    @property
    def worse(self) -> bool:
        """Whether the trained contender is shown to be worse on these rows."""
        return self.delta < 0 and self.p_adjusted is not None and self.p_adjusted <= 0.05


@dataclass(frozen=True, kw_only=True, slots=True)
class Segments:
    """All segments of one run."""

    a: str
    """The trained contender."""
    b: str
    """The one without training."""
    items: tuple[Segment, ...] = ()
    """Those that get worse first, the worst of them at the top."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LabelNoise:
    """How far the labels of the same input agree, where inputs are labelled more than once."""

    inputs: int
    """Inputs with at least two labels, over all sides."""
    agreement: float
    """The metric of one label against another of the same input, 0 to 1, averaged over inputs."""
    low: float | None = None
    high: float | None = None
    """Its 95% interval; None where there are too few such inputs."""
    ceiling: float | None = None
    """What no model can exceed on labels like these, 0 to 1: the square root of `high`. None where
    the metric is no share of right answers, or where there is no interval."""
    method: str | None = None
    """The procedure, or why there is no interval."""
