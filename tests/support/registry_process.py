"""What a second process does with a registry: moves an alias, or adds versions until it is killed.

python registry_process.py HOME move ALIAS VERSIONS TIMES    points the alias to versions in turn
python registry_process.py HOME kill_at N                    adds a version; killed at the n-th step
python registry_process.py HOME kill_moving N                moves an alias; killed likewise
"""

import os
import signal
import sqlite3
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from tunewise import storage
from tunewise.errors import UserError
from tunewise.runs import registry, registry_file
from tunewise.runs.registry import Registry
from tunewise.runs.registry_file import Lineage


def add(models: Registry, token: str, name: str = "triage") -> registry.Version:
    """A version without anything in it."""
    with models.staging() as folder:
        (folder / "model.json").write_text("{}")
        return models.add(
            name, folder, lineage=Lineage(token=token, contender="prompt"), card=lambda title: title
        )


def die_at(step: int) -> None:
    """From now on the process is killed at the n-th thing that it does to the disk."""
    left = [step]

    def counted(act: Callable[..., Any]) -> Callable[..., Any]:
        def acting(*given: Any, **named: Any) -> Any:
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)
            return act(*given, **named)

        return acting

    os.fsync = counted(os.fsync)
    Path.rename = counted(Path.rename)  # type: ignore[method-assign]
    for module in (storage, registry_file):
        module.append_lines = counted(module.append_lines)  # type: ignore[attr-defined]
    registry.insert_version = counted(registry.insert_version)
    connect = sqlite3.connect

    class Counted(sqlite3.Connection):
        def execute(self, sql: str, *given: Any) -> sqlite3.Cursor:
            if sql == "COMMIT":
                return counted(super().execute)(sql, *given)
            return super().execute(sql, *given)

    registry_file.sqlite3.connect = lambda *a, **k: connect(*a, **{**k, "factory": Counted})


def main() -> None:
    """See above."""
    home, act, *rest = sys.argv[1:]
    models = Registry(Path(home))
    if act == "move":
        alias, count, times = rest[0], int(rest[1]), int(rest[2])
        for n in range(times):
            models.set_alias("triage", alias, n % count + 1)
            if n % 5 == 4:
                with suppress(UserError):  # the other one rolled it back to its first version
                    models.rollback("triage", alias)
        return
    die_at(int(rest[0]))
    if act == "kill_at":
        add(models, "new")
    else:
        models.set_alias("triage", "production", 2)
    sys.stdout.write("survived")


if __name__ == "__main__":
    main()
