"""Has the system give memory now that a library asked for and has not written to yet.

A cache of keys and values is asked for as a whole and written as it fills, so that a process grows
for hours, and may be killed for it in the midst of answering. With its pages there from the start,
memory is flat.
"""

import contextlib
import ctypes
import mmap
import re
import sys
from collections.abc import Generator
from pathlib import Path
from typing import NamedTuple

_MADV_POPULATE_WRITE = 23
"""Linux 5.14: pages become writable ones, and keep what they hold."""
_SMALLEST = 2**20
"""Bytes of a region that is worth it."""
_MAPPING = re.compile(r"([0-9a-f]+)-([0-9a-f]+) rw.p 0+ 00:00 0\s*(?:\[heap\])?$")
"""A line of /proc/self/maps: memory of no file, the heap included."""


class Region(NamedTuple):
    """Addresses, the last one excluded."""

    start: int
    stop: int


@contextlib.contextmanager
def resident() -> Generator[None]:
    """What is asked for within it is there afterwards.

    Does nothing where the system does not know how: memory then grows as the cache fills.
    """
    before = _regions()
    yield
    for region in new_regions(before, _regions()):
        ctypes.CDLL(None).madvise(
            ctypes.c_void_p(region.start),
            ctypes.c_size_t(region.stop - region.start),
            _MADV_POPULATE_WRITE,
        )


def new_regions(before: list[Region], after: list[Region]) -> list[Region]:
    """What is in the second list and not in the first; both in order, without overlap."""
    found: list[Region] = []
    for start, stop in after:
        place = start
        for old in before:
            if old.stop <= place or old.start >= stop:
                continue
            found.append(Region(place, old.start))
            place = old.stop
        found.append(Region(place, stop))
    page = mmap.PAGESIZE
    aligned = [Region(-(-one.start // page) * page, one.stop // page * page) for one in found]
    return [one for one in aligned if one.stop - one.start >= _SMALLEST]


def _regions() -> list[Region]:
    if sys.platform != "linux":
        return []
    lines = Path("/proc/self/maps").read_text("utf-8").splitlines()
    matches = [found for line in lines if (found := _MAPPING.match(line))]
    return [Region(int(one[1], 16), int(one[2], 16)) for one in matches]
