"""Style and scripts of the pages: what each file is called, and where it comes from.

Everything is served from here; no page asks another server for anything.
"""

import hashlib
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import tunewise.report
from tunewise.serving.http.sessions import STATIC

_OWN = Path(__file__).parent / "static"
_REPORT = Path(tunewise.report.__file__).parent / "templates"
_JS, _CSS = "text/javascript; charset=utf-8", "text/css; charset=utf-8"


@dataclass(frozen=True, kw_only=True, slots=True)
class Vendored:
    """A file of others, as they published it on npm."""

    package: str
    """Name and version."""
    path: str
    """Within the package."""
    licence: str
    sha256: str


VENDORED = {
    "htmx.min.js": Vendored(
        package="htmx.org@4.0.1",
        path="dist/htmx.min.js",
        licence="0BSD",
        sha256="a0abb04f2f45a1f89d1d4844023245537e5e6014c87b144553e0607b4cc32130",
    ),
    "uPlot.iife.min.js": Vendored(
        package="uplot@1.6.32",
        path="dist/uPlot.iife.min.js",
        licence="MIT",
        sha256="19c8d4c6ad88929a79f4ae49d6f7161566dfd0ba3d15cc495e974f787eb78f1f",
    ),
    "uPlot.min.css": Vendored(
        package="uplot@1.6.32",
        path="dist/uPlot.min.css",
        licence="MIT",
        sha256="df630c6a8d6f8eeaff264b50f73ce5b114f646ffd9a0bb74f049b0a00135fa04",
    ),
}
"""Name of a file in `static/vendor` -> what it is. A test holds the files to it."""

FILES = {
    "report.css": _REPORT / "style.css",
    "desk.css": _OWN / "desk.css",
    "desk.js": _OWN / "desk.js",
    "live.js": _OWN / "live.js",
    "playground.js": _OWN / "playground.js",
    "start.js": _OWN / "start.js",
    **{name: _OWN / "vendor" / name for name in VENDORED},
}
"""Name in an address -> the file; nothing else is served."""


@dataclass(frozen=True, slots=True)
class Asset:
    """One file as it is sent."""

    content: bytes
    media_type: str
    version: str
    """Of its bytes: in its address, so that a browser may keep it."""


@cache
def asset(name: str) -> Asset | None:
    """A file by its name; None: there is none of that name."""
    path = FILES.get(name)
    if path is None:
        return None
    content = path.read_bytes()
    kind = _JS if name.endswith(".js") else _CSS
    return Asset(content, kind, hashlib.sha256(content).hexdigest()[:12])


def address(name: str) -> str:
    """Where a page finds a file.

    Raises:
        KeyError: there is none of that name.
    """
    found = asset(name)
    if found is None:
        raise KeyError(name)
    return f"{STATIC}{name}?v={found.version}"
