"""Start-up stays quick: the heavy libraries are loaded when they are needed, not before."""

import json
import subprocess
import sys
from pathlib import Path

HEAVY = (
    "torch",
    "transformers",
    "sentence_transformers",
    "peft",
    "openvino",
    "openvino_genai",
    "pyarrow",
    "sklearn",
)

LOADED = f"""
import json, sys
print(json.dumps([name for name in {HEAVY!r} if name in sys.modules]), file=sys.stderr)
"""

HELP = """
import sys
sys.argv = ["tunewise", "--help"]
from tunewise.cli import main
try:
    code = main()
except SystemExit as stop:
    code = stop.code
assert not code, code
"""

TRAIN = """
import contextlib, sys
sys.argv = ["tunewise", "train", {path!r}]
from tunewise.cli import main
with contextlib.redirect_stderr(sys.stdout):
    try:
        main()
    except SystemExit as stop:
        assert stop.code == 1, stop.code
"""


def run(program: str) -> tuple[str, list[str]]:
    """Runs the program in a fresh interpreter; its output, and the heavy libraries it loaded."""
    done = subprocess.run(
        [sys.executable, "-c", program + LOADED], capture_output=True, text=True, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout, json.loads(done.stderr.splitlines()[-1])


def test_importing_the_package_loads_no_heavy_library() -> None:
    assert run("import tunewise")[1] == []


def test_help_lists_the_commands_and_loads_no_heavy_library() -> None:
    shown, loaded = run(HELP)
    assert "decide" in shown
    assert loaded == []


def test_a_fault_in_the_rows_is_found_before_training_loads_a_heavy_library(tmp_path: Path) -> None:
    rows = tmp_path / "examples.jsonl"
    rows.write_text('{"input": "a", "output": "b"}\n{"input": "cut off\n')
    said, loaded = run(TRAIN.format(path=str(rows)))
    assert "examples.jsonl:2: is not JSON" in said
    assert set(loaded) <= {"pyarrow"}  # which reads rows


def test_this_check_would_notice_a_heavy_library() -> None:
    assert run("import tunewise, torch")[1] == ["torch"]


def test_the_hub_library_is_told_not_to_report_its_use() -> None:
    shown, _ = run(
        "import tunewise, huggingface_hub.constants as c; print(c.HF_HUB_DISABLE_TELEMETRY)"
    )
    assert shown.strip() == "True"
