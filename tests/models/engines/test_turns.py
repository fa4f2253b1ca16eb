"""Several base models on one machine: one of them is open at a time."""

from contextlib import AbstractContextManager

import pytest

from tunewise.errors import UserError
from tunewise.models.engines.open import Opened
from tunewise.models.engines.protocol import Request
from tunewise.models.engines.scripted import ScriptedEngine
from tunewise.models.engines.turns import Turns
from tunewise.progress import Progress, Silent
from tunewise.project.settings import Model
from tunewise.types import Generation, Message

ASKED = Request(messages=(Message(role="user", content="Who?"),))


class Machine:
    """Opens models that say their name, and notes who is open."""

    def __init__(self, *missing: str) -> None:
        self.open: list[str] = []
        self.most = 0
        self.unloaded: list[str] = []
        self.serving: list[str] = []
        self._missing = missing

    def __call__(self, settings: Model, *, progress: Progress) -> AbstractContextManager[Opened]:
        (base,) = settings.bases
        if base in self._missing:
            raise UserError(f"model.base: there is no model '{base}'.")
        machine = self

        class Engine(ScriptedEngine):
            def __init__(self) -> None:
                super().__init__(lambda request: base, context_tokens=100 * len(base))
                machine.open.append(base)
                machine.most = max(machine.most, len(machine.open))

            def unload(self) -> None:
                machine.unloaded.append(base)

            def close(self) -> None:
                super().close()
                machine.open.remove(base)

        return Opened(engine=Engine(), model=None, why="given")


def turns(machine: Machine, *bases: str) -> Turns:
    return Turns({base: Model(base=base) for base in bases}, machine, Silent())


def said(opened: Opened) -> str:
    (found,) = opened.engine.generate([ASKED])
    assert isinstance(found, Generation)
    return found.text


def test_who_is_asked_is_opened_and_the_one_before_is_closed() -> None:
    machine = Machine()
    found = turns(machine, "one", "three").open_all()
    assert list(found) == ["one", "three"]
    assert [said(found[base]) for base in ("one", "three", "three", "one")] == [
        "one", "three", "three", "one",
    ]  # fmt: skip
    assert machine.most == 1
    assert machine.open == ["one"]


def test_what_is_known_of_a_model_needs_no_turn() -> None:
    machine = Machine()
    found = turns(machine, "one", "three").open_all()
    assert [found[base].engine.context_tokens for base in ("one", "three")] == [300, 500]
    assert machine.open == ["one"]


def test_all_that_cannot_be_opened_is_told_at_once_and_nothing_stays_open() -> None:
    machine = Machine("two", "four")
    with pytest.raises(UserError) as caught:
        turns(machine, "one", "two", "three", "four").open_all()
    assert str(caught.value).splitlines() == [
        "model.base: there is no model 'two'.",
        "model.base: there is no model 'four'.",
    ]
    assert machine.open == []


def test_before_a_training_the_memory_of_every_base_is_freed() -> None:
    machine = Machine()
    found = turns(machine, "one", "three").open_all()
    found["one"].engine.unload()
    assert (machine.unloaded, machine.open) == (["one"], ["one"])
    found["three"].engine.unload()
    assert machine.open == []
    assert said(found["three"]) == "three"


def test_at_the_end_nothing_is_open() -> None:
    machine = Machine()
    all_of_them = turns(machine, "one", "three")
    all_of_them.open_all()
    all_of_them.close()
    all_of_them.close()
    assert machine.open == []


def test_while_a_base_serves_it_stays_open() -> None:
    machine = Machine()
    found = turns(machine, "one", "three").open_all()
    with found["three"].engine.prefix_caching():
        assert machine.open == ["three"]
        assert said(found["three"]) == "three"
    assert found["three"].engine.count_answer_tokens("a b") == 2
