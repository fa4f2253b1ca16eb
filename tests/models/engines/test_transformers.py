import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from plain_passes import by_hand
from small_models import CONTEXT, adapter, build, user
from tunewise.errors import UserError
from tunewise.models import loading
from tunewise.models.catalog import LocalModel
from tunewise.models.engines import transformers as engine_module
from tunewise.models.engines.protocol import Request, Sampling
from tunewise.models.engines.transformers import TransformersEngine
from tunewise.types import Failure, Generation, Usage

SHARED = "The shop sells tents and boots. Name the category of the message: "
MESSAGES = [
    f"{SHARED}{text}"
    for text in ("zip broke", "where is my order? It is late, and I wrote twice", "ok", "")
]


def ask(text: str, *, max_tokens: int = 12, **sampling: float) -> Request:
    return Request(messages=user(text), sampling=Sampling(max_tokens=max_tokens, **sampling))  # type: ignore[arg-type]


def texts(engine: TransformersEngine, requests: list[Request]) -> list[str]:
    found = engine.generate(requests)
    assert all(isinstance(one, Generation) for one in found), found
    return [one.text for one in found if isinstance(one, Generation)]


@pytest.fixture
def engine(small_llama: LocalModel) -> TransformersEngine:
    return TransformersEngine(small_llama, device="cpu")


def test_answers_are_those_of_plain_forward_passes_token_by_token(
    engine: TransformersEngine, small_llama: LocalModel
) -> None:
    wanted = loading.load_tokenizer(small_llama.folder).decode(
        by_hand(small_llama, MESSAGES[1], 12)
    )
    assert texts(engine, [ask(MESSAGES[1])]) == [wanted]


