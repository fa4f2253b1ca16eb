"""Where the back end is, how it is called there, and what it calls our adapters: checked once."""

import os
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

from tunewise.errors import UserError
from tunewise.project.settings import STARTER_MODEL
from tunewise.runs.model_names import base_id
from tunewise.serving.http.access import is_loopback
from tunewise.serving.protocol import RefusedError

KEY_VARIABLE = "TUNEWISE_BACKEND_KEY"
"""The environment variable with the back end's key: what `vllm serve --api-key` was given."""
HUB_IDS = {STARTER_MODEL: "HuggingFaceTB/SmolLM2-135M-Instruct"}
"""Names of this catalog -> what the hub calls them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BackEnd:
    """A back end as whoever serves named it. Nothing of a request changes where it is asked."""

    url: str
    """Without `/v1`, and without a slash at its end."""
    key: str | None = field(default=None, repr=False)
    adapters: Path
    """The folder on this machine in which all adapters lie."""
    adapters_there: str
    """The same folder, as the back end sees it."""

    @property
    def local(self) -> bool:
        """Whether it is on this machine, so that no proxy may stand between."""
        return is_loopback(urlsplit(self.url).hostname or "")

    def place(self, adapter: Path) -> str:
        """Where the back end finds an adapter.

        Raises:
            RefusedError: it lies elsewhere.
        """
        try:
            inside = adapter.absolute().relative_to(self.adapters.absolute())
        except ValueError:
            raise RefusedError(
                f"{adapter}: is not in {self.adapters}, whose models alone the back end sees.",
                param="model",
                code="model_unusable",
            ) from None
        return str(PurePosixPath(self.adapters_there, *inside.parts))


def back_end_at(url: str, *, adapters: Path, adapters_there: str | None = None) -> BackEnd:
    """The back end that is meant, with its key from the environment.

    Args:
        url: `http://HOST:PORT`, with or without `/v1`.
        adapters: the folder on this machine in which all adapters lie.
        adapters_there: the same folder as the back end sees it; None: under the same path.

    Raises:
        UserError: it is no address, holds a password, or the key is none.
    """
    parts = urlsplit(url)
    try:
        _ = parts.port
        known = parts.scheme in ("http", "https") and parts.hostname and url.isprintable()
    except ValueError:
        known = False
    if not known or parts.query or parts.fragment or " " in url:
        raise UserError(f"--backend {url}: is no address. Write it like http://10.0.0.5:8000.")
    if parts.username is not None or parts.password is not None:
        raise UserError(
            "--backend: the address holds a user or a password, which would be seen in lists of "
            f"processes. Leave it out, and put the key into the variable {KEY_VARIABLE}."
        )
    there = adapters_there or str(adapters.absolute())
    if not PurePosixPath(there).is_absolute():
        raise UserError(
            f"--backend-adapters {there}: is no absolute path. Write where the back end finds the "
            f"folder that is {adapters} here, as in /srv/tunewise/models."
        )
    return BackEnd(
        url=url.rstrip("/").removesuffix("/v1").rstrip("/"),
        key=_key(),
        adapters=adapters,
        adapters_there=there,
    )


def base_names(base: str) -> frozenset[str]:
    """What a back end may call a base model: as it is called here, or as on the hub."""
    return frozenset({base, base_id(base), HUB_IDS.get(base, base)})


def _key() -> str | None:
    key = os.environ.get(KEY_VARIABLE, "").strip()
    if not (key.isascii() and key.isprintable()) or " " in key:
        raise UserError(
            f"{KEY_VARIABLE}: holds white space or characters that no header can carry. Set it to "
            "what `vllm serve --api-key` was given."
        )
    return key or None
