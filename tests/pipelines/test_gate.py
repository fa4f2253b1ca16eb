"""`tunewise eval` from the command line, with models behind a real HTTP server on this machine."""

import json
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest

from chat_endpoint import Endpoint
from command_line import Done, tunewise
from gate_projects import answering, down, gate_project, history_of, named_endpoints
from tunewise.statistics.adaptive_looks import look_error

MODELS = ("release", "twin", "better", "worse")
WRONG = {
    "release": lambda n: n % 5 == 0,
    "twin": lambda n: n % 5 == 0,
    "better": lambda n: n % 10 == 0,
    "worse": lambda n: n % 3 == 0,
}
"""Model -> the messages that it gets wrong: 20, 20, 10 and 34 of 100."""


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch) -> Iterator[Endpoint]:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-nobody")
    running = Endpoint()
    running.reply = answering(WRONG)
    yield running
    running.server.shutdown()
    running.server.server_close()


@pytest.fixture
def project(endpoint: Endpoint, tmp_path: Path) -> Path:
    return gate_project(tmp_path / "project", more=named_endpoints(endpoint.url, *MODELS))


def gate(project: Path, *words: str | Path) -> Done:
    return tunewise("eval", project, *words)


def against_release(project: Path, model: str, *words: str | Path) -> Done:
    return gate(project, "--model", model, "--baseline", "release", *words)


def test_a_model_as_good_as_the_release_passes(project: Path) -> None:
    done = against_release(project, "twin")
    assert done.code == 0
    assert "passed  twin" in done.out
    assert "shown to be less than 10 points worse than release" in done.out
    assert "accuracy on 100 rows of the gate set" in done.out


def test_a_worse_one_ends_with_exit_code_100(project: Path) -> None:
    done = against_release(project, "worse")
    assert done.code == 100
    assert "FAILED  worse" in done.out
    assert "not shown to be less than 10 points worse than release" in done.out


def test_no_quality_is_told_or_kept(project: Path, tmp_path: Path) -> None:
    done = against_release(
        project, "worse", "--junit", tmp_path / "g.xml", "--markdown", tmp_path / "g.md"
    )
    texts = [done.out, (tmp_path / "g.xml").read_text(), (tmp_path / "g.md").read_text()]
    texts.append((project / "gate-history.jsonl").read_text())
    for text in texts:
        assert not any(number in text for number in ("66.", "0.66", "80.0", "14.0"))


def test_several_models_are_as_many_looks(project: Path) -> None:
    done = gate(
        project, "--model", "twin", "--model", "worse", "--model", "better",
        "--baseline", "release", "--json",
    )  # fmt: skip
    assert done.code == 100
    found = json.loads(done.out)
    assert not found["passed"]
    assert [(one["model"], one["passed"]) for one in found["results"]] == [
        ("twin", True), ("worse", False), ("better", True),
    ]  # fmt: skip
    assert [one["look"] for one in found["results"]] == [1, 2, 3]
    told = [True, False]
    assert [one["error"] for one in found["results"]] == [look_error(told[:k]) for k in range(3)]
    assert found["demands"] == {"margin": 0.1, "floor": None}


def test_looks_add_up_over_calls_and_the_same_answers_are_none(project: Path) -> None:
    first = against_release(project, "worse", "--json")
    again = against_release(project, "worse", "--json")
    better = against_release(project, "better", "--json")
    results = [json.loads(done.out)["results"][0] for done in (first, again, better)]
    assert [one["look"] for one in results] == [1, 1, 2]
    assert [one["repeated"] for one in results] == [False, True, False]
    assert results[0]["error"] == results[1]["error"] > results[2]["error"]
    assert again.code == 100
    assert [one["model"] for one in history_of(project / "gate-history.jsonl")] == [
        "worse", "better",
    ]  # fmt: skip


def test_another_margin_is_another_look(project: Path) -> None:
    against_release(project, "twin")
    done = against_release(project, "twin", "--margin", "0.01", "--json")
    (one,) = json.loads(done.out)["results"]
    assert (one["look"], one["repeated"]) == (2, False)


def test_a_history_elsewhere_is_read_and_written(project: Path, tmp_path: Path) -> None:
    file = tmp_path / "looks.jsonl"
    against_release(project, "twin", "--history", file)
    assert len(history_of(file)) == 1
    assert not (project / "gate-history.jsonl").exists()


