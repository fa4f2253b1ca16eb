"""The starter model: what is published answers, through a real engine, as it did in the run."""

from pathlib import Path

import pytest

from decide_projects import decide, read_jsonl
from served_models import as_request
from tunewise.data.prepare import prepare
from tunewise.models.catalog import LocalModel
from tunewise.models.engines.open import open_engine
from tunewise.pipelines.publish import publish
from tunewise.progress import Silent
from tunewise.project.load import demo_folder, load_project
from tunewise.project.settings import Model
from tunewise.retrieval.embed import load_embedder
from tunewise.runs.registry import Registry
from tunewise.serving.protocol import Prompted
from tunewise.serving.served import Loaded, VersionServed
from tunewise.types import Generation

SETTINGS = (
    "contenders.use=['prompt', 'few_shot', 'fine_tune']",
    "contenders.limit=120",
    "contenders.budget_tokens=40000",
    "contenders.finish=true",
    "training.epochs=1",
    "training.seeds=1",
    "decision.measure=[]",
)


@pytest.mark.slow
def test_published_models_of_the_starter_answer_as_they_did_on_test(
    starter: LocalModel, tmp_path: Path
) -> None:
    run = decide(demo_folder(), *SETTINGS, out=tmp_path / "run")
    tests = prepare(load_project(demo_folder(), SETTINGS)).splits.test
    registry, embedder = Registry(), load_embedder()
    with open_engine(Model(base=starter.name), progress=Silent()) as opened:
        for number, name in enumerate(("prompt", "few_shot", "fine_tune"), 1):
            version = publish(run, contender=name, registry=registry, progress=Silent())
            assert version.id == f"support_triage@{number}"
            model = VersionServed(name="triage", loaded=Loaded(version, lambda: embedder))
            prompts = [model.prepare(row.messages) for row in tests]
            asked = [p for p in prompts if isinstance(p, Prompted)]
            found = opened.engine.generate([as_request(p, model.weights) for p in asked])
            said = [
                (prompt.read(one.text) if prompt.read else one.text.strip())
                for prompt, one in zip(asked, found, strict=True)
                if isinstance(one, Generation)
            ]
            kept = {
                row["example_id"]: row["text"]
                for row in read_jsonl(run / "answers.jsonl")
                if row["contender"] == name
            }
            assert said == [kept[row.id] for row in tests]
