"""What people are shown of models with a name."""

from dataclasses import replace
from pathlib import Path
from typing import Any

from tunewise.report.models import diff_lines, diff_models, model_lines, version_lines
from tunewise.runs.model_file import BaseUsed, ModelFile, Origin, Said
from tunewise.runs.registry import Alias, Content, Version
from tunewise.runs.registry_file import Event, Lineage
from tunewise.runs.schema import ContenderResult, Cost, Latency, Quality, Tokens

SAID = Said(
    outcome="few_shot",
    recommended="few_shot",
    finding="do_not",
    reason="Examples are enough.\x1b[31m",
    metric="accuracy",
    n_test=120,
)
FEW = ModelFile(
    contender="few_shot",
    kind="few_shot",
    base=BaseUsed(name="smollm2-135m-instruct", sha256="ab" * 32, licence="apache-2.0"),
    instruction="Sort.",
    settings={"k": 4, "selection": "nearest"},
    max_tokens=20,
    files={"examples.jsonl": "cd" * 32},
    origin=Origin(project="shop", run="20261101-1", token="t1", data="ef" * 32),
    measured=ContenderResult(
        name="few_shot",
        quality=Quality(value=0.91, low=0.85, high=0.95),
        tokens=Tokens(prompt=531.4, completion=4.2),
        latency=Latency(p50=140, p50_low=130, p50_high=150),
        cost=Cost(per_1000_requests=0.02, currency="USD"),
    ),
    verdict=SAID,
)


def version(number: int) -> Version:
    return Version(
        name="triage",
        number=number,
        folder=Path(f"/home/models/triage/{number}"),
        created=1.7e9,
        lineage=Lineage(run="20261101-1"),
    )


CONTENT = Content(
    versions=(version(1), version(2)),
    aliases=(Alias(name="triage", alias="production", number=1),),
)


def changed(**fields: Any) -> ModelFile:
    return replace(FEW, **fields)


def test_a_line_says_what_a_version_is_how_good_and_who_points_there() -> None:
    assert version_lines(CONTENT, {"triage@1": FEW, "triage@2": None}) == [
        "triage@1  few_shot on smollm2-135m-instruct  accuracy 91.0% (85.0–95.0)  "
        "<- triage@production",
        "triage@2  damaged: `tunewise models show` says how",
    ]


def test_all_that_is_known_of_one_is_shown_without_what_steers_a_terminal() -> None:
    plain = {"time": 1.7e9, "name": "triage", "facts": {}}
    exported = {"kind": "exported", "facts": {"to": "gguf", "place": "/x"}}
    events = [
        Event(**{**plain, "seq": 1, "kind": "set", "number": 1, "alias": "production"}),
        Event(**{**plain, "seq": 2, "number": 1, **exported}),
        Event(**{**plain, "seq": 3, "kind": "removed", "number": 7}),
    ]
    text = "\n".join(model_lines(version(1), FEW, CONTENT, events))
    for part in (
        "of shop, run 20261101-1",
        "accuracy 91.0% (85.0–95.0) on 120 test rows",
        "531 + 4.2",
        "140 ms (130–150 ms)",
        "0.020 USD",
        "triage@production -> triage@1",
        "exported to gguf: /x",
        "Examples are enough.␛[31m",
    ):
        assert part in text
    assert "triage@7" not in text
    assert "\x1b" not in text


def test_two_versions_differ_in_what_differs_alone() -> None:
    other = changed(
        kind="prompt",
        settings={"variant": "role", "system": "You are an expert.\nSort."},
        instruction="",
        files={},
        measured=replace(FEW.measured, quality=Quality(value=0.8, low=0.7, high=0.9)),  # type: ignore[type-var]
    )
    diff = diff_models("triage@1", FEW, "triage@2", other)
    found = {one.what: (one.a, one.b) for one in diff.differences}
    assert found == {
        "contender": ("few_shot on smollm2-135m-instruct", "prompt on smollm2-135m-instruct"),
        "quality": (
            "accuracy 91.0% (85.0–95.0) on 120 test rows",
            "accuracy 80.0% (70.0–90.0) on 120 test rows",
        ),
        "instruction": ("Sort.", ""),
        "settings.k": ("4", ""),
        "settings.selection": ("nearest", ""),
        "settings.variant": ("", "role"),
        "settings.system": ("", "You are an expert.\nSort."),
        "examples": ("cdcdcdcdcdcd", ""),
    }
    lines = list(diff_lines(diff))
    assert lines[0] == "triage@1 -> triage@2"
    assert "  settings.k: 4 -> none" in lines
    assert "    + You are an expert." in lines
    assert lines[-1].endswith("says the report of run 20261101-1.")


def test_qualities_of_other_rows_or_metrics_are_said_not_to_compare() -> None:
    others = changed(origin=replace(FEW.origin, data="00" * 32, token="t2"))
    assert "judged on different rows" in diff_models("a", FEW, "b", others).note
    other = changed(verdict=replace(SAID, metric="macro_f1"))
    assert "by different metrics" in diff_models("a", FEW, "b", other).note
    unjudged = changed(verdict=None, measured=None)
    assert "never judged" in diff_models("a", FEW, "b", unjudged).note


def test_the_same_model_twice_differs_in_nothing() -> None:
    assert list(diff_lines(diff_models("a", FEW, "b", FEW))) == ["a and b are the same."]
