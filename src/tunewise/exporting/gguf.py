"""Writes a model as one GGUF file, with its chat template and its end token inside."""

from pathlib import Path
from typing import Any, cast

import gguf

from tunewise.errors import UserError
from tunewise.exporting.adapter import copy_card, trained_of
from tunewise.exporting.merged import copy_base, write_merged
from tunewise.exporting.source import Source
from tunewise.models.gguf import GgufPrecision, convert_to_gguf
from tunewise.models.prepared import safe_name

PRECISIONS: tuple[GgufPrecision, ...] = ("q8_0", "f16")


def precision_named(name: str) -> GgufPrecision:
    """The precision of that name.

    Raises:
        UserError: no library here writes it.
    """
    for known in PRECISIONS:
        if name == known:
            return known
    why = "is none" if name != "q4_k_m" else "is written by no library that Tunewise installs"
    raise UserError(
        f"--precision: {name} {why}. Use q8_0 or f16; llama.cpp's own program llama-quantize makes "
        "others from the f16 file.",
        exit_code=2,
    )


def write_gguf_folder(
    source: Source, folder: Path, work: Path, *, precision: GgufPrecision, base_too: bool = False
) -> Path:
    """Fills a folder with the GGUF file and the card.

    Args:
        source: a model on this machine.
        folder: of the export.
        work: a folder for what is made on the way; gets the model in the hub's layout.
        precision: of the matrices.
        base_too: whether a source that trained nothing gives its base.

    Returns:
        The file.

    Raises:
        UserError: there is nothing of its own to write, or the converter cannot write it.
    """
    if source.adapter is None and base_too:
        copy_base(source, work)
    else:
        trained_of(source)
        write_merged(source, work)
    file = folder / f"{safe_name(source.contender)}-{precision}.gguf"
    fault = convert_to_gguf(work, file, precision=precision)
    if fault:
        raise UserError(f"{source.named}: {fault}. Use --to merged.")
    _check_inside(source, file)
    copy_card(source, folder)
    return file


def _check_inside(source: Source, file: Path) -> None:
    """What most exports lack: a template, and a token that ends an answer.

    Raises:
        UserError: the file lacks one of them.
    """
    fields = cast("Any", gguf.GGUFReader(file).fields)
    missing = [
        what
        for key, what in (
            ("tokenizer.chat_template", "a chat template"),
            ("tokenizer.ggml.eos_token_id", "a token that ends an answer"),
        )
        if key not in fields
    ]
    if missing:
        raise UserError(
            f"{source.named}: the converter left out {' and '.join(missing)}, so that the file "
            "would never answer as the model does. Use --to merged."
        )
