from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from scripted_rows import Counted, row

from tunewise.contenders.base import NotApplicable
from tunewise.contenders.fine_tune import (
    LEARNING_RATES,
    FineTune,
    Grid,
    dev_points,
    rung_epochs,
)
from tunewise.contenders.rag import Library
from tunewise.data.chat import Span, TokenisedExample
from tunewise.errors import UserError
from tunewise.evaluation.scorers import Judgement, Metric, metric_named
from tunewise.models.adapters import check_adapter
from tunewise.models.catalog import LocalModel
from tunewise.models.engine import Engine, Request, Sampling
from tunewise.models.hub import load_tokenizer
from tunewise.models.scripted import ScriptedEngine
from tunewise.models.transformers import TransformersEngine
from tunewise.project import Training as Settings
from tunewise.retrieval.documents import Block, Document
from tunewise.types import Example, Failure, Generation

Make = Callable[..., FineTune]


def letters(count: int, prefix: str = "row") -> list[Example]:
    return [row(f"{prefix}{n}", f"{prefix} {n}", "ab"[n % 2]) for n in range(count)]


def tokenised(lengths: Sequence[int]) -> list[TokenisedExample]:
    return [
        TokenisedExample(token_ids=(0,) * length, answers=(Span(1, length),)) for length in lengths
    ]


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
            metric=metric_named("accuracy"),
            model=small_llama,
            tokenizer=load_tokenizer(small_llama.folder),
            settings=Settings(**{"rank": 2, **settings}),
            budget_tokens=budget,
            folder=tmp_path / "training",
            progress=Counted(),
            **(more or {}),
        )

    return _make


# --- the grid that a budget allows ---------------------------------------------------------------

ROWS = tokenised([50] * 200)  # 10,000 tokens: 20 steps of 512, so 3 epochs make 60 steps


def grid(make: Make, tokens_of_budget: float, *, dev_rows: int = 0, **settings: object) -> Grid:
    """The grid for a budget given in epochs of `ROWS`."""
    budget = int(tokens_of_budget * 10_000)
    return make(budget=budget, **settings).plan(ROWS, dev_rows=dev_rows)[0]


def test_a_large_budget_allows_every_rate_and_full_length(make: Make) -> None:
    full = grid(make, 100)
    assert full.learning_rates == LEARNING_RATES
    assert full.epochs == 3  # of 19 steps, about 60 in all


def test_the_grid_shrinks_with_the_budget_and_keeps_to_it(make: Make) -> None:
    sizes = {100: (2, 3), 10: (2, 3), 9: (1, 3), 8: (2, 2), 6: (1, 2), 4: (2, 1), 3: (1, 1)}
    for epochs, size in sizes.items():
        found = grid(make, epochs)
        assert (len(found.learning_rates), found.epochs) == size
        assert found.cost(seeds=3) <= epochs


def test_the_grid_never_falls_below_one_rate_and_one_epoch(make: Make) -> None:
    assert grid(make, 0.0001) == Grid(learning_rates=LEARNING_RATES[:1], epochs=1)


def test_the_seeds_count_towards_the_budget(make: Make) -> None:
    one, three = grid(make, 8, seeds=1), grid(make, 8, seeds=3)
    assert one.cost(1) <= 8
    assert three.cost(3) <= 8
    assert (one.epochs, len(one.learning_rates)) > (three.epochs, len(three.learning_rates))


def test_the_cost_is_a_rung_for_each_rate_then_the_best_to_its_end_then_the_seeds() -> None:
    assert Grid(learning_rates=(1e-4, 2e-4, 3e-4), epochs=9).cost(seeds=3) == 3 * 3 + 6 + 2 * 9
    assert Grid(learning_rates=(1e-4,), epochs=1).cost(seeds=1) == 1


