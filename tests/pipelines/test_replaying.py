"""What a training replays: general requests that the base answered, none of them of the suite."""

from tunewise.evaluation.suite.items import request_text, whole
from tunewise.models.catalog import LocalModel
from tunewise.models.engines.protocol import Request
from tunewise.models.engines.scripted import ScriptedEngine
from tunewise.models.loading import load_tokenizer
from tunewise.pipelines.replaying import replay_requests, replay_rows
from tunewise.types import Failure


def test_no_request_is_asked_by_the_suite_and_none_twice() -> None:
    requests = replay_requests()
    suite = {request_text(one) for one in whole().by_generation}
    assert len(set(requests)) == len(requests) == 100
    assert not suite & set(requests)


def test_a_row_is_a_request_with_what_the_base_said(small_llama: LocalModel) -> None:
    def script(request: Request) -> str | Failure:
        told = request.messages[-1].content
        return Failure(message="too long") if told == replay_requests()[0] else f"About: {told}"

    tokenizer = load_tokenizer(small_llama.folder)
    engine = ScriptedEngine(script)
    rows = replay_rows(engine, tokenizer)
    assert len(rows) == 99  # a request that failed teaches nothing
    (sequence,) = rows[0].sequences
    (answer,) = sequence.answers
    learnt = tokenizer.decode(list(sequence.token_ids[answer.start : answer.stop]))
    assert learnt.startswith(f"About: {replay_requests()[1]}")
    assert {request.adapter for request in engine.requests} == {None}
