"""Log-probabilities of rows under a model; those from before training are kept in a file.

The latter are the reference that preference methods (`Dpo`, `Kto`) measure a model against.
"""

import json
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from itertools import islice
from math import isfinite
from pathlib import Path
from typing import Any, cast

import torch

from tunewise.errors import UserError
from tunewise.storage import write_json
from tunewise.training.objectives import log_probabilities, per_sequence
from tunewise.training.packing import micro_batches
from tunewise.training.rows import Row

REFERENCE_FILE = "references.json"
"""In the folder of a training: identity, and nats of each row's sequences."""


def row_log_probabilities(
    model: Any,
    rows: Sequence[Row],
    *,
    micro_tokens: int,
    share: bool,
    autocast: Callable[[], AbstractContextManager[Any]],
) -> list[tuple[float, ...]]:
    """(rows, sequences of each) log-probability of each sequence's answers, nats.

    Args:
        model: as it is now.
        rows: of any method.
        micro_tokens: that go through the model at once.
        share: whether common prefixes may be computed once.
        autocast: makes the context that matrix products run in.
    """
    rows = [replace(row) for row in rows]  # the same one may come twice
    device = next(model.parameters()).device
    values: dict[int, tuple[float, ...]] = {}
    number = {id(row): n for n, row in enumerate(rows)}
    model.eval()
    for batch in micro_batches(rows, micro_tokens=micro_tokens, share=share):
        with torch.no_grad(), autocast():
            moved = batch.to(str(device))
            sums = per_sequence(log_probabilities(model, moved), moved).sums
        each = (float(value) for value in sums)
        for row in batch.rows:
            values[number[id(row)]] = tuple(islice(each, len(row.sequences)))
    return [values[n] for n in range(len(rows))]


def with_references(
    rows: Sequence[Row],
    folder: Path,
    *,
    identity: Mapping[str, Any],
    ask: Callable[[Sequence[Row]], list[tuple[float, ...]]],
) -> list[Row]:
    """The rows, each with the log-probability (nats) of its sequences' answers before training.

    Args:
        rows: of the whole training.
        folder: where the numbers are kept: a resumed training has to have the same.
        identity: of the training; numbers of another one are not used.
        ask: `row_log_probabilities` of the model as it is before the first step.

    Raises:
        UserError: the base gives an answer no finite probability; the rows are named.
    """
    file = folder / REFERENCE_FILE
    found = _read(file, identity)
    if found is None:
        found = ask(rows)
        lost = [row.id for row, v in zip(rows, found, strict=True) if not all(map(isfinite, v))]
        if lost:
            raise UserError(
                f"training: the base gives these answers no finite probability: "
                f"{', '.join(lost[:8])}. Remove them, or train in float32."
            )
        folder.mkdir(parents=True, exist_ok=True)
        write_json(file, {"identity": identity, "references": found})
    return [replace(row, reference=tuple(v)) for row, v in zip(rows, found, strict=True)]


def _read(file: Path, identity: Mapping[str, Any]) -> list[tuple[float, ...]] | None:
    try:
        kept = cast("dict[str, Any]", json.loads(file.read_text("utf-8")))
        same = kept["identity"] == json.loads(json.dumps(identity))
        return [tuple(value) for value in kept["references"]] if same else None
    except (OSError, ValueError, KeyError, TypeError):
        return None
