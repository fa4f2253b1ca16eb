"""Search by meaning over tickets, products, manuals and handbook, by an embedding model."""

import hashlib
import time
from array import array
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from operator import mul

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from eshop.errors import ModelError
from eshop.model_server import ModelServer
from eshop.passages import Passage
from eshop.shop import Product
from eshop.tables import Ticket, Vector
from eshop.threads import first_words

BATCH = 32
"""Texts of one request."""
LENGTHS = (600, 220)
"""Characters that are embedded of a text; fewer where the model says that it is too long."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Item:
    """Something that can be found."""

    kind: str
    """`ticket`, `product` or `passage`."""
    key: str
    title: str
    text: str

    @property
    def words(self) -> str:
        """What it is found by, and what a model is told of it."""
        return f"{self.title}. {self.text}"


@dataclass(frozen=True, kw_only=True, slots=True)
class Hit:
    """Something that was found."""

    item: Item
    likeness: float
    """Dot product of the two vectors."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Found:
    """What a search gave."""

    hits: Sequence[Hit]
    """The likest first."""
    searched: int
    """Items that have a vector so far."""
    items: int


class Search:
    """Finds what is like a text. Vectors are kept, so that each text is embedded once.

    Args:
        server: has the embedding model.
        products: the catalogue.
        documents: passages of manuals and handbook.
        seconds: how long one search may go on embedding what has no vector yet.
    """

    def __init__(
        self,
        server: ModelServer,
        products: Sequence[Product],
        documents: Sequence[Passage],
        *,
        seconds: float,
    ) -> None:
        self._server = server
        self._seconds = seconds
        self._fixed = [
            Item(kind="product", key=one.name, title=one.name, text=one.category)
            for one in products
        ]
        self._fixed += [
            Item(kind="passage", key=one.key, title=one.title, text=one.text) for one in documents
        ]

    def like(
        self, session: Session, text: str, kinds: Iterable[str], *, count: int, but: str = ""
    ) -> Found:
        """The items of some kinds that are likest to a text, without the ticket `but`.

        Raises:
            ModelError: there is no embedding model, or it does not answer.
        """
        wanted = set(kinds)
        items = [item for item in self._fixed if item.kind in wanted]
        if "ticket" in wanted:
            items += [item for item in tickets(session) if item.key != but]
        asked = self._embed([text])[0]
        known = self._vectors(session, items)
        hits = [
            Hit(item=item, likeness=sum(map(mul, asked, known[item.kind, item.key])))
            for item in items
            if len(known.get((item.kind, item.key), ())) == len(asked)
        ]
        hits.sort(key=lambda hit: -hit.likeness)
        return Found(hits=hits[:count], searched=len(hits), items=len(items))

    def _vectors(
        self, session: Session, items: Sequence[Item]
    ) -> dict[tuple[str, str], Sequence[float]]:
        """Kind and key -> vector; embeds what has none, as far as the time goes."""
        model = self._server.model("search")
        rows = session.scalars(select(Vector).where(Vector.model == model))
        kept = {(row.kind, row.key): row for row in rows}
        digests = {(item.kind, item.key): _digest(item.words) for item in items}
        missing = [
            item
            for item in items
            if (row := kept.get((item.kind, item.key))) is None
            or row.digest != digests[item.kind, item.key]
        ]
        found = {place: array("f", row.values) for place, row in kept.items()}
        end = time.monotonic() + self._seconds
        while missing and time.monotonic() < end:
            batch, missing = missing[:BATCH], missing[BATCH:]
            for item, vector in zip(batch, self._embed([one.words for one in batch]), strict=True):
                place = (item.kind, item.key)
                found[place] = array("f", vector)
                row = Vector(kind=item.kind, key=item.key, model=model, digest=digests[place])
                row.values = found[place].tobytes()
                session.merge(row)
            try:
                session.commit()
            except IntegrityError:  # another search kept the same meanwhile
                session.rollback()
        return {place: vector for place, vector in found.items() if place in digests}

    def _embed(self, texts: Sequence[str]) -> list[list[float]]:
        for length in LENGTHS[:-1]:
            try:
                return self._server.vectors([text[:length] or " " for text in texts])
            except ModelError as error:
                if error.status != HTTPStatus.BAD_REQUEST:
                    raise
        return self._server.vectors([text[: LENGTHS[-1]] or " " for text in texts])


def tickets(session: Session) -> list[Item]:
    """All tickets, by their subject and first message."""
    return [
        Item(
            kind="ticket",
            key=str(ticket.id),
            title=ticket.subject,
            text=first_words(ticket.messages),
        )
        for ticket in session.scalars(select(Ticket).order_by(Ticket.id))
    ]


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
