"""What is served, by name: base models, and what the registry holds at this moment.

The registry is read again when its data base changed, so that an alias moves without a restart.
Where whoever serves wants a version warm before an alias means it, the alias keeps its old version
until `flip`.
"""

import importlib.util
import os
import sqlite3
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path

from tunewise.errors import UserError
from tunewise.models.prepared import prepared_folder
from tunewise.retrieval.embed import PACKAGE, Embedder, load_embedder
from tunewise.runs.model_names import EMBEDDING, base_id
from tunewise.runs.registry import Content, Registry, StillUsedError, Version
from tunewise.serving.protocol import InUseError, ModelInfo, RefusedError, Weights
from tunewise.serving.served import BaseServed, Loaded, VersionServed

OWNER = "tunewise"


def nothing_needs(version: Version) -> str | None:
    """Of a server that makes no models: nothing but aliases needs a version."""
    return None


class RegistryCatalogue:
    """See `Catalogue`.

    Args:
        registry: of the models with a name.
        bases: further base models to serve, as `open_model` takes them; those that versions run
            on are served anyway.
        names: of the models to serve, beside what fine-tuning jobs made; None: all.
        held: whether an alias that is moved waits for `flip`.
        needed: what needs a version beside aliases, in words of a person; None: nothing does.
        load: gives the sentence model, once.
        note: told of versions that cannot be served.
    """

    def __init__(
        self,
        registry: Registry,
        *,
        bases: Sequence[str] = (),
        names: Sequence[str] | None = None,
        held: bool = False,
        needed: Callable[[Version], str | None] = nothing_needs,
        load: Callable[[], Embedder] = load_embedder,
        note: Callable[[str], object] = str,
    ) -> None:
        self._registry, self._watch = registry, _Watch(registry.database)
        self._given, self._names, self._held = tuple(bases), names, held
        self._load, self._note, self._needed = cache(load), note, needed
        self._lock = threading.RLock()
        self._loaded: dict[str, Loaded] = {}
        self._meant: dict[str, str] = {}
        self._content = Content(versions=(), aliases=())
        self._bases: dict[str, str] = {}
        self._seen: object = None

    def models(self) -> Sequence[ModelInfo]:
        """See `Catalogue.models`."""
        with self._lock:
            content = self._current()
            created = {one.id: int(one.created) for one in content.versions}
            found = [
                ModelInfo(id=label, created=_prepared(name), owned_by=OWNER, kind="base")
                for label, name in self._bases.items()
            ]
            found += [
                ModelInfo(id=one.id, created=created[one.id], owned_by=OWNER, kind="version")
                for one in content.versions
                if self._usable(one) is not None
            ]
            found += [
                ModelInfo(
                    id=id_,
                    created=created.get(version, 0),
                    owned_by=OWNER,
                    kind="alias",
                    resolved=version,
                )
                for id_, version in self._meant.items()
            ]
        if importlib.util.find_spec(PACKAGE) and importlib.util.find_spec("sentence_transformers"):
            found.append(ModelInfo(id=EMBEDDING, created=0, owned_by=OWNER, kind="embedding"))
        return tuple(sorted(found, key=lambda one: one.id))

    def find(self, name: str) -> BaseServed | VersionServed | None:
        """See `Catalogue.find`."""
        with self._lock:
            content = self._current()
            if name in self._bases:
                weights = Weights(base=self._bases[name])
                return BaseServed(name=name, resolved=name, weights=weights)
            version = content.resolve(self._meant.get(name, name))
            loaded = self._usable(version) if version else None
            return VersionServed(name=name, loaded=loaded) if loaded else None

    def remove(self, name: str) -> bool:
        """See `Catalogue.remove`."""
        with self._lock:
            version = self._current().resolve(name)
            is_base = name in self._bases or name == EMBEDDING
        if is_base:
            raise RefusedError(
                f"{name}: is a base model. Versions and aliases alone can be deleted.",
                param="model",
                code="model_not_deletable",
            )
        if version is None:
            return False
        if name in (version.id, version.lineage.known_as):
            why = self._needed(version)
            if why is not None:
                raise InUseError(f"{name}: {why}.")
        try:
            self._registry.remove_named(name)
        except StillUsedError as error:
            raise InUseError(str(error)) from error
        except UserError as error:
            if self._registry.content().resolve(name) is None:  # somebody else was quicker
                return False
            raise RefusedError(str(error), param="model", code="model_not_deletable") from error
        return True

    def waiting(self) -> Sequence[VersionServed]:
        """Aliases that were moved and still mean their old version: what each will mean.

        Whoever serves makes it ready (`load`, and the engine's `warm`), and then calls `flip`.
        """
        with self._lock:
            wanted = _meanings(self._current())
            moved = {id_: one for id_, one in wanted.items() if self._meant.get(id_) != one}
            found = [
                VersionServed(name=id_, loaded=loaded)
                for id_, version in moved.items()
                if (named := self._content.resolve(version)) and (loaded := self._usable(named))
            ]
        return tuple(found)

    def flip(self, served: VersionServed) -> bool:
        """From now on an alias means the version that was made ready for it; False where it was
        moved again while that was loaded."""
        with self._lock:
            wanted = _meanings(self._current()).get(served.name) == served.resolved
            if wanted:
                self._meant[served.name] = served.resolved
            return wanted

    def close(self) -> None:
        """Lets go of the data base."""
        self._watch.close()

    def _current(self) -> Content:
        """What the registry holds, read anew where it changed."""
        seen = self._watch.state()
        if seen != self._seen or seen is None:
            try:
                content = self._registry.content()
            except UserError as error:  # what was read before is served on
                if self._seen is None:
                    raise
                self._note(str(error))
                return self._content
            if self._names is not None:
                wanted = set(self._names)
                content = Content(
                    versions=tuple(
                        one
                        for one in content.versions
                        if one.name in wanted or one.lineage.known_as  # a job's client asks for it
                    ),
                    aliases=tuple(one for one in content.aliases if one.name in wanted),
                )
            self._content, self._seen = content, seen
            self._loaded = {
                one.id: self._loaded.get(one.id) or Loaded(one, self._load)
                for one in content.versions
            }
            self._meant = self._now_meant(_meanings(content))
            self._bases = self._all_bases()
        return self._content

    def _now_meant(self, wanted: dict[str, str]) -> dict[str, str]:
        """What aliases mean: where they are held, what they meant before as long as it is there."""
        if not self._held:
            return wanted
        return {
            id_: before if (before := self._meant.get(id_)) in self._loaded else version
            for id_, version in wanted.items()
        }

    def _all_bases(self) -> dict[str, str]:
        """Id of each base model -> what `open_model` calls it."""
        used = [
            loaded.bundle.model.base.name
            for version in self._content.versions
            if (loaded := self._usable(version)) and loaded.bundle.model.base
        ]
        found: dict[str, str] = {}
        for name in dict.fromkeys([*self._given, *used]):
            found.setdefault(base_id(name), name)
        return found

    def _usable(self, version: Version) -> Loaded | None:
        """A version whose model.json can be read; the others are told once, and not served."""
        loaded = self._loaded.get(version.id)
        if loaded is None:
            return None
        try:
            _ = loaded.bundle
        except UserError as error:
            self._note(f"{version.id} is not served: {error}")
            del self._loaded[version.id]
            return None
        return loaded


