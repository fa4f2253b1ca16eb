"""`tunewise rate --judge`: a finished run's finalists are judged, and the judge held to ratings."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from chat_endpoint import Endpoint, completion
from command_line import tunewise
from decide_projects import decide, labelled, opened, right_when, scripted, write_project
from example_run import write_run
from tunewise.errors import UserError
from tunewise.models.catalog import LocalModel
from tunewise.models.engines.protocol import Request
from tunewise.models.engines.scripted import ScriptedEngine
from tunewise.pipelines.judging import judge_run
from tunewise.progress import Silent
from tunewise.runs.judged import JudgeResult
from tunewise.runs.pairs import pairs_of
from tunewise.runs.read import read_run
from tunewise.types import Failure

ANSWERS = {"fine_tune": "On its way.", "few_shot": "Dear customer, it is on its way."}
JUDGE = '[judge]\nmodel = "wise"\nengine = "openai"\n[judge.criteria]\ntone = "kind"\n'


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A finished run whose project has a judge."""
    monkeypatch.setenv("OPENAI_API_KEY", "a key")
    project = tmp_path / "project"
    run = write_run(project / "runs" / "first", answers=ANSWERS, n_test=150)
    (project / "rows.jsonl").write_text("{}\n")
    write_judge(project, JUDGE)
    kept = (run / "project.toml").read_text()
    (run / "project.toml").write_text(f'root = "{project}"\n{kept}')
    return run


def write_judge(project: Path, judge: str) -> None:
    (project / "tunewise.toml").write_text(f'[data]\nexamples = "rows.jsonl"\n{judge}')


def longer(request: Request) -> str:
    """A judge that likes the long answer, wherever it stands."""
    return "A" if "Answer A:\nDear" in request.messages[-1].content else "B"


def judged(folder: Path, script: Callable[[Request], str | Failure] = longer) -> JudgeResult:
    return judge_run(folder, progress=Silent(), opener=opened(ScriptedEngine(script)))


def rate(folder: Path, said: Callable[[int], str], count: int = 100) -> None:
    """The person's word on the first pairs: `left` is what few_shot says."""
    pairs = pairs_of(read_run(folder))
    (folder / "ratings.jsonl").write_text(
        "".join(
            json.dumps(
                {
                    "example_id": pair.row.id,
                    "a": pairs.a,
                    "b": pairs.b,
                    "left": pairs.b,
                    "said": said(n),
                }
            )
            + "\n"
            for n, pair in enumerate(pairs.open[:count])
        )
    )


def moody(request: Request) -> str:
    """A judge that likes the long answer but for tracking and prices, where it likes the short."""
    asked = request.messages[-1].content
    short = any(word in asked for word in ("tracking??", "charged", "sizes", "invoice"))
    return "B" if ("Answer A:\nDear" in asked) == short else "A"


def test_before_anybody_rated_the_judge_is_refused_but_its_flips_are_known(folder: Path) -> None:
    found = judged(folder)
    assert (found.judged, found.flips.count, found.rated) == (150, 0, 0)
    assert found.refused == (
        "0 of the 100 pairs that are wanted are rated. Go on with `tunewise rate RUN`."
    )
    assert (found.person, found.agreement, found.corrected) == (None, None, None)


def test_a_judge_that_knows_what_the_person_wants_is_believed(folder: Path) -> None:
    def wanted(n: int) -> str:
        message = pairs_of(read_run(folder)).open[n].row.input
        short = any(word in message for word in ("tracking??", "charged", "sizes", "invoice"))
        return "right" if short else "left"

    texts = [wanted(n) for n in range(10)] * 10
    rate(folder, lambda n: texts[n])
    found = judged(folder, moody)
    assert found.refused is None
    assert found.agreement is not None
    assert found.agreement.same.count == 100
    assert found.corrected is not None
    assert found.corrected.value == pytest.approx(-0.2)
    assert json.loads((folder / "judge.json").read_text())["lambda"] == found.power
    assert read_run(folder).judge == found
    assert "Which answers are preferred" in (folder / "report.html").read_text()


def test_a_judge_that_always_likes_the_long_answer_is_refused(folder: Path) -> None:
    rate(folder, lambda n: ("left", "right")[n % 2])
    found = judged(folder)
    assert found.refused is not None
    assert "not shown to know better than chance" in found.refused


def test_what_was_judged_is_not_asked_again(folder: Path) -> None:
    judged(folder)
    engine = ScriptedEngine(longer)
    judge_run(
        folder,
        progress=Silent(),
        opener=opened(engine),
    )
    assert engine.requests == []
    assert len((folder / "judgements.jsonl").read_text().splitlines()) == 150


