"""`decide` measures what the challenger forgot before test is opened, or says why it does not."""

from pathlib import Path

import pytest

from decide_projects import (
    contract_faults,
    decide,
    labelled,
    opened,
    read_json,
    read_jsonl,
    right_when,
    scripted,
    tuned_well,
    write_project,
)
from tunewise.errors import UserError
from tunewise.models.catalog import LocalModel
from tunewise.models.engines.protocol import Request
from tunewise.models.engines.scripted import ScriptedEngine
from tunewise.types import Failure

MORE = (
    '[contenders]\nuse = ["constant", "zero_shot", "fine_tune"]\n'
    "[training]\nepochs = 1\nseeds = 1\n"
)
ONLY_RETENTION = 'decision.measure=["retention"]'


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TUNEWISE_CACHE", str(tmp_path / "cache"))


def model_that(forgets: bool) -> ScriptedEngine:
    """Knows the project's answers once it is tuned; asked of anything else it says yes."""
    of_the_project = right_when(tuned_well)

    def script(request: Request) -> str | Failure:
        if "message " in request.messages[-1].content:
            return of_the_project(request)
        return "refund" if request.adapter and forgets else "Yes."

    engine = scripted(script)
    engine.name = "transformers"
    return engine


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return write_project(tmp_path / "project", labelled(150), MORE)


def test_the_challengers_retention_is_measured_before_test_is_opened(
    project: Path, small_llama: LocalModel
) -> None:
    engine = model_that(forgets=True)
    run = decide(project, ONLY_RETENTION, opener=opened(engine, small_llama))
    verdict = read_json(run / "verdict.json")
    assert contract_faults(verdict) == []
    found = verdict["retention"]["fine_tune"]
    assert found["suite"] == "screening"
    assert found["items"] + found["left_out"] == 643
    assert found["same_answers"]["value"] == 0.0
    assert found["lost"] > 0
    assert {one["name"]: one["met"] for one in verdict["constraints"]}["retention"] in (True, False)
    events = [event["event"] for event in read_jsonl(run / "events.jsonl")]
    assert events.index("retention measured") < events.index("test opened")
    assert not any("was not measured" in note and "ability" in note for note in verdict["notes"])
    assert 'id="forgotten"' in (run / "report.html").read_text("utf-8")
    # What the base was asked is in the cache: another run asks the trained model alone.
    again = model_that(forgets=False)
    decide(project, ONLY_RETENTION, out=project / "again", opener=opened(again, small_llama))
    for asked, of_the_base in ((engine.requests, 200), (again.requests, 0)):
        general = [r for r in asked if "message " not in r.messages[-1].content]
        assert sum(r.adapter is None for r in general) == of_the_base
        assert sum(r.adapter is not None for r in general) == 200


@pytest.mark.parametrize(
    ("override", "why"),
    [
        ("decision.measure=[]", "it was not asked for"),
        ('contenders.use=["constant", "zero_shot"]', "nothing was trained"),
    ],
)
def test_where_it_is_not_measured_the_run_says_why(
    project: Path, small_llama: LocalModel, override: str, why: str
) -> None:
    engine = model_that(forgets=False)
    overrides = [override] if "measure" in override else [override, ONLY_RETENTION]
    verdict = read_json(
        decide(project, *overrides, opener=opened(engine, small_llama)) / "verdict.json"
    )
    assert verdict["retention"] == {}
    assert any(note.endswith(f"was not measured: {why}.") for note in verdict["notes"])


def test_own_questions_are_asked_and_their_faults_told_before_any_work(
    project: Path, small_llama: LocalModel
) -> None:
    own = project / "mine.jsonl"
    own.write_text('{"question": "Which?", "choices": ["a"], "answer": 0}\n', "utf-8")
    engine = model_that(forgets=False)
    with pytest.raises(UserError, match=r"mine\.jsonl:1: needs a question"):
        decide(project, f'data.general="{own}"', opener=opened(engine, small_llama))
    assert engine.requests == []
    own.write_text('{"question": "Which?", "choices": ["a", "b"], "answer": "b"}\n', "utf-8")
    run = decide(
        project, f'data.general="{own}"', ONLY_RETENTION, opener=opened(engine, small_llama)
    )
    abilities = read_json(run / "verdict.json")["retention"]["fine_tune"]["abilities"]
    assert {one["ability"]: one["items"] for one in abilities}["your own"] == 1
