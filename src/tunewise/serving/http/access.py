"""Who may ask: the Host and Origin of a request, its key, and what that key may do.

`Guard` stands before the whole app, so that a route that nobody thought of is closed. `needs` is
what each route says of itself; an app with a route that says nothing does not start.
"""

import ipaddress
import re
import socket
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, cast

from fastapi import Depends, Request
from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Receive, Send
from starlette.types import Scope as Connection

from tunewise.errors import UserError
from tunewise.serving.http.errors import ApiError, failed
from tunewise.serving.http.sessions import ENTRANCE, PAGES, STATIC, Sessions
from tunewise.serving.keys import SCOPES, Key, KeyFile, Scope

OPEN_PATHS = frozenset({"/health", "/ready", ENTRANCE})
"""What needs no key: for whoever watches over the process, and where a browser gives its key."""
_LOCAL_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
_AUTHORITY = re.compile(r"(?:\[([0-9a-fA-F:.]+)\]|([^\[\]:/@\s]+))(?::(\d{1,5}))?")


def needs(*scopes: Scope) -> Any:
    """What a route declares, in `dependencies=[needs("jobs")]`: a key with one of the scopes.

    Without a scope any key will do. Where the server needs no key, everybody may do everything.
    """
    return Depends(_Needs(scopes or SCOPES, any_key=not scopes))


@dataclass(frozen=True, slots=True)
class _Needs:
    scopes: tuple[Scope, ...]
    any_key: bool

    def __call__(self, request: Request) -> None:
        key = key_of(request)
        if key is None or self.any_key or key.may(self.scopes):
            return
        wanted = " or ".join(f"`{scope}`" for scope in self.scopes)
        raise ApiError(
            403,
            f"The key {key.name!r} may not do this: it needs the scope {wanted}. "
            "`tunewise keys new NAME --scope ...` makes one that may.",
            code="insufficient_scope",
        )


def is_declared(dependency: Callable[..., Any] | None) -> bool:
    """Whether a route's dependency is one that `needs` made."""
    return isinstance(dependency, _Needs)


def key_of(request: Request) -> Key | None:
    """The key that a request was let through with; None where the server needs none."""
    return cast("Key | None", request.scope["state"].get("key"))


@dataclass(frozen=True, kw_only=True, slots=True)
class Access:
    """Who is let in.

    Args:
        keys: None where no key is needed.
        hosts: names and addresses by which the server may be called, without port.
        sessions: of browsers that gave a key; None where no key is needed.
        any_address: whether it may also be called by any numeric address. A page that rebinds a
            name of its own to this machine sends that name, never a number.
    """

    keys: KeyFile | None = None
    hosts: frozenset[str] = _LOCAL_NAMES
    any_address: bool = False
    sessions: Sessions | None = None

    def knows(self, host: str) -> bool:
        """Whether the server may be called so (in lower case, without port)."""
        return host in self.hosts or (self.any_address and _is_address(host))


def access_for(
    host: str, *, keys: KeyFile, require_key: bool = False, names: Sequence[str] = ()
) -> Access:
    """Who is let in by a server that listens at `host`.

    On loopback nobody needs a key, unless it is asked for. Elsewhere everybody does.

    Args:
        host: the address listened at, or a name of it.
        keys: of this machine.
        require_key: also on loopback, as behind a proxy.
        names: further names by which it is called, of a proxy for one.

    Raises:
        UserError: a key is needed and there is none, or the file of keys is damaged.
    """
    local = is_loopback(host)
    given = {name.lower().rstrip(".") for name in (host, *names)}
    if local and not require_key:
        return Access(hosts=_LOCAL_NAMES | given)
    if not keys.keys():
        where = "--require-key" if local else f"Any address but loopback, as {host},"
        raise UserError(
            f"{where} needs an API key, and there is none. Make one with `tunewise keys new NAME`."
        )
    own = set[str]() if local else {socket.gethostname().lower()}
    return Access(
        keys=keys,
        hosts=frozenset(_LOCAL_NAMES | given | own),
        any_address=not local,
        sessions=Sessions(keys),
    )


