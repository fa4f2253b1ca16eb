"""Looks up the passages that two answers rest on, for whoever has to say which is faithful."""

from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

from tunewise.data.checks.personal import without_personal_data
from tunewise.data.documents.document import whole_text
from tunewise.pipelines.reading import documents_of
from tunewise.project.settings import Project
from tunewise.retrieval.chunk import chunk
from tunewise.runs.made_from import documents_of_run, text_hash
from tunewise.runs.pairs import Pairs
from tunewise.runs.schema import Run
from tunewise.wording import plural


def passages_of(
    run: Run, project: Project, contenders: Sequence[str]
) -> dict[tuple[str, str], str]:
    """(contender, id of a passage) -> its text, of documents that are as the run read them.

    Args:
        run: a finished one.
        project: whose documents it read.
        contenders: names; those without retrieval have none.
    """
    found, known = documents_of(project), documents_of_run(run.folder)
    same = [
        one
        for one in (found.documents if found else ())
        if known.get(one.name) == text_hash(whole_text(one).text)
    ]
    texts: dict[tuple[str, str], str] = {}
    for name in contenders:
        contender = run.contender(name)
        words = contender and contender.fit.settings.get("chunk_words")
        if isinstance(words, int):
            texts |= {(name, one.id): one.text for one in chunk(same, words=words)}
    return texts


class WithPassages(NamedTuple):
    """Pairs with the texts of their passages."""

    pairs: Pairs
    notes: tuple[str, ...]
    """What could not be looked up."""


def with_passages(pairs: Pairs, run: Run, project: Project) -> WithPassages:
    """The pairs with the passages that retrieval put before either contender, masked as the
    report masks texts. Documents that are not as the run read them are left out.

    Args:
        pairs: of the run.
        run: a finished one.
        project: whose documents it read.
    """
    if not any(pair.shown for pair in pairs.open):
        return WithPassages(pairs, ())
    texts = passages_of(run, project, (pairs.a, pairs.b))
    if not project.report.show_personal:
        wanted = {key for pair in pairs.open for key in pair.shown}
        texts = {key: without_personal_data(texts[key]) for key in texts if key in wanted}
    missing = {key for pair in pairs.open for key in pair.shown if key not in texts}
    notes = (
        f"{plural(len(missing), 'passage')} could not be shown: their documents are not as the run "
        "read them."
    )
    shown = tuple(
        replace(
            pair,
            passages=tuple(dict.fromkeys(texts[key] for key in pair.shown if key in texts)),
        )
        for pair in pairs.open
    )
    return WithPassages(replace(pairs, open=shown), (notes,) if missing else ())
