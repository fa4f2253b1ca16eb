"""A served model asks, for the user's words alone, exactly what `decide` asked for the same row."""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from every_kind import NAMES, EveryKind, said_in_the_run, script
from exports import model_of
from http_serving import serving
from served_models import as_request, said, user, wherever
from tunewise.models.engines.openai import api_turns
from tunewise.pipelines.publish import publish
from tunewise.progress import Silent
from tunewise.retrieval.embed import load_embedder
from tunewise.runs.model_file import EndpointUsed
from tunewise.runs.registry import Registry
from tunewise.runs.registry_file import Lineage
from tunewise.serving.catalogue import RegistryCatalogue
from tunewise.serving.protocol import Answered, Prompted, RefusedError, ServedModel, Weights
from tunewise.serving.served import BaseServed, Loaded, VersionServed
from tunewise.types import Usage

ASKS = [name for name in NAMES if name not in ("constant", "classifier")]


@pytest.fixture(scope="module")
def registry(tmp_path_factory: pytest.TempPathFactory) -> Registry:
    return Registry(tmp_path_factory.mktemp("served"))


@pytest.fixture(scope="module")
def served(every_kind: EveryKind, registry: Registry) -> Mapping[str, VersionServed]:
    """Contender -> the model that it became."""
    embedder = load_embedder()
    return {
        name: VersionServed(
            name=name,
            loaded=Loaded(
                publish(
                    every_kind.run,
                    name=name.replace("_", "-"),
                    contender=name,
                    registry=registry,
                    progress=Silent(),
                ),
                lambda: embedder,
            ),
        )
        for name in NAMES
    }


@pytest.mark.parametrize("name", ASKS)
def test_requests_are_decides_own_message_by_message(
    name: str, every_kind: EveryKind, served: Mapping[str, VersionServed]
) -> None:
    model = served[name]
    prompts = [model.prepare(item.messages) for item in every_kind.inputs]
    assert len(prompts) >= 50
    ours = [as_request(one, model.weights) for one in prompts if isinstance(one, Prompted)]
    assert wherever(ours) == wherever(every_kind.asked[name])


@pytest.mark.parametrize("name", NAMES)
def test_answers_are_decides_own(
    name: str, every_kind: EveryKind, served: Mapping[str, VersionServed]
) -> None:
    model, answers = served[name], list[str]()
    for item in every_kind.inputs:
        found = model.prepare(item.messages)
        if isinstance(found, Answered):
            assert found.usage == Usage()
            answers.append(found.text)
            continue
        text = script(as_request(found, model.weights))
        answers.append(found.read(text) if found.read else text.strip())
    assert answers == every_kind.answers(name)


@pytest.mark.parametrize("name", ["classifier", "fine_tune", "fine_tune_rag"])
def test_over_http_they_are_decides_own_too(
    name: str, every_kind: EveryKind, served: Mapping[str, VersionServed], registry: Registry
) -> None:
    """Of those that no exported folder holds; the others go this way in `test_served_folder`."""
    version = served[name].resolved
    catalogue = RegistryCatalogue(registry, names=[version.partition("@")[0]])
    answers, asked = list[str | None](), "message 3: what is written of parcels at length?"
    with serving(said_in_the_run, catalogue=catalogue) as running, running.client() as client:
        for item in every_kind.inputs:
            turns: Any = api_turns(item.messages)
            got = client.chat.completions.create(model=version, messages=turns)
            answers.append(got.choices[0].message.content)
        last = client.chat.completions.create(
            model=version, messages=[{"role": "user", "content": asked}]
        )
        given = [one.messages[-1].content for one in running.engine.requests[-1:]]
    catalogue.close()
    assert answers == every_kind.answers(name)
    cited: Any = last.choices[0].message.annotations or []
    assert bool(cited) == (name == "fine_tune_rag")
    assert all(one.url_citation.text in given[0] for one in cited)


def test_only_a_wording_that_asks_for_steps_has_its_answer_looked_for(
    every_kind: EveryKind, served: Mapping[str, VersionServed]
) -> None:
    item = every_kind.inputs[0]
    found = {name: served[name].prepare(item.messages) for name in ASKS}
    read = {name for name, one in found.items() if isinstance(one, Prompted) and one.read}
    assert served["prompt"].loaded.bundle.model.settings["variant"] == "step by step"
    assert read == {"prompt", "internalised"}


@pytest.mark.parametrize("name", ["rag", "fine_tune_rag"])
def test_passages_come_with_their_source_and_text(
    name: str, served: Mapping[str, VersionServed]
) -> None:
    found = served[name].prepare(user("What is written of parcels at length?"))
    assert isinstance(found, Prompted)
    assert found.passages
    for passage in found.passages:
        assert passage.source.rpartition("#")[0] in ("parcels.md", "returns.md")
        assert passage.text in found.messages[-1].content