def test_where_there_is_no_release_a_floor_is_asked(project: Path) -> None:
    assert gate(project, "--model", "better", "--floor", "0.8").code == 0
    assert gate(project, "--model", "release", "--floor", "0.8").code == 100
    demanded = ("--set", "decision.minimum_quality=0.7")
    done = gate(project, "--model", "better", *demanded)
    assert done.code == 0
    assert "better than 70.0%" in done.out


def test_junit_and_markdown_say_the_same(project: Path, tmp_path: Path) -> None:
    junit, markdown = tmp_path / "gate.xml", tmp_path / "gate.md"
    done = gate(
        project, "--model", "twin", "--model", "worse", "--baseline", "release",
        "--junit", junit, "--markdown", markdown,
    )  # fmt: skip
    assert done.code == 100
    suite = ElementTree.parse(junit).getroot()[0]
    assert (suite.attrib["tests"], suite.attrib["failures"]) == ("2", "1")
    assert "| twin | ✅ passed |" in markdown.read_text("utf-8")
    assert "| worse | ❌ **failed** |" in markdown.read_text("utf-8")


def test_opening_shows_the_numbers_once_and_closes_the_set(project: Path) -> None:
    done = against_release(project, "worse", "--open")
    assert done.code == 100
    assert "quality 66.0%" in done.out
    assert "points against release" in done.out
    closed = against_release(project, "better")
    assert closed.code == 1
    assert "numbers of these rows were shown" in closed.err


def test_a_small_gate_set_says_that_it_tells_little(endpoint: Endpoint, tmp_path: Path) -> None:
    small = gate_project(tmp_path / "small", 40, named_endpoints(endpoint.url, *MODELS))
    assert "too small, or used up" in against_release(small, "twin").out


# What goes wrong is told, and is no look


def test_a_baseline_whose_answers_crash_would_lower_the_bar(
    endpoint: Endpoint, project: Path
) -> None:
    down(endpoint, "release")
    done = against_release(project, "twin")
    assert done.code == 1
    assert "no look" in done.err
    assert not (project / "gate-history.jsonl").exists()


def test_a_model_that_gives_no_answer_at_all_is_no_look(endpoint: Endpoint, project: Path) -> None:
    down(endpoint, "twin")
    done = against_release(project, "twin")
    assert done.code == 1
    assert "twin: no answer came back" in done.err
    assert "out of order" in done.err
    assert not (project / "gate-history.jsonl").exists()


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("--model", "nobody", "--floor", "0.5"), 1, "nobody: there is no such model."),
        (("--model", "twin"), 2, "nothing to hold the model against"),
        (("--model", "twin", "--margin", "0.1"), 2, "--margin: goes with --baseline"),
        (("--model", "twin", "--floor", "85"), 2, "--floor: is out of range"),
        (("--model", "twin", "--floor", "0.5", "--junit", "no/such/g.xml"), 1, "no folder"),
        (("--baseline", "release"), 2, "--model"),
    ],
)
def test_wrong_usage_is_told(project: Path, words: tuple[str, ...], code: int, said: str) -> None:
    done = gate(project, *words)
    assert done.code == code
    assert said in done.err
    assert not (project / "gate-history.jsonl").exists()


def test_a_project_without_a_gate_set_is_told_how_to_name_one(project: Path) -> None:
    toml = (project / "tunewise.toml").read_text().replace('gate = "gate.jsonl"\n', "")
    (project / "tunewise.toml").write_text(toml)
    done = gate(project, "--model", "twin", "--floor", "0.5")
    assert done.code == 1
    assert '[data] gate: is missing. Name a file of rows that nothing else holds: gate = "' in (
        done.err
    )


def test_ten_rows_are_no_gate_set(endpoint: Endpoint, tmp_path: Path) -> None:
    few = gate_project(tmp_path / "few", 10, named_endpoints(endpoint.url, *MODELS))
    done = against_release(few, "twin")
    assert done.code == 1
    assert "[data] gate: holds 10 rows (at least 20 are needed)" in done.err


def test_shared_rows_are_told_before_any_model_is_asked(endpoint: Endpoint, project: Path) -> None:
    shared = (project / "examples.jsonl").read_text().splitlines()[4]
    with (project / "gate.jsonl").open("a") as file:
        file.write(shared + "\n")
    done = against_release(project, "twin")
    assert done.code == 1
    assert "gate.jsonl:101: the same input is in" in done.err
    assert "examples.jsonl:5." in done.err
    assert endpoint.bodies == []
