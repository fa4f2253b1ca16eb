from datetime import date

import pytest

from places import ROOT
from tunewise.errors import UserError
from tunewise.project.price_list import read_price_list

HEAD = 'currency = "USD"\nas_of = 2026-11-01\nsource = "https://prices.example"\n'
SMALL = "[models.small]\nprompt_tokens = 0.1\ncompletion_tokens = 0.4\n"
TODAY = date(2026, 11, 29)


@pytest.fixture
def write(tmp_path):
    def _write(text):
        path = tmp_path / "list.toml"
        path.write_text(text)
        return path

    return _write


def faults(path):
    with pytest.raises(UserError) as caught:
        read_price_list(path, today=TODAY)
    return [line.removeprefix(f"{path}:") for line in str(caught.value).splitlines()]


def test_a_list_is_read_with_its_models_and_machines(write):
    found = read_price_list(
        write(f"{HEAD}{SMALL}[machines.box]\nhosting_hour = 1.2\nutilisation = 0.5\n"),
        today=TODAY,
    )
    assert (found.currency, found.as_of) == ("USD", date(2026, 11, 1))
    assert found.models["small"].completion_tokens == 0.4
    assert found.models["small"].cached_tokens is None
    assert found.machines["box"].utilisation == 0.5
    assert found.warnings == ()


def test_the_example_in_the_documentation_is_a_list_that_knows_its_age():
    found = read_price_list(ROOT / "docs" / "prices.toml", today=TODAY)
    assert found.source.startswith("https://")
    assert any("More than a year old: gpt-4.1" in line for line in found.warnings)
    assert not any("g5.xlarge" in line for line in found.warnings)


def test_all_faults_are_reported_together_with_their_lines(write):
    path = write(
        'currency = "USD"\nas_of = "today"\n'
        "[models.small]\nprompt_tokens = -1\n"
        "[models.large]\nprompt_tokens = 1\ncompletion_tokens = 2\nprice = 3\n"
        "[machine.box]\nhosting_hour = 1\n"
    )
    assert faults(path) == [
        '1: machine: unknown key. Did you mean "machines"?',
        '1: source: is missing or no text. Write where they stand: source = "https://...".',
        "2: as_of: is missing or no date. Write the day on which the prices were read: "
        "as_of = 2026-11-29.",
        "3: models.small.completion_tokens: is missing. Per million tokens generated.",
        "4: models.small.prompt_tokens: is out of range. Choose from 0 to 1e+06.",
        "8: models.large.price: unknown key. Choose from: prompt_tokens, completion_tokens, "
        "cached_tokens, as_of, source.",
    ]


def test_a_list_without_prices_is_none(write):
    (fault,) = faults(write(HEAD))
    assert fault.startswith("1: models: is missing. Write [models.NAME] or [machines.NAME]")


@pytest.mark.parametrize("text", ["currency = ", "\x00"])
def test_what_is_no_toml_is_told(write, text):
    (fault,) = faults(write(text))
    assert "cannot be read" in fault


def test_a_file_that_is_not_there_is_told(tmp_path):
    with pytest.raises(UserError, match=r"nowhere\.toml: cannot be read"):
        read_price_list(tmp_path / "nowhere.toml", today=TODAY)


def test_prices_per_thousand_are_asked_about(write):
    text = HEAD + SMALL.replace("0.4", "0.0006")
    (line,) = read_price_list(write(text), today=TODAY).warnings
    assert "models.small.completion_tokens = 0.0006 is very little" in line
    assert "write 0.6" in line


def test_a_list_older_than_a_year_says_so(write):
    found = read_price_list(write(HEAD + SMALL), today=date(2027, 11, 2))
    assert found.warnings[0].startswith("More than a year old: small.")
