import json
from dataclasses import replace
from pathlib import Path

import pytest

from small_models import adapter, user
from tunewise.models.catalog import LocalModel
from tunewise.models.engines.cached import JournalEngine
from tunewise.models.engines.protocol import Request, Sampling
from tunewise.models.engines.scripted import ScriptedEngine
from tunewise.types import Failure


def ask(text: str, **settings: object) -> Request:
    return replace(Request(messages=user(text)), **settings)


def upper(request: Request) -> str:
    return request.messages[-1].content.upper()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "answers.jsonl"


def test_the_same_call_twice_asks_the_engine_once(file: Path) -> None:
    engine = ScriptedEngine(upper)
    journal = JournalEngine(engine, file)
    first = journal.generate([ask("a"), ask("b")])
    assert journal.generate([ask("a"), ask("b")]) == first
    assert engine.requests == [ask("a"), ask("b")]


def test_a_new_journal_over_the_same_file_answers_what_the_old_one_did(file: Path) -> None:
    script = ScriptedEngine(upper, failures={"b": "too long"}, seconds=0.5)
    first = JournalEngine(script, file).generate([ask("a é\ud800"), ask("b")])
    engine = ScriptedEngine(upper)
    assert JournalEngine(engine, file).generate([ask("a é\ud800"), ask("b")]) == first
    assert first[1] == Failure(message="too long", seconds=0.5)
    assert engine.requests == []


def test_only_what_is_new_is_asked_in_one_batch_and_the_order_is_kept(file: Path) -> None:
    engine = ScriptedEngine(upper)
    journal = JournalEngine(engine, file)
    journal.generate([ask("b")])
    made = journal.generate([ask("a"), ask("b"), ask("c")])
    assert [one.text for one in made if not isinstance(one, Failure)] == ["A", "B", "C"]
    assert engine.requests == [ask("b"), ask("a"), ask("c")]


def test_whatever_decides_an_answer_makes_another_request(
    file: Path, small_llama: LocalModel, tmp_path: Path
) -> None:
    one = adapter(small_llama, tmp_path / "one")
    two = adapter(small_llama, tmp_path / "two", seed=1)
    different = [
        ask("a"),
        ask("a "),
        Request(messages=(*user("a"), *user("a"))),
        ask("a", adapter=one),
        ask("a", adapter=two),
        ask("a", sampling=Sampling(max_tokens=5)),
        ask("a", sampling=Sampling(temperature=1.0)),
        ask("a", sampling=Sampling(temperature=1.0, seed=1)),
    ]
    engine = ScriptedEngine(upper)
    journal = JournalEngine(engine, file)
    for request in different:
        journal.generate([request])
    assert engine.requests == different


def test_an_adapter_is_known_by_its_content_not_by_its_place(
    file: Path, small_llama: LocalModel, tmp_path: Path
) -> None:
    here = adapter(small_llama, tmp_path / "here")
    engine = ScriptedEngine(upper)
    JournalEngine(engine, file).generate([ask("a", adapter=here)])
    there = here.rename(tmp_path / "there")
    JournalEngine(engine, file).generate([ask("a", adapter=there)])
    assert len(engine.requests) == 1


def test_a_half_written_line_is_dropped_and_asked_again(file: Path) -> None:
    first = JournalEngine(ScriptedEngine(upper), file).generate([ask("a"), ask("b")])
    whole = file.read_bytes()
    file.write_bytes(whole[:-20])
    engine = ScriptedEngine(upper)
    journal = JournalEngine(engine, file)
    assert journal.generate([ask("a"), ask("b")]) == first
    assert engine.requests == [ask("b")]
    assert file.read_bytes() == whole


def test_serving_asks_every_time_and_remembers_nothing(file: Path) -> None:
    engine = ScriptedEngine(upper)
    journal = JournalEngine(engine, file)
    journal.generate([ask("a")])
    before = file.read_text()
    with journal.prefix_caching():
        journal.generate([ask("a")])
        journal.generate([ask("b")])
    assert engine.requests == [ask("a"), ask("a"), ask("b")]
    assert file.read_text() == before
    journal.generate([ask("a")])
    assert len(engine.requests) == 3


def test_no_message_is_kept_in_the_file_but_for_its_answer(file: Path) -> None:
    JournalEngine(ScriptedEngine(lambda request: "yes"), file).generate([ask("secret")])
    assert "secret" not in file.read_text()
    assert json.loads(file.read_text())["result"]["text"] == "yes"


def test_it_counts_tokens_as_its_engine_does_and_closes_it(file: Path) -> None:
    engine = ScriptedEngine(upper, context_tokens=99)
    journal = JournalEngine(engine, file)
    assert (journal.name, journal.context_tokens) == ("scripted", 99)
    assert journal.count_tokens(user("a b c")) == 3
    assert journal.count_answer_tokens("a b") == 2
    journal.close()
    with pytest.raises(RuntimeError):
        engine.generate([ask("a")])
