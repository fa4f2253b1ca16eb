import json
from pathlib import Path

import pytest

import small_sentence_model
from search_rows import METRIC, dev, questions, shelf
from tunewise.contenders import fine_tune_embedding as module
from tunewise.contenders.fine_tune_embedding import FineTuneEmbedding
from tunewise.contenders.protocol import NotApplicable
from tunewise.contenders.ranking import Ranker
from tunewise.metrics.by_name import quality
from tunewise.progress import Silent
from tunewise.project.settings import TrainingSettings
from tunewise.retrieval.embed import load_embedder


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(small_sentence_model.build(tmp_path_factory.mktemp("sentences")))


def contender(folder: Path, base: str) -> FineTuneEmbedding:
    return FineTuneEmbedding(
        metric=METRIC,
        shelf=shelf(folder / "docs"),
        base=base,
        settings=TrainingSettings(learning_rate=3e-3, epochs=4),
        folder=folder / "training",
        progress=Silent(),
    )


def test_it_learns_what_no_search_knew(tmp_path: Path, base: str) -> None:
    race = dev(18)
    before = Ranker(
        name="dense",
        mode="dense",
        metric=METRIC,
        shelf=shelf(tmp_path / "docs"),
        load=lambda: load_embedder(base),
    ).fit([], race)
    fitted = contender(tmp_path, base).fit(questions(60), race)
    wanted = [row.target for row in race.dev]
    untuned, tuned = (
        quality(METRIC, fit.dev_answers[seed], wanted)
        for fit, seed in ((before.fit, 0), (fitted.fit, 1))
    )
    assert tuned > 0.95 > untuned
    unseen = questions(12, "new")
    answers = fitted.answer([row.input for row in unseen], seed=1)
    assert [json.loads(str(a.text))[0] for a in answers] == [row.target for row in unseen]


def test_what_ships_is_what_was_best_on_dev(tmp_path: Path, base: str) -> None:
    race = dev()
    fitted = contender(tmp_path, base).fit(questions(30), race)
    best = max(fitted.fit.trials, key=lambda trial: trial["dev"])
    assert (fitted.fit.settings["epochs"], fitted.fit.settings["search"]) == (
        best["epochs"],
        best["search"],
    )
    shipped = load_embedder(fitted.fit.artifact[1])
    assert Path(shipped.name) == tmp_path / "training" / "fine_tune_embedding" / "seed1"
    again = fitted.answer([row.input for row in race.dev], seed=1)
    assert tuple(answer.text for answer in again) == fitted.fit.dev_answers[1]


def test_further_seeds_are_trained_as_long_as_the_first_and_answer_for_themselves(
    tmp_path: Path, base: str
) -> None:
    race, train = dev(), questions(30)
    one = contender(tmp_path, base)
    first = one.fit(train, race)
    all_of_them = one.replicate(first, train, race, seeds=3)
    assert all_of_them.seeds == (1, 2, 3)
    assert set(all_of_them.fit.artifact) == set(all_of_them.fit.dev_answers) == {1, 2, 3}
    assert all_of_them.fit.dev_answers[1] == first.fit.dev_answers[1]
    assert all_of_them.fit.settings["seeds"] == 3
    assert all_of_them.fit.tokens["trained"] > first.fit.tokens["trained"]


def test_what_was_trained_is_not_trained_again(
    tmp_path: Path, base: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    race, train = dev(), questions(30)
    one = contender(tmp_path, base)
    before = one.replicate(one.fit(train, race), train, race, seeds=2)
    monkeypatch.setattr(module, "tune_embedding", lambda *_, **__: pytest.fail("trained again"))
    after = one.replicate(one.fit(train, race), train, race, seeds=2)
    assert after.fit.dev_answers == before.fit.dev_answers
    assert after.fit.tokens == before.fit.tokens
    with pytest.raises(pytest.fail.Exception):
        one.fit(questions(33), race)


def test_without_its_model_it_takes_no_part(tmp_path: Path) -> None:
    with pytest.raises(NotApplicable, match="cannot be loaded"):
        contender(tmp_path, "nobody/nothing").fit(questions(9), dev())
