"""An optimiser model that rewords the instruction of `prompt`, within its budget, on train."""

from collections.abc import Callable
from pathlib import Path

import pytest

from scripted_rows import Counted, engine, race, rows
from tunewise.chat.prompts import Prompt
from tunewise.contenders.answering import PromptStrategy
from tunewise.contenders.optimiser import MAX_WORDINGS, MIN_ROWS, Proposals, propose
from tunewise.contenders.prompt import TunedPrompt, Variant
from tunewise.models.engines.cached import JournalEngine
from tunewise.models.engines.protocol import Engine, Request
from tunewise.models.engines.scripted import ScriptedEngine
from tunewise.types import Failure

pytest.importorskip("gepa")

TRAIN, DEV = rows(60), rows(30, "dev")
BETTER = "Say the last word, it is magic."


def follows(request: Request) -> str:
    """Right where the instruction is the better one; else on every third row."""
    word = request.messages[-1].content.split()[-1]
    magic = any("magic" in turn.content for turn in request.messages if turn.role == "system")
    return word if magic or word == "a" else "nonsense"


def says(text: str) -> ScriptedEngine:
    return engine(lambda request: f"Here it is:\n```\n{text}\n```")


def prompt(model: Engine, optimiser: Engine | None = None, **settings: int) -> TunedPrompt:
    return TunedPrompt(
        engine=model, instruction="Say it.", kind="classification", labels=("a", "b", "c"),
        own=(), progress=Counted(), optimiser=optimiser, optimiser_name="coach",
        **{"budget_tokens": 100_000, **settings},
    )  # fmt: skip


def proposals(
    model: Engine, optimiser: Engine, *, train: int = 60, budget: int = 50_000
) -> Proposals:
    def strategy(text: str) -> PromptStrategy:
        variant = Variant(name="proposed", system=text)
        return PromptStrategy(
            prompts=lambda inputs: [Prompt(messages=variant.messages(item)) for item in inputs],
            max_tokens=8,
        )

    return propose(
        optimiser=optimiser, engine=model, contender="prompt", instruction="Say it.",
        strategy=strategy, train=TRAIN[:train], score=race(DEV).score, budget_tokens=budget,
        seed=3, progress=Counted(),
    )  # fmt: skip


def test_a_better_instruction_is_found() -> None:
    found = proposals(engine(follows), says(BETTER))
    assert found.texts == (BETTER,)
    assert found.fault == ""
    assert 0 < found.total <= 50_000


def test_it_wins_on_dev_among_all_other_wordings() -> None:
    fitted = prompt(engine(follows), says(BETTER)).fit(TRAIN, race(DEV))
    settings = fitted.fit.settings
    assert (settings["variant"], settings["system"]) == ("proposed 1", BETTER)
    assert (settings["optimiser"], settings["proposed"]) == ("coach", 1)
    assert [trial["variant"] for trial in fitted.fit.trials][-1] == "proposed 1"
    assert fitted.fit.dev_answers[0] == tuple(example.target for example in DEV)


@pytest.mark.parametrize("text", ["nonsense", "", "Say it."])
def test_a_worthless_optimiser_changes_nothing(text: str) -> None:
    without = prompt(engine(follows)).fit(TRAIN, race(DEV))
    beside = prompt(engine(follows), says(text)).fit(TRAIN, race(DEV))
    assert beside.fit.dev_answers == without.fit.dev_answers
    assert beside.fit.trials == without.fit.trials
    kept = {k: v for k, v in beside.fit.settings.items() if k not in ("optimiser", "proposed")}
    assert kept == without.fit.settings
    assert beside.fit.settings["proposed"] == 0


@pytest.mark.parametrize("budget", [0, 50, 300, 1_000, 2_500, 8_000])
def test_both_models_together_keep_to_the_budget(budget: int) -> None:
    model, optimiser = engine(follows), says(BETTER)
    found = proposals(model, optimiser, budget=budget)
    asked = [*model.requests, *optimiser.requests]
    read = sum(model.count_tokens(request.messages) for request in asked)
    assert read <= found.total <= budget
    assert found.total == found.tokens["prefilled"] + found.tokens["generated"]