def test_a_base_model_passes_on_what_is_said() -> None:
    model: ServedModel = BaseServed(name="small", resolved="small", weights=Weights(base="small"))
    turns = said(("system", "Be brief."), ("user", "Hi"), ("assistant", "Hi."), ("user", "And?"))
    assert model.prepare(turns) == Prompted(messages=turns, max_tokens=None)
    with pytest.raises(RefusedError, match="is empty") as refused:
        model.prepare(())
    assert refused.value.param == "messages"


def test_a_conversation_is_a_row_of_several_turns(served: Mapping[str, VersionServed]) -> None:
    """Instruction first, examples next, the talk as it is; what is put around stands around the
    last user turn alone."""
    asked = "And of parcels at length?"
    talk = said(("user", "message 7"), ("assistant", "refund"), ("user", asked))
    few, rag, tuned = (served[name].prepare(talk) for name in ("few_shot", "rag", "fine_tune"))
    assert isinstance(few, Prompted)
    assert few.messages[0].content == "Which label?"
    assert few.messages[-3:] == talk
    assert isinstance(rag, Prompted)
    assert rag.messages[1:3] == talk[:2]
    assert rag.messages[-1].content.endswith(f"Question: {asked}")
    assert isinstance(tuned, Prompted)
    assert tuned.messages == talk


def test_a_system_turn_of_the_user_follows_the_instruction(
    served: Mapping[str, VersionServed],
) -> None:
    found = served["zero_shot"].prepare(said(("system", "In English."), ("user", "message 3")))
    assert isinstance(found, Prompted)
    assert found.messages[0].content == "Which label?\n\nIn English."


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    ("turns", "why"),
    [
        ((), "is empty"),
        (said(("system", "Be brief.")), "holds no user turn"),
        (said(("user", "Hi"), ("assistant", "The label is")), "the last turn is of the role"),
        (said(("user", "Hi"), ("narrator", "He said hi.")), "role 'narrator' is unknown"),
    ],
)
def test_what_has_no_right_answer_is_refused(
    name: str, turns: tuple[object, ...], why: str, served: Mapping[str, VersionServed]
) -> None:
    with pytest.raises(RefusedError, match=why) as refused:
        served[name].prepare(turns)  # type: ignore[arg-type]
    assert refused.value.param == "messages"


def test_a_classifier_of_single_messages_refuses_a_conversation(
    served: Mapping[str, VersionServed],
) -> None:
    talk = said(("user", "message 7"), ("assistant", "refund"), ("user", "message 8"))
    with pytest.raises(RefusedError, match="Send the message to classify alone") as refused:
        served["classifier"].prepare(talk)
    assert refused.value.code == "single_message_only"
    assert isinstance(served["constant"].prepare(talk), Answered)


def test_a_version_of_damaged_files_is_refused_and_says_what_is_wrong(
    every_kind: EveryKind, tmp_path: Path
) -> None:
    registry = Registry(tmp_path)
    version = publish(every_kind.run, contender="few_shot", registry=registry, progress=Silent())
    (version.folder / "examples.jsonl").write_text("{}\n")
    model = VersionServed(name="triage", loaded=Loaded(version, load_embedder))
    with pytest.raises(RefusedError, match=r"examples\.jsonl: is not as it was written") as refused:
        model.prepare(user("message 3"))
    assert refused.value.param == "model"
    assert str(tmp_path) not in refused.value.message
    assert model.weights == Weights(base=every_kind.model.name)


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"thinking": True}, "triage@1: thinks before it answers"),
        (
            {
                "base": None,
                "endpoint": EndpointUsed(name="big", model="big", base_url="http://127.0.0.1:1/v1"),
            },
            "triage@1: runs at an endpoint of its own",
        ),
    ],
    ids=["thinks", "endpoint"],
)
def test_a_version_that_no_engine_here_can_ask_is_refused_by_name(
    fields: dict[str, Any], why: str, tmp_path: Path
) -> None:
    registry = Registry(tmp_path / "home")
    model = model_of(tmp_path / "model", "zero_shot", {"instruction": "Which label?"}, **fields)
    lineage = Lineage(token="t", contender="zero_shot", run="run")
    with registry.staging() as folder:
        shutil.copytree(model.folder, folder, dirs_exist_ok=True)
        version = registry.add("triage", folder, lineage=lineage, card=lambda title: f"# {title}")
    served = VersionServed(name="triage", loaded=Loaded(version, load_embedder))
    with pytest.raises(RefusedError, match=why) as refused:
        served.prepare(user("message 3"))
    assert (refused.value.param, refused.value.code) == ("model", "model_unusable")
