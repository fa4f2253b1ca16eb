"""What a training tells of its steps to whoever watches."""

from contextlib import nullcontext

from tunewise.runs.events import MAX_SPIKES, show_steps


class Told:
    """A progress that keeps what it is told."""

    def __init__(self) -> None:
        self.notes: list[str] = []
        self.states: list[str] = []

    def task(self, description: str, *, total: int):
        return nullcontext(lambda units: None)

    def note(self, text: str) -> None:
        self.notes.append(text)

    def status(self, text: str) -> None:
        self.states.append(text)


def spike(step: int, *rows: str) -> dict[str, object]:
    return {"event": "spike", "step": step, "loss": 5.214, "rows": list(rows)}


def test_a_spike_names_the_lines_of_its_rows_and_what_to_do() -> None:
    told = Told()
    show = show_steps(told, {"a7": "letters.csv:12", "b2": "letters.csv:88"})
    show(spike(40, "a7", "b2"))
    assert told.notes == [
        "Step 40: the answers of letters.csv:12, letters.csv:88 were far harder for the model than "
        "those before (loss 5.21). Read these rows once: an answer that is wrong or cut off shows "
        "like this. If they are right, nothing has to be done."
    ]


def test_many_rows_are_counted_and_a_row_without_a_place_is_named() -> None:
    told = Told()
    show_steps(told)(spike(40, "a", "b", "c", "d", "e"))
    assert "of row a, row b, row c and 2 more were" in told.notes[0]


def test_after_a_few_spikes_the_others_are_only_written_down() -> None:
    told = Told()
    show = show_steps(told)
    for step in range(10):
        show(spike(step, "a"))
    assert len(told.notes) == MAX_SPIKES + 1
    assert told.notes[-1] == "Further steps like this are only noted in events.jsonl."


def test_a_step_says_its_numbers_with_what_they_are() -> None:
    told = Told()
    show_steps(told)(
        {"event": "step", "step": 1, "loss": 1.5, "tokens_per_second": 1234.5, "share_of_peak": 0.4}
    )
    assert told.states == ["loss 1.500 (lower is better), 1,234 tokens a second"]
