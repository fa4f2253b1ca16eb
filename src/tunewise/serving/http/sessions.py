"""Browsers that gave a key: a random token in a cookie, which this process alone knows.

A page cannot send `Authorization` with a link. The token is worth what its key is worth at that
moment: one that is removed ends it, and so does the end of the server.
"""

import hashlib
import secrets
import time
from collections.abc import Callable
from http.cookies import CookieError, SimpleCookie

from tunewise.serving.keys import Key, KeyFile

PAGES = "/ui"
"""Under which pages lie."""
ENTRANCE = f"{PAGES}/enter"
ASK = f"{PAGES}/playground/ask"
"""Where the playground asks a model."""
UPLOAD = f"{PAGES}/start/files"
"""Where a browser drops the files of a new project."""
STATIC = f"{PAGES}/static/"
"""Style and scripts, which are the same for everybody."""
COOKIE = "tunewise_session"
SECONDS = 12 * 3600
"""That a session lasts."""
MAX_SESSIONS = 1000
"""At once; beyond it the oldest ends."""


class Sessions:
    """Who is in.

    Args:
        keys: of this machine.
        clock: seconds.
    """

    def __init__(self, keys: KeyFile, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._keys, self._clock = keys, clock
        self._known: dict[str, tuple[str, float]] = {}
        """sha256 of a token -> secret of its key, and when it ends."""

    def enter(self, secret: str) -> str | None:
        """A new token; None: the secret is of no key.

        Raises:
            UserError: the file of keys is damaged.
        """
        if self._keys.find(secret) is None:
            return None
        while len(self._known) >= MAX_SESSIONS:
            del self._known[next(iter(self._known))]
        token = secrets.token_urlsafe(32)
        self._known[_hashed(token)] = (secret, self._clock() + SECONDS)
        return token

    def key_of(self, cookies: str | None) -> Key | None:
        """The key behind a `Cookie` header; None where there is none, or no more.

        Raises:
            UserError: the file of keys is damaged.
        """
        try:
            found = SimpleCookie(cookies or "").get(COOKIE)
        except CookieError:
            return None
        secret, end = self._known.get(_hashed(found.value) if found else "", ("", 0.0))
        return self._keys.find(secret) if self._clock() < end else None

    def leave(self, cookies: str | None) -> None:
        """Ends the session of a `Cookie` header."""
        found = SimpleCookie(cookies or "").get(COOKIE)
        self._known.pop(_hashed(found.value) if found else "", None)


def _hashed(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
