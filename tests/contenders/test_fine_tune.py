from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from scripted_rows import Counted, race, row
from tunewise.chat.tokenize import Span, TokenisedExample
from tunewise.contenders.fine_tune import FineTune, Stage
from tunewise.contenders.protocol import NotApplicable
from tunewise.contenders.race import Race
from tunewise.contenders.rag import Library
from tunewise.data.documents.read import Block, Document
from tunewise.errors import UserError
from tunewise.metrics.by_name import Judgement, Metric
from tunewise.models.adapters import attach_adapter, check_adapter
from tunewise.models.catalog import LocalModel
from tunewise.models.engines.protocol import Engine, Request, Sampling
from tunewise.models.engines.scripted import ScriptedEngine
from tunewise.models.engines.transformers import TransformersEngine
from tunewise.models.loading import load_model, load_tokenizer
from tunewise.models.stored import adapter_hash
from tunewise.project.settings import TrainingSettings
from tunewise.training.reference import row_log_probabilities
from tunewise.training.rows import Row, pair_rows
from tunewise.types import Example, Failure, Generation, Message, Preference, Text

Make = Callable[..., FineTune]


def letters(count: int, prefix: str = "row") -> list[Example]:
    return [row(f"{prefix}{n}", f"{prefix} {n}", "ab"[n % 2]) for n in range(count)]


def lengthy(number: int, length: int) -> Row:
    sequence = TokenisedExample(token_ids=(0,) * length, answers=(Span(1, length),))
    return Row(id=f"row {number}", sequences=(sequence,))


class AdapterEngine(ScriptedEngine):
    """Answers right as often as it is told for the rate and epoch in the adapter's path."""

    def __init__(self, skill: Callable[[str, int, int], float]) -> None:
        self.asked: list[tuple[str, int, int]] = []
        super().__init__(self._say)
        self._skill = skill

    def _say(self, request: Request) -> str:
        assert request.adapter is not None
        rate, seed = request.adapter.parent.name.split("-")[-2:]
        place = (
            rate.removeprefix("lr"),
            int(seed.removeprefix("seed")),
            int(request.adapter.name.removeprefix("epoch")),
        )
        self.asked.append(place)
        number = int(request.messages[-1].content.split()[-1])
        return "ab"[number % 2] if number < 10 * self._skill(*place) else "?"


def points(engine: AdapterEngine) -> list[tuple[str, int, int]]:
    """(rate, seed, epochs) where dev was answered, in order."""
    return list(dict.fromkeys(engine.asked))


@pytest.fixture
def make(small_llama: LocalModel, tmp_path: Path) -> Make:
    torch.set_num_threads(1)

    def _make(
        engine: Engine | None = None, *, budget: int = 10**9, more: dict | None = None, **settings
    ) -> FineTune:
        return FineTune(
            name="fine_tune",
            engine=engine or AdapterEngine(lambda rate, seed, epochs: 0.5),
            model=small_llama,
            tokenizer=load_tokenizer(small_llama.folder),
            settings=TrainingSettings(**{"rank": 2, **settings}),
            budget_tokens=budget,
            folder=tmp_path / "training",
            progress=Counted(),
            **(more or {}),
        )

    return _make


# --- the epochs that a budget allows --------------------------------------------------------------

STAGE = Stage(method="sft", rows=[lengthy(n, 50) for n in range(200)])
"""10,000 tokens: 20 steps of 512, so 3 epochs make 60 steps."""


def epochs(make: Make, budget_in_epochs: float, *, dev_rows: int = 0, **settings: object) -> int:
    return make(budget=int(budget_in_epochs * 10_000), **settings)._epochs(
        [STAGE], dev_rows=dev_rows
    )


def test_the_epochs_shrink_with_the_budget_and_keep_to_it(make: Make) -> None:
    found = {budget: epochs(make, budget) for budget in (100, 9, 8, 6, 5, 3, 0.001)}
    assert found == {100: 3, 9: 3, 8: 2, 6: 2, 5: 1, 3: 1, 0.001: 1}


