"""The process that makes grammars: `python -m tunewise.serving.engine.grammar_child SOCKET`.

It reads vocabularies, and forks for every schema: the fork may take a second of processor time and
some memory, and is killed beyond.
"""

import os
import resource
import select
import signal
import socket
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import xgrammar

from tunewise.errors import first_line
from tunewise.interrupts import end_with_parent
from tunewise.models import loading
from tunewise.serving.engine.children import joined
from tunewise.serving.engine.wire import COMPILE, COMPILED, Compile, Compiled

CPU_SECONDS, WALL_SECONDS = 1, 5
"""What one schema may take."""
MEMORY = 2**29
"""Bytes that one schema may take."""
LONGEST = 2**18
"""Characters of a grammar: the engine compiles it again, within a step."""
AT_ONCE = 2
"""Forks at a time."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Fork:
    """A schema at work."""

    asked: Compile
    pid: int
    until: float
    said: bytearray


class Maker:
    """Makes grammars for the server at the other end of a socket."""

    def __init__(self, connection: socket.socket) -> None:
        self._socket = connection
        self._begun = bytearray()
        self._waiting: list[Compile] = []
        self._forks: dict[int, _Fork] = {}
        """By the pipe from which its answer is read."""
        self._vocabularies: dict[str, Any] = {}

    def run(self) -> None:
        """Works until the server is gone."""
        while True:
            while self._waiting and len(self._forks) < AT_ONCE:
                self._fork(self._waiting.pop(0))
            pause = 0.05 if self._forks else None
            ready, _, _ = select.select([self._socket, *self._forks], [], [], pause)
            if self._socket in ready and not self._receive():
                return
            for pipe in [one for one in self._forks if one in ready]:
                part = os.read(pipe, 2**16)
                self._forks[pipe].said.extend(part)
                if not part:
                    self._end(pipe)
            for pipe, fork in list(self._forks.items()):
                if time.monotonic() > fork.until:
                    os.kill(fork.pid, signal.SIGKILL)
                    self._end(pipe)

    def _receive(self) -> bool:
        part = self._socket.recv(2**16)
        self._begun += part
        *lines, rest = self._begun.split(b"\n")
        self._begun = bytearray(rest)
        self._waiting += [COMPILE.validate_json(bytes(line)) for line in lines]
        return bool(part)

    def _fork(self, asked: Compile) -> None:
        try:
            vocabulary = self._vocabulary(asked.folder)
        except Exception as error:  # noqa: BLE001 - of this base alone: others go on
            self._answer(Compiled(number=asked.number, fault=first_line(error)))
            return
        reading, writing = os.pipe()
        pid = os.fork()
        if not pid:
            _make(vocabulary, asked, writing)
        os.close(writing)
        until = time.monotonic() + WALL_SECONDS
        self._forks[reading] = _Fork(asked=asked, pid=pid, until=until, said=bytearray())

    def _vocabulary(self, folder: str) -> Any:
        if folder not in self._vocabularies:
            tokenizer = loading.load_tokenizer(Path(folder))
            info = cast("Any", xgrammar).TokenizerInfo.from_huggingface(tokenizer)
            self._vocabularies[folder] = info
        return self._vocabularies[folder]

    def _end(self, pipe: int) -> None:
        fork = self._forks.pop(pipe)
        os.close(pipe)
        _, status = os.waitpid(fork.pid, 0)
        if os.waitstatus_to_exitcode(status) == 0:
            self._answer(COMPILED.validate_json(bytes(fork.said)))
        else:
            fault = f"it takes more than {CPU_SECONDS} s or too much memory to compile"
            self._answer(Compiled(number=fork.asked.number, fault=fault))

    def _answer(self, compiled: Compiled) -> None:
        self._socket.sendall(COMPILED.dump_json(compiled) + b"\n")


def grammar_of(schema: str) -> Any:
    """xgrammar's grammar of a JSON schema.

    Properties come in the schema's order, only those that it names unless it says otherwise, and
    there is no white space, with which a model can fill all the tokens it has.

    Raises:
        RuntimeError: xgrammar does not read it.
    """
    grammar = cast("Any", xgrammar).Grammar
    made = grammar.from_json_schema(schema, any_whitespace=False, separators=(",", ":"))
    # Texts of a bounded length may hold control characters there, which JSON forbids. (Within a
    # literal, a backslash is written as two.)
    text = str(made).replace(r"[^\"\\\r\n]", r"[^\0-\x1f\"\\\r\n]")
    return grammar.from_ebnf(text)


def _make(vocabulary: Any, asked: Compile, pipe: int) -> None:
    """In a fork: writes the grammar, or why there is none, and ends."""
    status = 1
    try:
        end_with_parent(os.getppid())
        _limit()
        xgr = cast("Any", xgrammar)
        try:
            grammar = grammar_of(asked.schema)
            text = str(grammar)
            if len(text) > LONGEST:
                raise RuntimeError(f"its grammar has more than {LONGEST} characters")
            compiler = xgr.GrammarCompiler(vocabulary, max_threads=1, cache_enabled=False)
            compiler.compile_grammar(grammar)
            made = Compiled(number=asked.number, grammar=text)
        except RuntimeError as error:
            made = Compiled(number=asked.number, fault=first_line(error))
        view = memoryview(COMPILED.dump_json(made))
        while view:
            view = view[os.write(pipe, view) :]
        status = 0
    finally:
        os._exit(status)


def _limit() -> None:
    """Has the system end this process when it takes too much; of memory, on Linux alone."""
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_SECONDS, CPU_SECONDS))
    if sys.platform == "linux":
        pages = int(Path("/proc/self/statm").read_text("ascii").split()[0])
        most = pages * resource.getpagesize() + MEMORY
        resource.setrlimit(resource.RLIMIT_AS, (most, most))


def main() -> None:
    """Runs until the server ends it."""
    Maker(joined()).run()
    sys.exit(0)


if __name__ == "__main__":
    main()
