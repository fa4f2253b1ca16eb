"""Where a browser gives its key, on servers that need one."""

from typing import Annotated

from fastapi import APIRouter, Form, Request, Response
from starlette.responses import RedirectResponse

from tunewise.desk.pages import page
from tunewise.serving.http.access import Access
from tunewise.serving.http.sessions import COOKIE, ENTRANCE, PAGES, SECONDS


class Entrance:
    """The form, and what it sends.

    Args:
        access: who is let in.
    """

    def __init__(self, access: Access) -> None:
        self._sessions = access.sessions

    def add_to(self, router: APIRouter) -> None:
        """Adds the routes."""
        router.add_api_route(ENTRANCE, self.show, response_class=Response)
        router.add_api_route(ENTRANCE, self.enter, methods=["POST"], response_class=Response)
        router.add_api_route(
            f"{PAGES}/leave", self.leave, methods=["POST"], response_class=Response
        )

    def show(self, request: Request) -> Response:
        """The form; the first page where no key is needed."""
        if self._sessions is None:
            return RedirectResponse(PAGES, 303)
        return page(request, "enter.html", title="Enter", wrong=False)

    def enter(self, request: Request, key: Annotated[str, Form(max_length=500)]) -> Response:
        """Opens a session for a key that is known."""
        if self._sessions is None:
            return RedirectResponse(PAGES, 303)
        token = self._sessions.enter(key.strip())
        if token is None:
            return page(request, "enter.html", title="Enter", status=401, wrong=True)
        response = RedirectResponse(PAGES, 303)
        response.set_cookie(
            COOKIE, token, max_age=SECONDS, path=PAGES, httponly=True, samesite="strict"
        )
        return response

    def leave(self, request: Request) -> Response:
        """Ends the session."""
        if self._sessions is not None:
            self._sessions.leave(request.headers.get("cookie"))
        response = RedirectResponse(ENTRANCE, 303)
        response.delete_cookie(COOKIE, path=PAGES)
        return response
