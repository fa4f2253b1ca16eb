"""tunewise.toml as a form: every key, faults beside fields, and nothing lost of the file."""

import tomllib
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from decide_projects import labelled, write_project
from desk_pages import ORIGIN, desk_client
from html_pages import HOSTILE, Page
from tunewise.desk.places import id_of
from tunewise.desk.settings_form import FormSection, form_of, new_text, typed_into
from tunewise.project.schema import section_records, section_schema

TEXT = """\
# Ours since May.

[task]
# What we say.
instruction = "Which label?"  # short
metric = "macro_f1"

[data]
examples = "examples.jsonl"

[decision]
# minimum_quality = 0.8
minimum_gain = 0.02

[contenders.big]
type = "openai"
model = "m"
"""


def shown(text: str = TEXT) -> list[FormSection]:
    return form_of(tomllib.loads(text))


def sent(sections: list[FormSection], **changed: str | list[str]) -> dict[str, list[str]]:
    """What a browser sends of the form; `task__kind` stands for `task.kind`."""
    found: dict[str, list[str]] = {}
    for field in (field for section in sections for field in section.fields):
        found[f"was:{field.name}"] = [field.was]
        ticked = field.look == "choices"
        found[field.name] = sorted(field.chosen) if ticked else [field.value]
    for name, value in changed.items():
        found[name.replace("__", ".")] = value if isinstance(value, list) else [value]
    return found


def changed(**fields: str | list[str]) -> str:
    return new_text(TEXT, typed_into(shown(), sent(shown(), **fields)))


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = write_project(tmp_path / "mail", labelled(20))
    (folder / "tunewise.toml").write_text(TEXT)
    return folder


@pytest.fixture
def client(tmp_path: Path, project: Path) -> TestClient:
    return desk_client(tmp_path)


def save(client: TestClient, project: Path, **fields: str | list[str]) -> tuple[int, str]:
    text = (project / "tunewise.toml").read_text()
    body = sent(shown(text), **fields)
    answer = client.post(f"/ui/projects/{id_of(project)}/settings", data=body, headers=ORIGIN)
    return answer.status_code, answer.text


def test_every_key_is_a_field_with_its_help() -> None:
    fields = {field.name: field for section in shown() for field in section.fields}
    for name, record in section_records().items():
        for key, schema in section_schema(record)["properties"].items():
            assert fields[f"{name}.{key}"].help == schema["description"]
    assert fields["training.schedule"].default == "linear"
    assert fields["task.metric"].value == "macro_f1"


def test_what_nobody_touched_stays_to_the_letter() -> None:
    assert changed() == TEXT


@pytest.mark.parametrize(
    ("fields", "old", "new"),
    [
        ({"decision__minimum_gain": "0.1"}, "minimum_gain = 0.02", "minimum_gain = 0.1"),
        ({"task__metric": ""}, 'metric = "macro_f1"\n', ""),
        ({"task__instruction": "a"}, '"Which label?"  # short', '"a"  # short'),
        (
            {"data__examples": "a.jsonl\r\nb.jsonl"},
            '"examples.jsonl"',
            '["a.jsonl", "b.jsonl"]',
        ),
    ],
)
def test_a_change_touches_its_own_line_alone(fields: dict[str, str], old: str, new: str) -> None:
    assert changed(**fields) == TEXT.replace(old, new)


@pytest.mark.parametrize(
    ("fields", "section", "values"),
    [
        ({"training__epochs": "3"}, "training", {"epochs": 3}),
        ({"training__learning_rate": "5e-4"}, "training", {"learning_rate": 5e-4}),
        ({"training__epochs": "auto"}, "training", {"epochs": "auto"}),
        ({"report__show_personal": "true"}, "report", {"show_personal": True}),
        ({"training__track": ["mlflow"]}, "training", {"track": ["mlflow"]}),
        ({"model__base": "a\nb"}, "model", {"base": ["a", "b"]}),
        ({"data__segments": "channel"}, "data", {"segments": ["channel"]}),
        (
            {"judge__criteria": "tone = calm = good\nlength = short"},
            "judge",
            {"criteria": {"tone": "calm = good", "length": "short"}},
        ),
    ],
)
def test_what_is_typed_has_the_type_of_its_key(
    fields: dict[str, str], section: str, values: dict[str, object]
) -> None:
    found = tomllib.loads(changed(**fields))[section]
    assert {key: found[key] for key in values} == values


