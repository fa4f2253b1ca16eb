"""Turns what `[data]` names - files, folders, data sets on the hub - into the files of each part.

It knows how Hugging Face lays out data sets, and nothing of what is in the files.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, cast

import huggingface_hub

from tunewise.data.hub import fetch
from tunewise.errors import UserError
from tunewise.project.schema import SCHEMA_FILE
from tunewise.project.settings import Data, Sources

ENDINGS = (".jsonl", ".ndjson", ".json", ".csv", ".tsv", ".parquet", ".arrow")
"""Of files that hold rows; each may be gzipped."""
_CARD = "README.md"
_DESCRIPTIONS = (
    "dataset_dict.json",
    "dataset_info.json",
    "dataset_infos.json",
    "state.json",
    SCHEMA_FILE,
)
"""What lies beside the rows and describes them."""
_SPLITS = {
    "train": ("train", "training"),
    "dev": ("dev", "validation", "valid", "val"),
    "test": ("test", "testing", "eval", "evaluation"),
}
"""Our parts -> how data sets name their splits."""
_PART_OF = {name: part for part, names in _SPLITS.items() for name in names}
_SPLIT_NAME = re.compile(rf"(?<![a-z])({'|'.join(_PART_OF)})(?![a-z])")


class _Files(NamedTuple):
    parts: Mapping[str, Sequence[Path]]
    """Part -> its files; `examples` where there is no split."""
    left_out: Sequence[Path] = ()
    """Files of no split that we know, beside those of splits that we do."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """The files of one part of the data, in order."""

    files: tuple[Path, ...]
    notes: tuple[str, ...] = ()
    """How they were found."""


def find_parts(data: Data) -> dict[str, Part]:
    """The files behind `[data]`.

    Returns:
        part -> its files: `examples`, or `train`, `dev` (if there is one) and `test`.

    Raises:
        UserError: a folder holds no data, or a split that does not go with what is asked.
    """
    if data.examples is not None:
        return _examples(data.examples)
    named = {"train": data.train, "dev": data.dev, "test": data.test}
    return {
        part: _together([_part_of(source, part) for source in sources])
        for part, sources in named.items()
        if sources is not None
    }


def find_gate(data: Data) -> Part | None:
    """The files behind `data.gate`; None where it names none.

    Raises:
        UserError: as `find_parts`.
    """
    if data.gate is None:
        return None
    return _together([_part_of(source, "gate") for source in data.gate])


def _examples(sources: Sources) -> dict[str, Part]:
    found = [(source, _files(source)) for source in sources]
    if len(found) == 1 and "examples" not in found[0][1].parts:
        return _own_split(*found[0])
    for source, files in found:
        if "examples" not in files.parts:
            raise UserError(
                f"[data] examples: {source} has a split of its own ({', '.join(files.parts)}). "
                "Name it alone, or name single files."
            )
    return {"examples": _together([_part(source, files, "examples") for source, files in found])}


def _own_split(source: Path | str, files: _Files) -> dict[str, Part]:
    names = set(files.parts)
    if len(names) == 1:
        return {"examples": _part(source, files, names.pop())}
    if "train" not in names:
        raise UserError(f"[data] examples: {source} has no split named train. Name its files.")
    parts = {name: _part(source, files, name) for name in files.parts}
    if "test" not in names:
        dev = parts.pop("dev")
        note = f"{source}: has no test split; its validation split is kept for the test."
        parts["test"] = Part(files=dev.files, notes=(note, *dev.notes))
    return parts


def _part_of(source: Path | str, part: str) -> Part:
    """What a source has for one part: all of it, unless it is split itself."""
    files = _files(source)
    name = "examples" if "examples" in files.parts else part
    if name not in files.parts:
        raise UserError(
            f"[data] {part}: {source} has no such split, only {', '.join(files.parts)}. "
            "Name its files."
        )
    return _part(source, files, name)


def _part(source: Path | str, found: _Files, name: str) -> Part:
    files = found.parts[name]
    if list(files) == [source]:
        return Part(files=tuple(files))
    notes = [f"{source}: read {_listing(files)}."]
    if found.left_out and name in ("train", "examples"):
        notes.append(f"{source}: left out, since of no split: {_listing(found.left_out)}.")
    return Part(files=tuple(files), notes=tuple(notes))


def _listing(files: Sequence[Path]) -> str:
    more = f" and {len(files) - 3} more files" if len(files) > 3 else ""
    return ", ".join(file.name for file in files[:3]) + more


def _together(parts: Sequence[Part]) -> Part:
    return Part(
        files=tuple(file for part in parts for file in part.files),
        notes=tuple(note for part in parts for note in part.notes),
    )


def _files(source: Path | str) -> _Files:
    if isinstance(source, Path):
        return _folder_files(source) if source.is_dir() else _Files({"examples": [source]})
    every = [f"*{ending}{packed}" for ending in ENDINGS for packed in ("", ".gz")]
    found = fetch(source, [*every, _CARD])
    if found.pattern is None:
        return _folder_files(found.folder)
    files = [file for file in sorted(found.folder.glob(found.pattern)) if file.is_file()]
    if not files:
        raise UserError(f"[data]: no file matches {source}. Check the path on the hub.")
    return _Files({"examples": files})


def _folder_files(folder: Path) -> _Files:
    """The files of a folder in one of Hugging Face's layouts, or of any folder of data.

    Raises:
        UserError: it holds no data, or several data sets.
    """
    if (folder / "dataset_dict.json").is_file():
        names = _listed(folder / "dataset_dict.json", "splits")
        return _by_part((name, _saved_files(folder / name)) for name in names)
    if (folder / "state.json").is_file():
        return _Files({"examples": _saved_files(folder)})
    files = [file for file in sorted(folder.rglob("*")) if _holds_rows(file, folder)]
    configured = _configured(folder)
    if configured:
        return _by_part(
            (split, [file for pattern in patterns for file in _matching(folder, pattern)])
            for split, patterns in configured.items()
        )
    if not files:
        raise UserError(
            f"{folder}: is a folder without data. Name a file, or a folder with files that end "
            f"in {', '.join(ENDINGS)}."
        )
    named = [(_split_of(file.relative_to(folder)) or "", file) for file in files]
    if not any(_PART_OF.get(split) == "train" for split, _ in named):
        return _Files({"examples": files})
    return _by_part((split, [file]) for split, file in named)


def _matching(folder: Path, pattern: str) -> list[Path]:
    """The files that a data set's card means; a card may come from anybody, so only inside it."""
    parts = Path(pattern).parts
    inside = parts and not Path(pattern).is_absolute() and ".." not in parts
    found = sorted(file for file in folder.glob(pattern) if file.is_file()) if inside else []
    if not found:
        raise UserError(f"{folder / _CARD}: names {pattern}, which is not there. Name the files.")
    return found


