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
    run_decide,
    run_to_the_end,
    trained,
)

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


@pytest.mark.parametrize(
    ("number", "code", "said"),
    [(signal.SIGINT, 130, "Nothing is lost: run the same command with --resume"),
     (signal.SIGTERM, 143, "")],
)  # fmt: skip
def test_a_signal_ends_it_with_its_own_code_and_no_traceback(
    tmp_path: Path, model: Path, cache: Path, number: int, code: int, said: str
) -> None:
    folder = project(tmp_path / "project", model, epochs=900)
    ended = run_decide(folder, tmp_path / "run", cache=cache, strike=number, when=trained("*", 2))
    assert ended.struck
    assert ended.code == code
    assert said in ended.err
    assert "Traceback" not in ended.err
    assert not (tmp_path / "run" / "verdict.json").exists()


@pytest.mark.slow
def test_killed_while_training_and_while_answering_it_ends_like_a_run_that_was_not(
    tmp_path: Path, model: Path, cache: Path
) -> None:
    whole = run_decide(project(tmp_path / "a", model), tmp_path / "whole", cache=cache)
    assert whole.code == 0, whole.err

    moments = [
        trained("*", 1),  # in the first learning rate's second epoch
        trained("*seed1", 4),  # in the second rate, or on the way to the third
        trained("*", 1),
        answers_of("zero_shot"),
        answers_of("few_shot"),
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
def test_killed_every_few_seconds_it_gets_there_all_the_same(
    tmp_path: Path, model: Path, cache: Path
) -> None:
    whole = run_decide(project(tmp_path / "a", model), tmp_path / "whole", cache=cache)
    assert whole.code == 0, whole.err
    folder, run = project(tmp_path / "b", model), tmp_path / "run"
    for attempt in range(30):
        ended = run_decide(
            folder,
            run,
            cache=cache,
            resume=(run / "splits.json").exists(),
            when=after(5.0 + 0.7 * attempt),
        )
        if not ended.struck:
            break
    assert ended.code == 0, ended.err
    assert attempt >= 2
    found, expected = (read_json(tmp_path / name / "verdict.json") for name in ("run", "whole"))
    assert essence(found) == essence(expected)
    assert texts(run) == texts(tmp_path / "whole")
    assert repeated_answers(run) == []
