"""The process of an engine of this machine.

`python -m tunewise.serving.engine.child SOCKET ENGINE MERGED LOADED BYTES`
"""

import os
import select
import socket
import sys
from pathlib import Path

from tunewise.errors import first_line
from tunewise.serving.engine.backend import Backend
from tunewise.serving.engine.children import joined
from tunewise.serving.engine.wire import FROM_ENGINE, TO_ENGINE, Broken, FromEngine, ToEngine, Up
from tunewise.serving.engine.worker import Worker

NICE = 5
"""Added to its niceness: it takes every core, and the server has to answer beside it."""
_CHUNK = 2**16


class SocketLine:
    """Messages over a socket, one a line; a pipe to ourselves wakes who waits."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._waker, self._wake = os.pipe()
        os.set_blocking(self._wake, False)
        self._begun = bytearray()

    def receive(self, *, wait: bool) -> list[ToEngine]:
        """See `Line.receive`.

        Raises:
            EOFError: the server is gone.
        """
        messages: list[ToEngine] = []
        while True:
            idle = wait and not messages
            ready, _, _ = select.select([self._socket, self._waker], [], [], None if idle else 0)
            if self._waker in ready:
                os.read(self._waker, _CHUNK)
                wait = False
            if self._socket not in ready:
                if not wait or messages:
                    return messages
                continue
            part = self._socket.recv(_CHUNK)
            if not part:
                raise EOFError
            self._begun += part
            *lines, rest = self._begun.split(b"\n")
            self._begun = bytearray(rest)
            messages += [TO_ENGINE.validate_json(bytes(line)) for line in lines]

    def send(self, message: FromEngine) -> None:
        """See `Line.send`."""
        self._socket.sendall(FROM_ENGINE.dump_json(message) + b"\n")

    def wake(self) -> None:
        """See `Line.wake`."""
        os.write(self._wake, b".")


def backend_of(engine: str) -> Backend:
    """The library that runs models.

    Args:
        engine: a key of `CAPABILITIES`.
    """
    if engine == "llamacpp":
        from tunewise.serving.engine.llamacpp import (  # noqa: PLC0415 - an extra's library
            LlamaCppBackend,
        )

        return LlamaCppBackend()
    if engine == "transformers":
        from tunewise.serving.engine.transformers import (  # noqa: PLC0415 - slow to import
            TransformersBackend,
        )

        return TransformersBackend()
    from tunewise.serving.engine.openvino import (  # noqa: PLC0415 - not where another engine runs
        OpenVinoBackend,
    )

    return OpenVinoBackend()


def main() -> None:
    """Runs until the server ends it, or a pipeline fails."""
    line = SocketLine(joined())
    os.nice(NICE)
    _, _, engine, merged, max_loaded, cache_bytes = sys.argv
    worker = Worker(
        line,
        backend_of(engine),
        Path(merged),
        max_loaded=int(max_loaded),
        cache_bytes=int(cache_bytes),
    )
    line.send(Up())
    status = 0
    try:
        worker.run()
    except (EOFError, BrokenPipeError, ConnectionResetError):
        pass  # The server is gone.
    except Exception as error:  # noqa: BLE001 - the boundary of the process: another is started
        line.send(Broken(why=first_line(error)))
        status = 1
    # Pipelines may be in any state, and closing them could take for ever.
    os._exit(status)


if __name__ == "__main__":
    main()
