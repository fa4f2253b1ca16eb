"""A full disk, wherever files and jobs meet it: a 507 that says so, in place of a failure."""

from collections.abc import Callable, Coroutine
from typing import Any

from fastapi import Request, Response
from fastapi.routing import APIRoute
from sqlalchemy.exc import OperationalError

from tunewise.serving.http.errors import ApiError
from tunewise.serving.jobs.database import is_full


class FullDiskRoute(APIRoute):
    """A route that may find the disk full: its client hears so, and that nothing was kept."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """See FastAPI."""
        handle = super().get_route_handler()

        async def handled(request: Request) -> Response:
            try:
                return await handle(request)
            except (OSError, OperationalError) as error:
                if not is_full(error):
                    raise
                raise ApiError(
                    507,
                    "The disk of the server is full: nothing was kept or changed. Free some "
                    "space there, and ask again.",
                    code="disk_full",
                ) from error

        return handled
