import json
from pathlib import Path

import pytest

from places import ROOT
from tunewise.metrics.by_name import metric_named, quality, side_metrics
from tunewise.text.answer_text import (
    answer_proper,
    asks_for_mark,
    marked_answer,
    split_thoughts,
    unfenced,
)

LABELS = ("repair", "invoice", "parking")
MET = ROOT.parent / "shared" / "cases" / "10-thinking-and-fences" / "answers.json"


def value(metric: str, answer: str, target: str, labels: tuple[str, ...] | None = None) -> float:
    return metric_named(metric, labels).score(answer, target).value


# --- thoughts

THOUGHT_ANSWERS = [
    "<think>\nParking is named, but it is about the invoice.\n</think>\n\nrepair",
    "<think></think>repair",
    "Parking? No.\n</think>\nrepair",
    "<thinking>Not parking.</thinking>repair",
    "<THINK>Not parking.</THINK> repair",
    "<reasoning>an invoice could be meant</reasoning>\n\nrepair\n",
    "<thought>invoice?</thought>repair",
    '<think effort="high">invoice?</think>repair',
    "[THINK]invoice or parking[/THINK]repair",
    "<|begin_of_thought|>invoice<|end_of_thought|>repair",
    "◁think▷invoice◁/think▷repair",
    "<|channel|>analysis<|message|>Is it an invoice?<|end|><|start|>assistant<|channel|>final"
    "<|message|>repair<|return|>",
    "<|channel|>analysis<|message|>invoice<|end|><|start|>assistant<|channel|>final "
    "<|constrain|>text<|message|>repair",
    "analysisCould be an invoice.assistantfinalrepair",
    "<think>parking</think>repair<think>or the invoice?</think>",
    "<think>The <think> tag opens: invoice.</think>repair",
    "<think>a <think>parking</think> invoice</think> repair",
    "<think>invoice</thinking></think>repair",
    "<think>invoice</think><answer>repair</answer>",
]


@pytest.mark.parametrize("answer", THOUGHT_ANSWERS)
@pytest.mark.parametrize("metric", ["accuracy", "exact_match", "token_f1", "rouge_l", "chrf"])
def test_a_thought_is_no_part_of_the_answer_under_any_metric(metric: str, answer: str) -> None:
    labels = LABELS if metric == "accuracy" else None
    assert value(metric, answer, "repair", labels) == pytest.approx(1)
    assert value(metric, answer, "invoice", labels) < 0.5


@pytest.mark.parametrize(
    "answer",
    [
        "<think>\nIt is a repair, since",
        "<think>first</think><think>repair",
        "repair\n<think>or rather",
        "[THINK]repair",
        "<|channel|>analysis<|message|>repair",
        "<reasoning>repair",
    ],
)
@pytest.mark.parametrize("metric", ["accuracy", "exact_match", "token_f1", "rouge_l", "chrf"])
def test_thoughts_without_an_end_are_no_answer(metric: str, answer: str) -> None:
    judgement = metric_named(metric, LABELS).score(answer, "repair")
    assert (judgement.value, judgement.reason) == (0, "thoughts without an answer")


def test_an_answer_in_json_after_thoughts_with_a_draft_of_it_is_read() -> None:
    answer = '<think>\n{"seats": 3}\n</think>\n```json\n{"seats": 4}\n```'
    (valid, exact) = side_metrics("extraction")
    for metric in (metric_named("json_fields"), valid, exact):
        assert metric.score(answer, '{"seats": 4}').value == 1
    assert valid.score('<think>{"seats": 4}', '{"seats": 4}').value == 0


def test_the_quality_of_all_answers_reads_them_alike() -> None:
    answers = ["<think>invoice</think>repair", "<think>invoice", None]
    targets = ["repair", "invoice", "parking"]
    assert quality(metric_named("accuracy", LABELS), answers, targets) == pytest.approx(1 / 3)
    assert quality(metric_named("macro_f1", LABELS), answers, targets) == pytest.approx(1 / 3)


def test_a_function_of_the_users_sees_no_thoughts_but_its_fences(tmp_path: Path) -> None:
    (tmp_path / "seen.py").write_text(
        "def same(answer, target) -> bool: return answer == '```py\\nx\\n```' and target == 'x'\n",
        encoding="utf-8",
    )
    metric = metric_named("seen:same", folder=tmp_path)
    assert metric.score("<think>hm</think>\n```py\nx\n```", "<think>ha</think>x").value == 1
    assert metric.score("<think>```py\nx\n```", "x").value == 0


