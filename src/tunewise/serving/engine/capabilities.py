"""What each engine can do: the one table that requests are checked against and docs are held to."""

import importlib.util
from collections.abc import Mapping
from typing import Literal, TypeAlias, get_args

from tunewise.errors import UserError
from tunewise.serving.protocol import Capabilities

EngineName: TypeAlias = Literal["openvino", "llamacpp", "transformers"]
"""Engines that run in a process of this server."""
ENGINES: tuple[EngineName, ...] = get_args(EngineName)

CAPABILITIES: Mapping[EngineName, Capabilities] = {
    "openvino": Capabilities(
        engine="openvino", max_top_logprobs=0, schema=True, tools=True, cached_tokens=False
    ),
    "llamacpp": Capabilities(
        engine="llamacpp", max_top_logprobs=20, schema=True, tools=True, cached_tokens=True
    ),
    "transformers": Capabilities(
        engine="transformers", max_top_logprobs=20, schema=True, tools=True, cached_tokens=True
    ),
}
"""Cached tokens are told where they are a count and no guess: llama.cpp says how many it took from
its cache, and transformers has no cache between requests, so that there are none."""


def require_engine(engine: EngineName) -> None:
    """Nothing, where all that an engine needs is installed.

    Raises:
        UserError: it is not.
    """
    if engine == "llamacpp" and importlib.util.find_spec("xllamacpp") is None:
        raise UserError("The engine llamacpp needs an extra. Run: pip install 'tunewise[llamacpp]'")
