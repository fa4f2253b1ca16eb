"""What rows of the kind `search` name: documents, or sections of them."""

import difflib
from collections.abc import Sequence
from dataclasses import replace

from tunewise.data.documents.document import Document
from tunewise.text.comparison import comparable
from tunewise.text.rankings import SECTION, is_meant, read_ranking

_NEAR = 0.5


def units_of(documents: Sequence[Document], targets: Sequence[str]) -> tuple[Document, ...]:
    """What a search may find: the documents, or where a target names a section all sections.

    A section is what stands under an outermost heading, a document of its own by the name
    `stove.md#Lighting`; what stands above the first heading keeps the name of the whole.
    """
    named = (name for target in targets for name in read_ranking(target))
    return _sections(documents) if any(SECTION in name for name in named) else tuple(documents)


def unknown_names(units: Sequence[Document], target: str) -> str:
    """What is wrong with the names that an answer holds, and what to do; empty: nothing."""
    known = [comparable(unit.name) for unit in units]
    wrong = [
        wanted
        for wanted in read_ranking(target)
        if not any(is_meant(name, wanted) for name in known)
    ]
    if not wrong:
        return ""
    near = difflib.get_close_matches(wrong[0], _shortest(known), n=1, cutoff=_NEAR)
    meant = f' Did you mean "{near[0]}"?' if near else ""
    return (
        f'The documents hold no "{wrong[0]}".{meant} Name a file of data.documents, or a file and '
        "a heading as it stands there: stove.md#Lighting."
    )


def _sections(documents: Sequence[Document]) -> tuple[Document, ...]:
    found: dict[str, Document] = {}
    for document in documents:
        for block in document.blocks:
            heading = block.headings[0] if block.headings else ""
            name = f"{document.name}{SECTION}{heading}" if heading else document.name
            held = found.get(name) or replace(document, name=name, blocks=())
            found[name] = replace(held, blocks=(*held.blocks, block))
    return tuple(found.values())


def _shortest(names: Sequence[str]) -> list[str]:
    """Each name without its folders."""
    short: list[str] = []
    for name in names:
        document, section, heading = name.partition(SECTION)
        short.append(f"{document.rpartition('/')[2]}{section}{heading}")
    return short