def test_the_seeds_count_towards_the_budget(make: Make) -> None:
    assert epochs(make, 3, seeds=1) == 3
    assert epochs(make, 3, seeds=3) == 1


def test_the_answers_on_dev_count_towards_the_budget(make: Make) -> None:
    # Three points of the first seed and one of each other, a quarter of an epoch each.
    assert epochs(make, 9 + 5 / 4, dev_rows=50) == 3
    assert epochs(make, 9 + 5 / 4 - 0.01, dev_rows=50) == 2


def test_a_given_number_of_epochs_is_kept_whatever_the_budget(make: Make) -> None:
    for budget in (0.0001, 100):
        assert epochs(make, budget, epochs=7) == 7


def test_what_is_read_before_counts_towards_the_budget(make: Make) -> None:
    before = Stage(method="cpt", rows=STAGE.rows)
    tune = make(budget=120_000, seeds=1)
    assert tune._epochs([STAGE], dev_rows=0) == 3
    assert tune._cost([before, STAGE], 3, dev_rows=0) == 10_000 * (3 + 3)


# --- what a fit does -----------------------------------------------------------------------------


def test_the_epoch_that_ships_has_the_best_aggregate(make: Make) -> None:
    dev = [row(f"dev{n}", f"dev {n}", "b" if n % 5 == 0 else "a") for n in range(10)]

    def said(request: Request) -> str:
        number = int(request.messages[-1].content.split()[-1])
        if request.adapter.name == "epoch1":
            return "a"  # right in 8 of 10, macro F1 0.44
        return "b" if number % 5 == 0 else "?" if number < 4 else "a"  # 7 of 10, 0.88

    tune = make(ScriptedEngine(said), epochs=2, learning_rate=1e-3)
    fit = tune.fit(letters(12), race(dev, "macro_f1")).fit
    assert fit.settings["epochs"] == 2
    assert [trial["dev"] for trial in fit.trials] == [0.4444, round((10 / 13 + 1) / 2, 4)]


def test_the_best_epoch_ships_and_the_earlier_one_on_ties(make: Make) -> None:
    engine = AdapterEngine(lambda rate, seed, epochs: {1: 0.5, 2: 0.8, 3: 0.8}[epochs])
    fitted = make(engine, epochs=3, learning_rate=1e-3).fit(letters(12), race(letters(10, "dev")))
    assert fitted.fit.settings["epochs"] == 2
    assert fitted.fit.settings["of_epochs"] == 3
    assert Path(fitted.fit.artifact[1]).name == "epoch2"
    assert fitted.fit.dev_answers == {1: (*"abababab", "?", "?")}


def test_where_dev_is_answered_once_the_last_epoch_ships(make: Make) -> None:
    engine = AdapterEngine(lambda rate, seed, epochs: {1: 0.5, 2: 0.8, 3: 0.8}[epochs])
    tune = make(engine, epochs=3, learning_rate=1e-3, more={"dev_times": 1})
    assert tune.fit(letters(12), race(letters(10, "dev"))).fit.settings["epochs"] == 3
    assert points(engine) == [("0.001", 1, 3)]


def test_the_adapter_that_was_chosen_answers(make: Make) -> None:
    engine = AdapterEngine(lambda rate, seed, epochs: 1.0 if epochs == 2 else 0.0)
    fitted = make(engine, epochs=3, learning_rate=1e-3).fit(letters(12), race(letters(10, "dev")))
    (answer,) = fitted.answer([letters(2, "test")[1].input], seed=1)
    assert (fitted.seeds, answer.seed, answer.text) == ((1,), 1, "b")
    assert engine.asked[-1] == ("0.001", 1, 2)


def test_the_model_is_asked_with_the_input_alone(make: Make) -> None:
    engine = AdapterEngine(lambda rate, seed, epochs: 1.0)
    dev = race(letters(2, "dev"))
    make(engine, epochs=1, learning_rate=1e-3).fit(letters(12), dev)
    assert [r.messages for r in engine.requests] == [e.messages for e in dev.order]