def test_a_target_with_thoughts_is_judged_by_what_follows_them() -> None:
    target = "<think>The lift is broken.</think>\nrepair"
    for answer in ("repair", "<think>Another way.</think>repair", target):
        assert value("exact_match", answer, target) == 1
        assert value("accuracy", answer, target, LABELS) == 1
    assert value("exact_match", "The lift is broken.", target) == 0
    assert value("exact_match", "repair", "The lift is broken.\n</think>\n\nrepair") == 1
    assert value("json_fields", '{"a": 1}', '<think>one</think>{"a": 1}') == 1


@pytest.mark.parametrize(
    "target",
    [
        "Put your plan between <think> and </think>.",
        "<think> opens a thought.",
        "A model closes with </think>, then answers.",
        "Write `<think>` first.",
        "<p>See <reasoning>why</reasoning> below.</p>",
        '{"prompt": "<think>plan</think>", "n": 1}',
    ],
)
def test_tags_that_are_content_of_the_target_stay_in_the_answer(target: str) -> None:
    assert value("exact_match", target, target) == 1
    assert value("exact_match", f"<think>What to say?</think>\n{target}", target) == 1
    assert value("token_f1", f"{target} Yes.", target) > 0.6
    assert value("exact_match", "plan", target) == 0


def test_a_target_that_is_nothing_but_a_thought_is_content() -> None:
    assert value("exact_match", "<think>plan</think>", "<think>plan</think>") == 1
    assert value("exact_match", "plan", "<think>plan</think>") == 0


def test_tags_in_the_texts_of_an_answer_in_json_are_content() -> None:
    answer = '{"note": "open <think> first", "n": 1}'
    assert value("json_fields", answer, '{"note": "none", "n": 1}') == 0.5


def test_what_was_thought_is_told_apart_for_counting() -> None:
    assert split_thoughts("<think>\na b\n</think>\nc").thoughts == "a b"
    assert split_thoughts("a b</think>c").thoughts == "a b"
    assert split_thoughts("<think>a b") == ("a b", None)
    assert split_thoughts("<think>\n\n</think>\n\nc") == ("", "c")
    assert split_thoughts(" plain ") == ("", " plain ")
    channels = (
        "<|channel|>analysis<|message|>a b<|end|><|start|>assistant<|channel|>final<|message|>c"
    )
    assert split_thoughts(channels) == ("a b", "c")


# --- fences


@pytest.mark.parametrize(
    "text",
    [
        '```json {"a": 1}```',
        '```{"a": 1}```',
        '``` {"a": 1} ```',
        '```json{"a": 1}```',
        '```JSON\n{"a": 1}\n```',
        '```\n{"a": 1}\n```',
        '~~~\n{"a": 1}\n~~~',
        '~~~json {"a": 1}~~~',
        '````json\n{"a": 1}\n````',
        '```jsonc\n{"a": 1}```',
        '```{"a":\n1}\n```',
        '```json {"a":\n1}\n```',
        '```python\r\n{"a": 1}\r\n```',
        '\n```json\n\n{"a": 1}\n\n```  \n',
        '```json\n{"a": 1}',
    ],
)
def test_a_fence_on_one_line_or_several_is_a_fence(text: str) -> None:
    assert json.loads(str(unfenced(text))) == {"a": 1}
    assert value("json_fields", text, '{"a": 1}') == 1
    assert value("exact_match", text, '{"a": 1}') == 1
    assert value("json_fields", '{"a": 1}', text) == 1


@pytest.mark.parametrize(
    "text",
    [
        'Here: ```json {"a": 1}```',
        '```json\n{"a": 1}\n```\nThat is all.',
        '```json {"a": 1}``` That is all.',
        '```json\n{"a": 1}\n```\n```json\n{"a": 1}\n```',
        '```{"a": 1}``` ```{"a": 1}```',
        '``{"a": 1}``',
        "``````",
        '{"a": 1}',
    ],
)
def test_prose_around_a_fence_and_two_fences_are_no_fence(text: str) -> None:
    assert unfenced(text) is None


def test_a_fence_may_hold_back_ticks_in_a_text_of_its_json() -> None:
    assert value("exact_match", '```json\n{"a": "```x```"}\n```', '{"a": "```x```"}') == 1


@pytest.mark.parametrize("answer", ["```repair```", "```\nrepair\n```", "~~~text repair~~~"])
def test_a_fence_around_a_word_is_taken_off(answer: str) -> None:
    assert value("accuracy", answer, "repair", LABELS) == 1
    assert value("accuracy", answer, "repair") == 1
    assert value("exact_match", answer, "repair") == 1
    assert value("token_f1", answer, "repair") == 1


