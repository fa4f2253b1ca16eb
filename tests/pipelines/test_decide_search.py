"""A project whose answers are documents in an order: from the rows to a verdict."""

from pathlib import Path

import pytest

import small_sentence_model
from decide_projects import by_name, contract_faults, decide, opened, read_json, scripted
from search_rows import write_search_project
from tunewise.errors import UserError
from tunewise.pipelines.dry_run import dry_run
from tunewise.project.load import load_project

TRAINING = """
[contenders]
embedding_model = "{model}"
[training]
learning_rate = 3e-3
epochs = 4
seeds = 2
[decision]
measure = ["dependability", "retention"]
"""


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_sentence_model.build(tmp_path_factory.mktemp("sentences"))


def test_a_tuned_embedding_is_recommended_where_it_alone_knows_the_words(
    tmp_path: Path, model: Path
) -> None:
    project = write_search_project(tmp_path, rows=240, more=TRAINING.format(model=model))
    run = decide(project, opener=opened(scripted(lambda request: "never asked")))
    verdict = read_json(run / "verdict.json")
    assert contract_faults(verdict) == []
    found = by_name(verdict)
    assert found["reranked"]["skipped"] == "no cross-encoder is named (contenders.reranker)"
    assert (verdict["outcome"], verdict["finding"]) == ("fine_tune_embedding", "fine_tune")
    assert found["fine_tune_embedding"]["quality"]["value"] > 0.9
    assert found["fine_tune_embedding"]["seeds"] == 2
    assert found["bm25"]["quality"]["value"] < 0.2
    assert verdict["retention"] == {}
    assert "is no language model" in (run / "report.html").read_text("utf-8")
    shipped = run / "models" / "fine_tune_embedding"
    assert (shipped / "modules.json").is_file()
    assert "fine_tune_embedding" in (shipped / "README.md").read_text("utf-8")


def test_a_run_that_was_stopped_goes_on(tmp_path: Path, model: Path) -> None:
    project = write_search_project(tmp_path, more=TRAINING.format(model=model))
    whole = decide(project, opener=opened(scripted(lambda request: "")))
    (whole / "verdict.json").unlink()
    again = decide(project, opener=opened(scripted(lambda request: "")), resume=True)
    assert again == whole
    assert (again / "verdict.json").is_file()


def test_rows_that_name_no_document_are_refused_before_anything_runs(tmp_path: Path) -> None:
    project = write_search_project(tmp_path)
    file = project / "rows.jsonl"
    file.write_text(file.read_text("utf-8").replace('"stove.md"', '"stone.md"', 2), "utf-8")
    with pytest.raises(UserError) as refused:
        decide(project, opener=opened(scripted(lambda request: "")))
    assert str(refused.value).count('hold no "stone.md". Did you mean "stove.md"?') == 2
    assert "rows.jsonl:1: " in str(refused.value)


def test_its_forecast_knows_that_no_language_model_is_asked(tmp_path: Path) -> None:
    said = "\n".join(dry_run(load_project(write_search_project(tmp_path))).lines())
    assert "fine_tune_embedding, further seeds" in said
    assert "retention" not in said
