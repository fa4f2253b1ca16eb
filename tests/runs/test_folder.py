import calendar
import json
import multiprocessing
import os
import shutil
import time
from dataclasses import replace
from pathlib import Path

import pytest
from filelock import FileLock

from command_line import tunewise
from tunewise.errors import UserError
from tunewise.project.load import load_project
from tunewise.project.settings import Project
from tunewise.runs.folder import (
    RunFolder,
    list_runs,
    open_run,
    remove_run,
    units_of_test,
)
from tunewise.storage import read_lines
from tunewise.types import Example, Message, Splits


def rows(*names: str) -> tuple[Example, ...]:
    return tuple(
        Example(
            id=name,
            messages=(Message(role="user", content=f"What is {name}?"),),
            target=f"it is {name}",
        )
        for name in names
    )


SPLITS = Splits(
    train=rows("a"),
    dev=rows("b"),
    test=rows("c", "d"),
    seed=0,
    fingerprint="f1",
    units={"c": "one customer"},
)


@pytest.fixture
def project(tmp_path: Path) -> Project:
    folder = tmp_path / "shop"
    folder.mkdir()
    (folder / "examples.jsonl").write_text("{}\n")
    return load_project(folder / "examples.jsonl")


def begin(project: Project, *, resume: bool = False, out: Path | None = None) -> RunFolder:
    return open_run(project, SPLITS, out=out, resume=resume)


def refusal(project: Project, splits: Splits = SPLITS, **options: object) -> str:
    with pytest.raises(UserError) as caught:
        open_run(project, splits, **{"out": None, "resume": False, **options})
    return str(caught.value)


def decided(run: RunFolder, outcome: str = "few_shot") -> None:
    run.file("verdict.json").write_text(json.dumps({"outcome": outcome}))
    run.close()


class TestOpening:
    def test_a_new_run_holds_project_environment_splits_and_what_test_asks(
        self, project: Project
    ) -> None:
        run = begin(project)
        assert run.path.parent == project.root / "runs"
        assert load_project(run.file("project.toml")) == project
        splits = json.loads(run.file("splits.json").read_text())
        assert (splits["train"], splits["dev"], splits["test"]) == (["a"], ["b"], ["c", "d"])
        assert (splits["seed"], splits["fingerprint"]) == (0, "f1")
        assert read_lines(run.file("test.jsonl"))[0] == {
            "id": "c",
            "input": "What is c?",
            "target": "it is c",
        }
        assert units_of_test(run.path) == {"c": "one customer", "d": None}
        environment = json.loads(run.file("environment.json").read_text())
        assert environment["libraries"].keys() >= {"torch", "openvino", "numpy"}
        assert environment["processors"] == os.cpu_count()

    def test_events_are_appended_with_their_time(self, project: Project) -> None:
        run = begin(project)
        run.event("start", resumed=False)
        run.event("decided", outcome="few_shot")
        first, second = read_lines(run.file("events.jsonl"))
        assert (first["event"], first["resumed"]) == ("start", False)
        assert (second["event"], second["outcome"]) == ("decided", "few_shot")
        assert first["time"] <= second["time"]

    def test_each_run_gets_a_name_of_its_own(self, project: Project) -> None:
        assert begin(project).id != begin(project).id

    def test_a_folder_may_be_named(self, project: Project, tmp_path: Path) -> None:
        run = begin(project, out=tmp_path / "deep" / "mine")
        assert run.path == tmp_path / "deep" / "mine"
        assert run.file("splits.json").is_file()

    def test_a_folder_with_a_run_in_it_is_refused(self, project: Project, tmp_path: Path) -> None:
        begin(project, out=tmp_path / "mine").close()
        assert "Add --resume to go on with it" in refusal(project, out=tmp_path / "mine")

    def test_a_folder_with_something_else_in_it_is_refused_and_left_alone(
        self, project: Project, tmp_path: Path
    ) -> None:
        (tmp_path / "mine").mkdir()
        (tmp_path / "mine" / "thesis.txt").write_text("years of work")
        assert "a run lies here already" in refusal(project, out=tmp_path / "mine")
        assert [path.name for path in (tmp_path / "mine").iterdir()] == ["thesis.txt"]

    def test_a_run_killed_before_it_could_be_resumed_is_begun_again(
        self, project: Project, tmp_path: Path
    ) -> None:
        run = begin(project, out=tmp_path / "mine")
        run.close()
        run.file("splits.json").rename(run.file(".splits.json.new"))
        again = begin(project, out=tmp_path / "mine")
        assert [row["id"] for row in read_lines(again.file("test.jsonl"))] == ["c", "d"]

    def test_where_no_folder_can_be_made_is_one_clear_error(
        self, project: Project, tmp_path: Path
    ) -> None:
        (tmp_path / "file").write_text("")
        assert "Name a folder you may write to with --out" in refusal(
            project, out=tmp_path / "file" / "run"
        )


