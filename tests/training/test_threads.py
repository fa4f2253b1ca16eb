"""How many threads a training takes, by what other processes take of the processors."""

import subprocess
import sys
import time
from collections.abc import Generator, Sequence
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
import torch

from small_trainings import RECIPE, rows_of
from tunewise.models import loading
from tunewise.models.catalog import LocalModel
from tunewise.training import threads
from tunewise.training.loop import Training
from tunewise.training.threads import Reading, Threads, fitting_threads, read


@pytest.fixture(autouse=True)
def two_threads() -> Generator[None]:
    """What the person set, whatever the tests run with."""
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(before)


class Machine:
    """Two processors, of which others take what is scripted, in looks a second apart."""

    def __init__(self, *others: float) -> None:
        self._others = iter(others)
        self._now = self._busy = self._own = 0.0
        self.readings = 0

    def read(self) -> Reading:
        if self.readings:
            self._busy += next(self._others, 0.0) + 0.9
            self._own += 0.9
        self.readings += 1
        return Reading(busy=self._busy, own=self._own, processors=2)

    def clock(self) -> float:
        return self._now

    def threads(self) -> Threads:
        return Threads(self.read, self.clock)

    def look(self, threads: Threads) -> int:
        self._now += 1.0
        threads.look()
        return torch.get_num_threads()


def looks(*others: float) -> list[int]:
    """Threads after each look."""
    machine = Machine(*others)
    with machine.threads() as threads:
        return [machine.look(threads) for _ in others]


def fitting(others: float, *, processors: int, ceiling: int, present: int) -> int:
    """With others that take so many processors."""
    return fitting_threads(
        others=10 * others, seconds=10, processors=processors, ceiling=ceiling, present=present
    )


@pytest.mark.parametrize(
    ("others", "processors", "present", "expected"),
    [
        (0.0, 2, 2, 2),
        (0.5, 2, 2, 1),  # one busy process that shares a processor with us
        (1.0, 2, 1, 1),
        (2.0, 2, 1, 1),  # never none
        (0.1, 2, 1, 2),
        (0.6, 8, 8, 7),
        (3.0, 8, 8, 5),
        (3.0, 8, 5, 5),
        (1.1, 8, 5, 7),
        (0.1, 8, 5, 8),
    ],
)
def test_threads_are_as_many_as_others_leave_processors_for(
    others: float, processors: int, present: int, expected: int
) -> None:
    found = fitting(others, processors=processors, ceiling=processors, present=present)
    assert found == expected


def test_what_the_person_set_is_never_exceeded() -> None:
    assert fitting(0.0, processors=16, ceiling=4, present=4) == 4
    assert fitting(3.0, processors=16, ceiling=4, present=2) == 4
    assert fitting(14.0, processors=16, ceiling=4, present=4) == 2


@pytest.mark.parametrize("present", [1, 2])
def test_others_that_take_a_little_change_nothing(present: int) -> None:
    assert fitting(0.3, processors=2, ceiling=2, present=present) == present


def test_a_thread_goes_at_the_first_busy_look_and_comes_back_after_two_quiet_ones() -> None:
    assert looks(0.0, 0.6, 1.0, 1.0, 0.0, 0.0, 0.0) == [2, 1, 1, 1, 1, 2, 2]


def test_work_that_comes_and_goes_does_not_bring_the_thread_back_between() -> None:
    assert looks(0.6, 0.0, 0.9, 0.0, 0.9, 0.0) == [1, 1, 1, 1, 1, 1]


def test_it_looks_once_a_second_at_most() -> None:
    machine = Machine(1.0, 1.0)
    with machine.threads() as chosen:
        for _ in range(100):
            chosen.look()
    assert machine.readings == 1


