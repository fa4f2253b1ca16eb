import json
from typing import get_args

import pytest

from scripted_rows import Counted, engine, race, row, rows
from tunewise.contenders.prompt import TunedPrompt, Variant, variants_of
from tunewise.models.engines.protocol import Request
from tunewise.models.engines.scripted import ScriptedEngine
from tunewise.types import Example, Kind

INSTRUCTION = "Do the task."


def tickets() -> list[Example]:
    """Twelve messages with a JSON answer whose two fields are closed sets."""
    texts = {
        "refund": ["please refund money", "money back now", "refund money soon"],
        "delivery": ["parcel is late", "where is my parcel", "late parcel again"],
    }
    return [
        row(f"{kind}{n}{twice}", text, json.dumps({"category": kind, "urgent": n == 0}))
        for twice in range(2)
        for kind, some in texts.items()
        for n, text in enumerate(some)
    ]


def facts() -> list[Example]:
    return [row(str(n), f"how long is pole {n}", " ".join(["word"] * n)) for n in range(1, 10)]


def parts() -> list[Example]:
    answers = ("wing, tail", "tail", "nose, wing")
    return [row(str(n), f"plane {n}", answers[n % 3]) for n in range(9)]


TRAIN: dict[Kind, list[Example]] = {
    "classification": rows(9),
    "multilabel": parts(),
    "extraction": tickets(),
    "qa": facts(),
    "generation": facts(),
}


def variants(kind: Kind) -> dict[str, Variant]:
    labels = ("a", "b", "c") if kind == "classification" else None
    return {v.name: v for v in variants_of(INSTRUCTION, kind, labels, TRAIN[kind])}


WORDED = tuple(kind for kind in get_args(Kind) if kind != "search")
"""Kinds that are answered in words."""


@pytest.mark.parametrize("kind", WORDED)
def test_there_are_at_least_eight_wordings_that_differ(kind: Kind) -> None:
    item = row("x", "the input", "").input
    worded = {variant.messages(item) for variant in variants(kind).values()}
    assert len(worded) >= 8


@pytest.mark.parametrize("kind", WORDED)
def test_every_wording_holds_the_persons_own_instruction_and_the_input(kind: Kind) -> None:
    item = row("x", "the input", "").input
    for variant in variants(kind).values():
        said = "\n".join(turn.content for turn in variant.messages(item))
        assert INSTRUCTION in said
        assert "the input" in said


def test_the_persons_own_words_come_first_and_unchanged() -> None:
    first = variants_of(INSTRUCTION, "qa", None, facts())[0]
    assert (first.name, first.system, first.before, first.after) == (
        "own words",
        INSTRUCTION,
        "",
        "",
    )


def test_labels_are_listed_as_declared_else_as_train_shows_them() -> None:
    assert "The labels are: a, b, c." in variants("classification")["values listed"].system
    seen = variants_of(INSTRUCTION, "classification", None, rows(2))
    assert "The labels are: a, b." in seen[3].system


def test_labels_are_defined_by_words_that_only_their_inputs_use() -> None:
    train = [row(e.id, e.input.text, json.loads(e.target)["category"]) for e in tickets()]
    defined = variants_of(INSTRUCTION, "classification", None, train)[4].system
    assert "refund: money, refund" in defined
    assert "delivery: parcel, late" in defined


def test_a_json_task_names_its_keys_and_the_values_of_closed_fields() -> None:
    found = variants("extraction")
    assert 'the keys "category", "urgent"' in found["format contract"].system
    assert 'category: "refund" or "delivery"' in found["values listed"].system
    assert "urgent: false or true" in found["values listed"].system
    assert "refund: money" in found["values defined"].system


def test_a_field_of_many_values_is_not_listed() -> None:
    train = [row(str(n), f"q{n}", json.dumps({"name": f"n{n}", "ok": True})) for n in range(30)]
    listed = variants_of(INSTRUCTION, "extraction", None, train)[3].system
    assert "ok: true" in listed
    assert "n17" not in listed


@pytest.mark.parametrize("kind", ["qa", "generation"])
def test_a_text_task_says_how_long_answers_are_and_shows_one(kind: Kind) -> None:
    found = variants(kind)
    assert "about 5 words" in found["format contract"].system
    assert found["values listed"].system.count("An answer may look like this:") == 1
    assert found["values defined"].system.count("An answer may look like this:") == 3


def test_constraints_stand_before_the_instruction_or_after_the_input() -> None:
    item = row("x", "the input", "").input
    found = variants("classification")
    first = found["constraints first"].messages(item)
    assert first[0].content.startswith("Answer with the label only")
    assert first[0].content.endswith(INSTRUCTION)
    last = found["constraints last"].messages(item)
    assert last[0].content == INSTRUCTION
    assert last[-1].content.startswith("the input\n\nThe labels are")
    (alone,) = found["in the user turn"].messages(item)
    assert alone.role == "user"
    assert alone.content.startswith(INSTRUCTION)
    assert alone.content.endswith("\n\nthe input")


def test_a_conversation_keeps_its_turns_and_the_last_one_is_worded() -> None:
    example = row("x", "the input", "").input
    talk = Example(
        id="y",
        messages=(*rows(2)[0].messages, *example.messages),
        target="",
    )
    turns = variants("qa")["constraints last"].messages(talk.input)
    assert [turn.content for turn in turns[1:-1]] == ["row number 0 means a"]
    assert turns[-1].content.startswith("the input\n\n")


