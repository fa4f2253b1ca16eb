"""An endpoint that proposes wordings to `prompt`: a whole run, on a real server on this machine."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from chat_endpoint import Endpoint, completion
from decide_projects import (
    by_name,
    contract_faults,
    decide,
    labelled,
    opened,
    read_json,
    right_when,
    scripted,
    stopping,
    write_project,
)
from tunewise.models.engines.protocol import Request

pytest.importorskip("gepa")

TOML = """
[contenders]
use = ["constant", "zero_shot", "prompt"]
[contenders.coach]
type = "openai"
model = "large"
base_url = "{url}"
api_key_env = "COACH_KEY"
optimises = true
[decision]
measure = []
"""


@pytest.fixture
def coach(monkeypatch: pytest.MonkeyPatch) -> Iterator[Endpoint]:
    monkeypatch.setenv("COACH_KEY", "nobody-may-see-this")
    found = Endpoint()
    found.reply = lambda asked: completion(
        "```\nIt is magic.\n```",
        usage={"prompt_tokens": 300, "completion_tokens": 5, "total_tokens": 305},
    )
    yield found
    found.server.shutdown()
    found.server.server_close()


def magic(request: Request) -> float:
    said = " ".join(turn.content for turn in request.messages)
    return 0.95 if "magic" in said else 0.4


def rewordings(coach: Endpoint) -> list[dict]:
    """Requests that ask for an instruction; another one tries whether the endpoint is there."""
    return [one for one in coach.bodies if "instruction" in one["messages"][-1]["content"]]


def test_the_proposed_wording_is_chosen_and_its_endpoint_is_no_contender(
    tmp_path: Path, coach: Endpoint
) -> None:
    project = write_project(tmp_path, labelled(150), TOML.format(url=coach.url))
    run = decide(project, opener=opened(scripted(right_when(magic))))
    verdict = read_json(run / "verdict.json")
    assert contract_faults(verdict) == []
    found = by_name(verdict)
    assert set(found) == {"constant", "zero_shot", "prompt"}
    assert found["prompt"]["fit"]["settings"]["system"] == "It is magic."
    assert found["prompt"]["quality"]["value"] > found["zero_shot"]["quality"]["value"]
    assert rewordings(coach)
    assert "nobody-may-see-this" not in (run / "project.toml").read_text()


def test_a_run_that_was_stopped_pays_for_no_proposal_twice(tmp_path: Path, coach: Endpoint) -> None:
    project = write_project(tmp_path, labelled(150), TOML.format(url=coach.url))
    engine = scripted(right_when(magic))
    with pytest.raises(KeyboardInterrupt), stopping(engine, after=150):
        decide(project, out=project / "run", opener=opened(engine))
    before = len(rewordings(coach))
    assert before > 0
    run = decide(project, out=project / "run", resume=True,
                 opener=opened(scripted(right_when(magic))))  # fmt: skip
    prompts = [one["messages"][-1]["content"] for one in rewordings(coach)]
    assert len(set(zip(prompts, [one.get("seed") for one in rewordings(coach)], strict=True))) == (
        len(prompts)
    )
    assert by_name(read_json(run / "verdict.json"))["prompt"]["fit"]["settings"]["system"] == (
        "It is magic."
    )


def test_where_prompt_takes_no_part_the_optimiser_is_not_asked(
    tmp_path: Path, coach: Endpoint
) -> None:
    project = write_project(tmp_path, labelled(90), TOML.format(url=coach.url))
    decide(project, 'contenders.use=["constant", "zero_shot"]',
           opener=opened(scripted(right_when(magic))))  # fmt: skip
    assert coach.bodies == []
