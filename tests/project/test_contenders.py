from tunewise.project.contenders import BUILT_IN, CONSTANT, simplicity


def test_the_simplest_ignores_the_input_and_whoever_trains_stands_behind_all_who_do_not() -> None:
    assert simplicity(CONSTANT) == 0
    trained = [simplicity(name) for name, one in BUILT_IN.items() if one.trained]
    others = [simplicity(name) for name, one in BUILT_IN.items() if not one.trained]
    assert max(others) < min(trained)


def test_an_endpoint_is_less_simple_than_all_that_are_brought_along() -> None:
    assert simplicity("gpt") > max(map(simplicity, BUILT_IN))


def test_nobody_both_asks_the_model_as_it_is_and_trains_it() -> None:
    assert not [name for name, one in BUILT_IN.items() if one.asks and one.trained]
