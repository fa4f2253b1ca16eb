"""What a judge said of the two finalists, and whether it is believed: sentences for everywhere."""

from tunewise.runs.judged import Agreement, JudgeResult, Preference
from tunewise.runs.schema import Run
from tunewise.wording import (
    count,
    in_points,
    joined,
    percent,
    percent_span,
    plural,
    points,
    points_span,
    rough,
)


def judged_sentence(run: Run) -> str:
    """One line: who is preferred and by how much, or why the judge is refused; or empty."""
    found = run.judge
    if found is None:
        return ""
    if found.corrected is None:
        return f"The judge {found.judge} is refused: {found.refused}"
    believed = f"by the judge {found.judge}, corrected by {plural(found.rated, 'rating')} of yours"
    return f"{_preferred(found, found.corrected)} ({believed})."


def judged_lines(run: Run) -> list[str]:
    """Everything that is known of the judging, a sentence or two a line; or none."""
    found = run.judge
    if found is None:
        return []
    lines = [judged_sentence(run)]
    if found.person is not None:
        lines.append(f"By your ratings alone: {_preferred(found, found.person)}.")
    if found.power is not None and found.worth is not None:
        lines.append(
            f"The judge counts {percent(found.power)} (λ of PPI++): with it, "
            f"{plural(found.rated, 'rating')} tell as much as about {rough(found.worth)} alone."
        )
    if found.agreement is not None:
        lines.append(agreement_sentence(found.agreement))
    lines += [_flips(found), _counts(found)]
    if found.tried > 1:
        lines.append(
            f"{count(found.tried)} judges were tried on these pairs; the interval behind its "
            "refusal or admission is widened for it."
        )
    return [*lines, *found.notes]


def agreement_sentence(found: Agreement) -> str:
    """How far a judge says what the person says, with intervals; nothing of who is ahead."""
    same = f"{count(found.same.count)} of {plural(found.of, 'pair')}"
    if found.same.low is not None and found.same.high is not None:
        same += f" ({percent_span(found.same.low, found.same.high)}%)"
    text = (
        f"The judge says what you say of {same}; by chance it would of {percent(found.by_chance)}"
    )
    if found.beyond_low is not None and found.beyond_high is not None:
        span = points_span(found.beyond_low, found.beyond_high)
        text += f", which leaves {points(found.beyond)} points ({span})"
    if found.decided:
        text += (
            f". Where both prefer an answer, it is the same one in {count(found.right.count)} of "
            f"{count(found.decided)}"
        )
        if found.right.low is not None and found.right.high is not None:
            text += f" ({percent_span(found.right.low, found.right.high)}%)"
    return f"{text}."


def _preferred(found: JudgeResult, size: Preference) -> str:
    """`fine_tune is preferred to few_shot on 12 points more of the rows (+3.0 to +21.0)`."""
    better, other = (found.a, found.b) if size.value >= 0 else (found.b, found.a)
    text = f"{better} is preferred to {other} on {in_points(size.value)} more of the rows"
    if size.low is None or size.high is None:
        return f"{text} ({size.method})"
    low, high = (size.low, size.high) if size.value >= 0 else (-size.high, -size.low)
    return f"{text} ({points_span(low, high)})"


def _flips(found: JudgeResult) -> str:
    text = (
        f"Asked in both orders, it names the same place twice in {count(found.flips.count)} of "
        f"{plural(found.judged, 'pair')}"
    )
    if found.flips.low is not None and found.flips.high is not None:
        text += f" ({percent_span(found.flips.low, found.flips.high)}%)"
    text += f", the first place in {count(found.first)} of them; these count as ties"
    if found.position_bias is not None:
        lean = found.position_bias
        span = points_span(lean.low, lean.high)
        text += f". Its lean to the first place: {points(lean.value)} points ({span})"
    return f"{text}."


def _counts(found: JudgeResult) -> str:
    nobody = f"{count(found.settled)} {'needs' if found.settled == 1 else 'need'} nobody"
    unread = (
        f"; {plural(found.unreadable, 'pair')} with an answer of the judge's that could not be read"
        if found.unreadable
        else ""
    )
    skipped = f", {count(found.skipped)} skipped" if found.skipped else ""
    criteria = joined(found.criteria) if found.criteria else "no criteria"
    return (
        f"Judged by {criteria}. Of {plural(found.rows, 'test row')}, {nobody}, since both answers "
        f"are the same or one crashed; {plural(found.judged, 'pair')} judged, "
        f"{count(found.rated)} rated by you{skipped}{unread}."
    )