def test_the_answers_on_dev_count_towards_the_budget(make: Make) -> None:
    assert Grid(learning_rates=(1e-4, 2e-4), epochs=9).cost(3, dev=0.5) == 3 + 9 + 2 * 9 + 0.5 * 6
    found = grid(make, 10, dev_rows=len(ROWS) // 4)
    assert found.cost(seeds=3, dev=0.25) <= 10
    assert found != grid(make, 10)


def test_a_given_rate_and_number_of_epochs_are_kept_whatever_the_budget(make: Make) -> None:
    for budget in (0.0001, 100):
        assert grid(make, budget, learning_rate=3e-5, epochs=7) == Grid(
            learning_rates=(3e-5,), epochs=7
        )
    assert grid(make, 100, epochs=2) == Grid(learning_rates=LEARNING_RATES, epochs=2)
    assert grid(make, 100, learning_rate=3e-5).learning_rates == (3e-5,)
    assert grid(make, 0.0001, learning_rate=3e-5) == Grid(learning_rates=(3e-5,), epochs=1)
    assert grid(make, 0.0001, epochs=5).epochs == 5


@pytest.mark.parametrize(
    ("lengths", "tokens"),
    [([10] * 10, 512), ([50] * 200, 512), ([100] * 300, 1536), ([500] * 500, 2048)],
)
def test_a_step_takes_a_twentieth_of_an_epoch_within_limits(
    make: Make, lengths: list[int], tokens: int
) -> None:
    assert make().plan(tokenised(lengths), dev_rows=0)[1] == tokens
    assert make(batch_tokens=777).plan(tokenised(lengths), dev_rows=0)[1] == 777


def test_small_data_gets_more_epochs_but_no_more_than_twenty(make: Make) -> None:
    assert make().plan(tokenised([10] * 20), dev_rows=0)[0].epochs == 20
    assert make().plan(tokenised([500] * 500), dev_rows=0)[0].epochs == 3


@pytest.mark.parametrize(
    ("epochs", "points"),
    [(1, [1]), (2, [1, 2]), (3, [1, 2, 3]), (10, [4, 7, 10]), (20, [7, 14, 20])],
)
def test_dev_is_answered_three_times_in_a_training_the_end_included(
    epochs: int, points: list[int]
) -> None:
    assert dev_points(epochs) == points
    assert rung_epochs(epochs) == points[0]


# --- what a fit does -----------------------------------------------------------------------------


def test_rates_are_compared_after_a_rung_and_only_the_best_goes_on(make: Make) -> None:
    engine = AdapterEngine(lambda rate, seed, epochs: 0.9 if rate == "0.001" else 0.4)
    fitted = make(engine, epochs=3).fit(letters(12), letters(10, "dev"))
    assert points(engine) == [
        ("0.0005", 1, 1),
        ("0.001", 1, 1),
        ("0.001", 1, 2),
        ("0.001", 1, 3),
    ]
    assert fitted.fit.settings["learning_rate"] == 1e-3
    assert [(t["learning_rate"], t["epochs"], t["dev"]) for t in fitted.fit.trials] == [
        (5e-4, 1, 0.4),
        (1e-3, 1, 0.9),
        (1e-3, 2, 0.9),
        (1e-3, 3, 0.9),
    ]


def test_the_best_epoch_ships_and_the_earlier_one_on_ties(make: Make) -> None:
    engine = AdapterEngine(lambda rate, seed, epochs: {1: 0.5, 2: 0.8, 3: 0.8}[epochs])
    fitted = make(engine, epochs=3, learning_rate=1e-3).fit(letters(12), letters(10, "dev"))
    assert fitted.fit.settings["epochs"] == 2
    assert fitted.fit.settings["of_epochs"] == 3
    assert Path(fitted.fit.artifact[1]).name == "epoch2"
    assert fitted.fit.dev_scores == {1: (1.0,) * 8 + (0.0,) * 2}


def test_the_adapter_that_was_chosen_answers(make: Make) -> None:
    engine = AdapterEngine(lambda rate, seed, epochs: 1.0 if epochs == 2 else 0.0)
    fitted = make(engine, epochs=3, learning_rate=1e-3).fit(letters(12), letters(10, "dev"))
    (answer,) = fitted.answer([letters(2, "test")[1].input], seed=1)
    assert (fitted.seeds, answer.seed, answer.text) == ((1,), 1, "b")
    assert engine.asked[-1] == ("0.001", 1, 2)


def test_the_model_is_asked_with_the_input_alone(make: Make) -> None:
    engine = AdapterEngine(lambda rate, seed, epochs: 1.0)
    make(engine, epochs=1, learning_rate=1e-3).fit(letters(12), letters(2, "dev"))
    assert [r.messages for r in engine.requests] == [e.messages for e in letters(2, "dev")]


def test_tokens_of_every_training_and_of_all_asking_are_counted(make: Make) -> None:
    engine = AdapterEngine(lambda rate, seed, epochs: 0.5)
    tune = make(engine, epochs=2)
    fit = tune.fit(letters(12), letters(10, "dev")).fit
    rows = tune._prepared(letters(12))[2]
    epoch = sum(len(one.token_ids) for one in rows)
    assert fit.tokens["trained"] == epoch * (2 + 1)  # a rung for each rate, and one more
    assert fit.tokens["prefilled"] == 3 * 10 * 2  # three times dev, two words an input
    assert fit.tokens["generated"] == 3 * 10


def test_more_seeds_train_with_the_winners_settings_and_keep_the_first(make: Make) -> None:
    engine = AdapterEngine(lambda rate, seed, epochs: 0.9 if rate == "0.001" else 0.1 * seed)
    tune = make(engine, epochs=2)
    first = tune.fit(letters(12), letters(10, "dev"))
    epochs = first.fit.settings["epochs"]
    engine.asked.clear()
    three = tune.replicate(first, letters(12), letters(10, "dev"), seeds=3)
    assert points(engine) == [("0.001", 2, epochs), ("0.001", 3, epochs)]
    assert three.seeds == (1, 2, 3)
    assert three.fit.dev_scores[1] == first.fit.dev_scores[1]
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
        fit = replace(tune, folder=folder).fit(letters(12), letters(4, "dev")).fit
        return (Path(fit.artifact[1]) / "adapter_model.safetensors").read_bytes()

    assert weights(0) != weights(1)


def test_a_second_fit_in_the_same_folder_trains_nothing_again(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    tune = make(epochs=2)
    first = tune.fit(letters(12), letters(10, "dev")).fit
    monkeypatch.setattr(
        "tunewise.training.loop.Training.run_epoch",
        lambda *given: pytest.fail("an epoch was trained again"),
    )
    again = make(epochs=2).fit(letters(12), letters(10, "dev")).fit
    assert replace(again, seconds=0.0) == replace(first, seconds=0.0)


def test_the_real_engine_answers_with_what_the_adapter_learned(
    make: Make, small_llama: LocalModel
) -> None:
    engine = TransformersEngine(small_llama, device="cpu")
    tune = replace(
        make(engine, epochs=12, learning_rate=0.005, rank=8, batch_tokens=64),
        metric=Metric(
            name="first letter",
            binary=True,
            score=lambda answer, target: Judgement(value=float(answer[:1] == target)),
        ),
    )
    fitted = tune.fit(letters(12), letters(6))
    adapter = Path(fitted.fit.artifact[1])
    check_adapter(adapter, small_llama)
    losses = [trial["loss"] for trial in fitted.fit.trials]
    assert losses == sorted(losses, reverse=True)
    assert losses[-1] < losses[0]
    learned = fitted.answer([e.input for e in letters(6)], seed=1)
    few = Sampling(max_tokens=4)
    base = engine.generate([Request(messages=e.messages, sampling=few) for e in letters(6)])
    assert fitted.fit.dev_scores == {1: (1.0,) * 6}
    assert [str(answer.text)[0] for answer in learned] == [e.target for e in letters(6)]
    assert [one.text[:1] for one in base if isinstance(one, Generation)] != [
        e.target for e in letters(6)
    ]


# --- what is refused -----------------------------------------------------------------------------


def test_a_row_longer_than_the_context_is_refused_by_name(make: Make) -> None:
    train = [*letters(5), row("long-one", "x" * 300, "a"), row("long-two", "y" * 400, "b")]
    with pytest.raises(UserError) as caught:
        make().fit(train, letters(3, "dev"))
    first, second = str(caught.value).splitlines()
    assert first.startswith("example long-one: 3")
    assert "do not fit the model's context of 256" in first
    assert first.endswith("Shorten the row, or choose a model with a longer context.")
    assert second.startswith("example long-two: 4")
    assert list(make().untrainable(train)) == ["long-one", "long-two"]


def test_a_row_with_no_answer_token_is_refused_by_name(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nothing_to_learn(
        tokenizer: object, messages: object, target: str, tools: object
    ) -> TokenisedExample:
        start = 3 if target == "b" else 2
        return TokenisedExample(token_ids=(1, 2, 3), answers=(Span(start, 3),))

    monkeypatch.setattr("tunewise.contenders.fine_tune.answer_tokens", nothing_to_learn)
    with pytest.raises(UserError) as caught:
        make().fit(letters(4), letters(3, "dev"))
    assert str(caught.value).splitlines() == [
        f"example row{n}: its answer has no token to learn from. Give it an answer." for n in (1, 3)
    ]


def test_with_passages_it_does_not_apply_without_documents(make: Make) -> None:
    with pytest.raises(NotApplicable, match="no documents given"):
        make(more={"with_passages": True}).fit(letters(5), letters(3, "dev"))


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
        more={"library": library, "with_passages": True},
    )
    for one in tune._prepared(letters(6))[2]:
        assert sentence in str(tune.tokenizer.decode(list(one.token_ids)))
    fitted = tune.fit(letters(6), letters(3, "dev"))
    assert all(sentence in r.messages[-1].content for r in engine.requests)
    (answer,) = fitted.answer([letters(2, "dev")[1].input], seed=1)
    assert answer.passages == ("a.md#1",)
    assert fitted.fit.settings["k"] == 1


def test_a_request_that_fails_on_dev_is_no_score(make: Make) -> None:
    class Refusing(AdapterEngine):
        def generate(self, requests: Sequence[Request]) -> list[Generation | Failure]:
            return [Failure(message="full"), *super().generate(requests[1:])]

    engine = Refusing(lambda rate, seed, epochs: 1.0)
    fit = make(engine, epochs=1, learning_rate=1e-3).fit(letters(6), letters(3, "dev")).fit
    assert fit.dev_scores == {1: (None, 1.0, 1.0)}
