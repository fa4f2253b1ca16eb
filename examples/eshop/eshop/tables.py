"""What the desk keeps: tickets with their messages, answers with what agents said of them, vectors.

SQLite or Postgres, by URL. The shop's orders are another database, which nothing here writes to.
"""

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import JSON, Engine, ForeignKey, LargeBinary, Text, create_engine, event
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column, relationship


def now() -> str:
    """The time as it is kept, in UTC to the millisecond, so that texts sort as times do."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


class Base(DeclarativeBase):
    """All tables."""


class Ticket(Base):
    """A customer's matter."""

    __tablename__ = "tickets"

    id: Mapped[int] = mapped_column(primary_key=True)
    subject: Mapped[str] = mapped_column(Text)
    customer_id: Mapped[int | None]
    """Of the shop's customers; None where somebody writes who is none."""
    customer: Mapped[str] = mapped_column(Text)
    """The name to show."""
    opened: Mapped[str] = mapped_column(Text, index=True)
    closed: Mapped[bool] = mapped_column(default=False)
    category: Mapped[str | None] = mapped_column(Text, index=True)
    urgency: Mapped[str | None] = mapped_column(Text)
    sentiment: Mapped[str | None] = mapped_column(Text)
    product: Mapped[str | None] = mapped_column(Text)
    """The four labels as they stand: the model's, or an agent's."""
    messages: Mapped[list["Message"]] = relationship(order_by="Message.id", lazy="selectin")


class Message(Base):
    """One message of a thread."""

    __tablename__ = "messages"

    id: Mapped[int] = mapped_column(primary_key=True)
    ticket_id: Mapped[int] = mapped_column(ForeignKey("tickets.id"), index=True)
    author: Mapped[str] = mapped_column(Text)
    """`customer` or `desk`."""
    sent: Mapped[str] = mapped_column(Text)
    text: Mapped[str] = mapped_column(Text)


class Answer(Base):
    """What a function was asked and answered, or why it did not, and what an agent said of it."""

    __tablename__ = "answers"

    id: Mapped[int] = mapped_column(primary_key=True)
    function: Mapped[str] = mapped_column(Text, index=True)
    ticket_id: Mapped[int | None] = mapped_column(ForeignKey("tickets.id"), index=True)
    asked: Mapped[str] = mapped_column(Text)
    """The user's message, as it was sent."""
    text: Mapped[str | None] = mapped_column(Text)
    """The answer; None: there is none, as `note` says, or an agent wrote without asking."""
    note: Mapped[str | None] = mapped_column(Text)
    """Why there is no answer or none that can be used, and what it had to do without."""
    model: Mapped[str | None] = mapped_column(Text)
    """The version that answered."""
    sources: Mapped[list[dict[str, str]]] = mapped_column(JSON, default=list)
    """Title and text of what the answer was grounded on."""
    created: Mapped[str] = mapped_column(Text)
    verdict: Mapped[str | None] = mapped_column(Text)
    """`good` or `corrected`; None: nobody said anything."""
    correction: Mapped[str | None] = mapped_column(Text)
    said: Mapped[str | None] = mapped_column(Text)
    """When an agent said it."""

    @property
    def final(self) -> str | None:
        """The agent's word, else the model's."""
        return self.text if self.correction is None else self.correction


class Vector(Base):
    """The place of a text in the embedding model's space."""

    __tablename__ = "vectors"

    kind: Mapped[str] = mapped_column(Text, primary_key=True)
    key: Mapped[str] = mapped_column(Text, primary_key=True)
    model: Mapped[str] = mapped_column(Text, primary_key=True)
    digest: Mapped[str] = mapped_column(Text)
    """Of the text, so that a changed one is embedded anew."""
    values: Mapped[bytes] = mapped_column(LargeBinary)
    """float32 in the machine's order."""


def open_database(url: str) -> Engine:
    """The database of a URL, with its tables made where they are missing."""
    engine = create_engine(url, pool_pre_ping=True)
    if engine.dialect.name == "sqlite":
        event.listen(engine, "connect", _wait_for_others)
    Base.metadata.create_all(engine)
    return engine


def _wait_for_others(connection: Any, _record: object) -> None:
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA busy_timeout = 10000")
    connection.execute("PRAGMA foreign_keys = ON")
