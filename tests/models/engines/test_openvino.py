import json
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from plain_passes import by_hand
from small_models import CONTEXT, adapter, user
from tunewise.chat.tokenize import prompt_tokens
from tunewise.errors import UserError
from tunewise.models.adapters import merge_into_gguf
from tunewise.models.catalog import LocalModel, open_model
from tunewise.models.engines.openvino import OpenVinoEngine
from tunewise.models.engines.openvino_pipeline import Output, Pipeline
from tunewise.models.engines.prefixes import BLOCK
from tunewise.models.engines.protocol import Request, Sampling
from tunewise.models.engines.transformers import TransformersEngine
from tunewise.progress import Silent
from tunewise.types import Failure, Generation

MESSAGES = [
    "zip broke",
    "where is my order? It is late, and I wrote twice",
    "ok",
    "The tent leaks. " * 10,
]


def ask(text: str, *, max_tokens: int = 12, adapter: Path | None = None) -> Request:
    return Request(messages=user(text), adapter=adapter, sampling=Sampling(max_tokens=max_tokens))


def answers(engine: OpenVinoEngine | TransformersEngine, requests: list[Request]) -> list[str]:
    found = engine.generate(requests)
    assert all(isinstance(one, Generation) for one in found), found
    return [one.text for one in found if isinstance(one, Generation)]


@pytest.fixture
def engine(small_llama: LocalModel) -> OpenVinoEngine:
    return OpenVinoEngine(small_llama)


@pytest.mark.parametrize("model", ["small_llama", "small_qwen"])
def test_it_answers_word_for_word_as_transformers_does(
    model: str, request: pytest.FixtureRequest
) -> None:
    local: LocalModel = request.getfixturevalue(model)
    requests = [ask(text) for text in MESSAGES]
    wanted = answers(TransformersEngine(local, device="cpu"), requests)
    assert answers(OpenVinoEngine(local), requests) == wanted


@pytest.mark.usefixtures("small_gguf")
@pytest.mark.parametrize("lora", [{}, {"use_rslora": True}], ids=["lora", "rslora"])
def test_with_an_adapter_it_answers_as_transformers_does_with_the_merged_weights(
    lora: dict[str, object], small_llama: LocalModel, tmp_path: Path
) -> None:
    trained = adapter(small_llama, tmp_path / "adapter", rank=8, alpha=24, **lora)
    merge_into_gguf(small_llama, trained, tmp_path / "merged.gguf")
    merged = open_model(str(tmp_path / "merged.gguf"), progress=Silent(), cache=tmp_path / "cache")
    for file in small_llama.folder.glob("tokenizer*"):  # a GGUF file's names unused tokens
        shutil.copy(file, merged.folder)
    requests = [ask(text) for text in MESSAGES]
    wanted = answers(TransformersEngine(merged, device="cpu"), requests)
    asked = [replace(request, adapter=trained) for request in requests]
    assert answers(OpenVinoEngine(small_llama), asked) == wanted
    assert answers(OpenVinoEngine(small_llama), requests) != wanted


def test_an_adapter_is_scaled_by_alpha_over_rank(small_llama: LocalModel, tmp_path: Path) -> None:
    trained = adapter(small_llama, tmp_path / "adapter", rank=8, alpha=24)
    ignored = shutil.copytree(trained, tmp_path / "ignored")
    settings = json.loads((ignored / "adapter_config.json").read_text())
    (ignored / "adapter_config.json").write_text(json.dumps({**settings, "lora_alpha": 8}))
    engine = OpenVinoEngine(small_llama)
    right = answers(engine, [ask(text, adapter=trained) for text in MESSAGES])
    wrong = answers(engine, [ask(text, adapter=ignored) for text in MESSAGES])
    assert all(a != b for a, b in zip(right, wrong, strict=True))


def test_a_batch_answers_the_same_whatever_was_asked_before_it(small_llama: LocalModel) -> None:
    requests = [ask(text) for text in MESSAGES]
    fresh = answers(OpenVinoEngine(small_llama), requests)
    used = OpenVinoEngine(small_llama)
    answers(used, [ask(text + " and more") for text in reversed(MESSAGES)])
    with used.prefix_caching():
        answers(used, requests[:1])
    assert answers(used, requests) == fresh
    assert answers(used, requests) == fresh


