from hypothesis import given
from hypothesis import strategies as st

from tunewise.serving.engine.stops import StopFilter

texts = st.text("abc", max_size=12)
stop_texts = st.lists(st.text("abc", min_size=1, max_size=4), max_size=3)


def first_stop(text: str, stops: list[str]) -> int:
    """Where generation would have ended: at the stop string whose end comes first."""
    for end in range(len(text) + 1):
        starts = [end - len(stop) for stop in stops if text[:end].endswith(stop)]
        if starts:
            return min(starts)
    return len(text)


@given(st.lists(texts, max_size=6), stop_texts)
def test_what_is_given_is_the_text_before_the_first_stop_string(
    parts: list[str], stops: list[str]
) -> None:
    kept = StopFilter(stops)
    given_parts = [kept.feed(part) for part in parts]
    whole = "".join(parts)
    cut = first_stop(whole, stops)
    assert "".join([*given_parts, kept.flush()]) == whole[:cut]
    assert kept.stopped == any(stop in whole for stop in stops)


@given(st.lists(texts, max_size=6), stop_texts)
def test_what_may_become_a_stop_string_is_not_given_yet(parts: list[str], stops: list[str]) -> None:
    kept, shown, whole = StopFilter(stops), "", ""
    for part in parts:
        shown, whole = shown + kept.feed(part), whole + part
        begun = [n for stop in stops for n in range(1, len(stop)) if whole.endswith(stop[:n])]
        assert kept.stopped or len(shown) == len(whole) - max(begun, default=0)


def test_text_that_only_began_like_a_stop_string_is_given_at_the_end() -> None:
    kept = StopFilter(["END"])
    assert (kept.feed("It is E"), kept.feed("N"), kept.flush()) == ("It is ", "", "EN")
