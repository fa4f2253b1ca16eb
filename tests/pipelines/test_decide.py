import json
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from decide_projects import (
    LABELS,
    Json,
    by_name,
    contract_faults,
    decide,
    essence,
    labelled,
    number_of,
    opened,
    read_json,
    read_jsonl,
    right_when,
    scripted,
    target_of,
    tuned_well,
    write_jsonl,
    write_project,
)
from tunewise.contenders.build import ContenderSet
from tunewise.contenders.build import contender_set as real_line_up
from tunewise.contenders.race import Race
from tunewise.data.prepare import prepare
from tunewise.errors import UserError
from tunewise.models.catalog import LocalModel
from tunewise.models.engines.open import EngineOpener
from tunewise.models.engines.protocol import Request
from tunewise.models.engines.scripted import ScriptedEngine
from tunewise.pipelines import decide as decide_module
from tunewise.pipelines import fitting
from tunewise.pipelines.dry_run import dry_run
from tunewise.project.load import load_project
from tunewise.project.settings import USUAL_CONTENDERS
from tunewise.statistics.spending import look_confidence
from tunewise.types import Answer, Example, Failure, Fit, Generation, Input
from tunewise.wording import significant

QUICK = """
[training]
rank = 2
epochs = 1
learning_rate = 1e-3
batch_tokens = 4096
seeds = 1
[contenders]
use = ["constant", "zero_shot"SOME]
"""
UNTRAINED = QUICK.replace("SOME", "")
TRAINED = QUICK.replace("SOME", ', "fine_tune"')
THREE_SEEDS = TRAINED.replace("seeds = 1", "seeds = 3")


# --- what a run leaves behind --------------------------------------------------------------------


def test_every_contender_is_in_the_verdict_or_skipped_with_its_reason(tmp_path: Path) -> None:
    opener = opened(scripted(right_when(lambda request: 0.6)))
    run = decide(write_project(tmp_path, labelled(90)), opener=opener)
    verdict = read_json(run / "verdict.json")
    assert contract_faults(verdict) == []
    found = by_name(verdict)
    assert set(found) == set(USUAL_CONTENDERS)
    assert {name: one["skipped"] for name, one in found.items() if "skipped" in one} == {
        "rag": "no documents given",
        "fine_tune": "the engine scripted runs no model that can be trained here",
        "fine_tune_rag": "the engine scripted runs no model that can be trained here",
    }


def test_a_run_keeps_which_test_rows_stand_where_in_the_columns_that_are_named(
    tmp_path: Path,
) -> None:
    rows = [{**row, "channel": ("mail", "phone")[n % 2]} for n, row in enumerate(labelled(90))]
    project = write_project(tmp_path, rows, UNTRAINED)
    toml = project / "tunewise.toml"
    toml.write_text(toml.read_text().replace("[data]", '[data]\nsegments = ["channel"]'))
    run = decide(project, opener=opened(scripted(right_when(lambda request: 0.6))))
    found = read_json(run / "segments.json")["channel"]
    channels = {row["text"]: row["channel"] for row in rows}
    tests = {row["id"]: channels[row["input"]] for row in read_jsonl(run / "test.jsonl")}
    assert {name: channel for channel, ids in found.items() for name in ids} == tests


def test_another_method_than_that_of_the_contenders_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r'training\.method: "dpo" is for `tunewise train`'):
        decide(write_project(tmp_path, labelled(90), '[training]\nmethod = "dpo"\n'))


def test_a_run_folder_holds_everything_that_the_design_names(
    tmp_path: Path, small_llama: LocalModel
) -> None:
    opener = opened(scripted(right_when(tuned_well)), small_llama)
    run = decide(write_project(tmp_path, labelled(90), THREE_SEEDS), opener=opener)
    names = {path.name for path in run.iterdir()}
    assert {
        "project.toml", "environment.json", "splits.json", "plan.json", "answers.jsonl",
        "scores.jsonl", "events.jsonl", "verdict.json", "report.html", "models",
    } <= names  # fmt: skip
    test = read_json(run / "splits.json")["test"]
    keys = {
        (row["contender"], row["seed"], row["example_id"])
        for row in read_jsonl(run / "answers.jsonl")
    }
    assert keys == {
        (name, seed, example)
        for name, seeds in {"constant": [0], "zero_shot": [0], "fine_tune": [1, 2, 3]}.items()
        for seed in seeds
        for example in test
    }
    scores = read_jsonl(run / "scores.jsonl")
    assert {(s["contender"], s["seed"], s["example_id"]) for s in scores} == keys
    assert [event["event"] for event in read_jsonl(run / "events.jsonl")] == [
        "start", "forecast", "fitted", "fitted", "fitted", "planned", "test opened", "decided",
    ]  # fmt: skip