@pytest.mark.parametrize(
    ("said", "read"),
    [
        ("It is about money.\nAnswer: refund", "refund"),
        ("Answer: maybe delivery. No.\nAnswer:\n refund \n", "refund"),
        ("refund", "refund"),
        ("Answer:", ""),
    ],
)
def test_after_steps_the_answer_is_what_follows_the_last_mark(said: str, read: str) -> None:
    steps = variants("classification")["step by step"]
    assert steps.read(said) == read
    assert variants("classification")["own words"].read(said) == said.strip()


def tuned(told: ScriptedEngine, *own: str, budget: int = 10**9, progress: object = None):
    return TunedPrompt(
        engine=told,
        instruction=INSTRUCTION,
        kind="classification",
        labels=("a", "b", "c"),
        own=own,
        budget_tokens=budget,
        progress=progress or Counted(),
    )


def right_if(marker: str):
    """A model that answers right when the system turn holds `marker`, and `z` otherwise."""

    def script(request: Request) -> str:
        good = marker in request.messages[0].content
        return request.messages[-1].content.split()[-1] if good else "z"

    return script


def test_the_wording_that_dev_likes_best_answers_test() -> None:
    told = engine(right_if("great care"))
    dev = rows(20, "dev")
    fitted = tuned(told).fit(rows(30), race(dev))
    assert fitted.fit.settings["variant"] == "role"
    assert fitted.fit.dev_answers == {0: tuple(row.target for row in dev)}
    (answer,) = fitted.answer([rows(3, "test")[2].input], seed=0)
    assert answer.text == "c"
    assert "great care" in told.requests[-1].messages[0].content


def test_a_persons_own_variants_take_part() -> None:
    fitted = tuned(engine(right_if("Sesame")), "Open up.", "Sesame.").fit(
        rows(30), race(rows(20, "dev"))
    )
    assert fitted.fit.settings == {"variant": "own 2", "system": "Sesame."}
    assert [t["variant"] for t in fitted.fit.trials][-2:] == ["own 1", "own 2"]
    assert len(fitted.fit.trials) == 11


def test_where_all_are_alike_the_persons_own_words_stay() -> None:
    fit = tuned(engine(lambda r: "a")).fit(rows(30), race(rows(20, "dev"))).fit
    assert fit.settings["variant"] == "own words"


def test_a_marked_answer_is_given_room_for_its_steps() -> None:
    told = engine(
        lambda r: "thinking\nAnswer: a" if "step by step" in r.messages[0].content else ""
    )
    fitted = tuned(told).fit(rows(30), race(rows(20, "dev")))
    assert fitted.fit.settings["variant"] == "step by step"
    limits = {"step by step" in r.messages[0].content: r.sampling.max_tokens for r in told.requests}
    assert limits[True] == limits[False] + 120
    assert fitted.answer([rows(1)[0].input], seed=0)[0].text == "a"


def test_progress_counts_exactly_what_is_asked() -> None:
    progress, told = Counted(), engine()
    tuned(told, progress=progress).fit(rows(30), race(rows(20, "dev")))
    assert progress.totals == progress.done == [len(told.requests)]


def test_a_small_budget_ends_the_search_after_a_round() -> None:
    told = engine(right_if("great care"))
    fit = tuned(told, budget=1).fit(rows(30), race(rows(40, "dev"))).fit
    assert fit.settings["stopped"] == "by the budget"
    whole = tuned(told).fit(rows(30), race(rows(40, "dev"))).fit
    assert "stopped" not in whole.settings
    assert fit.settings["variant"] == "role"
    seen = {str(trial["variant"]): trial["dev_examples"] for trial in fit.trials}
    assert seen.pop("role") == 40
    assert set(seen.values()) == {8}


def test_where_no_wording_is_right_on_the_first_rows_only_ones_own_words_go_on() -> None:
    told = engine(lambda request: "z")
    fit = tuned(told).fit(rows(30), race(rows(40, "dev"))).fit
    assert fit.settings["variant"] == "own words"
    assert [trial["dev_examples"] for trial in fit.trials] == [40] + [8] * 8
    assert len(told.requests) == 9 * 8 + 32


def test_it_is_stopped_where_every_wording_is_surely_too_far_behind() -> None:
    field = race(rows(60, "dev"))
    field.add("classifier", [row.target for row in field.dev])
    fit = tuned(engine(lambda request: "z")).fit(rows(30), field).fit
    assert fit.stopped is not None
    assert fit.trials[0]["out_after"] == fit.stopped.rows


def test_spellings_of_a_label_are_listed_once_and_defined_together() -> None:
    train = [row(str(n), "money please", ("Refund", "Refund", "refund.")[n]) for n in range(3)]
    train += [row(f"d{n}", "parcel please", "delivery") for n in range(3)]
    listed, defined = variants_of(INSTRUCTION, "classification", None, train)[3:5]
    assert "The labels are: Refund, delivery." in listed.system
    assert "Refund: money, please" in defined.system


def test_words_of_scripts_without_spaces_tell_labels_apart() -> None:
    texts = ["返品したいです", "商品を返品", "返品の送料", "配送が遅い", "配送状況", "配送の遅れ"]
    train = [row(text, text, "返品" if "返品" in text else "配送") for text in texts]
    defined = variants_of(INSTRUCTION, "classification", None, train)[4].system
    assert "返品: 返品" in defined
    assert "配送: 配送" in defined
