import json
import random
from pathlib import Path

import pytest
from sklearn.metrics import f1_score

from tunewise.errors import UserError
from tunewise.metrics.by_name import metric_named, quality, score_answers, side_metrics
from tunewise.metrics.label_metrics import read_label
from tunewise.types import Answer

LABELS = ("delivery", "refund", "refund request", "other")


def value(metric: str, answer: str, target: str, labels: tuple[str, ...] | None = None) -> float:
    return metric_named(metric, labels).score(answer, target).value


# --- labels


@pytest.mark.parametrize(
    "answer",
    [
        "refund",
        " Refund\n",
        '"refund"',
        "**Refund**",
        "`refund`.",
        "- refund",
        "refund\n\nBecause …",
    ],
)
def test_case_quotes_markdown_and_what_follows_do_not_change_a_label(answer: str) -> None:
    assert value("accuracy", answer, "refund") == 1
    assert value("accuracy", answer, "refund", LABELS) == 1


def test_without_labels_a_sentence_around_the_label_is_wrong() -> None:
    assert value("accuracy", "The category is refund.", "refund") == 0


@pytest.mark.parametrize(
    "answer",
    [
        "The category is **refund**.",
        "Sure! Here is the classification:\n\nrefund",
        "refund (the customer wants money back)",
        "refund, clearly a refund",
    ],
)
def test_with_labels_an_answer_counts_as_the_only_label_it_names(answer: str) -> None:
    assert value("accuracy", answer, "refund", LABELS) == 1
    assert value("accuracy", answer, "delivery", LABELS) == 0


def test_an_answer_that_names_two_labels_or_none_is_wrong_and_says_so() -> None:
    metric = metric_named("accuracy", LABELS)
    for answer in ("refund or delivery", "I cannot tell", ""):
        judgement = metric.score(answer, "refund")
        assert judgement.value == 0
        assert judgement.reason == "the answer names no single label"


def test_a_first_line_that_is_a_label_decides_whatever_follows() -> None:
    assert value("accuracy", "refund\nNot delivery, because …", "refund", LABELS) == 1


def test_a_label_inside_a_longer_label_or_word_is_not_named() -> None:
    assert read_label("It is a refund request", LABELS) == "refund request"
    assert read_label("They refunded another order", LABELS) is None
    assert (
        read_label("card_payment_fee", ("card_payment", "card_payment_fee")) == "card_payment_fee"
    )
    assert read_label("my card_payment_fees", ("card_payment", "card_payment_fee")) is None


@pytest.mark.parametrize(
    ("answer", "label"),
    [
        ("1.0", "1"),
        ("The answer is 1.0.", "1"),
        ("It is -1.0", "-1"),
        ("I say 10", "10"),
        ("It is 1.5", None),
        ("It is 1.05", None),
        ("3.1", None),
    ],
)
def test_a_whole_number_is_its_value_and_no_part_of_another(answer: str, label: str | None) -> None:
    assert read_label(answer, ("-1", "0", "1", "10")) == label
    assert metric_named("accuracy").score("1.00", "1").value == 1.0
    assert metric_named("accuracy").score("1.10", "1.1").value == 0.0


def test_labels_made_of_signs_alone_are_read_as_they_are() -> None:
    assert value("accuracy", "?", "?", ("?", "!")) == 1
    assert value("accuracy", "!", "?", ("?", "!")) == 0
    assert value("accuracy", "It is C++", "C++", ("C++", "C")) == 1


def test_every_value_of_accuracy_and_macro_f1_is_0_or_1() -> None:
    assert metric_named("accuracy").binary
    assert metric_named("macro_f1").binary


def test_macro_f1_equals_scikit_learns_over_the_labels_that_occur() -> None:
    rng = random.Random(0)
    metric = metric_named("macro_f1", LABELS)
    assert metric.aggregate is not None
    for _ in range(50):
        targets = [rng.choice(LABELS[:3]) for _ in range(12)]
        answers = [rng.choice([*LABELS, "nonsense"]) for _ in range(12)]
        expected = f1_score(
            targets, answers, labels=sorted(set(targets)), average="macro", zero_division=0
        )
        assert metric.aggregate(answers, targets) == pytest.approx(expected, abs=1e-12)


def test_a_crashed_answer_counts_as_wrong_in_the_quality() -> None:
    targets = ["refund", "refund", "delivery", "delivery"]
    answers = ["refund", None, "delivery", "delivery"]
    assert quality(metric_named("accuracy"), answers, targets) == 0.75
    # refund: precision 1, recall 1/2; delivery: 1 and 1
    assert quality(metric_named("macro_f1"), answers, targets) == pytest.approx((2 / 3 + 1) / 2)


TARGET = '{"category": "refund", "urgency": 2, "product": null}'


# --- the user's own function


def write_metric(folder: Path, source: str) -> Path:
    (folder / "my_metric.py").write_text(source, encoding="utf-8")
    return folder


def test_a_function_of_the_users_is_found_in_the_projects_folder(tmp_path: Path) -> None:
    write_metric(tmp_path, "def near(answer, target): return 0.25 if answer == target else 0\n")
    metric = metric_named("my_metric:near", folder=tmp_path)
    assert (metric.name, metric.binary) == ("my_metric:near", False)
    assert metric.score("a", "a").value == 0.25
    assert metric.score("a", "b").value == 0


def test_a_function_annotated_as_bool_makes_a_binary_metric(tmp_path: Path) -> None:
    write_metric(tmp_path, "def same(answer, target) -> bool: return answer == target\n")
    metric = metric_named("my_metric:same", folder=tmp_path)
    assert metric.binary
    assert metric.score("a", "a").value == 1


