from pathlib import Path

import pytest

from tunewise.project.derived import without_constant
from tunewise.project.load import load_project


@pytest.mark.parametrize(
    ("use", "told"),
    [
        (["zero_shot", "fine_tune"], True),
        (["constant", "zero_shot", "fine_tune"], False),
        (["zero_shot", "few_shot"], False),
    ],
)
def test_a_fine_tune_that_has_no_constant_to_beat_is_told_of(
    tmp_path: Path, use: list[str], told: bool
) -> None:
    (tmp_path / "rows.jsonl").write_text("{}\n", "utf-8")
    names = ", ".join(f'"{name}"' for name in use)
    (tmp_path / "tunewise.toml").write_text(
        f'[data]\nexamples = "rows.jsonl"\n[contenders]\nuse = [{names}]\n', "utf-8"
    )
    said = without_constant(load_project(tmp_path))
    assert bool(said) is told
    if told:
        assert "fine_tune cannot be advised" in said[0]
