"""What verdict.json says of a contender beyond its contract, on small runs of `decide`."""

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from decide_projects import (
    by_name,
    contract_faults,
    decide,
    labelled,
    opened,
    read_json,
    read_jsonl,
    right_when,
    scripted,
    write_project,
)
from tunewise.models.engines.protocol import Engine, Request
from tunewise.models.engines.scripted import ScriptedEngine
from tunewise.types import Failure, Generation, Usage

USE = '[contenders]\nuse = ["constant", "zero_shot"]\n'


class Caching(ScriptedEngine):
    """Takes two of every prompt's tokens from a cache, but only as it would be served."""

    cached = 0

    def prefix_caching(self):
        self.cached = 2
        return super().prefix_caching()

    def generate(self, requests: Sequence[Request]) -> list[Generation | Failure]:
        return [
            replace(one, usage=one.usage + Usage(cached_tokens=self.cached))
            for one in super().generate(requests)
            if isinstance(one, Generation)
        ]


def verdict_of(folder: Path, engine: Engine, rows: list[dict], more: str) -> dict:
    project = write_project(folder, rows, more)
    verdict = read_json(decide(project, opener=opened(engine)) / "verdict.json")
    assert contract_faults(verdict) == []
    return verdict


@pytest.mark.parametrize(
    ("prices", "cost"),
    [
        # Of four words of prompt two are cached as served; the answer has one.
        ("prompt_tokens = 2\ncompletion_tokens = 10\ncached_tokens = 0.5", 2 * 2 + 2 * 0.5 + 10),
        ("prompt_tokens = 2\ncompletion_tokens = 10", 4 * 2 + 10),
        ("prompt_tokens = 2\ncompletion_tokens = 0\ncached_tokens = 0", 2 * 2),
    ],
)
def test_cached_tokens_cost_what_they_cost_as_served(
    tmp_path: Path, prices: str, cost: float
) -> None:
    engine = Caching(right_when(lambda request: 0.5))
    verdict = verdict_of(tmp_path, engine, labelled(60), f"{USE}[prices]\n{prices}\n")
    found = by_name(verdict)["zero_shot"]
    tokens = {"prompt": 4.0, "cached": 2.0, "completion": 1.0, "thinking": 0.0}
    assert found["tokens"] == tokens
    assert found["cost"]["per_1000_requests"] == pytest.approx(cost / 1000)
    assert found["cost"]["currency"] == "USD"


@pytest.mark.parametrize("prices", ["", "prompt_tokens = 2", "training_hour = 3"])
def test_without_both_prices_of_tokens_no_cost_is_told(tmp_path: Path, prices: str) -> None:
    engine = scripted(right_when(lambda request: 0.5))
    verdict = verdict_of(tmp_path, engine, labelled(60), f"{USE}[prices]\n{prices}\n")
    assert {json.dumps(one["cost"]) for one in verdict["contenders"]} == {"{}"}


def test_a_json_task_shows_validity_and_exact_match_beside_its_metric(tmp_path: Path) -> None:
    rows = [
        {"text": row["text"], "label": json.dumps({"label": row["label"], "urgent": False})}
        for row in labelled(90)
    ]

    def answers(request: Request) -> str:
        number = int(request.messages[-1].content.split()[-1])
        return '{"label": "refund", "urgent": false}' if number % 2 else "not JSON"

    verdict = verdict_of(tmp_path, scripted(answers), rows, USE)
    assert (verdict["task"]["kind"], verdict["metric"]) == ("extraction", "json_fields")
    found = by_name(verdict)
    assert found["constant"]["secondary"]["valid_json"] == 1.0
    side = found["zero_shot"]["secondary"]
    assert set(side) == {"valid_json", "exact_match"}
    assert 0 < side["exact_match"] < found["zero_shot"]["quality"]["value"] < side["valid_json"] < 1


def test_an_aggregate_metric_is_judged_over_all_answers(tmp_path: Path) -> None:
    engine = scripted(lambda request: "refund")
    project = write_project(tmp_path, labelled(90), USE)
    run = decide(project, "task.metric=macro_f1", opener=opened(engine))
    verdict = read_json(run / "verdict.json")
    assert contract_faults(verdict) == []
    targets = [row["target"] for row in read_jsonl(run / "test.jsonl")]
    refunds = targets.count("refund")
    # F1 of `refund` is 2 TP / (2 TP + FP), that of the two other labels 0.
    assert by_name(verdict)["zero_shot"]["quality"]["value"] == pytest.approx(
        2 * refunds / (len(targets) + refunds) / 3
    )
    (between,) = verdict["comparisons"]
    assert "McNemar" not in between["method"]