def test_what_the_optimiser_takes_is_missing_to_the_race() -> None:
    fitted = prompt(engine(follows), says("nonsense"), budget_tokens=4_000).fit(TRAIN, race(DEV))
    longest = 40 * len(DEV)  # the winner answers all of dev in any case
    assert sum(fitted.fit.tokens.values()) <= 4_000 + longest


def test_neither_model_sees_a_row_of_dev_before_the_race() -> None:
    model, optimiser = engine(follows), says(BETTER)
    proposals(model, optimiser)
    said = "\n".join(
        turn.content for one in (model, optimiser) for r in one.requests for turn in r.messages
    )
    assert "row number" in said
    assert "dev number" not in said


def test_the_optimiser_is_shown_what_was_answered_and_what_was_wanted() -> None:
    optimiser = says(BETTER)
    proposals(engine(follows), optimiser)
    asked = optimiser.requests[0].messages[-1].content
    assert "Say it." in asked
    assert "nonsense" in asked
    assert "The answer wanted is:" in asked


def test_an_optimiser_that_fails_is_told_of_and_the_wordings_race_without_it() -> None:
    failing = ScriptedEngine(lambda request: Failure(message="the endpoint is down"))
    found = proposals(engine(follows), failing)
    assert (found.texts, found.fault) == ((), "the endpoint is down")
    assert len(failing.requests) == 1
    fitted = prompt(engine(follows), failing).fit(TRAIN, race(DEV))
    assert fitted.fit.settings["proposed"] == 0


def test_few_rows_ask_nobody() -> None:
    model, optimiser = engine(follows), says(BETTER)
    assert proposals(model, optimiser, train=MIN_ROWS - 1).texts == ()
    assert (model.requests, optimiser.requests) == ([], [])


def test_a_few_of_many_better_instructions_go_on() -> None:
    def writes(request: Request) -> str:
        return f"```\nmagic {len(optimiser.requests)}\n```"

    def better_and_better(request: Request) -> str:
        system = " ".join(turn.content for turn in request.messages if turn.role == "system")
        level = int(system.split()[-1]) if "magic" in system else 0
        word, number = (
            request.messages[-1].content.split()[-1],
            request.messages[-1].content.split()[2],
        )
        return word if int(number) % 8 < level else "nonsense"

    optimiser: ScriptedEngine = engine(writes)
    found = proposals(engine(better_and_better), optimiser)
    assert 0 < len(found.texts) <= MAX_WORDINGS


def test_a_search_that_was_stopped_asks_and_pays_nothing_twice(tmp_path: Path) -> None:
    def run(stop_after: int | None) -> tuple[ScriptedEngine, ScriptedEngine, Proposals | None]:
        model, optimiser = engine(follows), says(BETTER)
        if stop_after is not None:
            optimiser._script = _stopping(optimiser, stop_after)
        kept = [
            JournalEngine(one, tmp_path / name)
            for one, name in ((model, "model.jsonl"), (optimiser, "optimiser.jsonl"))
        ]
        try:
            return model, optimiser, proposals(*kept)
        except KeyboardInterrupt:
            return model, optimiser, None

    before, _, none = run(stop_after=0)
    assert none is None
    assert before.requests
    after, _, found = run(stop_after=None)
    assert after.requests
    assert not {str(one) for one in before.requests} & {str(one) for one in after.requests}
    whole = proposals(engine(follows), says(BETTER))
    assert found == whole
    model, optimiser, again = run(stop_after=None)
    assert (model.requests, optimiser.requests) == ([], [])
    assert again == whole


def _stopping(optimiser: ScriptedEngine, after: int) -> Callable[[Request], str]:
    script = optimiser._script
    assert callable(script)

    def stop(request: Request) -> str:
        if len(optimiser.requests) > after:
            raise KeyboardInterrupt
        said = script(request)
        assert isinstance(said, str)
        return said

    return stop


def test_without_an_optimiser_nothing_is_said_of_one() -> None:
    fitted = prompt(engine(follows)).fit(TRAIN, race(DEV))
    assert "optimiser" not in fitted.fit.settings
