"""The pages: plain forms, rendered on the server; every change ends in a redirect."""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlencode

from fastapi import APIRouter, FastAPI, Form, Query, Request
from fastapi import Path as InPath
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, RedirectResponse, Response, StreamingResponse
from fastapi.staticfiles import StaticFiles
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from pydantic import AfterValidator
from sqlalchemy.exc import DBAPIError
from starlette.exceptions import HTTPException

from eshop.corrections import log_lines
from eshop.desk import ROWS_SHOWN, Desk, NotFoundError
from eshop.errors import DeskError, ModelError
from eshop.guards import Guards
from eshop.labels import CATEGORIES, SENTIMENTS, URGENCIES
from eshop.passages import passages
from eshop.plain import clean, figures_without_source
from eshop.settings import Settings
from eshop.shop import TODAY, Shop, without_fence
from eshop.tables import Answer, Ticket, open_database

HERE = Path(__file__).parent
ROOT = HERE.parent
DOCUMENTS = (ROOT / "data" / "handbook", ROOT.parent / "product_manuals" / "docs")
MAX_TEXT = 8000
"""Characters of a message."""
PAGE = 50
"""Tickets of one page of the inbox."""
SORTED_AT_ONCE = 10
CHARACTERS_OF_A_CELL = 500

Number = Annotated[int, InPath(ge=1, le=2**31 - 1)]
Line = Annotated[str, Form(max_length=200), AfterValidator(lambda text: clean(text, 200))]
Words = Annotated[
    str, Form(max_length=MAX_TEXT), AfterValidator(lambda text: clean(text, MAX_TEXT))
]
Asked = Literal["triage", "summary", "reply"]

router = APIRouter()
_templates = Environment(
    loader=FileSystemLoader(HERE / "templates"),
    autoescape=True,
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)
_templates.globals |= {
    "categories": CATEGORIES,
    "urgencies": URGENCIES,
    "sentiments": SENTIMENTS,
    "today": TODAY,
}


def open_desk(settings: Settings) -> Desk:
    """The desk of some settings.

    Raises:
        DeskError: the shop's orders are missing.
    """
    shop = Shop(settings.orders_file)
    documents = [one for folder in DOCUMENTS for one in passages(folder)]
    return Desk(settings, open_database(settings.database_url), shop, documents)


def create_app(settings: Settings) -> FastAPI:
    """The desk as an application.

    Raises:
        DeskError: the shop's orders are missing.
    """
    app = FastAPI(title="The desk", docs_url=None, redoc_url=None, openapi_url=None)
    app.state.desk = open_desk(settings)
    app.include_router(router)
    app.mount("/static", StaticFiles(directory=HERE / "static"))
    app.add_exception_handler(NotFoundError, _not_found)
    app.add_exception_handler(DeskError, _unusable)
    app.add_exception_handler(RequestValidationError, _not_understood)
    app.add_exception_handler(HTTPException, _refused)
    app.add_exception_handler(DBAPIError, _database_away)
    app.add_middleware(Guards, hosts=settings.hosts)
    return app