def test_what_was_set_holds_again_afterwards_and_what_was_found_the_next_time() -> None:
    machine = Machine(1.0)
    chosen = machine.threads()
    with chosen:
        assert machine.look(chosen) == 1
    assert torch.get_num_threads() == 2
    assert machine.look(chosen) == 2  # outside nothing is set
    with chosen:
        assert torch.get_num_threads() == 1


def test_one_thread_is_never_looked_at() -> None:
    torch.set_num_threads(1)
    machine = Machine(0.0, 0.0)
    with machine.threads() as chosen:
        assert machine.look(chosen) == 1
    assert machine.readings == 1


def test_beside_busy_processes_on_every_processor_one_thread_is_left() -> None:
    loop = [sys.executable, "-c", "while True: pass"]
    busy = [subprocess.Popen(loop) for _ in range(read().processors)]
    try:
        with Threads() as chosen:
            for _ in range(10):
                time.sleep(threads.LOOK_SECONDS)
                chosen.look()
                if torch.get_num_threads() == 1:
                    break
            assert torch.get_num_threads() == 1
    finally:
        for process in busy:
            process.kill()
            process.wait()


def test_work_of_this_process_is_not_that_of_others() -> None:
    before = read()
    until = time.process_time() + 0.5
    while time.process_time() < until:
        pass
    after = read()
    assert after.own - before.own >= 0.5
    assert after.busy - before.busy >= 0.4  # the system counts in hundredths


def test_a_system_without_nice_and_affinity_is_read_too(monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows and macOS."""
    times = [SimpleNamespace(user=2.0, system=0.5, idle=9.0)] * 3
    monkeypatch.setattr(psutil, "cpu_times", lambda *, percpu: times)
    monkeypatch.delattr(threads.os, "sched_getaffinity", raising=False)
    found = read()
    assert (found.busy, found.processors) == (7.5, 3)


def test_where_the_system_counts_nothing_threads_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    """Some containers hide what the machine does: others then seem to take less than nothing."""
    nothing = [SimpleNamespace(user=0.0, system=0.0, nice=0.0)] * 2
    monkeypatch.setattr(psutil, "cpu_times", lambda *, percpu: nothing)
    now = iter([0.0, *(float(n // 2) for n in range(2, 20))])
    with Threads(clock=lambda: next(now)) as chosen:
        for _ in range(3):
            chosen.look()
        assert torch.get_num_threads() == 2


class Counted(Threads):
    """Alternates between one and two threads, and remembers whether gradients were computed."""

    def __init__(self) -> None:
        super().__init__(Machine().read)
        self.seen: list[bool] = []

    def look(self) -> None:
        self.seen.append(torch.is_grad_enabled())
        torch.set_num_threads(1 + len(self.seen) % 2)


def test_a_model_is_followed_forward_and_backward(small_llama: LocalModel) -> None:
    model = loading.load_model(small_llama.folder)
    counted = Counted()
    counted.follow(model)
    blocks = model.config.num_hidden_layers
    loss = model(input_ids=torch.tensor([[3, 4, 5]])).logits.sum()
    assert len(counted.seen) == blocks
    loss.backward()
    assert len(counted.seen) == 2 * blocks


def losses(base: LocalModel, folder: Path, chosen: Threads) -> Sequence[float]:
    """Of the steps of a training."""
    found: list[float] = []
    training = Training(
        base,
        rows_of(base, times=4),
        replace(RECIPE, epochs=2),
        folder,
        watchers=[lambda event: found.append(event["loss"]) if "loss" in event else None],
        threads=chosen,
    )
    training.run_epoch()
    training.run_epoch()
    return found


def test_a_training_whose_threads_change_learns_the_same(
    small_llama: LocalModel, tmp_path: Path
) -> None:
    counted = Counted()
    changing = losses(small_llama, tmp_path / "changing", counted)
    steady = losses(small_llama, tmp_path / "steady", Machine().threads())
    assert len(counted.seen) > 20
    assert changing == pytest.approx(steady, rel=1e-5)
    assert torch.get_num_threads() == 2
