"""The worker of the engine's process, run in a thread of this one over the small model."""

import ctypes
import queue
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from chat_engines import CACHE_BYTES, cache_of
from small_models import adapter, user
from tunewise.models.catalog import LocalModel
from tunewise.serving.engine import openvino
from tunewise.serving.engine.openvino import OpenVinoBackend
from tunewise.serving.engine.steps import SteppedPipeline, SteppedRequest
from tunewise.serving.engine.wire import (
    Ask,
    Cancel,
    Choice,
    Ended,
    FromEngine,
    Pieces,
    Refused,
    Started,
    ToEngine,
    Warm,
    Warmed,
)
from tunewise.serving.engine.worker import Worker
from tunewise.serving.protocol import Weights

GREEDY = Choice(
    max_tokens=40, temperature=0, top_p=1, seed=0, stop=(), n=1, logprobs=False, grammar=None
)
LEFT_AFTER = 5
"""Steps after which nobody reads an answer of 150 tokens any more."""


class Line:
    """Both ends of a line, in one process."""

    def __init__(self) -> None:
        self.asked: queue.Queue[ToEngine | None] = queue.Queue()
        self.said: queue.Queue[FromEngine] = queue.Queue()
        self.over = False

    def receive(self, *, wait: bool) -> list[ToEngine]:
        found: list[ToEngine] = []
        try:
            while (message := self.asked.get(block=wait and not found)) is not None:
                found.append(message)
        except queue.Empty:
            pass
        if self.over:
            raise EOFError
        return found

    def send(self, message: FromEngine) -> None:
        self.said.put(message)

    def wake(self) -> None:
        self.asked.put(None)

    def until(self, kind: type, number: int) -> FromEngine:
        """What was said of that kind about a request."""
        while True:
            message = self.said.get(timeout=60)
            if isinstance(message, Refused) and message.number == number and kind is not Refused:
                raise AssertionError(message.message)
            if isinstance(message, kind) and message.number == number:  # type: ignore[attr-defined]
                return message


@pytest.fixture
def touched(monkeypatch: pytest.MonkeyPatch) -> dict[str, set[int]]:
    """What is done to pipelines -> the threads that did it; and those that prepare."""
    seen: dict[str, set[int]] = {}

    def note(what: str) -> None:
        seen.setdefault(what, set()).add(threading.get_ident())

    class NotedHandle(SteppedRequest):
        def read(self) -> Any:
            note("read")
            return super().read()

        def cancel(self) -> None:
            note("cancel")
            super().cancel()

    class Noted(SteppedPipeline):
        def __init__(self, *given: Any) -> None:
            note("open")
            super().__init__(*given)

        def add(
            self, prompt: Sequence[int], limit: int, choice: Choice, seed: int
        ) -> SteppedRequest:
            note("add")
            return NotedHandle(super().add(prompt, limit, choice, seed)._handle)

        def step(self) -> None:
            note("step")
            super().step()

        def __del__(self) -> None:
            note("close")

    merge = openvino.merge_into_gguf

    def noted_merge(*given: Any) -> None:
        note("merge")
        merge(*given)

    monkeypatch.setattr(openvino, "SteppedPipeline", Noted)
    monkeypatch.setattr(openvino, "merge_into_gguf", noted_merge)
    return seen


@pytest.fixture
def line(
    small_llama: LocalModel,
    tmp_path: Path,
    touched: dict[str, set[int]],
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Line]:
    """To a worker that runs, with room for two pipelines."""
    monkeypatch.setenv("TUNEWISE_CACHE", str(cache_of(small_llama)))
    found = Line()

    def run() -> None:
        working = Worker(found, OpenVinoBackend(), tmp_path, max_loaded=2, cache_bytes=CACHE_BYTES)
        touched["worker"] = {threading.get_ident()}
        with pytest.raises(EOFError):
            working.run()

    thread = threading.Thread(target=run)
    thread.start()
    yield found
    found.over = True
    found.wake()
    thread.join(60)
    assert not thread.is_alive()


