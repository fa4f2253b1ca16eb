"""What has to change as a whole is not broken off by a signal, and the signal is not lost."""

import signal
import threading
from collections.abc import Generator

import pytest

from tunewise.training.signals import put_off

NUMBERS = (signal.SIGINT, signal.SIGTERM)


@pytest.fixture
def answered() -> Generator[list[int]]:
    """Numbers of the signals that the program's own handlers were called with."""
    came: list[int] = []
    before = {n: signal.signal(n, lambda number, _: came.append(number)) for n in NUMBERS}
    yield came
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.parametrize("number", NUMBERS)
def test_a_signal_is_answered_after_the_change_and_not_within(
    number: signal.Signals, answered: list[int]
) -> None:
    with put_off():
        signal.raise_signal(number)
        assert answered == []
    assert answered == [number]


def test_of_several_the_first_is_answered(answered: list[int]) -> None:
    with put_off():
        for number in NUMBERS:
            signal.raise_signal(number)
    assert answered == [signal.SIGINT]


def test_without_a_signal_nothing_is_answered_and_the_handlers_are_those_of_before(
    answered: list[int],
) -> None:
    handlers = [signal.getsignal(number) for number in NUMBERS]
    with put_off():
        pass
    assert answered == []
    assert [signal.getsignal(number) for number in NUMBERS] == handlers


def test_a_handler_that_ends_the_program_ends_it_after_the_change(answered: list[int]) -> None:
    signal.signal(signal.SIGINT, signal.default_int_handler)
    changed: list[str] = []

    def change() -> None:
        with put_off():
            changed.append("weights")
            signal.raise_signal(signal.SIGINT)
            changed.append("cursor")

    with pytest.raises(KeyboardInterrupt):
        change()
    assert changed == ["weights", "cursor"]


def test_an_error_within_is_not_hidden(answered: list[int]) -> None:
    with pytest.raises(ZeroDivisionError), put_off():
        _ = 1 / 0
    assert answered == []


def test_in_another_thread_nothing_is_done(answered: list[int]) -> None:
    def work() -> None:
        with put_off():
            signal.raise_signal(signal.SIGTERM)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert answered == [signal.SIGTERM]
