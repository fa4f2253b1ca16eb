"""An interrupted run goes on where it was: nothing is asked twice, and the verdict is the same."""

import time
from pathlib import Path

import pytest

from decide_projects import (
    decide,
    essence,
    labelled,
    opened,
    read_json,
    read_jsonl,
    repeated_answers,
    right_when,
    scripted,
    stopping,
    target_of,
    tuned_well,
    write_project,
)
from tunewise.errors import UserError
from tunewise.models.catalog import LocalModel
from tunewise.models.engines.protocol import Request
from tunewise.types import Failure

MORE = """
[training]
rank = 2
epochs = 2
learning_rate = 1e-3
batch_tokens = 4096
seeds = 2
[contenders]
use = ["constant", "zero_shot", "prompt", "few_shot", "fine_tune"]
[decision]
measure = []
"""
UNTUNED = MORE.replace(', "fine_tune"', "")


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return write_project(tmp_path / "broken", labelled(70), MORE)


def test_a_run_stopped_again_and_again_ends_like_one_that_was_not(
    tmp_path: Path, project: Path, small_llama: LocalModel
) -> None:
    whole = scripted(right_when(tuned_well))
    opener = opened(whole, small_llama)
    unbroken = decide(write_project(tmp_path / "unbroken", labelled(70), MORE), opener=opener)

    stops = 0
    resume = False
    asked: list[object] = []
    while True:
        engine = scripted(right_when(tuned_well))
        opener = opened(engine, small_llama)
        try:
            with stopping(engine, after=100):  # each time in the middle of some batch
                decide(project, out=project / "run", resume=resume, opener=opener)
            asked += engine.requests
            break
        except KeyboardInterrupt:
            stops += 1
            resume = True
            asked += engine.requests
    assert stops >= 2
    assert essence(read_json(project / "run" / "verdict.json")) == essence(
        read_json(unbroken / "verdict.json")
    )
    assert repeated_answers(project / "run") == []
    assert repeated_answers(unbroken) == []
    rows = len(read_jsonl(unbroken / "answers.jsonl"))
    assert len(read_jsonl(project / "run" / "answers.jsonl")) == rows


@pytest.fixture
def untuned(tmp_path: Path) -> Path:
    """A project whose contenders all only ask."""
    return write_project(tmp_path / "broken", labelled(70), UNTUNED)


def latency_requests(run: Path) -> int:
    """What those who ask a model were asked to measure the latency of a finished run."""
    found = read_json(run / "verdict.json")["contenders"]
    return sum(2 + one["latency_ms"]["n"] for one in found if one["name"] != "constant")


@pytest.fixture
def stopped(untuned: Path, tmp_path: Path) -> Path:
    """Its run, stopped in the middle of answering test."""
    whole = scripted(right_when(lambda request: 0.6))
    opener = opened(whole)
    twin = write_project(tmp_path / "whole", labelled(70), UNTUNED)
    decide(twin, out=twin / "run", opener=opener)
    first = scripted(right_when(lambda request: 0.6))
    opener = opened(first)
    latency = latency_requests(twin / "run")
    with (
        pytest.raises(KeyboardInterrupt),
        stopping(first, after=len(whole.requests) - latency - 5),
    ):
        decide(untuned, out=untuned / "run", opener=opener)
    assert (untuned / "run" / "answers.jsonl").exists(), "test was open when it was stopped"
    return untuned / "run"


def test_dependability_goes_on_where_it_was_stopped(untuned: Path) -> None:
    measured = UNTUNED.replace("measure = []", "dependability_inputs = 10")
    write_project(untuned, labelled(70), measured)

    def not_sampled_yet(request: Request) -> str | Failure:
        if request.sampling.seed == 2:
            raise KeyboardInterrupt
        return target_of(request)

    with pytest.raises(KeyboardInterrupt):
        decide(untuned, out=untuned / "run", opener=opened(scripted(not_sampled_yet)))
    engine = scripted(target_of)
    decide(untuned, out=untuned / "run", resume=True, opener=opened(engine))
    assert {one.sampling.seed for one in engine.requests if one.sampling.temperature} == {2, 3}
    (found,) = read_json(untuned / "run" / "verdict.json")["dependability"]
    assert found["sampled"]["answers"] == 30


def test_what_was_answered_before_the_stop_is_not_asked_again(untuned: Path, stopped: Path) -> None:
    kept = {row["key"] for row in read_jsonl(stopped / "fit-answers.jsonl")}
    assert len(kept) > 100
    engine = scripted(right_when(lambda request: 0.6))
    opener = opened(engine)
    decide(untuned, out=stopped, resume=True, opener=opener)
    journal = [row["key"] for row in read_jsonl(stopped / "fit-answers.jsonl")]
    assert len(set(journal)) == len(journal)
    assert len(engine.requests) == len(journal) - len(kept) + latency_requests(stopped)