def test_tokens_of_the_training_and_of_all_asking_are_counted(make: Make) -> None:
    engine = AdapterEngine(lambda rate, seed, epochs: 0.5)
    tune = make(engine, epochs=2)
    fit = tune.fit(letters(12), race(letters(10, "dev"))).fit
    ((_, rows),) = [(s.method, s.rows) for s in tune._prepared(letters(12))[2]]
    assert fit.tokens["trained"] == 2 * sum(one.tokens for one in rows)
    assert fit.tokens["prefilled"] == 2 * 10 * 2  # twice dev, two words an input
    assert fit.tokens["generated"] == 2 * 10


def test_more_seeds_train_with_the_winners_settings_and_keep_the_first(make: Make) -> None:
    engine = AdapterEngine(lambda rate, seed, epochs: 0.3 * seed)
    tune = make(engine, epochs=2, learning_rate=1e-3)
    first = tune.fit(letters(12), race(letters(10, "dev")))
    epochs = first.fit.settings["epochs"]
    engine.asked.clear()
    three = tune.replicate(first, letters(12), race(letters(10, "dev")), seeds=3)
    assert points(engine) == [("0.001", 2, epochs), ("0.001", 3, epochs)]
    assert three.seeds == (1, 2, 3)
    assert three.fit.dev_answers[1] == first.fit.dev_answers[1]
    assert three.fit.artifact[1] == first.fit.artifact[1]
    weights = {
        (Path(folder) / "adapter_model.safetensors").read_bytes()
        for folder in three.fit.artifact.values()
    }
    assert len(weights) == 3, "each seed is a training of its own"
    assert three.fit.settings["seeds"] == 3
    assert three.fit.tokens["trained"] > first.fit.tokens["trained"]


def test_another_seed_of_the_project_is_another_training(make: Make) -> None:
    def weights(base_seed: int) -> bytes:
        tune = make(epochs=1, learning_rate=1e-3, more={"base_seed": base_seed})
        folder = tune.folder / str(base_seed)
        fit = replace(tune, folder=folder).fit(letters(12), race(letters(4, "dev"))).fit
        return (Path(fit.artifact[1]) / "adapter_model.safetensors").read_bytes()

    assert weights(0) != weights(1)


