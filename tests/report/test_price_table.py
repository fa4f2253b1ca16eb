from collections.abc import Callable
from dataclasses import replace
from datetime import date
from pathlib import Path

import pytest

from command_line import tunewise
from places import ROOT
from tunewise.project.price_list import MachinePrice, ModelPrice, PriceList
from tunewise.report.price_table import at_list_prices, what_it_took
from tunewise.runs.schema import Run, Tokens

MakeRun = Callable[..., Run]
LIST = PriceList(
    currency="EUR",
    as_of=date(2026, 11, 1),
    source="https://prices.example",
    models={"small": ModelPrice(prompt_tokens=2.0, completion_tokens=10.0, cached_tokens=0.5)},
    machines={"box": MachinePrice(hosting_hour=3.6, utilisation=0.5)},
)


def with_measured(run: Run, name: str, **changes: object) -> Run:
    contenders = [
        replace(one, **changes) if one.name == name else one  # type: ignore[arg-type]
        for one in run.contenders
    ]
    return replace(run, contenders=tuple(contenders))


def row(table, name: str) -> dict[str, str]:
    found = next(one for one in table.rows if one[0] == name)
    return dict(zip(table.titles, found, strict=True))


def test_without_prices_a_run_shows_tokens_and_seconds_and_no_money(make_run: MakeRun) -> None:
    table = what_it_took(make_run())
    assert row(table, "few_shot") == {
        "contender": "few_shot", "prompt tokens": "531", "from a cache": "0",
        "answer tokens": "12", "seconds under load": "not measured",
    }  # fmt: skip
    assert "USD" not in str(table)


def test_with_prices_it_shows_what_they_made_of_it(make_run: MakeRun) -> None:
    table = what_it_took(make_run(ends="cheaper"))
    assert row(table, "few_shot")["per 1,000 requests"] == "0.284 USD"


def test_a_list_prices_the_tokens_of_the_run_cached_ones_apart(make_run: MakeRun) -> None:
    run = with_measured(
        make_run(), "few_shot", tokens=Tokens(prompt=500, cached=400, completion=10)
    )
    found = row(at_list_prices(run, LIST), "small")
    assert found["few_shot"] == "0.500"  # 100 x 2 + 400 x 0.5 + 10 x 10 millionths
    assert found["as of, source"] == "2026-11-01, https://prices.example"


def test_machines_price_seconds_under_load_where_they_were_measured(make_run: MakeRun) -> None:
    run = with_measured(make_run(), "few_shot", load_seconds=(0.4, 0.6))
    table = at_list_prices(run, LIST)
    found = row(table, "box")
    assert found["few_shot"] == "1.00"  # 500 s of 3.6 an hour, half of them idle
    assert found["fine_tune"] == "–"
    assert any("were not measured" in note for note in table.notes)


def test_who_asks_no_model_has_no_column(make_run: MakeRun) -> None:
    titles = at_list_prices(make_run(), LIST).titles
    assert {"constant", "classifier"}.isdisjoint(titles)
    assert {"zero_shot", "few_shot", "fine_tune", "big-model"} <= set(titles)


@pytest.mark.parametrize("words", [(), ("--list", ROOT / "docs" / "prices.toml")])
def test_the_command_shows_either(make_run: MakeRun, words: tuple[str | Path, ...]) -> None:
    run = make_run()
    done = tunewise("prices", run.folder, *words)
    assert done.code == 0
    assert "few_shot" in done.out
    assert ("gpt-4.1-mini" in done.out) is bool(words)
    assert "More than a year old" in done.out or not words


def test_the_command_tells_what_is_wrong_with_a_list(make_run: MakeRun, tmp_path: Path) -> None:
    (tmp_path / "list.toml").write_text("[models.x]\nprompt_tokens = -1\n")
    done = tunewise("prices", make_run().folder, "--list", tmp_path / "list.toml")
    assert done.code == 1
    assert "prompt_tokens: is out of range" in done.err
