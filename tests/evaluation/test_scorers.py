import json
import random
from pathlib import Path

import pytest
import sacrebleu
from rouge_score import rouge_scorer
from sklearn.metrics import f1_score

from tunewise.errors import UserError
from tunewise.evaluation.label_metrics import read_label
from tunewise.evaluation.scorers import metric_named, quality, score_answers, side_metrics
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


# --- JSON

TARGET = '{"category": "refund", "urgency": 2, "product": null}'


def test_json_fields_is_the_f1_over_fields() -> None:
    assert value("json_fields", TARGET, TARGET) == 1
    assert value("json_fields", '{"category": "refund", "urgency": 2}', TARGET) == pytest.approx(
        2 * 2 / (2 + 3)
    )
    wrong = '{"category": "refund", "urgency": 3, "product": null, "note": "x"}'
    judgement = metric_named("json_fields").score(wrong, TARGET)
    assert judgement.value == pytest.approx(2 * 2 / (4 + 3))
    assert judgement.reason == "differs in note, urgency"


@pytest.mark.parametrize(
    "answer",
    ["", "refund", "[1]", '{"a": 1', f"Here it is: {TARGET}", '{"a": NaN}', "[" * 100_000],
    ids=["empty", "word", "list", "cut", "prose", "NaN", "deep"],
)
def test_what_is_no_json_object_scores_0(answer: str) -> None:
    judgement = metric_named("json_fields").score(answer, TARGET)
    assert (judgement.value, judgement.reason) == (0, "not a JSON object")


def test_one_code_fence_around_the_object_is_allowed() -> None:
    assert value("json_fields", f"```json\n{TARGET}\n```", TARGET) == 1
    assert value("json_fields", f"\n```\n{TARGET}\n```\n", TARGET) == 1
    assert value("json_fields", f"```json\n{TARGET}\n```\nDone.", TARGET) == 0


@pytest.mark.parametrize(
    ("given", "same"),
    [
        ('{"a": 2.0}', True),
        ('{"a": "2"}', False),
        ('{"a": true}', False),
        ('{"a": null}', False),
        ('{"b": 2}', False),
    ],
)
def test_values_are_compared_with_their_types(given: str, same: bool) -> None:
    assert value("json_fields", given, '{"a": 2}') == float(same)


def test_true_is_not_1_in_either_direction() -> None:
    assert value("json_fields", '{"a": 1}', '{"a": true}') == 0
    assert value("exact_match", '{"a": 1}', '{"a": true}') == 0


def test_strings_in_fields_are_compared_without_case_and_extra_blanks() -> None:
    assert value("json_fields", '{"a": " kestrel  2 TENT "}', '{"a": "Kestrel 2 tent"}') == 1
    assert value("json_fields", '{"a": "Kestrel 4 tent"}', '{"a": "Kestrel 2 tent"}') == 0


def test_the_order_of_a_list_does_not_matter_but_how_often_an_item_occurs_does() -> None:
    assert value("json_fields", '{"a": [2, 1]}', '{"a": [1, 2]}') == 1
    assert value("json_fields", '{"a": [1, 1]}', '{"a": [1]}') == pytest.approx(2 / 3)


def test_an_empty_object_that_is_wanted_is_a_field_of_its_own() -> None:
    assert value("json_fields", "{}", "{}") == 1
    target = '{"intent": "x", "slots": {}}'
    assert value("json_fields", '{"intent": "x", "slots": {"a": 1}}', target) == 0.5


def test_a_target_that_is_no_object_is_an_error_for_the_user() -> None:
    with pytest.raises(UserError, match="json_fields needs targets that are JSON objects"):
        value("json_fields", TARGET, "refund")


def test_exact_match_of_objects_ignores_the_order_of_keys_but_not_case() -> None:
    assert value("exact_match", '{"b":2,"a":"X"}', '{"a": "X", "b": 2}') == 1
    assert value("exact_match", '{"b":2,"a":"x"}', '{"a": "X", "b": 2}') == 0


def test_exact_match_of_texts_collapses_white_space_only() -> None:
    assert value("exact_match", " 40  °C\n", "40 °C") == 1
    assert value("exact_match", "40 °c", "40 °C") == 0
    assert value("exact_match", "40 °C.", "40 °C") == 0


# --- text


@pytest.mark.parametrize(
    ("answer", "target", "expected"),
    [
        # Rajpurkar et al. 2016: articles, punctuation and case do not count.
        ("the Denver Broncos", "Denver Broncos", 1.0),
        ("Santa Clara, California.", "santa clara california", 1.0),
        # One word of the answer's three, one of the target's two: precision 1/3, recall 1/2.
        ("in December 2015", "December 1999", 0.4),
        ("gold gold gold", "gold", 0.5),
        ("Carolina Panthers", "Denver Broncos", 0.0),
        # SQuAD 2.0: no words left on either side.
        ("the", "a", 1.0),
        ("", "Denver", 0.0),
    ],
)
def test_token_f1_is_that_of_squad(answer: str, target: str, expected: float) -> None:
    assert value("token_f1", answer, target) == pytest.approx(expected)


def test_rouge_l_is_googles_with_stems() -> None:
    target, answer = (
        "The quick brown fox jumps over the lazy dog",
        "The quick brown dog jumps on the log.",
    )
    library = rouge_scorer.RougeScorer(["rougeL"], use_stemmer=True)
    assert value("rouge_l", answer, target) == library.score(target, answer)["rougeL"].fmeasure
    # the README of rouge-score: 5 words in common order, of 8 and of 9
    assert value("rouge_l", answer, target) == pytest.approx(2 * 5 / (8 + 9))


def test_rouge_l_refuses_targets_in_scripts_that_it_cannot_read() -> None:
    with pytest.raises(UserError, match='Use metric = "chrf"'):
        value("rouge_l", "你好", "你好")


def test_chrf_is_sacrebleus_over_100() -> None:
    target, answer = "The cat sat on the mat.", "A cat is on the mat."
    assert value("chrf", answer, target) == sacrebleu.sentence_chrf(answer, [target]).score / 100
    assert value("chrf", target, target) == pytest.approx(1)
    assert value("chrf", "你好", "你好") == pytest.approx(1)
    assert value("chrf", "", target) == 0


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
