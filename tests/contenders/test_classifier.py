import importlib.util
import json
from collections import Counter
from collections.abc import Sequence

import numpy as np
import pytest
from numpy.typing import NDArray

from places import ROOT
from scripted_rows import race
from tunewise.contenders.classifier import Classifier, closed_columns, set_columns
from tunewise.contenders.protocol import NotApplicable
from tunewise.errors import UserError
from tunewise.metrics.by_name import metric_named, quality
from tunewise.retrieval.embed import MODEL, load_embedder
from tunewise.types import Example, Message, Usage

MAIL = ROOT / "examples" / "support_triage" / "examples.jsonl"


class WordEmbedder:
    """One dimension for each of a few words, and one for none of them."""

    name = "words"
    words = ("money", "parcel", "tent", "now", "please")

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        rows = [[float(word in text) for word in self.words] + [0.1] for text in texts]
        matrix = np.array(rows, dtype=np.float32).reshape(len(texts), len(self.words) + 1)
        return matrix / np.linalg.norm(matrix, axis=1, keepdims=True)


def example(number: int, text: str, target: str) -> Example:
    return Example(id=str(number), messages=(Message(role="user", content=text),), target=target)


LABELLED = [
    example(n, f"{text} {n}", label)
    for n, (text, label) in enumerate([("my money", "refund"), ("the parcel", "delivery")] * 6)
]


def tickets() -> list[Example]:
    rows = [
        ("money now", "refund", "high", None),
        ("money please", "refund", "low", None),
        ("parcel tent now", "delivery", "high", "tent"),
        ("parcel please", "delivery", "low", None),
        ("money tent please", "refund", "low", "tent"),
        ("parcel now", "delivery", "high", None),
    ] * 3
    return [
        example(
            n,
            text,
            json.dumps({"category": category, "urgency": urgency, "product": product}),
        )
        for n, (text, category, urgency, product) in enumerate(rows)
    ]


def test_labels_are_learned_from_the_texts() -> None:
    contender = Classifier(metric=metric_named("accuracy"), load=WordEmbedder)
    fitted = contender.fit(LABELLED[:8], race(LABELLED[8:]))
    new = [example(90, "where is the parcel", "").input, example(91, "i want money", "").input]
    answers = fitted.answer(new, seed=0)
    assert [answer.text for answer in answers] == ["delivery", "refund"]
    assert [answer.example_id for answer in answers] == ["90", "91"]
    assert fitted.seeds == (0,)
    assert fitted.fit.dev_answers == {0: tuple(row.target for row in LABELLED[8:])}


@pytest.mark.filterwarnings("error")
def test_as_many_labels_as_rows_are_learned_without_a_warning() -> None:
    declared = [f"part {n}" for n in range(22)]  # scikit-learn warns from 20 rows on
    rows = [example(n, f"where is {label}", label) for n, label in enumerate(declared)]
    contender = Classifier(metric=metric_named("accuracy"), labels=declared, load=WordEmbedder)
    assert contender.fit(rows, race(rows[:4])).fit.dev_answers[0]


def test_an_answer_costs_no_tokens_and_its_time_is_measured() -> None:
    times = iter([0.0, 1.0, 10.0, 10.25])
    contender = Classifier(
        metric=metric_named("accuracy"), load=WordEmbedder, clock=lambda: next(times)
    )
    fitted = contender.fit(LABELLED, race(LABELLED[:2]))
    (answer,) = fitted.answer([LABELLED[0].input], seed=0)
    assert fitted.fit.seconds == 1.0
    assert answer.seconds == 0.25
    assert answer.usage == Usage()
    assert fitted.fit.tokens == {"prefilled": 0, "generated": 0, "trained": 0}


def test_json_answers_have_a_classifier_for_each_field_and_the_field_order_of_train() -> None:
    rows = tickets()
    fitted = Classifier(metric=metric_named("json_fields"), load=WordEmbedder).fit(
        rows, race(rows[:6])
    )
    (answer,) = fitted.answer([example(90, "tent parcel please", "").input], seed=0)
    assert answer.text == '{"category": "delivery", "urgency": "low", "product": "tent"}'
    assert fitted.fit.settings["values"] == {"category": 2, "urgency": 2, "product": 2}


