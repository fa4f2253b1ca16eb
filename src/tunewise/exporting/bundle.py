"""A folder that holds one contender of a run, whole: written once, read wherever it lies.

What is in it says `tunewise.runs.model_file`. Nothing in it is run or unpickled: a classifier is
fitted again from its rows.
"""

import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tunewise.errors import UserError
from tunewise.retrieval.chunk import Passage
from tunewise.runs.model_file import (
    EXAMPLE_ROW,
    MODEL,
    MODEL_FILE,
    PASSAGE_ROW,
    ExampleRow,
    ModelFile,
    PassageRow,
)
from tunewise.runs.records import damaged, dump, parse_json, read_records, validate
from tunewise.runs.registry import Version
from tunewise.storage import file_sha256, replaced_folder, write_json, write_lines
from tunewise.types import Example

EXAMPLES, PASSAGES, VECTORS, ADAPTER, CARD = (
    "examples.jsonl",
    "passages.jsonl",
    "index.npy",
    "adapter",
    "README.md",
)
_ANEW = "Make the model again from its run: `tunewise models add RUN`."


@dataclass(frozen=True, kw_only=True, slots=True)
class Bundle:
    """A model on disk."""

    folder: Path
    model: ModelFile

    @property
    def adapter(self) -> Path | None:
        """The folder of its adapter, or of the whole model that was trained; None: the base."""
        return self.folder / ADAPTER if self.model.trained else None

    def examples(self) -> tuple[Example, ...]:
        """Its rows of train, in order; empty where it needs none.

        Raises:
            UserError: they are damaged.
        """
        faults: list[str] = []
        rows = read_records(self.folder / EXAMPLES, EXAMPLE_ROW, faults, for_people=False)
        self.refuse(faults)
        return tuple(
            Example(id=row.id, messages=row.messages, target=row.target, tools=row.tools)
            for row in rows
        )

    def passages(self) -> tuple[Passage, ...]:
        """Its pieces of documents, in order; empty where it searches none.

        Raises:
            UserError: they are damaged.
        """
        faults: list[str] = []
        rows = read_records(self.folder / PASSAGES, PASSAGE_ROW, faults, for_people=False)
        self.refuse(faults)
        return tuple(
            Passage(id=row.id, document=row.document, heading=row.heading, text=row.text)
            for row in rows
        )

    def check(self) -> None:
        """Reads every file that model.json names.

        Raises:
            UserError: some are missing or not as they were written; all together.
        """
        faults: list[str] = []
        for name, sha256 in self.model.files.items():
            file = self.folder / name
            if not file.is_file():
                faults.append(f"{name}: is missing.")
            elif file_sha256(file) != sha256:
                faults.append(f"{name}: is not as it was written.")
        self.refuse(faults)

    def refuse(self, faults: Sequence[str]) -> None:
        """Raises UserError with what is wrong with its files, where anything is."""
        if faults:
            raise damaged(self.folder, faults, _ANEW)


def write_files(
    folder: Path,
    *,
    examples: Sequence[Example] = (),
    passages: Sequence[Passage] = (),
    adapter: Path | None = None,
) -> None:
    """Writes what lies beside model.json, in place of what was written before.

    Args:
        folder: to be filled.
        examples: rows of train that the model needs.
        passages: pieces of documents that it searches.
        adapter: folder of what was trained.

    Raises:
        OSError: it cannot be written.
    """
    if examples:
        rows = [
            ExampleRow(id=e.id, messages=e.messages, target=e.target, tools=e.tools)
            for e in examples
        ]
        write_lines(folder / EXAMPLES, [dump(EXAMPLE_ROW, row) for row in rows])
    if passages:
        pieces = [
            PassageRow(id=p.id, document=p.document, heading=p.heading, text=p.text)
            for p in passages
        ]
        write_lines(folder / PASSAGES, [dump(PASSAGE_ROW, piece) for piece in pieces])
    if adapter is not None:
        with replaced_folder(folder / ADAPTER) as new:
            shutil.copytree(adapter, new, dirs_exist_ok=True)
            (new / CARD).unlink(missing_ok=True)  # the run's own: the model gets another


def seal_bundle(folder: Path, model: ModelFile) -> Bundle:
    """Writes model.json, with the hashes of all that lies beside it; the card is left to whoever
    names the model.

    Raises:
        OSError: it cannot be written.
    """
    files = {
        file.relative_to(folder).as_posix(): file_sha256(file)
        for file in sorted(folder.rglob("*"))
        if file.is_file() and file.name not in (MODEL_FILE, CARD)
    }
    written = replace(model, files=files)
    write_json(folder / MODEL_FILE, dump(MODEL, written))
    return Bundle(folder=folder, model=written)


def copy_bundle(bundle: Bundle, folder: Path) -> Bundle:
    """Fills an empty folder with the same model, but for its card.

    Raises:
        OSError: it cannot be written.
    """
    for name in (EXAMPLES, PASSAGES, VECTORS, MODEL_FILE):
        if (bundle.folder / name).is_file():
            shutil.copyfile(bundle.folder / name, folder / name)
    if bundle.adapter is not None:
        shutil.copytree(bundle.adapter, folder / ADAPTER)
    return Bundle(folder=folder, model=bundle.model)


def read_bundle(folder: Path) -> Bundle:
    """The model in a folder. Its other files are read when they are asked for.

    Raises:
        UserError: there is no model.json, or it cannot be read; all faults together.
    """
    file, faults = folder / MODEL_FILE, list[str]()
    try:
        value = parse_json(file.read_bytes())
    except OSError as error:
        raise UserError(
            f"{file}: cannot be read ({error.strerror}), so {folder} is no model. {_ANEW}"
        ) from None
    except ValueError as fault:
        raise damaged(folder, [f"{MODEL_FILE}: not JSON ({fault})."], _ANEW) from None
    if isinstance(value, dict) and value.get("schema", 1) != 1:
        raise UserError(
            f"{file}: has schema {value['schema']!r}; this version reads schema 1. Use the version "
            "of Tunewise that made the model."
        )
    model = validate(MODEL, value, MODEL_FILE, faults)
    if model is None:
        raise damaged(folder, faults, _ANEW)
    return Bundle(folder=folder, model=model)


def models_of(versions: Iterable[Version]) -> dict[str, ModelFile | None]:
    """Id of each version -> what it is; None where its folder is damaged."""
    found: dict[str, ModelFile | None] = {}
    for version in versions:
        try:
            found[version.id] = read_bundle(version.folder).model
        except UserError:
            found[version.id] = None
    return found
