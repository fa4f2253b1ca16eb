from collections.abc import Callable

import pytest

from tunewise.report.sentences import headline, lead, what_was_measured
from tunewise.runs.schema import Run

MakeRun = Callable[..., Run]


def test_the_headline_is_the_first_sentence_and_the_lead_is_the_rest(make_run: MakeRun) -> None:
    run = make_run(changes={"reason": "Fine-tune. It answers 91.5% right. Each seed is ahead."})
    assert headline(run) == "Fine-tune."
    assert lead(run) == "It answers 91.5% right. Each seed is ahead."


HEADLINES = {
    "fine_tune": "Fine-tune.",
    "cheaper": "Fine-tune, because it is cheaper.",
    "better_by_less": "fine_tune is better, but by less than you asked.",
    "surely_by_less": "fine_tune is better, but by less than you asked.",
    "practically_the_same": "Do not fine-tune: fine_tune and few_shot are practically the same.",
    "do_not": "Do not fine-tune: few_shot is better.",
    "stay": "Stay with few_shot: more labels would not pay.",
    "cannot_tell": "Cannot tell yet: label about 100 more test examples.",
    "nothing_learned": "Undecided: nothing beats constant, the best answer that ignores the input.",
}


@pytest.mark.parametrize("ends", HEADLINES)
def test_the_headline_says_what_was_found(make_run: MakeRun, ends: str) -> None:
    assert headline(make_run(ends=ends)) == HEADLINES[ends]


SHORT = HEADLINES | {
    "practically_the_same": "Do not fine-tune: few_shot is practically the same.",
    "do_not": "Do not fine-tune: use few_shot.",
    "cannot_tell": "Cannot tell yet.",
    "nothing_learned": "Undecided: nothing beats an answer that ignores the input.",
}


@pytest.mark.parametrize("ends", SHORT)
def test_a_reason_without_a_short_opening_gets_a_headline_from_the_finding(
    make_run: MakeRun, ends: str
) -> None:
    run = make_run(ends=ends, changes={"reason": "one sentence without an end"})
    assert headline(run) == SHORT[ends]
    assert lead(run) == "one sentence without an end"


def test_what_was_not_measured_is_said_in_so_many_words(make_run: MakeRun) -> None:
    measured = dict(what_was_measured(make_run()))
    assert measured["Cost"] == "no prices given ([prices])"
    assert measured["Retention of general ability"] == "not measured in this run"
    assert measured["Latency"] == "20 test requests, one at a time, on a warm model"
    assert measured["Note"] == "prompt: stopped at its token budget after 9 of 12 variants."


def test_the_method_of_the_differences_names_its_confidence(make_run: MakeRun) -> None:
    said = dict(what_was_measured(make_run()))["Differences"]
    assert said.startswith("of the means over seeds: ")
    assert said.endswith(", 92%")
