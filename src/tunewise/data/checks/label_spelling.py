"""What the answers of rows mean: the same for the spellings of a label, and for its typos."""

import numpy as np

from tunewise.data.checks.label_sets import set_hashes
from tunewise.data.checks.labels import likely_typos
from tunewise.data.checks.scan import short_hash
from tunewise.data.checks.survey import Survey
from tunewise.data.splitting.word_hashes import Hashes
from tunewise.project.settings import Task
from tunewise.text.comparison import label_form


def meant_targets(survey: Survey, task: Task) -> Hashes:
    """(rows,) hashes of the answers, equal for the spellings of a label and for its typos."""
    if task.kind == "multilabel" and survey.spellings:
        return set_hashes(survey, task)
    if task.kind != "classification" or not survey.labels:
        return survey.columns.target
    typos = likely_typos(survey, task.labels)
    meant = [short_hash(label_form(typos.get(label, label))) for label in survey.labels]
    return np.array(meant, dtype=np.uint64)[survey.label]
