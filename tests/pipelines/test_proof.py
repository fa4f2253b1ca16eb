"""What a training brought is measured on rows that were held out, by the statistics of decide."""

from collections.abc import Callable
from pathlib import Path

import pytest

from decide_projects import labelled, number_of, opened, scripted, target_of, write_project
from tunewise.data.prepare import Prepared, prepare_for_training
from tunewise.errors import UserError
from tunewise.models.engines.protocol import Request
from tunewise.pipelines.proof import Proof, prove
from tunewise.progress import Silent
from tunewise.project.load import load_project
from tunewise.types import Failure

ADAPTER = Path("/adapter")
Script = Callable[[Request], str | Failure]


def prepared(tmp_path: Path, rows: int = 200) -> Prepared:
    folder = write_project(tmp_path / "project", labelled(rows), '[model]\nengine = "scripted"\n')
    found = prepare_for_training(load_project(folder))
    assert found is not None
    return found


def proof(given: Prepared, script: Script) -> Proof:
    return prove(given, ADAPTER, progress=Silent(), opener=opened(scripted(script)))


def right(share_of_base: float, share_of_tuned: float) -> Script:
    """Right answers to these shares of the messages."""

    def answer(request: Request) -> str:
        share = share_of_tuned if request.adapter == ADAPTER else share_of_base
        is_right = (number_of(request) * 37) % 100 < 100 * share
        return target_of(request) if is_right else "nonsense"

    return answer


def test_a_model_that_answers_far_more_right_is_better(tmp_path: Path) -> None:
    given = prepared(tmp_path)
    found = proof(given, right(0.3, 0.95))
    assert found.finding == "better"
    assert found.n_test == len(given.splits.test)
    assert found.comparison.low > 0.0
    assert found.comparison.a == "fine_tune"
    assert found.comparison.delta == pytest.approx(found.trained.value - found.base.value)
    assert found.trained.low is not None
    assert found.trained.low < found.trained.value
    assert found.sentence.startswith("The fine-tuned model is better than its base: ")
    assert "accuracy on" in found.sentence


def test_a_model_that_answers_far_fewer_right_is_worse(tmp_path: Path) -> None:
    assert proof(prepared(tmp_path), right(0.95, 0.3)).finding == "worse"


def test_the_same_answers_show_no_difference(tmp_path: Path) -> None:
    found = proof(prepared(tmp_path), right(0.6, 0.6))
    assert found.finding == "no_difference_shown"
    assert found.comparison.delta == 0.0


def test_few_rows_give_no_interval_and_the_sentence_says_so(tmp_path: Path) -> None:
    found = proof(prepared(tmp_path, rows=40), right(0.0, 1.0))
    assert found.finding == "no_difference_shown"
    assert not found.comparison.computed
    assert "no interval" in found.sentence


def test_both_are_asked_the_same_with_the_messages_of_the_row(tmp_path: Path) -> None:
    asked: dict[bool, list[object]] = {True: [], False: []}

    def answer(request: Request) -> str:
        asked[request.adapter == ADAPTER].append(request.messages)
        return "other"

    given = prepared(tmp_path)
    proof(given, answer)
    assert asked[True] == asked[False]
    assert asked[True] == [example.messages for example in given.splits.test]


def test_rows_are_known_again(tmp_path: Path) -> None:
    one, other = prepared(tmp_path / "a"), prepared(tmp_path / "b", rows=150)
    script = right(0.5, 0.5)
    assert proof(one, script).held_out == proof(one, script).held_out
    assert proof(one, script).held_out != proof(other, script).held_out


def test_a_model_that_cannot_answer_at_all_proves_nothing(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no answer came back"):
        proof(prepared(tmp_path), lambda request: Failure(message="broken", seconds=0.0))
