from collections.abc import Callable
from pathlib import Path

import pytest

from scripted_rows import Counted, engine
from tunewise.contenders.build import ContenderSet, Resources, contender_set
from tunewise.contenders.few_shot import FewShot
from tunewise.contenders.fine_tune import FineTune
from tunewise.contenders.prompt import TunedPrompt
from tunewise.contenders.rag import Rag
from tunewise.errors import UserError
from tunewise.metrics.by_name import metric_named
from tunewise.models.catalog import LocalModel
from tunewise.models.engines.protocol import Engine
from tunewise.pipelines.reading import documents_to_read
from tunewise.project.derived import BUDGET_TOKENS, budget_tokens
from tunewise.project.load import load_project
from tunewise.retrieval import embed

Build = Callable[..., ContenderSet]

TOML = """
[task]
instruction = "Say the letter."
kind = "classification"
[data]
examples = "examples.jsonl"
seed = 4
"""


@pytest.fixture
def build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Build:
    def no_embedder() -> None:
        raise UserError("the extra `dense` is not installed.")

    monkeypatch.setattr(embed, "load_embedder", no_embedder)
    (tmp_path / "examples.jsonl").write_text("{}\n")
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "a.md").write_text("# A\n\nSomething.\n")

    def _build(
        toml: str = "",
        *overrides: str,
        model: LocalModel | None = None,
        ceilings: dict[str, Engine] | None = None,
    ) -> ContenderSet:
        (tmp_path / "tunewise.toml").write_text(TOML + toml)
        resources = Resources(
            engine=engine(),
            model=model,
            metric=metric_named("accuracy"),
            folder=tmp_path / "training",
            progress=Counted(),
        )
        project = load_project(tmp_path, overrides)
        found = documents_to_read(project)
        documents = found.all_usable() if found else ()
        return contender_set(project, resources, ceilings=ceilings or {}, documents=documents)

    return _build


def test_every_contender_takes_part_simplest_first(build: Build, small_llama: LocalModel) -> None:
    found = build(model=small_llama)
    assert list(found.untrained) == [
        "constant", "zero_shot", "prompt", "few_shot", "classifier", "rag",
    ]  # fmt: skip
    assert list(found.trained) == ["fine_tune", "fine_tune_rag"]
    assert found.skipped == {}
    assert {name: one.name for name, one in {**found.untrained, **found.trained}.items()} == {
        name: name for name in [*found.untrained, *found.trained]
    }


def test_only_those_named_take_part(build: Build, small_llama: LocalModel) -> None:
    found = build("", 'contenders.use=["few_shot", "fine_tune"]', model=small_llama)
    assert (list(found.untrained), list(found.trained)) == (["few_shot"], ["fine_tune"])


def test_where_no_model_can_be_trained_trained_contenders_are_skipped_with_a_reason(
    build: Build,
) -> None:
    found = build()
    why = "the engine scripted runs no model that can be trained here"
    assert found.trained == {}
    assert found.skipped == {"fine_tune": why, "fine_tune_rag": why}


def test_only_fine_tune_rag_is_trained_with_passages(build: Build, small_llama: LocalModel) -> None:
    found = build("documents = 'docs'\n[training]\nrank = 3", model=small_llama)
    plain, with_passages = found.trained["fine_tune"], found.trained["fine_tune_rag"]
    assert isinstance(plain, FineTune)
    assert isinstance(with_passages, FineTune)
    assert plain.way == "alone"
    assert with_passages.way == "passages"
    assert with_passages.library is not None
    assert plain.settings.rank == 3
    assert plain.base_seed == 4


def test_documents_are_read_for_those_who_need_them_alone(build: Build) -> None:
    rag = build("documents = 'docs'").untrained["rag"]
    assert isinstance(rag, Rag)
    assert rag.library is not None
    alone = build("documents = 'docs'", 'contenders.use=["constant", "rag"]').untrained["rag"]
    assert isinstance(alone, Rag)
    assert alone.library is not None
    assert list(build("documents = 'docs'", 'contenders.use=["constant"]').untrained) == [
        "constant"
    ]


def test_without_embeddings_search_goes_by_words_and_says_so(build: Build) -> None:
    found = build()
    assert found.notes == (
        "Nearest examples and passages are found by words alone: "
        "the extra `dense` is not installed.",
    )
    few_shot = found.untrained["few_shot"]
    assert isinstance(few_shot, FewShot)
    assert few_shot.embedder is None


