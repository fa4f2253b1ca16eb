import json

import pytest

from scripted_rows import race
from tunewise.contenders.constant import Constant, typical_object
from tunewise.contenders.protocol import NotApplicable
from tunewise.metrics.by_name import metric_named
from tunewise.types import Answer, Example, Fit, Message, Usage


def examples(*targets: str) -> list[Example]:
    return [
        Example(id=str(n), messages=(Message(role="user", content=f"q{n}"),), target=target)
        for n, target in enumerate(targets)
    ]


def ticks() -> float:
    return 0.0


@pytest.mark.parametrize("metric", ["accuracy", "macro_f1", "exact_match"])
def test_for_labels_it_is_the_majority_label(metric: str) -> None:
    train = examples("refund", "delivery", "delivery", "other")
    fitted = Constant(metric=metric_named(metric)).fit(train, race(examples("refund", "delivery")))
    assert fitted.text == "delivery"
    assert fitted.fit.dev_answers == {0: ("delivery", "delivery")}


def test_what_it_scores_on_train_is_the_metric_over_all_of_it() -> None:
    train = examples("refund", "delivery", "delivery", "other")
    fit = Constant(metric=metric_named("macro_f1")).fit(train, race([])).fit
    assert fit.settings["train_score"] == pytest.approx(2 * 2 / (4 + 2) / 3)


def test_a_tie_goes_to_the_label_that_occurs_first() -> None:
    train = examples("b", "a", "a", "b")
    assert Constant(metric=metric_named("accuracy")).fit(train, race([])).text == "b"


def test_every_input_gets_the_same_answer_for_no_tokens_and_no_time() -> None:
    fitted = Constant(metric=metric_named("accuracy")).fit(examples("x", "x"), race([]))
    inputs = [example.input for example in examples("1", "2")]
    assert fitted.seeds == (0,)
    assert fitted.answer(inputs, seed=0) == [
        Answer(
            example_id=str(n), contender="constant", seed=0, text="x", usage=Usage(), seconds=0.0
        )
        for n in range(2)
    ]


def test_for_json_the_most_frequent_values_win_where_no_whole_answer_scores_better() -> None:
    train = examples(
        '{"category": "refund", "urgency": "high"}',
        '{"category": "refund", "urgency": "low"}',
        '{"category": "delivery", "urgency": "low"}',
        '{"category": "delivery", "urgency": "high"}',
        '{"category": "refund", "urgency": "medium"}',
        '{"category": "other", "urgency": "low"}',
    )
    fitted = Constant(metric=metric_named("json_fields")).fit(train, race([]))
    assert json.loads(fitted.text) == {"category": "refund", "urgency": "low"}


def test_for_json_the_most_frequent_whole_answer_wins_where_it_scores_better() -> None:
    train = examples(
        '{"a": 1, "b": 1}', '{"a": 1, "b": 1}', '{"a": 2, "b": 2}', '{"a": 3, "b": 2}',
        '{"a": 4, "b": 2}',
    )  # fmt: skip
    # Field by field it is {"a": 1, "b": 2}, which never occurs.
    assert typical_object([json.loads(row.target) for row in train]) == {"a": 1, "b": 2}
    exact = Constant(metric=metric_named("exact_match")).fit(train, race([]))
    assert exact.text == '{"a": 1, "b": 1}'
    by_field = Constant(metric=metric_named("json_fields")).fit(train, race([]))
    assert by_field.text == '{"a": 1, "b": 2}'


def test_the_typical_object_leaves_out_rare_fields_and_looks_into_objects() -> None:
    rows = [
        {"intent": "play", "slots": {"artist": "A", "year": 1999}},
        {"intent": "play", "slots": {"artist": "A"}},
        {"intent": "book", "slots": {"city": "Rome"}},
    ]
    assert typical_object(rows) == {"intent": "play", "slots": {"artist": "A"}}


def test_null_is_a_value_like_any_other() -> None:
    rows = [{"product": None}, {"product": None}, {"product": "tent"}]
    assert typical_object(rows) == {"product": None}


def test_for_texts_it_is_the_medoid_under_the_metric() -> None:
    train = examples(
        "we are sorry for the delay",
        "we are sorry for the trouble and the delay",
        "refunds take five days",
        "we are sorry",
        "sorry for the delay we are",
    )
    fitted = Constant(metric=metric_named("token_f1")).fit(train, race([]))
    metric = metric_named("token_f1")
    means = {
        one.target: sum(metric.score(one.target, other.target).value for other in train) / 5
        for one in train
    }
    assert fitted.text == max(means, key=lambda text: means[text])
    assert fitted.fit.settings["train_score"] == pytest.approx(means[fitted.text])


def test_a_frequent_answer_weighs_as_often_as_it_occurs() -> None:
    others = [f"green {word}" for word in ("one", "two", "three", "four")]
    train = examples(*others, *["red blue"] * 6)
    assert Constant(metric=metric_named("token_f1")).fit(train, race([])).text == "red blue"


def test_many_texts_are_judged_on_a_sample_and_the_common_answer_is_found() -> None:
    targets = [f"answer number {n} is about topic{n}" for n in range(900)]
    targets[7::10] = ["it is not said in the manual"] * len(targets[7::10])
    fitted = Constant(metric=metric_named("exact_match")).fit(examples(*targets), race([]))
    assert fitted.text == "it is not said in the manual"
    medoid = Constant(metric=metric_named("token_f1")).fit(examples(*targets), race([]))
    assert medoid.text.startswith("answer number")


def test_the_fit_says_what_it_chose_and_that_no_token_was_spent() -> None:
    fitted = Constant(metric=metric_named("accuracy"), clock=ticks).fit(
        examples("x", "x", "y"), race([])
    )
    assert fitted.fit == Fit(
        contender="constant",
        settings={"answer": "x", "train_score": 2 / 3},
        seconds=0.0,
        tokens={"prefilled": 0, "generated": 0, "trained": 0},
        dev_answers={0: ()},
    )


def test_without_training_examples_it_does_not_apply() -> None:
    with pytest.raises(NotApplicable, match="there are no training examples"):
        Constant(metric=metric_named("accuracy")).fit([], race([]))


def test_the_spellings_of_a_label_count_together() -> None:
    train = examples("No", "No", "yes", "Yes", "Yes.")
    metric = metric_named("accuracy", ("No", "Yes"))
    fitted = Constant(metric=metric, labels=("No", "Yes")).fit(train, race(examples("YES")))
    assert fitted.text == "Yes"
    assert fitted.fit.dev_answers == {0: ("Yes",)}


def test_answers_that_are_no_labels_keep_their_case() -> None:
    train = examples("a", "a", "A", "A", "A\u200b")
    assert Constant(metric=metric_named("exact_match")).fit(train, race([])).text == "a"
