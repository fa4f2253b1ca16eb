"""How long a run will take: counts of tokens times a speed; no test asserts a measured time."""

import json
import re
import time
from pathlib import Path

import pytest

from tunewise.data.prepare import Prepared, prepare
from tunewise.evaluation.suite.items import screening, tokens_of
from tunewise.models.tokenizers import FoundTokenizer
from tunewise.pipelines.dry_run import dry_run
from tunewise.pipelines.estimate import (
    Forecast,
    Speed,
    between,
    counted,
    forecast,
    until,
    usual,
    weights_of,
)
from tunewise.pipelines.workload import STAGES, Lengths, lengths, workload
from tunewise.project.load import load_project

RATE = Speed(prefill=1000.0, generate=400.0, alone=75.0, train=800.0)
NO_TOKENIZER = FoundTokenizer(name="none", why_not="not here")


def prepared(folder: Path, rows: int = 200, *overrides: str) -> Prepared:
    lines = [
        {"text": f"letter {n} about a fence, a wall or a hedge", "label": "yes" if n % 3 else "no"}
        for n in range(rows)
    ]
    (folder / "rows.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return prepare(load_project(folder / "rows.jsonl", overrides))


def seconds(made: Prepared, rate: Speed = RATE) -> float:
    return counted(workload(made, lengths(made, NO_TOKENIZER)), rate).high


def at_one_length(made: Prepared) -> Forecast:
    return counted(workload(made, Lengths(asked=60.0, answered=10.0, bare=40.0)), RATE)


@pytest.mark.parametrize(
    ("base", "weights"),
    [
        ("smollm2-135m-instruct", 135e6),
        ("HuggingFaceTB/SmolLM2-1.7B-Instruct", 1.7e9),
        ("Qwen/Qwen3-0.6B", 0.6e9),
        ("/models/llama-3.2-3b.gguf", 3e9),
        ("someone/large-model-v2", None),
    ],
)
def test_a_models_name_tells_how_many_weights_it_has(base: str, weights: float | None) -> None:
    assert weights_of(base) == weights


def test_rows_are_counted_by_their_characters_where_there_is_no_tokenizer(tmp_path: Path) -> None:
    found = lengths(prepared(tmp_path), NO_TOKENIZER)
    assert found.bare == pytest.approx(
        len("letter 100 about a fence, a wall or a hedge") / 4, abs=0.3
    )
    assert found.answered == pytest.approx(2.67 / 4, abs=0.1)
    assert found.asked >= found.bare


def test_every_contender_that_can_take_part_is_counted(tmp_path: Path) -> None:
    made = prepared(tmp_path)
    found = at_one_length(made)
    assert set(found.contenders) == {
        "constant", "zero_shot", "prompt", "few_shot", "classifier", "fine_tune",
    }  # fmt: skip
    test = len(made.splits.test)
    assert found.contenders["zero_shot"]["test"] == pytest.approx(test * (60 / 1000 + 10 / 400))
    assert found.contenders["few_shot"]["fit"] > found.contenders["prompt"]["fit"]


def test_what_is_measured_beside_quality_is_counted_where_it_is_asked_for(tmp_path: Path) -> None:
    made = prepared(tmp_path)
    test = len(made.splits.test)
    found = workload(made, Lengths(asked=60.0, answered=10.0, bare=40.0))
    # Each input five times, by the contender with the longest prompt and by the trained one.
    assert found.parts["dependability"].written == pytest.approx(5 * 2 * test * 10.0)
    few_shot = sum(k * 50.0 for k in (2, 4, 8)) / 3 + 60.0
    assert found.parts["dependability"].read == pytest.approx(5 * test * (few_shot + 40.0))
    # The base may be in the cache, but that is not known before.
    assert found.parts["retention"].written == 2 * tokens_of(screening()).written
    learned = len(made.splits.train) + len(made.splits.dev)
    assert found.parts["learning_curve"].seconds > 0.01 * learned
    assert found.parts["learning_curve"].tokens == {"read": 0, "written": 0, "trained": 0}
    none = prepared(tmp_path, 200, "decision.measure=[]")
    assert workload(none, Lengths(asked=60.0, answered=10.0, bare=40.0)).parts == {}


def test_curves_that_cost_tokens_are_counted_where_they_are_asked_for(tmp_path: Path) -> None:
    size = Lengths(asked=60.0, answered=10.0, bare=40.0)
    once = ("training.epochs=1", "training.seeds=1")
    made = prepared(tmp_path, 200, 'decision.curves=["few_shot", "fine_tune"]', *once)
    train, dev = len(made.splits.train), len(made.splits.dev)
    found = workload(made, size).parts["learning_curve"]
    # dev three times after parts of train, and once after a training on half of it.
    assert found.written == pytest.approx(3 * dev * 10.0 + dev * 10.0)
    assert found.trained == pytest.approx(train // 2 * 50.0)
    nobody = prepared(tmp_path, 200, 'contenders.use=["constant", "zero_shot"]')
    assert "learning_curve" not in workload(nobody, size).parts


def test_a_prompt_put_into_weights_costs_its_teachers_answers_and_both_sequences(
    tmp_path: Path,
) -> None:
    size = Lengths(asked=60.0, answered=10.0, bare=40.0)
    use = 'contenders.use=["constant", "zero_shot"{}, "internalised"]'
    once = ("training.epochs=1", "training.seeds=1")
    made = prepared(tmp_path, 200, use.format(', "prompt"'), *once)
    train, dev = len(made.splits.train), len(made.splits.dev)
    fit = workload(made, size).contenders["internalised"]["fit"]
    assert fit.trained == pytest.approx(train * (60 + 10 + 40 + 10))
    assert fit.read == pytest.approx(train * 60 + dev * 40)
    without = workload(prepared(tmp_path, 200, use.format(""), *once), size)
    assert "internalised" not in without.contenders


def test_a_dry_run_tells_time_and_tokens_of_every_part(tmp_path: Path) -> None:
    prepared(tmp_path)
    found = dry_run(load_project(tmp_path / "rows.jsonl"))
    parts = {one["part"]: one for one in found.as_dict()["parts"]}
    assert set(parts) == {
        "constant", "zero_shot", "prompt", "few_shot", "classifier", "fine_tune",
        "fine_tune, further seeds", "dependability", "learning_curve", "retention",
    }  # fmt: skip
    assert parts["fine_tune"]["tokens"]["trained"] > 0
    assert parts["few_shot"]["tokens"]["read"] > parts["zero_shot"]["tokens"]["read"]
    seconds = sum(one["seconds"] for one in parts.values())
    assert found.as_dict()["seconds"]["most"] == pytest.approx(1.5 * seconds, rel=0.05)
    assert any(line.startswith("few_shot ") for line in found.lines())


def test_a_dry_run_tells_money_where_there_are_prices(tmp_path: Path) -> None:
    prepared(tmp_path)
    rows = tmp_path / "rows.jsonl"
    free = dry_run(load_project(rows))
    assert {one["cost"] for one in free.as_dict()["parts"]} == {None}
    assert not any("cost" in line for line in free.lines())
    paid = dry_run(load_project(rows, ["prices.training_hour=36.0"]))
    parts = paid.as_dict()["parts"]
    assert [one["cost"] for one in parts] == [
        pytest.approx(one["seconds"] / 100, abs=1e-3) for one in parts
    ]
    *_, total, _ = paid.lines()
    assert re.fullmatch(r"cost +[\d.,]+ USD in all that has a price", total)


def test_an_endpoint_is_paid_by_the_token(tmp_path: Path) -> None:
    prepared(tmp_path)
    endpoint = ["type=openai", "base_url=http://127.0.0.1:1/v1", "model=m", "prompt_tokens=2.0"]
    settings = [f"contenders.large.{one}" for one in (*endpoint, "completion_tokens=8.0")]
    found = dry_run(load_project(tmp_path / "rows.jsonl", settings)).as_dict()["parts"]
    (large,) = [one for one in found if one["part"] == "large"]
    tokens = large["tokens"]
    wanted = (2.0 * tokens["read"] + 8.0 * tokens["written"]) / 1e6
    assert large["cost"] == pytest.approx(wanted, abs=1e-3)


def test_tokens_are_told_where_no_time_can_be(tmp_path: Path) -> None:
    prepared(tmp_path)
    found = dry_run(load_project(tmp_path / "rows.jsonl", ["model.engine=scripted"]))
    assert {one["seconds"] for one in found.as_dict()["parts"]} == {None}
    assert all(sum(one["tokens"].values()) > 0 for one in found.as_dict()["parts"][1:4])


def test_a_machine_twice_as_fast_takes_half_the_time_but_for_what_no_speed_shortens(
    tmp_path: Path,
) -> None:
    made = prepared(tmp_path, 1000)
    slow = Speed(prefill=10.0, generate=4.0, alone=1.0, train=8.0)
    fast = Speed(prefill=20.0, generate=8.0, alone=2.0, train=16.0)
    assert seconds(made, slow) == pytest.approx(2 * seconds(made, fast), rel=0.1)


def test_more_rows_more_seeds_and_more_epochs_take_longer(tmp_path: Path) -> None:
    base = seconds(prepared(tmp_path, 200, "training.epochs=2", "training.seeds=2"))
    assert seconds(prepared(tmp_path, 600, "training.epochs=2", "training.seeds=2")) > base
    assert seconds(prepared(tmp_path, 200, "training.epochs=2", "training.seeds=5")) > base
    assert seconds(prepared(tmp_path, 200, "training.epochs=9", "training.seeds=2")) > base


def test_a_limit_shortens_the_run(tmp_path: Path) -> None:
    assert seconds(prepared(tmp_path, 600, "contenders.limit=60")) < seconds(
        prepared(tmp_path, 600)
    )


def test_a_first_opinion_asks_dev_once_and_tries_few_examples_shown(tmp_path: Path) -> None:
    made, size = prepared(tmp_path), Lengths(asked=60.0, answered=10.0, bare=40.0)
    whole, quick = (workload(made, size, quick=quick).contenders for quick in (False, True))
    dev = len(made.splits.dev)
    saved = whole["fine_tune"]["fit"].read - quick["fine_tune"]["fit"].read
    assert saved == pytest.approx(2 * dev * 40.0)
    assert whole["fine_tune"]["fit"].trained == quick["fine_tune"]["fit"].trained
    assert whole["few_shot"]["fit"].written - quick["few_shot"]["fit"].written == dev * 10.0


def test_further_seeds_are_in_the_upper_end_alone(tmp_path: Path) -> None:
    one = at_one_length(prepared(tmp_path, 200, "training.seeds=1"))
    assert one.contenders["fine_tune"]["seeds"] == 0
    three = at_one_length(prepared(tmp_path, 200))
    assert three.high / three.low > one.high / one.low


def test_the_bar_of_the_run_ends_where_all_stages_are_done(tmp_path: Path) -> None:
    found = at_one_length(prepared(tmp_path))
    stages = [stage for stage in STAGES if stage != "seeds"]
    done = sum(found.share(name, stage) for name in found.contenders for stage in stages)
    done += found.part("dependability") + found.part("retention")
    done += found.part("learning_curve")
    assert found.total == done + found.share("fine_tune", "seeds")


def test_a_model_behind_an_endpoint_is_not_estimated(tmp_path: Path) -> None:
    assert forecast(prepared(tmp_path, 200, "model.engine=scripted")) is None
    assert forecast(prepared(tmp_path, 200, "model.base=someone/large-model")) is None
    assert usual(prepared(tmp_path).project).total > 0


def test_the_estimate_is_measured_here_and_called_rough(tmp_path: Path) -> None:
    found = forecast(prepared(tmp_path))
    assert found is not None
    assert 0 < found.low < found.high
    assert "rough estimate" in found.sentence
    assert "about" in found.sentence
    assert re.search(r"begun now until (between )?\d\d:\d\d", found.sentence)


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [
        (20, 50, "about a minute"),
        (200, 500, "about 3 to 8 minutes"),
        (900, 1800, "about 15 to 30 minutes"),
        (2900, 4100, "about 50 to 70 minutes"),
        (7200, 14400, "about 2 to 4 hours"),
        (600, 605, "about 10 minutes"),
    ],
)
def test_times_are_told_as_roughly_as_they_are_known(low: float, high: float, said: str) -> None:
    assert between(low, high) == said


def test_the_end_is_told_as_a_time_of_day() -> None:
    noon = time.mktime((2026, 11, 29, 12, 0, 0, 0, 0, -1))
    assert until(noon + 600, noon + 1500) == "until between 12:10 and 12:25"
    assert until(noon + 61, noon + 62) == "until 12:01"


def test_each_base_has_its_tokens_and_its_speed(tmp_path: Path) -> None:
    bases = 'model.base=["org/one-100m", "org/two-300m"]'
    found = forecast(prepared(tmp_path, 200, bases))
    assert found is not None
    small, large = (found.contenders[name] for name in ("zero_shot", "zero_shot@two-300m"))
    assert large["test"] == pytest.approx(3 * small["test"], rel=0.01)
    assert "classifier@two-300m" not in found.contenders
    unknown = 'model.base=["org/one-100m", "org/two"]'
    assert forecast(prepared(tmp_path, 200, unknown)) is None
    whole = usual(load_project(tmp_path / "rows.jsonl", [bases]))
    assert whole.contenders["fine_tune@two-300m"] == whole.contenders["fine_tune"]