def test_no_embeddings_are_loaded_where_nobody_searches(
    build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embed, "load_embedder", lambda: pytest.fail("loaded"))
    assert build("", 'contenders.use=["constant", "zero_shot", "prompt"]').notes == ()


def test_an_endpoint_tunes_a_prompt_of_its_own_and_is_no_candidate_unless_marked(
    build: Build,
) -> None:
    toml = """
[contenders.big]
type = "openai"
model = "large"
[contenders.bigger]
type = "openai"
model = "larger"
candidate = true
"""
    big, bigger = engine(), engine()
    found = build(toml, ceilings={"big": big, "bigger": bigger})
    assert found.ceilings == {"big": False, "bigger": True}
    assert list(found.untrained)[-2:] == ["big", "bigger"]
    one = found.untrained["big"]
    assert isinstance(one, TunedPrompt)
    assert (one.name, one.engine) == ("big", big)


def test_every_contender_may_spend_the_same_number_of_tokens(
    build: Build, small_llama: LocalModel, tmp_path: Path
) -> None:
    found = build("[contenders]\nbudget_tokens = 1234", model=small_llama)
    spenders = [
        one
        for one in [*found.untrained.values(), *found.trained.values()]
        if hasattr(one, "budget_tokens")
    ]
    assert {one.name for one in spenders} == {
        "zero_shot", "prompt", "few_shot", "rag", "fine_tune", "fine_tune_rag",
    }  # fmt: skip
    assert {getattr(one, "budget_tokens", None) for one in spenders} == {1234}
    assert budget_tokens(load_project(tmp_path)) == 1234
    assert budget_tokens(load_project(tmp_path, ["contenders.budget_tokens='auto'"])) == (
        BUDGET_TOKENS
    )


def test_a_persons_own_variants_reach_the_prompt(build: Build) -> None:
    prompt = build("[contenders]\nvariants = ['Be brief.']").untrained["prompt"]
    assert isinstance(prompt, TunedPrompt)
    assert prompt.own == ("Be brief.",)
    assert (prompt.instruction, prompt.kind) == ("Say the letter.", "classification")


# Several base models


def test_what_runs_on_a_model_is_there_once_on_each_base(
    tmp_path: Path, small_llama: LocalModel, small_qwen: LocalModel, build: Build
) -> None:
    build(model=small_llama)  # writes the project
    first, second = (
        Resources(
            engine=engine(), model=model, metric=metric_named("accuracy"), folder=tmp_path / "t",
            progress=Counted(), base=base,
        )
        for base, model in (("llama", small_llama), ("qwen", small_qwen))
    )  # fmt: skip
    project = load_project(
        tmp_path, ['contenders.use=["constant", "few_shot", "classifier", "fine_tune"]']
    )
    found = contender_set(project, first, further=[second], ceilings={})
    assert list(found.untrained) == ["constant", "few_shot", "classifier", "few_shot@qwen"]
    assert list(found.trained) == ["fine_tune", "fine_tune@qwen"]
    assert all(one.name == name for name, one in {**found.untrained, **found.trained}.items())
    assert found.base_of == {
        "few_shot": "llama", "fine_tune": "llama",
        "few_shot@qwen": "qwen", "fine_tune@qwen": "qwen",
    }  # fmt: skip
    for name, of_base in (("fine_tune", first), ("fine_tune@qwen", second)):
        tune = found.trained[name]
        assert isinstance(tune, FineTune)
        assert (tune.model, tune.engine) == (of_base.model, of_base.engine)


def test_a_base_that_cannot_be_trained_here_leaves_the_others(
    tmp_path: Path, small_llama: LocalModel, build: Build
) -> None:
    build(model=small_llama)
    first, second = (
        Resources(
            engine=engine(), model=model, metric=metric_named("accuracy"), folder=tmp_path / "t",
            progress=Counted(), base=base,
        )
        for base, model in (("llama", small_llama), ("elsewhere", None))
    )  # fmt: skip
    found = contender_set(load_project(tmp_path), first, further=[second], ceilings={})
    assert "fine_tune" in found.trained
    assert set(found.skipped) == {"fine_tune@elsewhere", "fine_tune_rag@elsewhere"}
