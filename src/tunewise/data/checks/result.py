"""Everything that `tunewise check` found in a data set, ready to be shown: records only."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tunewise.data.checks.duplicates import Ceiling
from tunewise.data.checks.findings import Findings
from tunewise.data.checks.forecast import Outlook
from tunewise.data.checks.labels import LabelCount
from tunewise.data.checks.lengths import RowLengths
from tunewise.data.checks.repair import Fixed
from tunewise.data.layouts.detect import Kind
from tunewise.project.settings import Task


@dataclass(frozen=True, kw_only=True, slots=True)
class ShownRow:
    """A row as people look at it, secrets and personal data masked."""

    where: str
    """`file:line`."""
    input: str
    target: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ShownLabelError:
    """A row whose label is likely wrong."""

    row: ShownRow
    likely: str
    probability: float
    """Of the likely label, to a classifier trained on the other rows."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ShownGroup:
    """Rows that nearly repeat one another, or that contradict one another."""

    size: int
    rows: tuple[ShownRow, ...]
    """The first of them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ShownLeak:
    """A test row, and the row that gives it away."""

    kind: str
    """`exact`, `normalised`, `near`, `documents`, `overlap` or `group`."""
    test: ShownRow
    other: ShownRow | None
    """The row of train or dev; None: a document gives it away."""
    share: float
    """Of an overlap: how much of the test row's runs of 13 words it is, 0 to 1."""
    document: str = ""
    """Name of the document."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ShownSecret:
    """A place with a secret or personal data."""

    where: str
    kind: str
    masked: str


@dataclass(frozen=True, kw_only=True, slots=True)
class ShownRepair:
    """What a repaired copy would do to a row."""

    row: ShownRow
    """Without texts where it cannot be read."""
    rule: str
    done: str
    """A sentence's end: `it repeats rows.csv:4`, `"refnd" corrected to "refund"`."""
    goes: bool
    """Whether the row is left out."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DocumentCounts:
    """How much there is to retrieve from."""

    files: int
    """That were opened."""
    usable: int
    """Documents, copies left out."""
    passages: int
    passage_words: int
    """Words of a passage at most."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Checked:
    """What checking a project found."""

    source: str
    """The project or file."""
    kind: Kind
    """What the rows are for."""
    files: tuple[str, ...]
    """The files that were read."""
    rows: Mapping[str, int]
    """Part -> rows that could be read."""
    unreadable: int
    """Rows that could not be read."""
    usable: int
    """Rows without a fault of their own."""
    task: Task
    reason: str
    """How the task was inferred; empty if it was given."""
    report: Findings
    lengths: RowLengths
    no_tokens: str
    """Why tokens were not counted; empty if they were."""
    labels: tuple[LabelCount, ...]
    near_duplicates: int
    """Rows that nearly repeat an earlier one of their part."""
    clusters: tuple[ShownGroup, ...]
    contradictions: tuple[ShownGroup, ...]
    ceiling: Ceiling | None
    label_errors: tuple[ShownLabelError, ...]
    label_errors_found: int
    label_error_rows: int
    """Rows among which mistakes were looked for; 0 where that makes no sense."""
    no_label_errors: str
    """Why nothing could be said of labels; empty if something could, or there are none."""
    leaks: tuple[ShownLeak, ...]
    leak_kinds: Mapping[str, int]
    """Kind -> test rows given away so."""
    secrets: tuple[ShownSecret, ...]
    secret_kinds: Mapping[str, int]
    """Kind -> rows with it."""
    outlook: Outlook
    seconds: float
    """Wall time of the check."""
    root: Path | None = None
    """The project's folder; paths are told from there."""
    documents: DocumentCounts | None = None
    """None: the project names none."""
    repairs: tuple[ShownRepair, ...] = ()
    """What a repaired copy would do: of each rule the first ones."""
    repair_counts: Mapping[str, int] = field(default_factory=dict[str, int])
    """Rule -> rows that a repaired copy would change or leave out."""
    fixed: Fixed | None = None
    """The repaired copy, where one was wanted."""

    @property
    def total(self) -> int:
        """Rows of all parts that could be read."""
        return sum(self.rows.values())
