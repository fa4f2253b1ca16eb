from hypothesis import given
from hypothesis import strategies as st

from tunewise.models.engines.prefixes import BLOCK, CachedBlocks, shared_beginnings


def words(letters: str) -> list[int]:
    """One whole block of tokens a letter."""
    return [ord(letter) for letter in letters for _ in range(BLOCK)]


def test_prompts_that_share_nothing_have_no_beginning() -> None:
    assert shared_beginnings([]) == []
    assert shared_beginnings([words("ab"), words("cd"), words("ef")]) == []


def test_the_longest_beginning_that_all_share_is_found() -> None:
    (found,) = shared_beginnings([words("zz"), words("abcd"), words("abce"), words("abcf")])
    assert found.tokens == tuple(words("abc"))
    assert (found.level, found.first) == (0, 1)


def test_beginnings_within_beginnings_come_later() -> None:
    prompts = [words("abcdx"), words("abcdy"), words("aefgx"), words("aefgy"), words("az")]
    found = {one.tokens: (one.level, one.first) for one in shared_beginnings(prompts)}
    assert found == {
        tuple(words("a")): (0, 0),
        tuple(words("abcd")): (1, 0),
        tuple(words("aefg")): (1, 2),
    }


def test_what_would_save_a_block_only_is_left_to_the_batch() -> None:
    assert shared_beginnings([words("ax"), words("ay")]) == []
    assert len(shared_beginnings([words("ax"), words("ay"), words("az")])) == 1


def test_the_last_token_of_a_prompt_is_in_no_beginning() -> None:
    (found,) = shared_beginnings([words("abc")] * 3)
    assert found.tokens == tuple(words("ab"))


@given(st.lists(st.text("ab", min_size=1, max_size=5), max_size=8))
def test_every_prompt_that_has_a_beginning_starts_with_it(texts: list[str]) -> None:
    prompts = [words(text) for text in texts]
    found = shared_beginnings(prompts)
    assert len({one.tokens for one in found}) == len(found)
    for one in found:
        longer = [prompt for prompt in prompts if len(prompt) > len(one.tokens)]
        having = [prompt for prompt in longer if tuple(prompt[: len(one.tokens)]) == one.tokens]
        assert len(having) >= 2
        assert prompts[one.first] == having[0]
        within = [other for other in found if one.tokens[: len(other.tokens)] == other.tokens]
        assert one.level == len(within) - 1


def test_whole_blocks_and_a_partly_filled_last_one_are_found_again() -> None:
    cache = CachedBlocks(room=100)
    assert cache.hit(words("ab")) == 0
    cache.add([*words("ab"), 1, 2, 3])
    assert cache.hit(words("abc")) == 2 * BLOCK
    assert cache.hit(words("ab")) == 2 * BLOCK - 1
    assert cache.hit(words("ax")) == BLOCK
    assert cache.hit(words("xb")) == 0
    assert cache.hit([*words("ab"), 1, 2, 3, 4, 5]) == 2 * BLOCK + 3
    assert cache.hit([*words("ab"), 1, 2]) == 2 * BLOCK


def test_blocks_used_longest_ago_are_forgotten_first() -> None:
    cache = CachedBlocks(room=4)
    cache.add(words("ab"))
    cache.add(words("cd"))
    assert cache.hit(words("abx")) == 2 * BLOCK
    cache.add(words("ef"))
    assert cache.hit(words("cdx")) == 0
    assert cache.hit(words("abx")) == cache.hit(words("efx")) == 2 * BLOCK


def test_two_ways_on_from_one_partly_filled_block_are_told() -> None:
    cache = CachedBlocks(room=100)
    begun = [*words("a"), 1, 2, 3]
    assert not cache.tears([[*begun, 4], [*begun, 5]])
    cache.add(begun)
    assert cache.tears([[*begun, 4], [*begun, 5]])
    assert not cache.tears([[*begun, 4], [*begun, 4]])
    assert not cache.tears([[*begun, 4], [*words("a"), 1, 2, 5]])
    assert not cache.tears([[*begun, 4]])
    cache.add(words("b"))
    assert not cache.tears([[*words("b"), 4], [*words("b"), 5]])
