"""A document: a file as its title and blocks; and what was found where a project has documents."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from tunewise.data.documents.blocks import Block
from tunewise.errors import UserError
from tunewise.types import Text


@dataclass(frozen=True, kw_only=True, slots=True)
class Document:
    """One file, read."""

    name: str
    """Path inside the folder of documents, with forward slashes."""
    title: str
    """The file's own title, or its name without the ending."""
    blocks: tuple[Block, ...]
    copies: tuple[str, ...] = ()
    """Names of files that say the same and are left out."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DocumentsFound:
    """What lies in the places that a project names as its documents."""

    documents: tuple[Document, ...]
    faults: tuple[tuple[str, str], ...]
    """(file, why it cannot be used and what to do)."""
    missing: tuple[tuple[str, str], ...]
    """(file, what of it a person would miss, and what to do)."""
    left_out: Mapping[str, tuple[str, ...]]
    """What was not taken on purpose, in words -> names of the documents it was in."""

    def all_usable(self) -> tuple[Document, ...]:
        """The documents.

        Raises:
            UserError: files cannot be used: all of them in one message, a line each.
        """
        if self.faults:
            raise UserError.together([f"{where}: {why}" for where, why in self.faults])
        return self.documents

    @property
    def copies(self) -> tuple[tuple[str, str], ...]:
        """(file that is left out, document that says the same)."""
        return tuple((copy, one.name) for one in self.documents for copy in one.copies)

    def notes(self) -> list[str]:
        """What a person should know of documents that could be read, a line each."""
        return [
            *(f"{where}: {what}" for where, what in self.missing),
            *(f"{copy}: repeats {name}, and is left out." for copy, name in self.copies),
            *(f"{what}: left out of {_named(names)}." for what, names in self.left_out.items()),
        ]


def _named(names: Sequence[str]) -> str:
    shown = ", ".join(names[:3])
    return f"{shown} and {len(names) - 3:,} more documents" if len(names) > 3 else shown


def whole_text(document: Document) -> Text:
    """A document as one text, headings included: what continued pre-training reads."""
    lines = [f"# {document.title}"]
    shown: tuple[str, ...] = ()
    for block in document.blocks:
        for depth, heading in enumerate(block.headings):
            if block.headings[: depth + 1] != shown[: depth + 1]:
                lines.append(f"{'#' * (depth + 2)} {heading}")
        shown = block.headings
        lines.append(block.text)
    return Text(id=document.name, text="\n\n".join(lines))