class TestResuming:
    def test_goes_on_with_the_newest_unfinished_run(self, project: Project) -> None:
        older, newer = project.root / "runs" / "20260101-a", project.root / "runs" / "20260102-b"
        for path in (older, newer):
            begin(project, out=path).close()
        assert begin(project, resume=True).path == newer

    def test_changes_nothing_of_what_the_run_wrote_down_at_its_start(
        self, project: Project
    ) -> None:
        run = begin(project)
        run.close()
        before = {p.name: p.read_bytes() for p in run.path.iterdir()}
        again = begin(project, resume=True)
        assert {p.name: p.read_bytes() for p in again.path.iterdir()} == before

    def test_takes_a_finished_run_only_when_none_was_interrupted(self, project: Project) -> None:
        older, newer = project.root / "runs" / "20260101-a", project.root / "runs" / "20260102-b"
        begin(project, out=older).close()
        decided(begin(project, out=newer))
        again = begin(project, resume=True)
        assert again.path == older
        decided(again)
        assert begin(project, resume=True).path == newer

    def test_other_data_are_not_the_same_run(self, project: Project) -> None:
        begin(project).close()
        other = replace(SPLITS, fingerprint="f2")
        assert "same settings and data" in refusal(project, other, resume=True)

    def test_other_settings_are_not_the_same_run(self, project: Project) -> None:
        begin(project).close()
        other = replace(project, decision=replace(project.decision, minimum_gain=0.1))
        assert "same settings and data" in refusal(other, resume=True)

    def test_without_any_run_begins_one(self, project: Project, tmp_path: Path) -> None:
        assert (begin(project, resume=True).path / "splits.json").is_file()
        assert begin(project, out=tmp_path / "mine", resume=True).path == tmp_path / "mine"

    def test_a_named_folder_is_the_one_gone_on_with(self, project: Project, tmp_path: Path) -> None:
        begin(project).close()
        begin(project, out=tmp_path / "mine").close()
        assert begin(project, out=tmp_path / "mine", resume=True).path == tmp_path / "mine"


def _try_to_resume(project: Project, answer: "multiprocessing.Queue[str]") -> None:
    try:
        begin(project, resume=True)
        answer.put("opened")
    except UserError as error:
        answer.put(str(error))


def test_a_run_is_held_by_one_process_at_a_time(project: Project) -> None:
    run = begin(project)
    context = multiprocessing.get_context("spawn")
    answer: multiprocessing.Queue[str] = context.Queue()
    for wanted in ("Another process is working in this run folder", "opened"):
        other = context.Process(target=_try_to_resume, args=(project, answer))
        other.start()
        other.join()
        assert wanted in answer.get(timeout=10)
        run.close()


def trained(folder: Path, *, finished: bool) -> Path:
    """What `tunewise train` leaves."""
    folder.mkdir(parents=True)
    for name in ("project.toml", "made-from.json"):
        (folder / name).write_text("{}")
    begun = '{"time": 1767225600.5, "event": "start"}\n{"time": 1767229200.5, "event": "resumed"}\n'
    (folder / "events.jsonl").write_text(begun + '{"time": 17672292')
    if finished:
        (folder / "training.json").write_text("{}")
    return folder


