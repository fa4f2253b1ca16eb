import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from tunewise.evaluation.collect import GROUP, AnswerFile, collect
from tunewise.progress import Silent
from tunewise.types import Answer, Input, Message, Usage


def inputs(count: int) -> list[Input]:
    return [
        Input(id=f"e{n}", messages=(Message(role="user", content=str(n)),)) for n in range(count)
    ]


class Contender:
    """Says what it is asked, and remembers in which groups it was asked."""

    def __init__(self, stop_after: int | None = None) -> None:
        self.groups: list[list[str]] = []
        self._stop_after = stop_after

    def answer(self, inputs: Sequence[Input], *, seed: int) -> list[Answer]:
        if len(self.groups) == self._stop_after:
            raise KeyboardInterrupt
        self.groups.append([item.id for item in inputs])
        return [
            Answer(example_id=item.id, contender="c", seed=seed, text=f"{item.text} by {seed}")
            for item in inputs
        ]


def ask(contender: Contender, file: Path, count: int = 70, seed: int = 0) -> list[Answer]:
    return collect(contender, "c", seed, inputs(count), AnswerFile(file), Silent())


def test_inputs_are_handed_over_in_groups_of_a_fixed_size(tmp_path: Path) -> None:
    contender = Contender()
    answers = ask(contender, tmp_path / "answers.jsonl")
    assert [len(group) for group in contender.groups] == [32, 32, 6]
    assert [answer.example_id for answer in answers] == [f"e{n}" for n in range(70)]
    assert answers[69].text == "69 by 0"


def test_after_an_interruption_finished_groups_are_not_asked_again(tmp_path: Path) -> None:
    file = tmp_path / "answers.jsonl"
    with pytest.raises(KeyboardInterrupt):
        ask(Contender(stop_after=1), file)
    again = Contender()
    answers = ask(again, file)
    assert [group[0] for group in again.groups] == ["e32", "e64"]
    assert len(answers) == 70
    assert len(file.read_text().splitlines()) == 70


def test_a_group_cut_in_two_is_asked_as_a_whole_and_written_once(tmp_path: Path) -> None:
    file = tmp_path / "answers.jsonl"
    ask(Contender(), file)
    lines = file.read_text().splitlines(keepends=True)
    file.write_text("".join(lines[:40]) + lines[40][:15])
    again = Contender()
    ask(again, file)
    assert [len(group) for group in again.groups] == [GROUP, 6], "the batch is what it was"
    assert file.read_text().splitlines(keepends=True) == lines


def test_a_finished_file_asks_nobody(tmp_path: Path) -> None:
    file = tmp_path / "answers.jsonl"
    first = ask(Contender(), file)
    again = Contender()
    assert ask(again, file) == first
    assert again.groups == []


def test_seeds_and_contenders_keep_their_own_answers(tmp_path: Path) -> None:
    file = tmp_path / "answers.jsonl"
    assert ask(Contender(), file, 3, seed=1)[0].text == "0 by 1"
    assert ask(Contender(), file, 3, seed=2)[0].text == "0 by 2"
    read = AnswerFile(file)
    assert read.get("c", 1, "e0") is not None
    assert read.get("c", 3, "e0") is None
    assert read.get("other", 1, "e0") is None


def test_an_answer_comes_back_from_the_file_with_all_it_holds(tmp_path: Path) -> None:
    file = tmp_path / "answers.jsonl"
    whole = Answer(
        example_id="e0",
        contender="c",
        seed=2,
        text="line one\nline two\u2028 “quoted”",
        usage=Usage(prompt_tokens=3, cached_tokens=1, completion_tokens=2),
        seconds=1.5,
        seconds_to_first_token=0.25,
        passages=("a.md#1", "b.md#2"),
    )
    crashed = Answer(example_id="e1", contender="c", seed=2, error="too long")
    AnswerFile(file).add([whole, crashed])
    read = AnswerFile(file)
    assert read.get("c", 2, "e0") == whole
    assert read.get("c", 2, "e1") == crashed


def test_answers_written_before_thoughts_were_counted_can_be_read(tmp_path: Path) -> None:
    file = tmp_path / "answers.jsonl"
    ask(Contender(), file, count=3)
    records = [json.loads(line) for line in file.read_text().splitlines()]
    for record in records:
        del record["usage"]["thinking_tokens"]
    file.write_text("".join(json.dumps(record) + "\n" for record in records))
    read = AnswerFile(file).get("c", 0, "e1")
    assert read is not None
    assert (read.text, read.usage) == ("1 by 0", Usage())