@router.get("/")
def inbox(
    request: Request,
    category: Annotated[str, Query(max_length=40)] = "",
    urgency: Annotated[str, Query(max_length=40)] = "",
    state: Literal["open", "closed", "all"] = "open",
    page: Annotated[int, Query(ge=1, le=10_000)] = 1,
    stopped: Annotated[str, Query(max_length=600)] = "",
) -> HTMLResponse:
    """The tickets, the urgent ones first."""
    tickets = _desk(request).tickets()
    shown = [
        ticket
        for ticket in tickets
        if (state == "all" or ticket.closed is (state == "closed"))
        and category in ("", ticket.category or "unsorted")
        and urgency in ("", ticket.urgency)
    ]
    order = {"high": 0, "normal": 1, "low": 3}
    shown.sort(key=lambda ticket: order.get(ticket.urgency or "", 2))
    start = (page - 1) * PAGE
    return _page(
        request,
        "inbox.html",
        tickets=shown[start : start + PAGE],
        found=len(shown),
        unsorted=sum(ticket.category is None and not ticket.closed for ticket in tickets),
        chosen={"category": category, "urgency": urgency, "state": state},
        page=page,
        pages=max(1, -(-len(shown) // PAGE)),
        stopped=clean(stopped, 600),
    )


@router.post("/sort")
def sort_waiting(request: Request) -> RedirectResponse:
    """Has some of the tickets sorted that nobody sorted yet."""
    error = _desk(request).triage_unsorted(SORTED_AT_ONCE)
    return _to("/", **({"stopped": str(error)} if error else {}))


@router.get("/new")
def new_ticket(request: Request) -> HTMLResponse:
    """The form for a message that came in some other way."""
    return _page(request, "new.html")


@router.post("/tickets")
def open_ticket(
    request: Request,
    subject: Line,
    text: Words,
    customer: Annotated[str, Form(pattern=r"^\s*[0-9]{0,9}\s*$")] = "",
    name: Line = "",
) -> RedirectResponse:
    """Keeps a ticket and has it sorted."""
    if not subject or not text:
        raise DeskError("A ticket needs a subject and a message.")
    number = int(customer) if customer.strip() else None
    return _to(f"/tickets/{_desk(request).open_ticket(subject, text, number, name).id}")


@router.get("/tickets/{number}")
def ticket_page(request: Request, number: Number) -> HTMLResponse:
    """One ticket with all that helps with it."""
    return _ticket_page(request, _desk(request).ticket(number))


@router.get("/tickets/{number}/similar")
def similar(request: Request, number: Number) -> HTMLResponse:
    """The ticket with those that are like it, and with likely products."""
    desk = _desk(request)
    ticket = desk.ticket(number)
    try:
        return _ticket_page(
            request,
            ticket,
            similar=desk.similar(number, ["ticket"]),
            products=desk.similar(number, ["product"]),
        )
    except ModelError as error:
        return _ticket_page(request, ticket, similar_error=str(error))


@router.post("/tickets/{number}/ask/{function}")
def ask(request: Request, number: Number, function: Asked) -> RedirectResponse:
    """Asks a function's model; the page then shows the answer, or why there is none."""
    desk = _desk(request)
    {"triage": desk.triage, "summary": desk.summarise, "reply": desk.suggest_reply}[function](
        number
    )
    return _to(f"/tickets/{number}")


@router.post("/tickets/{number}/labels")
def correct_labels(
    request: Request,
    number: Number,
    category: Line,
    urgency: Line,
    sentiment: Line,
    product: Line = "",
) -> RedirectResponse:
    """Takes an agent's labels."""
    told = {"category": category, "urgency": urgency, "sentiment": sentiment}
    _desk(request).correct_labels(number, {**told, "product": product or None})
    return _to(f"/tickets/{number}")


@router.post("/tickets/{number}/summary")
def correct_summary(request: Request, number: Number, text: Words) -> RedirectResponse:
    """Takes an agent's summary."""
    _desk(request).say_summary(number, _some(text))
    return _to(f"/tickets/{number}")


@router.post("/tickets/{number}/reply")
def send_reply(request: Request, number: Number, text: Words) -> RedirectResponse:
    """Adds a reply to the thread."""
    _desk(request).send_reply(number, _some(text))
    return _to(f"/tickets/{number}")


@router.post("/tickets/{number}/message")
def customer_writes(request: Request, number: Number, text: Words) -> RedirectResponse:
    """Adds what the customer wrote since."""
    _desk(request).add_message(number, "customer", _some(text))
    return _to(f"/tickets/{number}")


@router.post("/tickets/{number}/state")
def close(
    request: Request, number: Number, state: Annotated[Literal["open", "closed"], Form()]
) -> RedirectResponse:
    """Closes or reopens a ticket."""
    _desk(request).close(number, closed=state == "closed")
    return _to(f"/tickets/{number}")


@router.get("/search")
def search(request: Request, q: Annotated[str, Query(max_length=MAX_TEXT)] = "") -> HTMLResponse:
    """Tickets, products and passages that are like some words."""
    words = clean(q, MAX_TEXT)
    found, why = None, ""
    if words:
        try:
            found = _desk(request).search(words, ["ticket", "product", "passage"])
        except ModelError as error:
            why = str(error)
    return _page(request, "search.html", words=words, found=found, error=why)


@router.get("/analyst")
def analyst(request: Request) -> HTMLResponse:
    """The box for questions about the orders, and those asked before."""
    return _page(request, "analyst.html", answers=_desk(request).recent("analyst", 20))


@router.post("/analyst")
def ask_analyst(
    request: Request,
    question: Annotated[str, Form(max_length=500), AfterValidator(lambda text: clean(text, 500))],
) -> RedirectResponse:
    """Has a question turned into SQL."""
    return _to(f"/analyst/{_desk(request).ask_analyst(_some(question)).id}")


@router.get("/analyst/{number}")
def analyst_answer(request: Request, number: Number) -> HTMLResponse:
    """A question with its SQL, and with what that returns."""
    return _analyst_page(request, _desk(request).answer(number, "analyst"))


@router.post("/analyst/{number}/sql", response_model=None)
def correct_sql(request: Request, number: Number, sql: Words) -> Response:
    """Takes an agent's SQL, if it can be run."""
    desk = _desk(request)
    try:
        desk.correct_sql(number, sql)
    except NotFoundError:
        raise
    except DeskError as error:
        return _analyst_page(request, desk.answer(number, "analyst"), tried=sql, fault=str(error))
    return _to(f"/analyst/{number}")


@router.get("/corrections")
def corrections(request: Request) -> HTMLResponse:
    """What agents said, a file for each function."""
    said = _desk(request).said()
    functions = ("triage", "summary", "reply", "analyst")
    counts = {name: [a.verdict for a in said if a.function == name] for name in functions}
    return _page(request, "corrections.html", counts=counts)


@router.get("/corrections/{function}.jsonl")
def export(
    request: Request, function: Literal["triage", "summary", "reply", "analyst"]
) -> StreamingResponse:
    """The log of one function, for `tunewise data from-logs`."""
    return StreamingResponse(
        log_lines(_desk(request).said(), function),
        media_type="application/x-ndjson",
        headers={"Content-Disposition": f'attachment; filename="{function}-log.jsonl"'},
    )


def _ticket_page(request: Request, ticket: Ticket, **more: Any) -> HTMLResponse:
    desk = _desk(request)
    answers = {name: desk.latest(ticket.id, name) for name in ("triage", "summary", "reply")}
    reply = answers["reply"]
    answered = bool(ticket.messages) and ticket.messages[-1].author == "desk"
    unsure = figures_without_source(reply.text or "", reply.asked) if reply else []
    given = {"similar": None, "products": None, "similar_error": "", "unsure": unsure}
    return _page(
        request,
        "ticket.html",
        ticket=ticket,
        answers=answers,
        answered=answered,
        catalogue=[product.name for product in desk.products],
        **given | more,
    )


def _analyst_page(
    request: Request, answer: Answer, *, tried: str | None = None, fault: str = ""
) -> HTMLResponse:
    sql = without_fence(answer.final).strip() if answer.final else ""
    rows: list[list[str]] | None = None
    if sql and not fault:
        try:
            rows = [[_cell(value) for value in row] for row in _desk(request).run(sql)]
        except DeskError as error:
            fault = str(error)
    shown = {"rows": rows and rows[:ROWS_SHOWN], "found": len(rows or ())}
    shown |= {"sql": sql if tried is None else tried, "fault": fault, "ran": rows is not None}
    return _page(request, "analyst_answer.html", answer=answer, **shown)


def _cell(value: object) -> str:
    text = "NULL" if value is None else f"{value:,.2f}" if isinstance(value, float) else str(value)
    return clean(text, CHARACTERS_OF_A_CELL)


def _some(text: str) -> str:
    if not text:
        raise DeskError("There is nothing in the field. Write something first.")
    return text


def _desk(request: Request) -> Desk:
    return request.app.state.desk


def _page(request: Request, template: str, *, status: int = 200, **values: Any) -> HTMLResponse:
    functions: Mapping[str, Any] = _desk(request).settings.functions.model_dump()
    models = {name: told["model"] for name, told in functions.items()}
    text = _templates.get_template(template).render(models=models, **values)
    return HTMLResponse(text, status)


def _to(path: str, **query: str) -> RedirectResponse:
    return RedirectResponse(f"{path}?{urlencode(query)}" if query else path, 303)


def _trouble(request: Request, status: int, what: str) -> HTMLResponse:
    return _page(request, "trouble.html", status=status, code=status, what=what)


def _not_found(request: Request, error: Exception) -> Response:
    return _trouble(request, 404, str(error))


def _unusable(request: Request, error: Exception) -> Response:
    return _trouble(request, 400, str(error))


def _database_away(request: Request, error: Exception) -> Response:
    return _trouble(request, 503, "The desk's database does not answer. Try again in a moment.")


def _refused(request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 500
    words = {404: "There is no such page.", 405: "This page takes no such request."}
    return _trouble(request, status, words.get(status, "This request cannot be read."))


def _not_understood(request: Request, error: Exception) -> Response:
    faults = error.errors() if isinstance(error, RequestValidationError) else []
    fields = ", ".join(sorted({clean(str(fault["loc"][-1]), 40) for fault in faults}))
    return _trouble(
        request, 400, f"This cannot be used: {fields} (missing, too long, or no such value)."
    )
