"""Adapters are loaded into the back end by its own API, once, and unloaded when they are over."""

import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import openai
import pytest
from structlog.testing import capture_logs

from backends import SEEN_AS, served_by, tuned, why_not_served, write_adapter
from http_serving import BASE, Served, until
from stand_in_vllm import VllmStandIn
from tunewise.models.stored import adapter_hash
from tunewise.serving.protocol import Weights


@pytest.fixture
def vllm(tmp_path: Path) -> Iterator[VllmStandIn]:
    stand_in = VllmStandIn(BASE.base, folder=tmp_path / "models", seen_as=SEEN_AS)
    yield stand_in
    stand_in.stop()


def adapter(vllm: VllmStandIn, version: int, *, rank: int = 8) -> Path:
    assert vllm.folder is not None
    folder = vllm.folder / "triage" / str(version) / "adapter"
    return write_adapter(folder, content=float(version), rank=rank)


def said(served: Served, model: str) -> str:
    got = served.client().chat.completions.create(
        model=model, messages=[{"role": "user", "content": "hello"}]
    )
    assert got.model == model
    return str(got.choices[0].message.content)


def name_of(adapter: Path) -> str:
    return f"tunewise-{adapter_hash(adapter)[:16]}"


def test_an_adapter_is_loaded_from_where_the_back_end_sees_it_and_asked_by_its_name(
    vllm: VllmStandIn,
) -> None:
    with served_by(vllm) as served:
        one, two = adapter(vllm, 1), adapter(vllm, 2)
        tuned(served, "triage@1", one)
        tuned(served, "triage@2", two)
        for _ in range(2):
            assert said(served, "triage@1") == f"{name_of(one)} heard: hello"
            assert said(served, "triage@2") == f"{name_of(two)} heard: hello"
            assert said(served, "base") == f"{BASE.base} heard: hello"
        assert vllm.loads == [name_of(one), name_of(two)]
        assert vllm.adapters[name_of(one)] == "/srv/models/triage/1/adapter"
        assert [one.adapter for one in served.engine.state().loaded] == [one, two]


def test_requests_at_the_same_time_load_it_once(vllm: VllmStandIn) -> None:
    with served_by(vllm) as served:
        tuned(served, "triage@1", adapter(vllm, 1))
        with ThreadPoolExecutor(8) as pool:
            told = list(pool.map(lambda _: said(served, "triage@1"), range(16)))
        assert len(set(told)) == 1
        assert len(vllm.loads) == 1


def test_what_is_served_first_is_loaded_before_the_server_is_ready(vllm: VllmStandIn) -> None:
    weights = Weights(base=BASE.base, adapter=adapter(vllm, 1))
    with served_by(vllm, (BASE, weights)):
        assert len(vllm.loads) == 1


def test_what_another_server_loaded_is_taken_as_it_is(vllm: VllmStandIn) -> None:
    folder = adapter(vllm, 1)
    vllm.adapters[name_of(folder)] = "/elsewhere"
    with served_by(vllm) as served:
        tuned(served, "triage@1", folder)
        assert said(served, "triage@1") == f"{name_of(folder)} heard: hello"
        assert vllm.loads == []


def test_an_adapter_that_the_back_end_forgot_is_loaded_again(vllm: VllmStandIn) -> None:
    with served_by(vllm) as served:
        tuned(served, "triage@1", adapter(vllm, 1))
        said(served, "triage@1")
        vllm.adapters.clear()
        said(served, "triage@1")
        assert len(vllm.loads) == 2


def test_the_one_used_longest_ago_makes_room(vllm: VllmStandIn) -> None:
    with served_by(vllm, max_adapters=2) as served:
        folders = [adapter(vllm, version) for version in (1, 2, 3)]
        for version, folder in enumerate(folders, 1):
            tuned(served, f"triage@{version}", folder)
        for version in (1, 2, 1, 3):
            said(served, f"triage@{version}")
        until(lambda: vllm.unloads == [name_of(folders[1])])
        said(served, "triage@2")
        assert vllm.loads[-1] == name_of(folders[1])


def test_an_adapter_that_is_deleted_here_is_unloaded_there(vllm: VllmStandIn) -> None:
    with served_by(vllm) as served:
        folder = adapter(vllm, 1)
        name = name_of(folder)
        tuned(served, "triage@1", folder)
        said(served, "triage@1")
        shutil.rmtree(folder)
        until(lambda: vllm.unloads == [name])


def test_a_whole_model_that_was_trained_is_a_base_of_its_own(vllm: VllmStandIn) -> None:
    assert vllm.folder is not None
    folder = vllm.folder / "triage" / "1" / "adapter"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text("{}")
    with served_by(vllm) as served:
        tuned(served, "triage@1", folder)
        with pytest.raises(openai.BadRequestError):
            said(served, "triage@1")
    vllm.root = "/srv/models/triage/1/adapter"
    with served_by(vllm, (Weights(base=BASE.base, adapter=folder),)) as served:
        tuned(served, "triage@1", folder)
        assert said(served, "triage@1") == f"{BASE.base} heard: hello"
    assert vllm.loads == []


def test_why_an_adapter_cannot_be_loaded_is_for_whoever_serves(vllm: VllmStandIn) -> None:
    with served_by(vllm) as served, capture_logs() as logs:
        tuned(served, "triage@1", adapter(vllm, 1, rank=64))
        with pytest.raises(openai.BadRequestError) as refused:
            said(served, "triage@1")
    assert (refused.value.param, refused.value.code) == ("model", "model_unusable")
    assert "/srv" not in refused.value.message
    (told,) = [line["why"] for line in logs if line["event"] == "not_run_by_back_end"]
    assert "LoRA rank 64 is greater than max_lora_rank 16" in told


@pytest.mark.parametrize("fault", ["not allowed", "not there", "rank", "elsewhere", "gone"])
def test_at_the_start_that_ends_the_server_with_what_to_do(vllm: VllmStandIn, fault: str) -> None:
    folder = adapter(vllm, 1, rank=64 if fault == "rank" else 8)
    wanted = {
        "not allowed": "VLLM_ALLOW_RUNTIME_LORA_UPDATING",
        "not there": "--backend-adapters",
        "rank": "max_lora_rank 16",
        "elsewhere": "not in",
        "gone": "cannot be read",
    }[fault]
    vllm.runtime_loras = fault != "not allowed"
    if fault == "not there":
        vllm.seen_as = "/other"
    if fault == "elsewhere":
        folder = write_adapter(folder.parents[3] / "elsewhere")
    if fault == "gone":
        shutil.rmtree(folder)
    assert wanted in why_not_served(vllm, Weights(base=BASE.base, adapter=folder))