def test_a_function_can_come_from_an_installed_module() -> None:
    assert metric_named("operator:eq").score("a", "a").value == 1


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("def f(answer, target): return 1.5", "returned 1.5"),
        ("def f(answer, target): return -0.1", "returned -0.1"),
        ("def f(answer, target): return float('nan')", "returned nan"),
        ("def f(answer, target): return '0.8oops'", "returned '0.8oops'"),
        ("import numpy\ndef f(answer, target): return numpy.array([0.5])", "returned array([0.5])"),
        ("def f(answer, target): return 'good'", "returned 'good'"),
        ("def f(answer, target) -> bool: return 0.5", "Return a bool"),
        ("def f(answer, target): return 1 / 0", "raised ZeroDivisionError: division by zero"),
        ("def f(answer): return 1", "raised TypeError"),
    ],
)
def test_what_a_function_does_wrong_is_said_to_its_author(
    tmp_path: Path, source: str, message: str
) -> None:
    metric = metric_named("my_metric:f", folder=write_metric(tmp_path, source))
    with pytest.raises(UserError) as fault:
        metric.score("the answer", "the target")
    assert message in str(fault.value)
    assert "'the answer'" in str(fault.value)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("my_metric:g", "no function 'g'"),
        ("no_such_module_at_all:f", "cannot be imported (ModuleNotFoundError"),
        ("broken:f", "cannot be imported (SyntaxError"),
        ("acuracy", "Did you mean 'accuracy'?"),
        ("best", "Use one of: accuracy, macro_f1"),
    ],
)
def test_a_metric_that_cannot_be_had_says_what_to_do(
    tmp_path: Path, name: str, message: str
) -> None:
    write_metric(tmp_path, "def f(answer, target): return 1")
    (tmp_path / "broken.py").write_text("def f(:", encoding="utf-8")
    with pytest.raises(UserError) as fault:
        metric_named(name, folder=tmp_path)
    assert message in str(fault.value)


# --- scores and side metrics


def test_scores_come_in_the_order_of_the_answers_and_a_crash_is_not_scorable() -> None:
    answers = [
        Answer(example_id="2", contender="rag", seed=0, text="refund"),
        Answer(example_id="1", contender="rag", seed=1, error="the prompt does not fit"),
        Answer(example_id="1", contender="rag", seed=0, text="other"),
    ]
    scores = score_answers(metric_named("accuracy"), answers, {"1": "delivery", "2": "refund"})
    assert [(one.example_id, one.seed, one.value, one.reason) for one in scores] == [
        ("2", 0, 1.0, None),
        ("1", 1, None, "the prompt does not fit"),
        ("1", 0, 0.0, "'other' instead of 'delivery'"),
    ]
    assert {one.metric for one in scores} == {"accuracy"}
    assert {one.contender for one in scores} == {"rag"}


def test_extraction_shows_validity_and_exact_match_beside_the_primary_metric() -> None:
    assert [metric.name for metric in side_metrics("extraction")] == ["valid_json", "exact_match"]
    beside = side_metrics("classification", metric_named("json_fields"))
    assert [metric.name for metric in beside] == ["valid_json", "exact_match"]
    beside = side_metrics("extraction", metric_named("exact_match"))
    assert [metric.name for metric in beside] == ["valid_json"]
    assert [metric.name for metric in side_metrics("qa")] == ["exact_match"]
    assert side_metrics("classification") == ()


def test_valid_json_asks_for_an_object_and_not_for_the_right_one() -> None:
    (valid, _) = side_metrics("extraction")
    assert valid.score(json.dumps({"x": 1}), TARGET).value == 1
    assert valid.score("x", TARGET).value == 0


@pytest.mark.parametrize(
    ("answer", "label"),
    [
        ("C#", "c#"),
        ("**C#**", "c#"),
        ("I would say C#.", "c#"),
        ("# C", "c"),
        ("C.", "c"),
        ("`C++`", "c++"),
        ("no!", "no!"),
        ("NO.", "no"),
        ("no?", "no"),
    ],
)
def test_labels_that_differ_in_a_sign_are_read_apart(answer: str, label: str) -> None:
    assert read_label(answer, ("C", "C#", "C++", "no", "no!")) == label


@pytest.mark.parametrize(
    ("answer", "target"),
    [
        ("Ru\u0308ckgabe", "Rückgabe"),
        ("„Rückgabe\u200b“.", "Ru\u0308ckgabe"),
        ("ＲＥＴＵＲＮ", "return"),
        ("Das ist eine\u00a0Ru\u0308ckgabe!", "Rückgabe"),
        ("答えは返品です。", "返品"),
        ("「返品」", "返品"),
        ("ตอบ: คืนสินค้าค่ะ", "คืนสินค้า"),
        ("환불입니다.", "환불"),
        ("उत्तर: वापसी है", "वापसी"),
    ],
)
def test_a_label_is_read_in_any_script_and_however_its_signs_are_written(
    answer: str, target: str
) -> None:
    labels = ("Rückgabe", "return", "返品", "交換", "คืนสินค้า", "환불", "वापसी", "other")
    for name in ("accuracy", "macro_f1"):
        assert metric_named(name, labels).score(answer, target).value == 1
        assert metric_named(name, labels).score(answer, "other").value == 0


def test_spellings_of_a_label_are_one_class_of_macro_f1() -> None:
    metric = metric_named("macro_f1", ("Yes", "No"))
    assert metric.aggregate is not None
    assert metric.aggregate(["yes", "NO", "Yes.", "No"], ["Yes", "no", "YES", "No."]) == 1
