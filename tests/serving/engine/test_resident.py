import mmap
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tunewise.serving.engine.resident import Region, new_regions, resident

MEGABYTE = 2**20


def regions(bounds: list[int]) -> list[Region]:
    ordered = sorted(set(bounds))
    return [
        Region(a * MEGABYTE, b * MEGABYTE)
        for a, b in zip(ordered[::2], ordered[1::2], strict=False)
    ]


def megabytes(some: list[Region]) -> set[int]:
    return {n for one in some for n in range(one.start // MEGABYTE, one.stop // MEGABYTE)}


@given(st.lists(st.integers(0, 60)), st.lists(st.integers(0, 60)))
def test_new_is_what_was_not_there_before(before: list[int], after: list[int]) -> None:
    found = new_regions(regions(before), regions(after))
    assert megabytes(found) == megabytes(regions(after)) - megabytes(regions(before))


@pytest.mark.skipif(sys.platform != "linux", reason="Linux gives memory on request")
def test_what_was_asked_for_is_there_before_it_is_written_to() -> None:
    def in_memory() -> int:
        return int(Path("/proc/self/statm").read_text().split()[1]) * mmap.PAGESIZE

    before = in_memory()
    with resident():
        asked_for = mmap.mmap(-1, 64 * MEGABYTE, flags=mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS)
        assert in_memory() - before < 32 * MEGABYTE
    assert in_memory() - before >= 60 * MEGABYTE
    asked_for.close()
