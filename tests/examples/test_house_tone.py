import importlib.util
import json
import re
import statistics
import sys
from pathlib import Path
from types import ModuleType

import pytest

from tunewise.metrics.by_name import metric_named

FOLDER = Path(__file__).parents[2] / "examples" / "house_tone"


def rows_of(name: str) -> list[dict[str, str]]:
    return [json.loads(line) for line in (FOLDER / name).read_text("utf-8").splitlines()]


def load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("house_tone_metric", FOLDER / "metric.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # a dataclass looks its module up
    spec.loader.exec_module(module)
    return module


M = load()
ROWS = rows_of("examples.jsonl")
STYLE = rows_of("style_rows.jsonl")

TARGET = (
    "You were right to count, Mr Tolland. We found two charges of £19. One of them was ours to "
    "give back, so it's money back on your card. Next, check the card for it."
)
MENDED = (
    "A zip that jumps is a nuisance in the rain. The bench can mend the zip on your Gale for £22. "
    "It takes 3 weeks. Next, tell us by Friday."
)


def changes(answer: str, target: str) -> tuple[set[str], set[str]]:
    """(facts that the answer lost, facts that it invented)."""
    given, wanted = M.facts(answer), M.facts(target)
    return set(M.differences(wanted, given)), set(M.differences(given, wanted))


def spoilt(text: str, number: int) -> str:
    """A text in voice that lost its first figure or, every second one, promises something new."""
    if number % 2 and re.search(r"\d", text):
        return re.sub(r"[£\w-]*\d[\w.,:-]*\w?", "some", text, count=1)
    new = "We'll mend it as well." if "mend" not in M.facts(text).promises else "We'll swap it."
    return f"{new} {text}"


def average(answers: list[str], targets: list[str]) -> float:
    return statistics.fmean(map(M.in_house_tone, answers, targets))


def test_reference_then_draft_then_changed_facts_then_another_reply() -> None:
    targets = [row["output"] for row in ROWS]
    drafts = average([row["input"] for row in ROWS], targets)
    changed = average([spoilt(text, number) for number, text in enumerate(targets)], targets)
    unrelated = average([*targets[1:], targets[0]], targets)
    assert average(targets, targets) == 1
    assert 1 > drafts > changed > unrelated
    # Clear steps, not a photo finish.
    assert drafts < 0.5
    assert drafts > 2 * changed > 10 * unrelated


def test_every_reference_holds_the_facts_of_its_draft_and_no_others() -> None:
    found = {row["id"]: changes(row["output"], row["input"]) for row in ROWS}
    assert {number: both for number, both in found.items() if any(both)} == {}
    bare = [r["id"] for r in ROWS if not any([*vars_of(r["output"])])]
    assert bare == []


def vars_of(text: str) -> tuple[frozenset[str], ...]:
    facts = M.facts(text)
    return facts.numbers, facts.names, facts.promises


def test_every_reference_keeps_what_can_be_counted_in_the_guide() -> None:
    for row in ROWS:
        sentences = re.split(r"(?<=[.!?:])\s+", row["output"])
        assert max(len(sentence.split()) for sentence in sentences) <= 15, row["id"]
        assert [s.startswith("Next, ") for s in sentences].index(True) == len(sentences) - 1
        assert len(row["output"].split()) <= 60, row["id"]
        assert "!" not in row["output"], row["id"]


def test_there_are_enough_rows_and_no_text_stands_twice_or_in_both_files() -> None:
    inputs, outputs = {r["input"] for r in ROWS}, {r["output"] for r in ROWS}
    texts = {row["text"] for row in STYLE}
    assert len(ROWS) >= 240
    assert len(inputs) == len(outputs) == len(ROWS)
    assert len(texts) == len(STYLE) >= 150
    assert min(sum(bool(r["in_voice"]) is kind for r in STYLE) for kind in (True, False)) >= 60
    assert texts & (inputs | outputs) == set()


def test_no_contender_is_given_the_style_rows() -> None:
    assert "style_rows" not in (FOLDER / "tunewise.toml").read_text("utf-8")


def test_the_classifier_is_the_same_each_time_and_tells_the_voice_from_drafts() -> None:
    again = load()
    assert again.in_voice(TARGET) == M.in_voice(TARGET)
    told = [M.in_voice(row["output"]) > M.in_voice(row["input"]) for row in ROWS]
    assert sum(told) >= 0.95 * len(ROWS)


def test_the_project_can_name_the_metric_and_its_parts() -> None:
    for name in ("in_house_tone", "style", "meaning"):
        metric = metric_named(f"metric:{name}", folder=FOLDER)
        assert not metric.binary
        assert metric.score(TARGET, TARGET).value == 1


@pytest.mark.parametrize("answer", ["", "...", "😀"])
def test_an_answer_without_a_letter_is_worth_nothing(answer: str) -> None:
    assert M.in_house_tone(answer, TARGET) == 0


@pytest.mark.parametrize(
    ("answer", "lost", "new"),
    [
        (MENDED.replace("£22", "£32"), {"22"}, {"32"}),
        (MENDED.replace("3 weeks", "a few weeks"), {"3"}, set()),
        (MENDED.replace("3 weeks", "three weeks"), set(), set()),
        (MENDED.replace("Friday", "Monday"), {"friday"}, {"monday"}),
        (MENDED.replace("your Gale", "your jacket"), {"gale"}, set()),
        (MENDED.replace("tell us", "tell Moira"), set(), {"moira"}),
        (MENDED.replace("for £22", "for £22, for free"), set(), {"free"}),
        (MENDED.replace("can mend", "can't mend"), {"mend"}, {"no mend"}),
        (MENDED.replace("can mend", "can swap"), {"mend"}, {"swap"}),
        (MENDED.replace("can mend", "can repair"), set(), set()),
        (MENDED.replace("It takes", "We'll call you. It takes"), set(), {"call"}),
        (TARGET.replace("money back on", "a refund to"), set(), set()),
        (TARGET.replace("Mr Tolland", "sir"), {"mr", "tolland"}, set()),
        (TARGET.replace("two charges", "2 charges"), set(), set()),
        (TARGET.replace("it's", "it’s"), set(), set()),
    ],
)
def test_what_is_lost_and_what_is_invented(answer: str, lost: set[str], new: set[str]) -> None:
    target = TARGET if "charges" in answer else MENDED
    assert changes(answer, target) == (lost, new)
    value = M.meaning(answer, target)
    assert value == 1 if not lost | new else value <= M.CHANGED
