"""Processes that talk through a socket, and end with the one that started them."""

import asyncio
import os
import subprocess
import sys
from pathlib import Path

import pytest

from chat_engines import until
from tunewise.serving.engine.children import start_child

CHILD = """
import sys, time
from tunewise.serving.engine.children import joined
connection = joined()
connection.sendall(" ".join(sys.argv[2:]).encode() + b"\\n")
time.sleep(600)
"""
SERVER = """
import os, sys, time
from tunewise.serving.engine.children import start_child
child = start_child("patient", "hello", environment={})
assert child.socket.recv(100) == b"hello\\n"
print(child.process.pid, flush=True)
time.sleep(600)
"""


@pytest.fixture
def beside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A module `patient` that children can run."""
    (tmp_path / "patient.py").write_text(CHILD)
    paths = [str(tmp_path), os.environ.get("PYTHONPATH", "")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(filter(None, paths)))


@pytest.mark.usefixtures("beside")
def test_a_child_gets_its_arguments_and_talks_through_its_socket() -> None:
    child = start_child("patient", "a", "b c", environment={})
    try:
        assert child.socket.recv(100) == b"a b c\n"
    finally:
        child.process.kill()
        child.process.wait()
        child.socket.close()


@pytest.mark.skipif(sys.platform != "linux", reason="Linux ties a child to its parent")
@pytest.mark.usefixtures("beside")
def test_a_child_dies_with_its_server() -> None:
    server = subprocess.Popen([sys.executable, "-c", SERVER], stdout=subprocess.PIPE, text=True)
    with server:
        assert server.stdout is not None
        pid = int(server.stdout.readline())
        assert runs(pid)
        server.kill()
        server.wait()
    asyncio.run(until(lambda: not runs(pid)))


def runs(pid: int) -> bool:
    """Whether a process is there and not dead, waiting for its parent to notice."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"
