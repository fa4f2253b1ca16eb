"""Likelihoods are those that a plain pass through the model gives, with the adapter on and off."""

from pathlib import Path

import pytest
import torch

import small_models
from tunewise.chat.tokenize import prompt_tokens
from tunewise.errors import UserError
from tunewise.evaluation.likelihood import LikelihoodPair, Written, right_share
from tunewise.evaluation.suite.questions import Question
from tunewise.models import loading
from tunewise.models.catalog import LocalModel

QUESTIONS = [
    Question(id="one", ability="knowledge", kind="a", text="Where is my order?",
             choices=("at home", "on the way", "lost"), answer=1),
    Question(id="two", ability="knowledge", kind="b", text="What broke?",
             choices=("the zip", "the tent"), answer=0),
]  # fmt: skip


@pytest.fixture(scope="module")
def adapter(small_llama: LocalModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_models.adapter(small_llama, tmp_path_factory.mktemp("adapter") / "a")


def plain(model: torch.nn.Module, base: LocalModel, text: str, said: str) -> torch.Tensor:
    """(tokens of what is said, vocabulary) log-probabilities, one sequence alone."""
    tokenizer = loading.load_tokenizer(base.folder)
    prompt = list(prompt_tokens(tokenizer, small_models.user(text)))
    ids = [*prompt, *tokenizer.encode(said, add_special_tokens=False)]
    with torch.no_grad():
        logits = model(input_ids=torch.tensor([ids])).logits[0]
    return torch.log_softmax(logits[len(prompt) - 1 : -1].float(), -1)


def nats(model: torch.nn.Module, base: LocalModel, text: str, said: str) -> float:
    tokenizer = loading.load_tokenizer(base.folder)
    each = plain(model, base, text, said)
    ids = torch.tensor(tokenizer.encode(said, add_special_tokens=False))
    return float(each.gather(1, ids[:, None]).sum())


def test_every_choice_has_the_log_probability_of_a_plain_pass(
    small_llama: LocalModel, adapter: Path, tmp_path: Path
) -> None:
    merged = small_models.merged_folder(small_llama, adapter, tmp_path / "merged")
    with LikelihoodPair(small_llama, adapter, device="cpu") as pair:
        for which, folder in (("base", small_llama.folder), ("trained", merged)):
            model = loading.load_model(folder)
            found = pair.choice_log_probabilities(which, QUESTIONS)  # type: ignore[arg-type]
            for question, values in zip(QUESTIONS, found, strict=True):
                expected = [nats(model, small_llama, question.text, c) for c in question.choices]
                assert values == pytest.approx(expected, abs=1e-3)


def test_a_whole_model_stands_beside_its_base(
    small_llama: LocalModel, adapter: Path, tmp_path: Path
) -> None:
    merged = small_models.merged_folder(small_llama, adapter, tmp_path / "merged")
    with LikelihoodPair(small_llama, adapter, device="cpu") as one:
        adapted = one.choice_log_probabilities("trained", QUESTIONS)
        untouched = one.choice_log_probabilities("base", QUESTIONS)
    with LikelihoodPair(small_llama, merged, device="cpu") as other:
        assert other.choice_log_probabilities("trained", QUESTIONS) == [
            pytest.approx(values, abs=1e-3) for values in adapted
        ]
        assert other.choice_log_probabilities("base", QUESTIONS) == [
            pytest.approx(values, abs=1e-3) for values in untouched
        ]


def test_the_divergence_is_that_of_all_probabilities_on_what_the_base_wrote(
    small_llama: LocalModel, adapter: Path, tmp_path: Path
) -> None:
    merged = small_models.merged_folder(small_llama, adapter, tmp_path / "merged")
    base, trained = (loading.load_model(f) for f in (small_llama.folder, merged))
    written = Written(asked="Where is my order?", text="It left on Monday.")
    one, other = (plain(m, small_llama, written.asked, written.text) for m in (base, trained))
    expected = float((one.exp() * (one - other)).sum(-1).mean())
    with LikelihoodPair(small_llama, adapter, device="cpu") as pair:
        found = pair.divergence([written, Written(asked="Empty?", text="")])
    assert found.tolist() == pytest.approx([expected], rel=1e-3)


def test_an_adapter_without_effect_moves_nothing(small_llama: LocalModel, tmp_path: Path) -> None:
    silent = small_models.adapter(small_llama, tmp_path / "silent", alpha=1e-9)
    with LikelihoodPair(small_llama, silent, device="cpu") as pair:
        base, trained = (
            pair.choice_log_probabilities("base", QUESTIONS),
            pair.choice_log_probabilities("trained", QUESTIONS),
        )
        assert trained == [pytest.approx(values, abs=1e-4) for values in base]
        assert pair.divergence([Written(asked="Why?", text="Because.")])[0] < 1e-6


def test_a_question_longer_than_the_context_does_not_fit(
    small_llama: LocalModel, adapter: Path
) -> None:
    long = Question(id="l", ability="reading", kind="k", text="word " * small_models.CONTEXT,
                    choices=("a", "b"), answer=0)  # fmt: skip
    with LikelihoodPair(small_llama, adapter, device="cpu") as pair:
        assert [pair.fits(one) for one in (*QUESTIONS, long)] == [True, True, False]


def test_an_adapter_of_another_base_is_refused(small_qwen: LocalModel, adapter: Path) -> None:
    with pytest.raises(UserError, match="trained for another base"):
        LikelihoodPair(small_qwen, adapter)


def test_the_share_of_the_right_choice_is_among_the_choices_alone() -> None:
    assert right_share([-1000.0, -1000.0], 0) == pytest.approx(0.5)
    assert right_share([0.0, -50.0], 0) == pytest.approx(1.0)
