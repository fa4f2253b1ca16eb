"""Debian's Postgres, started for a test by an ordinary user, reached through a Unix socket."""

import os
import pwd
import shutil
import subprocess
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

ROOT = Path("/usr/lib/postgresql")
USERS = ("postgres", "nobody")
"""Who starts it where the tests run as root, which Postgres refuses."""


def programs() -> Path | None:
    """The folder of its programs; None where it is not installed."""
    found = sorted(ROOT.glob("*/bin/initdb"), key=lambda path: float(path.parts[-3]))
    return found[-1].parent if found else None


@contextmanager
def postgres() -> Generator[str]:
    """The URL of an empty data base; skips the test where there is no Postgres."""
    found = programs()
    if found is None:
        pytest.skip(f"no Postgres below {ROOT}")
    folder = Path(tempfile.mkdtemp(prefix="tunewise-postgres-"))
    user = _ordinary_user()
    if user is not None:
        shutil.chown(folder, user)
    try:
        _run([found / "initdb", "-D", folder / "data", "-A", "trust", "-U", "tunewise"], user)
        options = f"-k {folder} -c listen_addresses='' -c fsync=off"
        control = [found / "pg_ctl", "-D", folder / "data", "-w"]
        _run([*control, "-o", options, "-l", folder / "log", "start"], user)
        try:
            yield f"postgresql:///postgres?host={folder}&user=tunewise"
        finally:
            _run([*control, "-m", "immediate", "stop"], user)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _ordinary_user() -> str | None:
    if os.geteuid() != 0:
        return None
    known = {entry.pw_name for entry in pwd.getpwall()}
    return next(name for name in USERS if name in known)


def _run(words: list[Path | str], user: str | None) -> None:
    subprocess.run(
        [str(word) for word in words],
        user=user,
        check=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd="/",
    )
