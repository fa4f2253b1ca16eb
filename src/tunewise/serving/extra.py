"""The gate of the extra `serve`."""

import importlib.util

from tunewise.errors import UserError

PACKAGES = ("fastapi", "uvicorn", "limits", "prometheus_client", "structlog", "httpx2")


def require_serve() -> None:
    """Nothing, where all that a server needs is installed.

    Raises:
        UserError: it is not.
    """
    if any(importlib.util.find_spec(package) is None for package in PACKAGES):
        raise UserError("A server needs the extra `serve`. Run: pip install 'tunewise[serve]'")
