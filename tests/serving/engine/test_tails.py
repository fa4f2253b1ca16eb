from tunewise.models.engines.prefixes import BLOCK
from tunewise.serving.engine.tails import Tails

BEGUN = list(range(BLOCK + 8))
"""A block, and one that is not filled."""


def going_on(*more: int) -> list[int]:
    return [*BEGUN, *more]


def test_prompts_that_go_on_from_one_unfilled_block_in_two_ways_clash() -> None:
    tails = Tails(4)
    tails.add(BEGUN)
    first, same, other = (tails.ways(going_on(*more)) for more in ((1, 2), (1, 2), (1, 3)))
    tails.take(first)
    assert not tails.clash(same)
    assert tails.clash(other)


def test_a_prompt_that_is_longer_goes_another_way() -> None:
    tails = Tails(4)
    tails.add(BEGUN)
    tails.take(tails.ways(going_on(1)))
    assert tails.clash(tails.ways(going_on(1, 2)))


def test_what_parts_after_the_block_goes_the_same_way() -> None:
    tails, filled = Tails(4), list(range(100, 100 + BLOCK))
    tails.add(BEGUN)
    tails.take(tails.ways(going_on(*filled, 1)))
    assert not tails.clash(tails.ways(going_on(*filled, 2)))


def test_it_is_over_when_the_first_is_gone() -> None:
    tails = Tails(4)
    tails.add(BEGUN)
    ways = tails.ways(going_on(1))
    tails.take(ways)
    tails.take(ways)
    tails.give_back(ways)
    assert tails.clash(tails.ways(going_on(2)))
    tails.give_back(ways)
    assert not tails.clash(tails.ways(going_on(2)))


def test_filled_blocks_and_other_prompts_do_not_clash() -> None:
    tails = Tails(4)
    tails.add(BEGUN[:BLOCK])
    tails.take(tails.ways(going_on(1)))
    assert tails.ways(going_on(1)) == tails.ways([7, *BEGUN]) == []
    assert not tails.clash(tails.ways(going_on(2)))


def test_as_many_are_known_as_the_cache_can_hold() -> None:
    tails = Tails(1)
    for number in range(BLOCK + 1):
        tails.add([number])
    known = [bool(tails.ways([number, 0])) for number in range(BLOCK + 1)]
    assert known == [False] + [True] * BLOCK
