import pytest

from tunewise.project.load import load_project
from tunewise.project.price_units import price_warnings

HEAD = '[data]\nexamples = "examples.jsonl"\n'
BIG = '[contenders.big]\ntype = "openai"\nmodel = "x"\n'


def warnings(folder, text):
    (folder / "examples.jsonl").write_text("{}\n")
    (folder / "tunewise.toml").write_text(HEAD + text)
    return price_warnings(load_project(folder))


@pytest.mark.parametrize("key", ["prompt_tokens", "cached_tokens", "completion_tokens"])
def test_a_price_that_would_be_usual_for_a_thousand_is_asked_about(tmp_path, key):
    (line,) = warnings(tmp_path, f"[prices]\n{key} = 0.0015\n")
    assert line == (
        f"prices.{key} = 0.0015 is very little for a million tokens. If it is the price of a "
        "thousand, write 1.5."
    )


def test_so_are_the_prices_of_an_endpoint(tmp_path):
    (line,) = warnings(tmp_path, f"{BIG}prompt_tokens = 0.003\n")
    assert line.startswith("contenders.big.prompt_tokens = 0.003 is very little")


@pytest.mark.parametrize("price", [0, 0.02, 0.15, 75, 600])
def test_what_models_cost_is_taken_as_it_is(tmp_path, price):
    assert warnings(tmp_path, f"[prices]\nprompt_tokens = {price}\n") == ()
