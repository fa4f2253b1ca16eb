"""How a run goes, told from its files while they grow."""

import asyncio
import json
from contextlib import aclosing
from pathlib import Path

import pytest
from filelock import FileLock

from desk_pages import desk_client
from growing_run import Growing
from html_pages import HOSTILE
from tunewise.desk.course import Course
from tunewise.desk.followers import Followers
from tunewise.desk.places import id_of
from tunewise.desk.tail import Tail

SECONDS = {"fit": 100.0, "test": 40.0, "latency": 10.0}


@pytest.fixture
def growing(tmp_path: Path) -> Growing:
    return Growing(tmp_path / "shop" / "runs" / "first")


def looked(growing: Growing) -> Course:
    course = Course(growing.folder)
    course.look()
    return course


def test_a_tail_gives_each_whole_line_once(tmp_path: Path) -> None:
    file = tmp_path / "lines.jsonl"
    tail = Tail(file)
    assert tail.new() == []
    file.write_text('{"n": 1}\n{"n": 2')
    assert tail.new() == [{"n": 1}]
    assert tail.new() == []
    with file.open("a") as more:
        more.write('}\nno record\n[1]\n{"n": 3}\n')
    assert tail.new() == [{"n": 2}, {"n": 3}]


def test_the_race_stands_as_the_files_tell_it(growing: Growing) -> None:
    growing.event("skipped", contender="rag", reason="no documents given")
    growing.add("fit-seconds.jsonl", {"contender": "few_shot", "began": 1.0})
    course = looked(growing)
    standing = {name: racer.standing for name, racer in course.racers.items()}
    assert standing == {"few_shot": "fitting", "fine_tune": "waiting", "rag": "skipped"}
    growing.add("fit-seconds.jsonl", {"contender": "few_shot", "seconds": 12.0})
    growing.event("fitted", contender="few_shot", dev=0.75)
    growing.event(
        "fitted", contender="fine_tune", dev=0.1, rows=8, out="out after 8 of 20 dev rows"
    )
    assert course.look()
    assert (course.racers["few_shot"].standing, course.racers["few_shot"].dev) == ("in", 0.75)
    assert course.racers["few_shot"].seconds == 12.0
    assert course.racers["fine_tune"].standing == "out"
    assert course.racers["fine_tune"].reason == "after 8 of 20 dev rows"


def test_answers_to_the_test_rows_are_counted(growing: Growing) -> None:
    course = looked(growing)
    growing.add(
        "answers.jsonl", *({"contender": "few_shot", "example_id": str(n)} for n in range(3))
    )
    course.look()
    assert course.racers["few_shot"].tested == 3


def test_the_time_left_shrinks_with_what_is_done(growing: Growing) -> None:
    with FileLock(growing.folder / ".lock"):
        course = looked(growing)
        assert course.time_left() is None
        growing.event("forecast", contenders={"few_shot": SECONDS, "fine_tune": SECONDS}, parts={})
        course.look()
        course.racers["few_shot"].standing = course.racers["fine_tune"].standing = "waiting"
        whole = course.time_left()
        growing.event("fitted", contender="few_shot", dev=0.75)
        growing.add("fit-seconds.jsonl", {"contender": "few_shot", "seconds": 100.0})
        course.look()
        fitted = course.time_left()
        growing.event("out", contender="fine_tune", reason="too far behind")
        growing.add(
            "answers.jsonl", *({"contender": "few_shot", "example_id": str(n)} for n in range(4))
        )
        course.look()
        timed = course.time_left()
    assert whole is not None
    assert fitted is not None
    assert timed == pytest.approx((0.8 * 10.0, 1.4 * 10.0))
    assert whole[0] - fitted[0] == pytest.approx(0.8 * 100.0)


def test_curves_forget_the_steps_that_no_checkpoint_kept(growing: Growing) -> None:
    course = looked(growing)
    growing.add("training/fine_tune-seed0/events.jsonl", {"event": "start", "step": 0, "at": 0})
    for number in range(1, 6):
        growing.step(number)
    course.look()
    (curve,) = course.curves.values()
    assert curve.steps == [1, 2, 3, 4, 5]
    growing.add("training/fine_tune-seed0/events.jsonl", {"event": "resumed", "step": 3, "at": 3})
    growing.step(4, loss=2.5)
    course.look()
    assert (curve.steps, curve.loss[-1], curve.taken_back) == ([1, 2, 3, 4], 2.5, 1)


def test_a_run_is_running_while_its_lock_is_held(growing: Growing) -> None:
    with FileLock(growing.folder / ".lock"):
        assert looked(growing).state == "running"
    assert looked(growing).state == "interrupted"


def test_the_page_tells_it_all_without_scripts(growing: Growing) -> None:
    growing.event("fitted", contender="few_shot", dev=0.75)
    growing.event("skipped", contender=HOSTILE, reason=HOSTILE)
    client = desk_client(growing.folder.parents[1])
    with FileLock(growing.folder / ".lock"):
        text = client.get(f"/ui/runs/{id_of(growing.folder)}/course").text
    assert "At work" in text
    assert "75.0%" in text
    assert "Ctrl-C there ends it" in text
    assert "<img" not in text


def test_an_interrupted_run_can_be_gone_on_with(growing: Growing) -> None:
    text = (
        desk_client(growing.folder.parents[1]).get(f"/ui/runs/{id_of(growing.folder)}/course").text
    )
    assert "Nothing that was done is lost" in text
    assert f'action="/ui/runs/{id_of(growing.folder)}/resume"' in text


async def _pages(growing: Growing, pages: int) -> tuple[int, int, list[int]]:
    """Readers with so many pages open and with none, and what each page saw of a new fit."""
    followers = Followers(every=0.01)
    opened = [followers.follow(growing.folder) for _ in range(pages)]
    for page in opened:
        await anext(page)
    reading = followers.readers
    growing.event("fitted", contender="few_shot", dev=0.5)
    seen: list[int] = []
    for page in opened:
        async with aclosing(page):
            async for course in page:
                if course.racers["few_shot"].dev is not None:
                    seen.append(1)
                    break
    return reading, followers.readers, seen


def test_ten_pages_of_a_run_share_one_reader_that_ends_with_the_last(growing: Growing) -> None:
    with FileLock(growing.folder / ".lock"):
        reading, after, seen = asyncio.run(_pages(growing, 10))
    assert (reading, after, seen) == (1, 0, [1] * 10)


def test_the_stream_ends_with_the_run(growing: Growing) -> None:
    for number in range(1, 4):
        growing.step(number)
    (growing.folder / "verdict.json").write_text("{}")
    client = desk_client(growing.folder.parents[1])
    answer = client.get(f"/ui/runs/{id_of(growing.folder)}/events")
    assert answer.headers["content-type"].startswith("text/event-stream")
    events = dict(part.split("\n", 1) for part in answer.text.strip().split("\n\n"))
    points = json.loads(events["event: points"].removeprefix("data: "))
    assert [one["steps"] for one in points] == [[1, 2, 3]]
    assert "event: over" in events
