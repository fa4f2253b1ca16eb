import pytest

from tunewise.project.contenders import (
    BUILT_IN,
    CONSTANT,
    built_in,
    effort,
    label_of,
    on_base,
    simplicity,
    way_of,
)
from tunewise.project.derived import labelled_bases
from tunewise.project.settings import Model


def test_the_simplest_ignores_the_input_and_whoever_trains_stands_behind_all_who_do_not() -> None:
    assert simplicity(CONSTANT) == 0
    trained = [simplicity(name) for name, one in BUILT_IN.items() if one.trained]
    others = [simplicity(name) for name, one in BUILT_IN.items() if not one.trained]
    assert max(others) < min(trained)


def test_an_endpoint_is_less_simple_than_all_that_are_brought_along() -> None:
    assert simplicity("gpt") > max(map(simplicity, BUILT_IN))


def test_nobody_both_asks_the_model_as_it_is_and_trains_it() -> None:
    assert not [name for name, one in BUILT_IN.items() if one.asks and one.trained]


def test_on_another_base_a_contender_is_the_same_way_as_on_the_first() -> None:
    name = on_base("fine_tune", "gemma3-270m")
    assert name == "fine_tune@gemma3-270m"
    assert (way_of(name), label_of(name)) == ("fine_tune", "gemma3-270m")
    assert (simplicity(name), effort(name)) == (simplicity("fine_tune"), effort("fine_tune"))
    assert built_in(name) == BUILT_IN["fine_tune"]
    assert (on_base("rag", ""), label_of("rag"), built_in("gpt")) == ("rag", "", None)


@pytest.mark.parametrize(
    ("bases", "labels"),
    [
        ("smollm2-135m-instruct", ["smollm2-135m-instruct"]),
        (("org/some-model", "/models/other/"), ["some-model", "other"]),
        (("/m/a b@c.gguf", "org/a-b-c"), ["a-b-c", "a-b-c-2"]),
        (("one/x", "two/x", "three/x"), ["x", "x-2", "x-3"]),
    ],
)
def test_bases_have_short_names_that_differ(
    bases: str | tuple[str, ...], labels: list[str]
) -> None:
    model = Model(base=bases)
    assert list(labelled_bases(model)) == labels
    assert tuple(labelled_bases(model).values()) == model.bases
