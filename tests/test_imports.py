"""Start-up stays quick: the heavy libraries are loaded when they are needed, not before."""

import json
import os
import random
import subprocess
import sys
from pathlib import Path

import pytest

from example_run import write_run
from served_models import write_versions
from tunewise.models.plain_tokenizer import kept_tokenizer
from tunewise.models.tokenizers import find_tokenizer
from tunewise.project.settings import Model
from tunewise.runs.registry import Registry

HEAVY = (
    "torch",
    "transformers",
    "sentence_transformers",
    "peft",
    "openvino",
    "openvino_genai",
    "sklearn",
    "scipy.stats",
    "scipy.optimize",
    "nltk",
    "rouge_score",
)
"""What takes longer to import than a light command may run."""

COMMAND = f"""
import json, sys
sys.argv = ["tunewise", *json.loads(sys.argv[1])]
try:
    from tunewise.cli import main
    code = main()
except SystemExit as stop:
    code = stop.code
loaded = [name for name in {HEAVY!r} if name in sys.modules]
print(json.dumps({{"code": code or 0, "loaded": loaded}}), file=sys.stderr)
"""

LOADED = f"""
import json, sys
print(json.dumps([name for name in {HEAVY!r} if name in sys.modules]), file=sys.stderr)
"""


def command(*words: str | Path, code: int = 0, folder: Path | None = None) -> str:
    """What a command prints, which loads no heavy library in a fresh interpreter."""
    written = [str(word) for word in words]
    done = subprocess.run(
        [sys.executable, "-c", COMMAND, json.dumps(written)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
        cwd=folder,
        env={**os.environ, "COLUMNS": "200"},
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stderr.splitlines()[-1])
    assert told["code"] == code, done.stderr
    assert not told["loaded"], f"`tunewise {' '.join(written)}` loads {', '.join(told['loaded'])}"
    return done.stdout + done.stderr


def run(program: str) -> tuple[str, list[str]]:
    """Runs the program in a fresh interpreter; its output, and the heavy libraries it loaded."""
    done = subprocess.run(
        [sys.executable, "-c", program + LOADED], capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr
    return done.stdout, json.loads(done.stderr.splitlines()[-1])


@pytest.fixture
def model(small_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A model whose tokenizer was used once before, and an empty cache for it alone."""
    monkeypatch.setenv("TUNEWISE_CACHE", str(tmp_path / "cache"))
    assert find_tokenizer(Model(base=str(small_folder))).tokenizer is not None
    assert kept_tokenizer(small_folder) is not None
    return small_folder


@pytest.fixture
def project(model: Path, tmp_path: Path) -> Path:
    """A project of 300 labelled rows."""
    rng = random.Random(0)
    words = {"billing": ["refund", "card", "invoice"], "delivery": ["parcel", "late", "courier"]}
    folder = tmp_path / "project"
    folder.mkdir()
    lines = [
        {"text": " ".join([*rng.choices(words[label], k=3), f"order {n}"]), "label": label}
        for n, label in enumerate(["billing", "delivery", "delivery"] * 100)
    ]
    (folder / "rows.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (folder / "tunewise.toml").write_text(
        f'[data]\nexamples = "rows.jsonl"\n[model]\nbase = "{model}"\n'
    )
    return folder


def test_importing_the_package_loads_no_heavy_library() -> None:
    assert run("import tunewise")[1] == []


def test_this_check_would_notice_a_heavy_library() -> None:
    assert run("import tunewise, sklearn")[1][0] == "sklearn"


def test_the_hub_library_is_told_not_to_report_its_use() -> None:
    shown, _ = run(
        "import tunewise, huggingface_hub.constants as c; print(c.HF_HUB_DISABLE_TELEMETRY)"
    )
    assert shown.strip() == "True"


def test_help_lists_the_commands() -> None:
    assert "decide" in command("--help")


def test_checking_300_rows_counts_their_tokens_and_doubts_their_labels(project: Path) -> None:
    shown = command("check", project)
    assert "300 rows, classification" in shown
    assert "tokens" in shown


def test_what_reads_web_pages_waits_for_documents() -> None:
    shown, _ = run("import tunewise.pipelines.check, sys; print('bs4' in sys.modules)")
    assert shown.strip() == "False"


def test_checking_a_file_that_is_not_there(tmp_path: Path) -> None:
    assert "nowhere.jsonl" in command("check", tmp_path / "nowhere.jsonl", code=1)


def test_a_dry_run(project: Path) -> None:
    shown = command("decide", project, "--dry-run")
    assert "Nothing was run" in shown


def test_init(project: Path, tmp_path: Path) -> None:
    folder = tmp_path / "new"
    folder.mkdir()
    (project / "rows.jsonl").rename(folder / "rows.jsonl")
    command("init", folder)
    assert (folder / "tunewise.toml").is_file()


def test_report_runs_and_what_is_known_of_them(tmp_path: Path) -> None:
    run_folder = write_run(tmp_path / "runs" / "first")
    (run_folder / "splits.json").write_text("{}")
    assert "Report:" in command("report", run_folder)
    assert "first" in command("runs", "list", tmp_path)


def test_rating_pairs_of_answers(tmp_path: Path) -> None:
    answers = {"fine_tune": "On its way.", "few_shot": "Dear customer, it is on its way."}
    shown = command("rate", write_run(tmp_path / "runs" / "first", answers=answers))
    assert "0 of the 100 pairs" in shown


def test_listing_models(model: Path) -> None:
    assert "No model is prepared yet" in command("models", "list")


def test_models_with_a_name_are_shown_compared_and_moved() -> None:
    write_versions(Registry())
    assert "triage@2  zero_shot on base" in command("models", "list")
    assert "triage@1" in command("models", "show", "triage@1")
    assert "settings.instruction" in command("models", "diff", "triage@1", "triage@2")
    for number in (1, 2):
        command("models", "alias", "triage@production", f"triage@{number}")
    assert "points to triage@1" in command("models", "rollback", "triage@production")
    assert "Deleted triage@2" in command("models", "rm", "triage@2")


@pytest.mark.parametrize("job", ["train", "decide", "check"])
def test_a_fault_in_the_rows_is_told_before_anything_heavy_is_loaded(
    job: str, tmp_path: Path
) -> None:
    rows = tmp_path / "examples.jsonl"
    rows.write_text('{"input": "a", "output": "b"}\n{"input": "cut off\n')
    assert "examples.jsonl:2" in command(job, rows, code=1)


def test_a_row_of_the_gate_set_that_is_trained_on_is_told_as_early(tmp_path: Path) -> None:
    for name in ("rows", "gate"):
        (tmp_path / f"{name}.jsonl").write_text('{"input": "a parcel", "output": "late"}\n')
    (tmp_path / "tunewise.toml").write_text(
        '[data]\nexamples = "rows.jsonl"\ngate = "gate.jsonl"\n'
    )
    said = command("eval", tmp_path, "--model", "next", "--floor", "0.5", code=1)
    assert "gate.jsonl:1: the same input is in" in said
