"""What tokens of a served model cost, where the project that it came from says so."""

import tomllib
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from tunewise.desk.places import Places
from tunewise.runs.folder import run_token
from tunewise.runs.registry import Version


@dataclass(frozen=True, kw_only=True, slots=True)
class TokenPrice:
    """Per million tokens."""

    prompt: float
    cached: float
    completion: float
    currency: str


def price_of(version: Version, places: Places) -> TokenPrice | None:
    """The prices that the run of a version was reckoned with.

    Args:
        version: a registered model.
        places: where runs lie.

    Returns:
        None where the run does not lie here, or its project names no price of tokens.
    """
    lineage = version.lineage
    for project in places.found().projects:
        for listed in project.runs:
            if listed.path.name == lineage.run and _is(listed.path, lineage.token):
                return _price(listed.path / "project.toml", lineage.contender)
    return None


def _is(run: Path, token: str) -> bool:
    with suppress(OSError, ValueError, KeyError, TypeError):
        return run_token(run) == token
    return False


def _price(file: Path, contender: str) -> TokenPrice | None:
    try:
        values = tomllib.loads(file.read_text("utf-8"))
    except (OSError, ValueError):
        return None
    prices = _table(values, "prices")
    endpoint = _table(_table(values, "contenders"), contender)
    own = endpoint or prices
    prompt, completion = own.get("prompt_tokens"), own.get("completion_tokens")
    if not isinstance(prompt, int | float) or not isinstance(completion, int | float):
        return None
    cached = own.get("cached_tokens")
    return TokenPrice(
        prompt=prompt,
        cached=cached if isinstance(cached, int | float) else prompt,
        completion=completion,
        currency=str(prices.get("currency", "USD")),
    )


def _table(values: dict[str, Any], name: str) -> dict[str, Any]:
    found = values.get(name)
    return cast("dict[str, Any]", found) if isinstance(found, dict) else {}
