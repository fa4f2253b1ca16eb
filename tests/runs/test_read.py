import json
from pathlib import Path

import pytest

from example_run import write_run
from tunewise.errors import UserError
from tunewise.runs.read import read_run


def test_a_finished_run_reads_back_with_names_and_types(tmp_path: Path) -> None:
    run = read_run(write_run(tmp_path))
    assert run.outcome == "fine_tune"
    assert run.rule == "worth_more"
    assert run.challenger is not None
    assert run.challenger.fit.tokens["trained"] == 96_400
    assert run.challenger.latency is not None
    assert run.challenger.latency.first_token_p50 == 58.0
    assert [c.name for c in run.skipped] == ["rag", "fine_tune_rag"]
    assert run.decision.maximum_latency_ms == 800
    assert len(run.tests) == 120
    assert len(run.answers) == 120 * 9  # seven contenders, one of them with three seeds


def test_the_bare_contracted_verdict_is_enough(tmp_path: Path) -> None:
    verdict = {
        "schema": 1,
        "outcome": "few_shot",
        "recommended": "few_shot",
        "reason": "Enough.",
        "metric": "accuracy",
        "n_test": 120,
        "contenders": [
            {"name": "few_shot", "quality": {"value": 0.9, "low": 0.8, "high": 0.95}},
            {"name": "rag", "skipped": "no documents given"},
        ],
        "comparisons": [],
    }
    (tmp_path / "verdict.json").write_text(json.dumps(verdict))
    run = read_run(tmp_path)
    assert run.rule == "not_worth_it"
    assert run.primary is None
    assert run.answers == ()


@pytest.mark.parametrize(
    ("rule", "finding"),
    [
        ("worth_more", "fine_tune"),
        ("cheaper", "fine_tune"),
        ("not_worth_it", "do_not"),
        ("cannot_tell", "cannot_tell"),
        ("nothing_learned", "nothing_learned"),
    ],
)
def test_what_was_found_before_there_were_findings_follows_from_the_rule(
    tmp_path: Path, rule: str, finding: str
) -> None:
    write_run(tmp_path)
    verdict = json.loads((tmp_path / "verdict.json").read_text())
    del verdict["finding"], verdict["untrained"]
    (tmp_path / "verdict.json").write_text(json.dumps({**verdict, "rule": rule}))
    run = read_run(tmp_path)
    assert run.finding == finding
    assert run.rival is not None
    assert run.rival.name == "few_shot"


def test_a_quality_without_an_interval_says_that_it_was_not_computed(tmp_path: Path) -> None:
    contenders = [{"name": "prompt", "quality": {"value": 0.5, "low": None, "high": None}}]
    run = read_run(write_run(tmp_path, n_test=5, changes={"contenders": contenders}))
    quality = run.measured[0].quality
    assert quality is not None
    assert not quality.computed
    assert (quality.lower, quality.upper) == (0.0, 1.0)


def test_a_comparison_can_be_read_from_both_sides(tmp_path: Path) -> None:
    run = read_run(write_run(tmp_path, n_test=40))
    there, back = run.difference("prompt", "few_shot"), run.difference("few_shot", "prompt")
    assert there is not None
    assert back is not None
    assert (back.delta, back.low, back.high) == (-there.delta, -there.high, -there.low)


def test_a_folder_without_a_verdict_says_how_to_finish_the_run(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"no verdict\.json.*--resume"):
        read_run(tmp_path)


def test_a_verdict_cut_short_is_one_message_not_a_traceback(tmp_path: Path) -> None:
    write_run(tmp_path, n_test=5)
    text = (tmp_path / "verdict.json").read_text()
    (tmp_path / "verdict.json").write_text(text[: len(text) // 2])
    with pytest.raises(UserError, match=r"verdict\.json cannot be read"):
        read_run(tmp_path)


def test_a_newer_schema_is_refused(tmp_path: Path) -> None:
    write_run(tmp_path, n_test=5, changes={"schema": 2})
    with pytest.raises(UserError, match="schema 2"):
        read_run(tmp_path)


def test_all_faults_come_together_with_file_and_line(tmp_path: Path) -> None:
    write_run(tmp_path, n_test=5, changes={"contenders": [{"name": "rag", "quality": {}}]})
    with (tmp_path / "answers.jsonl").open("a") as file:
        file.write(
            '{"example_id": "a1", "contender": "rag", "seed": 0, "text": "x", "error": "y"}\n{"half'
        )
    with pytest.raises(UserError) as caught:
        read_run(tmp_path)
    message = str(caught.value)
    assert "answers.jsonl:46: exactly one of `text` and `error`" in message
    assert "answers.jsonl:47: not JSON" in message
    assert "verdict.json: contenders[0]: quality: `value` must be given" in message


def test_terminal_escapes_and_broken_unicode_become_visible(tmp_path: Path) -> None:
    changes = {"reason": "\x1b[2J\x9b gone \ud800.", "notes": ["a\x07b\nc"]}
    run = read_run(write_run(tmp_path, n_test=5, changes=changes))
    assert run.reason == "␛[2J\ufffd gone \ufffd."
    assert run.notes == ("a␇b\nc",)
