"""What disk and data base cannot hold, wherever files and jobs meet it: an answer that says so, in
place of a failure."""

from collections.abc import Callable, Coroutine
from typing import Any

import structlog
from fastapi import Request, Response
from fastapi.routing import APIRoute
from sqlalchemy.exc import DataError, OperationalError

from tunewise.serving.http.errors import ApiError
from tunewise.serving.jobs.database import is_full


class StoringRoute(APIRoute):
    """A route of files or jobs. A full disk is a 507: its client hears that nothing was kept. Text
    that Postgres cannot hold, such as an id with a NUL, is a 400, and a data base that cannot be
    reached a 503: clients ask again by themselves."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        """See FastAPI."""
        handle = super().get_route_handler()

        async def handled(request: Request) -> Response:
            try:
                return await handle(request)
            except DataError as error:
                raise ApiError(
                    400,
                    "The request holds a character that no id and no name here has. Leave it out.",
                    code="invalid_value",
                ) from error
            except (OSError, OperationalError) as error:
                if is_full(error):
                    raise ApiError(
                        507,
                        "The disk of the server is full: nothing was kept or changed. Free some "
                        "space there, and ask again.",
                        code="disk_full",
                    ) from error
                if isinstance(error, OSError):
                    raise
                structlog.get_logger().error("data_base_not_reached", why=str(error.orig))
                raise ApiError(
                    503,
                    "The data base of jobs cannot be reached at the moment. Ask again.",
                    code="database_unreachable",
                ) from error

        return handled
