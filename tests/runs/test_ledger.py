import json
import multiprocessing
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from tunewise.errors import UserError
from tunewise.project.load import load_project
from tunewise.project.settings import Project
from tunewise.runs.folder import RunFolder, list_runs, open_run, remove_run
from tunewise.runs.ledger import LEDGER, check_ledger, next_use, note_use
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


TEST = rows("c", "d")
SPLITS = Splits(train=rows("a"), dev=rows("b"), test=TEST, seed=0, fingerprint="f1")


def load(folder: Path) -> Project:
    return load_project(folder / "examples.jsonl")


@pytest.fixture
def project(tmp_path: Path) -> Project:
    folder = tmp_path / "shop"
    folder.mkdir()
    (folder / "examples.jsonl").write_text("{}\n")
    return load(folder)


def begin(project: Project, *, resume: bool = False, out: Path | None = None) -> RunFolder:
    return open_run(project, SPLITS, out=out, resume=resume)


def ledger(project: Project) -> Path:
    return project.root / "runs" / LEDGER


def look(run: RunFolder, test: tuple[Example, ...]) -> int:
    return note_use(run, test).look


def test_looks_grow_by_one_with_every_run_that_opens_the_same_rows(project: Project) -> None:
    assert [look(begin(project), TEST) for _ in range(3)] == [1, 2, 3]


def test_the_next_look_is_known_before_and_asking_writes_nothing(project: Project) -> None:
    assert next_use(project, TEST) == 1
    assert not ledger(project).exists()
    run = begin(project)
    look(run, TEST)
    before = ledger(project).read_bytes()
    assert next_use(project, TEST) == 2
    assert next_use(project, TEST, run) == 1
    assert next_use(project, rows("x")) == 1
    assert ledger(project).read_bytes() == before


def test_each_earlier_run_is_told_with_the_rows_of_today_that_it_had_opened(
    project: Project,
) -> None:
    for names in ("cd", "xyz", "c", "cdef"):
        note_use(begin(project), rows(*names))
    uses = note_use(begin(project), rows("c", "d", "e"))
    assert (uses.look, uses.earlier) == (4, (2, 1, 3))
    assert note_use(begin(project), rows("q")) == (1, ())


