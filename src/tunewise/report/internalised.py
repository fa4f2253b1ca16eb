"""Whether a prompt could be put into weights: what terminal and page say of it."""

from tunewise.runs.schema import Run
from tunewise.wording import (
    count,
    in_points,
    mean_tokens,
    percent_span,
    points,
    points_span,
)


def internalised_sentence(run: Run) -> str:
    """Worth the same as its teacher or not shown to be, agreement, tokens saved; or empty."""
    found = run.internalised
    if found is None:
        return ""
    name, teacher, margin = found.name, found.teacher, in_points(found.margin)
    if found.low is None or found.high is None:
        size = f"{points(found.delta)} points, {found.method}"
    else:
        size = f"{points(found.delta)} points, 90% interval {points_span(found.low, found.high)}"
    shown = (
        f"{name} is shown to be worth the same as its teacher {teacher}, within {margin}"
        if found.equivalent
        else f"{name} is not shown to be worth the same as its teacher {teacher} within {margin}"
    )
    same = f"{count(found.same.count)} of {count(found.answers)} answers are the same"
    if found.same.low is not None and found.same.high is not None:
        same += f" ({percent_span(found.same.low, found.same.high)}%)"
    saved, before = mean_tokens(abs(found.tokens_saved)), mean_tokens(found.teacher_tokens)
    tokens = (
        f"a request takes {saved} of {before} tokens less"
        if found.tokens_saved >= 0
        else f"a request takes {saved} tokens more than {before}"
    )
    return f"{shown} ({size}); {same}, and {tokens}."
