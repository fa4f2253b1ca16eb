from tunewise.pipelines.estimate import Forecast
from tunewise.pipelines.remaining import Remaining

STAGES = {"fit": 100.0, "test": 20.0, "latency": 10.0}


class Bar:
    """Counts what it is told."""

    def __init__(self) -> None:
        self.at = 0

    def __call__(self, units: int) -> None:
        assert units > 0
        self.at += units


def run(*names: str, seeds: float = 0.0) -> tuple[Remaining, Bar]:
    trained = {"fine_tune": {**STAGES, "seeds": seeds}} if seeds else {}
    bar = Bar()
    forecast = Forecast(
        contenders={**dict.fromkeys(names, STAGES), **trained}, parts={"retention": 40.0}
    )
    return Remaining(forecast, bar), bar


def test_stages_that_are_done_count_what_they_weigh() -> None:
    remaining, bar = run("few_shot", "classifier")
    assert remaining.forecast.total == 300
    remaining.did("few_shot", "fit")
    assert bar.at == 100
    remaining.did("few_shot", "fit")
    assert bar.at == 100


def test_what_is_not_needed_any_more_makes_the_whole_smaller() -> None:
    remaining, bar = run("few_shot", "classifier")
    remaining.did("few_shot", "fit", seconds=20.0)
    assert bar.at == round(300 * 20 / 220)
    remaining.out("few_shot")
    assert bar.at == round(300 * 20 / 190)


def test_a_bar_is_full_at_the_end_whatever_was_left_out() -> None:
    remaining, bar = run("zero_shot", "few_shot", seeds=150.0)
    remaining.did("zero_shot", "fit", seconds=12.0)
    remaining.did("few_shot", "fit")
    remaining.out("zero_shot")
    remaining.did("fine_tune", "fit")
    remaining.did_seeds(None)
    remaining.did_part("retention", measured=False)
    for name in ("few_shot", "fine_tune"):
        remaining.did(name, "test")
        assert bar.at < remaining.forecast.total
        remaining.did(name, "latency")
    assert bar.at == remaining.forecast.total


def test_seeds_that_are_trained_count() -> None:
    remaining, bar = run(seeds=150.0)
    assert remaining.forecast.total == 320
    remaining.did_seeds("fine_tune")
    assert bar.at == 150
    remaining.did_part("retention")
    assert bar.at == 190


def test_a_contender_that_was_not_foreseen_counts_nothing() -> None:
    remaining, bar = run("few_shot")
    remaining.did("own", "fit")
    remaining.out("own")
    remaining.did_part("dependability")
    assert bar.at == 0