def _holds_rows(file: Path, folder: Path) -> bool:
    inside = file.relative_to(folder)
    ending = inside.with_suffix("").suffix if inside.suffix == ".gz" else inside.suffix
    hidden = any(part.startswith((".", "_")) for part in inside.parts)
    known = ending.lower() in ENDINGS and file.name not in _DESCRIPTIONS
    return known and not hidden and file.is_file()


def _split_of(inside: Path) -> str | None:
    """The split that a file's name tells of, or else the names of its folders, nearest first."""
    for part in reversed(inside.parts):
        if found := _SPLIT_NAME.search(part.lower()):
            return found.group(1)
    return None


def part_named(inside: Path) -> str | None:
    """The part that a file's path inside its folder tells of: train, dev, test or none."""
    split = _split_of(inside)
    return _PART_OF[split] if split else None


def _by_part(splits: Iterable[tuple[str, Sequence[Path]]]) -> _Files:
    """Files under our names for the splits, train first."""
    parts: dict[str, list[Path]] = {part: [] for part in _SPLITS}
    others: list[Path] = []
    for split, files in splits:
        part = _PART_OF.get(split.lower())
        (parts[part] if part else others).extend(files)
    found = {part: files for part, files in parts.items() if files}
    return _Files(found, others) if found else _Files({"examples": others})


def _listed(file: Path, key: str) -> list[str]:
    """The texts under a key of one of the files that `datasets` writes beside its data."""
    try:
        values = cast("dict[str, Any]", json.loads(file.read_text("utf-8")))[key]
        names = [str(value["filename"] if key == "_data_files" else value) for value in values]
    except (OSError, ValueError, KeyError, TypeError):
        names = []
    if not names or any(Path(name).name != name for name in names):
        raise UserError(f"{file}: is damaged. Save the data set again.")
    return names


def _saved_files(folder: Path) -> list[Path]:
    """What `save_to_disk` wrote."""
    return [folder / name for name in _listed(folder / "state.json", "_data_files")]


def _configured(folder: Path) -> dict[str, list[str]]:
    """The split -> patterns of files that the data set's card gives; empty if it gives none.

    Raises:
        UserError: it has several configurations and none is the default.
    """
    configs = _configs(folder / _CARD)
    chosen = [c for c in configs if c.get("default") or c.get("config_name") == "default"]
    chosen = chosen or configs
    if len(chosen) > 1:
        names = ", ".join(str(config.get("config_name")) for config in chosen)
        raise UserError(
            f"{folder}: holds several data sets ({names}). Name the files of one, as in "
            '"FOLDER/NAME/*.parquet".'
        )
    files = chosen[0].get("data_files") if chosen else None
    if isinstance(files, str):
        return {"train": [files]}
    entries = cast("list[Any]", files) if isinstance(files, list) else []
    patterns = [(entry["split"], entry["path"]) for entry in entries if _names_files(entry)]
    return {str(s): [p] if isinstance(p, str) else list(map(str, p)) for s, p in patterns}


def _names_files(entry: Any) -> bool:
    return isinstance(entry, dict) and {"split", "path"} <= set(cast("dict[str, Any]", entry))


def _configs(card: Path) -> list[dict[str, Any]]:
    if not card.is_file():
        return []
    try:
        about = cast("Any", huggingface_hub).metadata_load(card)
    except Exception:  # noqa: BLE001 - boundary: a card that cannot be read says nothing
        return []
    found = cast("dict[str, Any]", about).get("configs") if isinstance(about, dict) else None
    entries = cast("list[Any]", found) if isinstance(found, list) else []
    return [cast("dict[str, Any]", entry) for entry in entries if isinstance(entry, dict)]
