"""The desk: tickets come in, five functions help with them, agents have the last word.

No transaction is open while a model is asked, and a failure is kept like an answer: whatever the
server does, tickets and corrections stay.
"""

import json
import time
from collections.abc import Callable, Sequence

from sqlalchemy import Engine, select
from sqlalchemy.orm import Session

from eshop.errors import DeskError, ModelError
from eshop.labels import Labels, checked, labels_of
from eshop.model_server import ModelServer, Reply
from eshop.passages import Passage
from eshop.search import Found, Search
from eshop.settings import FunctionName, Settings
from eshop.shop import Product, QueryError, Shop, without_fence
from eshop.shop import select as run_select
from eshop.tables import Answer, Message, Ticket, now
from eshop.threads import first_words, reply_text, thread_text

SIMILAR = 5
PASSAGES = 2
"""Passages that a reply is grounded on."""
ROWS_SHOWN = 200


class NotFoundError(DeskError):
    """There is no such ticket or answer."""


class Desk:
    """All that the pages do.

    Args:
        settings: which model answers which function.
        engine: the desk's own database.
        shop: the shop's orders.
        documents: passages of manuals and handbook.
    """

    def __init__(
        self, settings: Settings, engine: Engine, shop: Shop, documents: Sequence[Passage]
    ) -> None:
        self.settings = settings
        self.shop = shop
        self.products: Sequence[Product] = shop.products()
        self.engine = engine
        self._server = ModelServer(settings)
        self._search = Search(self._server, self.products, documents, seconds=settings.timeout_s)

    def session(self) -> Session:
        """A session of the desk's database; what it gave can be read after it is closed."""
        return Session(self.engine, expire_on_commit=False)

    # Tickets

    def tickets(self) -> list[Ticket]:
        """All tickets, the newest first."""
        with self.session() as session:
            return list(session.scalars(select(Ticket).order_by(Ticket.opened.desc(), Ticket.id)))

    def ticket(self, number: int) -> Ticket:
        """One ticket with its thread.

        Raises:
            NotFoundError: there is none of this number.
        """
        with self.session() as session:
            ticket = session.get(Ticket, number)
        if ticket is None:
            raise NotFoundError(f"There is no ticket {number}.")
        return ticket

    def open_ticket(self, subject: str, text: str, customer_id: int | None, name: str) -> Ticket:
        """Keeps a new ticket, and only then has it sorted.

        Raises:
            DeskError: there is no such customer.
        """
        customer = self.shop.customer(customer_id)
        if customer_id is not None and customer is None:
            raise DeskError(
                f"There is no customer {customer_id}. Leave the number empty if unsure."
            )
        time = now()
        ticket = Ticket(
            subject=subject,
            customer_id=customer_id,
            customer=customer.name if customer else name or "unknown",
            opened=time,
            closed=False,
        )
        ticket.messages = [Message(author="customer", sent=time, text=text)]
        with self.session() as session, session.begin():
            session.add(ticket)
        self.triage(ticket.id)
        return self.ticket(ticket.id)

    def add_message(self, number: int, author: str, text: str) -> None:
        """Adds a message to a thread."""
        ticket = self.ticket(number)
        with self.session() as session, session.begin():
            session.add(Message(ticket_id=ticket.id, author=author, sent=now(), text=text))

    def close(self, number: int, *, closed: bool) -> None:
        """Closes or reopens a ticket."""
        self._change(number, closed=closed)

    # What models are asked

    def triage(self, number: int) -> Answer:
        """Asks for the four labels, and takes them where they exist."""
        ticket = self.ticket(number)
        answer = self._ask("triage", ticket.id, first_words(ticket.messages), [])
        if answer.text is None:
            return answer
        try:
            labels = labels_of(answer.text, self._product_names())
        except DeskError as error:
            return self._set(answer.id, note=str(error))
        self._label(ticket.id, labels)
        return answer

    def triage_unsorted(self, count: int) -> ModelError | None:
        """Sorts up to `count` open tickets without labels; what stopped it, if anything did.

        It begins no other one after the time that one answer may take.
        """
        end = time.monotonic() + self.settings.timeout_s
        waiting = [t for t in self.tickets() if t.category is None and not t.closed]
        for ticket in waiting[:count]:
            if time.monotonic() > end:
                break
            answer = self.triage(ticket.id)
            if answer.text is None:
                return ModelError(answer.note or "")
        return None

    def summarise(self, number: int) -> Answer:
        """Asks for the summary with which a colleague takes the ticket over."""
        ticket = self.ticket(number)
        return self._ask("summary", ticket.id, thread_text(ticket.messages), [])

    def suggest_reply(self, number: int) -> Answer:
        """Asks for a reply grounded on the customer's orders and on the likest passages."""
        ticket = self.ticket(number)
        thread = thread_text(ticket.messages)
        orders = self.shop.orders_for(ticket.customer_id, thread)
        facts = list(orders.facts)
        sources = [_source(*fact.split(": ", 1)) for fact in facts]
        notes: list[str] = []
        if orders.foreign:
            notes.append(f"Not this customer's, and not used: {', '.join(orders.foreign)}.")
        try:
            with self.session() as session:
                words = f"{ticket.subject}. {_newest(ticket)}"
                found = self._search.like(session, words, ["passage"], count=PASSAGES)
            for hit in found.hits:
                facts.append(hit.item.words)
                sources.append(_source(hit.item.title, hit.item.text))
        except ModelError as error:
            notes.append(f"Manuals were not searched. {error}")
        return self._ask("reply", ticket.id, reply_text(thread, facts), sources, " ".join(notes))

    def similar(self, number: int, kinds: Sequence[str]) -> Found:
        """What is like a ticket.

        Raises:
            ModelError: there is no embedding model, or it does not answer.
        """
        ticket = self.ticket(number)
        words = f"{ticket.subject}. {first_words(ticket.messages)}"
        return self.search(words, kinds, but=str(ticket.id))

    def search(self, words: str, kinds: Sequence[str], *, but: str = "") -> Found:
        """What is like some words.

        Raises:
            ModelError: there is no embedding model, or it does not answer.
        """
        with self.session() as session:
            return self._search.like(session, words, kinds, count=SIMILAR, but=but)

    def ask_analyst(self, question: str) -> Answer:
        """Asks for the SQL to a question about the orders."""
        return self._ask("analyst", None, question, [])

    def run(self, sql: str) -> list[tuple[object, ...]]:
        """The rows of one SELECT over the shop's tables, read-only and within limits.

        Raises:
            DeskError: it is no such query, or came to no end.
        """
        try:
            return run_select(without_fence(sql), self.shop.file)
        except QueryError as error:
            raise DeskError(f"This query was not run to its end: {error}.") from error

    # What agents say

    def answer(self, number: int, function: FunctionName) -> Answer:
        """One answer.

        Raises:
            NotFoundError: there is none of this number and function.
        """
        with self.session() as session:
            answer = session.get(Answer, number)
        if answer is None or answer.function != function:
            raise NotFoundError(f"There is no answer {number}.")
        return answer

    def latest(self, ticket: int | None, function: FunctionName) -> Answer | None:
        """The newest answer of a function to a ticket."""
        with self.session() as session:
            return session.scalar(
                select(Answer)
                .where(Answer.ticket_id == ticket, Answer.function == function)
                .order_by(Answer.id.desc())
                .limit(1)
            )

    def recent(self, function: FunctionName, count: int) -> list[Answer]:
        """The newest answers of a function."""
        with self.session() as session:
            asked = select(Answer).where(Answer.function == function)
            return list(session.scalars(asked.order_by(Answer.id.desc()).limit(count)))

    def correct_labels(self, number: int, told: dict[str, object]) -> Labels:
        """Takes an agent's labels.

        Raises:
            DeskError: a label is none that there is.
        """
        ticket = self.ticket(number)
        labels = checked(told, self._product_names())
        self.say(ticket, "triage", first_words(ticket.messages), labels.as_json(), _same_json)
        self._label(ticket.id, labels)
        return labels

    def say_summary(self, number: int, text: str) -> None:
        """Takes an agent's summary: the suggested one is good, or corrected."""
        ticket = self.ticket(number)
        self.say(ticket, "summary", thread_text(ticket.messages), text)

    def send_reply(self, number: int, text: str) -> None:
        """Adds the reply to the thread, and says of the suggested one what became of it."""
        ticket = self.ticket(number)
        thread = thread_text(ticket.messages)
        facts = self.shop.orders_for(ticket.customer_id, thread).facts
        self.say(ticket, "reply", reply_text(thread, facts), text)
        self.add_message(number, "desk", text)

    def say(
        self,
        ticket: Ticket,
        function: FunctionName,
        asked: str,
        text: str,
        same: Callable[[str, str], bool] = str.__eq__,
    ) -> None:
        """Keeps an agent's word on a function's newest answer to what is asked now.

        Where nothing was asked, or the ticket went on since, the agent's word is kept beside the
        question all the same: it is an example like any other.
        """
        answer = self.latest(ticket.id, function)
        if answer is None or not _asked_the_same(answer, asked, function):
            answer = self._keep(Answer(function=function, ticket_id=ticket.id, asked=asked))
        good = answer.text is not None and same(answer.text, text)
        self._set(
            answer.id,
            verdict="good" if good else "corrected",
            correction=None if good else text,
            said=now(),
        )

    def correct_sql(self, number: int, sql: str) -> Answer:
        """Keeps an agent's SQL for a question.

        Raises:
            DeskError: it cannot be run.
        """
        answer = self.answer(number, "analyst")
        sql = without_fence(sql).strip()
        self.run(sql)
        good = answer.text is not None and without_fence(answer.text).strip() == sql
        verdict, correction = ("good", None) if good else ("corrected", sql)
        return self._set(answer.id, verdict=verdict, correction=correction, said=now())

    def said(self) -> list[Answer]:
        """All answers of which an agent said something, the oldest first."""
        with self.session() as session:
            asked = select(Answer).where(Answer.verdict.is_not(None))
            return list(session.scalars(asked.order_by(Answer.said, Answer.id)))

    def _ask(
        self,
        function: FunctionName,
        ticket: int | None,
        asked: str,
        sources: list[dict[str, str]],
        note: str = "",
    ) -> Answer:
        told: Reply | None = None
        try:
            told = self._server.answer(function, asked)
            if told.cut_off:
                note = f"The answer found no end and was cut off. {note}".strip()
        except ModelError as error:
            note = f"{error} {note}".strip()
        return self._keep(
            Answer(
                function=function,
                ticket_id=ticket,
                asked=asked,
                text=told.text if told else None,
                model=told.model if told else None,
                note=note or None,
                sources=sources + (told.passages if told else []),
            )
        )

    def _keep(self, answer: Answer) -> Answer:
        answer.created = now()
        with self.session() as session, session.begin():
            session.add(answer)
        return answer

    def _set(self, number: int, **values: str | None) -> Answer:
        with self.session() as session, session.begin():
            answer = session.get_one(Answer, number)
            for name, value in values.items():
                setattr(answer, name, value)
        return answer

    def _label(self, number: int, labels: Labels) -> None:
        self._change(
            number,
            category=labels.category,
            urgency=labels.urgency,
            sentiment=labels.sentiment,
            product=labels.product,
        )

    def _change(self, number: int, **values: object) -> None:
        self.ticket(number)
        with self.session() as session, session.begin():
            ticket = session.get_one(Ticket, number)
            for name, value in values.items():
                setattr(ticket, name, value)

    def _product_names(self) -> set[str]:
        return {product.name for product in self.products}


def _source(title: str, text: str) -> dict[str, str]:
    return {"title": title, "text": text}


def _newest(ticket: Ticket) -> str:
    return next((m.text for m in reversed(ticket.messages) if m.author == "customer"), "")


def _asked_the_same(answer: Answer, asked: str, function: FunctionName) -> bool:
    """Whether an answer is to the thread as it stands; what is known beside it may differ."""
    if function != "reply":
        return answer.asked == asked
    return answer.asked.partition("\n\nKnown:\n")[0] == asked.partition("\n\nKnown:\n")[0]


def _same_json(one: str, other: str) -> bool:
    try:
        return json.loads(one) == json.loads(other)
    except (ValueError, RecursionError):
        return False
