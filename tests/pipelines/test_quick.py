"""`decide --quick`: a first opinion that leaves test sealed."""

from pathlib import Path

import pytest

from command_line import tunewise
from decide_projects import (
    by_name,
    contract_faults,
    decide,
    labelled,
    opened,
    read_json,
    read_jsonl,
    right_when,
    scripted,
    target_of,
    tuned_well,
    write_project,
)
from tunewise.data.prepare import prepare
from tunewise.errors import UserError
from tunewise.models.catalog import LocalModel
from tunewise.pipelines.decide import run_decide
from tunewise.pipelines.quick import first_opinion
from tunewise.progress import Silent
from tunewise.project.load import load_project

TRAINED = """
[training]
rank = 2
epochs = 1
learning_rate = 1e-3
batch_tokens = 4096
"""


def quick(project: Path, **given: object) -> Path:
    return run_decide(load_project(project, ()), progress=Silent(), quick=True, **given)


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_project(tmp_path_factory.mktemp("quick"), labelled(300), TRAINED)


@pytest.fixture(scope="module")
def engine():
    return scripted(right_when(tuned_well))


@pytest.fixture(scope="module")
def run(project: Path, engine, small_llama: LocalModel) -> Path:
    return quick(project, opener=opened(engine, small_llama))


def test_a_few_contenders_take_part_with_one_seed(run: Path) -> None:
    verdict = read_json(run / "verdict.json")
    assert contract_faults(verdict) == []
    assert verdict["first_opinion"] is True
    found = by_name(verdict)
    assert set(found) == {"constant", "zero_shot", "few_shot", "classifier", "fine_tune"}
    assert found["fine_tune"]["seeds"] == 1
    assert {trial["k"] for trial in found["few_shot"]["fit"]["trials"]} == {4}


def test_dev_judges_and_no_test_row_is_asked(project: Path, run: Path, engine) -> None:
    splits = prepare(load_project(project)).splits
    asked = {answer["example_id"] for answer in read_jsonl(run / "answers.jsonl")}
    assert asked == {row.id for row in splits.dev}
    said = {request.messages[-1].content for request in engine.requests}
    assert not said & {row.input.text for row in splits.test}
    assert not (project / "runs" / "test-uses.jsonl").exists()


def test_what_is_chosen_is_chosen_on_rows_of_train_that_nothing_is_trained_on(
    project: Path,
) -> None:
    whole = prepare(load_project(project))
    splits = first_opinion(whole).splits
    of_train = {row.id for row in whole.splits.train}
    train, dev = ({row.id for row in part} for part in (splits.train, splits.dev))
    assert train <= of_train
    assert dev <= of_train
    assert not train & dev
    assert len(train) <= 150
    assert len(dev) == round(0.2 * len(of_train))
    assert splits.test == whole.splits.dev


def test_where_dev_is_small_rows_of_train_judge_with_it(tmp_path: Path) -> None:
    whole = prepare(load_project(write_project(tmp_path, labelled(150))))
    assert len(whole.splits.dev) < 40
    splits = first_opinion(whole).splits
    assert splits.test[: len(whole.splits.dev)] == whole.splits.dev
    assert len(splits.test) == 40
    parts = [{row.id for row in part} for part in (splits.train, splits.dev, splits.test)]
    assert sum(map(len, parts)) == len(set().union(*parts))
    assert not parts[2] & {row.id for row in whole.splits.test}


def test_who_takes_no_part_is_said(project: Path) -> None:
    (note,) = first_opinion(prepare(load_project(project))).notes
    assert "prompt, rag and fine_tune_rag take no part in it." in note


def test_a_dry_run_says_what_a_first_opinion_would_do(project: Path) -> None:
    shown = tunewise("decide", project, "--quick", "--dry-run").out
    assert "constant, zero_shot, few_shot, classifier, fine_tune\n" in shown
    assert "A first opinion" in shown


def test_an_unfinished_one_is_finished_with_quick(tmp_path: Path) -> None:
    folder = tmp_path / "runs" / "quick" / "20261129-0"
    folder.mkdir(parents=True)
    assert "`tunewise decide PROJECT --quick --resume`" in tunewise("report", folder).err


def test_the_headline_says_that_it_is_a_first_opinion(run: Path) -> None:
    shown = tunewise("report", run)
    assert "First opinion: " in shown.out
    assert "Next: run it without --quick" in " ".join(shown.out.split())
    assert "test rows stay sealed" in " ".join(shown.out.split())
    assert "First opinion: " in (run / "report.html").read_text(encoding="utf-8")


def test_it_lies_beside_the_runs_and_is_listed(project: Path, run: Path) -> None:
    assert run.parent == project / "runs" / "quick"
    assert f"quick/{run.name}" in tunewise("runs", "list", project).out


def test_the_whole_run_takes_its_answers_and_is_the_first_look_at_test(
    tmp_path: Path, small_llama: LocalModel
) -> None:
    more = '[contenders]\nuse = ["constant", "zero_shot"]\n'
    project = write_project(tmp_path, labelled(120), more)
    splits = prepare(load_project(project)).splits
    quick(project, opener=opened(scripted(target_of), small_llama))
    engine = scripted(target_of)
    run = decide(project, opener=opened(engine, small_llama))
    said = [request.messages[-1].content for request in engine.requests]
    assert not set(said) & {row.input.text for row in splits.dev}
    verdict = read_json(run / "verdict.json")
    assert verdict["test_set_uses"] == 1
    assert verdict["first_opinion"] is False


def test_answers_of_another_model_are_not_taken(tmp_path: Path, small_llama: LocalModel) -> None:
    more = '[contenders]\nuse = ["constant", "zero_shot"]\n'
    project = write_project(tmp_path, labelled(120), more)
    dev = {row.input.text for row in prepare(load_project(project)).splits.dev}
    quick(project, opener=opened(scripted(target_of), small_llama))
    engine = scripted(target_of)
    decide(project, "model.thinking_tokens=99", opener=opened(engine, small_llama))
    assert dev <= {request.messages[-1].content for request in engine.requests}


def test_it_says_where_none_of_the_contenders_takes_part(tmp_path: Path) -> None:
    project = write_project(tmp_path, labelled(60), '[contenders]\nuse = ["prompt"]\n')
    with pytest.raises(UserError, match=r"--quick: none of contenders\.use takes part"):
        quick(project, opener=opened(scripted(target_of)))