def is_loopback(host: str) -> bool:
    """Whether an address is reached from this machine alone."""
    return host == "localhost" or (_is_address(host) and ipaddress.ip_address(host).is_loopback)


class Guard:
    """Answers 403 to a foreign Host or Origin and 401 without a key, before any route is sought.

    Decides on `scope["path"]`, which is what routes are found by; a URL made from the Host header
    is never looked at.
    """

    def __init__(self, app: ASGIApp, access: Access) -> None:
        self._app = app
        self._access = access

    async def __call__(self, scope: Connection, receive: Receive, send: Send) -> None:
        """See ASGI."""
        if scope["type"] != "http":
            if scope["type"] == "lifespan":  # nothing else is served
                await self._app(scope, receive, send)
            return
        try:
            self._admit(scope)
        except (ApiError, UserError) as error:
            if _may_enter(scope, error):
                await RedirectResponse(ENTRANCE, 303)(scope, receive, send)
                return
            # A damaged file of keys lets nobody in.
            await failed(error).response()(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _admit(self, scope: Connection) -> None:
        headers = cast("list[tuple[bytes, bytes]]", scope["headers"])
        host = _only(headers, b"host")
        called = _host_of(host)
        if called is None or not self._access.knows(called):
            raise ApiError(
                403,
                "This server is not called by that Host. Start it with --allow-host NAME for "
                "each further name by which it is called.",
                code="host_not_allowed",
            )
        origin = _only(headers, b"origin")
        if origin is not None and origin.partition("://")[2].lower() != str(host).lower():
            raise ApiError(
                403,
                "Pages of other sites may not call this server: the Origin is not its own.",
                code="origin_not_allowed",
            )
        state = cast("dict[str, Any]", scope.setdefault("state", {}))
        state["key"] = None
        path = cast("str", scope["path"])
        if self._access.keys is None or path in OPEN_PATHS or path.startswith(STATIC):
            return
        if self._access.sessions is not None and (path == PAGES or path.startswith(f"{PAGES}/")):
            state["key"] = self._access.sessions.key_of(_only(headers, b"cookie"))
        state["key"] = state["key"] or _key(headers, self._access.keys)


def _may_enter(scope: Connection, error: Exception) -> bool:
    """Whether a browser wants a page, and a key is all that it lacks."""
    path = cast("str", scope["path"])
    wants_page = scope["method"] == "GET" and (path == PAGES or path.startswith(f"{PAGES}/"))
    return wants_page and isinstance(error, ApiError) and error.status == HTTPStatus.UNAUTHORIZED


def _key(headers: Sequence[tuple[bytes, bytes]], keys: KeyFile) -> Key:
    scheme, _, secret = (_only(headers, b"authorization") or "").partition(" ")
    if scheme.lower() != "bearer" or not secret.strip():
        raise ApiError(
            401,
            "This server needs an API key: send it as `Authorization: Bearer KEY`.",
            code="missing_api_key",
            headers={"WWW-Authenticate": "Bearer"},
        )
    key = keys.find(secret.strip())
    if key is None:
        raise ApiError(
            401,
            "That API key is not known here. Ask whoever runs this server for another "
            "(`tunewise keys new`).",
            code="invalid_api_key",
            headers={"WWW-Authenticate": "Bearer"},
        )
    return key


def _only(headers: Sequence[tuple[bytes, bytes]], name: bytes) -> str | None:
    """A header that may come once; several are one that fits nothing."""
    values = [value.decode("latin-1") for key, value in headers if key.lower() == name]
    return ", ".join(values) if values else None


def _host_of(authority: str | None) -> str | None:
    """The host of a `Host` header, in lower case; None where it is none."""
    found = _AUTHORITY.fullmatch(authority or "")
    return (found[1] or found[2]).lower().rstrip(".") if found else None


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True