class TestResuming:
    def test_counts_once(self, project: Project) -> None:
        first = begin(project)
        assert look(first, TEST) == 1
        first.close()
        assert look(begin(project, resume=True), TEST) == 1
        assert look(begin(project), TEST) == 2

    def test_keeps_the_earlier_runs_of_its_first_sitting(
        self, project: Project, tmp_path: Path
    ) -> None:
        note_use(begin(project, out=tmp_path / "zero"), TEST[:1])
        first = begin(project, out=tmp_path / "first")
        assert note_use(first, TEST).earlier == (1,)
        first.close()
        note_use(begin(project), TEST)
        again = begin(project, out=tmp_path / "first", resume=True)
        assert note_use(again, TEST).earlier == (1,)

    def test_keeps_the_look_whatever_ran_in_between(self, project: Project, tmp_path: Path) -> None:
        first = begin(project, out=tmp_path / "first")
        assert look(first, TEST) == 1
        first.close()
        assert look(begin(project), TEST) == 2
        again = begin(project, out=tmp_path / "first", resume=True)
        assert look(again, TEST) == 1

    def test_does_not_depend_on_the_folder_that_one_stands_in(
        self, project: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        first = begin(project, out=Path("mine"))
        assert look(first, TEST) == 1
        first.close()
        monkeypatch.chdir(project.root)
        assert look(begin(project, out=Path("../mine"), resume=True), TEST) == 1
        assert look(begin(project), TEST) == 2


class TestAMovedProject:
    def test_keeps_its_count(self, project: Project, tmp_path: Path) -> None:
        look(begin(project), TEST)
        project.root.rename(tmp_path / "elsewhere")
        assert look(begin(load(tmp_path / "elsewhere")), TEST) == 2

    def test_can_be_resumed_and_that_counts_once(self, project: Project, tmp_path: Path) -> None:
        run = begin(project)
        look(run, TEST)
        run.close()
        project.root.rename(tmp_path / "elsewhere")
        moved = load(tmp_path / "elsewhere")
        again = begin(moved, resume=True)
        assert again.path == moved.root / "runs" / run.id
        assert look(again, TEST) == 1
        assert look(begin(moved), TEST) == 2

    def test_that_was_copied_goes_on_from_the_count_it_had(
        self, project: Project, tmp_path: Path
    ) -> None:
        look(begin(project), TEST)
        shutil.copytree(project.root, tmp_path / "copy")
        copy = load(tmp_path / "copy")
        assert look(begin(copy), TEST) == 2
        assert look(begin(project), TEST) == 2


class TestADeletedRun:
    def test_stays_counted(self, project: Project) -> None:
        run = begin(project)
        look(run, TEST)
        run.close()
        remove_run(run.path)
        assert list_runs(project.root) == []
        assert look(begin(project), TEST) == 2

    def test_is_another_than_the_one_begun_anew_in_its_folder(
        self, project: Project, tmp_path: Path
    ) -> None:
        first = begin(project, out=tmp_path / "mine")
        assert look(first, TEST) == 1
        first.close()
        remove_run(first.path)
        assert look(begin(project, out=tmp_path / "mine"), TEST) == 2


class TestRows:
    def test_the_most_used_one_decides(self, project: Project) -> None:
        for _ in range(2):
            look(begin(project), rows("c"))
        look(begin(project), rows("d"))
        assert look(begin(project), rows("c", "d", "e")) == 3
        assert look(begin(project), rows("e", "f")) == 2
        assert look(begin(project), rows("g")) == 1

    def test_that_stand_twice_in_test_are_used_once_by_a_run(self, project: Project) -> None:
        twice = (*rows("c"), replace(rows("c")[0], id="c-2"))
        assert [look(begin(project), twice) for _ in range(3)] == [1, 2, 3]

    def test_are_known_by_content_not_by_name(self, project: Project) -> None:
        look(begin(project), rows("c"))
        renamed = (replace(rows("c")[0], id="other", group="g", metadata={"x": 1}),)
        assert look(begin(project), renamed) == 2
        changed = (replace(rows("c")[0], target="something else"),)
        assert look(begin(project), changed) == 1

    def test_are_the_same_in_other_case_and_spacing(self, project: Project) -> None:
        look(begin(project), rows("c"))
        shouted = Message(role="user", content="  WHAT is\nc? ")
        again = (replace(rows("c")[0], messages=(shouted,), target="It is C "),)
        assert look(begin(project), again) == 2

    def test_are_the_same_under_another_system_prompt(self, project: Project) -> None:
        def prompted(system: str) -> tuple[Example, ...]:
            turn = Message(role="system", content=system)
            return (replace(TEST[0], messages=(turn, *TEST[0].messages)),)

        assert look(begin(project), prompted("Answer shortly.")) == 1
        assert look(begin(project), prompted("Answer like a pirate.")) == 2
        assert look(begin(project), TEST) == 3

    def test_leave_no_text_in_the_ledger(self, project: Project) -> None:
        look(begin(project), TEST)
        assert "it is c" not in ledger(project).read_text()


def _open_test(project: Project, looks: "multiprocessing.Queue[int]") -> None:
    looks.put(look(begin(project), TEST))


def test_runs_at_the_same_time_each_get_a_look_of_their_own(project: Project) -> None:
    context = multiprocessing.get_context("spawn")
    looks: multiprocessing.Queue[int] = context.Queue()
    others = [context.Process(target=_open_test, args=(project, looks)) for _ in range(3)]
    for other in others:
        other.start()
    for other in others:
        other.join()
    assert sorted(looks.get(timeout=10) for _ in others) == [1, 2, 3]
    assert next_use(project, TEST) == 4


class TestTheLedger:
    def test_survives_a_half_written_line(self, project: Project) -> None:
        for _ in range(2):
            look(begin(project), TEST)
        ledger(project).write_bytes(ledger(project).read_bytes()[:-5])
        assert next_use(project, TEST) == 2
        assert look(begin(project), TEST) == 2
        assert look(begin(project), TEST) == 3

    @pytest.mark.parametrize(
        "line", ["{broken\n", "[]\n", '"text"\n', '{"run": "x"}\n', '{"run": 1, "rows": []}\n']
    )
    def test_that_is_damaged_is_one_clear_error_before_the_run(
        self, project: Project, line: str
    ) -> None:
        run = begin(project)
        look(run, TEST)
        ledger(project).write_text(line + ledger(project).read_text())
        for asking in (
            lambda: check_ledger(project),
            lambda: next_use(project, TEST),
            lambda: look(run, TEST),
        ):
            with pytest.raises(UserError, match=r"test-uses\.jsonl: is damaged.*Restore it"):
                asking()

    def test_that_cannot_be_written_is_one_clear_error_before_the_run(
        self, project: Project, tmp_path: Path
    ) -> None:
        run = begin(project, out=tmp_path / "mine")
        (project.root / "runs").write_text("a file where the folder should be")
        for asking in (lambda: check_ledger(project), lambda: look(run, TEST)):
            with pytest.raises(UserError, match=r"cannot be written.*uses of test rows"):
                asking()

    def test_names_each_run_by_a_path_from_the_project(self, project: Project) -> None:
        run = begin(project)
        look(run, TEST)
        record = json.loads(ledger(project).read_text())
        assert record["path"] == f"runs/{run.id}"
