"""Models of a registry that are served without a language model: texts in, requests out."""

from collections.abc import Sequence
from pathlib import Path

from tunewise.exporting.bundle import seal_bundle
from tunewise.models.engines.protocol import Request, Sampling
from tunewise.models.stored import adapter_hash
from tunewise.runs.model_file import BaseUsed, ModelFile, Origin
from tunewise.runs.registry import Registry
from tunewise.runs.registry_file import Lineage
from tunewise.serving.protocol import Prompted, Weights
from tunewise.types import Message


def write_versions(
    registry: Registry, instructions: Sequence[str] = ("Sort.", "Sort it."), *, base: str = "base"
) -> None:
    """triage@1, triage@2 and so on, each zero_shot with another instruction.

    Args:
        base: of all of them; `{}` in it is their number.
    """
    for number, instruction in enumerate(instructions, 1):
        with registry.staging() as folder:
            model = ModelFile(
                contender="zero_shot",
                kind="zero_shot",
                base=BaseUsed(name=base.format(number)),
                settings={"instruction": instruction},
                max_tokens=20,
                origin=Origin(project="shop", run=f"run-{number}", token=f"t{number}"),
            )
            seal_bundle(folder, model)
            lineage = Lineage(token=f"t{number}", contender="zero_shot", run=f"run-{number}")
            registry.add("triage", folder, lineage=lineage, card=lambda title: f"# {title}")


def said(*turns: tuple[str, str]) -> tuple[Message, ...]:
    """A conversation: role and text of each turn."""
    return tuple(Message(role=role, content=text) for role, text in turns)


def user(text: str) -> tuple[Message, ...]:
    """One user turn."""
    return said(("user", text))


def as_request(prompted: Prompted, weights: Weights | None) -> Request:
    """What an engine of `decide` would be asked."""
    assert weights is not None
    assert prompted.max_tokens is not None
    return Request(
        messages=prompted.messages,
        adapter=weights.adapter,
        sampling=Sampling(max_tokens=prompted.max_tokens),
    )


def wherever(requests: Sequence[Request]) -> list[tuple[object, ...]]:
    """Requests to compare, whichever folders their adapters lie in."""
    hashes: dict[Path, str] = {}
    for request in requests:
        if request.adapter is not None and request.adapter not in hashes:
            hashes[request.adapter] = adapter_hash(request.adapter)
    return [
        (one.messages, one.tools, one.sampling, hashes[one.adapter] if one.adapter else None)
        for one in requests
    ]