def test_a_second_fit_in_the_same_folder_trains_nothing_again(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    tune = make(epochs=2)
    first = tune.fit(letters(12), race(letters(10, "dev"))).fit
    monkeypatch.setattr(
        "tunewise.training.loop.Training.run_epoch",
        lambda *given: pytest.fail("an epoch was trained again"),
    )
    again = make(epochs=2).fit(letters(12), race(letters(10, "dev"))).fit
    assert replace(again, seconds=0.0) == replace(first, seconds=0.0)


def test_the_real_engine_answers_with_what_the_adapter_learned(
    make: Make, small_llama: LocalModel
) -> None:
    engine = TransformersEngine(small_llama, device="cpu")
    first_letter = Metric(
        name="first letter",
        binary=True,
        score=lambda answer, target: Judgement(value=float(answer[:1] == target)),
    )
    tune = make(engine, epochs=12, learning_rate=0.005, rank=8, batch_tokens=64)
    fitted = tune.fit(letters(12), race(letters(6), first_letter))
    adapter = Path(fitted.fit.artifact[1])
    check_adapter(adapter, small_llama)
    losses = [trial["loss"] for trial in fitted.fit.trials]
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < losses[0]
    learned = fitted.answer([e.input for e in letters(6)], seed=1)
    few = Sampling(max_tokens=4)
    base = engine.generate([Request(messages=e.messages, sampling=few) for e in letters(6)])
    assert fitted.fit.dev_answers == {1: tuple("ababab")}
    assert [str(answer.text)[0] for answer in learned] == [e.target for e in letters(6)]
    assert [one.text[:1] for one in base if isinstance(one, Generation)] != [
        e.target for e in letters(6)
    ]


# --- the race of the checkpoints ------------------------------------------------------------------


def ahead(count: int) -> Race:
    """A race in which another contender is always right."""
    field = race(letters(count, "dev"))
    field.add("classifier", [example.target for example in field.dev])
    return field


def test_a_checkpoint_that_is_surely_behind_is_not_answered_to_its_end(make: Make) -> None:
    engine = AdapterEngine(lambda rate, seed, epochs: 6.0 if epochs == 3 else 0.0)
    fit = make(engine, epochs=3, learning_rate=1e-3).fit(letters(12), ahead(60)).fit
    assert [(t["epochs"], t["dev_examples"], t.get("out_after")) for t in fit.trials] == [
        (1, 16, 16), (2, 16, 16), (3, 60, None)
    ]  # fmt: skip
    assert fit.settings["epochs"] == 3
    assert fit.stopped is None
    assert len(engine.requests) == 16 + 16 + 60


def test_where_every_checkpoint_is_behind_the_best_of_them_answers_all_of_dev(make: Make) -> None:
    """A verdict about training is about a model that was asked."""
    engine = AdapterEngine(lambda rate, seed, epochs: 0.1 * epochs)
    fit = make(engine, epochs=3, learning_rate=1e-3).fit(letters(12), ahead(60)).fit
    assert fit.stopped is not None
    assert fit.stopped.behind == "classifier"
    assert len(fit.dev_answers[1]) == 60
    assert all(trial["out_after"] for trial in fit.trials)


# --- what is refused -----------------------------------------------------------------------------


def test_a_row_longer_than_the_context_is_refused_by_name(make: Make) -> None:
    train = [*letters(5), row("long-one", "x" * 300, "a"), row("long-two", "y" * 400, "b")]
    with pytest.raises(UserError) as caught:
        make().fit(train, race(letters(3, "dev")))
    first, second = str(caught.value).splitlines()
    assert first.startswith("example long-one: its 3")
    assert "do not fit the model's context of 256" in first
    assert first.endswith("Shorten it, or choose a base model with a longer context.")
    assert second.startswith("example long-two: its 4")
    assert list(make().untrainable(train)) == ["long-one", "long-two"]


def test_a_row_with_no_answer_token_is_refused_by_name(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nothing_to_learn(
        tokenizer: object, messages: object, target: str, tools: object
    ) -> TokenisedExample:
        start = 3 if target == "b" else 2
        return TokenisedExample(token_ids=(1, 2, 3), answers=(Span(start, 3),))

    monkeypatch.setattr("tunewise.training.rows.answer_tokens", nothing_to_learn)
    with pytest.raises(UserError) as caught:
        make().fit(letters(4), race(letters(3, "dev")))
    assert str(caught.value).splitlines() == [
        f"example row{n}: its answer has no token to learn from. Give it an answer, or remove it."
        for n in (1, 3)
    ]


def test_with_passages_it_does_not_apply_without_documents(make: Make) -> None:
    with pytest.raises(NotApplicable, match="no documents given"):
        make(more={"way": "passages"}).fit(letters(5), race(letters(3, "dev")))


def test_with_passages_it_is_trained_and_asked_with_them(make: Make) -> None:
    sentence = "Row 1 says a, and dev 1 says b."
    library = Library(
        [
            Document(
                name="a.md",
                title="A",
                blocks=(Block(headings=(), kind="prose", text=sentence),),
            )
        ],
        None,
    )
    engine = AdapterEngine(lambda rate, seed, epochs: 1.0)
    tune = make(
        engine,
        epochs=1,
        learning_rate=1e-3,
        more={"library": library, "way": "passages"},
    )
    for one in tune._prepared(letters(6))[2][0].rows:
        assert sentence in str(tune.tokenizer.decode(list(one.sequences[0].token_ids)))
    fitted = tune.fit(letters(6), race(letters(3, "dev")))
    assert all(sentence in r.messages[-1].content for r in engine.requests)
    (answer,) = fitted.answer([letters(2, "dev")[1].input], seed=1)
    assert answer.passages == ("a.md#1",)
    assert fitted.fit.settings["k"] == 1


def test_a_request_that_fails_on_dev_is_no_score(make: Make) -> None:
    class Refusing(AdapterEngine):
        def generate(self, requests: Sequence[Request]) -> list[Generation | Failure]:
            return [Failure(message="full"), *super().generate(requests[1:])]

    engine = Refusing(lambda rate, seed, epochs: 1.0)
    dev = race(letters(3, "dev"))
    fit = make(engine, epochs=1, learning_rate=1e-3).fit(letters(6), dev).fit
    assert fit.dev_answers[1][dev.dev.index(dev.order[0])] is None
    assert fit.dev_answers[1].count(None) == 1


# --- documents before, pairs afterwards ----------------------------------------------------------

MANUAL = Text(id="manual.md", text="Row 1 says a, and dev 1 says b. " * 6)
PAIRS = [
    Preference(
        id=f"pair{n}",
        messages=(Message(role="user", content=f"pair {n}"),),
        chosen="a",
        rejected="b",
    )
    for n in range(6)
]


def staged(make: Make, engine: Engine | None = None, **more: object) -> FineTune:
    return make(engine, epochs=1, learning_rate=1e-3, more=more)


@pytest.mark.parametrize("way", ["documents", "preferences"])
def test_a_second_stage_does_not_apply_without_its_data(make: Make, way: str) -> None:
    with pytest.raises(NotApplicable, match=r"no (documents|preference pairs) given"):
        staged(make, way=way).fit(letters(5), race(letters(3, "dev")))


@pytest.mark.parametrize(
    ("more", "first", "last"),
    [
        ({"way": "documents", "documents": [MANUAL]}, "cpt", "sft"),
        ({"way": "preferences", "preferences": PAIRS}, "sft", "dpo"),
    ],
)
def test_stages_follow_each_other_on_one_adapter(
    make: Make, more: dict, first: str, last: str
) -> None:
    tune = staged(make, AdapterEngine(lambda rate, seed, epochs: 1.0), **more)
    fitted = tune.fit(letters(6), race(letters(3, "dev")))
    assert fitted.fit.settings["stages"] == [first, last]
    stages = tune._prepared(letters(6))[2]
    assert fitted.fit.tokens["trained"] == sum(r.tokens for s in stages for r in s.rows)
    before = next(tune.folder.glob(f"fine_tune-{first}-*/epoch1"))
    alone = staged(make, AdapterEngine(lambda rate, seed, epochs: 1.0))
    alone = replace(alone, folder=tune.folder / "alone")
    from_scratch = alone.fit(letters(6), race(letters(3, "dev"))).fit.artifact[1]
    shipped = adapter_hash(Path(fitted.fit.artifact[1]))
    assert shipped not in (adapter_hash(before), adapter_hash(Path(from_scratch)))
    three = tune.replicate(fitted, letters(6), race(letters(3, "dev")), seeds=2)
    assert adapter_hash(Path(three.fit.artifact[2])) != shipped


def test_pairs_are_learnt_from(make: Make, small_llama: LocalModel) -> None:
    tune = staged(make, AdapterEngine(lambda rate, seed, epochs: 1.0))
    tune = replace(
        tune, way="preferences", preferences=PAIRS, settings=replace(tune.settings, epochs=8)
    )
    fitted = tune.fit(letters(6), race(letters(3, "dev")))
    rows = pair_rows(tune.tokenizer, PAIRS, context_tokens=256)
    before = next(tune.folder.glob("fine_tune-sft-*/epoch8"))

    def ahead(adapter: Path) -> float:
        model = attach_adapter(load_model(small_llama.folder), adapter, small_llama, name="default")
        found = row_log_probabilities(
            model, rows, micro_tokens=512, share=False, autocast=nullcontext
        )
        return sum(chosen - rejected for chosen, rejected in found)

    assert ahead(Path(fitted.fit.artifact[1])) > ahead(before) + 1