def test_a_list_of_choices_may_be_empty_or_left_to_its_default() -> None:
    assert tomllib.loads(changed(decision__measure=[]))["decision"]["measure"] == []
    every = ["dependability", "learning_curve", "retention"]
    assert changed(decision__measure=every) == TEXT
    some = changed(decision__measure=every[:1])
    assert tomllib.loads(some)["decision"]["measure"] == every[:1]


def test_a_text_of_several_lines_is_kept_as_it_was_typed() -> None:
    typed = 'One "quoted" line,\na \\ and """ three,\nan end.'
    assert tomllib.loads(changed(task__instruction=typed))["task"]["instruction"] == typed


def test_it_is_saved_and_the_file_keeps_its_remarks(client: TestClient, project: Path) -> None:
    assert save(client, project, decision__minimum_gain="0.1")[0] == 303
    text = (project / "tunewise.toml").read_text()
    assert text == TEXT.replace("0.02", "0.1")


def test_all_faults_stand_beside_their_fields_and_nothing_is_saved(
    client: TestClient, project: Path
) -> None:
    status, text = save(
        client,
        project,
        decision__minimum_gain="much",
        task__kind="poetry",
        data__examples="gone.jsonl",
        model__api_key_env="sk-secret=",
    )
    assert status == 400
    assert (project / "tunewise.toml").read_text() == TEXT
    wrong = {
        attributes["name"]
        for _, attributes in Page(text).elements
        if attributes.get("aria-invalid") == "true"
    }
    assert wrong == {
        "decision.minimum_gain",
        "task.kind",
        "data.examples",
        "model.api_key_env",
    }
    assert "must be a number" in text
    assert 'value="much"' in text
    assert [path.name for path in project.iterdir() if "draft" in path.name] == []


def test_two_people_change_different_fields(client: TestClient, project: Path) -> None:
    before = sent(shown())
    save(client, project, decision__minimum_gain="0.1")
    before["task.metric"] = ["accuracy"]
    there = f"/ui/projects/{id_of(project)}/settings"
    assert client.post(there, data=before, headers=ORIGIN).status_code == 303
    expected = TEXT.replace("0.02", "0.1").replace("macro_f1", "accuracy")
    assert (project / "tunewise.toml").read_text() == expected


def test_two_people_change_the_same_field_and_the_second_is_told(
    client: TestClient, project: Path
) -> None:
    before = sent(shown(), decision__minimum_gain="0.3")
    save(client, project, decision__minimum_gain="0.1")
    there = f"/ui/projects/{id_of(project)}/settings"
    answer = client.post(there, data=before, headers=ORIGIN)
    assert (answer.status_code, "changed meanwhile" in answer.text) == (409, True)
    assert (project / "tunewise.toml").read_text() == TEXT.replace("0.02", "0.1")
    assert save(client, project, decision__minimum_gain="0.3")[0] == 303


def test_tables_of_endpoints_are_named_and_left_alone(client: TestClient, project: Path) -> None:
    assert "[contenders.big]" in client.get(f"/ui/projects/{id_of(project)}/settings").text


def test_what_is_typed_is_text(client: TestClient, project: Path) -> None:
    _, text = save(client, project, task__instruction=HOSTILE, decision__minimum_gain=HOSTILE)
    assert "<img" not in text
    assert "<iframe" not in text


def test_a_file_that_is_no_toml_is_told_by_its_line(client: TestClient, project: Path) -> None:
    (project / "tunewise.toml").write_text("[task\n")
    for page in ("settings", "data"):
        answer = client.get(f"/ui/projects/{id_of(project)}/{page}")
        assert (answer.status_code, "tunewise.toml:1" in answer.text) == (400, True)