class TestList:
    def test_shows_every_run_the_newest_first_with_its_outcome(self, project: Project) -> None:
        first = begin(project, out=project.root / "runs" / "20260101-a")
        decided(first, "fine_tune")
        second = begin(project, out=project.root / "runs" / "20260102-b")
        (project.root / "runs" / "notes").mkdir()
        assert [(run.id, run.path, run.outcome) for run in list_runs(project.root)] == [
            ("20260102-b", second.path, None),
            ("20260101-a", first.path, "fine_tune"),
        ]

    def test_of_a_project_without_runs_is_empty(self, tmp_path: Path) -> None:
        assert list_runs(tmp_path) == []

    def test_a_run_at_work_is_running_and_since_when_is_told(self, project: Project) -> None:
        run = begin(project)
        run.event("start", resumed=False)
        (listed,) = list_runs(project.root)
        assert (listed.state, listed.command) == ("running", "decide")
        stamp = read_lines(run.file("events.jsonl"))[0]["time"]
        began = calendar.timegm(time.strptime(stamp, "%Y-%m-%dT%H:%M:%SZ"))
        assert listed.since == time.strftime("%Y-%m-%d %H:%M", time.localtime(began))
        run.close()
        assert [one.state for one in list_runs(project.root)] == ["interrupted"]
        decided(run)
        assert [one.state for one in list_runs(project.root)] == ["finished"]

    def test_trainings_are_listed_among_them_by_their_time(self, project: Project) -> None:
        runs = project.root / "runs"
        begin(project, out=runs / "20260102-000000-a").close()
        trained(runs / "train-20260101-000000-7", finished=True)
        stopped = trained(runs / "train-20260103-000000-8", finished=False)
        lock = FileLock(stopped / ".lock")
        lock.acquire()
        listed = list_runs(project.root)
        assert [(one.id, one.command, one.state) for one in listed] == [
            ("train-20260103-000000-8", "train", "running"),
            ("20260102-000000-a", "decide", "interrupted"),
            ("train-20260101-000000-7", "train", "finished"),
        ]
        assert listed[0].since == time.strftime("%Y-%m-%d %H:%M", time.localtime(1767229200))
        lock.release()
        assert list_runs(project.root)[0].state == "interrupted"

    def test_the_project_file_and_the_folder_of_runs_name_the_project_too(
        self, project: Project
    ) -> None:
        begin(project).close()
        wanted = list_runs(project.root)
        (project.root / "tunewise.toml").write_text("")
        assert list_runs(project.root / "tunewise.toml") == wanted
        assert list_runs(project.root / "runs") == wanted

    def test_the_command_takes_the_folder_alone(self, project: Project) -> None:
        run = begin(project, out=project.root / "runs" / "20260102-b")
        run.event("start", resumed=False)
        assert "20260102-b  running since 20" in tunewise("runs", project.root).out
        assert "20260102-b  running since 20" in tunewise("runs", "list", project.root).out
        refused = tunewise("report", run.path)
        assert refused.code == 1
        assert "still going on in another process" in refused.err
        assert "--resume" not in refused.err
        run.close()
        assert "20260102-b  interrupted" in tunewise("runs", project.root).out
        assert tunewise("runs", "lsit", project.root).code == 2
        listed = json.loads(tunewise("runs", project.root, "--json").out)
        assert {"id", "path", "outcome", "finding", "command", "state", "since"} == listed[0].keys()


class TestSeconds:
    def test_of_a_fit_are_those_of_all_sittings(self, project: Project) -> None:
        run = begin(project)
        with pytest.raises(KeyboardInterrupt), run.timed("few_shot"):
            raise KeyboardInterrupt
        with run.timed("few_shot"):
            pass
        with run.timed("prompt"):
            pass
        lines = [line for line in read_lines(run.file("fit-seconds.jsonl")) if "seconds" in line]
        assert [line["contender"] for line in lines] == ["few_shot", "few_shot", "prompt"]
        assert run.seconds() == {
            "few_shot": lines[0]["seconds"] + lines[1]["seconds"],
            "prompt": lines[2]["seconds"],
        }

    def test_of_a_sitting_that_was_killed_go_to_the_last_file_it_wrote(
        self, project: Project
    ) -> None:
        run = begin(project)
        began = {"contender": "few_shot", "began": 1767225600.0}
        run.file("fit-seconds.jsonl").write_text(json.dumps(began) + '\n{"cont')
        run.file("fit-answers.jsonl").write_text("")
        for file in run.path.iterdir():
            os.utime(file, (1767225690, 1767225690))
        run.close()
        again = begin(project, resume=True)
        assert again.seconds() == {"few_shot": 90.0}
        again.close()
        assert begin(project, resume=True).seconds() == {"few_shot": 90.0}


class TestRemoving:
    def test_deletes_the_folder(self, project: Project) -> None:
        run = begin(project)
        decided(run)
        remove_run(run.path)
        assert not run.path.exists()

    def test_what_is_no_run_is_refused_and_left_alone(self, tmp_path: Path) -> None:
        (tmp_path / "thesis.txt").write_text("years of work")
        with pytest.raises(UserError, match="is no run folder"):
            remove_run(tmp_path)
        with pytest.raises(UserError, match="is no run folder"):
            remove_run(tmp_path / "nowhere")
        assert (tmp_path / "thesis.txt").exists()

    def test_a_run_that_is_going_on_is_refused(self, project: Project) -> None:
        run = begin(project)
        with pytest.raises(UserError, match="another process is working in it"):
            remove_run(run.path)
        assert run.file("splits.json").exists()
        run.close()
        shutil.rmtree(run.path)
