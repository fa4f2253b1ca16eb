"""What a job's process makes of a fault that is nobody's."""

import errno
from pathlib import Path

import pytest

from tunewise.serving.jobs import child, training
from tunewise.serving.jobs.places import TRAIN
from tunewise.serving.jobs.project_files import ASKED


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    (tmp_path / ASKED).write_text('{"kind": "supervised"}')
    return folder


def failing(error: OSError) -> object:
    def work(*_: object) -> None:
        raise error

    return work


def test_a_full_disk_ends_a_job_and_says_what_to_do(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full = OSError(errno.ENOSPC, "No space left on device", str(tmp_path / "secret"))
    monkeypatch.setattr(training, "work", failing(full))
    fault = child._done(TRAIN, project, tmp_path / "run").fault
    assert fault is not None
    assert fault.code == "disk_full"
    assert "Free some space" in fault.message
    assert "secret" not in fault.message


def test_what_another_try_may_get_past_ends_the_process(
    project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training, "work", failing(OSError(errno.EIO, "Input/output error")))
    with pytest.raises(OSError, match="Input/output"):
        child._done(TRAIN, project, tmp_path / "run")