def test_fences_that_the_target_has_too_stay() -> None:
    code = "```python\nprint(1)\n```"
    assert answer_proper("```python\nprint(2)\n```", code).answer == "```python\nprint(2)\n```"
    assert answer_proper(code, f"Run this:\n{code}").answer == code
    assert answer_proper(code, "print(1)").answer == "print(1)"


def test_lines_of_code_in_a_fence_keep_their_indentation() -> None:
    assert unfenced("```python\n    x = 1\n    y = 2\n```") == "    x = 1\n    y = 2"


# --- marks

STEPS = 'Work in steps, then write "Answer:" and the label.'


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("It is late.\nAnswer: repair", "repair"),
        ("It is late.\n\n**Final answer:** repair", "repair"),
        ("**Answer: repair**", "repair"),
        ("**Final Answer**\n\nrepair", "repair"),
        ("### Answer\nrepair", "repair"),
        ("Steps.\nfinal answer: **repair**", "repair"),
        ("12 and 30.\n#### 42", "42"),
        ("12 and 30.\n#### 42\nGlad to help.", "42"),
        ("So \\(x\\) is $\\boxed{42}$.", "42"),
        ("Answer: $\\boxed{\\frac{1}{2}}$", "\\frac{1}{2}"),
        ("\\boxed{\\text{repair}}", "repair"),
        ("Answer: parking? No. Answer: repair", "repair"),
        ("Late, so the answer is repair.", "repair"),
        ("Answer: repair, as the answer is clear", "repair, as the answer is clear"),
        ('Answer:\n{"a": 1,\n"b": 2}', '{"a": 1,\n"b": 2}'),
        ('{"note": "Answer: x"}', '{"note": "Answer: x"}'),
        ("repair", "repair"),
        ("Answer:", ""),
    ],
)
def test_a_marked_answer_is_what_follows_the_last_mark(text: str, answer: str) -> None:
    assert marked_answer(text) == answer


def test_marks_are_looked_for_where_the_instruction_asks_for_them() -> None:
    asked, unasked = (
        metric_named("accuracy", LABELS, instruction=text) for text in (STEPS, "Sort the letters.")
    )
    answer = "Neither parking nor an invoice.\nAnswer: repair"
    assert asked.score(answer, "repair").value == 1
    assert unasked.score(answer, "repair").value == 0
    assert asked.score(f"<think>Answer: parking</think>{answer}", "repair").value == 1
    assert asked.score("Answer: repair or parking", "repair").value == 0
    target = "It is the lift.\nAnswer: repair"
    assert asked.score("repair", target).value == asked.score(answer, target).value == 1


def test_a_layout_with_the_word_answer_is_no_request_for_a_mark() -> None:
    assert asks_for_mark(STEPS)
    assert asks_for_mark("Reason first. End with #### and the number.")
    assert asks_for_mark("Think, then put the result in \\boxed{}.")
    assert not asks_for_mark('Write the entry as "Question: ..." and "Answer: ..."')
    assert not asks_for_mark("Explain step by step how to reset the password.")


@pytest.mark.parametrize(
    "target", ["12 + 30 = 42\n#### 42", "That makes \\boxed{42}.", "Sum: $\\boxed{42}$"]
)
def test_a_target_whose_result_closes_it_behind_a_mark_is_matched_by_its_result(
    target: str,
) -> None:
    for answer in ("30 + 12\n#### 42", "\\boxed{42}", "42"):
        assert value("exact_match", answer, target) == 1
    assert value("exact_match", "#### 43", target) == 0
    assert value("token_f1", "42", target) < 1  # steps are part of a text


def test_headings_and_answers_in_a_text_are_its_content() -> None:
    target = "#### Hours\nNine to five."
    assert value("exact_match", "Nine to five.", target) == 0
    assert value("exact_match", "yes", "Question: open?\nAnswer: yes") == 0


# --- what was met


@pytest.mark.skipif(not MET.is_file(), reason="the answers that were met are not here")
def test_every_answer_that_was_met_is_judged_right() -> None:
    for answer, target, metric, labels, wanted in json.loads(MET.read_text(encoding="utf-8")):
        known = tuple(labels) if labels else None
        assert value(metric, answer, target, known) == wanted, answer


def test_prose_that_names_two_labels_stays_wrong() -> None:
    assert value("accuracy", "<think>repair</think>invoice or parking", "invoice", LABELS) == 0
