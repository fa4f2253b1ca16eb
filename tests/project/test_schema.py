import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
import tomli_w
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from tunewise.errors import UserError
from tunewise.pipelines.init.start import start_project
from tunewise.project.load import load_project
from tunewise.project.schema import section_records, section_schema, toml_schema

ROOT = Path(__file__).parents[2]
CHECK = Draft202012Validator(toml_schema())
KEYS = [
    (section, key)
    for section, record in section_records().items()
    for key in section_schema(record)["properties"]
]


def accepted(toml: str) -> bool:
    return CHECK.is_valid(tomllib.loads(toml))


def test_it_is_a_schema_of_the_draft_that_it_names() -> None:
    Draft202012Validator.check_schema(toml_schema())
    assert toml_schema()["$schema"] == Draft202012Validator.META_SCHEMA["$id"]


def test_every_key_is_described() -> None:
    described = {
        (section, key): section_schema(record)["properties"][key].get("description")
        for section, record in section_records().items()
        for key in section_schema(record)["properties"]
    }
    assert [key for key, text in described.items() if not text] == []


@pytest.mark.parametrize("file", sorted((ROOT / "examples").glob("*/tunewise.toml")), ids=str)
def test_the_examples_are_accepted(file: Path) -> None:
    assert accepted(file.read_text("utf-8"))


@pytest.mark.parametrize(
    "toml",
    [
        "[dta]",
        '[task]\nmetirc = "accuracy"',
        '[task]\nkind = "clasification"',
        '[task]\nlabels = ["a", "a"]',
        '[contenders]\nuse = ["finetune"]',
        '[contenders.big]\nmodel = "m"',
        '[contenders.rag]\ntype = "openai"\nmodel = "m"',
        "[training]\nrank = 2000",
        '[training]\nseeds = "three"',
        "[report]\nshow_personal = 1",
    ],
)
def test_a_wrong_key_or_value_is_refused(toml: str) -> None:
    assert not accepted(toml)


def test_an_endpoint_of_ones_own_may_take_part() -> None:
    table = '[contenders.big]\ntype = "openai"\nmodel = "m"\n'
    assert accepted(f'[contenders]\nuse = ["big", "constant"]\n{table}')


VALUES = st.one_of(
    st.booleans(),
    st.integers(-2, 2000),
    st.floats(-1, 2000).filter(lambda x: not x.is_integer()),  # 1.0 is an integer in JSON Schema
    st.sampled_from(
        ["auto", "lora", "sft", "dpo", "linear", "accuracy", "a:b", "", " ", "http://x", "x"]
    ),
    st.lists(st.sampled_from(["a", "b", "constant", "mlflow", ""]), max_size=3),
)
OF_FILES = {
    "examples", "train", "dev", "test", "documents", "preferences", "replay", "start", "general",
    "gate",
}  # fmt: skip


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    at=st.sampled_from([key for key in KEYS if key[1] not in OF_FILES]),
    value=VALUES,
)
@example(at=("model", "base"), value=["a", "a"])
def test_a_single_value_is_accepted_by_both_or_by_none(
    tmp_path: Path, at: tuple[str, str], value: Any
) -> None:
    section, key = at
    (tmp_path / "rows.jsonl").write_text("{}\n")
    written = {"data": {"examples": "rows.jsonl"}} | {section: {key: value}}
    (tmp_path / "tunewise.toml").write_text(tomli_w.dumps(written), encoding="utf-8")
    try:
        load_project(tmp_path)
        fault = ""
    except UserError as error:
        fault = str(error)
    several = ("is missing", "cannot stand beside", "goes with", "are one label", "no base")
    lines = [line for line in fault.splitlines() if f" {section}.{key}: " in line]
    about_it = any(not any(words in line for words in several) for line in lines)
    assert CHECK.is_valid({section: {key: value}}) is not about_it, fault


def test_what_init_writes_names_the_schema_beside_it_and_is_accepted(tmp_path: Path) -> None:
    rows = [{"input": f"row {n} of some words", "output": "yn"[n % 2]} for n in range(40)]
    (tmp_path / "rows.jsonl").write_text("\n".join(map(json.dumps, rows)))
    start_project(tmp_path)
    text = (tmp_path / "tunewise.toml").read_text("utf-8")
    named = text.splitlines()[0].removeprefix("#:schema ")
    assert json.loads((tmp_path / named).read_text("utf-8")) == toml_schema()
    assert accepted(text)
    (tmp_path / "tunewise.toml").unlink()
    assert start_project(tmp_path).project.data.examples == (tmp_path / "rows.jsonl",)
