"""The folder of an exported prompt, served over HTTP, answers as the contender did in the run."""

from pathlib import Path

import pytest

from every_kind import EveryKind, said_in_the_run
from http_serving import serving
from tunewise.models.engines.openai import api_turns
from tunewise.pipelines.export import run_export
from tunewise.progress import Silent
from tunewise.retrieval.embed import load_embedder
from tunewise.runs.registry import Registry
from tunewise.serving.catalogue import RegistryCatalogue
from tunewise.serving.start import Chosen, choose

LOOKED_UP = [pytest.param(name, marks=pytest.mark.slow) for name in ("few_shot", "rag")]


@pytest.mark.parametrize("name", ["prompt", *LOOKED_UP])
def test_over_http_it_asks_and_answers_as_the_contender_did(
    name: str, every_kind: EveryKind, tmp_path: Path
) -> None:
    registry = Registry()
    folder = run_export(
        f"{every_kind.run}:{name}",
        "prompt",
        out=tmp_path / f"My {name}",
        registry=Registry(tmp_path / "home"),
        progress=Silent(),
    ).folder
    called = f"my-{name}"
    assert choose((str(folder),), registry, Silent()) == Chosen(bases=(), names=(called,))
    embedder = load_embedder()
    catalogue = RegistryCatalogue(registry, names=[called], load=lambda: embedder)
    with serving(said_in_the_run, catalogue=catalogue) as served:
        client, answers = served.client(), list[str | None]()
        for item in every_kind.inputs:
            done = client.chat.completions.create(
                model=called,
                messages=api_turns(item.messages),  # type: ignore[arg-type]
            )
            assert done.model == f"{called}@1"
            answers.append(done.choices[0].message.content)
        asked = [(one.messages, one.decoding.max_tokens) for one in served.engine.requests]
    catalogue.close()
    assert answers == every_kind.answers(name)
    wanted = every_kind.asked[name]
    assert asked == [(one.messages, one.sampling.max_tokens) for one in wanted]
