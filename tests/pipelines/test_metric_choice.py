"""The metric of a project can judge its rows: found over all rows before anything is fitted."""

import json
from pathlib import Path

import pytest

from command_line import tunewise
from places import ROOT

CASE = ROOT.parent / "shared/cases/21-metric-cannot-judge/rows.jsonl"
GREEK = [
    ("Πόσο κοστίζει;", "20 ευρώ"),
    ("Πότε ανοίγετε;", "Στις 9"),
    ("Έχετε σκηνές;", "Ναι, πολλές"),
    ("Πού είστε;", "Κοντά στο λιμάνι"),
]


@pytest.fixture(autouse=True)
def no_models(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TUNEWISE_CACHE", str(tmp_path / "cache"))


def write(folder: Path, rows: list[tuple[str, str]], toml: str = "") -> Path:
    folder.mkdir(parents=True)
    lines = [json.dumps({"input": question, "output": answer}) for question, answer in rows]
    (folder / "rows.jsonl").write_text("\n".join(lines) + "\n")
    if toml:
        head = '[data]\nexamples = "rows.jsonl"\n[model]\nengine = "scripted"\n[task]\n'
        (folder / "tunewise.toml").write_text(head + toml)
    return folder


def many(pairs: list[tuple[str, str]], count: int = 40) -> list[tuple[str, str]]:
    return [
        (f"{pairs[n % len(pairs)][0]} {n}", f"{pairs[n % len(pairs)][1]} {n * n}")
        for n in range(count)
    ]


def test_answers_in_other_scripts_are_judged_by_their_signs(tmp_path: Path) -> None:
    folder = write(tmp_path / "shop", many(GREEK))
    assert tunewise("init", folder).code == 0
    assert 'metric = "chrf"' in (folder / "tunewise.toml").read_text("utf-8").replace("  ", " ")
    done = tunewise("decide", folder, "--dry-run", "--json")
    assert (done.code, json.loads(done.out)["metric"]) == (0, "chrf")


def test_one_answer_without_words_among_many_is_judged_too(tmp_path: Path) -> None:
    rows = [(f"sum {n}", f"the result is number {n}") for n in range(40)]
    folder = write(tmp_path / "sums", [*rows, ("which sign?", "+")], 'kind = "generation"\n')
    done = tunewise("decide", folder, "--dry-run", "--json")
    assert done.code == 0, done.err
    assert json.loads(done.out)["metric"] == "chrf"


@pytest.mark.parametrize(
    "command", [("check",), ("decide", "--dry-run"), ("decide",), ("train",)], ids=" ".join
)
def test_rows_that_the_metric_cannot_judge_stop_everything_by_their_lines(
    tmp_path: Path, command: tuple[str, ...]
) -> None:
    rows = [(f"sum {n}", f"the result is number {n}") for n in range(40)]
    rows[6] = ("which sign?", "+")
    rows[33] = ("and now?", "...")
    folder = write(tmp_path / "sums", rows, 'kind = "generation"\nmetric = "rouge_l"\n')
    done = tunewise(command[0], folder, *command[1:])
    assert done.code == 1
    told = done.out + done.err
    assert "rows.jsonl:7" in told
    assert "rows.jsonl:34" in told
    assert "holds no word, which rouge_l needs" in told
    assert 'metric = "chrf" judges signs' in " ".join(told.split())


def test_init_names_the_rows_that_its_metric_cannot_judge(tmp_path: Path) -> None:
    rows = [(f"order {n}", json.dumps({"id": n, "open": n % 2 == 0})) for n in range(40)]
    rows[11] = ("order 11", "no such order")
    folder = write(tmp_path / "orders", rows)
    done = tunewise("init", folder)
    assert done.code == 0
    assert "which cannot judge rows.jsonl:12; mend these rows" in done.out
    assert "rows.jsonl:12" in (folder / "tunewise.toml").read_text("utf-8")


def test_a_function_of_the_projects_that_fails_is_found_by_a_dry_run(tmp_path: Path) -> None:
    rows = [(f"how many {n}?", str(n)) for n in range(40)]
    rows[20] = ("how many 20?", "a dozen")
    folder = write(tmp_path / "own", rows, 'kind = "qa"\nmetric = "near:by_value"\n')
    source = "def by_value(answer, target): return float(float(answer) == float(target))\n"
    (folder / "near.py").write_text(source)
    done = tunewise("decide", folder, "--dry-run")
    assert done.code == 1
    assert "rows.jsonl:21" in done.err
    assert "near:by_value raised ValueError" in done.err


def test_the_questions_of_the_report_can_be_judged(tmp_path: Path) -> None:
    if not CASE.exists():
        pytest.skip("the reported cases are not here")
    (tmp_path / "rows.jsonl").write_bytes(CASE.read_bytes())
    assert "judged by chrf" in tunewise("init", tmp_path).out
    assert tunewise("check", tmp_path).code == 0
    done = tunewise("decide", tmp_path, "--dry-run", "--json")
    assert (done.code, json.loads(done.out)["metric"]) == (0, "chrf")