def test_a_run_that_resumes_counts_as_one_look(untuned: Path, stopped: Path) -> None:
    opener = opened(scripted(right_when(lambda request: 0.6)))
    assert decide(untuned, out=stopped, resume=True, opener=opener) == stopped
    assert read_json(stopped / "verdict.json")["test_set_uses"] == 1
    assert [e["event"] for e in read_jsonl(stopped / "events.jsonl")].count("start") == 2


@pytest.mark.parametrize("name", ["answers.jsonl", "fit-answers.jsonl", "events.jsonl"])
def test_a_half_written_last_line_is_dropped_and_asked_again(
    tmp_path: Path, untuned: Path, stopped: Path, name: str
) -> None:
    file = stopped / name
    file.write_bytes(file.read_bytes()[:-25])
    opener = opened(scripted(right_when(lambda request: 0.6)))
    decide(untuned, out=stopped, resume=True, opener=opener)
    whole = read_json(tmp_path / "whole" / "run" / "verdict.json")
    assert essence(read_json(stopped / "verdict.json")) == essence(whole)
    assert repeated_answers(stopped) == []
    read_jsonl(stopped / "events.jsonl")


def test_the_newest_interrupted_run_is_found_without_naming_it(untuned: Path) -> None:
    for after in (30, 100):
        engine = scripted(right_when(lambda request: 0.6))
        opener = opened(engine)
        with pytest.raises(KeyboardInterrupt), stopping(engine, after=after):
            decide(untuned, opener=opener)
        time.sleep(1.1)  # run folders are named by the second
    *_, newest = sorted(path for path in (untuned / "runs").iterdir() if path.is_dir())
    opener = opened(scripted(right_when(lambda request: 0.6)))
    assert decide(untuned, resume=True, opener=opener) == newest


def refusal(project: Path, *overrides: str) -> str:
    opener = opened(scripted(right_when(lambda request: 0.6)))
    with pytest.raises(UserError) as caught:
        decide(project, *overrides, out=project / "run", resume=True, opener=opener)
    return str(caught.value)


def test_other_settings_or_rows_are_not_resumed_and_what_changed_is_named(
    untuned: Path, stopped: Path
) -> None:
    said = refusal(untuned, "decision.minimum_gain=0.1")
    assert "no run of this project with the same settings and data to resume" in said
    assert "Since run began: decision.minimum_gain was 0.05 and is 0.1 now." in said
    write_project(untuned, labelled(71), UNTUNED)
    said = refusal(untuned)
    assert "no run of this project with the same settings and data to resume" in said
    assert "Since run began: examples.jsonl: 1 row is new." in said


CHANGED = {
    "documents": ("docs/a.md", "docs: 1 document changed"),
    "metric": ("strict.py", "strict.py is another than it was"),
}


@pytest.mark.parametrize("finished", [False, True], ids=["stopped", "finished"])
@pytest.mark.parametrize(("file", "said"), CHANGED.values(), ids=CHANGED)
def test_what_a_run_reads_beside_its_rows_is_that_of_its_beginning(
    file: str, said: str, finished: bool, tmp_path: Path
) -> None:
    more = '[contenders]\nuse = ["constant", "zero_shot", "rag"]\n'
    project = write_project(tmp_path / "project", labelled(70), more)
    (project / "docs").mkdir()
    (project / "docs" / "a.md").write_text("# Returns\n\nWithin thirty days.\n")
    metric = "def same(answer: str, target: str) -> bool:\n    return answer == target\n"
    (project / "strict.py").write_text(metric)
    settings = (f"data.documents={project / 'docs'}", "task.metric=strict:same")
    engine = scripted(right_when(lambda request: 0.6))
    opener = opened(engine)
    if finished:
        decide(project, *settings, out=project / "run", opener=opener)
    else:
        with pytest.raises(KeyboardInterrupt), stopping(engine, after=20):
            decide(project, *settings, out=project / "run", opener=opener)
    before = (project / file).read_text()
    (project / file).write_text(before.replace("thirty", "ten") + "\n")
    assert said in refusal(project, *settings)
    (project / file).write_text(before)
    opener = opened(scripted(right_when(lambda request: 0.6)))
    assert (
        decide(project, *settings, out=project / "run", resume=True, opener=opener)
        == project / "run"
    )


def test_a_finished_run_is_shown_again_with_its_report(untuned: Path, stopped: Path) -> None:
    opener = opened(scripted(right_when(lambda request: 0.6)))
    decide(untuned, out=stopped, resume=True, opener=opener)
    verdict = (stopped / "verdict.json").read_bytes()
    (stopped / "report.html").unlink()  # killed between the two
    engine = scripted(right_when(lambda request: 0.6))
    opener = opened(engine)
    assert decide(untuned, out=stopped, resume=True, opener=opener) == stopped
    assert (stopped / "verdict.json").read_bytes() == verdict
    assert (stopped / "report.html").is_file()
    assert not engine.requests