def _meanings(content: Content) -> dict[str, str]:
    """Every alias, every name alone, and further names of versions -> the version that is meant."""
    found = {one.id: one.version for one in content.aliases}
    found |= {one.lineage.known_as: one.id for one in content.versions if one.lineage.known_as}
    for name in {one.name for one in content.versions}:
        version = content.resolve(name)
        if version is not None:
            found[name] = version.id
    return found


def _prepared(name: str) -> int:
    folder = prepared_folder(name)
    return int(folder.stat().st_mtime) if folder else 0


class _Watch:
    """Tells whether a data base changed: SQLite's own counter, and which file it is."""

    def __init__(self, database: Path) -> None:
        self._database = database
        self._db: sqlite3.Connection | None = None
        self._file: tuple[int, int] | None = None

    def state(self) -> object:
        """Another value after each change; None where that cannot be told."""
        try:
            found = os.stat(self._database)
            file = (found.st_dev, found.st_ino)
            if self._db is None or file != self._file:
                self.close()
                self._db = sqlite3.connect(
                    f"{self._database.as_uri()}?mode=ro", uri=True, check_same_thread=False
                )
                self._file = file
            return (file, self._db.execute("PRAGMA data_version").fetchone()[0])
        except (OSError, sqlite3.Error):
            self.close()
            return None

    def close(self) -> None:
        """Lets go of the file."""
        if self._db is not None:
            with suppress(sqlite3.Error):
                self._db.close()
        self._db = None