@pytest.mark.parametrize("model", ["small_llama", "small_qwen"])
def test_a_batch_with_padding_and_a_shared_prefix_answers_as_each_request_alone(
    model: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = TransformersEngine(request.getfixturevalue(model), device="cpu")
    requests = [ask(text) for text in MESSAGES]
    alone = [text for one in requests for text in texts(engine, [one])]
    assert len(set(alone)) == len(MESSAGES)
    assert texts(engine, requests) == alone
    monkeypatch.setattr(engine_module, "MIN_PREFIX", 10_000)
    assert texts(engine, requests) == alone


def test_the_shared_prefix_is_computed_once(
    engine: TransformersEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int] = []
    layer = engine._base.get_decoder().layers[0]
    layer.register_forward_hook(lambda module, given, out: seen.append(given[0][..., 0].numel()))
    prompts = [engine.count_tokens(user(text)) for text in MESSAGES]
    texts(engine, [ask(text, max_tokens=1) for text in MESSAGES])
    with_prefix = sum(seen)
    seen.clear()
    monkeypatch.setattr(engine_module, "MIN_PREFIX", 10_000)
    texts(engine, [ask(text, max_tokens=1) for text in MESSAGES])
    assert sum(seen) == 4 * max(prompts)
    shared = (sum(seen) - with_prefix) / 3
    assert shared > 30  # tokens of the common beginning, which three of four rows were spared


def test_a_sliding_window_is_not_eaten_up_by_padding(tmp_path: Path) -> None:
    folder = build(
        tmp_path / "model",
        family="qwen2",
        use_sliding_window=True,
        sliding_window=24,
        max_window_layers=0,
    )
    model = LocalModel(
        name="sliding",
        folder=folder,
        family="qwen2",
        context_tokens=CONTEXT,
        sha256="",
        gguf=None,
        no_gguf="",
    )
    engine = TransformersEngine(model, device="cpu")
    requests = [ask(text) for text in MESSAGES]
    assert texts(engine, requests) == [text for one in requests for text in texts(engine, [one])]


def test_more_requests_than_a_batch_holds_come_back_in_their_order(
    engine: TransformersEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_module, "BATCH_ROWS", 3)
    requests = [ask("z" * (17 * n % 11)) for n in range(8)]
    found = engine.generate(requests)
    assert [one.usage.prompt_tokens for one in found if isinstance(one, Generation)] == [
        engine.count_tokens(request.messages) for request in requests
    ]
    assert [one.text for one in found if isinstance(one, Generation)] == [
        text for one in requests for text in texts(engine, [one])
    ]


def test_a_request_that_does_not_fit_the_context_fails_alone(engine: TransformersEngine) -> None:
    prompt = engine.count_tokens(user("ok"))
    fits = ask("ok", max_tokens=CONTEXT - prompt)
    too_long = ask("ok", max_tokens=CONTEXT - prompt + 1)
    first, second, third = engine.generate([too_long, fits, ask("zip")])
    assert isinstance(first, Failure)
    assert f"the prompt of {prompt} tokens and up to {CONTEXT - prompt + 1}" in first.message
    assert f"do not fit the model's {CONTEXT}" in first.message
    assert isinstance(second, Generation)
    assert isinstance(third, Generation)


def test_no_requests_give_no_answers(engine: TransformersEngine) -> None:
    assert engine.generate([]) == []


def test_an_answer_stops_at_the_end_token_which_is_not_counted(
    small_llama: LocalModel, tmp_path: Path
) -> None:
    ids = by_hand(small_llama, "zip", 6)
    assert ids.index(ids[3]) == 3
    folder = shutil.copytree(small_llama.folder, tmp_path / "model")
    settings = json.loads((folder / "generation_config.json").read_text())
    (folder / "generation_config.json").write_text(json.dumps({**settings, "eos_token_id": ids[3]}))
    stopping = TransformersEngine(replace(small_llama, folder=folder), device="cpu")
    stop, other = stopping.generate([ask("zip", max_tokens=6), ask("ok", max_tokens=6)])
    assert isinstance(stop, Generation)
    assert isinstance(other, Generation)
    assert (stop.finish_reason, stop.usage.completion_tokens) == ("stop", 3)
    assert stop.text == loading.load_tokenizer(folder).decode(ids[:3])
    assert (other.finish_reason, other.usage.completion_tokens) == ("length", 6)


def test_the_habits_that_a_model_declares_do_not_change_greedy_answers(
    engine: TransformersEngine, small_llama: LocalModel, tmp_path: Path
) -> None:
    folder = shutil.copytree(small_llama.folder, tmp_path / "model")
    settings = json.loads((folder / "generation_config.json").read_text())
    habits = {"repetition_penalty": 5.0, "do_sample": True, "temperature": 3.0, "top_k": 5}
    (folder / "generation_config.json").write_text(json.dumps({**settings, **habits}))
    with_habits = TransformersEngine(replace(small_llama, folder=folder), device="cpu")
    requests = [ask(text, max_tokens=24) for text in MESSAGES]
    assert texts(with_habits, requests) == texts(engine, requests)


def test_sampling_is_repeatable_by_its_seed_and_differs_between_seeds(
    engine: TransformersEngine,
) -> None:
    def sampled(seed: int) -> list[str]:
        return texts(engine, [ask("zip", temperature=2.0, seed=seed)])

    assert sampled(1) == sampled(1)
    assert len({sampled(seed)[0] for seed in range(4)}) > 1
    assert sampled(1) != texts(engine, [ask("zip")])


def test_adapters_are_switched_on_and_off_by_request(
    engine: TransformersEngine, small_llama: LocalModel, tmp_path: Path
) -> None:
    one = adapter(small_llama, tmp_path / "one", lora_dropout=0.5)
    two = adapter(small_llama, tmp_path / "two", seed=1, lora_dropout=0.5)
    base, with_one, with_two = (replace(ask("zip"), adapter=a) for a in (None, one, two))
    alone = [
        text
        for request in (base, with_one, with_two)
        for text in texts(TransformersEngine(small_llama, device="cpu"), [request])
    ]
    assert len(set(alone)) == 3
    together = texts(engine, [with_one, base, with_two, base, with_one])
    assert together == [alone[1], alone[0], alone[2], alone[0], alone[1]]


def test_an_adapter_answers_as_the_merged_model_does(
    engine: TransformersEngine,
    small_llama: LocalModel,
    tmp_path: Path,
) -> None:
    from small_models import merged_folder

    trained = adapter(small_llama, tmp_path / "adapter", rank=8, alpha=24)
    merged = merged_folder(small_llama, trained, tmp_path / "merged")
    plain = TransformersEngine(replace(small_llama, folder=merged), device="cpu")
    requests = [ask(text) for text in MESSAGES]
    assert texts(engine, [replace(request, adapter=trained) for request in requests]) == texts(
        plain, requests
    )


@pytest.mark.parametrize("first", [True, False], ids=["as the first", "as the second"])
def test_an_adapter_that_does_not_fit_is_one_clear_error(
    first: bool, engine: TransformersEngine, small_llama: LocalModel, tmp_path: Path
) -> None:
    wide = build(tmp_path / "wide", hidden_size=128)
    foreign = adapter(replace(small_llama, folder=wide), tmp_path / "foreign")
    (foreign / "tunewise-base.json").unlink()
    if not first:
        own = adapter(small_llama, tmp_path / "own")
        texts(engine, [replace(ask("zip"), adapter=own)])
    with pytest.raises(UserError, match="does not fit"):
        engine.generate([replace(ask("zip"), adapter=foreign)])


def test_tokens_are_counted_as_the_model_sees_them(engine: TransformersEngine) -> None:
    (made,) = engine.generate([ask("zip", max_tokens=3)])
    assert isinstance(made, Generation)
    assert made.usage == Usage(prompt_tokens=engine.count_tokens(user("zip")), completion_tokens=3)
    assert engine.count_answer_tokens("") == 0
    assert engine.count_answer_tokens("<|im_end|>") == 1