def computed(made: list[Generation | Failure]) -> int:
    """Prompt tokens that went through the model."""
    usages = [one.usage for one in made if isinstance(one, Generation)]
    return sum(usage.prompt_tokens - usage.cached_tokens for usage in usages)


def test_whole_blocks_asked_before_are_taken_from_the_cache(engine: OpenVinoEngine) -> None:
    def cached(request: Request) -> int:
        (made,) = engine.generate([request])
        assert isinstance(made, Generation)
        return made.usage.cached_tokens

    long, short = ask(MESSAGES[3]), ask("ok")
    blocks = (engine.count_tokens(long.messages) - 1) // BLOCK
    assert blocks >= 2
    assert engine.count_tokens(short.messages) <= BLOCK
    assert [cached(long), cached(long)] == [0, blocks * BLOCK]
    assert [cached(short), cached(short)] == [0, 0]
    assert cached(ask(MESSAGES[3] + "x")) == blocks * BLOCK
    assert cached(ask("x" + MESSAGES[3])) == 0


def test_while_serving_the_cache_holds_only_what_was_asked_since(engine: OpenVinoEngine) -> None:
    before = engine.generate([ask(MESSAGES[3])])
    with engine.prefix_caching():
        first, second = engine.generate([ask(MESSAGES[3])]), engine.generate([ask(MESSAGES[3])])
    after = engine.generate([ask(MESSAGES[3])])
    assert computed(before) == computed(first) == computed(after) > computed(second)


def test_what_the_prompts_of_a_batch_begin_with_is_computed_once(
    engine: OpenVinoEngine, small_llama: LocalModel
) -> None:
    requests = [ask(MESSAGES[3] + ending) for ending in ("zip", "ok", "late, I wrote", "no")]
    alone = [OpenVinoEngine(small_llama).generate([one])[0] for one in requests]
    together = engine.generate(requests)
    assert [one.text for one in together if isinstance(one, Generation)] == [
        one.text for one in alone if isinstance(one, Generation)
    ]
    shared = (engine.count_tokens(user(MESSAGES[3])) - 10) // BLOCK * BLOCK
    assert shared >= 2 * BLOCK
    assert computed(together) <= computed(alone) - 3 * shared


def test_a_request_that_comes_alone_tells_its_time_to_the_first_token(
    engine: OpenVinoEngine,
) -> None:
    (made,) = engine.generate([ask(MESSAGES[3])])
    assert isinstance(made, Generation)
    assert made.seconds_to_first_token is not None
    assert 0 < made.seconds_to_first_token <= made.seconds


def test_in_a_batch_no_time_to_first_token_is_claimed(engine: OpenVinoEngine) -> None:
    made = engine.generate([ask("ok"), ask("zip")])
    assert [one.seconds_to_first_token for one in made if isinstance(one, Generation)] == [
        None,
        None,
    ]


def test_requests_for_different_adapters_share_a_call_and_keep_their_order(
    engine: OpenVinoEngine, small_llama: LocalModel, tmp_path: Path
) -> None:
    one = adapter(small_llama, tmp_path / "one")
    two = adapter(small_llama, tmp_path / "two", seed=1)
    alone = [answers(engine, [ask("zip", adapter=which)])[0] for which in (None, one, two)]
    assert len(set(alone)) == 3
    mixed = [ask("zip", adapter=which) for which in (two, None, one, None, two)]
    assert answers(engine, mixed) == [alone[2], alone[0], alone[1], alone[0], alone[2]]


def test_an_adapter_of_another_base_is_one_clear_error(
    engine: OpenVinoEngine, small_qwen: LocalModel, tmp_path: Path
) -> None:
    foreign = adapter(small_qwen, tmp_path / "foreign")
    with pytest.raises(UserError, match="trained for another base"):
        engine.generate([ask("zip", adapter=foreign)])
    assert answers(engine, [ask("zip")])


def test_a_request_that_does_not_fit_the_context_fails_alone(engine: OpenVinoEngine) -> None:
    prompt = engine.count_tokens(user("ok"))
    first, second, third = engine.generate(
        [
            ask("ok", max_tokens=CONTEXT - prompt + 1),
            ask("ok", max_tokens=CONTEXT - prompt),
            ask("zip"),
        ]
    )
    assert isinstance(first, Failure)
    assert f"do not fit the model's {CONTEXT}" in first.message
    assert isinstance(second, Generation)
    assert isinstance(third, Generation)
    only = engine.generate([ask("ok", max_tokens=CONTEXT)])
    assert isinstance(only[0], Failure)


