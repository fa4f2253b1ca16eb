"""`decide` draws the learning curves that are asked for, on train and dev, or says why not."""

import random
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from decide_projects import (
    Json,
    contract_faults,
    decide,
    labelled,
    number_of,
    opened,
    read_json,
    read_jsonl,
    right_when,
    scripted,
    target_of,
    tuned_well,
    write_project,
)
from tunewise.errors import UserError
from tunewise.models.catalog import LocalModel
from tunewise.models.engines.protocol import Request
from tunewise.pipelines.decide import run_decide
from tunewise.progress import Silent
from tunewise.project.load import load_project
from tunewise.types import Failure

WORDS = {
    "refund": ("money back", "a refund", "my payment returned", "the sum credited"),
    "delivery": ("where it is", "when it comes", "the courier", "the tracking number"),
    "other": ("opening hours", "a job with you", "your catalogue", "a gift card"),
}
ONLY = 'decision.measure=["learning_curve"]'
MORE = """
[contenders]
use = ["constant", "zero_shot", "classifier"]
[training]
rank = 2
epochs = 1
learning_rate = 1e-3
batch_tokens = 4096
seeds = 2
"""


def letters(count: int) -> list[Json]:
    """Messages whose words mostly tell their label: more of them teach more."""
    chance = random.Random(4)
    rows: list[Json] = []
    for n in range(count):
        label = list(WORDS)[n % 3]
        about = chance.choice(WORDS[label if chance.random() < 0.85 else "other"])
        rows.append({"text": f"message {n} about {about}", "label": label})
    return rows


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return write_project(tmp_path / "project", letters(240), MORE)


def right(share: float) -> Callable[[Request], str | Failure]:
    return right_when(lambda request: share)


def curve_of(run: Path, contender: str) -> Json:
    (found,) = (
        one
        for one in read_json(run / "verdict.json")["learning_curve"]["curves"]
        if one["contender"] == contender
    )
    return found


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that drew the classifier's curve. Read only."""
    project = write_project(tmp_path_factory.mktemp("whole"), letters(240), MORE)
    return decide(project, ONLY, opener=opened(scripted(right(0.4))))


def test_the_classifiers_curve_is_drawn_over_folds_of_train_and_dev(run: Path) -> None:
    verdict, splits = read_json(run / "verdict.json"), read_json(run / "splits.json")
    assert contract_faults(verdict) == []
    found = curve_of(run, "classifier")
    pool = len(splits["train"]) + len(splits["dev"])
    assert (found["scored"], found["judged"]) == ("folds", pool)
    assert found["points"][-1]["n"] == pytest.approx(0.8 * pool, abs=1)
    assert [one["n"] for one in found["forecast"]] == [
        round(times * found["points"][-1]["n"]) for times in (1.5, 2)
    ]
    for one in (*found["forecast"], *found["band"]):
        assert one["low"] <= one["value"] <= one["high"]
        assert one["gain_low"] <= one["gain"] <= one["gain_high"]
    for one in found["points"]:
        assert one["low"] < one["value"] < one["high"]
    assert found["says"] in ("flat", "rising", "cannot say")
    assert "learning curves included" in " ".join(verdict["notes"])
    assert 'id="more-rows"' in (run / "report.html").read_text("utf-8")


def test_a_curve_knows_no_test_row(run: Path) -> None:
    parts = read_jsonl(run / "learning-curve.jsonl")
    pool = curve_of(run, "classifier")["judged"]
    # Four parts of five folds, twice: in each round every row of train and dev is judged once.
    assert len(parts) == 2 * 5 * 4
    assert sum(len(one["answers"]) for one in parts) == 2 * 4 * pool


def test_it_is_held_against_the_best_that_takes_nothing_from_more_rows(run: Path) -> None:
    verdict = read_json(run / "verdict.json")
    flat = [one for one in verdict["contenders"] if "dev" in one and one["name"] != "classifier"]
    found = curve_of(run, "classifier")["against"]
    assert found["contender"] == max(flat, key=lambda one: one["dev"])["name"]
    assert [one["n"] for one in found["points"]] == [
        one["n"] for one in curve_of(run, "classifier")["points"]
    ]
    for one in (*found["points"], *found["forecast"]):
        assert one["low"] <= one["value"] <= one["high"]


@pytest.mark.parametrize("override", ["decision.measure=[]", "decision.curves=[]"])
def test_what_is_not_asked_for_is_not_drawn(project: Path, override: str) -> None:
    run = decide(project, override, opener=opened(scripted(right(0.4))))
    assert read_json(run / "verdict.json")["learning_curve"] == {}
    assert not (run / "learning-curve.jsonl").exists()


