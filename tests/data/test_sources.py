"""What `[data]` names is found: files, patterns, folders as Hugging Face lays them out, the hub."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

import fake_hub
from data_files import Write, arrow, content, jsonl, parquet
from tunewise.data.read import read_data
from tunewise.data.sources import find_parts
from tunewise.errors import UserError
from tunewise.project.load import load_project, resolved_toml
from tunewise.project.settings import Data


def rows(name: str, count: int = 2) -> bytes:
    return jsonl([{"input": f"{name} {n}", "output": "a"} for n in range(count)])


def found(data: Data) -> dict[str, list[str]]:
    parts = find_parts(data)
    assert list(parts) == sorted(parts, key=["examples", "train", "dev", "test"].index)
    return {name: [file.name for file in part.files] for name, part in parts.items()}


def refusal(data: Data) -> str:
    with pytest.raises(UserError) as caught:
        find_parts(data)
    return str(caught.value)


@pytest.fixture
def folder(write: Write, tmp_path: Path) -> Callable[..., Path]:
    def _folder(*names: str, card: str = "") -> Path:
        for name in names:
            write(rows(Path(name).stem), f"set/{name}")
        if card:
            write(f"---\n{card}\n---\n# A data set\n", "set/README.md")
        return tmp_path / "set"

    return _folder


LAYOUTS: dict[str, tuple[list[str], dict[str, list[str]]]] = {
    "one file": (["all.jsonl"], {"examples": ["all.jsonl"]}),
    "no split": (["a.jsonl", "b/c.csv.gz"], {"examples": ["a.jsonl", "c.csv.gz"]}),
    "a file a split": (
        ["train.jsonl", "validation.jsonl", "test.jsonl"],
        {"train": ["train.jsonl"], "dev": ["validation.jsonl"], "test": ["test.jsonl"]},
    ),
    "shards": (
        ["data/train-00000-of-00002.parquet", "data/train-00001-of-00002.parquet",
         "data/test-00000-of-00001-9af3.parquet"],
        {"train": ["train-00000-of-00002.parquet", "train-00001-of-00002.parquet"],
         "test": ["test-00000-of-00001-9af3.parquet"]},
    ),
    "a folder a split": (
        ["train/0.jsonl", "train/1.jsonl", "test/0.jsonl"],
        {"train": ["0.jsonl", "1.jsonl"], "test": ["0.jsonl"]},
    ),
    "names around the split": (
        ["my_train_set.csv", "my-dev.csv", "eval.csv"],
        {"train": ["my_train_set.csv"], "dev": ["my-dev.csv"], "test": ["eval.csv"]},
    ),
    "words that only look like a split": (
        ["latest.csv", "trains.csv"], {"examples": ["latest.csv", "trains.csv"]}
    ),
    "train alone is split": (["train.jsonl"], {"examples": ["train.jsonl"]}),
    "validation stands in for test": (
        ["train.jsonl", "valid.jsonl"], {"train": ["train.jsonl"], "test": ["valid.jsonl"]}
    ),
    "a split without train is none": (
        ["qa.jsonl", "qa_dev.jsonl"], {"examples": ["qa.jsonl", "qa_dev.jsonl"]}
    ),
    "what is no data": (
        ["train.jsonl", "test.jsonl", ".hidden/test.jsonl", "dataset_infos.json", "a.pdf"],
        {"train": ["train.jsonl"], "test": ["test.jsonl"]},
    ),
}  # fmt: skip


@pytest.mark.parametrize(("names", "parts"), LAYOUTS.values(), ids=LAYOUTS.keys())
def test_a_folder_of_data_is_understood(
    folder: Callable[..., Path], names: list[str], parts: dict[str, list[str]]
) -> None:
    assert found(Data(examples=(folder(*names),))) == parts


def test_which_files_were_read_is_noted(folder: Callable[..., Path]) -> None:
    root = folder("train.jsonl", "valid.jsonl")
    parts = find_parts(Data(examples=(root,)))
    assert parts["train"].notes == (f"{root}: read train.jsonl.",)
    assert parts["test"].notes[0] == (
        f"{root}: has no test split; its validation split is kept for the test."
    )


def test_files_of_no_known_split_are_left_out_with_a_note(folder: Callable[..., Path]) -> None:
    root = folder("train.jsonl", "test.jsonl", "unsupervised.jsonl")
    notes = [note for part in find_parts(Data(examples=(root,))).values() for note in part.notes]
    assert f"{root}: left out, since of no split: unsupervised.jsonl." in notes


CARD = """configs:
- config_name: default
  data_files:
  - split: train
    path: "rows/learn-*.jsonl"
  - split: test
    path: ["rows/ask.jsonl"]
