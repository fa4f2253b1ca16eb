"""What may be asked is what the official client can ask, within bounds that it does not keep."""

from typing import Any, get_type_hints

import pytest
from openai.types.fine_tuning import job_create_params as theirs
from openai.types.fine_tuning.dpo_hyperparameters_param import DpoHyperparametersParam
from openai.types.fine_tuning.supervised_hyperparameters_param import SupervisedHyperparametersParam
from pydantic import BaseModel, ValidationError

from tunewise.serving.jobs.requests import (
    DpoHyperparameters,
    Hyperparameters,
    JobRequest,
    MethodRequest,
)

SMALLEST = {"model": "small", "training_file": "file-1"}


def keys(params: type) -> set[str]:
    return set(get_type_hints(params))


@pytest.mark.parametrize(
    ("ours", "params", "not_here", "own"),
    [
        (JobRequest, theirs.JobCreateParams, set(), set()),
        (MethodRequest, theirs.Method, {"reinforcement"}, {"decide"}),
        (Hyperparameters, theirs.Hyperparameters, set(), set()),
        (Hyperparameters, SupervisedHyperparametersParam, set(), set()),
        (DpoHyperparameters, DpoHyperparametersParam, set(), set()),
    ],
)
def test_the_fields_are_those_of_the_client(
    ours: type[BaseModel], params: type, not_here: set[str], own: set[str]
) -> None:
    assert set(ours.model_fields) == (keys(params) - not_here) | own


@pytest.mark.parametrize(
    "method",
    [
        {"type": "supervised"},
        {"type": "supervised", "supervised": {}},
        {"type": "supervised", "supervised": {"hyperparameters": {"n_epochs": 3}}},
        {"type": "dpo", "dpo": {"hyperparameters": {"beta": 0.2, "batch_size": "auto"}}},
        {"type": "decide", "decide": {"instruction": "Sort.", "contenders": ["prompt"]}},
    ],
)
def test_each_method_keeps_what_was_chosen(method: dict[str, Any]) -> None:
    kept = JobRequest.model_validate({**SMALLEST, "method": method}).chosen_method()
    assert kept["type"] == method["type"]
    given = method.get(method["type"], {})
    for name, value in given.get("hyperparameters", given).items():
        assert (kept[method["type"]].get("hyperparameters") or kept[method["type"]])[name] == value


def test_older_programs_send_hyperparameters_beside_the_method() -> None:
    asked = JobRequest.model_validate({**SMALLEST, "hyperparameters": {"n_epochs": 4}})
    assert asked.chosen_method()["supervised"]["hyperparameters"]["n_epochs"] == 4


@pytest.mark.parametrize(
    ("more", "field"),
    [
        ({"temperature": 1}, "temperature"),
        ({"suffix": "x" * 65}, "suffix"),
        ({"suffix": ""}, "suffix"),
        ({"suffix": "a\nb"}, "suffix"),
        ({"seed": -1}, "seed"),
        ({"seed": "1"}, "seed"),
        ({"metadata": {str(n): "x" for n in range(17)}}, "metadata"),
        ({"metadata": {"a": "x" * 513}}, "metadata"),
        ({"integrations": [{"type": "wandb", "wandb": {"project": "x"}}]}, "integrations"),
        ({"hyperparameters": {"batch_size": -3}}, "batch_size"),
        ({"hyperparameters": {"n_epochs": 0}}, "n_epochs"),
        ({"hyperparameters": {"n_epochs": "many"}}, "n_epochs"),
        ({"hyperparameters": {"learning_rate_multiplier": 0}}, "learning_rate_multiplier"),
        ({"hyperparameters": {"beta": 0.1}}, "beta"),
        ({"method": {"type": "reinforcement"}}, "type"),
        ({"method": {"type": "dpo", "supervised": {}}}, "method"),
        ({"method": {"type": "decide", "decide": {"metric": "os:system"}}}, "metric"),
        ({"method": {"type": "decide", "decide": {"contenders": ["gpt"]}}}, "contenders"),
    ],
)
def test_what_cannot_be_done_is_refused_by_name(more: dict[str, Any], field: str) -> None:
    with pytest.raises(ValidationError) as refused:
        JobRequest.model_validate({**SMALLEST, **more})
    assert any(field in map(str, error["loc"]) for error in refused.value.errors())


def test_method_and_hyperparameters_together_are_refused() -> None:
    with pytest.raises(ValidationError, match="Leave hyperparameters out"):
        JobRequest.model_validate(
            {**SMALLEST, "hyperparameters": {}, "method": {"type": "supervised"}}
        )
