"""Whether rows of the kind `search` name documents that are there."""

from collections.abc import Sequence

import numpy as np

from tunewise.data.checks.findings import Found
from tunewise.data.checks.judgeable import targets
from tunewise.data.checks.survey import Survey
from tunewise.data.documents.document import Document
from tunewise.data.documents.units import units_of, unknown_names
from tunewise.data.splitting.near_duplicates import Indices

RULE = "unknown_document"


def check_names(survey: Survey, documents: Sequence[Document], found: Found) -> Indices:
    """Rows whose answer names no document or section of the project, which are given back.

    Args:
        survey: of all rows.
        documents: of the project.
        found: gets the findings.
    """
    rows = list(targets(survey))
    units = units_of(documents, [target for _, target in rows])
    wrong = [(row, what) for row, target in rows if (what := unknown_names(units, target))]
    for row, what in wrong:
        found.add("error", RULE, survey.where(row), what)
    return np.array([row for row, _ in wrong], dtype=np.int64)
