"""Every error in OpenAI's shape: `{"error": {message, type, param, code}}`, whoever raised it."""

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from http import HTTPStatus
from typing import Any, cast

import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from tunewise.serving.http.wire import ChatCompletionRequest, EmbeddingRequest
from tunewise.serving.protocol import BackEndError, EngineLostError, InUseError, RefusedError

RETRY_AFTER = 1
"""Seconds after which a client may ask again, where nothing better is known."""
MAX_SHOWN = 4
"""Faults of one request that its error names."""

_FIELDS = sorted({*ChatCompletionRequest.model_fields, *EmbeddingRequest.model_fields})
_TYPES = {401: "authentication_error", 403: "permission_error", 429: "rate_limit_error"}


class ApiError(Exception):
    """An answer that is an error. Raised anywhere in a route, it becomes the response.

    The `openai` client asks again by itself after 408, 409, 429 and 5xx: what will not change by
    asking again is a 400.

    Args:
        status: of HTTP, 400 to 599.
        message: for people: what is wrong, where, and what to do.
        type: None: what OpenAI calls errors of that status.
        param: the field that is to blame, as in `messages[0].content`.
        code: for programs, in snake_case.
        headers: of the response. 429 and 503 have a `Retry-After` in any case.
    """

    def __init__(
        self,
        status: int,
        message: str,
        type: str | None = None,
        param: str | None = None,
        code: str | None = None,
        *,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.type = type or _type_of(status)
        self.param = param
        self.code = code
        waits = {"Retry-After": str(RETRY_AFTER)} if status in (429, 503) else {}
        self.headers = {**waits, **(headers or {})}

    def body(self) -> dict[str, dict[str, str | None]]:
        """What is sent, as a response's body or as an event of a stream."""
        return {
            "error": {
                "message": _sendable(self.message),
                "type": self.type,
                "param": None if self.param is None else _sendable(self.param),
                "code": self.code,
            }
        }

    def response(self) -> JSONResponse:
        """The whole response."""
        return JSONResponse(self.body(), self.status, headers=self.headers)


def as_api_error(error: Exception) -> ApiError:
    """What a client is told of an exception. Of one that nobody foresaw it learns nothing."""
    match error:
        case ApiError():
            return error
        case RefusedError():
            return ApiError(400, error.message, param=error.param, code=error.code)
        case InUseError():
            return ApiError(409, error.message, param="model", code="model_in_use")
        case BackEndError():
            wait = {"Retry-After": str(error.retry_after)}
            return ApiError(error.status, error.message, code=error.code, headers=wait)
        case EngineLostError():
            return ApiError(
                503,
                "The engine stopped while it answered, and is being started again. Ask again.",
                code="engine_lost",
            )
        case _:
            return ApiError(
                500,
                "The server failed. Its log tells why, under the id of this request "
                "(header x-request-id).",
                code="internal_error",
            )


def install_handlers(app: FastAPI) -> None:
    """Has every error of the app answered in OpenAI's shape, FastAPI's own among them."""
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _of_starlette)
    for kind in (ApiError, RefusedError, InUseError, EngineLostError):
        app.add_exception_handler(kind, _known)


def failed(error: Exception) -> ApiError:
    """The same as `as_api_error`; what nobody foresaw is logged, with its traceback."""
    told = as_api_error(error)
    if told.code == "internal_error" and not isinstance(error, ApiError):
        structlog.get_logger().error("failed", exc_info=error)
    return told


async def _known(_request: Request, error: Exception) -> JSONResponse:
    return as_api_error(error).response()


async def _invalid(request: Request, error: Exception) -> JSONResponse:
    faults = cast("Sequence[Mapping[str, Any]]", cast(RequestValidationError, error).errors())
    if tuple(faults[0]["loc"]) == ("body",) and not _says_json(request):
        message = "The body has to be JSON, and be called so: send Content-Type: application/json."
        return ApiError(400, message, code="invalid_json").response()
    return _of_faults(faults).response()


def _says_json(request: Request) -> bool:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    return kind == "application/json" or kind.endswith("+json")


async def _of_starlette(request: Request, error: Exception) -> JSONResponse:
    told = cast(HTTPException, error)
    message, code = str(told.detail), None
    if told.status_code == HTTPStatus.NOT_FOUND and told.detail == "Not Found":
        message = f"There is nothing at {request.scope['path']}."
        if not request.scope["path"].startswith("/v1/"):
            message += " The API lies under /v1: a client's base URL ends with it."
        code = "unknown_url"
    elif told.status_code == HTTPStatus.METHOD_NOT_ALLOWED:
        message = f"{request.scope['path']} does not know {request.method}."
        code = "method_not_allowed"
    return ApiError(told.status_code, message, code=code, headers=told.headers).response()


def _of_faults(faults: Sequence[Mapping[str, Any]]) -> ApiError:
    """All that pydantic found wrong with a request, as one 400 that names the first field."""
    told = list(dict.fromkeys(_in_words(fault) for fault in faults))
    more = f" ({len(told) - MAX_SHOWN} more faults.)" if len(told) > MAX_SHOWN else ""
    return ApiError(
        400,
        " ".join(told[:MAX_SHOWN]) + more,
        param=(faults[0]["type"] != "json_invalid" and _field(faults[0]["loc"])) or None,
        code=_CODES.get(faults[0]["type"], "invalid_value"),
    )


_CODES = {
    "extra_forbidden": "unsupported_parameter",
    "missing": "missing_required_parameter",
    "json_invalid": "invalid_json",
}


def _in_words(fault: Mapping[str, Any]) -> str:
    field, kind = _field(fault["loc"]), fault["type"]
    if kind == "json_invalid":
        return f"The body is no JSON: {fault['ctx']['error']}, after {fault['loc'][-1]} characters."
    if kind == "extra_forbidden":
        near = get_close_matches(field, _FIELDS, n=1, cutoff=0.75)
        hint = f"Did you mean {near[0]}?" if near else "Leave it out."
        return f"{field}: this server does not know it. {hint}"
    if kind == "missing":
        return f"{field or 'A body in JSON'}: is missing."
    message = str(fault["msg"]).removeprefix("Value error, ").removesuffix(".")
    return f"{field}: {message}." if field else f"{message}."


def _field(place: Sequence[str | int]) -> str:
    """A place within a request as people write it: `messages[0].content`."""
    text = ""
    for part in place[1:]:  # the first says that it is the body, the path or the query
        if isinstance(part, int):
            text += f"[{part}]"
        elif not part.startswith("*"):  # the branches of a union; see `wire`
            text += f".{part}" if text else part
    return text


def _type_of(status: int) -> str:
    return "server_error" if status >= 500 else _TYPES.get(status, "invalid_request_error")


def _sendable(text: str) -> str:
    """The text without halves of surrogate pairs, which no encoding of a response can hold."""
    return text.encode("utf-8", errors="replace").decode("utf-8")