def test_one_thread_touches_pipelines_and_another_prepares_them(
    line: Line, small_llama: LocalModel, tmp_path: Path, touched: dict[str, set[int]]
) -> None:
    base = Weights(base=small_llama.name)
    tuned = [
        Weights(base=small_llama.name, adapter=adapter(small_llama, tmp_path / str(n), seed=n))
        for n in range(2)
    ]
    line.asked.put(Warm(number=1, weights=base))
    line.until(Warmed, 1)
    for number, weights in enumerate((base, *tuned), 2):  # the third needs the first one's place
        ask = Ask(
            number=number, weights=weights, messages=user("zip broke"), tools="[]", choice=GREEDY
        )
        line.asked.put(ask)
    for number in (2, 3, 4):
        line.until(Ended, number)
    ask = Ask(number=5, weights=tuned[1], messages=user("ok"), tools="[]", choice=GREEDY)
    line.asked.put(ask)
    line.asked.put(Cancel(number=5))
    line.until(Ended, 5)
    preparing = touched.pop("merge")
    assert set(touched) >= {"open", "add", "step", "read", "close", "worker"}
    assert set().union(*touched.values()) == touched["worker"]
    assert len(preparing) == 1
    assert not preparing & touched["worker"]


def test_what_nobody_reads_is_generated_for_no_more_than_a_step(
    line: Line, small_llama: LocalModel, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Counted, and not timed: a step is a token of every answer, or a part of a prompt."""
    base = Weights(base=small_llama.name)
    line.asked.put(Warm(number=1, weights=base))
    line.until(Warmed, 1)
    steps: list[int] = []
    one_step = openvino.SteppedPipeline.step

    def counted(pipeline: SteppedPipeline) -> None:
        steps.append(len(steps) + 1)
        if steps[-1] == LEFT_AFTER:  # while the engine works on this very token
            line.asked.put(Cancel(number=2))
        one_step(pipeline)

    monkeypatch.setattr(openvino.SteppedPipeline, "step", counted)
    long = replace(GREEDY, max_tokens=150)
    line.asked.put(Ask(number=2, weights=base, messages=user("zip"), tools="[]", choice=long))
    told: list[FromEngine] = []
    while not isinstance(message := line.said.get(timeout=60), Ended):
        told.append(message)
    given = [one for message in told if isinstance(message, Pieces) for one in message.pieces]
    assert 0 < len(given) <= LEFT_AFTER
    assert len(steps) == LEFT_AFTER + 1  # the last one frees its room


def test_an_adapter_of_another_base_is_refused_and_the_others_go_on(
    line: Line, small_llama: LocalModel, small_qwen: LocalModel, tmp_path: Path
) -> None:
    other = Weights(base=small_llama.name, adapter=adapter(small_qwen, tmp_path / "other"))
    base = Weights(base=small_llama.name)
    for number, weights in enumerate((other, base), 1):
        ask = Ask(number=number, weights=weights, messages=user("ok"), tools="[]", choice=GREEDY)
        line.asked.put(ask)
    refused = line.until(Refused, 1)
    assert isinstance(refused, Refused)
    assert "trained for another base" in refused.message
    assert refused.param == "model"
    line.until(Ended, 2)


def test_an_adapter_is_prepared_by_turns_with_steps_that_hold_pythons_lock(
    line: Line, small_llama: LocalModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Counted, and not timed: without turns each of its 100 turns would wait for a step's end."""
    held, merge, one_step = ctypes.PyDLL(None), openvino.merge_into_gguf, SteppedPipeline.step
    steps: list[bool] = []
    merging = threading.Event()

    def held_step(pipeline: SteppedPipeline) -> None:
        steps.append(merging.is_set())
        held.usleep(20_000)  # PyDLL keeps the lock
        one_step(pipeline)

    def many_turns(*given: Any) -> None:
        merging.set()
        for _ in range(100):
            time.sleep(0)
        merging.clear()
        merge(*given)

    base = Weights(base=small_llama.name)
    line.asked.put(Warm(number=1, weights=base))
    line.until(Warmed, 1)
    monkeypatch.setattr(openvino.SteppedPipeline, "step", held_step)
    monkeypatch.setattr(openvino, "merge_into_gguf", many_turns)
    long = replace(GREEDY, max_tokens=150)
    tuned = Weights(base=small_llama.name, adapter=adapter(small_llama, tmp_path / "tuned"))
    line.asked.put(Ask(number=2, weights=base, messages=user("zip"), tools="[]", choice=long))
    line.until(Started, 2)
    line.asked.put(Warm(number=3, weights=tuned))
    ends: list[FromEngine] = []
    while len(ends) < 2:
        message = line.said.get(timeout=60)
        ends += [message] if isinstance(message, Warmed | Ended) else []
    assert [type(one) for one in ends] == [Warmed, Ended]
    assert sum(steps) < 20
