"""Templates in, responses out: every page with its frame, its security headers and its errors.

Everything goes through Jinja's autoescape: texts of people and models are text, never markup.
"""

from collections.abc import Callable, Coroutine
from functools import cache
from http import HTTPStatus
from typing import Any, cast

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse
from fastapi.routing import APIRoute
from jinja2 import ChoiceLoader, Environment, PackageLoader, StrictUndefined
from starlette.exceptions import HTTPException

from tunewise.desk.assets import address
from tunewise.errors import UserError
from tunewise.report.pages import with_code
from tunewise.runs.records import visible
from tunewise.serving.http.access import key_of
from tunewise.serving.http.errors import ApiError, failed
from tunewise.wording import count, percent, plural

POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
"""Of every response under /ui. What is shown is somebody's data: no cache keeps it."""
_READING = frozenset({"GET", "HEAD"})


class NotThereError(Exception):
    """Nothing is at that address.

    Args:
        message: for people: what is not there, and where to go on.
    """


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=ChoiceLoader([PackageLoader("tunewise.desk"), PackageLoader("tunewise.report")]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    said = {"count": count, "percent": percent, "plural": plural, "with_code": with_code}
    cast("Any", environment).globals.update(said, address=address)
    return environment


def fragment(template: str, **shown: object) -> str:
    """A piece of a page, for one that is open already."""
    return _environment().get_template(template).render(shown)


def page(
    request: Request, template: str, *, title: str, here: str = "", status: int = 200, **shown: Any
) -> HTMLResponse:
    """A whole page.

    Args:
        request: that asked for it.
        template: its name.
        title: of the window.
        here: which link of the navigation it belongs to.
        status: of HTTP.
        shown: name in the template -> what is shown.
    """
    text = fragment(template, title=title, here=here, with_key=key_of(request) is not None, **shown)
    return HTMLResponse(text, status)


class DeskRoute(APIRoute):
    """A route for browsers: its errors are pages, and its headers close what a page does not need.

    What changes something has to come from a page of this very server.
    """

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """See `APIRoute`."""
        answer = super().get_route_handler()

        async def handler(request: Request) -> Response:
            try:
                refuse_foreign(request)
                response = await answer(request)
            except Exception as error:  # noqa: BLE001 - boundary around one request
                response = _error_page(request, error)
            for name, value in HEADERS.items():
                response.headers.setdefault(name, value)
            return response

        return handler


def refuse_foreign(request: Request) -> None:
    """Refuses what changes something and does not say from which page it comes.

    The guard of the server has compared Origin with Host, where a browser sent one.

    Raises:
        ApiError: 403.
    """
    if request.method not in _READING and "origin" not in request.headers:
        raise ApiError(
            403,
            "This request does not say from which page it comes. Use the buttons of the page.",
            code="origin_missing",
        )


def _error_page(request: Request, error: Exception) -> Response:
    status, message = _told(error)
    title = {404: "Not found", 403: "Not allowed"}.get(
        status, "That did not work" if status < 500 else "The server failed"
    )
    return page(
        request,
        "error.html",
        title=title,
        status=status,
        message=visible(message).split("\n"),
        heading=title,
    )


def _told(error: Exception) -> tuple[int, str]:
    """Status and message."""
    match error:
        case UserError():
            return HTTPStatus.BAD_REQUEST, str(error)
        case NotThereError():
            return HTTPStatus.NOT_FOUND, str(error)
        case RequestValidationError():
            return HTTPStatus.BAD_REQUEST, "The address or the form holds a value that cannot be."
        case HTTPException():
            return error.status_code, str(error.detail)
        case _:
            known = failed(error)
            return known.status, known.message
