import json
from pathlib import Path

import pytest

import fake_hub
from model_folders import fault, opened, visible
from tunewise.project.settings import STARTER_MODEL


class TestRefused:
    def test_pickled_weights(self, source: Path, cache: Path) -> None:
        (source / "model.safetensors").rename(source / "pytorch_model.bin")
        assert "only pickled weights (pytorch_model.bin)" in fault(source, cache)

    def test_no_weights(self, source: Path, cache: Path) -> None:
        (source / "model.safetensors").unlink()
        assert "holds no weights" in fault(source, cache)

    def test_no_tokenizer(self, source: Path, cache: Path) -> None:
        (source / "tokenizer.json").unlink()
        assert "holds no tokenizer" in fault(source, cache)

    @pytest.mark.parametrize("name", ["config.json", "tokenizer_config.json"])
    def test_code_of_its_own(self, name: str, source: Path, cache: Path) -> None:
        settings = json.loads((source / name).read_text())
        settings["auto_map"] = {"AutoConfig": "evil.Config"}
        (source / name).write_text(json.dumps(settings))
        (source / "evil.py").write_text("raise SystemExit('ran foreign code')")
        assert f"run its own code (auto_map in {name})" in fault(source, cache)

    @pytest.mark.parametrize("text", ["{", "[]", "{}"])
    def test_a_config_that_is_none(self, text: str, source: Path, cache: Path) -> None:
        (source / "config.json").write_text(text)
        assert "config.json" in fault(source, cache)

    def test_a_family_that_transformers_does_not_know(self, source: Path, cache: Path) -> None:
        settings = json.loads((source / "config.json").read_text())
        (source / "config.json").write_text(json.dumps({**settings, "model_type": "zebra"}))
        assert "names the model_type 'zebra', which transformers" in fault(source, cache)

    def test_a_folder_without_a_model(self, tmp_path: Path, cache: Path) -> None:
        assert "holds no config.json" in fault(tmp_path, cache)

    def test_a_file_that_is_no_gguf(self, source: Path, cache: Path) -> None:
        assert "is a file but no .gguf" in fault(source / "config.json", cache)

    def test_a_name_nearly_right_with_a_suggestion(self, cache: Path) -> None:
        text = fault("smollm2-135-instruct", cache)
        assert f"there is no model 'smollm2-135-instruct'. Did you mean '{STARTER_MODEL}'?" in text

    @pytest.mark.parametrize("name", ["zebra", "./nowhere", "/no/where", "a/b/c", "~/nowhere/x"])
    def test_a_name_of_nothing(self, name: str, cache: Path) -> None:
        text = fault(name, cache)
        assert "Did you mean" not in text
        assert "a hub id (organisation/model)" in text


class TestHubId(fake_hub.WithHub):
    @pytest.mark.usefixtures("small_gguf")
    def test_is_fetched_without_pickles_and_code_and_then_works_like_a_folder(
        self, source: Path, cache: Path
    ) -> None:
        local = opened(source, cache)
        for name in ("pytorch_model.bin", "modeling_own.py", "README.md"):
            (source / name).write_bytes(b"not wanted")
        with fake_hub.serve(source, "someone/small") as (address, asked):
            self.hub_is(address)
            model = opened("someone/small", cache)
        assert model.sha256 == local.sha256
        assert set(asked) == {
            "chat_template.jinja",
            "config.json",
            "generation_config.json",
            "model.safetensors",
            "tokenizer.json",
            "tokenizer_config.json",
        }

    @pytest.mark.usefixtures("small_gguf")
    def test_that_was_fetched_once_needs_no_network(self, source: Path, cache: Path) -> None:
        with fake_hub.serve(source, "someone/small") as (address, _):
            self.hub_is(address)
            first = opened("someone/small", cache)
        assert opened("someone/small", cache) == first

    def test_without_network_is_one_clear_error(self, cache: Path) -> None:
        self.hub_is("http://127.0.0.1:9")
        text = fault("someone/small", cache)
        assert "'someone/small' cannot be fetched: the hub cannot be reached" in text
        assert "give a local folder" in text

    def test_that_the_hub_does_not_know_is_one_clear_error(self, source: Path, cache: Path) -> None:
        with fake_hub.serve(source, "someone/small") as (address, _):
            self.hub_is(address)
            text = fault("someone/smal", cache)
        assert "the hub does not show such a model to you" in text

    def test_whose_connection_breaks_is_one_clear_error(self, source: Path, cache: Path) -> None:
        with fake_hub.serve(source, "someone/small", broken="model.safetensors") as (address, _):
            self.hub_is(address)
            assert "'someone/small' cannot be fetched" in fault("someone/small", cache)
        assert visible(cache) == []