def test_recall_of_retrieval_is_told_where_rows_name_their_document(tmp_path: Path) -> None:
    docs = tmp_path / "docs"
    docs.mkdir()
    for thing in ("tent", "lamp", "stove"):
        (docs / f"{thing}.md").write_text(f"# The {thing}\n\nThe {thing} is good for a trip.\n")
    rows = [
        {
            "question": f"what is the {thing} good for, asks person {n}?",
            "answer": f"a trip with number {n}",
            "document": f"{thing}.md",
        }
        for n in range(30)
        for thing in ("tent", "lamp", "stove")
    ]
    engine = scripted(lambda request: "a trip")
    more = 'documents = "docs"\n[contenders]\nuse = ["constant", "rag"]\n'
    verdict = verdict_of(tmp_path, engine, rows, more)
    rag = by_name(verdict)["rag"]
    assert rag["retrieval"]["recall_at_k"] == 1.0
    assert rag["retrieval"]["k"] == rag["fit"]["settings"]["k"]
    assert "retrieval" not in rag["fit"]["settings"]
    assert by_name(verdict)["constant"]["retrieval"] == {}


def test_every_contender_tells_what_it_chose_and_what_it_spent(tmp_path: Path) -> None:
    engine = scripted(right_when(lambda request: 0.5))
    more = '[contenders]\nuse = ["constant", "zero_shot", "prompt", "few_shot"]\n'
    found = by_name(verdict_of(tmp_path, engine, labelled(90), more))
    for one in found.values():
        assert one["fit"]["settings"]
        assert set(one["fit"]["tokens"]) == {"prefilled", "generated", "trained"}
    assert found["constant"]["fit"]["tokens"]["prefilled"] == 0
    assert (
        found["prompt"]["fit"]["tokens"]["prefilled"]
        > (found["zero_shot"]["fit"]["tokens"]["prefilled"])
    )
    assert len(found["prompt"]["fit"]["trials"]) == 9


def test_the_tokens_of_the_whole_run_are_told(tmp_path: Path) -> None:
    told = scripted(right_when(lambda request: 0.5))
    verdict = verdict_of(tmp_path, told, labelled(90), USE)
    (note,) = [note for note in verdict["notes"] if note.startswith("Tokens of this run")]
    read, written, trained = (int(n.replace(",", "")) for n in re.findall(r"[\d,]*\d", note))
    warm_up = 2 * by_name(verdict)["zero_shot"]["tokens"]["completion"]
    answers = len(told.requests) - warm_up  # each of one token
    assert written == answers
    assert read > written
    assert trained == 0


def test_what_was_not_measured_is_said(tmp_path: Path) -> None:
    engine = scripted(right_when(lambda request: 0.5))
    verdict = verdict_of(tmp_path, engine, labelled(60), USE)
    notes = " ".join(verdict["notes"])
    assert "Retention" in notes
    assert "since no prices were given" in notes
    assert (verdict["retention"], verdict["economics"], verdict["learning_curve"]) == ({}, {}, {})


def test_thoughts_are_counted_apart_and_answers_cut_in_them_are_told(tmp_path: Path) -> None:
    asked = iter(range(10**6))

    def thinks(request: Request) -> str:
        return "<think>a or b" if next(asked) % 3 == 0 else "<think>a or b</think> a"

    verdict = verdict_of(tmp_path, ScriptedEngine(thinks), labelled(60), USE)
    zero_shot = by_name(verdict)["zero_shot"]
    assert zero_shot["tokens"]["thinking"] == 3
    assert 0 < zero_shot["cut_in_thoughts"] < verdict["n_test"]
    assert by_name(verdict)["constant"]["tokens"]["thinking"] == 0
    told = [note for note in verdict["notes"] if "thought" in note]
    assert told[0].startswith("zero_shot thinks: 3 of the ")
    assert told[1].endswith("count as wrong. More room for them: model.thinking_tokens.")
    assert len(told) == 2
