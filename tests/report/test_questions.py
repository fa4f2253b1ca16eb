"""The four questions to ask before a training."""

from collections.abc import Callable

import pytest

from tunewise.report.questions import when_to_fine_tune
from tunewise.runs.schema import Run

MakeRun = Callable[..., Run]
REPLIES = {
    "fine_tune": ["yes", "no", "yes", "yes"],
    "cheaper": ["yes", "yes", "yes", "no"],
    "better_by_less": ["yes", "partly", "yes", "partly"],
    "surely_by_less": ["yes", "partly", "yes", "partly"],
    "practically_the_same": ["yes", "yes", "yes", "no"],
    "do_not": ["yes", "yes", "yes", "no"],
    "stay": ["yes", "yes", "yes", "cannot tell"],
    "cannot_tell": ["yes", "cannot tell", "yes", "cannot tell"],
    "nothing_learned": ["no", "cannot tell", "yes", "no"],
}


@pytest.mark.parametrize("ends", REPLIES)
def test_each_question_is_answered_as_the_finding_goes(make_run: MakeRun, ends: str) -> None:
    assert [one.reply for one in when_to_fine_tune(make_run(ends=ends))] == REPLIES[ends]


def test_the_four_questions_are_answered_for_a_training_that_pays(make_run: MakeRun) -> None:
    findings = when_to_fine_tune(make_run())
    assert {f.side for f in findings} == {"for"}
    assert "no documents given" in findings[1].text
    assert "fine_tune takes 58 tokens a request, few_shot 543, 9.4 times fewer" in findings[2].text
    assert "in money was not measured in this run" in findings[2].text
    assert "on average of its 3 seeds, +12.2 points (+6.6 to +17.8), 92%" in findings[3].text
    assert "written down before the first test example was answered" in findings[3].text


def test_a_slower_answer_with_fewer_tokens_argues_only_partly_for_training(
    make_run: MakeRun,
) -> None:
    contenders = [
        {
            "name": name,
            "trained": name == "fine_tune",
            "quality": {"value": 0.8, "low": 0.7, "high": 0.9},
            "tokens": {"prompt": tokens, "completion": 10},
            "latency_ms": {"p50": latency},
        }
        for name, tokens, latency in (("fine_tune", 46, 900), ("few_shot", 531, 400))
    ]
    run = make_run(changes={"contenders": contenders})
    assert when_to_fine_tune(run)[2].reply == "partly"


def test_a_run_in_which_nothing_was_learned_says_no_to_the_first_question(
    make_run: MakeRun,
) -> None:
    first = when_to_fine_tune(make_run(ends="nothing_learned"))[0]
    assert "Held-out examples do not confirm" in first.text


def test_without_a_trained_contender_nothing_is_answered(make_run: MakeRun) -> None:
    run = make_run(
        ends="cannot_tell",
        changes={
            "plan": {"incumbent": "few_shot", "challenger": None},
            "contenders": [{"name": "fine_tune", "skipped": "not in [contenders] use"}],
        },
    )
    assert {f.reply for f in when_to_fine_tune(run)} == {"not measured"}