def test_what_is_clearly_better_when_tuned_is_recommended_and_handed_over(
    tmp_path: Path, small_llama: LocalModel
) -> None:
    opener = opened(scripted(right_when(tuned_well)), small_llama)
    run = decide(write_project(tmp_path, labelled(120), THREE_SEEDS), opener=opener)
    verdict = read_json(run / "verdict.json")
    assert contract_faults(verdict) == []
    assert (verdict["outcome"], verdict["rule"]) == ("fine_tune", "worth_more")
    assert by_name(verdict)["fine_tune"]["seeds"] == 3
    primary = verdict["comparisons"][0]
    plan = read_json(run / "plan.json")
    assert (primary["a"], primary["b"]) == (plan["challenger"], plan["incumbent"])
    shipped = run / "models" / "fine_tune"
    assert {"adapter_config.json", "adapter_model.safetensors", "README.md"} <= {
        path.name for path in shipped.iterdir()
    }
    assert "base_model: " in (shipped / "README.md").read_text()


def test_where_nothing_beats_the_constant_answer_the_verdict_is_that_nothing_is_learned(
    tmp_path: Path, small_llama: LocalModel
) -> None:
    opener = opened(scripted(right_when(lambda request: 0.3)), small_llama)
    verdict = read_json(
        decide(write_project(tmp_path, labelled(200), TRAINED), opener=opener) / "verdict.json"
    )
    assert (verdict["outcome"], verdict["recommended"]) == ("undecided", None)
    assert verdict["rule"] == "nothing_learned"
    assert "do not teach anything that held-out examples confirm" in verdict["reason"]


def test_twenty_rows_never_end_in_a_fine_tune(tmp_path: Path, small_llama: LocalModel) -> None:
    opener = opened(scripted(right_when(tuned_well)), small_llama)
    verdict = read_json(
        decide(write_project(tmp_path, labelled(20), TRAINED), opener=opener) / "verdict.json"
    )
    assert contract_faults(verdict) == []
    assert verdict["outcome"] in {"undecided", "constant", "zero_shot"}
    assert verdict["n_test"] < 20
    assert "label at least" in verdict["reason"]


def test_the_limit_is_the_number_of_examples_used(tmp_path: Path) -> None:
    opener = opened(scripted(right_when(lambda request: 0.6)))
    project = write_project(tmp_path, labelled(200), UNTRAINED)
    verdict = read_json(decide(project, "contenders.limit=60", opener=opener) / "verdict.json")
    sizes = verdict["splits"]
    assert sizes["train"] + sizes["dev"] + sizes["test"] == 60
    assert verdict["n_test"] == sizes["test"]


def test_prices_become_the_cost_of_a_thousand_requests(tmp_path: Path) -> None:
    opener = opened(scripted(right_when(lambda request: 0.6)))
    prices = '[prices]\ncurrency = "EUR"\nprompt_tokens = 2.0\ncompletion_tokens = 10.0\n'
    run = decide(write_project(tmp_path, labelled(60), UNTRAINED + prices), opener=opener)
    found = by_name(read_json(run / "verdict.json"))
    # Four words of prompt and one of answer: 4 * 2 + 1 * 10 millionths, a thousand times.
    cost = found["zero_shot"]["cost"]
    assert (cost["per_1000_requests"], cost["currency"]) == (pytest.approx(0.018), "EUR")
    assert cost["per_1000_low"] is None, "18 test rows are too few for an interval"
    assert found["constant"]["cost"]["per_1000_requests"] == 0


# --- leakage -------------------------------------------------------------------------------------


@dataclass
class SpyFitted:
    """Remembers what it is asked with."""

    fit: Fit
    asked: list[Input]
    seeds: tuple[int, ...] = (0,)

    def answer(self, inputs: Sequence[Input], *, seed: int) -> list[Answer]:
        self.asked += inputs
        return [
            Answer(example_id=item.id, contender="spy", seed=seed, text="refund") for item in inputs
        ]


