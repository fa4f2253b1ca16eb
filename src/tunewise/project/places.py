"""Turns names in tunewise.toml into files and folders that exist, and data sets on the hub.

The types of this module stand in the annotations of the settings. Whoever validates a value of
theirs hands in `Places` as the context.
"""

import glob
import os
import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Annotated, Any, TypeAlias, cast

from pydantic import AfterValidator, Field, PlainValidator, TypeAdapter, ValidationInfo
from pydantic_core import PydanticCustomError

from tunewise.project.constraints import Text, wrong

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w-]*(\.[\w-]*\d[\w-]*)*")
"""`owner/name`; what follows a dot holds a digit, as in v1.5: a file's ending hardly does."""
_HUB_DATA = re.compile(r"hf://datasets/[A-Za-z0-9][\w.-]*/[\w.-]+(@[^/\s]+)?(/\S+)?")


@dataclass(frozen=True, kw_only=True, slots=True)
class Places:
    """Where the names of one section start from."""

    root: Path
    """The project's folder, absolute."""
    typed: Collection[str]
    """Keys that were typed at a prompt: their names start from where the person stands, too."""

    def tried(self, key: str | None, value: str) -> list[str]:
        """Where `value`, the text under `key`, may lie: absolute paths."""
        starts = [Path.cwd(), self.root] if key in self.typed else [self.root]
        return [os.path.abspath(start / os.path.expanduser(value)) for start in starts]


def _existing(tried: Sequence[str]) -> Path:
    found = next((Path(name) for name in tried if os.path.exists(name)), None)
    if found is None:
        raise wrong(f"{tried[0]} does not exist. Check the name and the folder.")
    return found


def _place(value: object, info: ValidationInfo) -> Path:
    if not isinstance(value, str) or not value.strip():
        raise wrong("must be the name of a file. Write it in quotes.")
    return _existing(cast(Places, info.context).tried(info.field_name, value))


def _documents(value: object, info: ValidationInfo) -> tuple[Path, ...]:
    return tuple(Path(place) for place in _found(value, info, hub=False))


def _sources(value: object, info: ValidationInfo) -> "tuple[Path | str, ...]":
    return _found(value, info, hub=True)


def _found(value: object, info: ValidationInfo, *, hub: bool) -> "tuple[Path | str, ...]":
    named = cast(list[object], value) if isinstance(value, list) else [value]
    texts = [text for text in named if isinstance(text, str) and text.strip()]
    if len(texts) < len(named) or not texts:
        raise wrong("must be the name of a file, or a list of names. Write it in quotes.")
    places = cast(Places, info.context)
    lookups = [_Lookup(text, places.tried(info.field_name, text), hub) for text in texts]
    return tuple(chain(*_LOOKUPS.validate_python(lookups)))


@dataclass(frozen=True, slots=True)
class _Lookup:
    """One name, and where it may lie."""

    text: str
    tried: Sequence[str]
    hub: bool

    def found(self) -> Sequence[Path | str]:
        """The files, the folder or the data set that it means."""
        for name in self.tried:
            if os.path.exists(name):
                return [Path(name)]
        if self.hub and _HUB_DATA.fullmatch(self.text):
            return [self.text]
        if re.search(r"[*?\[]", self.text):
            for pattern in self.tried:
                if matching := sorted(glob.glob(pattern, recursive=True)):
                    return [Path(name) for name in matching if os.path.isfile(name)]
            raise wrong(f"no file matches {self.tried[0]}. Check the pattern and the folder.")
        owner = os.path.dirname(self.tried[0])
        if self.hub and _HUB_ID.fullmatch(self.text) and not os.path.isdir(owner):
            return [f"hf://datasets/{self.text}"]
        return [_existing(self.tried)]


_LOOKUPS: TypeAdapter[list[Any]] = TypeAdapter(list[Annotated[Any, PlainValidator(_Lookup.found)]])
"""Looks all names up before it says which are wrong."""


def _model(value: str, info: ValidationInfo) -> str:
    """A catalog name or hub id as it is; a path absolute."""
    places = cast(Places, info.context)
    tried = places.tried(info.field_name, value)
    if value.startswith((".", "/", "~")) or value.endswith(".gguf"):
        return str(_existing(tried))
    inside = places.root / value
    return os.path.abspath(inside) if "/" in value and os.path.exists(inside) else value


MAX_BASES = 4
"""Base models that one run compares at most: each of them is asked, and trained."""


@dataclass(frozen=True, slots=True)
class _Base:
    """One name in a list of base models."""

    name: object
    others: Sequence[str]
    """Those that stand before it, as they are meant."""
    info: ValidationInfo

    def checked(self) -> str:
        """The model that it means."""
        text = _TEXT.validate_python(self.name)
        name = _model(text, self.info)
        if name in self.others:
            raise wrong(f'names "{text}" more than once. Remove the repetition.')
        if len(self.others) == MAX_BASES:
            raise wrong(f"names more than {MAX_BASES} models, each to be trained. Remove some.")
        return name


_TEXT: TypeAdapter[str] = TypeAdapter(Text)
_BASES: TypeAdapter[list[Any]] = TypeAdapter(list[Annotated[Any, PlainValidator(_Base.checked)]])
"""Looks at all of them before it says which are wrong."""


def _models(value: object, info: ValidationInfo) -> str | tuple[str, ...]:
    """One name as it is meant; of a list each, in order."""
    named = cast(list[object], value) if isinstance(value, list | tuple) else [value]
    if not named:
        raise wrong("is empty. Name a model.")
    meant: list[str] = []
    for name in named:
        try:
            meant.append(_model(name, info) if isinstance(name, str) else "")
        except PydanticCustomError:
            meant.append("")  # what is wrong with it is said below
    bases = [_Base(name, meant[:place], info) for place, name in enumerate(named)]
    found = tuple(cast(list[str], _BASES.validate_python(bases)))
    first, *others = found
    return found if others else first


_Names: TypeAlias = Text | Annotated[list[Text], Field(min_length=1)]
Sources: TypeAlias = Annotated[
    tuple[Path | str, ...], PlainValidator(_sources, json_schema_input_type=_Names)
]
"""Files and folders of data, absolute; a text is a data set on the hub, `hf://datasets/a/b`."""
Documents: TypeAlias = Annotated[
    tuple[Path, ...], PlainValidator(_documents, json_schema_input_type=_Names)
]
"""Files and folders, absolute."""
Place: TypeAlias = Annotated[Path, PlainValidator(_place, json_schema_input_type=Text)]
"""A file or folder, absolute."""
ModelName: TypeAlias = Annotated[Text, AfterValidator(_model)]
"""A catalog name, a hub id, or the absolute path of a folder or GGUF file."""
ModelNames: TypeAlias = Annotated[
    str | tuple[str, ...],
    PlainValidator(
        _models,
        json_schema_input_type=Text
        | Annotated[
            list[Text],
            Field(min_length=1, max_length=MAX_BASES, json_schema_extra={"uniqueItems": True}),
        ],
    ),
]
"""A catalog name, a hub id, or the absolute path of a folder or GGUF file; several as a tuple."""