def test_a_field_that_some_rows_lack_can_be_left_out_of_an_answer() -> None:
    rows = [
        example(n, text, target)
        for n, (text, target) in enumerate(
            [("tent", '{"ok": true, "product": "tent"}'), ("parcel", '{"ok": true}')] * 5
        )
    ]
    fitted = Classifier(metric=metric_named("json_fields"), load=WordEmbedder).fit(
        rows, race(rows[:2])
    )
    answers = fitted.answer([rows[0].input, rows[1].input], seed=0)
    assert [answer.text for answer in answers] == [
        '{"ok": true, "product": "tent"}',
        '{"ok": true}',
    ]


def test_the_strength_is_chosen_on_dev_and_every_trial_is_shown() -> None:
    # "now" and "please" mislead in train: only a weak penalty lets the rare word "tent" win.
    train = [example(n, "money now", "refund") for n in range(12)]
    train += [example(20 + n, "money now tent", "return") for n in range(3)]
    dev = [example(30, "money now tent", "return"), example(31, "money now", "refund")]
    fitted = Classifier(metric=metric_named("accuracy"), load=WordEmbedder).fit(train, race(dev))
    values = {trial["C"]: trial["dev"] for trial in fitted.fit.trials}
    assert values[1.0] == 0.5
    assert values[300.0] == 1.0
    best = min(strength for strength, value in values.items() if value == 1.0)
    assert fitted.fit.settings["C"] == best
    assert fitted.fit.dev_answers == {0: ("return", "refund")}


@pytest.mark.parametrize(("metric", "weak"), [("accuracy", False), ("macro_f1", True)])
def test_the_strength_is_the_one_with_the_best_aggregate(metric: str, weak: bool) -> None:
    # A weak penalty finds the one return, and takes two refunds for returns as well.
    train = [example(n, "money now", "refund") for n in range(12)]
    train += [example(20 + n, "money now tent", "return") for n in range(3)]
    dev = [example(30 + n, "money now", "refund") for n in range(5)]
    dev += [example(40 + n, "money now tent", "refund") for n in range(2)]
    dev += [example(50, "money now tent", "return")]
    fit = Classifier(metric=metric_named(metric), load=WordEmbedder).fit(train, race(dev)).fit
    assert (fit.dev_answers[0][-1] == "return") is weak
    of_weak = {"accuracy": 6 / 8, "macro_f1": round((10 / 12 + 1 / 2) / 2, 4)}
    assert fit.trials[-1]["dev"] == of_weak[metric]


def test_no_inputs_give_no_answers() -> None:
    fitted = Classifier(metric=metric_named("accuracy"), load=WordEmbedder).fit(LABELLED, race([]))
    assert fitted.answer([], seed=0) == []


# --- closed sets


def test_free_texts_are_not_a_closed_set() -> None:
    with pytest.raises(NotApplicable) as fault:
        closed_columns([f"an answer of its own {n}" for n in range(30)])
    assert fault.value.reason == "answers are not from a closed set"


def test_a_few_repeated_answers_among_free_texts_do_not_make_a_closed_set() -> None:
    with pytest.raises(NotApplicable):
        closed_columns(["yes"] * 40 + [f"text {n}" for n in range(10)])


def test_rare_labels_are_closed_when_the_project_declares_them() -> None:
    targets = ["a", "b", "c"]
    with pytest.raises(NotApplicable):
        closed_columns(targets)
    assert closed_columns(targets, ["a", "b", "c"]) == {"": targets}


def test_the_reason_names_the_field_that_is_not_closed() -> None:
    free = [json.dumps({"kind": "x", "note": f"text {n}"}) for n in range(30)]
    with pytest.raises(NotApplicable, match="values of the field 'note' are not from a closed set"):
        closed_columns(free)
    nested = [json.dumps({"kind": "x", "slots": {}})] * 30
    with pytest.raises(NotApplicable, match="the field 'slots' holds lists or objects"):
        closed_columns(nested)