def test_no_requests_give_no_answers(engine: OpenVinoEngine) -> None:
    assert engine.generate([]) == []


def test_an_answer_stops_at_the_end_token_which_is_not_counted(
    small_llama: LocalModel, tmp_path: Path
) -> None:
    ids = by_hand(small_llama, "zip", 6)
    folder = shutil.copytree(small_llama.folder, tmp_path / "model")
    settings = json.loads((folder / "generation_config.json").read_text())
    (folder / "generation_config.json").write_text(json.dumps({**settings, "eos_token_id": ids[3]}))
    engine = OpenVinoEngine(replace(small_llama, folder=folder))
    stop, other = engine.generate([ask("zip", max_tokens=6), ask("ok", max_tokens=6)])
    assert isinstance(stop, Generation)
    assert isinstance(other, Generation)
    assert (stop.finish_reason, stop.usage.completion_tokens) == ("stop", 3)
    assert (other.finish_reason, other.usage.completion_tokens) == ("length", 6)


def test_a_model_without_a_gguf_file_says_why(small_llama: LocalModel) -> None:
    with pytest.raises(ValueError, match="has no GGUF file: because"):
        OpenVinoEngine(replace(small_llama, gguf=None, no_gguf="because"))


def test_closing_deletes_the_merged_files(
    engine: OpenVinoEngine, small_llama: LocalModel, tmp_path: Path
) -> None:
    answers(engine, [ask("zip", adapter=adapter(small_llama, tmp_path / "a"))])
    merged = Path(engine._merged.name)
    assert len(list(merged.iterdir())) == 1
    engine.close()
    assert not merged.exists()


def test_tokens_are_counted_as_by_the_other_engine(
    engine: OpenVinoEngine, small_llama: LocalModel
) -> None:
    other = TransformersEngine(small_llama, device="cpu")
    for text in MESSAGES:
        assert engine.count_tokens(user(text)) == other.count_tokens(user(text)) > 5
        assert engine.count_answer_tokens(text) == other.count_answer_tokens(text) > 0


@pytest.mark.slow
def test_while_serving_the_starter_model_is_faster_where_it_has_seen_the_beginning(
    starter: LocalModel,
) -> None:
    engine = OpenVinoEngine(starter)
    with engine.prefix_caching():
        first, second = (engine.generate([ask(MESSAGES[3], max_tokens=4)])[0] for _ in range(2))
    assert isinstance(first, Generation)
    assert isinstance(second, Generation)
    blocks = (first.usage.prompt_tokens - 1) // BLOCK
    assert blocks >= 2
    assert (first.usage.cached_tokens, second.usage.cached_tokens) == (0, blocks * BLOCK)
    assert first.text == second.text
    assert first.seconds_to_first_token
    assert second.seconds_to_first_token
    assert second.seconds_to_first_token < first.seconds_to_first_token


@pytest.mark.slow
def test_the_starter_model_says_the_same_with_and_without_shared_beginnings(
    starter: LocalModel,
) -> None:
    engine = OpenVinoEngine(starter)
    begun = user("Say what the customer wants, in one word.", *MESSAGES)
    prompts = [
        prompt_tokens(engine._tokenizer, (*begun, *user(f"Order {n} came {n % 9} days late.")))
        for n in range(48)
    ]
    samplings = [Sampling(max_tokens=8)] * 24
    plain = Pipeline(engine._gguf, engine._vocabulary, engine._cache_blocks, share=False)
    sharing = Pipeline(engine._gguf, engine._vocabulary, engine._cache_blocks)

    def both(pipeline: Pipeline) -> list[Output]:
        halves = (prompts[:24], prompts[24:])
        return [one for half in halves for one in pipeline.generate(half, samplings)]

    apart, together = both(plain), both(sharing)
    pairs = zip(apart, together, strict=True)
    assert sum(list(a.token_ids) != list(b.token_ids) for a, b in pairs) <= 1
    tokens = sum(map(len, prompts))
    assert sum(one.cached for one in apart) == 0
    assert tokens - sum(one.cached for one in together) < 0.4 * tokens