def test_who_has_no_curve_is_named_and_others_are_refused(tmp_path: Path) -> None:
    use = MORE.replace('"classifier"', '"few_shot", "classifier"')
    rows = [{"text": f"message {n}", "label": f"an answer of its own, {n}"} for n in range(60)]
    project = write_project(tmp_path / "free", rows, use)
    asked = 'decision.curves=["classifier", "few_shot"]'
    run = decide(project, ONLY, asked, opener=opened(scripted(lambda request: "no")))
    missing = read_json(run / "verdict.json")["learning_curve"]["missing"]
    assert "closed set" in missing["classifier"]
    assert missing["few_shot"] == "it was out of the race" or "at least 20" in missing["few_shot"]
    with pytest.raises(UserError, match=r"decision\.curves: .*classifier"):
        decide(project, 'decision.curves=["prompt"]')


class Stopping(Silent):
    """Ends the process's work after so many parts of a curve, as a kill would."""

    def __init__(self, after: int) -> None:
        self.left = after

    @contextmanager
    def task(self, description: str, *, total: int) -> Generator[Callable[[int], None]]:
        def advance(units: int) -> None:
            if description.startswith("learning curve"):
                self.left -= units
                if self.left < 0:
                    raise KeyboardInterrupt

        yield advance


def test_parts_that_were_learned_from_before_a_kill_are_not_learned_from_again(
    tmp_path: Path, run: Path, project: Path
) -> None:
    with pytest.raises(KeyboardInterrupt):
        run_decide(
            load_project(project, (ONLY,)),
            progress=Stopping(after=12),
            out=tmp_path / "run",
            opener=opened(scripted(right(0.4))),
        )
    kept = read_jsonl(tmp_path / "run" / "learning-curve.jsonl")
    assert len(kept) == 13
    resumed = decide(
        project, ONLY, out=tmp_path / "run", resume=True, opener=opened(scripted(right(0.4)))
    )
    lines = read_jsonl(resumed / "learning-curve.jsonl")
    assert lines[:13] == kept
    assert len({line["key"] for line in lines}) == len(lines) == 40
    assert curve_of(resumed, "classifier") == curve_of(run, "classifier")


def sees_its_like(request: Request) -> str:
    """Right the more often the more examples of the same label the prompt's rows were taken from:
    a number is known if one near it is shown."""
    shown = [turn.content for turn in request.messages[:-1] if turn.role == "user"]
    numbers = [int(text.split()[-1]) for text in shown if text.startswith("message")]
    near = min((abs(n - number_of(request)) for n in numbers), default=99)
    return target_of(request) if near <= 3 else "nonsense"


def test_few_shot_answers_dev_after_each_part_but_the_last_where_it_is_asked_for(
    tmp_path: Path,
) -> None:
    more = MORE.replace('"classifier"]', '"few_shot"]\nfinish = true')
    project = write_project(tmp_path / "project", labelled(240), more)
    asked = 'decision.curves=["few_shot"]'
    run = decide(project, ONLY, asked, opener=opened(scripted(sees_its_like)))
    found, dev = curve_of(run, "few_shot"), read_json(run / "splits.json")["dev"]
    assert (found["scored"], found["judged"]) == ("dev", len(dev))
    few = next(
        one for one in read_json(run / "verdict.json")["contenders"] if one["name"] == "few_shot"
    )
    assert found["points"][-1]["value"] == pytest.approx(few["dev"])
    parts = read_jsonl(run / "learning-curve.jsonl")
    assert [bool(one["tokens"]) for one in parts] == [False, True, True, True]
    assert sum(one["tokens"].get("prefilled", 0) for one in parts) > 0


def test_a_fine_tune_is_trained_on_half_of_train_and_is_flat_rising_or_cannot_be_told(
    tmp_path: Path, small_llama: LocalModel
) -> None:
    more = MORE.replace('"classifier"', '"fine_tune"')
    project = write_project(tmp_path / "project", labelled(240), more)
    asked = ('decision.curves=["fine_tune"]', "decision.minimum_gain=0.1")
    opener = opened(scripted(right_when(tuned_well)), small_llama)
    run = decide(project, ONLY, *asked, opener=opener)
    found, splits = curve_of(run, "fine_tune"), read_json(run / "splits.json")
    assert [one["n"] for one in found["points"]] == [
        pytest.approx(len(splits["train"]) / 2, abs=1),
        len(splits["train"]),
    ]
    # Whatever it learned from, the scripted model knows the same share: nothing more is promised.
    assert (found["says"], found["forecast"], found["band"]) == ("flat", [], [])
    assert "widened by the differences among seeds" in found["doubled"]["method"]
    assert (run / "training" / "half").is_dir()


def test_a_fine_tune_of_one_seed_says_that_chance_is_not_known(
    tmp_path: Path, small_llama: LocalModel
) -> None:
    more = MORE.replace('"classifier"', '"fine_tune"').replace("seeds = 2", "seeds = 1")
    project = write_project(tmp_path / "project", labelled(240), more)
    asked = 'decision.curves=["fine_tune"]'
    opener = opened(scripted(right_when(tuned_well)), small_llama)
    run = decide(project, ONLY, asked, opener=opener)
    found: dict[str, Any] = read_json(run / "verdict.json")["learning_curve"]
    assert found["curves"] == []
    assert "one seed" in found["missing"]["fine_tune"]
    assert not (run / "training" / "half").exists()