def test_values_keep_their_types() -> None:
    columns = closed_columns(['{"a": 1}', '{"a": "1"}', '{"a": true}', '{"a": null}'] * 3)
    assert Counter(columns["a"]) == {"1": 3, '"1"': 3, "true": 3, "null": 3}


def test_without_the_extra_it_does_not_apply_and_says_what_to_install() -> None:
    def missing() -> WordEmbedder:
        raise UserError("Run: pip install 'tunewise[dense]'")

    contender = Classifier(metric=metric_named("accuracy"), load=missing)
    with pytest.raises(NotApplicable, match=r"pip install 'tunewise\[dense\]'"):
        contender.fit(LABELLED, race([]))


# --- real embeddings


@pytest.mark.skipif(
    importlib.util.find_spec("sentence_transformers") is None,
    reason="the extra `dense` is not installed",
)
def test_it_learns_the_categories_of_real_mail() -> None:
    rows = [json.loads(line) for line in MAIL.read_text("utf-8").splitlines()]
    mail = [
        example(number, row["input"], row["output"]["category"]) for number, row in enumerate(rows)
    ]
    labels = sorted({row.target for row in mail})
    commonest = Counter(row.target for row in mail[300:]).most_common(1)[0][1] / len(mail[300:])
    metric = metric_named("accuracy", labels)
    contender = Classifier(metric=metric, labels=labels, load=load_embedder)
    answers = contender.fit(mail[:250], race(mail[250:300])).answer(
        [row.input for row in mail[300:]], seed=0
    )
    right = quality(metric, [one.text for one in answers], [row.target for row in mail[300:]])
    assert right >= 0.6 > 2 * commonest


def test_it_answers_with_the_label_whatever_its_spellings_in_train() -> None:
    written = ["Refund", "delivery", "refund.", "DELIVERY"] * 4
    columns = closed_columns(written, ("Refund", "Delivery"))
    assert columns == {"": ["Refund", "Delivery"] * 8}


def test_values_that_look_the_same_are_one_value_and_case_is_kept() -> None:
    targets = [json.dumps({"a": value}) for value in ("Gru\u0308n", "Grün", "GRÜN\u200b", "GRÜN")]
    columns = closed_columns(targets * 6)
    assert set(columns["a"]) == {'"Grün"', '"GRÜN"'}


class EnglishModel(WordEmbedder):
    """Places all texts that are not English at one spot, as the default model nearly does."""

    name = MODEL


def test_inputs_in_a_script_that_the_model_cannot_read_are_placed_by_their_words() -> None:
    texts = {
        "返品": ["返品したいです", "商品を返品します"],
        "配送": ["配送が遅いです", "配送の状況は"],
    }
    rows = [
        example(n, f"{text}{n}", label)
        for n, (label, text) in enumerate(
            [(label, text) for label, some in texts.items() for text in some] * 5
        )
    ]
    classifier = Classifier(metric=metric_named("accuracy"), load=EnglishModel)
    fitted = classifier.fit(rows, race(rows[:4]))
    assert fitted.fit.settings["embedder"] == "words (LSA)"
    asked = [example(90, "この商品は返品できますか", ""), example(91, "配送はいつ", "")]
    answers = fitted.answer([one.input for one in asked], seed=0)
    assert [answer.text for answer in answers] == ["返品", "配送"]


def test_a_few_rows_of_sets_that_are_known_to_be_closed_are_learned_from() -> None:
    few = [f"label {n}" for n in range(8)]
    with pytest.raises(NotApplicable):
        closed_columns(few)
    assert closed_columns(few, known=True) == {"": few}
    objects = [json.dumps({"product": one}) for one in few]
    with pytest.raises(NotApplicable):
        closed_columns(objects)
    assert closed_columns(objects, known=True) == {"product": [json.dumps(one) for one in few]}
    assert set(set_columns([f"{one}; common" for one in few], known=True)) == {*few, "common"}
    with pytest.raises(NotApplicable, match="lists or objects"):
        closed_columns(['{"a": [1]}'] * 9, known=True)
