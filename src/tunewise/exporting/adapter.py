"""Copies an adapter into a folder that PEFT, and all that reads its format, opens."""

import shutil
from pathlib import Path

from tunewise.errors import UserError
from tunewise.exporting.source import Source
from tunewise.models.adapters import BASE_FILE, check_adapter, is_whole_model
from tunewise.models.stored import adapter_hash

CARD = "README.md"


def write_adapter(source: Source, folder: Path) -> None:
    """Fills a folder with the adapter, its card, and the name of its base.

    Raises:
        UserError: there is no adapter, or it belongs to another base.
    """
    adapter = trained_of(source)
    if is_whole_model(adapter):
        raise UserError(
            f"{source.named}: every weight was trained, so that there is no adapter. "
            "Use --to merged."
        )
    check_adapter(adapter, source.local)
    kept = (*adapter.glob("adapter_*"), adapter / BASE_FILE)
    for file in kept:
        if file.is_file():
            shutil.copyfile(file, folder / file.name)
    copy_card(source, folder)
    if adapter_hash(folder) != adapter_hash(adapter):
        raise UserError(f"{adapter}: changed while it was copied. Run the command again.")


def trained_of(source: Source) -> Path:
    """The folder of what was trained.

    Raises:
        UserError: nothing was.
    """
    if source.adapter is None:
        ollama = "" if source.looks_up else ", or --to ollama for its base with the instruction"
        raise UserError(
            f"{source.named}: {source.contender} trains nothing, so that its weights are those of "
            f"{source.base_name}. Use --to prompt{ollama}."
        )
    return source.adapter


def copy_card(source: Source, folder: Path) -> None:
    """Copies the model's card along, where it has one."""
    if source.card is not None and source.card.is_file():
        shutil.copyfile(source.card, folder / CARD)
