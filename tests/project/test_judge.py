"""The `[judge]` table: what is wrong with it is told at once, with its lines."""

from pathlib import Path

import pytest

from tunewise.errors import UserError
from tunewise.project.load import load_project, resolved_toml
from tunewise.runs.made_from import changed_settings

CRITERIA = '[judge.criteria]\ntone = "kind"\n'


def written(folder: Path, judge: str) -> Path:
    (folder / "rows.jsonl").write_text("{}\n")
    (folder / "tunewise.toml").write_text(f'[data]\nexamples = "rows.jsonl"\n{judge}')
    return folder


def faults(folder: Path, judge: str) -> list[str]:
    with pytest.raises(UserError) as caught:
        load_project(written(folder, judge))
    return [line.partition("tunewise.toml:")[2] for line in str(caught.value).splitlines()]


def test_a_judge_has_a_model_and_named_criteria(tmp_path: Path) -> None:
    judge = load_project(written(tmp_path, f'[judge]\nmodel = "wise"\n{CRITERIA}')).judge
    assert (judge.model, judge.engine, dict(judge.criteria)) == ("wise", "auto", {"tone": "kind"})


def test_no_table_is_no_judge_and_is_not_written_down(tmp_path: Path) -> None:
    project = load_project(written(tmp_path, ""))
    assert project.judge.model is None
    assert "[judge]" not in resolved_toml(project)


def test_what_is_written_down_reads_the_same(tmp_path: Path) -> None:
    project = load_project(written(tmp_path, f'[judge]\nmodel = "wise"\n{CRITERIA}'))
    (tmp_path / "again.toml").write_text(resolved_toml(project))
    assert load_project(tmp_path / "again.toml") == project


def test_another_judge_is_no_other_run(tmp_path: Path) -> None:
    one, other = (
        resolved_toml(load_project(written(tmp_path, judge)))
        for judge in ("", f'[judge]\nmodel = "wise"\n{CRITERIA}')
    )
    assert changed_settings(one, other) == []


def test_model_and_criteria_are_both_told_to_be_missing(tmp_path: Path) -> None:
    found = faults(tmp_path, '[judge]\nengine = "auto"\n')
    assert [line.split(": ")[1] for line in found] == ["judge.criteria", "judge.model"]


def test_the_base_never_judges_itself(tmp_path: Path) -> None:
    [fault] = faults(tmp_path, f'[judge]\nmodel = "smollm2-135m-instruct"\n{CRITERIA}')
    assert fault.startswith("4: judge.model: is the base model, which never judges itself.")


def test_a_model_of_that_name_at_an_endpoint_is_another_one(tmp_path: Path) -> None:
    judge = f'[judge]\nmodel = "smollm2-135m-instruct"\nengine = "openai"\n{CRITERIA}'
    assert load_project(written(tmp_path, judge)).judge.model == "smollm2-135m-instruct"


def test_an_endpoint_that_may_be_recommended_never_judges_itself(tmp_path: Path) -> None:
    rival = '[contenders.big]\ntype = "openai"\nmodel = "wise"\ncandidate = true\n'
    judge = f'[judge]\nmodel = "wise"\nengine = "openai"\n{CRITERIA}'
    [fault] = faults(tmp_path, rival + judge)
    assert "is the contender big: none judges itself" in fault
    ceiling = rival.replace("candidate = true\n", "")
    assert load_project(written(tmp_path, ceiling + judge)).judge.model == "wise"


@pytest.mark.parametrize(
    ("criteria", "said"),
    [
        ("criteria = {}", "names none. Write what a good answer is judged by"),
        ('criteria = "tone"', 'must be a table, not "tone".'),
        ('criteria = { tone = "" }', 'must be a text, not "".'),
        ("criteria = { tone = 3 }", "must be a text, not a number."),
    ],
)
def test_criteria_that_say_nothing_are_refused(tmp_path: Path, criteria: str, said: str) -> None:
    [fault] = faults(tmp_path, f'[judge]\nmodel = "wise"\n{criteria}\n')
    assert fault.startswith(f"5: judge.criteria: {said}")


def test_several_faults_are_told_at_once(tmp_path: Path) -> None:
    found = faults(
        tmp_path,
        '[judge]\nmodel = "smollm2-135m-instruct"\nengine = "opnai"\napi_key_env = "a key"\n'
        "criteria = {}\n",
    )
    assert [line.split(": ")[1] for line in found] == [
        "judge.model",
        "judge.engine",
        "judge.api_key_env",
        "judge.criteria",
    ]


def test_the_metric_judge_says_what_to_do_instead(tmp_path: Path) -> None:
    [fault] = faults(tmp_path, '[task]\nmetric = "judge"\n')
    assert "task.metric: is judge, which chooses nothing" in fault
