"""Servers whose engine is a back end: the stand-in of `stand_in_vllm`."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from http_serving import BASE, FixedCatalogue, Model, Served, serving
from stand_in_vllm import VllmStandIn
from tunewise.serving.backend.address import back_end_at
from tunewise.serving.backend.engine import BackEndEngine
from tunewise.serving.http.access import Access
from tunewise.serving.http.app import create_app
from tunewise.serving.http.limits import Limits
from tunewise.serving.http.server import Server, listen
from tunewise.serving.protocol import Catalogue, RefusedError, Weights

SEEN_AS = "/srv/models"
"""Where the back end sees the folder of the adapters."""


def write_adapter(folder: Path, *, content: float = 0.0, rank: int = 8) -> Path:
    """Files of the names and the kind that an adapter in PEFT format has."""
    folder.mkdir(parents=True)
    (folder / "adapter_config.json").write_text(json.dumps({"peft_type": "LORA", "r": rank}))
    save_file({"w": np.array([content])}, str(folder / "adapter_model.safetensors"))
    return folder


def engine_of(vllm: VllmStandIn, first: Sequence[Weights] = (), **settings: float) -> BackEndEngine:
    """An engine that looks at its back end often."""
    assert vllm.folder is not None
    back_end = back_end_at(vllm.url, adapters=vllm.folder, adapters_there=SEEN_AS)
    return BackEndEngine(back_end, first, **{"look_seconds": 0.05, **settings})  # type: ignore[arg-type]


@contextmanager
def served_by(
    vllm: VllmStandIn,
    first: Sequence[Weights] = (BASE,),
    *,
    catalogue: Catalogue | None = None,
    limits: Limits | None = None,
    wait: bool = True,
    **settings: float,
) -> Iterator[Served]:
    """A server that asks the stand-in."""
    engine = engine_of(vllm, first, **settings)
    with serving(engine=engine, catalogue=catalogue, limits=limits, wait=wait) as running:
        yield running


def why_not_served(vllm: VllmStandIn, *first: Weights) -> str:
    """What ends a server at its start."""
    app = create_app(
        catalogue=FixedCatalogue(), engine=engine_of(vllm, first or (BASE,)), access=Access()
    )
    with listen("127.0.0.1", 0) as listening, pytest.raises(RefusedError) as failure:
        Server(app, listening).run()
    return str(failure.value)


def tuned(served: Served, name: str, adapter: Path) -> Weights:
    """Has a model with an adapter served under a name."""
    weights = Weights(base=BASE.base, adapter=adapter)
    served.catalogue.served[name] = Model(name=name, resolved=name, weights=weights)
    return weights
