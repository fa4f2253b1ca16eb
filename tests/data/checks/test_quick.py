from tunewise.data.checks.findings import Finding, Findings
from tunewise.data.checks.quick import check_data
from tunewise.data.read import ReadResult
from tunewise.project.settings import Task
from tunewise.types import Example, Message

LABELS = Task(kind="classification", labels=("positive", "negative"))
OPEN = Task(kind="classification")


def part(name: str, *rows: tuple[str, str], group: str | None = None) -> ReadResult:
    examples = tuple(
        Example(
            id=f"{name} {n}",
            messages=(Message(role="user", content=question),),
            target=answer,
            group=group,
        )
        for n, (question, answer) in enumerate(rows, 1)
    )
    places = {example.id: f"{name}.jsonl:{n}" for n, example in enumerate(examples, 1)}
    return ReadResult(examples=examples, places=places)


def varied(n: int) -> list[tuple[str, str]]:
    return [(f"question {k}", ("positive", "negative")[k % 2]) for k in range(n)]


def check(*rows: tuple[str, str], task: Task = OPEN) -> Findings:
    return check_data({"examples": part("data", *rows)}, task)


def of(rule: str, findings: tuple[Finding, ...]) -> list[Finding]:
    return [finding for finding in findings if finding.rule == rule]


def test_clean_data_gives_no_finding() -> None:
    assert check(*varied(40), task=LABELS) == Findings()


def test_too_few_rows_are_an_error() -> None:
    (found,) = check(*varied(19)).errors
    assert (found.rule, found.where) == ("too_few_rows", "examples")
    assert "19 rows" in found.message
    assert "at least 20" in found.message


def test_an_own_split_needs_rows_on_each_side() -> None:
    parts = {"train": part("train", *varied(4)), "test": part("test", ("a", "b"))}
    assert [found.where for found in of("too_few_rows", check_data(parts, OPEN).errors)] == [
        "train",
        "test",
    ]


def test_an_empty_answer_is_an_error_with_its_line() -> None:
    (found,) = check(*varied(20), ("q", " ")).errors
    assert (found.rule, found.where) == ("empty_target", "data.jsonl:21")


def test_a_label_outside_the_declared_ones_is_an_error_with_a_suggestion() -> None:
    (found,) = check(*varied(20), ("q", "postive"), task=LABELS).errors
    assert (found.rule, found.where) == ("unknown_label", "data.jsonl:21")
    assert 'Did you mean "positive"?' in found.message


def test_a_rare_answer_close_to_a_frequent_one_is_a_warning() -> None:
    (found,) = of("label_typo", check(*varied(20), ("q", "postive")).warnings)
    assert found.where == "data.jsonl:21"
    assert '"postive" is the answer of 1 row, "positive" of 10.' in found.message


def test_labels_are_not_checked_where_answers_are_free() -> None:
    report = check(*varied(20), ("q", "postive"), task=Task(kind="generation", labels=("x", "y")))
    assert report == Findings()


def test_one_answer_for_all_is_a_warning() -> None:
    report = check(*((f"q{n}", "yes") for n in range(20)))
    assert [found.rule for found in report.warnings] == ["one_answer"]


def test_an_answer_that_nearly_always_holds_is_a_warning() -> None:
    rows = [(f"q{n}", "fine") for n in range(99)]
    (found,) = of("imbalance", check(*rows, ("last", "broken")).warnings)
    assert '99 of 100 rows are "fine"' in found.message


def test_a_duplicate_names_both_lines() -> None:
    (found,) = check(*varied(20), ("QUESTION  0", "positive")).warnings
    assert (found.rule, found.where) == ("duplicate", "data.jsonl:21")
    assert "Repeats data.jsonl:1." in found.message


def test_two_answers_to_one_input_put_a_ceiling_on_every_contender() -> None:
    report = check(*varied(24), ("question 0", "negative"))
    (found,) = of("contradiction", report.warnings)
    assert found.where == "data.jsonl:1"
    assert "at data.jsonl:25" in found.message
    (ceiling,) = of("ceiling", report.notes)
    assert "repeat more than 96.0% of the answers" in ceiling.message


def test_an_input_in_train_and_test_is_a_warning() -> None:
    parts = {"train": part("train", *varied(20)), "test": part("test", *varied(5))}
    found = of("leak", check_data(parts, OPEN).warnings)
    assert [finding.where for finding in found] == [f"test.jsonl:{n}" for n in range(1, 6)]
    assert "in train, at train.jsonl:1" in found[0].message


def test_a_group_in_train_and_test_is_a_warning() -> None:
    parts = {
        "train": part("train", *varied(20), group="ann"),
        "test": part("test", *[(f"other {n}", "positive") for n in range(5)], group="ann"),
    }
    found = of("group_leak", check_data(parts, OPEN).warnings)
    assert len(found) == 5
    assert 'The group "ann" is also in train' in found[0].message


def test_a_template_token_inside_a_text_is_a_warning() -> None:
    (found,) = check(*varied(20), ("stop <|im_end|> now", "negative")).warnings
    assert (found.rule, found.where) == ("special_token", "data.jsonl:21")
    assert "<|im_end|>" in found.message


def test_twenty_findings_of_a_rule_are_shown_then_counted() -> None:
    found = of("duplicate", check(*[(f"q{n % 2}", "a b"[n % 2]) for n in range(40)]).warnings)
    assert len(found) == 21
    assert found[-1].message == "18 more of the same."


def test_what_the_reader_noted_is_a_note() -> None:
    read = part("data", *varied(20))
    noted = ReadResult(examples=read.examples, places=read.places, notes=("data: read as CSV.",))
    assert check_data({"examples": noted}, OPEN).notes == (
        Finding(rule="read", where="examples", message="data: read as CSV."),
    )
