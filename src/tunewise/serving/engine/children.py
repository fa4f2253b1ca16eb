"""Processes of the server: started with a socket to talk through, and ended with the server."""

import os
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from typing import NamedTuple

from tunewise.interrupts import end_with_parent


class Child(NamedTuple):
    """A process that was started."""

    process: subprocess.Popen[bytes]
    socket: socket.socket
    """The server's end."""


def start_child(module: str, *arguments: str, environment: Mapping[str, str]) -> Child:
    """Runs a module of ours in a fresh interpreter, which gets the number of its socket first.

    Call it from a thread that lives as long as the child shall: Linux ends the child with it.

    Args:
        module: full name; it calls `joined` at once.
        arguments: for it, after the socket's number.
        environment: added to ours.
    """
    ours, theirs = socket.socketpair()
    with theirs:
        process = subprocess.Popen(  # noqa: S603 - our own interpreter, arguments as a list
            [sys.executable, "-P", "-m", module, str(theirs.fileno()), *arguments],
            pass_fds=[theirs.fileno()],
            stdin=subprocess.DEVNULL,
            env={**os.environ, **environment},
        )
    return Child(process, ours)


def joined() -> socket.socket:
    """In a child: its socket. From here on it ends with its parent, and answers no Ctrl-C itself.

    If that died before, the child finds its socket closed, and ends.
    """
    end_with_parent(os.getppid())
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Meant for the server, which ends its children.
    return socket.socket(fileno=int(sys.argv[1]))