class Spy:
    """A contender that remembers everything it is ever shown."""

    name = "spy"

    def __init__(self) -> None:
        self.shown: list[Example] = []
        self.asked: list[Input] = []

    def fit(self, train: Sequence[Example], race: Race) -> SpyFitted:
        self.shown += [*train, *race.dev]
        fit = Fit(
            contender="spy",
            settings={},
            seconds=0,
            tokens={"prefilled": 0, "generated": 0, "trained": 0},
            dev_answers={0: ("refund",) * len(race.dev)},
        )
        return SpyFitted(fit=fit, asked=self.asked)


def test_a_fit_sees_no_test_row_and_an_answer_no_target(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opener = opened(scripted(right_when(lambda request: 0.6)))
    spy = Spy()

    def with_spy(*given: object, **named: object) -> ContenderSet:
        field = real_line_up(*given, **named)  # type: ignore[arg-type]
        return replace(field, untrained={**field.untrained, "spy": spy})

    monkeypatch.setattr(decide_module, "contender_set", with_spy)
    project = write_project(tmp_path, labelled(90), UNTRAINED)
    splits = prepare(load_project(project)).splits
    decide(project, opener=opener)
    assert spy.shown == [*splits.train, *splits.dev]
    assert {item.id for item in spy.asked} == {example.id for example in splits.test}
    for item in spy.asked:
        assert type(item) is Input
        assert not any(label in repr(item) for label in LABELS)


class Watch(ScriptedEngine):
    """Notes, at the first request that holds a test input, whether plan.json lies there."""

    def __init__(self, run: Path, texts: set[str]) -> None:
        super().__init__(right_when(tuned_well))
        self.plan_was_there: bool | None = None
        self._run, self._texts = run, texts

    def generate(self, requests: Sequence[Request]) -> list[Generation | Failure]:
        if self.plan_was_there is None and any(
            request.messages[-1].content in self._texts for request in requests
        ):
            self.plan_was_there = (self._run / "plan.json").is_file()
            self.answers_before = (self._run / "answers.jsonl").exists()
        return super().generate(requests)


def watched(tmp_path: Path) -> tuple[Path, Path, Watch]:
    more = UNTRAINED.replace('"constant", ', "")  # constant answers test without asking
    project = write_project(tmp_path / "project", labelled(90), more)
    texts = {e.input.text for e in prepare(load_project(project)).splits.test}
    out = tmp_path / "run"
    return project, out, Watch(out, texts)


def test_plan_json_is_written_before_the_first_test_example_is_answered(tmp_path: Path) -> None:
    project, out, engine = watched(tmp_path)
    opener = opened(engine)
    decide(project, out=out, opener=opener)
    assert engine.plan_was_there is True
    assert engine.answers_before is False


def test_this_check_would_notice_a_plan_written_after_the_answers(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project, out, engine = watched(tmp_path)
    opener = opened(engine)
    real, late = fitting.write_json, list[tuple[Path, object]]()

    def write_plan_last(file: Path, value: object) -> None:
        if file.name == "plan.json":
            late.append((file, value))
            return
        for one in late:
            real(*one)
        real(file, value)

    monkeypatch.setattr(fitting, "write_json", write_plan_last)
    monkeypatch.setattr(decide_module, "write_json", write_plan_last)
    decide(project, out=out, opener=opener)
    assert (out / "plan.json").is_file()
    assert engine.plan_was_there is False


def test_the_plan_names_both_sides_of_the_one_comparison_and_the_seed_that_ships(
    tmp_path: Path, small_llama: LocalModel
) -> None:
    def second_seed_is_best(request: Request) -> float:
        if request.adapter is None:
            return 0.5
        return 0.99 if "seed2" in str(request.adapter) else 0.9

    opener = opened(scripted(right_when(second_seed_is_best)), small_llama)
    run = decide(write_project(tmp_path, labelled(200), THREE_SEEDS), opener=opener)
    plan = read_json(run / "plan.json")
    assert (plan["incumbent"], plan["challenger"]) == ("zero_shot", "fine_tune")
    assert plan["ships"]["fine_tune"] == 2
    assert plan["seeds"]["fine_tune"] == 3
    verdict = read_json(run / "verdict.json")
    assert verdict["plan"]["shipped_seed"] == 2
    tuned = by_name(verdict)["fine_tune"]
    assert tuned["quality"]["value"] == tuned["by_seed"]["2"]
    assert "Seed that ships: 2" in (run / "models" / "fine_tune" / "README.md").read_text()


# --- seeds ---------------------------------------------------------------------------------------


def test_further_seeds_are_skipped_and_said_to_be_when_dev_shows_futility(
    tmp_path: Path, small_llama: LocalModel
) -> None:
    opener = opened(scripted(right_when(lambda r: 0.3 if r.adapter else 0.95)), small_llama)
    run = decide(write_project(tmp_path, labelled(200), THREE_SEEDS), opener=opener)
    verdict = read_json(run / "verdict.json")
    assert by_name(verdict)["fine_tune"]["seeds"] == 1
    assert verdict["plan"]["futile"] is True
    assert any(note.startswith("Seeds 2 to 3 were skipped: dev") for note in verdict["notes"])
    assert (verdict["outcome"], verdict["rule"]) == ("zero_shot", "not_worth_it")


def test_the_challenger_named_at_its_first_seed_stays_though_its_others_are_worse(
    tmp_path: Path, small_llama: LocalModel
) -> None:
    docs = tmp_path / "project" / "docs"
    docs.mkdir(parents=True)
    (docs / "a.md").write_text("# Labels\n\nA message has a label.\n")

    def skill(request: Request) -> float:
        if request.adapter is None:
            return 0.3
        if "fine_tune_rag" in str(request.adapter):
            return 0.8
        return 0.9 if "seed1" in str(request.adapter) else 0.6

    opener = opened(scripted(right_when(skill)), small_llama)
    both = TRAINED.replace('"fine_tune"]', '"fine_tune", "fine_tune_rag"]')
    more = 'documents = "docs"\n' + both.replace("seeds = 1", "seeds = 2")
    run = decide(write_project(tmp_path / "project", labelled(120), more), opener=opener)
    plan = read_json(run / "plan.json")
    assert plan["challenger"] == "fine_tune"
    assert plan["seeds"] == {"constant": 1, "zero_shot": 1, "fine_tune": 2, "fine_tune_rag": 1}
    notes = read_json(run / "verdict.json")["notes"]
    assert any(note.startswith("fine_tune_rag was trained once: fine_tune") for note in notes)


# --- crashes -------------------------------------------------------------------------------------


def test_crashed_answers_are_counted_as_errors_and_quality_is_shown_without_them_too(
    tmp_path: Path,
) -> None:
    def fails_sometimes(request: Request) -> str | Failure:
        fails = number_of(request) % 4 == 0
        return Failure(message="does not fit") if fails else target_of(request)

    opener = opened(scripted(fails_sometimes))
    run = decide(write_project(tmp_path, labelled(120), UNTRAINED), opener=opener)
    verdict = read_json(run / "verdict.json")
    assert contract_faults(verdict) == []
    found = by_name(verdict)["zero_shot"]
    test = read_json(run / "splits.json")["test"]
    crashed = [
        row for row in read_jsonl(run / "answers.jsonl")
        if row["contender"] == "zero_shot" and row["error"]
    ]  # fmt: skip
    assert found["errors"] == len(crashed) > 0
    assert found["quality"]["value"] == pytest.approx(1 - len(crashed) / len(test))
    assert found["without_errors"] == 1.0
    assert {row["error"] for row in crashed} == {"does not fit"}
    unscored = [s for s in read_jsonl(run / "scores.jsonl") if s["value"] is None]
    assert {s["example_id"] for s in unscored} == {row["example_id"] for row in crashed}
    assert by_name(verdict)["constant"]["errors"] == 0
    assert by_name(verdict)["constant"]["without_errors"] is None


def test_a_contender_that_only_crashes_scores_nothing_and_the_run_ends_well(tmp_path: Path) -> None:
    opener = opened(scripted(lambda request: Failure(message="the server is gone")))
    verdict = read_json(
        decide(write_project(tmp_path, labelled(90), UNTRAINED), opener=opener) / "verdict.json"
    )
    assert contract_faults(verdict) == []
    found = by_name(verdict)["zero_shot"]
    assert found["quality"]["value"] == 0
    assert found["errors"] == verdict["n_test"]
    assert found["without_errors"] is None


# --- looks ---------------------------------------------------------------------------------------


def test_a_second_run_on_the_same_rows_is_the_second_look(tmp_path: Path) -> None:
    project = write_project(tmp_path, labelled(90), UNTRAINED)
    uses: list[int] = []
    for _ in range(3):
        opener = opened(scripted(right_when(lambda request: 0.6)))
        uses.append(read_json(decide(project, opener=opener) / "verdict.json")["test_set_uses"])
    assert uses == [1, 2, 3]


def test_rows_added_later_do_not_make_the_old_ones_new(tmp_path: Path) -> None:
    for count, expected in ((90, 1), (120, 2)):
        opener = opened(scripted(right_when(lambda request: 0.6)))
        project = write_project(tmp_path, labelled(count), UNTRAINED)
        verdict = read_json(decide(project, opener=opener) / "verdict.json")
        assert verdict["test_set_uses"] == expected


def test_a_run_on_changed_data_says_what_changed_and_that_test_rows_were_used(
    tmp_path: Path,
) -> None:
    notes: list[str] = []
    for count in (90, 120):
        opener = opened(scripted(right_when(lambda request: 0.6)))
        project = write_project(tmp_path, labelled(count), UNTRAINED)
        notes = read_json(decide(project, opener=opener) / "verdict.json")["notes"]
        if count == 90:
            assert not any("changed since" in note or "look" in note for note in notes)
    assert any(": 30 rows added. Of its " in note for note in notes)
    assert any("opened by 1 run before. This is look 2" in note for note in notes)


def test_a_run_uses_as_many_test_rows_as_the_gain_needs_and_says_so(tmp_path: Path) -> None:
    engine = scripted(right_when(lambda request: 0.6))
    opener = opened(engine)
    project = write_project(tmp_path, labelled(240), UNTRAINED)
    run = decide(project, "decision.minimum_gain=0.2", opener=opener)
    verdict, splits = read_json(run / "verdict.json"), read_json(run / "splits.json")
    assert verdict["n_test"] == len(splits["test"]) == 37
    assert any(
        note.startswith("With 37 test rows, a true gain of 20 points would be told with a chance")
        for note in verdict["notes"]
    )
    reserved = prepare(load_project(project, ["decision.minimum_gain=0.2"])).splits.reserved
    assert [example.id for example in reserved] == splits["reserved"] != []
    asked = "\n".join(turn.content for request in engine.requests for turn in request.messages)
    for example in reserved:
        assert not re.search(rf"{example.messages[0].content}\b", asked)


def test_other_rows_are_a_first_look(tmp_path: Path) -> None:
    for start in (0, 500):
        opener = opened(scripted(right_when(lambda request: 0.6)))
        rows = labelled(600)[start : start + 90]
        verdict = read_json(
            decide(write_project(tmp_path, rows, UNTRAINED), opener=opener) / "verdict.json"
        )
        assert verdict["test_set_uses"] == 1


def test_the_same_project_twice_gives_the_same_verdict_but_for_the_look(
    tmp_path: Path, small_llama: LocalModel
) -> None:
    found = []
    for name in ("one", "two"):
        opener = opened(scripted(right_when(tuned_well)), small_llama)
        project = write_project(tmp_path / name, labelled(90), TRAINED)
        found.append(essence(read_json(decide(project, opener=opener) / "verdict.json")))
    assert found[0] == found[1]


# --- what stops it -------------------------------------------------------------------------------


def test_an_engine_is_closed_and_the_folder_free_again_after_a_fault(
    tmp_path: Path, small_llama: LocalModel
) -> None:
    engine = scripted(right_when(tuned_well))
    opener = opened(engine, small_llama)
    rows = [{"text": f"message {n} " + "x" * 600, "label": LABELS[n % 3]} for n in range(40)]
    project = write_project(tmp_path / "p", rows, TRAINED)
    with pytest.raises(UserError, match="tokens do not fit the model's context of 256") as caught:
        decide(project, out=tmp_path / "run", opener=opener)
    assert str(caught.value).startswith(f"{tmp_path / 'p' / 'examples.jsonl'}:")
    assert str(caught.value).endswith(" more rows like these.")
    with pytest.raises(RuntimeError, match="closed"):
        engine.generate([])
    with pytest.raises(UserError, match="a run lies here already"):
        decide(project, out=tmp_path / "run", opener=opener)
    opener = opened(scripted(right_when(tuned_well)), small_llama)
    with pytest.raises(UserError, match="tokens do not fit the model's context of 256"):
        decide(project, out=tmp_path / "run", resume=True, opener=opener)


def test_the_contract_checker_notices_what_is_missing_or_wrong(tmp_path: Path) -> None:
    opener = opened(scripted(right_when(lambda request: 0.6)))
    run = decide(write_project(tmp_path, labelled(90), UNTRAINED), opener=opener)
    verdict = read_json(run / "verdict.json")
    del verdict["contenders"][0]["latency_ms"]
    verdict["contenders"][1]["quality"]["high"] = verdict["contenders"][1]["quality"]["low"]
    verdict["outcome"] = "fine_tune"
    faults = contract_faults(verdict)
    assert "contender constant: latency_ms is missing" in faults
    assert "outcome 'fine_tune' did not run" in faults
    assert any("is no interval" in fault for fault in faults)
    del verdict["comparisons"]
    assert contract_faults(verdict) == ["verdict: comparisons is missing"]


def sixty() -> EngineOpener:
    """A model that is right in 60 of 100 cases."""
    return opened(scripted(right_when(lambda request: 0.6)))


def in_units(count: int, size: int) -> list[Json]:
    """Messages of which so many at a time differ in one word of twenty."""
    return [
        {
            "text": " ".join([*(f"w{n // size}x{k}" for k in range(19)), f"message {n}"]),
            "label": LABELS[n * 7 % 3],
        }
        for n in range(count)
    ]


def test_rows_that_nearly_repeat_one_another_are_one_unit_of_every_interval(
    tmp_path: Path,
) -> None:
    opener = opened(scripted(right_when(lambda request: 0.6)))
    project = write_project(tmp_path, in_units(400, 5), UNTRAINED)
    run = decide(project, opener=opener)
    verdict, splits = read_json(run / "verdict.json"), read_json(run / "splits.json")
    units = {example.messages[0].content.split("x")[0] for example in rows_of_test(project, splits)}
    assert verdict["splits"]["groups"] == len(units) == verdict["n_test"] / 5
    assert all(one["groups"] == len(units) for one in verdict["comparisons"])
    assert by_name(verdict)["zero_shot"]["quality"]["method"].startswith("Korn–Graubard")


def rows_of_test(project: Path, splits: Json) -> list[Example]:
    known = prepare(load_project(project)).splits
    return [example for example in known.test if example.id in splits["test"]]


def test_reserved_rows_are_tested_on_once_a_verdict_asked_for_more(tmp_path: Path) -> None:
    project = write_project(tmp_path, labelled(400), UNTRAINED)
    wanted = "decision.minimum_gain=0.2"
    first = decide(project, wanted, opener=sixty())
    splits = read_json(first / "splits.json")
    assert len(splits["test"]) == 37
    verdict = {**read_json(first / "verdict.json"), "outcome": "undecided", "examples_needed": 30}
    (first / "verdict.json").write_text(json.dumps(verdict))

    foreseen = dry_run(load_project(project, [wanted]))
    assert foreseen.facts["test"] == 67
    assert "Test takes 67 rows: 37, and 30 more that the last verdict asked for." in foreseen.notes
    second = decide(project, wanted, opener=sixty())
    now = read_json(second / "splits.json")
    assert len(now["test"]) == 67
    assert set(splits["test"]) < set(now["test"]) <= {*splits["test"], *splits["reserved"]}
    assert (now["train"], now["dev"]) == (splits["train"], splits["dev"])
    confidence = significant(100 * look_confidence([37], 67))
    methods = [one["method"] for one in read_json(second / "verdict.json")["comparisons"]]
    assert {method.rpartition(", ")[2] for method in methods} == {f"{confidence}%"}

    write_jsonl(project / "examples.jsonl", labelled(600))
    third = decide(project, wanted, "data.limit_train=50", opener=sixty())
    assert len(read_json(third / "splits.json")["test"]) == 67


def test_a_run_that_is_gone_on_with_keeps_its_test_rows_whatever_was_asked_for_since(
    tmp_path: Path,
) -> None:
    project = write_project(tmp_path, labelled(400), UNTRAINED)
    wanted = "decision.minimum_gain=0.2"
    first, other = tmp_path / "runs" / "1", tmp_path / "runs" / "2"
    for out in (first, other):
        decide(project, wanted, out=out, opener=sixty())
    asking = {
        **read_json(other / "verdict.json"), "outcome": "undecided", "examples_needed": 30
    }  # fmt: skip
    (other / "verdict.json").write_text(json.dumps(asking))
    (first / "verdict.json").unlink()
    assert decide(project, wanted, resume=True, opener=sixty()) == first
    assert read_json(first / "verdict.json")["n_test"] == 37


# --- what is measured beside quality -------------------------------------------------------------


def test_dependability_of_the_two_final_contenders_is_measured_on_test_inputs(
    tmp_path: Path, small_llama: LocalModel
) -> None:
    opener = opened(scripted(right_when(tuned_well)), small_llama)
    run = decide(write_project(tmp_path, labelled(90), TRAINED), opener=opener)
    verdict = read_json(run / "verdict.json")
    found = {one["contender"]: one for one in verdict["dependability"]}
    assert set(found) == {"fine_tune", verdict["untrained"]}
    test = read_json(run / "splits.json")["test"]
    assert found["fine_tune"]["plain"]["inputs"] == min(60, len(test))
    asked = read_jsonl(run / "dependability.jsonl")
    assert {one["example_id"] for one in asked} <= set(test)
    sampled = [one for one in asked if one["way"] == "sampled" and one["contender"] == "fine_tune"]
    assert len(sampled) == found["fine_tune"]["sampled"]["answers"] == 3 * min(60, len(test))
    kept = sum(one["kept"] for one in sampled)
    assert found["fine_tune"]["sampled"]["kept"]["count"] == kept


def test_fewer_inputs_are_asked_again_where_the_project_says_so_and_none_without_the_measure(
    tmp_path: Path,
) -> None:
    project = write_project(tmp_path, labelled(90), UNTRAINED)
    few = decide(project, "decision.dependability_inputs=12", opener=opened(scripted(target_of)))
    (only,) = read_json(few / "verdict.json")["dependability"]
    assert only["plain"]["inputs"] == 12
    none = decide(project, "decision.measure=[]", opener=opened(scripted(target_of)))
    assert read_json(none / "verdict.json")["dependability"] == []
    assert not (none / "dependability.jsonl").exists()


def test_what_can_not_be_measured_is_named_with_what_can(tmp_path: Path) -> None:
    project = write_project(tmp_path, labelled(90), UNTRAINED)
    with pytest.raises(UserError, match=r"decision\.measure: .*dependability"):
        decide(project, 'decision.measure=["speed"]')


INTERNALISED = """
[training]
rank = 2
epochs = 1
learning_rate = 1e-3
batch_tokens = 4096
seeds = 1
[contenders]
use = ["constant", "zero_shot", "few_shot", "internalised"]
finish = true
[decision]
measure = []
"""


def test_a_prompt_is_put_into_weights_and_held_against_its_teacher(
    tmp_path: Path, small_llama: LocalModel
) -> None:
    opener = opened(scripted(right_when(lambda request: 0.8)), small_llama)
    run = decide(write_project(tmp_path, labelled(120), INTERNALISED), opener=opener)
    verdict = read_json(run / "verdict.json")
    assert contract_faults(verdict) == []
    found = verdict["internalised"]
    student, teacher = (by_name(verdict)[name] for name in ("internalised", found["teacher"]))
    assert student["fit"]["settings"]["teacher"] == found["teacher"] == "few_shot"
    assert found["same"]["count"] == found["answers"] == verdict["n_test"]
    saved = sum(teacher["tokens"][k] - student["tokens"][k] for k in ("prompt", "completion"))
    assert found["tokens_saved"] == pytest.approx(saved)
    assert found["tokens_saved"] > 0
    assert (run / "models" / "internalised" / "adapter_config.json").is_file()


def test_without_a_prompt_or_examples_there_is_nothing_to_internalise(
    tmp_path: Path, small_llama: LocalModel
) -> None:
    opener = opened(scripted(right_when(lambda request: 0.8)), small_llama)
    project = write_project(tmp_path, labelled(90), INTERNALISED.replace(', "few_shot"', ""))
    verdict = read_json(decide(project, opener=opener) / "verdict.json")
    assert verdict["internalised"] is None
    assert by_name(verdict)["internalised"]["skipped"] == (
        "neither prompt nor few_shot took part to the end"
    )
