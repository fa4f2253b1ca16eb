"""Signals and kills of real processes; nothing finished is lost, and the verdict is the same."""

import signal
from pathlib import Path

import pytest

import small_models
from decide_projects import (
    contract_faults,
    essence,
    labelled,
    read_json,
    read_jsonl,
    repeated_answers,
    write_project,
)
from interrupted_processes import (
    after,
    answers_of,
    at_work_for,
    run_decide,
    run_to_the_end,
    trained,
)
from tunewise.models.catalog import LocalModel

ROWS = 110


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A random-weight model of a family that is not converted, so that a process starts soon."""
    folder = tmp_path_factory.mktemp("hub") / "small-mistral"
    return small_models.build(folder, family="mistral")


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("cache")


def project(folder: Path, model: Path, *, epochs: int = 6, seeds: int = 2) -> Path:
    """Judged by chrF, under which even the babble of random weights has a value of its own."""
    toml = f"""
[model]
base = "{model}"
engine = "transformers"
[contenders]
use = ["constant", "zero_shot", "few_shot", "fine_tune"]
[training]
epochs = {epochs}
rank = 4
batch_tokens = 256
seeds = {seeds}
"""
    write_project(folder, labelled(ROWS), toml)
    text = (folder / "tunewise.toml").read_text()
    task = '[task]\nkind = "generation"\nmetric = "chrf"\n'
    (folder / "tunewise.toml").write_text(text.replace("[task]\n", task))
    return folder


def texts(run: Path) -> dict[tuple[str, int, str], str | None]:
    return {
        (row["contender"], row["seed"], row["example_id"]): row["text"]
        for row in read_jsonl(run / "answers.jsonl")
    }


def test_an_interrupt_ends_it_with_its_own_code_and_no_traceback(
    tmp_path: Path, model: Path, cache: Path
) -> None:
    folder = project(tmp_path / "project", model, epochs=900)
    ended = run_decide(
        folder,
        tmp_path / "run",
        cache=cache,
        options=["--contenders", "constant,fine_tune"],
        strike=signal.SIGINT,
        when=trained("*", 2),
    )
    assert ended.struck
    assert ended.code == 130
    assert "The same command with --resume goes on" in ended.err
    assert "Traceback" not in ended.err
    assert not (tmp_path / "run" / "verdict.json").exists()


@pytest.mark.slow
def test_killed_while_training_and_while_answering_it_ends_like_a_run_that_was_not(
    tmp_path: Path, model: Path, cache: Path
) -> None:
    whole = run_decide(project(tmp_path / "a", model), tmp_path / "whole", cache=cache)
    assert whole.code == 0, whole.err

    moments = [
        trained("*", 1),  # in the second epoch
        trained("*seed1", 4),  # on the way to its end
        trained("*seed2", 2),  # in the training of another seed
        answers_of("zero_shot"),
        answers_of("fine_tune", 40),
    ]
    ended = run_to_the_end(project(tmp_path / "b", model), tmp_path / "run", moments, cache=cache)
    assert [one.struck for one in ended] == [True] * len(moments) + [False]
    assert {one.code for one in ended[:-1]} == {-signal.SIGKILL}
    assert ended[-1].code == 0, ended[-1].err

    found, expected = (read_json(tmp_path / name / "verdict.json") for name in ("run", "whole"))
    assert contract_faults(found) == []
    assert essence(found) == essence(expected)
    assert texts(tmp_path / "run") == texts(tmp_path / "whole")
    assert len(set(texts(tmp_path / "run").values())) > 20, "the model does not always babble alike"
    assert repeated_answers(tmp_path / "run") == []


@pytest.mark.slow
def test_killed_at_its_start_and_again_and_again_it_gets_there_all_the_same(
    tmp_path: Path, model: Path, cache: Path
) -> None:
    whole = run_decide(project(tmp_path / "a", model), tmp_path / "whole", cache=cache)
    assert whole.code == 0, whole.err
    folder, run = project(tmp_path / "b", model), tmp_path / "run"
    storm = [after(0.5), *(at_work_for(1 + 4 * n) for n in range(8)), lambda run: False]
    kills = 0
    for when in storm:
        resume = (run / "splits.json").exists()
        ended = run_decide(folder, run, cache=cache, resume=resume, when=when)
        kills += ended.struck
        if not ended.struck or (run / "verdict.json").exists():
            break  # a kill may come when all is decided, and only the page is still to be written
    assert ended.struck or ended.code == 0, ended.err
    assert kills >= 3
    found, expected = (read_json(tmp_path / name / "verdict.json") for name in ("run", "whole"))
    assert essence(found) == essence(expected)
    assert texts(run) == texts(tmp_path / "whole")
    assert repeated_answers(run) == []


@pytest.mark.slow
def test_with_a_real_model_a_killed_run_ends_like_one_that_was_not(
    tmp_path: Path, starter: LocalModel
) -> None:
    toml = f"""
[model]
base = "{starter.name}"
engine = "openvino"
[contenders]
use = ["constant", "zero_shot", "fine_tune"]
[training]
epochs = 2
learning_rate = 5e-4
seeds = 1
[decision]
measure = []
"""
    for name in ("a", "b"):
        write_project(tmp_path / name, labelled(66), toml)
    whole = run_decide(tmp_path / "a", tmp_path / "whole", cache=None)
    assert whole.code == 0, whole.err
    moments = [trained("*", 1), answers_of("fine_tune")]
    ended = run_to_the_end(tmp_path / "b", tmp_path / "run", moments, cache=None)
    assert [one.struck for one in ended] == [True, True, False]
    assert ended[-1].code == 0, ended[-1].err
    found, expected = (read_json(tmp_path / name / "verdict.json") for name in ("run", "whole"))
    assert contract_faults(found) == []
    assert essence(found) == essence(expected)
    assert texts(tmp_path / "run") == texts(tmp_path / "whole")
    assert repeated_answers(tmp_path / "run") == []