- config_name: other
  data_files: "rows/other.jsonl"
"""


def test_the_card_of_a_data_set_says_which_files_are_which(folder: Callable[..., Path]) -> None:
    names = ("rows/learn-0.jsonl", "rows/learn-1.jsonl", "rows/ask.jsonl", "rows/other.jsonl")
    assert found(Data(examples=(folder(*names, card=CARD),))) == {
        "train": ["learn-0.jsonl", "learn-1.jsonl"],
        "test": ["ask.jsonl"],
    }


def test_several_data_sets_in_one_folder_are_not_mixed(folder: Callable[..., Path]) -> None:
    card = CARD.replace("config_name: default", "config_name: one")
    text = refusal(Data(examples=(folder("rows/other.jsonl", card=card),)))
    assert "holds several data sets (one, other). Name the files of one" in text


@pytest.mark.parametrize("path", ["../*.jsonl", "/etc/*", "gone.csv"])
def test_a_card_cannot_name_what_is_not_inside_its_folder(
    folder: Callable[..., Path], path: str
) -> None:
    card = f"configs:\n- config_name: default\n  data_files: '{path}'\n"
    root = folder("train.jsonl", card=card)
    (root.parent / "secret.jsonl").write_bytes(rows("secret"))
    text = refusal(Data(examples=(root,)))
    assert text == f"{root}/README.md: names {path}, which is not there. Name the files."


@pytest.mark.parametrize("card", ["configs: [", "configs: 3", "title: no configs"])
def test_a_card_that_says_nothing_is_passed_over(folder: Callable[..., Path], card: str) -> None:
    root = folder("train.jsonl", "test.jsonl", card=card)
    assert set(found(Data(examples=(root,)))) == {"train", "test"}


def saved(write: Write, name: str, pieces: int = 1) -> None:
    """What `Dataset.save_to_disk` leaves."""
    files = [f"data-{n:05d}-of-{pieces:05d}.arrow" for n in range(pieces)]
    for n, file in enumerate(files):
        table = arrow([{"text": f"{name} {n}", "label": "a"}], stream=True)
        write(table, f"{name}/{file}")
    write(json.dumps({"_data_files": [{"filename": f} for f in files]}), f"{name}/state.json")
    write("{}", f"{name}/dataset_info.json")


def test_a_data_set_saved_to_disk_is_read_in_the_order_of_its_pieces(
    write: Write, tmp_path: Path
) -> None:
    saved(write, "set", pieces=12)
    (part,) = read_data(Data(examples=(tmp_path / "set",))).values()
    assert content(part.examples) == [(f"set {n}", "a") for n in range(12)]


def test_a_dictionary_of_data_sets_saved_to_disk_keeps_its_split(
    write: Write, tmp_path: Path
) -> None:
    for split in ("train", "validation", "test", "unsupervised"):
        saved(write, f"set/{split}")
    splits = ["train", "validation", "test", "unsupervised"]
    write(json.dumps({"splits": splits}), "set/dataset_dict.json")
    parts = read_data(Data(examples=(tmp_path / "set",)))
    assert {name: part.examples[0].input.text for name, part in parts.items()} == {
        "train": "set/train 0", "dev": "set/validation 0", "test": "set/test 0",
    }  # fmt: skip


@pytest.mark.parametrize(
    "about", ["{", "[]", "{}", '{"_data_files": []}', '{"_data_files": [{"filename": "../a"}]}']
)
def test_a_damaged_description_is_named(write: Write, tmp_path: Path, about: str) -> None:
    file = write(about, "set/state.json")
    assert refusal(Data(examples=(tmp_path / "set",))).startswith(f"{file}: is damaged.")


def test_a_folder_without_data_says_what_it_looked_for(tmp_path: Path) -> None:
    text = refusal(Data(examples=(tmp_path,)))
    assert text.startswith(f"{tmp_path}: is a folder without data. Name a file")
    assert ".parquet" in text


def test_a_split_of_its_own_does_not_go_with_other_files(folder: Callable[..., Path]) -> None:
    root = folder("train.jsonl", "test.jsonl")
    other = root.parent / "more.jsonl"
    other.write_bytes(rows("more"))
    text = refusal(Data(examples=(root, other)))
    assert f"{root} has a split of its own (train, test)" in text


def test_a_part_takes_its_own_split_of_a_folder(folder: Callable[..., Path]) -> None:
    root = folder("train.jsonl", "test.jsonl", "validation.jsonl")
    assert found(Data(train=(root,), test=(root,))) == {
        "train": ["train.jsonl"], "test": ["test.jsonl"],
    }  # fmt: skip
    (root / "test.jsonl").unlink()
    assert "[data] test: " in refusal(Data(train=(root,), test=(root,)))


def test_several_files_are_read_one_after_another(write: Write) -> None:
    first, second = write(rows("a"), "a.jsonl"), write(rows("b"), "b.jsonl")
    parts = read_data(Data(examples=(second, first)))
    texts = [example.input.text for example in parts["examples"].examples]
    assert texts == ["b 0", "b 1", "a 0", "a 1"]


class TestHub(fake_hub.WithHub):
    @pytest.fixture
    def source(self, write: Write, tmp_path: Path) -> Path:
        pairs = [{"text": f"{n}", "label": "a"} for n in range(3)]
        write(parquet(pairs), "set/data/train-00000-of-00001.parquet")
        write(parquet(pairs[:1]), "set/data/test-00000-of-00001.parquet")
        write(b"not wanted", "set/model.bin")
        write("# A data set\n", "set/README.md")
        return tmp_path / "set"

    def test_a_data_set_is_fetched_and_then_works_like_a_folder(self, source: Path) -> None:
        with fake_hub.serve(source, "someone/set", kind="datasets") as (address, asked):
            self.hub_is(address)
            parts = read_data(Data(examples=("hf://datasets/someone/set",)))
        assert {name: len(part.examples) for name, part in parts.items()} == {"train": 3, "test": 1}
        assert "hf://datasets/someone/set: read train-" in parts["train"].notes[0]
        assert "model.bin" not in asked
        again = read_data(Data(examples=("hf://datasets/someone/set",)))  # the hub is gone
        assert again == parts

    def test_single_files_of_a_data_set_can_be_named(self, source: Path) -> None:
        with fake_hub.serve(source, "someone/set", kind="datasets") as (address, asked):
            self.hub_is(address)
            data = Data(examples=("hf://datasets/someone/set/data/train-*",))
            assert found(data) == {"examples": ["train-00000-of-00001.parquet"]}
            assert asked == ["data/train-00000-of-00001.parquet"] * 2
            missing = Data(examples=("hf://datasets/someone/set/data/dev-*",))
            assert "no file matches hf://datasets/someone/set/data/dev-*" in refusal(missing)

    def test_without_network_is_one_clear_error(self) -> None:
        self.hub_is("http://127.0.0.1:9")
        text = refusal(Data(examples=("hf://datasets/someone/set",)))
        assert "is no file here, and cannot be fetched from the hub" in text
        assert "give a local folder" in text

    def test_that_the_hub_does_not_know_is_one_clear_error(self, source: Path) -> None:
        with fake_hub.serve(source, "someone/set", kind="datasets") as (address, _):
            self.hub_is(address)
            text = refusal(Data(examples=("hf://datasets/someone/st",)))
        assert "the hub does not show such a data set to you" in text


class TestProjectFile:
    def sources(self, folder: Path, value: str, *overrides: str) -> object:
        (folder / "tunewise.toml").write_text(f"[data]\nexamples = {value}\n")
        return load_project(folder, overrides).data.examples

    def test_names_files_patterns_folders_and_hub_ids(self, folder: Callable[..., Path]) -> None:
        root = folder("a.jsonl", "b.jsonl", "c.csv", "deep/d.csv")
        a, b, c, d = (root / name for name in ("a.jsonl", "b.jsonl", "c.csv", "deep/d.csv"))
        for value, wanted in {
            '"a.jsonl"': (a,),
            '["b.jsonl", "a.jsonl"]': (b, a),
            '"*.jsonl"': (a, b),
            '["c.csv", "*.jsonl"]': (c, a, b),
            '"**/*.csv"': (c, d),
            '"deep"': (root / "deep",),
            '"someone/set"': ("hf://datasets/someone/set",),
            '"someone/set-v1.5"': ("hf://datasets/someone/set-v1.5",),
            '"hf://datasets/someone/set@main/data/*.csv"': (
                "hf://datasets/someone/set@main/data/*.csv",
            ),
        }.items():
            assert self.sources(root, value) == wanted

    def test_a_file_with_the_signs_of_a_pattern_is_that_file(
        self, folder: Callable[..., Path]
    ) -> None:
        root = folder("a[1].jsonl", "a1.jsonl")
        assert self.sources(root, '"a[1].jsonl"') == (root / "a[1].jsonl",)

    def test_sources_and_columns_survive_in_the_project_of_a_run(
        self, folder: Callable[..., Path]
    ) -> None:
        root = folder("a.jsonl", "b.jsonl")
        (root / "tunewise.toml").write_text(
            '[data]\ntrain = ["*.jsonl"]\ntest = "someone/set"\nmessages = "turns"\nweight = "w"\n'
        )
        project = load_project(root)
        (root / "run.toml").write_text(resolved_toml(project))
        assert load_project(root / "run.toml") == project
        assert project.data.test == ("hf://datasets/someone/set",)

    def test_takes_a_list_from_the_command_line(self, folder: Callable[..., Path]) -> None:
        root = folder("a.jsonl", "b.jsonl")
        names = json.dumps([str(root / "b.jsonl"), str(root / "a.jsonl")])
        assert self.sources(root, '"a.jsonl"', f"data.examples={names}") == (
            root / "b.jsonl", root / "a.jsonl",
        )  # fmt: skip

    @pytest.mark.parametrize(
        ("value", "message"),
        [
            ('"none.jsonl"', "none.jsonl does not exist"),
            ('"deep/none.jsonl"', "deep/none.jsonl does not exist"),
            ('"deep/none"', "deep/none does not exist"),
            ('"*.parquet"', "no file matches"),
            ("[]", "must be the name of a file, or a list of names"),
            ('["a.jsonl", 3]', "must be the name of a file, or a list of names"),
            ('["a.jsonl", "none.csv"]', "none.csv does not exist"),
        ],
    )
    def test_what_is_not_there_is_named_with_its_line(
        self, folder: Callable[..., Path], value: str, message: str
    ) -> None:
        root = folder("a.jsonl", "deep/d.csv")
        with pytest.raises(UserError) as caught:
            self.sources(root, value)
        assert f"{root}/tunewise.toml:2: data.examples: " in str(caught.value)
        assert message in str(caught.value)
