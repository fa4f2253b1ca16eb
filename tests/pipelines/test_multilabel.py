"""Answers that are sets of labels, from `init` to the contenders."""

import json
from collections.abc import Sequence
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from command_line import tunewise
from places import ROOT
from scripted_rows import race
from tunewise.contenders.classifier import Classifier
from tunewise.contenders.constant import Constant
from tunewise.contenders.prompt import variants_of
from tunewise.contenders.protocol import NotApplicable
from tunewise.metrics.by_name import metric_named, quality
from tunewise.types import Example, Message

CASE = ROOT.parent / "shared/cases/07-label-sets/rows.jsonl"
WORDS = {"feathers": "wing", "rudder": "tail", "radar": "nose"}


def example(number: int, text: str, target: str) -> Example:
    return Example(id=str(number), messages=(Message(role="user", content=text),), target=target)


def planes(count: int = 48) -> list[Example]:
    """Each input names one or two parts; the answers say them in any order."""
    names = list(WORDS)
    rows: list[Example] = []
    for n in range(count):
        said = [names[n % 3]] if n % 4 == 0 else [names[n % 3], names[(n + 1) % 3]]
        parts = [WORDS[word] for word in said]
        answer = ", ".join(parts[::-1] if n % 2 else parts)
        rows.append(example(n, f"{n}: look at {' and '.join(said)}", answer))
    return rows


class WordEmbedder:
    """One dimension for each word."""

    name = "words"

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        rows = [[float(word in text) for word in WORDS] + [0.1] for text in texts]
        return np.array(rows, dtype=np.float32)


@pytest.fixture(autouse=True)
def no_models(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TUNEWISE_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    lines = [
        json.dumps({"input": row.messages[0].content, "output": row.target}) for row in planes()
    ]
    (tmp_path / "planes").mkdir()
    (tmp_path / "planes/rows.jsonl").write_text("\n".join(lines) + "\n")
    return tmp_path / "planes"


def test_init_writes_the_kind_the_labels_and_how_to_answer(folder: Path) -> None:
    done = tunewise("init", folder)
    assert done.code == 0
    assert "multilabel, 3 labels, judged by set_f1" in done.out
    text = (folder / "tunewise.toml").read_text("utf-8")
    assert 'labels = ["nose", "tail", "wing"]' in " ".join(text.split())
    assert "all labels that apply, commas between them" in " ".join(text.replace("# ", "").split())
    assert tunewise("check", folder).code == 0
    dry = tunewise("decide", folder, "--dry-run", "--json")
    assert dry.code == 0, dry.err
    assert json.loads(dry.out)["kind"] == "multilabel"


def test_check_counts_labels_and_not_combinations(folder: Path) -> None:
    done = tunewise("check", folder / "rows.jsonl", "--json")
    assert done.code == 0, done.err
    document = json.loads(done.out)
    assert not [one for one in document["warnings"] if one["rule"] == "contradiction"]
    assert document["task"]["kind"] == "multilabel"
    assert document["labels"] == {label: {"examples": 28} for label in ("nose", "tail", "wing")}
    assert tunewise("check", folder / "rows.jsonl").code == 0
    assert "Rows by label" in next(folder.rglob("check.html")).read_text("utf-8")


def test_the_classifier_says_every_label_that_applies() -> None:
    metric = metric_named("set_f1", ("nose", "tail", "wing"))
    classifier = Classifier(metric=metric, sets=True, load=WordEmbedder)
    fitted = classifier.fit(planes(), race(planes(12)))
    asked = [example(1, "rudder and feathers", ""), example(2, "the radar", "")]
    answers = fitted.answer([one.input for one in asked], seed=0)
    assert [answer.text for answer in answers] == ["tail, wing", "nose"]
    assert fitted.fit.settings["values"] == {"labels": 3}


def test_the_classifier_leaves_free_texts_alone() -> None:
    rows = [example(n, f"text {n}", f"answer {n}, more {n}") for n in range(20)]
    with pytest.raises(NotApplicable, match="not sets from a few labels"):
        Classifier(metric=metric_named("set_f1"), sets=True, load=WordEmbedder).fit(
            rows, race(rows)
        )


def test_the_constant_is_the_best_set_of_all() -> None:
    answers = ["wing", "tail", "wing, nose", "tail, nose", "wing, tail"] * 4
    rows = [example(n, f"row {n}", answer) for n, answer in enumerate(answers)]
    metric = metric_named("set_f1")
    fitted = Constant(metric=metric).fit(rows, race(rows[:5]))
    every = [", ".join(some) for size in (1, 2, 3) for some in combinations(WORDS.values(), size)]
    quality_of = {one: quality(metric, [one] * len(answers), answers) for one in every}
    assert quality(metric, [fitted.text] * len(answers), answers) == max(quality_of.values())


def test_prompts_say_how_sets_are_written_and_which_labels_there_are() -> None:
    wordings = {one.name: one for one in variants_of("Sort it.", "multilabel", None, planes())}
    assert "commas between them" in wordings["format contract"].system
    assert "The labels are: wing, nose, tail." in wordings["values listed"].system
    assert "wing: feathers" in wordings["values defined"].system


def test_the_rows_of_the_report_are_sets_of_four_labels(tmp_path: Path) -> None:
    if not CASE.exists():
        pytest.skip("the reported cases are not here")
    (tmp_path / "rows.jsonl").write_bytes(CASE.read_bytes())
    assert "multilabel, 4 labels, judged by set_f1" in tunewise("init", tmp_path).out
    found = json.loads(tunewise("check", tmp_path, "--json").out)["warnings"]
    assert not [one for one in found if one["rule"] == "contradiction"]
