from pathlib import Path

import pytest
import torch

from tunewise.training.checkpoint import read_state, write_state

STATE = {"epochs": [{"number": 1, "loss": 0.5}], "weights": torch.arange(5000.0), "precision": "x"}


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    write_state(STATE, tmp_path / "state.pt")
    found = read_state(tmp_path / "state.pt")
    assert found
    assert found["epochs"] == STATE["epochs"]
    assert torch.equal(found["weights"], torch.arange(5000.0))
    assert [path.name for path in tmp_path.iterdir()] == ["state.pt"]


def test_no_file_is_no_state(tmp_path: Path) -> None:
    assert read_state(tmp_path / "state.pt") is None


@pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 0.9, 0.999])
def test_a_file_that_is_cut_off_is_no_state(share: float, tmp_path: Path) -> None:
    write_state(STATE, tmp_path / "state.pt")
    whole = (tmp_path / "state.pt").read_bytes()
    (tmp_path / "state.pt").write_bytes(whole[: int(share * len(whole))])
    assert read_state(tmp_path / "state.pt") is None


def test_a_write_that_fails_half_way_leaves_the_old_state(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_state({"n": 1}, tmp_path / "state.pt")

    def fail(state: object, handle: object) -> None:
        handle.write(b"half")  # type: ignore[attr-defined]
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", fail)
    with pytest.raises(OSError, match="No space left"):
        write_state({"n": 2}, tmp_path / "state.pt")
    assert read_state(tmp_path / "state.pt") == {"n": 1}


def test_a_pickle_that_runs_code_is_no_state(tmp_path: Path) -> None:
    class Evil:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return exec, ("raise SystemExit('ran foreign code')",)

    torch.save({"evil": Evil()}, tmp_path / "state.pt")
    assert read_state(tmp_path / "state.pt") is None
