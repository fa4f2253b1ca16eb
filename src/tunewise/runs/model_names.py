"""What models are called: `triage`, `triage@3`, `triage@production`; texts in, parts out."""

import re
import unicodedata
from pathlib import Path
from typing import NamedTuple

from tunewise.errors import UserError
from tunewise.project.settings import STARTER_MODEL

PRODUCTION = "production"
"""The alias that a name alone means, where there is one."""
EMBEDDING = "all-minilm-l6-v2"
"""The name of the embedding model, which is nobody else's."""
_NAME = re.compile(r"[a-z0-9](?:[a-z0-9._-]{0,62}[a-z0-9])?")


class Named(NamedTuple):
    """What a person wrote, in parts; both None for a name alone."""

    name: str
    number: int | None
    alias: str | None


class NamedAlias(NamedTuple):
    """An alias in parts."""

    name: str
    alias: str


def alias_in(text: str) -> NamedAlias:
    """`triage@production` in parts.

    Raises:
        UserError: it is no alias.
    """
    named = parse_named(text)
    if named.alias is None:
        raise UserError(
            f"{text}: is no alias. Write the model before an @ and the alias behind it, as in "
            f"triage@{PRODUCTION}."
        )
    return NamedAlias(named.name, named.alias)


def parse_named(text: str) -> Named:
    """`triage`, `triage@3` or `triage@production` in parts.

    Raises:
        UserError: it is none of these.
    """
    name, at, rest = text.partition("@")
    check_name(name, taken=False)
    if not at:
        return Named(name, None, None)
    if rest.isascii() and rest.isdigit():
        return Named(name, int(rest), None)
    check_alias(rest)
    return Named(name, None, rest)


def base_id(name: str) -> str:
    """What a base model is called over the API: never the path that it lies at.

    `organisation/some-model` stays as it is; `/models/some-model.gguf` is `some-model`.
    """
    path = Path(name)
    return path.name.removesuffix(".gguf") if path.is_absolute() or path.exists() else name


def check_name(name: str, *, taken: bool = True) -> None:
    """Refuses what cannot be the name of a model.

    Args:
        name: of a model.
        taken: whether the names of models that are always there are refused, too.

    Raises:
        UserError: with what a name may be.
    """
    if not _NAME.fullmatch(name):
        raise UserError(
            f"{name!r}: is no name of a model. Use up to 64 small letters, digits, dots, dashes "
            "and underscores, with a letter or digit at both ends, as in `triage`; a version is "
            "`triage@3`, an alias `triage@production`."
        )
    if taken and name in (STARTER_MODEL, EMBEDDING):
        raise UserError(f"{name}: is the name of a model that is always there. Choose another.")


def check_alias(alias: str) -> None:
    """Refuses what cannot be an alias.

    Raises:
        UserError: with what an alias may be.
    """
    if not _NAME.fullmatch(alias) or alias.isdigit():
        raise UserError(
            f"{alias!r}: is no alias. Use up to 64 small letters, digits, dots, dashes and "
            "underscores, not digits alone, which are versions, as in `production`."
        )


def safe_model_name(text: str) -> str:
    """A folder's name as the name of a model: `Süd Triage 2` is `sud-triage-2`."""
    plain = unicodedata.normalize("NFKD", text).encode("ascii", "ignore").decode().lower()
    kept = re.sub(r"[^a-z0-9._]+", "-", plain).strip("._-")[:64].strip("._-")
    name = kept or "model"
    return f"{name[:56]}-tuned" if name in (STARTER_MODEL, EMBEDDING) else name