def test_after_a_stop_it_goes_on_with_the_next_group(folder: Path) -> None:
    asked = 0

    def dies(request: Request) -> str:
        nonlocal asked
        asked += 1
        if asked > 64:
            raise KeyboardInterrupt
        return longer(request)

    with pytest.raises(KeyboardInterrupt):
        judged(folder, dies)
    assert len((folder / "judgements.jsonl").read_text().splitlines()) == 32
    assert judged(folder).judged == 150
    assert len((folder / "judgements.jsonl").read_text().splitlines()) == 150


def test_other_criteria_are_another_judge_and_counted(folder: Path) -> None:
    judged(folder)
    write_judge(folder.parents[1], JUDGE + 'help = "solves it"\n')
    found = judged(folder)
    assert (found.tried, found.criteria) == (2, ("tone", "help"))


def test_pairs_that_fail_are_ties_and_asked_about_again(folder: Path) -> None:
    def sleepy(request: Request) -> str | Failure:
        if "tracking??" in request.messages[-1].content:
            return Failure(message="asleep.")
        return longer(request)

    found = judged(folder, sleepy)
    assert found.judged == 135
    assert found.notes[0].startswith("15 pairs could not be judged and count as ties: asleep. The")
    assert judged(folder).judged == 150


def test_a_judge_that_answers_nothing_is_an_error(folder: Path) -> None:
    with pytest.raises(UserError, match="The judge answered nothing: asleep"):
        judged(folder, lambda request: Failure(message="asleep"))


def test_the_base_under_another_name_never_judges_itself(folder: Path) -> None:
    (folder / "made-from.json").write_text('{"files": {"the base model": "abc"}}')
    model = LocalModel(
        name="wise",
        folder=folder,
        family="llama",
        context_tokens=2048,
        sha256="abc",
        gguf=None,
        no_gguf="a test's",
    )
    with pytest.raises(UserError, match="is the base model of this run under another name"):
        judge_run(
            folder,
            progress=Silent(),
            opener=opened(ScriptedEngine(longer), model),
            overrides=['judge.api_key_env="PATH"'],
        )


def test_without_a_judge_it_says_what_to_write(folder: Path) -> None:
    write_judge(folder.parents[1], "")
    with pytest.raises(UserError, match=r"judge: is missing. Write \[judge\]"):
        judged(folder)


def test_without_its_key_the_judge_is_not_asked(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")
    with pytest.raises(UserError, match="the environment variable OPENAI_API_KEY is not set"):
        judge_run(folder, progress=Silent(), opener=opened(ScriptedEngine(longer)))


def test_the_command_asks_an_endpoint_and_says_what_it_found(folder: Path) -> None:
    endpoint = Endpoint()

    def reply(asked: dict) -> tuple[int, dict[str, str], str]:
        text = asked["messages"][-1]["content"]
        return completion("A" if "Answer A:\nDear" in text else "B")

    endpoint.reply = reply
    rate(folder, lambda n: ("left", "right", "tie")[n % 3])
    done = tunewise("rate", folder, "--judge", "--set", f"judge.base_url={endpoint.url}")
    assert done.code == 0, done.err
    assert "The judge wise is refused" in done.out
    assert "names the same place twice in 0 of 150 pairs" in " ".join(done.out.split())
    again = tunewise("rate", folder, "--judge", "--json", "--set", f"judge.base_url={endpoint.url}")
    assert json.loads(again.out)["agreement"]["of"] == 100
    assert "The judge wise is refused" in " ".join(tunewise("report", folder).out.split())


def test_a_run_of_decide_can_be_rated_and_judged_and_a_judge_is_no_reason_for_another_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "a key")
    rows = [{**row, "customer": f"c{n // 2}"} for n, row in enumerate(labelled(100))]
    table = '[contenders]\nuse = ["constant", "zero_shot"]\n'
    project = write_project(tmp_path / "shop", rows, table)
    overrides = ('data.group="customer"',)
    opener = opened(scripted(right_when(lambda request: 0.9)))
    run = decide(project, *overrides, opener=opener)
    pairs = pairs_of(read_run(run))
    assert {pairs.a, pairs.b} == {"constant", "zero_shot"}
    assert pairs.units is not None
    assert len(set(pairs.units)) < len(pairs.units) == pairs.rows == read_run(run).n_test
    toml = project / "tunewise.toml"
    toml.write_text(toml.read_text() + JUDGE)
    assert decide(project, *overrides, resume=True, opener=opener) == run
    said = ScriptedEngine(lambda request: "A")
    found = judge_run(run, progress=Silent(), opener=opened(said))
    assert found.flips.count == found.judged == len(pairs.open)
