"""What the words of `tunewise serve` mean, and the whole server as a process of its own."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest
import structlog
from openai import BadRequestError, OpenAI

from chat_engines import cache_of
from every_kind import EveryKind
from http_serving import until
from served_models import write_versions
from small_models import adapter
from stand_in_vllm import VllmStandIn
from tunewise.errors import UserError
from tunewise.exporting.bundle import seal_bundle, write_files
from tunewise.models.adapters import BASE_FILE
from tunewise.models.catalog import LocalModel
from tunewise.progress import Silent
from tunewise.project.settings import STARTER_MODEL
from tunewise.runs.model_file import BaseUsed, ModelFile, Origin
from tunewise.runs.registry import Registry
from tunewise.runs.registry_file import Lineage
from tunewise.serving.catalogue import RegistryCatalogue
from tunewise.serving.protocol import Weights
from tunewise.serving.served import Loaded
from tunewise.serving.start import (
    Chosen,
    choose,
    first_models,
    first_weights,
    load_models,
)

SERVE = "from tunewise.cli import main; main()"


@pytest.fixture
def registry(tmp_path: Path) -> Registry:
    """triage@1 and triage@2, on the model `base`."""
    registry = Registry(tmp_path / "home")
    write_versions(registry)
    return registry


def test_without_a_word_all_that_is_registered_is_served(registry: Registry) -> None:
    assert choose((), registry, Silent()) == Chosen(bases=(STARTER_MODEL,), names=None)


def test_a_back_end_has_no_base_that_nobody_named(registry: Registry) -> None:
    assert choose((), registry, Silent(), bases=()) == Chosen(bases=(), names=None)


def test_a_word_is_a_registered_model_or_else_a_base(registry: Registry) -> None:
    asked = ("triage@2", "org/other", "./a-folder")
    found = Chosen(bases=("org/other", "./a-folder"), names=("triage",))
    assert choose(asked, registry, Silent()) == found


def test_a_project_is_what_its_newest_run_recommends(every_kind: EveryKind) -> None:
    registry = Registry()
    project = every_kind.run.parents[1]
    (name,) = choose((str(project),), registry, Silent()).names or ()
    assert [version.name for version in registry.content().versions] == [name]
    assert choose((str(project / "tunewise.toml"),), registry, Silent()).names == (name,)
    assert len(registry.content().versions) == 1  # published once


def test_a_project_without_a_run_says_what_to_do(registry: Registry, tmp_path: Path) -> None:
    (tmp_path / "tunewise.toml").write_text('[data]\nexamples = "rows.jsonl"\n')
    with pytest.raises(UserError, match="tunewise decide"):
        choose((str(tmp_path),), registry, Silent())


def test_what_is_none_of_these_is_told_with_what_there_is(
    registry: Registry, tmp_path: Path
) -> None:
    with pytest.raises(UserError, match=r"triage@9: .* It holds triage@1, triage@2\."):
        choose(("triage@9",), registry, Silent())
    with pytest.raises(UserError, match=r"sorter@1: .* It is empty"):
        choose(("sorter@1",), Registry(tmp_path / "none"), Silent())
    (tmp_path / "mail").mkdir()
    with pytest.raises(UserError, match=r"neither a tunewise.toml .*`tunewise init .*mail`"):
        choose((str(tmp_path / "mail"),), registry, Silent())


def test_a_model_that_cannot_be_read_hinders_no_other(
    registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    catalogue = RegistryCatalogue(registry)
    models = [catalogue.find(name) for name in ("triage@1", "triage@2")]
    read: list[str] = []

    def make_ready(loaded: Loaded) -> None:
        if loaded.version.id == "triage@1":
            raise UserError("The folder is gone.")
        read.append(loaded.version.id)

    monkeypatch.setattr(Loaded, "make_ready", make_ready)
    with structlog.testing.capture_logs() as logs:
        load_models([one for one in models if one is not None])
    assert [(line["event"], line["model"]) for line in logs] == [("not_loaded", "triage@1")]
    assert read == ["triage@2"]
    catalogue.close()


def test_bases_and_what_aliases_mean_are_loaded_first(registry: Registry) -> None:
    registry.point("triage@production", "1")
    catalogue = RegistryCatalogue(registry, bases=("other",))
    chosen = Chosen(bases=("other",), names=None)
    models = first_models(chosen, catalogue)
    assert [(one.name, one.resolved) for one in models] == [
        ("triage", "triage@1"),
        ("triage@production", "triage@1"),
    ]
    assert first_weights(chosen, models) == [Weights(base="other"), Weights(base="base")]
    catalogue.close()


@pytest.mark.slow
def test_the_command_serves_and_follows_an_alias_and_drains(
    small_llama: LocalModel, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    registry = Registry(home)
    for number, instruction in enumerate(("Sort.", "Sort it."), 1):
        with registry.staging() as folder:
            model = ModelFile(
                contender="zero_shot",
                kind="zero_shot",
                base=BaseUsed(name=small_llama.name),
                settings={"instruction": instruction},
                max_tokens=8,
                origin=Origin(project="shop", run=f"run-{number}", token=f"t{number}"),
            )
            seal_bundle(folder, model)
            lineage = Lineage(token=f"t{number}", contender="zero_shot", run=f"run-{number}")
            registry.add("triage", folder, lineage=lineage, card=lambda title: f"# {title}")
    registry.point("triage@production", "1")
    log = tmp_path / "log"
    with started("triage", "--no-worker", home=home, model=small_llama, log=log) as (
        process,
        client,
    ):

        def answers() -> str:
            turn = {"role": "user", "content": "a b"}
            got = client.chat.completions.create(model="triage@production", messages=[turn])  # type: ignore[list-item]
            assert got.usage is not None
            assert 0 < got.usage.completion_tokens <= 8
            return got.model

        assert answers() == "triage@1"
        registry.point("triage@production", "2")
        until(lambda: answers() == "triage@2", seconds=60)
        add_of_another_base(registry, small_llama, tmp_path)
        with pytest.raises(BadRequestError, match=r"triage@3: .*cannot open this model") as refused:
            client.chat.completions.create(
                model="triage@3", messages=[{"role": "user", "content": "a b"}]
            )
        assert (refused.value.param, refused.value.code) == ("model", "model_unusable")
        assert str(tmp_path) not in refused.value.message
        process.send_signal(signal.SIGTERM)
        assert process.wait(40) == 143
    lines = [json.loads(line) for line in log.read_text().splitlines() if line.startswith("{")]
    moved = [line for line in lines if line["event"] == "alias_moved"]
    assert ("triage@production", "triage@2") in [(line["alias"], line["to"]) for line in moved]
    (told,) = [line for line in lines if line["event"] == "not_opened"]
    assert "trained for another base (org/other)" in told["why"]
    assert told["request_id"] == refused.value.request_id


def add_of_another_base(registry: Registry, model: LocalModel, folder: Path) -> None:
    """triage@3: an adapter that was trained for another base than it says it runs on."""
    trained = adapter(model, folder / "adapter")
    (trained / BASE_FILE).write_text(json.dumps({"base": "org/other", "sha256": "0" * 64}))
    with registry.staging() as staged:
        write_files(staged, adapter=trained)
        file = ModelFile(
            contender="fine_tune",
            kind="fine_tune",
            base=BaseUsed(name=model.name),
            settings={},
            max_tokens=8,
            origin=Origin(project="shop", run="run-9", token="t9"),
        )
        seal_bundle(staged, file)
        lineage = Lineage(token="t9", contender="fine_tune", run="run-9")
        registry.add("triage", staged, lineage=lineage, card=lambda title: f"# {title}")


@pytest.mark.slow
def test_the_command_asks_a_back_end_and_needs_no_model_of_its_own(
    registry: Registry, small_llama: LocalModel, tmp_path: Path
) -> None:
    """The registry's models run on `base`, which is nowhere on this machine."""
    vllm = VllmStandIn("base")
    words = ("triage@2", "--no-worker", "--backend", vllm.url)
    home, log = tmp_path / "home", tmp_path / "log"
    with started(*words, home=home, model=small_llama, log=log) as (process, client):
        turn = {"role": "user", "content": "hello"}
        got = client.chat.completions.create(model="triage@2", messages=[turn])  # type: ignore[list-item]
        assert got.choices[0].message.content == "base heard: hello"
        assert vllm.asked[0]["messages"][0]["content"] == "Sort it."
        process.send_signal(signal.SIGTERM)
        assert process.wait(40) == 143
    vllm.stop()


@contextmanager
def started(
    *words: str, home: Path, model: LocalModel, log: Path
) -> Iterator[tuple[subprocess.Popen[str], OpenAI]]:
    """`tunewise serve` as a process of its own, ready, and a client of it."""
    process = subprocess.Popen(
        [sys.executable, "-c", SERVE, "serve", *words, "--port", "0"],
        stdout=subprocess.PIPE,
        stderr=log.open("w"),
        text=True,
        env={**os.environ, "TUNEWISE_HOME": str(home), "TUNEWISE_CACHE": str(cache_of(model))},
    )
    try:
        assert process.stdout is not None
        url = process.stdout.readline().split()[2].removesuffix("/v1;")
        assert process.stdout.readline().startswith("Models: ")
        until(lambda: process.poll() is not None or _ready(url), seconds=180)
        yield process, OpenAI(base_url=f"{url}/v1", api_key="any", max_retries=0)
    finally:
        process.kill()
        process.wait()


def _ready(url: str) -> bool:
    return httpx2.get(f"{url}/ready").status_code == 200
