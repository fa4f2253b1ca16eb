"""A finished run as a notebook shows it: the verdict and its table as HTML, answers as a frame."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

from markupsafe import Markup, escape

from tunewise.errors import UserError
from tunewise.report.comparison_table import TableColumn, ranked, table_columns
from tunewise.report.sentences import headline
from tunewise.report.summary import left_out, summary
from tunewise.runs.schema import Run

if TYPE_CHECKING:
    import pandas as pd

_NO_PANDAS = "to_pandas needs pandas: pip install 'tunewise[notebook]'."


@dataclass(frozen=True, kw_only=True, slots=True, repr=False)
class FinishedRun(Run):
    """A run with its verdict; the last expression of a cell draws it."""

    @classmethod
    def of(cls, run: Run) -> "FinishedRun":
        """The same run, with what a notebook needs."""
        return cls(**{field.name: getattr(run, field.name) for field in fields(run)})

    def __repr__(self) -> str:
        return f"<run {self.folder}: {headline(self)}>"

    def _repr_html_(self) -> str:
        """The verdict, the comparison table, and who did not run; see IPython's rich display."""
        return verdict_html(self)

    def to_pandas(self) -> "pd.DataFrame":
        """Every answer with its scores: one row for each contender, seed and test example.

        Returns:
            example_id, contender, seed, place (`file:line`), input, target, text, error, the
            tokens of `Usage`, seconds, and one column for each metric (0 to 1; NaN where the
            answer crashed).

        Raises:
            UserError: pandas is not installed.
        """
        try:
            import pandas as pd  # noqa: PLC0415 - extra `notebook`
        except ImportError:
            raise UserError(_NO_PANDAS) from None
        return pd.DataFrame(answer_records(self))


def verdict_html(run: Run) -> str:
    """The verdict above the table that the terminal draws; every text is escaped."""
    columns = {name: column for name, column in table_columns(run).items() if name != "bar"}
    head = Markup("").join(_head(column) for column in columns.values())
    rows = Markup("").join(
        Markup("<tr{}>{}</tr>").format(
            Markup(' style="font-weight: bold"') if one.name == run.recommended else "",
            Markup("").join(_cell(column, column.cell(one)) for column in columns.values()),
        )
        for one in ranked(run)
    )
    skipped = Markup("").join(
        Markup("<br>{} {}").format(one.name, one.sentence) for one in run.skipped
    )
    told = summary(run)
    sentences = [text for text in (told.gain, told.request, told.cost, told.next) if text]
    said = Markup("<br>").join(text.replace("`", "") for text in sentences)
    return str(
        Markup(
            "<p><strong>{}</strong> {}<br>{}</p>"
            "<table><thead><tr>{}</tr></thead><tbody>{}</tbody></table>"
            "<p><small>{} test examples{}</small></p>"
        ).format(headline(run), left_out(run), said, head, rows, run.n_test, skipped)
    )


def _head(column: TableColumn) -> Markup:
    return Markup('<th style="text-align: {}; vertical-align: bottom">{}</th>').format(
        _side(column), _lines(column.title)
    )


def _cell(column: TableColumn, text: str) -> Markup:
    return Markup('<td style="text-align: {}">{}</td>').format(_side(column), _lines(text))


def _side(column: TableColumn) -> str:
    return "left" if column.left else "right"


def _lines(text: str) -> Markup:
    return Markup("<br>").join(escape(line) for line in text.split("\n"))


def answer_records(run: Run) -> list[Mapping[str, object]]:
    """The rows of `FinishedRun.to_pandas`, in the order of answers.jsonl."""
    tests = {test.id: test for test in run.tests}
    metrics = dict.fromkeys(score.metric for score in run.scores)
    scores = {(s.example_id, s.contender, s.seed, s.metric): s.value for s in run.scores}
    records: list[Mapping[str, object]] = []
    for answer in run.answers:
        test = tests.get(answer.example_id)
        key = (answer.example_id, answer.contender, answer.seed)
        records.append(
            {
                "example_id": answer.example_id,
                "contender": answer.contender,
                "seed": answer.seed,
                "place": test and test.place,
                "input": test and test.input,
                "target": test and test.target,
                "text": answer.text,
                "error": answer.error,
                **{field.name: getattr(answer.usage, field.name) for field in fields(answer.usage)},
                "seconds": answer.seconds,
                **{metric: scores.get((*key, metric)) for metric in metrics},
            }
        )
    return records
