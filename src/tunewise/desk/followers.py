"""Follows runs for browsers: one reader of a run's files, however many pages show it."""

import asyncio
from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from pathlib import Path

from anyio import to_thread

from tunewise.desk.course import Course

EVERY = 1.0
"""Seconds between looks."""
TOLD = 10.0
"""Seconds after which pages are told anyway, for the time left."""


@dataclass(kw_only=True, slots=True)
class _Followed:
    course: Course
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)
    version: int = 0
    pages: int = 0
    reader: "asyncio.Task[None] | None" = None


class Followers:
    """The runs that are looked at now.

    Args:
        every: seconds between looks at the files.
    """

    def __init__(self, *, every: float = EVERY) -> None:
        self._every = every
        self._followed: dict[Path, _Followed] = {}

    @property
    def readers(self) -> int:
        """How many runs are read now."""
        return len(self._followed)

    async def follow(self, folder: Path) -> AsyncGenerator[Course]:
        """The course of a run, now and whenever it changed. Whoever leaves closes it."""
        one = self._followed.get(folder)
        if one is None:
            one = self._followed[folder] = _Followed(course=Course(folder))
            one.reader = asyncio.create_task(self._read(one))
        one.pages += 1
        seen = 0
        try:
            while True:
                async with one.changed:
                    while one.version == seen:
                        await one.changed.wait()
                    seen = one.version
                yield one.course
        finally:
            one.pages -= 1
            if one.pages == 0 and one.reader is not None:
                one.reader.cancel()
                del self._followed[folder]

    async def _read(self, one: _Followed) -> None:
        silent = TOLD
        while True:
            changed = await to_thread.run_sync(one.course.look)
            silent += self._every
            if changed or silent >= TOLD:
                silent = 0.0
                async with one.changed:
                    one.version += 1
                    one.changed.notify_all()
            await asyncio.sleep(self._every)
