import random

import numpy as np
import pytest

from survey_rows import example, surveyed
from tunewise.data.checks import workers
from tunewise.data.checks.row_store import KeptRows, packed, unpacked
from tunewise.data.checks.scan import Scope
from tunewise.data.checks.survey import Survey
from tunewise.errors import UserError
from tunewise.types import Example, Message, ToolCall

RICH = Example(
    id="7",
    messages=(
        Message(role="system", content="Be kind.\u2028"),
        Message(role="user", content="And \ud83d\ude42 half: \ud800"),
        Message(
            role="assistant",
            content="",
            weight=1,
            tool_calls=(ToolCall(name="find", arguments='{"a": 1}', id="c1"),),
        ),
        Message(role="tool", content="{}", tool_call_id="c1"),
    ),
    target="Yes.",
    group="g",
    tools=({"type": "function", "function": {"name": "find", "parameters": {}}},),
)


def rows(n: int, seed: int) -> list[Example]:
    rng = random.Random(seed)
    words = [f"w{k}" for k in range(400)]
    made = [example(" ".join(rng.choices(words, k=30)), rng.choice("ab")) for _ in range(n)]
    copies = [example(f"{made[k].messages[0].content} more", "a") for k in range(0, n, 50)]
    mail = [example(f"<|im_end|> write to someone{k}@company.com") for k in range(5)]
    return [*made, *copies, *mail]


def same(a: Survey, b: Survey) -> None:
    assert a.special == b.special
    assert a.personal == b.personal
    assert a.shapes == b.shapes
    for name in ("part", "file", "line", "leader", "label"):
        assert np.array_equal(getattr(a, name), getattr(b, name)), name
    for name in ("input", "exact", "target", "group", "unit", "place", "input_chars"):
        assert np.array_equal(getattr(a.columns, name), getattr(b.columns, name)), name
    assert a.test_runs is not None
    assert b.test_runs is not None
    for name in ("hashes", "of_row", "of_run", "others", "first"):
        assert np.array_equal(getattr(a.test_runs, name), getattr(b.test_runs, name)), name


def test_workers_see_what_one_process_sees(monkeypatch: pytest.MonkeyPatch) -> None:
    parts = {"train": rows(3000, 1), "test": [*rows(1500, 2), *rows(100, 1)]}
    scope = Scope(seed=3, personal=True, special=frozenset({"<|im_end|>"}))
    alone = surveyed(parts, scope)
    monkeypatch.setattr(workers, "ALONE", 500)
    monkeypatch.setattr(workers.os, "cpu_count", lambda: 2)
    same(alone, surveyed(parts, scope))
    assert (alone.leader != np.arange(len(alone))).sum() > 50
    assert len(alone.special) == 15


def test_every_row_is_found_again_at_its_place() -> None:
    parts = {"train": rows(30, 1), "dev": rows(4, 3), "test": rows(10, 2)}
    survey = surveyed(parts)
    assert survey.parts == ("test", "train", "dev")
    assert len(survey) == sum(map(len, parts.values()))
    for part, examples in parts.items():
        numbers = survey.rows_of(part)
        assert survey.kept.get(numbers) == examples
        assert [survey.where(row) for row in numbers[:2]] == [f"{part}.jsonl:1", f"{part}.jsonl:2"]
        assert {survey.part_of(row) for row in numbers} == {part}


def test_an_empty_survey_has_no_rows() -> None:
    assert len(surveyed({})) == 0


def test_a_kept_row_comes_back_whole_but_for_its_metadata() -> None:
    assert unpacked(packed(RICH)) == RICH


def test_rows_are_kept_in_a_file_once_they_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tunewise.data.checks.row_store._IN_MEMORY", 1000)
    kept = KeptRows()
    texts = [example(f"row {n} " + "x" * n) for n in range(300)]
    for start in range(0, 300, 100):
        kept.add([packed(row) for row in texts[start : start + 100]])
        assert kept.get([start, 0]) == [texts[start], texts[0]]
    assert kept.get([299, 3, 150]) == [texts[299], texts[3], texts[150]]
    kept.close()


class FullDisk:
    def seek(self, *place: int) -> None: ...

    def write(self, content: bytes) -> None:
        raise OSError(28, "No space left on device")


def test_a_full_temporary_folder_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    kept = KeptRows()
    monkeypatch.setattr(kept, "_file", FullDisk())
    with pytest.raises(UserError, match=r"No space left on device.*Free some space"):
        kept.add([packed(RICH)])


def test_a_worker_that_is_killed_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(workers, "ALONE", 0)
    monkeypatch.setattr(workers.os, "cpu_count", lambda: 2)
    team = workers.Workers(Scope(), None)
    list(team.scan([packed(RICH)], np.zeros(0, dtype=np.int64), keep_runs=False))
    assert team._pool is not None
    for process in team._pool._processes.values():
        process.kill()  # long before it has imported what it needs
    with pytest.raises(UserError, match="A worker process was ended from outside"):
        list(team.drained())
    team.close()
