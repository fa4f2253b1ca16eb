"""What costs do in `decide`: from prices in tunewise.toml to the verdict and verdict.json."""

import time
from collections.abc import Sequence
from pathlib import Path

import pytest

from decide_projects import (
    by_name,
    contract_faults,
    decide,
    labelled,
    opened,
    read_json,
    right_when,
    scripted,
    write_project,
)
from tunewise.models.catalog import LocalModel
from tunewise.models.engines.protocol import Request
from tunewise.models.engines.scripted import ScriptedEngine
from tunewise.types import Failure, Generation

USE = '[contenders]\nuse = ["constant", "zero_shot", "fine_tune"]\n[training]\nseeds = 1\n'
UNTRAINED = '[contenders]\nuse = ["constant", "zero_shot"]\n'
LONG = "task.instruction=Which label? " + "Think of the shop. " * 15
PRICES = "[prices]\nprompt_tokens = 50\ncompletion_tokens = 50\ntraining_hour = 2\n"
VOLUME = "[decision]\nmonthly_requests = 100000\n"


def alike(request: Request) -> float:
    return 0.9


def verdict_of(folder: Path, small: LocalModel, more: str, *overrides: str, rows: int = 500):
    opener = opened(scripted(right_when(alike)), small)
    run = decide(write_project(folder, labelled(rows), USE + more), *overrides, opener=opener)
    verdict = read_json(run / "verdict.json")
    assert contract_faults(verdict) == []
    return verdict


def notes(verdict) -> str:
    return " ".join(verdict["notes"])


def test_an_equal_quality_is_worth_a_training_where_prices_say_that_it_is_cheaper(
    tmp_path: Path, small_llama: LocalModel
) -> None:
    without = verdict_of(tmp_path / "a", small_llama, "", LONG)
    assert without["rule"] == "not_worth_it"
    assert without["economics"] == {}
    assert "no prices were given" in notes(without)
    priced = verdict_of(tmp_path / "b", small_llama, PRICES + VOLUME, LONG)
    assert (priced["outcome"], priced["rule"]) == ("fine_tune", "cheaper")
    (saving,) = priced["economics"]["savings"]
    assert saving["contender"] == "zero_shot"
    found = by_name(priced)
    costs = {name: found[name]["cost"]["per_1000_requests"] for name in ("zero_shot", "fine_tune")}
    assert saving["per_1000_requests"]["value"] == pytest.approx(
        costs["zero_shot"] - costs["fine_tune"]
    )
    training = found["fine_tune"]["fit"]["seconds"] / 3600 * 2
    assert saving["training"] == pytest.approx(training)
    assert saving["in_horizon"]["value"] == pytest.approx(
        1200 * saving["per_1000_requests"]["value"] - training
    )
    assert saving["break_even_requests"]["low"] < saving["break_even_requests"]["high"]
    assert f"It saves {saving['in_horizon']['value']:,.0f} USD in 12 months" in priced["reason"]
    premises = {swing["premise"] for swing in priced["economics"]["tornado"]}
    assert premises == {"requests a month", "retraining", "sampled requests"}


def test_a_training_that_costs_more_than_a_year_saves_changes_nothing(
    tmp_path: Path, small_llama: LocalModel
) -> None:
    dear = PRICES.replace("training_hour = 2", "training_hour = 1e6")
    few = VOLUME.replace("100000", "1000")
    verdict = verdict_of(tmp_path, small_llama, dear + few, LONG)
    assert verdict["rule"] == "not_worth_it"
    assert verdict["economics"]["savings"][0]["in_horizon"]["high"] < 0


@pytest.mark.parametrize(
    ("more", "missing"),
    [(PRICES.replace("training_hour = 2\n", "") + VOLUME, "prices.training_hour"),
     (PRICES, "decision.monthly_requests")],
)  # fmt: skip
def test_what_rule_2_lacks_is_said(
    tmp_path: Path, small_llama: LocalModel, more: str, missing: str
) -> None:
    verdict = verdict_of(tmp_path, small_llama, more, LONG, rows=90)
    assert f"as good and cheaper was not asked: that takes {missing}." in notes(verdict)
    assert verdict["economics"]["savings"][0]["in_horizon"] is None


class Slow(ScriptedEngine):
    """Takes two milliseconds for each request of a batch."""

    def generate(self, requests: Sequence[Request]) -> list[Generation | Failure]:
        time.sleep(0.002 * len(requests))
        return super().generate(requests)


def test_hours_are_measured_under_load_where_they_have_a_price(tmp_path: Path) -> None:
    project = write_project(tmp_path, labelled(400), UNTRAINED)
    opener = opened(Slow(right_when(alike)))
    run = decide(project, "prices.hosting_hour=3600", opener=opener)
    found = by_name(read_json(run / "verdict.json"))
    seconds = found["zero_shot"]["load_seconds"]
    assert len(seconds) == 6
    assert min(seconds) >= 0.002
    # A second costs 1.
    mean = sum(seconds) / len(seconds)
    assert found["zero_shot"]["cost"]["per_1000_requests"] == pytest.approx(1000 * mean)
    assert found["constant"]["cost"]["per_1000_requests"] < 1.0


def test_without_a_price_of_hours_nobody_is_asked_under_load(tmp_path: Path) -> None:
    opener = opened(scripted(right_when(alike)))
    run = decide(write_project(tmp_path, labelled(60), UNTRAINED), opener=opener)
    assert by_name(read_json(run / "verdict.json"))["zero_shot"]["load_seconds"] == []


def test_a_price_that_reads_as_one_per_thousand_is_asked_about(tmp_path: Path) -> None:
    prices = "[prices]\nprompt_tokens = 0.0005\ncompletion_tokens = 1.5\n"
    opener = opened(scripted(right_when(alike)))
    run = decide(write_project(tmp_path, labelled(60), UNTRAINED + prices), opener=opener)
    assert (
        "prices.prompt_tokens = 0.0005 is very little for a million tokens. If it is the price of "
        "a thousand, write 0.5."
    ) in read_json(run / "verdict.json")["notes"]


def test_the_worth_of_a_point_makes_a_net_benefit(tmp_path: Path, small_llama: LocalModel) -> None:
    worth = PRICES + "value_per_point = 0.5\n" + VOLUME
    verdict = verdict_of(tmp_path, small_llama, worth, LONG, rows=120)
    (saving,) = verdict["economics"]["savings"]
    (gain,) = [
        one for one in verdict["comparisons"] if (one["a"], one["b"]) == ("fine_tune", "zero_shot")
    ]
    assert saving["benefit_per_1000"]["value"] == pytest.approx(
        100 * gain["delta"] * 0.5 + saving["per_1000_requests"]["value"]
    )
